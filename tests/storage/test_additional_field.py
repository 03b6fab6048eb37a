"""A further field in the response: older files open, and newer files open in the older version."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from contextlib import closing
from dataclasses import replace
from datetime import date
from shutil import copyfile
from sqlite3 import connect
from typing import TYPE_CHECKING, Any

import pytest

from exporter.core.fields import NUMBERS
from exporter.storage import blocks, codec
from tests.storage.examples import by_slice, some
from tests.storage.stored import read_slices
from tests.storage.test_version_0_1 import SLICES, WRITTEN

if TYPE_CHECKING:
    from tests.storage.examples import StorageFile

# An exporter with a further field: prints its values, then saves `likes` for every row.
LATER_VERSION = """
import asyncio, dataclasses, json, sys
from datetime import date
from pathlib import Path
from exporter.core import fields, model

model.PlayRow = dataclasses.make_dataclass(
    "PlayRow", [("likes", "int | float | None", None)], bases=(model.PlayRow,), frozen=True, slots=True
)
fields.NUMBERS = (*fields.NUMBERS, fields.Field("likes", "Likes"))

from tests.storage.examples import StorageFile

async def main():
    async with StorageFile(Path(sys.argv[1])).opened() as storage:
        slices = await storage.load(date.min)
        rows = {key: record.row for data in slices for key, record in data.records.items() if record.row}
        print(json.dumps({key: [row.plays, row.likes] for key, row in rows.items()}))
        await storage.save(
            dataclasses.replace(data, records={
                key: dataclasses.replace(record, row=record.row and dataclasses.replace(record.row, likes=7))
                for key, record in data.records.items()
            })
            for data in slices
        )

asyncio.run(main())
"""


def run_later_version(storage_file: StorageFile) -> Any:
    """The data that the later version reads: by media ID, plays and likes."""
    done = subprocess.run(
        [sys.executable, "-c", LATER_VERSION, storage_file.path], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def file_of_0_1(storage_file: StorageFile) -> StorageFile:
    copyfile(WRITTEN, storage_file.path)
    storage_file.path.chmod(0o600)
    return storage_file


def test_a_field_that_an_older_file_lacks_is_none(file_of_0_1: StorageFile) -> None:
    assert run_later_version(file_of_0_1) == {"m1": [3, None], "m2": [0, None]}


async def test_an_older_version_opens_a_file_with_one_more_field(file_of_0_1: StorageFile) -> None:
    run_later_version(file_of_0_1)

    assert run_later_version(file_of_0_1) == {"m1": [3, 7], "m2": [0, 7]}
    assert by_slice(read_slices(file_of_0_1.path, date.min)) == by_slice(SLICES)
    assert by_slice(await file_of_0_1.everything()) == by_slice(SLICES)


@pytest.mark.parametrize("name", [field.attribute for field in NUMBERS])
async def test_a_file_without_a_field_opens_and_gets_it_with_the_next_poll(
    name: str, storage_file: StorageFile
) -> None:
    data = some(rows=2)
    await storage_file.put(data)
    with closing(connect(storage_file.path)) as connection, connection:
        ((packed,),) = connection.execute("SELECT answers FROM part").fetchall()
        columns = json.loads(zlib.decompress(packed))
        del columns[name]
        payload = json.dumps(columns).encode()
        sealed = blocks.seal(codec.key(data.slice), 0, payload)
        connection.execute("UPDATE part SET answers = ?, seal = ?", [zlib.compress(payload), sealed])

    absent: dict[str, Any] = {name: None}
    without = {
        media_id: replace(record, row=record.row and replace(record.row, **absent))
        for media_id, record in data.records.items()
    }
    assert by_slice(await storage_file.everything()) == by_slice([replace(data, records=without)])
    await storage_file.put(data)
    assert by_slice(await storage_file.everything()) == by_slice([data])
