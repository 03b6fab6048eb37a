"""A configuration that is read again becomes the one in use, wholly or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from exporter.accounts import same_connection, same_identity, scale_limits
from exporter.errors import ExporterError, StartError
from exporter.threads import run_in_daemon_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from exporter.accounts import Accounts
    from exporter.config.schema import AccountSettings, Config
    from exporter.core.model import Query
    from exporter.daemon import Daemon

_log = structlog.get_logger()


class PollScheduler(Protocol):
    """What polls queries, each in its time."""

    async def reconfigure(
        self,
        queries: Iterable[Query],
        *,
        interrupted: Collection[str],
        due: Collection[str],
        swap: Callable[[], None],
    ) -> None:
        """Poll these queries from now on; call `swap` while none of the interrupted is polled.

        Raises StartError, before anything is changed, where nothing is polled yet or any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class ScheduleChanges:
    """What a new configuration means for queries, by name.

    * `interrupted`: a poll under way must not go on: the query is gone, asks something else, or its account is
      reached in another way. What it has learnt so far is kept.
    * `due`: polled now: new, asks something else, or its account is known to the service in another way.
    """

    interrupted: frozenset[str]
    due: frozenset[str]


def schedule_changes(
    queries: tuple[Iterable[Query], Iterable[Query]],
    accounts: tuple[Iterable[AccountSettings], Iterable[AccountSettings]],
) -> ScheduleChanges:
    """Compare the queries and accounts before with those after."""
    before, after = ({query.name: query for query in given} for given in queries)
    used, wanted = ({account.name: account for account in given} for given in accounts)
    gone = before.keys() - after.keys()
    staying = before.keys() & after.keys()
    asks_else = {name for name in staying if replace(before[name], every=after[name].every) != after[name]}

    def over(alike: Callable[[AccountSettings, AccountSettings], bool]) -> set[str]:
        """The staying queries whose account is not what it was."""
        names = {name for name in used.keys() & wanted.keys() if not alike(used[name], wanted[name])}
        return {name for name in staying if after[name].account in names}

    return ScheduleChanges(
        interrupted=frozenset(gone | asks_else | over(same_connection)),
        due=frozenset((after.keys() - before.keys()) | asks_else | over(same_identity)),
    )


class Reloader:
    """Reads the configuration again when told to, one time after the other; a failure changes nothing.

    `read` gives the configuration as it is now and may block; it raises ConfigError.
    """

    def __init__(
        self, read: Callable[[], Config], *, exporter: Daemon, accounts: Accounts, polling: PollScheduler
    ) -> None:
        self._read = read
        self._exporter = exporter
        self._accounts = accounts
        self._polling = polling
        self._turn = asyncio.Lock()
        self._arrived = 0
        self._served = 0
        self._failure: ExporterError | None = None

    async def reload(self) -> None:
        """Use the configuration as it is now. Raises ConfigError and StartError; that is logged and counted already.

        Any number that wait here share one reload, which begins after all of them had asked, and what came of it.
        """
        self._arrived += 1
        mine = self._arrived
        async with self._turn:
            if self._served < mine:
                all_who_wait = self._arrived
                # One that is cancelled has served nobody: the next in line begins anew.
                self._failure = await self._tried()
                self._served = all_who_wait
            if self._failure is not None:
                raise self._failure.with_traceback(None)

    async def reload_on(self, asked: asyncio.Event) -> None:
        """Reload each time that `asked` is set; told several times meanwhile, it reloads once more."""
        while True:
            await asked.wait()
            asked.clear()
            with contextlib.suppress(ExporterError):  # logged
                await self.reload()

    async def _tried(self) -> ExporterError | None:
        """Reload; what went wrong is logged and counted."""
        try:
            await self._reload()
        except ExporterError as error:
            self._exporter.telemetry.config_rejected()
            _log.error("configuration not reloaded", error="; ".join(str(error).splitlines()))
            return error
        except Exception:  # noqa: BLE001 - a defect of ours must not end a daemon that polls and serves
            self._exporter.telemetry.config_rejected()
            _log.exception("reload failed unexpectedly", advice="Restart the exporter, and report this.")
            return StartError("the reload failed unexpectedly: see the log, restart the exporter, and report this")
        return None

    async def _reload(self) -> None:
        config = await run_in_daemon_thread(self._read, "reading the configuration")
        share = self._exporter.shard.share(config.core_queries())
        wanted = scale_limits(config.accounts, share.parts)
        async with self._accounts.opened(wanted) as accounts:
            changed = schedule_changes((self._exporter.queries, share.queries), (self._accounts.settings, wanted))

            def swap() -> None:
                self._accounts.adopt(accounts)
                self._exporter.reconfigure(config, self._accounts.sources)

            # The service may accept by now what it refused, or more calls be allowed; where neither is so, nothing is
            # sent: a pause lets nothing through unless the keys changed.
            due = (changed.due | self._exporter.auth_failed_queries()).intersection(
                query.name for query in share.queries
            )
            await self._polling.reconfigure(share.queries, interrupted=changed.interrupted, due=due, swap=swap)
        _log.info("configuration reloaded", queries=len(share.queries), polled_now=",".join(sorted(due)))
