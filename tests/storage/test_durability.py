from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.model import Dimensions
from exporter.errors import LARGER_FILES, StartError
from tests.storage.child import poll
from tests.storage.examples import TODAY, YESTERDAY, StorageFile, by_slice, some
from tests.storage.stored import read_slices

ROOT = Path(__file__).parents[2]
KILLS = 20


def child(what: str, storage_file: StorageFile) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.storage.child", what, str(storage_file.path)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def test_after_a_kill_the_file_has_one_whole_poll_the_last_committed_or_newer(storage_file: StorageFile) -> None:
    moments = random.Random(1)  # noqa: S311 - nothing secret
    last = 0
    for _ in range(KILLS):
        with child("polls", storage_file) as process:
            assert process.stdout
            for _ in range(moments.randrange(1, 12)):
                last = int(process.stdout.readline())
            # At a random moment during the next polls, of a few milliseconds each; only here the real clock decides.
            time.sleep(moments.random() * 0.01)  # noqa: ASYNC251
            process.kill()
            last = max([last, *(int(line) for line in process.stdout.readlines() if line.endswith("\n"))])
        async with storage_file.opened() as storage:
            number = storage.calls_spent("main", TODAY)
            assert last <= number <= last + 1
            assert by_slice(await storage.load(date.min)) == by_slice(poll(number))


async def test_a_full_disk_is_counted_logged_once_and_survived(storage_file: StorageFile) -> None:
    with child("full", storage_file) as process:
        assert process.stdout
        seen = json.loads(process.stdout.read())

    assert process.returncode == 0
    assert seen["failures"] == 2
    assert seen["meanwhile"] == [str(TODAY)]
    assert [entry["event"] for entry in seen["logs"]] == ["storage failing", "storage recovered"]
    assert "SQLITE_" in seen["logs"][0]["error"]
    assert seen["logs"][0]["advice"].startswith(LARGER_FILES)
    stored = [some(plays, day=TODAY - timedelta(days=ago)) for plays, ago in ((2, 0), (3, 1), (4, 2))]
    assert by_slice(await storage_file.everything()) == by_slice(stored)


def test_a_limit_of_sizes_below_that_of_an_empty_file_is_named_at_the_start(storage_file: StorageFile) -> None:
    with child("small", storage_file) as process:
        assert process.stdout
        assert process.stdout.read().endswith(f"{LARGER_FILES}\n")


STORED = (
    some(rows=700),
    some(5, day=TODAY, dimensions=Dimensions("Native", "iOS")),
    some(rows=0, day=date(2024, 1, 1)),
)


async def put(storage_file: StorageFile) -> bytes:
    async with storage_file.opened() as storage:
        storage.record_calls("main", TODAY, 77)
        await storage.save(STORED)
    return storage_file.path.read_bytes()


def whole() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(put(StorageFile(Path(directory, "state.db"))))


async def read_again(storage_file: StorageFile) -> str | tuple[object, int]:
    try:
        async with storage_file.opened() as storage:
            return by_slice(await storage.load(date.min)), storage.calls_spent("main", TODAY)
    except StartError:
        return "refused"


WHOLE = by_slice(STORED), 77


@settings(max_examples=300)
@given(st.data())
def test_a_flipped_bit_is_detected_or_changes_nothing(data: st.DataObject) -> None:
    content = bytearray(FILE)
    position = data.draw(st.integers(0, 99) | st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))

    with tempfile.TemporaryDirectory() as directory:
        storage_file = StorageFile(Path(directory, "state.db"))
        storage_file.path.write_bytes(content)
        assert asyncio.run(read_again(storage_file)) in (WHOLE, "refused")


@settings(max_examples=100)
@given(st.integers(1, 1 << 20), st.binary(min_size=1, max_size=600))
def test_overwritten_bytes_are_detected_or_change_nothing(position: int, garbage: bytes) -> None:
    content = bytearray(FILE)
    position %= len(content)
    content[position : position + len(garbage)] = garbage

    with tempfile.TemporaryDirectory() as directory:
        storage_file = StorageFile(Path(directory, "state.db"))
        storage_file.path.write_bytes(content)
        assert asyncio.run(read_again(storage_file)) in (WHOLE, "refused")


@pytest.mark.parametrize("cut", [100, 4096, 5000, 8192, -4096, -1])
async def test_a_truncated_file_is_refused(storage_file: StorageFile, cut: int) -> None:
    content = await put(storage_file)
    storage_file.path.write_bytes(content[:cut])

    assert await read_again(storage_file) == "refused"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE slice SET account = x'00'",
        "UPDATE slice SET account = 'other'",
        "UPDATE slice SET os = 7.5",
        "UPDATE slice SET play_date = 'x' WHERE slice_id = 2",
        "UPDATE slice SET play_date = '1999-01-01' WHERE slice_id = 2",
        "UPDATE slice SET play_date = '2024-13-40' WHERE slice_id = 2",
        "UPDATE slice SET play_date = x'ff' WHERE slice_id = 2",
        "UPDATE slice SET seal = 'x'",
        "UPDATE slice SET seal = 10",
        "UPDATE slice SET facts = 17",
        "UPDATE slice SET facts = x'7b7d'",
        "UPDATE slice SET facts = CAST(x'ff' AS TEXT)",
        "UPDATE slice SET facts = '{}'",
        "UPDATE slice SET facts = replace(facts, '\"ready\":true', '\"ready\":false')",
        "UPDATE part SET answers = 5",
        "UPDATE part SET answers = 'x'",
        "UPDATE part SET answers = x'789c'",
        "UPDATE part SET answers = zeroblob(1000000)",
        "UPDATE part SET seal = 1e999",
        "UPDATE part SET number = number + 1 WHERE slice_id = 2",
        "UPDATE part SET number = 'x' WHERE slice_id = 2",
        "UPDATE part SET answers = (SELECT answers FROM part WHERE slice_id = 3) WHERE slice_id = 2",
        "DELETE FROM part WHERE slice_id = 2",
        "INSERT INTO part VALUES (2, 1, x'', x'')",
        "UPDATE calls SET calls = 1",
        "UPDATE calls SET calls = -1",
        "UPDATE calls SET calls = 'many'",
        "UPDATE calls SET calls = 77.5",
        "UPDATE calls SET day = x'00'",
        "UPDATE calls SET day = '20240324'",
        "UPDATE calls SET account = x'00'",
        "UPDATE calls SET seal = 'x'",
        "DROP TABLE calls",
        "DROP TABLE part",
        "ALTER TABLE slice RENAME COLUMN facts TO truths",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -1",
        "PRAGMA application_id = 1",
    ],
)
async def test_a_modified_file_is_refused_with_its_path(storage_file: StorageFile, change: str) -> None:
    await put(storage_file)
    with closing(sqlite3.connect(storage_file.path, isolation_level=None)) as connection:
        connection.execute(change)

    with pytest.raises(StartError, match=r"storage .*state\.db: .*\. .*") as caught:
        async with storage_file.opened() as storage:
            await storage.load(date.min)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("oldest", [date.min, YESTERDAY])
async def test_read_only_access_refuses_a_modified_file_too(storage_file: StorageFile, oldest: date) -> None:
    await put(storage_file)
    with closing(sqlite3.connect(storage_file.path, isolation_level=None)) as connection:
        connection.execute("UPDATE part SET answers = 5")

    with pytest.raises(StartError, match="the file is damaged"):
        read_slices(storage_file.path, oldest)


FILE: Any = whole()
