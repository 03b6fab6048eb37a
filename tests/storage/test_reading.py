from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from exporter.core.model import Dimensions
from exporter.errors import StartError
from exporter.storage.reading import read_slices, read_totals
from exporter.storage.schema import MIGRATIONS
from tests.storage.examples import TODAY, YESTERDAY, Place, some

if TYPE_CHECKING:
    from pathlib import Path

WEB = Dimensions("Web")


async def test_the_newest_days_total_that_is_known_counts(place: Place) -> None:
    await place.put(
        some(rows=2, day=YESTERDAY),
        some(rows=9, day=date(2024, 3, 1)),
        replace(some(day=TODAY), total=None),
        some(rows=4, day=TODAY, dimensions=WEB),
        replace(some(dimensions=Dimensions(os="iOS")), total=None),
    )

    assert read_totals(place.path, date.max) == {("main", Dimensions()): 2, ("main", WEB): 4}
    assert read_totals(place.path, TODAY) == {("main", Dimensions()): 2}
    assert read_totals(place.path, YESTERDAY) == {("main", Dimensions()): 9}


async def test_it_is_read_while_it_is_written_and_afterwards(place: Place) -> None:
    async with place.opened() as storage:
        await storage.save([some(1), some(1, day=TODAY)])
        assert read_totals(place.path, date.max) == {("main", Dimensions()): 3}
        assert read_slices(place.path, TODAY) == (some(1, day=TODAY),)
        await storage.save([some(2)])
        assert read_slices(place.path, date.min) == (some(2), some(1, day=TODAY))
    assert place.meter.failures == 0
    assert read_slices(place.path, date.min) == (some(2), some(1, day=TODAY))


async def test_reading_changes_nothing_and_what_sqlite_leaves_goes_with_the_next_daemon(place: Place) -> None:
    await place.put(some())
    before = place.path.read_bytes()
    read_slices(place.path, date.min)
    assert place.path.read_bytes() == before

    async with place.opened():
        pass
    assert {path.name for path in place.path.parent.iterdir()} == {"state.db"}


async def test_names_that_mean_something_in_a_uri_are_names(tmp_path: Path) -> None:
    place = Place(tmp_path / "a?mode=rwc&x#y %20.db")
    await place.put(some())

    assert read_slices(place.path, date.min) == (some(),)


@pytest.mark.parametrize("empty", [True, False])
def test_a_file_that_is_not_there_yet_knows_nothing(tmp_path: Path, *, empty: bool) -> None:
    path = tmp_path / "state.db"
    if empty:
        path.touch()

    assert read_totals(path, date.max) == {}
    assert read_slices(path, date.min) == ()
    assert path.exists() is empty


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database at all\n" * 100)

    with pytest.raises(StartError, match="not a file of aliyun-vod-exporter"):
        read_totals(path, date.max)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE slice (slice_id)")

    with pytest.raises(StartError, match="not a file of aliyun-vod-exporter"):
        read_totals(path, date.max)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="this is a directory"):
        read_totals(tmp_path, date.max)


async def test_another_version_is_refused(place: Place) -> None:
    async with place.opened(migrations=[*MIGRATIONS, lambda _: None]):
        pass

    with pytest.raises(StartError, match="its version is 2, this exporter's is 1"):
        read_totals(place.path, date.max)
