"""Poll queries, publish and store what they return, and answer scrapes from the data in memory."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter import __version__
from exporter.called_actions import called_actions
from exporter.core import plan
from exporter.core.poll_report import PollReport, PollResult
from exporter.core.publication_builder import publish
from exporter.core.retry import RetryRules
from exporter.discovery_updates import DiscoveryUpdates
from exporter.errors import AccountPaused, QuotaExceeded, UpstreamError
from exporter.exposition.cache import ExpositionCache
from exporter.exposition.negotiation import Response, respond
from exporter.exposition.render import Renderer
from exporter.jobs import Job, poll_id
from exporter.query_states import QueryStates
from exporter.status.model import StatusInput, StatusSettings
from exporter.unknown_media_report import UnknownMediaReport
from exporter.vod.auth_breaker import OPEN_SECONDS
from exporter.vod.client import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.core.call_runner import PageSource
    from exporter.core.model import Query, SliceData
    from exporter.core.player_query import PlayerView
    from exporter.core.poller import Poller
    from exporter.core.publication import Publication
    from exporter.core.retry import Retry
    from exporter.discovery.media_discovery import MediaDiscovery
    from exporter.exposition.gzip_segments import GzipPayload
    from exporter.exposition.telemetry import Telemetry
    from exporter.replica import ReplicaConfig

# Every call has a timeout of its own. A poll that still takes a day hangs, and must not block its query forever.
POLL_TIMEOUT_SECONDS: Final = 86_400.0
_RETRY_RULES: Final = RetryRules(OPEN_SECONDS, ATTEMPTS)

_log = structlog.get_logger()


class SliceStore(Protocol):
    """Stores slices so that they survive a restart."""

    async def save(self, slices: Iterable[SliceData], /) -> None:
        """Store these slices, all or none. Handles its own failures and raises none."""
        ...

    def set_retention(self, retention: float) -> None:
        """Delete play dates older than `retention` seconds."""
        ...


class Daemon:
    """Polls queries, publishes and stores what they return, and answers scrapes from the data in memory."""

    def __init__(
        self,
        replica: ReplicaConfig,
        poller: Poller,
        telemetry: Telemetry,
        now: Callable[[], float],
        *,
        discovery: MediaDiscovery,
        store: SliceStore | None = None,
        player_views: Callable[[], Sequence[PlayerView]] = tuple,
        report_limits: Callable[[], None] = lambda: None,
        poll_timeout: float = POLL_TIMEOUT_SECONDS,
    ) -> None:
        self.poller = poller
        self.telemetry = telemetry
        self._now = now
        self._store = store
        self._media_discovery = discovery
        self._player_views = player_views
        self._report_limits = report_limits
        self._poll_timeout = poll_timeout
        self.states = QueryStates(telemetry, replica.queries, self._restored(replica.queries))
        self._started_at = now()
        self._exposition: ExpositionCache[GzipPayload] = ExpositionCache(
            Renderer().render, replica.rules, snapshot=lambda: poller.snapshot, published=self._published, now=now
        )
        self.discovery = DiscoveryUpdates(
            replica,
            discovery,
            poller=poller,
            exposition=self._exposition,
            states=self.states,
            telemetry=telemetry,
            now=now,
        )
        self._unknown_media = UnknownMediaReport(telemetry)
        self._unknown_media.set_queries(self.queries, poller.snapshot.slices.values())
        self._series_counts = (0, 0)
        self._last_save: asyncio.Future[None] | None = None
        telemetry.config_loaded(self._started_at)

    @property
    def replica(self) -> ReplicaConfig:
        """The configuration of this replica, with the media that searches have found so far."""
        return self.discovery.replica

    @property
    def queries(self) -> tuple[Query, ...]:
        """The queries that this replica polls."""
        return self.replica.queries

    def reconfigure(self, replica: ReplicaConfig, sources: Mapping[str, PageSource]) -> None:
        """Apply a new configuration and keep the data. Polls of removed or changed queries must have ended."""
        config, queries = replica.config, replica.queries
        self.states.reconfigure(queries, self._restored(queries))
        self.poller.reconfigure(queries, sources, config.settlement)
        self._exposition.reconfigure(replica.rules)
        if self._store is not None:
            self._store.set_retention(config.storage.retention)
        self.telemetry.set_targets(
            accounts=called_actions(config), queries=[(query.account, query.name) for query in queries]
        )
        self._unknown_media.set_queries(queries, self.poller.snapshot.slices.values())
        self.discovery.reconfigure(replica)
        self.telemetry.config_loaded(self._now())

    def jobs(self, replica: ReplicaConfig) -> tuple[Job, ...]:
        """The jobs that poll the queries of a replica, repeat their searches and refresh metadata."""
        polls = (Job(poll_id(query.name), query.every, partial(self.poll, query)) for query in replica.queries)
        return (*polls, *self.discovery.jobs(replica))

    async def poll(self, query: Query) -> Retry | None:
        """Poll a query, publish and store the result, and return when to retry; None after a success.

        If the query has a search that has not run yet, search first.
        """
        _log.debug("polling", query=query.name)
        try:
            async with asyncio.timeout(self._poll_timeout):
                report = await self._report(query)
        except TimeoutError:
            ended_at = self._now()
            report = PollReport(query, ended_at - self._poll_timeout, ended_at, (), PollResult.FAILURE)
            _log.error(
                "poll timed out",
                query=query.name,
                after_seconds=self._poll_timeout,
                advice="Request less, or raise the limits of the account: check-config prints how many calls it takes.",
            )
        self.states.poll_ended(report)
        try:
            await self._exposition.refresh()
        except asyncio.CancelledError:
            # A scrape may have shown it: it has to survive a restart. The store is not waited for.
            self._last_save = asyncio.ensure_future(self.persist(report))
            raise
        self.states.add(report)
        self._unknown_media.update(report, self._polled(report))
        await self.persist(report)
        calls_per_day = {account.name: account.limits.calls_per_day for account in self.replica.accounts}
        return _RETRY_RULES.retry(
            report,
            calls_per_day=calls_per_day.get(query.account, 0),
            queries=sum(other.account == query.account for other in self.queries),
        )

    async def _report(self, query: Query) -> PollReport:
        started_at = self._now()
        found = await self.discovery.with_media(query)
        if isinstance(found, UpstreamError):
            skipped = isinstance(found, AccountPaused | QuotaExceeded)
            result = PollResult.SKIPPED if skipped else PollResult.FAILURE
            return PollReport(query, started_at, self._now(), (), result, search_error=found)
        with self._media_discovery.polling(query.account):
            return await self.poller.poll(found)

    async def persist(self, report: PollReport) -> None:
        """Write the polled slices to storage, if there is storage."""
        if self._store is not None:
            await self._store.save(self._polled(report))

    def _polled(self, report: PollReport) -> list[SliceData]:
        slices = self.poller.snapshot.slices
        polled = (outcome.slice for outcome in report.outcomes)
        return [slices[slice_] for slice_ in polled if slice_ in slices]

    def unknown_media(self) -> frozenset[tuple[str, str]]:
        """Account and ID of the media that queries list by ID and that no response has ever contained."""
        return self._unknown_media.current()

    async def scrape(self, accept: str | None, accept_encoding: str | None) -> Response:
        """The current metrics, in the format and encoding that the client accepts."""
        rendered = await self._exposition.get()
        return respond(rendered, self.telemetry, accept=accept, accept_encoding=accept_encoding)

    def publication(self) -> Publication:
        """What `/metrics` shows now, before rendering."""
        return publish(self.poller.snapshot, self.replica.rules, self._now())

    def reports(self) -> tuple[PollReport, ...]:
        """The report of each query's last poll, in the order of the configuration."""
        return self.states.reports()

    def pending_queries(self) -> Sequence[str]:
        """Names of queries that were neither polled nor restored yet; empty for good once it has been empty."""
        return self.states.pending()

    async def status(self) -> StatusInput:
        """The state at this instant, for the status page."""
        snapshot, rules, publication = await self._exposition.source()
        # In a thread: process metrics are read from /proc.
        metrics = await asyncio.to_thread(lambda: tuple(self.telemetry.families.collect()))
        return StatusInput(
            version=__version__,
            now=self._now(),
            started_at=self._started_at,
            settings=_settings(self.replica, store=self._store is not None),
            accounts=tuple(account.core_account() for account in self.replica.config.accounts),
            queries=rules.queries,
            pending_queries=tuple(self.pending_queries()),
            reports=self.reports(),
            next_polls=self.states.next_polls,
            snapshot=snapshot,
            publication=publication,
            unknown_media=self._unknown_media.current(),
            metadata_failures=self.discovery.metadata_failures,
            player=tuple(self._player_views()),
            numbers=tuple(sample for metric in metrics for sample in metric.samples),
        )

    def _restored(self, queries: Iterable[Query]) -> frozenset[str]:
        return plan.known_queries(queries, self.poller.snapshot.slices, self._now())

    def _published(self, series: int, dropped: int) -> None:
        """Count the series of a new publication, and the calls that are left: a day may have begun."""
        self._report_limits()
        self.telemetry.published(series, dropped)
        if dropped and dropped != self._series_counts[1]:
            _log.warning(
                "series limit exceeded",
                published=series,
                dropped=dropped,
                advice="Raise series_limit, or query fewer media, dimensions or days.",
            )
        self._series_counts = series, dropped


def _settings(replica: ReplicaConfig, *, store: bool) -> StatusSettings:
    config, shard = replica.config, replica.shard
    return StatusSettings(
        settle_after=config.settle.after,
        settle_unchanged=config.settle.unchanged,
        stale_after=config.stale_after,
        series_limit=config.series_limit,
        storage_retention=config.storage.retention if store else None,
        shard=shard.number,
        total_shards=shard.total,
    )
