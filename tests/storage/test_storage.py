from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import threading
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from structlog.testing import capture_logs

from exporter.core import play_dates
from exporter.core.model import Dimensions, SliceData
from exporter.errors import StartError
from exporter.storage.database import Database
from exporter.storage.migrations import MIGRATIONS
from tests.storage.examples import DAY_SECONDS, TODAY, YESTERDAY, Place, any_slices, by_slice, some


@settings(max_examples=20)
@given(any_slices, any_slices)
def test_what_was_saved_is_loaded_exactly(first: list[SliceData], second: list[SliceData]) -> None:
    async def go(place: Place) -> tuple[SliceData, ...]:
        async with place.opened() as storage:
            await storage.save(first)
            await storage.save(second)
        return await place.everything()

    with tempfile.TemporaryDirectory() as directory:
        loaded = asyncio.run(go(Place(Path(directory, "state.db"))))

    expected = {data.slice: data for data in [*first, *second]}
    assert {data.slice: data for data in loaded} == expected
    assert by_slice(loaded) == by_slice(list(expected.values()))


async def test_slices_of_many_blocks_grow_and_shrink(place: Place) -> None:
    for rows in (0, 1, 5_000, 513, 2_000, 3):
        await place.put(some(rows, rows=rows))

        assert await place.everything() == (some(rows, rows=rows),)


async def test_a_number_that_only_changes_its_type_is_written(place: Place) -> None:
    async with place.opened() as storage:
        await storage.save([some(1)])
        await storage.save([some(1.0)])

    assert by_slice(await place.everything()) == by_slice([some(1.0)])


async def test_a_poll_without_changes_writes_little(place: Place) -> None:
    async with place.opened() as storage:
        await storage.save([some(rows=5_000)])
        wal = place.path.with_name("state.db-wal")
        before = wal.stat().st_size
        await storage.save([some(rows=5_000, at=some().last_response_at + 900)])
        little = wal.stat().st_size - before
        await storage.save([some(2, rows=5_000)])
        much = wal.stat().st_size - before - little

    assert little < 20_000 < much


async def test_only_days_from_the_oldest_on_are_loaded(place: Place) -> None:
    await place.put(some(day=YESTERDAY), some(day=TODAY))

    async with place.opened() as storage:
        assert await storage.load(TODAY) == (some(day=TODAY),)


async def test_the_last_stored_month_is_loaded_where_the_clock_is_ahead(place: Place) -> None:
    month = [some(day=TODAY - timedelta(ago)) for ago in (30, 8, 0)]
    await place.put(some(day=TODAY - timedelta(31)), *month)

    async with place.opened() as storage:
        assert by_slice(await storage.load(TODAY + timedelta(4000))) == by_slice(month)


async def test_a_new_file_has_no_data(place: Place) -> None:
    async with place.opened() as storage:
        assert await storage.load(TODAY) == ()


async def test_slices_that_differ_in_one_filter_are_not_mixed_up(place: Place) -> None:
    slices = [
        some(number, dimensions=dimensions)
        for number, dimensions in enumerate(
            [Dimensions(), Dimensions(""), Dimensions("Native"), Dimensions(os="Native"), Dimensions(region="Native")]
        )
    ]
    await place.put(*slices)
    await place.put(*slices)

    assert by_slice(await place.everything()) == by_slice(slices)


async def test_equal_texts_share_memory(place: Place) -> None:
    await place.put(some(day=YESTERDAY), some(day=TODAY))

    first, second = (data.answers["m1"].row for data in await place.everything())
    assert first
    assert second
    assert first.media_id is second.media_id
    assert first.title is second.title


async def test_days_beyond_retention_are_deleted_with_the_first_save_after_the_start(place: Place) -> None:
    await place.put(some(day=YESTERDAY), some(day=TODAY))

    async with place.opened(retention=DAY_SECONDS / 2) as storage:
        assert len(await storage.load(date.min)) == 2
        await storage.save([some(day=TODAY)])
        assert await storage.load(date.min) == (some(day=TODAY),)
    assert await place.everything() == (some(day=TODAY),)


async def test_retention_holds_for_a_process_that_restarts_often(place: Place) -> None:
    """Three processes a day for twenty days, each of which polls once."""
    kept = []
    for _ in range(60):
        place.clock.now += DAY_SECONDS / 3
        async with place.opened(retention=5 * DAY_SECONDS) as storage:
            await storage.save([some(day=play_dates.today(place.clock.now))])
            kept.append(len(await storage.load(date.min)))

    assert kept[15:] == [6] * 45, "five days and the one that has begun"


