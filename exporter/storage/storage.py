"""Saves slices to a file outside the event loop; while the disk fails, data stays in memory."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter.storage.database import Database, WriteBatch, opened
from exporter.storage.migrations import MIGRATIONS
from exporter.storage.open_files import FileLost, SideFilesLost
from exporter.storage.retention import retention_cutoff

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from exporter.core.media_details import AccountMetadata, FoundMedia, Search
    from exporter.core.model import SliceData
    from exporter.storage.media_table import StoredMedia
    from exporter.storage.migrations import Migration

_log = structlog.get_logger()

_ADVICE: Final = {
    "SQLITE_FULL": "Free space on its disk.",
    "SQLITE_READONLY": "Make it writable again for the exporter's user.",
    "SQLITE_BUSY": "Stop the other program that has locked it.",
    "SQLITE_CORRUPT": "Stop the exporter, move the file away with its -wal and -shm, and start again.",
}


class StorageMeter(Protocol):
    """Counts failed writes."""

    def storage_failed(self) -> None:
        """An attempt to write failed."""
        ...


class Storage:
    """Saves slices and counts of calls; data that cannot be written stays in memory and is part of the next write.

    Created by `Storage.opened`. Its methods are called in the event loop; SQLite runs in a separate thread.
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
        """Open or create the file for this process alone; unsaved data is written at the end of the context.

        `retention` in seconds: older play dates are deleted when newer ones are saved. Raises StartError, without
        changing the file, where it is a directory, not writable, not ours, corrupt, of a newer version, or in use.
        """
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="storage") as thread:
            resources = contextlib.ExitStack()

            def start() -> tuple[Database, dict[str, tuple[date, int]]]:
                database = resources.enter_context(opened(path, migrations=migrations))
                return database, database.calls()

            try:
                database, calls = await loop.run_in_executor(thread, start)
                storage = cls(database, thread, path=path, retention=retention, now=now, meter=meter, calls=calls)
                try:
                    yield storage
                finally:
                    await storage._flush()
            finally:
                # Also when cancelled during opening: the thread closes what it has opened until then.
                await loop.run_in_executor(thread, resources.close)

    async def load(self, oldest: date) -> tuple[SliceData, ...]:
        """All slices from the play date `oldest` on, equal to those saved. Raises StartError.

        Where all are older (the clock is ahead, or the exporter was off for long), those of the last stored month.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._database.load, oldest)

    async def load_media(self) -> StoredMedia:
        """What searches found, and metadata, equal to what was saved. Raises StartError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._database.load_media)

    async def save_media(
        self, found: Mapping[tuple[str, Search], FoundMedia], metadata: Mapping[str, AccountMetadata]
    ) -> None:
        """Write found media and metadata as `save` writes slices."""
        self._unsaved = self._unsaved.merged(WriteBatch(found=found, metadata=metadata))
        await asyncio.shield(self._write_soon())

    async def save(self, slices: Iterable[SliceData]) -> None:
        """Write these slices in one transaction, and wait for it. A failure is logged and counted, not raised.

        Cancelling it ends the waiting only; the slices are still written.
        """
        self._unsaved = self._unsaved.merged(WriteBatch({data.slice: data for data in slices}))
        await asyncio.shield(self._write_soon())

    def set_retention(self, retention: float) -> None:
        """Set the retention in seconds; it applies from the next save on."""
        self._retention = retention

    def calls_spent(self, account: str, day: date) -> int:
        """The calls of an account on a day of UTC+8; 0 for any but the last recorded day."""
        last, calls = self._calls.get(account, (None, 0))
        return calls if last == day else 0

    def record_calls(self, account: str, day: date, calls: int) -> None:
        """Record the calls of an account on a day of UTC+8; they are written soon, without waiting."""
        self._calls[account] = day, calls
        self._unsaved = self._unsaved.merged(WriteBatch(calls={account: (day, calls)}))
        # After a failure the next poll tries again, not each of its calls.
        if not self._failing:
            self._write_soon()

    def _write_soon(self) -> asyncio.Task[None]:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="storage")
        return self._writing

    async def _write(self) -> None:
        """Write until nothing is unsaved, one batch at a time: data added meanwhile shares the next transaction."""
        loop = asyncio.get_running_loop()
        while self._unsaved:
            batch, self._unsaved = self._unsaved, WriteBatch()
            try:
                await loop.run_in_executor(self._thread, self._write_batch, batch, self._now(), self._retention)
            except Exception as error:  # noqa: BLE001 - whatever it is, no data may be lost
                self._unsaved = batch.merged(self._unsaved)
                side_files_restored = isinstance(error, SideFilesLost) and not self._failing
                self._failed(error)
                if side_files_restored:
                    continue
                return
            self._succeeded()

    def _write_batch(self, batch: WriteBatch, now: float, retention: float) -> None:
        """Write in the thread; computing the cutoff visits every record."""
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
            advice = next((text for kind, text in _ADVICE.items() if code.startswith(kind)), "Check its disk.")
            if isinstance(error, SideFilesLost):
                advice = "Leave the -wal and -shm beside it alone while the exporter runs."
            elif isinstance(error, FileLost):
                advice = "Put it back, or restart the exporter, which uses the file that is there or creates one."
            is_known = isinstance(error, sqlite3.Error | OSError)
            _log.error(
                "storage failing",
                path=str(self._path),
                error=f"{code} {error}".strip() if is_known else type(error).__name__,
                advice=f"{advice} Until then everything is kept in memory, and written when that works again.",
            )

    def _succeeded(self) -> None:
        if self._failing:
            self._failing = False
            _log.info("storage recovered", path=str(self._path))
