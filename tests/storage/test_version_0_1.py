"""A storage file written by version 0.1.0 opens with the same content. `testdata/0.1.0.sqlite` is never rewritten."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Final

from exporter.core.model import Dimensions, Freshness, Measure, MediaRecord, PlayRow, Ranking, Slice, SliceData
from tests.storage.examples import by_slice
from tests.storage.stored import read_totals

if TYPE_CHECKING:
    from tests.storage.examples import StorageFile

WRITTEN: Final = Path(__file__).with_name("testdata") / "0.1.0.sqlite"
NOON: Final = 1711252800.0  # 2024-03-24 12:00 UTC+8, the time of the fixtures' clock
SETTLED: Final = Freshness(NOON - 3600, 2, settled=True)
FRESH: Final = Freshness(NOON, 0, settled=False)
SLICES: Final = (
    SliceData(
        Slice("main", Dimensions(), date(2024, 3, 23)),
        {
            "m1": MediaRecord(PlayRow("m1", "标题 1", 60, 2, 3, 1.5, 90, 45.0), SETTLED),
            "m2": MediaRecord(PlayRow("m2", None, None, None, 0, None, 2**70, 0.1), SETTLED),
            "zero": MediaRecord(None, FRESH),
        },
        listed=SETTLED,
        rankings={Measure.PLAYS: Ranking(2, ("m1", "m2"), SETTLED), Measure.PLAY_DURATION: Ranking(1, ("m2",), FRESH)},
        total=2,
        total_at=NOON - 3600,
        updated_at=NOON,
        last_response_at=NOON,
    ),
    SliceData(
        Slice("second", Dimensions("Native", "Android", "cn-shanghai"), date(2024, 3, 24)),
        {},
        updated_at=None,
        last_response_at=NOON,
        ready=False,
    ),
)
CALLS: Final = 17


async def test_a_file_of_0_1_0_opens_with_all_its_data(storage_file: StorageFile) -> None:
    copyfile(WRITTEN, storage_file.path)
    storage_file.path.chmod(0o600)

    assert by_slice(await storage_file.everything()) == by_slice(SLICES)
    async with storage_file.opened() as storage:
        assert storage.calls_spent("main", date(2024, 3, 24)) == CALLS


def test_a_file_of_0_1_0_is_read_beside_a_daemon(storage_file: StorageFile) -> None:
    copyfile(WRITTEN, storage_file.path)
    storage_file.path.chmod(0o600)

    assert read_totals(storage_file.path, date(2024, 3, 24)) == {("main", Dimensions()): 2}