@pytest.mark.parametrize("kept", [(), (some(day=TODAY),)])
async def test_a_clock_that_is_years_ahead_deletes_nothing(place: Place, kept: tuple[SliceData, ...]) -> None:
    """At the start, while calls are counted, while what is known is saved, and over a restart."""
    known = [some(day=TODAY - timedelta(ago)) for ago in (399, 200, 31, 1, 0)]
    await place.put(*known)
    place.clock.now += 12 * 365 * DAY_SECONDS
    ahead = play_dates.today(place.clock.now)
    unheard = replace(some(day=ahead), answers={}, listed=None, rankings={}, ready=False)

    for calls in (1, 2):
        async with place.opened() as storage:
            storage.record_calls("main", ahead, calls)
            await storage.save([*kept, unheard])
            await storage.save([])

    place.clock.now -= 12 * 365 * DAY_SECONDS
    await place.put(some(2, day=TODAY))
    assert by_slice(await place.everything()) == by_slice([*known[:-1], some(2, day=TODAY), unheard])


async def test_days_beyond_retention_are_deleted_while_it_runs(place: Place) -> None:
    async with place.opened(retention=3 * DAY_SECONDS) as storage:
        await storage.save([some(day=YESTERDAY)])
        place.clock.now += 5 * DAY_SECONDS
        await storage.save([some(day=TODAY + timedelta(days=5))])

        assert [data.slice.play_date for data in await storage.load(date.min)] == [TODAY + timedelta(days=5)]


async def test_a_changed_retention_applies_with_the_next_write(place: Place) -> None:
    async with place.opened(retention=30 * DAY_SECONDS) as storage:
        await storage.save([some(day=YESTERDAY)])
        storage.set_retention(DAY_SECONDS / 2)
        await storage.save([some(day=TODAY)])

        assert await storage.load(date.min) == (some(day=TODAY),)


async def test_any_retention_is_accepted(place: Place) -> None:
    async with place.opened(retention=1e18) as storage:
        await storage.save([some()])

        assert await storage.load(date.min) == (some(),)


async def test_calls_survive_a_restart_and_belong_to_their_day(place: Place) -> None:
    async with place.opened() as storage:
        assert storage.calls_spent("main", TODAY) == 0
        for calls in range(1, 1_001):
            storage.record_calls("main", TODAY, calls)
        storage.record_calls("other", YESTERDAY, 7)
        assert storage.calls_spent("main", TODAY) == 1_000

    async with place.opened() as storage:
        assert storage.calls_spent("main", TODAY) == 1_000
        assert storage.calls_spent("main", YESTERDAY) == 0
        assert storage.calls_spent("other", YESTERDAY) == 7
        assert storage.calls_spent("nobody", TODAY) == 0


async def test_calls_are_written_without_waiting(place: Place) -> None:
    async with place.opened() as storage:
        storage.record_calls("main", TODAY, 3)
        await storage.save([])  # which waits for what is under way

        with sqlite3.connect(place.path) as connection:
            assert connection.execute("SELECT account, day, calls FROM calls").fetchall() == [("main", "2024-03-24", 3)]
        connection.close()


async def test_a_cancelled_save_is_still_written(place: Place) -> None:
    async with place.opened() as storage:
        saving = asyncio.create_task(storage.save([some(rows=5_000)]))
        await asyncio.sleep(0)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving

    assert await place.everything() == (some(rows=5_000),)


async def test_the_database_runs_in_a_separate_thread(place: Place) -> None:
    seen: list[threading.Thread] = []

    async with place.opened(migrations=[*MIGRATIONS, lambda _: seen.append(threading.current_thread())]):
        assert seen
        assert threading.main_thread() not in seen
    assert not any(thread.is_alive() for thread in seen)


async def test_data_of_a_failed_write_is_written_later(place: Place) -> None:
    away = place.path.with_name("away")
    with capture_logs() as logs:
        async with place.opened() as storage:
            await storage.save([some(1, day=YESTERDAY)])
            place.path.rename(away)
            await storage.save([some(2, day=YESTERDAY)])
            storage.record_calls("main", TODAY, 5)
            await storage.save([some(3, day=TODAY)])
            assert place.meter.failures == 2
            away.rename(place.path)
            await storage.save([some(4, day=YESTERDAY)])
            await storage.save([])

    assert [entry["event"] for entry in logs] == ["storage failing", "storage recovered"]
    assert "No such file" in logs[0]["error"]
    assert "Restart the exporter" in logs[0]["advice"]
    assert by_slice(await place.everything()) == by_slice([some(4, day=YESTERDAY), some(3, day=TODAY)])
    async with place.opened() as storage:
        assert storage.calls_spent("main", TODAY) == 5


