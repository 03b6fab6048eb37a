"""Watch the configuration file: detect when its content differs from what was last read."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

from exporter import secret_files
from exporter.config.loader import LARGEST_FILE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from exporter.config.schema import Config

# Content that is unchanged for this long is complete: an editor may write a file in several steps.
_SETTLED_SECONDS: Final = 1.0


class WatchedFile:
    """Compares content, not timestamps: a mounted ConfigMap changes by a link, and a copy may keep old timestamps."""

    def __init__(self, path: Path, load: Callable[[Path], Config]) -> None:
        self._path = path
        self._load = load
        self._last_read = b""

    def read(self) -> Config:
        """Load the file. Raises ConfigError; a rejected file counts as read until it changes again."""
        # Before loading, so that the next check finds a change made meanwhile.
        self._last_read = self._digest()
        return self._load(self._path)

    async def watch(
        self,
        changed: asyncio.Event,
        every: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Check the file every `every` seconds, and set `changed` when its content differs from what was last read."""
        while True:
            await sleep(every)
            found = await asyncio.to_thread(self._digest)
            while found != self._last_read:
                before = found
                await sleep(min(every, _SETTLED_SECONDS))
                found = await asyncio.to_thread(self._digest)
                if found == before:
                    changed.set()
                    break

    def _digest(self) -> bytes:
        """The digest of the content; for a file that cannot be read, the error number."""
        try:
            return hashlib.sha256(secret_files.read(self._path, most=LARGEST_FILE).data).digest()
        except OSError as error:
            return str(error.errno).encode()
