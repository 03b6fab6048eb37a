"""Repeat failed polls immediately when a key file of their account changes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

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
        # Accounts whose check has not ended: a file system may not respond, which must not keep others waiting.
        self._checked: set[str] = set()

    async def run(self) -> None:
        """Check every WATCH_SECONDS, without end."""
        async with asyncio.TaskGroup() as checks:
            while True:
                await self._sleep(WATCH_SECONDS)
                for account in self._failed_queries():
                    if account not in self._checked:
                        self._checked.add(account)
                        checks.create_task(self._check(account))

    async def _check(self, account: str) -> None:
        try:
            if await self._changed(account) and (names := self._failed_queries().get(account)):
                _log.info("key file changed", account=account, polled_now=",".join(names))
                self._poll_now(names)
        finally:
            self._checked.discard(account)

    def _failed_queries(self) -> Mapping[str, Sequence[str]]:
        """The names of the queries whose last poll did not fully succeed, by account."""
        failed: defaultdict[str, list[str]] = defaultdict(list)
        for query in self._failed():
            failed[query.account].append(query.name)
        return failed
