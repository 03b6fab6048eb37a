"""A configuration file that is looked at now and then: whether it still holds what was last read."""

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

# An editor that writes a file in place is done within so many seconds.
_SETTLED_SECONDS: Final = 1.0


class WatchedFile:
    """Tells by its content, not by its times: a mounted ConfigMap changes by a link, and a copy may keep old times."""

    def __init__(self, path: Path, load: Callable[[Path], Config]) -> None:
        self._path = path
        self._load = load
        self._last_read = b""

    def read(self) -> Config:
        """Load the file as it is now. Raises ConfigError; what was refused is not read again before it changes."""
        # Before it is loaded: what changes meanwhile is seen at the next look.
        self._last_read = self._digest()
        return self._load(self._path)

    async def watch(
        self,
        changed: asyncio.Event,
        every: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Look every so many seconds, and set the event where the file holds something else than was last read."""
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
        """Of its content; of a file that cannot be read, of the reason."""
        try:
            return hashlib.sha256(secret_files.read(self._path, most=LARGEST_FILE).data).digest()
        except OSError as error:
            return str(error.errno).encode()
