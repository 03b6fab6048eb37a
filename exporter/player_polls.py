"""Polls player metrics beside the play data, without delaying it; experimental."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter.core.cost import cost
from exporter.core.player_buckets import Reading, TargetHistory
from exporter.core.player_query import PlayerView
from exporter.errors import ErrorKind, RequestSkipped, UpstreamError
from exporter.jobs import Job, player_poll_id
from exporter.vod import player_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.core.player_buckets import TimeRange
    from exporter.core.player_query import PlayerQuery, PlayerTarget
    from exporter.replica import ReplicaConfig
    from exporter.vod.actions import ApiClient

_log = structlog.get_logger()


class InvalidValueMeter(Protocol):
    """Counts invalid values in responses."""

    def invalid_values(self, account: str, field: str, times: int) -> None:
        """Count `times` invalid values of a field."""
        ...


class SeparateAccounts(Protocol):
    """Clients of accounts whose calls delay no others."""

    @property
    def separate_clients(self) -> Mapping[str, ApiClient]:
        """The client of each account, by its name."""
        ...

    def reserve_calls(self, needed: Mapping[str, int | None]) -> None:
        """Reserve this many calls of each account's daily quota for its other client; None: unknown."""
        ...


class PlayerPolls:
    """Polls the player queries of a replica and keeps their data, in memory only: two polls restore it at a restart."""

    def __init__(self, meter: InvalidValueMeter, *, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._meter = meter
        self._now = now
        self._monotonic = monotonic
        self._clients: Mapping[str, ApiClient] = {}
        self._queries: tuple[PlayerQuery, ...] = ()
        self._histories: Mapping[PlayerTarget, TargetHistory] = {}
        self._errors: Mapping[PlayerTarget, UpstreamError | None] = {}

    def reconfigure(self, replica: ReplicaConfig, accounts: SeparateAccounts) -> None:
        """Apply a new configuration. Polls of removed or changed queries must have ended."""
        accounts.reserve_calls(_calls_of_play_data(replica))
        self._queries, self._clients = replica.player_queries, accounts.separate_clients
        histories = {}
        for query in self._queries:
            for target in query.targets:
                empty, known = TargetHistory.empty(query.buckets, query.calls), self._histories.get(target)
                if known is None:
                    histories[target] = empty
                elif (known.interval, _fields(known)) == (empty.interval, _fields(empty)):
                    histories[target] = known
                else:
                    histories[target] = replace(empty, revisions=known.revisions)
        self._histories = histories
        self._errors = {target: error for target, error in self._errors.items() if target in histories}

    def views(self) -> Sequence[PlayerView]:
        """The state of each target now, in the order of the configuration."""
        histories, errors, now = self._histories, self._errors, self._now()
        return tuple(
            PlayerView(
                query,
                target,
                up=errors.get(target, _NOT_POLLED) is None,
                published=history.published(query.compare, now),
                lag=history.lag(now),
                revisions=history.revisions,
                error="" if error is None else f"{error.code}: {error.message}",
                advice="" if error is None else error.advice,
            )
            for query in self._queries
            for target in query.targets
            if (history := histories.get(target)) is not None
            for error in (errors.get(target),)
        )

    async def poll(self, query: PlayerQuery) -> None:
        """Poll each target of a query; failures are logged when they begin and when they end."""
        for target in query.targets:
            try:
                await self._poll_target(query, target)
            except UpstreamError as error:
                self._note(query, target, error)
                if isinstance(error, RequestSkipped) or error.kind is ErrorKind.AUTH:
                    for other in query.targets:
                        self._errors = {**self._errors, other: error}
                    return
            else:
                self._note(query, target, None)

    async def _poll_target(self, query: PlayerQuery, target: PlayerTarget) -> None:
        """Request the newest buckets with all calls, then missing earlier ones. Raises UpstreamError."""
        began, at = self._now(), self._monotonic()
        numbers = range(len(query.calls))
        newest = self._histories[target].recent(began)
        await self._read(query, target, [(number, newest) for number in numbers], at)
        history = self._histories[target]
        earlier = [
            (number, requested) for number in numbers for requested in history.earlier(number, query.compare, began)
        ]
        await self._read(query, target, earlier, at)
        self._keep(target, self._histories[target].pruned(query.compare, began))

    async def _read(
        self, query: PlayerQuery, target: PlayerTarget, requested: Iterable[tuple[int, TimeRange]], at: float
    ) -> None:
        """Make these calls, by number and range; record all responses, also when a later call fails."""
        client = self._clients[query.account]
        readings: list[tuple[int, Reading]] = []
        try:
            for number, span in requested:
                found = await player_metrics.read(client, target, query.calls[number], span, query.interval)
                for field, times in found.problems.items():
                    self._meter.invalid_values(query.account, field, times)
                readings.append((number, Reading(span, at, found.rows, found.data_until)))
        finally:
            self._keep(target, self._histories[target].recorded(readings))

    def _keep(self, target: PlayerTarget, history: TargetHistory) -> None:
        """Replace the mapping instead of changing it: scrapes read it in another thread."""
        self._histories = {**self._histories, target: history}

    def _note(self, query: PlayerQuery, target: PlayerTarget, error: UpstreamError | None) -> None:
        before = self._errors.get(target)
        self._errors = {**self._errors, target: error}
        names = {"query": query.name, "account": query.account, "terminal_type": target.terminal_type, "os": target.os}
        if error is not None and (before is None or before.code != error.code):
            _log.warning(
                "player poll failed",
                **names,
                code=error.code,
                error=error.message,
                request_id=error.request_id,
                advice=error.advice,
            )
        elif error is None and before is not None:
            _log.info("player poll succeeded again", **names)

    def jobs(self, replica: ReplicaConfig) -> tuple[Job, ...]:
        """The jobs that poll the player queries of a replica."""
        return tuple(
            Job(player_poll_id(query.name), query.every, partial(self.poll, query)) for query in replica.player_queries
        )


def _calls_of_play_data(replica: ReplicaConfig) -> dict[str, int | None]:
    """The maximum number of calls that play data takes on a day, by account; None: unknown."""
    needed: dict[str, int | None] = {}
    for query in replica.queries:
        if query.dimensions:  # the others are polled by other replicas
            one = cost(query, replica.config.settlement)
            most, so_far = (one.first_poll + one.steady_day).high, needed.get(query.account, 0)
            needed[query.account] = None if most is None or so_far is None else so_far + most
    return needed


_NOT_POLLED: Final = UpstreamError("not polled yet", code="", kind=ErrorKind.OTHER)


def _fields(history: TargetHistory) -> list[object]:
    return [call.fields for call in history.calls]
