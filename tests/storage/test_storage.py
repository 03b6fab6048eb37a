from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import threading
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given, settings
from structlog.testing import capture_logs

from exporter.core import play_dates
from exporter.core.model import Dimensions, SliceData
from exporter.errors import StartError
from exporter.storage.database import Database
from exporter.storage.migrations import MIGRATIONS
from tests.storage.examples import DAY_SECONDS, TODAY, YESTERDAY, StorageFile, any_slices, by_slice, some

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator

T = TypeVar("T")


@settings(max_examples=20)
@given(any_slices, any_slices)
def test_what_was_saved_is_loaded_exactly(first: list[SliceData], second: list[SliceData]) -> None:
    async def go(storage_file: StorageFile) -> tuple[SliceData, ...]:
        async with storage_file.opened() as storage:
            await storage.save(first)
            await storage.save(second)
        return await storage_file.everything()

    with tempfile.TemporaryDirectory() as directory:
        loaded = asyncio.run(go(StorageFile(Path(directory, "state.db"))))

    expected = {data.slice: data for data in [*first, *second]}
    assert {data.slice: data for data in loaded} == expected
    assert by_slice(loaded) == by_slice(list(expected.values()))


async def test_slices_of_many_blocks_grow_and_shrink(storage_file: StorageFile) -> None:
    for rows in (0, 1, 5_000, 513, 2_000, 3):
        await storage_file.put(some(rows, rows=rows))

        assert await storage_file.everything() == (some(rows, rows=rows),)


