"""Repeat failed polls immediately when a key file of their account changes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from exporter.core.model import Query

# Files are checked only while a query fails.
WATCH_SECONDS: Final = 2.0

_log = structlog.get_logger()


class KeyFileWatch:
    """Checks the key files of accounts whose queries failed.

    * `failed`: returns the queries whose last poll did not fully succeed.
    * `changed`: returns whether a key file of an account has changed since its keys were used or this was last called.
    * `poll_now`: polls queries, by name.
    """

    def __init__(
        self,
        failed: Callable[[], Iterable[Query]],
        changed: Callable[[str], Awaitable[bool]],
        poll_now: Callable[[Collection[str]], None],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._failed = failed
        self._changed = changed
        self._poll_now = poll_now
        self._sleep = sleep

    async def run(self) -> None:
        """Check every WATCH_SECONDS, without end."""
        while True:
            await self._sleep(WATCH_SECONDS)
            await self.check()

    async def check(self) -> None:
        """Check once."""
        failed: defaultdict[str, list[str]] = defaultdict(list)
        for query in self._failed():
            failed[query.account].append(query.name)
        for account, names in failed.items():
            if await self._changed(account):
                _log.info("key file changed", account=account, polled_now=",".join(names))
                self._poll_now(names)