async def test_no_data_is_lost_by_a_write_that_fails_in_any_way(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise MemoryError

    with capture_logs() as logs:
        async with place.opened() as storage:
            with monkeypatch.context() as patched:
                patched.setattr(Database, "write", write)
                await storage.save([some(1, day=YESTERDAY)])
            await storage.save([some(2, day=TODAY)])

    assert [(entry["event"], entry.get("error")) for entry in logs] == [
        ("storage failing", "MemoryError"),
        ("storage recovered", None),
    ]
    assert by_slice(await place.everything()) == by_slice([some(1, day=YESTERDAY), some(2, day=TODAY)])


async def test_a_file_that_replaces_the_open_one_is_not_changed(place: Place) -> None:
    async with place.opened() as storage:
        place.path.rename(place.path.with_name("away"))
        place.path.write_text("somebody else's")
        with capture_logs() as logs:
            await storage.save([some()])

    assert "another file has taken its place" in logs[0]["error"]
    assert place.path.read_text() == "somebody else's"


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
async def test_removed_side_files_are_counted_and_created_again(
    place: Place, suffix: str, *, is_replaced: bool
) -> None:
    beside = place.path.with_name(place.path.name + suffix)
    with capture_logs() as logs:
        async with place.opened() as storage:
            await storage.save([some(1, day=YESTERDAY)])
            beside.unlink()
            if is_replaced:
                beside.write_bytes(b"of somebody else")
            await storage.save([some(2, day=TODAY)])
            assert place.meter.failures == 1
            assert beside.exists()
            await storage.save([some(3, day=TODAY)])
            assert place.meter.failures == 1
            with closing(sqlite3.connect(f"file:{place.path}?mode=ro", uri=True)) as elsewhere:
                assert elsewhere.execute("SELECT count(*) FROM slice").fetchone() == (2,)

    assert [entry["event"] for entry in logs] == ["storage failing", "storage recovered"]
    assert "its -wal or -shm was removed or replaced" in logs[0]["error"]
    assert "while the exporter runs" in logs[0]["advice"]
    assert by_slice(await place.everything()) == by_slice([some(1, day=YESTERDAY), some(3, day=TODAY)])


async def test_unsaved_data_at_exit_is_logged(place: Place) -> None:
    with capture_logs() as logs:
        async with place.opened() as storage:
            place.path.unlink()
            await storage.save([some()])

    assert [entry["event"] for entry in logs] == ["storage failing", "unsaved data at exit"]
    assert logs[1]["slices"] == 1


async def test_another_reader_does_not_block_writes(place: Place) -> None:
    async with place.opened() as storage:
        await storage.save([some(1)])
        reader = sqlite3.connect(place.path, isolation_level=None)
        reader.execute("BEGIN")
        before = reader.execute("SELECT facts FROM slice").fetchall()
        await storage.save([some(2, at=1.0)])

        assert reader.execute("SELECT facts FROM slice").fetchall() == before
        reader.close()
    assert place.meter.failures == 0


async def test_an_older_file_is_migrated(place: Place) -> None:
    await place.put(some())

    def count(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE counted AS SELECT count(*) AS slices FROM slice")

    async with place.opened(migrations=[*MIGRATIONS, count]) as storage:
        assert await storage.load(date.min) == (some(),)
    async with place.opened(migrations=[*MIGRATIONS, count]) as storage:
        assert await storage.load(date.min) == (some(),)

    with sqlite3.connect(place.path) as connection:
        assert connection.execute("SELECT slices FROM counted").fetchall() == [(1,)]
    connection.close()


async def test_a_failed_migration_leaves_the_file_unchanged(place: Place) -> None:
    await place.put(some())

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM slice")
        connection.execute("no SQL")

    with pytest.raises(StartError, match=r"state\.db"):
        async with place.opened(migrations=[*MIGRATIONS, fail]):
            pass
    assert await place.everything() == (some(),)


async def test_a_newer_file_is_refused_unchanged(place: Place) -> None:
    await place.put(some())
    async with place.opened(migrations=[*MIGRATIONS, lambda _: None]):
        pass
    before = place.path.read_bytes()

    with pytest.raises(StartError, match=r"its version is 2, this exporter knows versions up to 1\. Run the exporter"):
        async with place.opened():
            pass
    assert place.path.read_bytes() == before
    assert os.listdir(place.path.parent) == ["state.db"]  # noqa: PTH208 - names alone


async def test_settled_and_unready_slices_round_trip(place: Place) -> None:
    unready = replace(some(), ready=False, total=None, listed=None, updated_at=None)
    await place.put(unready)

    assert await place.everything() == (unready,)
