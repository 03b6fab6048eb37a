"""Saves slices to a file outside the event loop; while the disk fails, data stays in memory."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import structlog

from exporter.storage.database import Database, WriteBatch, opened
from exporter.storage.file_errors import advice_on_size
from exporter.storage.media_table import read_media
from exporter.storage.migrations import MIGRATIONS
from exporter.storage.open_files import FileLost, SideFilesLost
from exporter.storage.read_only import calls_by_account, recent
from exporter.storage.retention import retention_cutoff
from exporter.threads import FILE_SECONDS, HANGING, DaemonThread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from exporter.core.media_details import AccountMetadata, FoundMedia, Search
    from exporter.core.model import SliceData
    from exporter.storage.media_table import StoredMedia
    from exporter.storage.migrations import Migration

_log = structlog.get_logger()

T = TypeVar("T")

# What a slow disk may take for a large write; a container is killed 30 s after SIGTERM.
_WRITE_SECONDS: Final = 20.0

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
        thread: DaemonThread,
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
        # Also of earlier days of this process: a clock that was set to another day may be set back.
        self._calls = {(account, day): number for account, (day, number) in calls.items()}
        self._unsaved = WriteBatch()
        self._in_progress = WriteBatch()
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
        with DaemonThread("storage") as thread:
            resources = contextlib.ExitStack()
            responds = True

            def start() -> tuple[Database, dict[str, tuple[date, int]]]:
                database = resources.enter_context(opened(path, migrations=migrations))
                return database, database.read(calls_by_account)

            try:
                database, calls = await _patient(loop.run_in_executor(thread, start), path)
                storage = cls(database, thread, path=path, retention=retention, now=now, meter=meter, calls=calls)
                try:
                    yield storage
                finally:
                    responds = await storage._flush()
            finally:
                # Also when cancelled during opening: the thread closes what it has opened until then.
                closing = loop.run_in_executor(thread, resources.close)
                if responds and await _ended(closing, _WRITE_SECONDS):
                    await closing

    async def load(self, oldest: date) -> tuple[SliceData, ...]:
        """The slices of `read_only.recent`, equal to those saved. Raises StartError."""
        return await self._read(partial(recent, oldest=oldest))

    async def load_media(self) -> StoredMedia:
        """What searches found, and metadata, equal to what was saved. Raises StartError."""
        return await self._read(read_media)

    async def _read(self, what: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await _patient(loop.run_in_executor(self._thread, self._database.read, what), self._path)

    async def save_media(
        self, found: Mapping[tuple[str, Search], FoundMedia], metadata: Mapping[str, AccountMetadata]
    ) -> None:
        """Write found media and metadata as `save` writes slices."""
        self._unsaved = self._unsaved.merged(WriteBatch(found=found, metadata=metadata))
        await self._written()

    async def save(self, slices: Iterable[SliceData]) -> None:
        """Write these slices in one transaction, and wait for it. A failure is logged and counted, not raised.

        Cancelling it ends the waiting only, and so does a file system that does not respond: the slices are still
        written.
        """
        self._unsaved = self._unsaved.merged(WriteBatch({data.slice: data for data in slices}))
        await self._written()

    def set_retention(self, retention: float) -> None:
        """Set the retention in seconds; it applies from the next save on."""
        self._retention = retention

    def calls_spent(self, account: str, day: date) -> int:
        """The calls of an account on a day of UTC+8; 0 for days before the start, except the last recorded one."""
        return self._calls.get((account, day), 0)

    def record_calls(self, account: str, day: date, calls: int) -> None:
        """Record the calls of an account on a day of UTC+8; they are written soon, without waiting."""
        self._calls[account, day] = calls
        self._unsaved = self._unsaved.merged(WriteBatch(calls={account: (day, calls)}))
        # After a failure the next poll tries again, not each of its calls.
        if not self._failing:
            self._write_soon()

    async def _written(self) -> None:
        if not await _ended(self._write_soon(), _WRITE_SECONDS):
            self._failed(TimeoutError(f"{HANGING}: no response within {_WRITE_SECONDS:g} s"))

    def _write_soon(self) -> asyncio.Task[None]:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="storage")
        return self._writing

    async def _write(self) -> None:
        """Write until nothing is unsaved, one batch at a time: data added meanwhile shares the next transaction."""
        loop = asyncio.get_running_loop()
        while self._unsaved:
            self._in_progress, self._unsaved = self._unsaved, WriteBatch()
            try:
                await loop.run_in_executor(
                    self._thread, self._write_batch, self._in_progress, self._now(), self._retention
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, no data may be lost
                self._unsaved, self._in_progress = self._in_progress.merged(self._unsaved), WriteBatch()
                side_files_restored = isinstance(error, SideFilesLost) and not self._failing
                self._failed(error)
                if side_files_restored:
                    continue
                return
            self._in_progress = WriteBatch()
            self._succeeded()

    def _write_batch(self, batch: WriteBatch, now: float, retention: float) -> None:
        """Write in the thread; computing the cutoff visits every record."""
        self._database.write(batch, retention_cutoff(batch.slices.values(), now, retention))

    async def _flush(self) -> bool:
        """Write what is unsaved; False if the file system does not respond."""
        responds = self._writing is None or await _ended(self._writing, _WRITE_SECONDS)
        if responds and self._unsaved:
            responds = await _ended(self._write_soon(), _WRITE_SECONDS)
        unsaved = self._in_progress.merged(self._unsaved)
        if unsaved:
            _log.error(
                "unsaved data at exit",
                path=str(self._path),
                slices=len(unsaved.slices),
                advice="What the file lacks is polled again after the start.",
            )
        return responds

    def _failed(self, error: Exception) -> None:
        self._meter.storage_failed()
        if not self._failing:
            self._failing = True
            code = getattr(error, "sqlite_errorname", "")
            advice = next((text for kind, text in _ADVICE.items() if code.startswith(kind)), "Check its disk.")
            advice = advice_on_size(code) or advice
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


async def _ended(work: asyncio.Future[Any], seconds: float) -> bool:
    """Wait at most so long for work in the thread, and return whether it has ended; cancelling does not end it."""
    done, _ = await asyncio.wait({work}, timeout=seconds)
    return bool(done)


async def _patient(reading: asyncio.Future[T], path: Path) -> T:
    """What the thread reads, however long it takes."""
    if not await _ended(reading, FILE_SECONDS):
        _log.warning(
            "storage does not respond",
            path=str(path),
            after_seconds=FILE_SECONDS,
            advice="Check its disk, which must be a local one. The exporter starts when it has read the file.",
        )
    return await reading