async def test_a_number_that_only_changes_its_type_is_written(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        await storage.save([some(1)])
        await storage.save([some(1.0)])

    assert by_slice(await storage_file.everything()) == by_slice([some(1.0)])


async def test_a_poll_without_changes_writes_little(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        await storage.save([some(rows=5_000)])
        wal = storage_file.path.with_name("state.db-wal")
        before = wal.stat().st_size
        await storage.save([some(rows=5_000, at=some().last_response_at + 900)])
        little = wal.stat().st_size - before
        await storage.save([some(2, rows=5_000)])
        much = wal.stat().st_size - before - little

    assert little < 20_000 < much


async def test_only_days_from_the_oldest_on_are_loaded(storage_file: StorageFile) -> None:
    await storage_file.put(some(day=YESTERDAY), some(day=TODAY))

    async with storage_file.opened() as storage:
        assert await storage.load(TODAY) == (some(day=TODAY),)


async def test_the_last_stored_month_is_loaded_where_the_clock_is_ahead(storage_file: StorageFile) -> None:
    month = [some(day=TODAY - timedelta(ago)) for ago in (30, 8, 0)]
    await storage_file.put(some(day=TODAY - timedelta(31)), *month)

    async with storage_file.opened() as storage:
        assert by_slice(await storage.load(TODAY + timedelta(4000))) == by_slice(month)


async def test_a_new_file_has_no_data(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        assert await storage.load(TODAY) == ()


async def test_slices_that_differ_in_one_filter_are_not_mixed_up(storage_file: StorageFile) -> None:
    slices = [
        some(number, dimensions=dimensions)
        for number, dimensions in enumerate(
            [Dimensions(), Dimensions(""), Dimensions("Native"), Dimensions(os="Native"), Dimensions(region="Native")]
        )
    ]
    await storage_file.put(*slices)
    await storage_file.put(*slices)

    assert by_slice(await storage_file.everything()) == by_slice(slices)


async def test_equal_texts_share_memory(storage_file: StorageFile) -> None:
    await storage_file.put(some(day=YESTERDAY), some(day=TODAY))

    first, second = (data.records["m1"].row for data in await storage_file.everything())
    assert first
    assert second
    assert first.media_id is second.media_id
    assert first.title is second.title


async def test_days_beyond_retention_are_deleted_with_the_first_save_after_the_start(storage_file: StorageFile) -> None:
    await storage_file.put(some(day=YESTERDAY), some(day=TODAY))

    async with storage_file.opened(retention=DAY_SECONDS / 2) as storage:
        assert len(await storage.load(date.min)) == 2
        await storage.save([some(day=TODAY)])
        assert await storage.load(date.min) == (some(day=TODAY),)
    assert await storage_file.everything() == (some(day=TODAY),)


async def test_retention_holds_for_a_process_that_restarts_often(storage_file: StorageFile) -> None:
    """Three processes a day for twenty days, each of which polls once."""
    kept_slices = []
    for _ in range(60):
        storage_file.clock.now += DAY_SECONDS / 3
        async with storage_file.opened(retention=5 * DAY_SECONDS) as storage:
            await storage.save([some(day=play_dates.today(storage_file.clock.now))])
            kept_slices.append(len(await storage.load(date.min)))

    assert kept_slices[15:] == [6] * 45, "five days and the one that has begun"


@pytest.mark.parametrize("kept_slices", [(), (some(day=TODAY),)])
async def test_a_clock_that_is_years_ahead_deletes_nothing(
    storage_file: StorageFile, kept_slices: tuple[SliceData, ...]
) -> None:
    """At the start, while calls are counted, on saving, and after a restart."""
    known = [some(day=TODAY - timedelta(ago)) for ago in (399, 200, 31, 1, 0)]
    await storage_file.put(*known)
    storage_file.clock.now += 12 * 365 * DAY_SECONDS
    ahead = play_dates.today(storage_file.clock.now)
    unheard = replace(some(day=ahead), records={}, listed=None, rankings={}, ready=False)

    for calls in (1, 2):
        async with storage_file.opened() as storage:
            storage.record_calls("main", ahead, calls)
            await storage.save([*kept_slices, unheard])
            await storage.save([])

    storage_file.clock.now -= 12 * 365 * DAY_SECONDS
    await storage_file.put(some(2, day=TODAY))
    assert by_slice(await storage_file.everything()) == by_slice([*known[:-1], some(2, day=TODAY), unheard])


async def test_days_beyond_retention_are_deleted_while_it_runs(storage_file: StorageFile) -> None:
    async with storage_file.opened(retention=3 * DAY_SECONDS) as storage:
        await storage.save([some(day=YESTERDAY)])
        storage_file.clock.now += 5 * DAY_SECONDS
        await storage.save([some(day=TODAY + timedelta(days=5))])

        assert [data.slice.play_date for data in await storage.load(date.min)] == [TODAY + timedelta(days=5)]


async def test_a_changed_retention_applies_with_the_next_write(storage_file: StorageFile) -> None:
    async with storage_file.opened(retention=30 * DAY_SECONDS) as storage:
        await storage.save([some(day=YESTERDAY)])
        storage.set_retention(DAY_SECONDS / 2)
        await storage.save([some(day=TODAY)])

        assert await storage.load(date.min) == (some(day=TODAY),)


async def test_any_retention_is_accepted(storage_file: StorageFile) -> None:
    async with storage_file.opened(retention=1e18) as storage:
        await storage.save([some()])

        assert await storage.load(date.min) == (some(),)


async def test_calls_survive_a_restart_and_belong_to_their_day(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        assert storage.calls_spent("main", TODAY) == 0
        for calls in range(1, 1_001):
            storage.record_calls("main", TODAY, calls)
        storage.record_calls("other", YESTERDAY, 7)
        assert storage.calls_spent("main", TODAY) == 1_000

    async with storage_file.opened() as storage:
        assert storage.calls_spent("main", TODAY) == 1_000
        assert storage.calls_spent("main", YESTERDAY) == 0
        assert storage.calls_spent("other", YESTERDAY) == 7
        assert storage.calls_spent("nobody", TODAY) == 0


async def test_calls_are_written_without_waiting(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        storage.record_calls("main", TODAY, 3)
        await storage.save([])  # which waits for what is under way

        with sqlite3.connect(storage_file.path) as connection:
            assert connection.execute("SELECT account, day, calls FROM calls").fetchall() == [("main", "2024-03-24", 3)]
        connection.close()


async def test_a_cancelled_save_is_still_written(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        saving = asyncio.create_task(storage.save([some(rows=5_000)]))
        await asyncio.sleep(0)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving

    assert await storage_file.everything() == (some(rows=5_000),)


async def test_the_database_runs_in_a_separate_thread(storage_file: StorageFile) -> None:
    seen: list[threading.Thread] = []

    async with storage_file.opened(migrations=[*MIGRATIONS, lambda _: seen.append(threading.current_thread())]):
        assert seen
        assert threading.main_thread() not in seen
    for thread in seen:
        thread.join(60)
        assert not thread.is_alive()


async def test_data_of_a_failed_write_is_written_later(storage_file: StorageFile) -> None:
    away = storage_file.path.with_name("away")
    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            await storage.save([some(1, day=YESTERDAY)])
            storage_file.path.rename(away)
            await storage.save([some(2, day=YESTERDAY)])
            storage.record_calls("main", TODAY, 5)
            await storage.save([some(3, day=TODAY)])
            assert storage_file.meter.failures == 2
            away.rename(storage_file.path)
            await storage.save([some(4, day=YESTERDAY)])
            await storage.save([])

    assert [entry["event"] for entry in logs] == ["storage failing", "storage recovered"]
    assert "No such file" in logs[0]["error"]
    assert "restart the exporter" in logs[0]["advice"]
    assert by_slice(await storage_file.everything()) == by_slice([some(4, day=YESTERDAY), some(3, day=TODAY)])
    async with storage_file.opened() as storage:
        assert storage.calls_spent("main", TODAY) == 5


async def test_no_data_is_lost_by_a_write_that_fails_in_any_way(
    storage_file: StorageFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise MemoryError

    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            with monkeypatch.context() as patched:
                patched.setattr(Database, "write", write)
                await storage.save([some(1, day=YESTERDAY)])
            await storage.save([some(2, day=TODAY)])

    assert [(entry["event"], entry.get("error")) for entry in logs] == [
        ("storage failing", "MemoryError"),
        ("storage recovered", None),
    ]
    assert by_slice(await storage_file.everything()) == by_slice([some(1, day=YESTERDAY), some(2, day=TODAY)])


async def test_a_file_that_replaces_the_open_one_is_not_changed(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        storage_file.path.rename(storage_file.path.with_name("away"))
        storage_file.path.write_text("somebody else's")
        with capture_logs() as logs:
            await storage.save([some()])

    assert "another file has taken its place" in logs[0]["error"]
    assert storage_file.path.read_text() == "somebody else's"


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
async def test_removed_side_files_are_counted_and_created_again(
    storage_file: StorageFile, suffix: str, *, is_replaced: bool
) -> None:
    beside = storage_file.path.with_name(storage_file.path.name + suffix)
    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            await storage.save([some(1, day=YESTERDAY)])
            beside.unlink()
            if is_replaced:
                beside.write_bytes(b"of somebody else")
            await storage.save([some(2, day=TODAY)])
            assert storage_file.meter.failures == 1
            assert beside.exists()
            await storage.save([some(3, day=TODAY)])
            assert storage_file.meter.failures == 1
            with closing(sqlite3.connect(f"file:{storage_file.path}?mode=ro", uri=True)) as elsewhere:
                assert elsewhere.execute("SELECT count(*) FROM slice").fetchone() == (2,)

    assert [entry["event"] for entry in logs] == ["storage failing", "storage recovered"]
    assert "its -wal or -shm was removed or changed" in logs[0]["error"]
    assert "while the exporter runs" in logs[0]["advice"]
    assert by_slice(await storage_file.everything()) == by_slice([some(1, day=YESTERDAY), some(3, day=TODAY)])


async def test_unsaved_data_at_exit_is_logged(storage_file: StorageFile) -> None:
    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            storage_file.path.unlink()
            await storage.save([some()])

    assert [entry["event"] for entry in logs] == ["storage failing", "unsaved data at exit"]
    assert logs[1]["slices"] == 1


@contextmanager
def hanging(method: str) -> Iterator[None]:
    """Until the end, a method of the database hangs, as on a file system that does not respond, and waits are short."""
    released = threading.Event()
    original = getattr(Database, method)

    def hang(*arguments: object) -> object:
        assert released.wait(60)
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        for limit in ("FILE_SECONDS", "_WRITE_SECONDS"):
            patched.setattr(f"exporter.storage.storage.{limit}", 0.05)
        patched.setattr(Database, method, hang)
        yield
    released.set()


async def test_a_file_system_that_does_not_respond_delays_no_poll(storage_file: StorageFile) -> None:
    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            with hanging("write"):
                await storage.save([some(1, day=YESTERDAY)])
                await storage.save([some(2, day=TODAY)])
            assert storage_file.meter.failures == 2

    assert [entry["event"] for entry in logs] == ["storage failing", "storage recovered"]
    assert logs[0]["error"] == "its file system does not respond: no response within 0.05 s"
    assert "Until then everything is kept in memory" in logs[0]["advice"]
    assert by_slice(await storage_file.everything()) == by_slice([some(1, day=YESTERDAY), some(2, day=TODAY)])


async def test_a_file_system_that_does_not_respond_delays_no_exit(storage_file: StorageFile) -> None:
    limits = []

    async def wait(work: Iterable[asyncio.Future[object]], **limit: float) -> object:
        limits.append(limit["timeout"])
        return await original(work, timeout=limit["timeout"])

    original = asyncio.wait
    with capture_logs() as logs, ExitStack() as stack:
        async with storage_file.opened() as storage:
            stack.enter_context(hanging("write"))
            await storage.save([some(1, day=YESTERDAY)])
            await storage.save([some(2, day=TODAY)])
            stack.enter_context(pytest.MonkeyPatch.context()).setattr(asyncio, "wait", wait)

    assert limits == [0.05], "the exit waits once, not for each step"
    assert [entry["event"] for entry in logs] == ["storage failing", "unsaved data at exit"]
    assert logs[1]["slices"] == 2


async def test_a_file_that_cannot_be_closed_delays_no_exit(storage_file: StorageFile) -> None:
    with ExitStack() as stack:
        async with storage_file.opened():
            stack.enter_context(hanging("close"))


async def test_at_the_start_a_file_system_that_does_not_respond_is_logged(storage_file: StorageFile) -> None:
    await storage_file.put(some())

    async def hung(reading: Awaitable[T]) -> T:
        with hanging("read"):
            started = asyncio.ensure_future(reading)
            before = len(logs)
            while len(logs) == before:
                await asyncio.sleep(0.001)
        return await started

    with capture_logs() as logs:
        async with AsyncExitStack() as stack:
            storage = await hung(stack.enter_async_context(storage_file.opened()))
            await hung(storage.load_media())
            assert await hung(storage.load(YESTERDAY)) == (some(),)

    event = ("storage does not respond", str(storage_file.path))
    assert [(entry["event"], entry["path"]) for entry in logs] == [event] * 3


async def test_the_wait_for_a_file_system_that_does_not_respond_can_be_cancelled(storage_file: StorageFile) -> None:
    async def start() -> None:
        async with storage_file.opened():
            pytest.fail("the file has not been read")

    with hanging("read"):
        starting = asyncio.create_task(start())
        await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting


async def test_another_reader_does_not_block_writes(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        await storage.save([some(1)])
        reader = sqlite3.connect(storage_file.path, isolation_level=None)
        reader.execute("BEGIN")
        before = reader.execute("SELECT facts FROM slice").fetchall()
        await storage.save([some(2, at=1.0)])

        assert reader.execute("SELECT facts FROM slice").fetchall() == before
        reader.close()
    assert storage_file.meter.failures == 0


async def test_an_older_file_is_migrated(storage_file: StorageFile) -> None:
    await storage_file.put(some())

    def count(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE counted AS SELECT count(*) AS slices FROM slice")

    async with storage_file.opened(migrations=[*MIGRATIONS, count]) as storage:
        assert await storage.load(date.min) == (some(),)
    async with storage_file.opened(migrations=[*MIGRATIONS, count]) as storage:
        assert await storage.load(date.min) == (some(),)

    with sqlite3.connect(storage_file.path) as connection:
        assert connection.execute("SELECT slices FROM counted").fetchall() == [(1,)]
    connection.close()


async def test_a_failed_migration_leaves_the_file_unchanged(storage_file: StorageFile) -> None:
    await storage_file.put(some())

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM slice")
        connection.execute("no SQL")

    with pytest.raises(StartError, match=r"state\.db"):
        async with storage_file.opened(migrations=[*MIGRATIONS, fail]):
            pass
    assert await storage_file.everything() == (some(),)


async def test_a_newer_file_is_refused_unchanged(storage_file: StorageFile) -> None:
    await storage_file.put(some())
    async with storage_file.opened(migrations=[*MIGRATIONS, lambda _: None]):
        pass
    before = storage_file.path.read_bytes()

    with pytest.raises(StartError, match=r"its version is 3, this exporter knows versions up to 2\. Run the exporter"):
        async with storage_file.opened():
            pass
    assert storage_file.path.read_bytes() == before
    assert os.listdir(storage_file.path.parent) == ["state.db"]  # noqa: PTH208 - names alone


async def test_settled_and_unready_slices_round_trip(storage_file: StorageFile) -> None:
    unready = replace(some(), ready=False, total=None, listed=None, updated_at=None)
    await storage_file.put(unready)

    assert await storage_file.everything() == (unready,)
