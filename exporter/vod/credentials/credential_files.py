"""Credentials in files: one value in each, which is read again when the file changes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.errors import OPEN_MORE_FILES
from exporter.secret_files import FileState, read_secret, state_of
from exporter.single_flight import SharedThreads
from exporter.threads import FILE_SECONDS
from exporter.vod.credentials.sources import no_credentials, validate_secret

if TYPE_CHECKING:
    import os

# Tokens have a few kB; a larger file is a wrong one, and a log or device must not be read to its end.
_LARGEST_FILE: Final = 64 * 1024

TIME_LIMIT: Final = FILE_SECONDS
"""Seconds that checking and reading a file may take."""
# Reads of a file that have not returned: some never do, and nothing can end their threads.
_MOST_HANGING: Final = 6
# Seconds for which a value is good that came too late for its caller.
_LATE_SECONDS: Final = 300.0

NO_THREAD: Final = "Raise the number of processes or threads that the exporter may have; it is retried."
_HUNG_FILE: Final = "Check whether its file system responds; it may be a network file system."
_FIX_FILE: Final = "Make it a file with one line that the exporter's user may read and no other user may write."


class FileWatch:
    """Detects that a file, which may be missing, has changed since it was last checked."""

    def __init__(self, path: Path, *, time_limit: float = TIME_LIMIT) -> None:
        self._path = path
        self._time_limit = time_limit
        self._last: FileState | None = None
        self._checked = False
        # A change that is found after the time limit is returned by the next call.
        self._threads: SharedThreads[bool] = SharedThreads(most=_MOST_HANGING, kept=math.inf)
        self._hangs = False

    def check(self) -> FileState:
        """Record and return the current state of the file. May block; raises OSError and ValueError."""
        self._checked = True
        try:
            self._last = last = state_of(self._path)
        except (OSError, ValueError):
            self._last = None
            raise
        return last

    async def changed(self) -> bool:
        """Whether the state has changed since the last check; False if there was none, or none within the time limit.

        Checks in a thread: a network file system may block forever.
        """
        try:
            async with asyncio.timeout(self._time_limit):
                changed = await self._threads.run((), self._changed, f"checking {self._path.name}")
        except TimeoutError:
            if not self._hangs:
                import structlog  # noqa: PLC0415 - check-config, which reads keys too, does without it

                error = f"cannot check {self._path}: no response within {self._time_limit:g} s"
                structlog.get_logger().warning("key file does not respond", error=error, advice=_HUNG_FILE)
            self._hangs = True
            return False
        except OSError:  # no thread can be started
            return False
        self._hangs = False
        return changed

    def _changed(self) -> bool:
        checked, last = self._checked, self._last
        with contextlib.suppress(OSError, ValueError):
            self.check()
        return checked and self._last != last


class SecretFile:
    """A file with one value; read again when its times, size or inode change. A trailing line break is ignored.

    Reading that takes longer than `time_limit` seconds is an error.
    """

    def __init__(self, path: str | os.PathLike[str], *, time_limit: float = TIME_LIMIT) -> None:
        self._path = Path(path)
        self._time_limit = time_limit
        self._seen: FileState | None = None
        self._value = ""
        self._watch = FileWatch(self._path, time_limit=time_limit)
        self._threads: SharedThreads[tuple[FileState, str]] = SharedThreads(most=_MOST_HANGING, kept=_LATE_SECONDS)

    async def read(self, *, again: bool = False) -> str:
        """The value, read in a thread: a network file system may block forever. Raises CredentialsError."""
        look = partial(self._look, None if again else self._seen, self._value)
        try:
            async with asyncio.timeout(self._time_limit):
                self._seen, self._value = await self._threads.run(again, look, f"reading {self._path.name}")
        except TimeoutError:
            raise no_credentials(
                f"cannot read credentials file {self._path}: no response within {self._time_limit:g} s", _HUNG_FILE
            ) from None
        except OSError as error:
            raise no_credentials(f"cannot read credentials file {self._path}: {error.strerror}", NO_THREAD) from None
        return self._value

    async def changed(self) -> bool:
        """Whether the file has changed."""
        return await self._watch.changed()

    def _look(self, seen: FileState | None, value: str) -> tuple[FileState, str]:
        try:
            # The state is recorded before reading, so that a change in between is noticed next time.
            now = self._watch.check()
            if now == seen:
                return now, value
            content = read_secret(self._path, most=_LARGEST_FILE)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
            exhausted = isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}
            advice = OPEN_MORE_FILES if exhausted else _FIX_FILE
            raise no_credentials(f"cannot read credentials file {self._path}: {reason}", advice) from error
        # Invalid UTF-8 becomes replacement characters, which validate_secret rejects like all other non-ASCII
        # characters.
        text = content.decode("utf-8-sig", "replace").rstrip("\r\n")
        return now, validate_secret(text, f"credentials file {self._path}")
