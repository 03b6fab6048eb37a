"""Found media and metadata are read as they were written, or the file is refused."""

from __future__ import annotations

import sqlite3
from datetime import date
from typing import TYPE_CHECKING

import pytest

from exporter.core.media_details import AccountMetadata, Category, CategoryTree, FoundMedia, MediaDetails, Search
from exporter.errors import StartError
from exporter.storage.migrations import MIGRATIONS
from tests.storage.stored import read_slices

if TYPE_CHECKING:
    from tests.storage.examples import StorageFile

SEARCH = Search(
    ("课程/数学", 12),
    subcategories=False,
    tags=("promo",),
    title='a "title"',
    statuses=("Normal",),
    created_within=86_400.0,
    every=60.0,
)
TREE = CategoryTree([Category(1, "课程", None, 0), Category(2, "数学", 1, 1)])
METADATA = AccountMetadata(
    {
        **{
            f"m{n}": MediaDetails(f"m{n}", "t\ud800", 2, "数学", ("a", "b"), "Normal", 1.5, "app", "IA", "r", 7.0)
            for n in range(1_500)
        },
        "bare": MediaDetails("bare"),
    },
    frozenset({"gone"}),
    TREE,
)
FOUND = {("main", SEARCH): FoundMedia(frozenset({"m1", "m2"}), 1_000.0)}


async def test_everything_is_read_as_it_was_written(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        await storage.save_media(FOUND, {"main": METADATA})
    async with storage_file.opened() as storage:
        stored = await storage.load_media()
    assert stored.found == FOUND
    assert stored.metadata == {"main": METADATA}
    times = {each.observed_at for each in stored.metadata["main"].details.values()}
    assert times == {0.0, 7.0}


async def test_only_what_changed_is_replaced(storage_file: StorageFile) -> None:
    other = {("main", Search(tags=("other",))): FoundMedia(frozenset(), 2_000.0)}
    async with storage_file.opened() as storage:
        await storage.save_media(FOUND, {"main": METADATA})
        await storage.save_media(other, {"main": AccountMetadata({"m1": METADATA.details["m1"]})})
        stored = await storage.load_media()
    assert stored.found == {**FOUND, **other}
    assert stored.metadata == {"main": AccountMetadata({"m1": METADATA.details["m1"]})}


async def test_a_search_that_is_no_longer_repeated_is_deleted(storage_file: StorageFile) -> None:
    later = {("main", Search(tags=("other",))): FoundMedia(frozenset({"m1"}), 1_000.0 + 36 * 86_400)}
    async with storage_file.opened() as storage:
        await storage.save_media(FOUND, {})
        await storage.save_media(later, {})
        assert (await storage.load_media()).found == later


@pytest.mark.parametrize("change", ["content = zeroblob(9)", "name = 'x'", "seal = zeroblob(16)", "number = 7"])
async def test_damage_is_noticed(storage_file: StorageFile, change: str) -> None:
    async with storage_file.opened() as storage:
        await storage.save_media(FOUND, {})
    with sqlite3.connect(storage_file.path) as connection:
        connection.execute(f"UPDATE media SET {change}")  # noqa: S608 - no input
    connection.close()
    async with storage_file.opened() as storage:
        with pytest.raises(StartError, match="media"):
            await storage.load_media()


async def test_a_file_of_version_1_is_read_and_brought_up_to_date(storage_file: StorageFile) -> None:
    async with storage_file.opened(migrations=MIGRATIONS[:1]):
        pass
    assert read_slices(storage_file.path, oldest=date(2024, 1, 1)) == ()
    async with storage_file.opened() as storage:
        stored = await storage.load_media()
    assert (stored.found, stored.metadata) == ({}, {})
