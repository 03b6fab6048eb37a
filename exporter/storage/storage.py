"""Keep what was learnt in a file, beside the event loop; a disk that fails costs nothing but the restart."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter.storage.database import Database, SideFilesLost, WriteBatch, opened
from exporter.storage.migrations import MIGRATIONS
from exporter.storage.retention import retention_cutoff

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
    from datetime import date
    from pathlib import Path

    from exporter.core.model import SliceData
    from exporter.storage.migrations import Migration

_log = structlog.get_logger()

_ADVICE: Final = {
    "SQLITE_FULL": "Free space on its disk.",
    "SQLITE_READONLY": "Make it writable again for the exporter's user.",
    "SQLITE_BUSY": "Stop the other program that has locked it.",
    "SQLITE_CORRUPT": "Stop the exporter, move the file away with its -wal and -shm, and start again.",
}


class StorageMeter(Protocol):
    """Who is told of writes that failed."""

    def storage_failed(self) -> None:
        """One attempt to write was in vain."""
        ...


class Storage:
    """Saves slices and calls spent; what cannot be written stays in memory and goes along with the next write.

    Made by `Storage.opened`. All its methods are for the event loop; SQLite runs in a thread of its own.
    """

    def __init__(
        self,
        database: Database,
        thread: ThreadPoolExecutor,
        *,
        path: Path,
        retention: float,
        now: Callable[[], float],
        meter: StorageMeter,
        calls: dict[str, tuple[date, int]],
    ) -> None:
        self._database = database
        self._thread = thread
        self._path = path
        self._retention = retention
        self._now = now
        self._meter = meter
        self._calls = calls
        self._unsaved = WriteBatch()
        self._writing: asyncio.Task[None] | None = None
        self._failing = False

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls,
        path: Path,
        *,
        retention: float,
        meter: StorageMeter,
        now: Callable[[], float] = time.time,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> AsyncGenerator[Storage]:
        """Open the file, or create it, for this process alone; on leaving, what is unsaved is written.

        `retention` in seconds: older play dates are forgotten as newer ones are saved. Raises StartError, the file as
        it was, where it is a directory, not to be written, not ours, damaged, of a newer version, or in use.
        """
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="storage") as thread:
            held = contextlib.ExitStack()

            def start() -> tuple[Database, dict[str, tuple[date, int]]]:
                database = held.enter_context(opened(path, migrations=migrations))
                return database, database.calls()

            try:
                database, calls = await loop.run_in_executor(thread, start)
                storage = cls(database, thread, path=path, retention=retention, now=now, meter=meter, calls=calls)
                try:
                    yield storage
                finally:
                    await storage._flush()
            finally:
                # Also when told to stop while it was opened: the thread closes what it has opened by then.
                await loop.run_in_executor(thread, held.close)

    async def load(self, oldest: date) -> tuple[SliceData, ...]:
        """Everything kept of play dates from `oldest` on, equal to what was saved. Raises StartError.

        Where all that is kept is older, the clock is ahead or the exporter was away for long: then the last month kept.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._database.load, oldest)

    async def save(self, learnt: Iterable[SliceData]) -> None:
        """Write these slices, all or none; returns when they are written or that has failed, which is no exception.

        Cancelled, it stops waiting; the slices are written all the same.
        """
        self._unsaved = self._unsaved.merged(WriteBatch({data.slice: data for data in learnt}))
        await asyncio.shield(self._write_soon())

    def set_retention(self, retention: float) -> None:
        """Forget play dates older than so many seconds with the next slices that are saved."""
        self._retention = retention

    def calls_spent(self, account: str, day: date) -> int:
        """How many calls an account has made on a day of UTC+8; only the last day that was recorded is known."""
        last, calls = self._calls.get(account, (None, 0))
        return calls if last == day else 0

    def record_calls(self, account: str, day: date, calls: int) -> None:
        """An account has made so many calls on a day of UTC+8; written in a moment, unless a newer number comes."""
        self._calls[account] = day, calls
        self._unsaved = self._unsaved.merged(WriteBatch(calls={account: (day, calls)}))
        # What failed is tried again with the next poll, not with each of its calls.
        if not self._failing:
            self._write_soon()

    def _write_soon(self) -> asyncio.Task[None]:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="storage")
        return self._writing

    async def _write(self) -> None:
        """Write until nothing is unsaved; one batch at a time, so that what comes meanwhile shares a transaction."""
        loop = asyncio.get_running_loop()
        while self._unsaved:
            batch, self._unsaved = self._unsaved, WriteBatch()
            try:
                await loop.run_in_executor(self._thread, self._put, batch, self._now(), self._retention)
            except (sqlite3.Error, OSError) as error:
                self._unsaved = batch.merged(self._unsaved)
                is_made_again = isinstance(error, SideFilesLost) and not self._failing
                self._failed(error)
                if is_made_again:
                    continue
                return
            self._succeeded()

    def _put(self, batch: WriteBatch, now: float, retention: float) -> None:
        """In the thread: to look through so many zeros takes its time."""
        self._database.write(batch, retention_cutoff(batch.slices.values(), now, retention))

    async def _flush(self) -> None:
        if self._writing is not None:
            await self._writing
        if self._unsaved:
            await self._write()
        if self._unsaved:
            _log.error(
                "unsaved data at exit",
                path=str(self._path),
                slices=len(self._unsaved.slices),
                advice="What the file lacks is polled again after the start.",
            )

    def _failed(self, error: Exception) -> None:
        self._meter.storage_failed()
        if not self._failing:
            self._failing = True
            code = getattr(error, "sqlite_errorname", "")
            advice = next((say for kind, say in _ADVICE.items() if code.startswith(kind)), "Look at its disk.")
            if isinstance(error, SideFilesLost):
                advice = "Leave the -wal and -shm beside it alone while the exporter runs."
            elif isinstance(error, OSError):
                advice = "Restart the exporter, which creates the file again."
            _log.error(
                "storage failing",
                path=str(self._path),
                error=f"{code} {error}".strip(),
                advice=f"{advice} Until then everything is kept in memory, and written when that works again.",
            )

    def _succeeded(self) -> None:
        if self._failing:
            self._failing = False
            _log.info("storage recovered", path=str(self._path))
