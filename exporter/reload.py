"""Reload the configuration: apply all of it, or nothing when anything in it fails."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from exporter.accounts import same_connection, same_identity
from exporter.errors import ExporterError, StartError
from exporter.jobs import player_poll_id, poll_id
from exporter.replica import replica_config
from exporter.single_flight import SharedRun
from exporter.threads import run_in_daemon_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Iterable

    from exporter.accounts import Accounts
    from exporter.config.accounts import AccountSettings
    from exporter.config.schema import Config
    from exporter.core.model import Query
    from exporter.core.player_query import PlayerQuery
    from exporter.daemon import Daemon
    from exporter.jobs import Job, JobId
    from exporter.player_polls import PlayerPolls
    from exporter.replica import ReplicaConfig

AnyQuery = TypeVar("AnyQuery", "Query", "PlayerQuery")

_log = structlog.get_logger()


class PollScheduler(Protocol):
    """Runs jobs at their intervals."""

    async def reconfigure(
        self,
        jobs: Iterable[Job],
        *,
        interrupted: Collection[JobId],
        due: Collection[JobId],
        swap: Callable[[], None],
    ) -> None:
        """Schedule these jobs; call `swap` while none of the interrupted jobs is running.

        Raises StartError, with nothing changed, before the scheduler starts and after it stops.
        """
        ...


@dataclass(frozen=True, slots=True)
class ScheduleChanges:
    """The effect of a new configuration on queries, by name.

    * `interrupted`: a running poll must be cancelled: the query was removed or requests something else, or its
      account's connection changed. The data it has received so far is kept.
    * `due`: to be polled now: the query is new or requests something else, or its account changed.
    """

    interrupted: frozenset[str]
    due: frozenset[str]


def schedule_changes(
    old: Iterable[AnyQuery], new: Iterable[AnyQuery], *, reconnected: Collection[str], due: Collection[str]
) -> ScheduleChanges:
    """Compare the queries in use with those of a new configuration.

    `reconnected`: the accounts whose connection changed. `due`: the accounts whose queries are to be polled now.
    """
    before, after = ({query.name: query for query in each} for each in (old, new))
    removed = before.keys() - after.keys()
    remaining = before.keys() & after.keys()
    # Another interval alone changes no request.
    changed = {name for name in remaining if replace(before[name], every=after[name].every) != after[name]}

    def of(accounts: Collection[str]) -> set[str]:
        return {name for name in remaining if after[name].account in accounts}

    return ScheduleChanges(
        interrupted=frozenset(removed | changed | of(reconnected)),
        due=frozenset((after.keys() - before.keys()) | changed | of(due)),
    )


def _differing_accounts(
    old: ReplicaConfig, new: ReplicaConfig, same: Callable[[AccountSettings, AccountSettings], bool]
) -> set[str]:
    """The accounts of both that differ in the respect that `same` compares."""
    before, after = ({account.name: account for account in each.accounts} for each in (old, new))
    return {name for name in before.keys() & after.keys() if not same(before[name], after[name])}


def _discovery_changed(old: ReplicaConfig, new: ReplicaConfig) -> bool:
    """Whether anything has changed that searches or metadata depend on."""
    return (old.accounts, old.rules.metadata) != (new.accounts, new.rules.metadata)


class Reloader:
    """Reloads the configuration on request, one reload at a time; a failed reload changes nothing.

    `read` reads the current configuration; it may block and raises ConfigError.
    """

    def __init__(
        self,
        read: Callable[[], Config],
        *,
        daemon: Daemon,
        accounts: Accounts,
        polling: PollScheduler,
        player: PlayerPolls,
    ) -> None:
        self._read = read
        self._daemon = daemon
        self._accounts = accounts
        self._polling = polling
        self._player = player
        self._shared_reload = SharedRun(self._try_reload)

    async def reload(self) -> None:
        """Apply the current configuration. Raises ConfigError and StartError, which are already logged and counted.

        All callers that wait share one reload, which starts after the last of them has called, and its result.
        """
        if (error := await self._shared_reload()) is not None:
            raise error.with_traceback(None)

    async def reload_on(self, reload_requested: asyncio.Event) -> None:
        """Reload each time `reload_requested` is set; requests during a reload cause one more reload."""
        while True:
            await reload_requested.wait()
            reload_requested.clear()
            with contextlib.suppress(ExporterError):  # already logged
                await self.reload()

    async def _try_reload(self) -> ExporterError | None:
        """Reload; log and count an error and return it."""
        try:
            await self._reload()
        except ExporterError as error:
            self._daemon.telemetry.config_rejected()
            _log.error(
                "configuration not reloaded",
                error="; ".join(str(error).splitlines()),
                advice="The previous configuration stays in use. Correct the file, and reload again.",
            )
            return error
        except Exception:  # noqa: BLE001 - a defect in the reload must not end the daemon
            self._daemon.telemetry.config_rejected()
            _log.exception("reload failed unexpectedly", advice="Restart the exporter, and report this.")
            return StartError("the reload failed unexpectedly: see the log, restart the exporter, and report this")
        return None

    async def _reload(self) -> None:
        config = await run_in_daemon_thread(self._read, "reading the configuration")
        replica = replica_config(config, self._daemon.replica.shard, self._daemon.discovery.found)
        async with self._accounts.opened(replica.accounts) as accounts:
            before = self._daemon.replica
            reconnected = _differing_accounts(before, replica, same_connection)
            changed_identity = _differing_accounts(before, replica, same_identity)
            changes = schedule_changes(before.queries, replica.queries, reconnected=reconnected, due=changed_identity)
            player = schedule_changes(
                before.player_queries, replica.player_queries, reconnected=reconnected, due=reconnected
            )

            def swap() -> None:
                self._accounts.adopt(accounts)
                self._daemon.reconfigure(replica, self._accounts.sources)
                self._player.reconfigure(replica, self._accounts)

            # Credentials or calls_per_day may have changed. If they have not, polling these sends nothing: the auth
            # breaker stays open.
            due = changes.due | self._daemon.states.auth_failed()
            due &= {query.name for query in replica.queries}
            # Searches and metadata are restarted: their account, its client or their conditions may have changed.
            discovery = {job.id for job in self._daemon.discovery.jobs(replica)}
            interrupted = {*map(poll_id, changes.interrupted), *map(player_poll_id, player.interrupted), *discovery}
            due_jobs = {*map(poll_id, due), *map(player_poll_id, player.due)}
            if _discovery_changed(before, replica):
                due_jobs |= discovery
            all_jobs = (*self._daemon.jobs(replica), *self._player.jobs(replica))
            await self._polling.reconfigure(all_jobs, interrupted=interrupted, due=due_jobs, swap=swap)
        _log.info("configuration reloaded", queries=len(replica.queries), polled_now=",".join(sorted(due)))
