"""Poll queries, report the results, and answer scrapes from the data in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from exporter import __version__
from exporter.core import plan
from exporter.core.poll_report import PollReport, PollResult
from exporter.core.publication_builder import publish
from exporter.core.retry import Retry, RetryRules
from exporter.core.unknown_media import UnknownMedia, listed_ids
from exporter.errors import AccountPaused, ErrorKind, QuotaExceeded
from exporter.exposition.cache import ExpositionCache
from exporter.exposition.negotiation import Response, respond
from exporter.exposition.render import Renderer
from exporter.poll_log import log_report
from exporter.replica import replica_config
from exporter.status.model import StatusInput, StatusSettings
from exporter.vod.auth_breaker import OPEN_SECONDS
from exporter.vod.categories import CATEGORIES
from exporter.vod.client import ATTEMPTS
from exporter.vod.error_codes import classify
from exporter.vod.play_data import PLAY_DATA
from exporter.vod.player_metrics import PLAYER_METRICS
from exporter.vod.search_media import SEARCH_MEDIA
from exporter.vod.video_infos import VIDEO_INFOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.config.accounts import AccountSettings
    from exporter.config.schema import Config
    from exporter.core.call_runner import PageSource
    from exporter.core.model import Query, SliceData
    from exporter.core.player_query import PlayerView
    from exporter.core.poller import Poller
    from exporter.core.publication import Publication
    from exporter.exposition.gzip_segments import GzipPayload
    from exporter.exposition.telemetry import Telemetry
    from exporter.media_discovery import DiscoveryProblem, MediaDiscovery
    from exporter.replica import Found, ReplicaConfig
    from exporter.vod.actions import Action

# Every call has a timeout of its own. A poll that still takes a day hangs, and must not block its query for ever.
POLL_TIMEOUT_SECONDS: Final = 86_400.0
_NAMED_IN_LOG: Final = 5
# How soon metadata is looked for again while the first polls have not ended.
_FIRST_POLLS_SECONDS: Final = 5.0
# How long a search waits that must leave the calls of the day to polls.
_QUOTA_PAUSE_SECONDS: Final = 1_800.0
ACTIONS: Final[tuple[Action[Any], ...]] = (PLAY_DATA,)
"""The actions of the API that all accounts call; their series exist from the start."""
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
    """Polls queries, reports the results, and answers scrapes from the data in memory."""

    def __init__(
        self,
        replica: ReplicaConfig,
        poller: Poller,
        telemetry: Telemetry,
        now: Callable[[], float],
        *,
        store: SliceStore | None = None,
        discovery: MediaDiscovery | None = None,
        player_views: Callable[[], Sequence[PlayerView]] = tuple,
        poll_timeout: float = POLL_TIMEOUT_SECONDS,
    ) -> None:
        self.replica = replica
        self.poller = poller
        self.telemetry = telemetry
        self._now = now
        self._store = store
        self._discovery = discovery
        self._polling: Counter[str] = Counter()
        self._player_views = player_views
        self._poll_timeout = poll_timeout
        if discovery is not None:
            discovery.is_polling = self.is_polling
        self._restored = {query.name for query in self.queries if self._is_restored(query)}
        self._ready = False
        self._started_at = now()
        self._exposition: ExpositionCache[GzipPayload] = ExpositionCache(
            Renderer(), replica.rules, snapshot=lambda: poller.snapshot, published=self._count_series, now=now
        )
        self._unknown_media = UnknownMedia()
        self._logged_unknown: set[tuple[str, str]] = set()
        self._reports: dict[str, PollReport] = {}
        self._next_polls: dict[str, float] = {}
        self._series_counts = (0, 0)
        self._find_unknown_media()
        self._configure_discovery()
        telemetry.config_loaded(self._started_at)

    @property
    def queries(self) -> tuple[Query, ...]:
        """What this replica polls."""
        return self.replica.queries

    def reconfigure(self, replica: ReplicaConfig, sources: Mapping[str, PageSource]) -> None:
        """Apply a new configuration and keep the data. Polls of removed or changed queries must have ended."""
        self.pending_queries()  # updates `_ready`: an exporter that is ready stays ready when queries are added
        self.replica, config = replica, replica.config
        names = {query.name for query in self.queries}
        self._reports = {name: report for name, report in self._reports.items() if name in names}
        self._next_polls = {name: at for name, at in self._next_polls.items() if name in names}
        self._restored = {query.name for query in self.queries if self._is_restored(query)}
        self.poller.reconfigure(self.queries, sources, config.settlement())
        self._exposition.reconfigure(replica.rules)
        if self._store is not None:
            self._store.set_retention(config.storage.retention)
        self.telemetry.set_targets(accounts=api_actions(config), queries=names)
        self._find_unknown_media()
        self._configure_discovery()
        self.telemetry.config_loaded(self._now())

    def failed(self) -> tuple[Query, ...]:
        """The queries whose last poll did not fully succeed."""
        return tuple(report.query for report in self.reports() if report.result is not PollResult.SUCCESS)

    def auth_failed_queries(self) -> frozenset[str]:
        """Names of the queries whose last poll failed authentication, or had no credentials or daily quota left."""
        return frozenset(
            report.query.name
            for report in self.reports()
            if any(
                error.kind is ErrorKind.AUTH or isinstance(error, QuotaExceeded)
                for outcome in report.outcomes
                for error in outcome.errors
            )
        )

    async def poll(self, query: Query) -> Retry | None:
        """Poll a query, publish and store the result, and return when to retry; None after a success.

        If it searches for its media and nothing was found yet, search first.
        """
        _log.debug("polling", query=query.name)
        try:
            async with asyncio.timeout(self._poll_timeout):
                report = await self._report(query)
        except TimeoutError:
            ended_at = self._now()
            report = PollReport(query, ended_at - self._poll_timeout, ended_at, (), PollResult.FAILURE)
            _log.error("poll timed out", query=query.name, after_seconds=self._poll_timeout)
        result, seconds = report.result, report.ended_at - report.started_at
        if result is PollResult.SKIPPED:
            self.telemetry.poll_skipped(query.name, up=False)
        else:
            self.telemetry.poll_ended(
                query.name, result, seconds=seconds, ended_at=report.ended_at, up=result is PollResult.SUCCESS
            )
        for outcome in report.outcomes:
            for problem in outcome.problems:
                self.telemetry.invalid_values(query.account, problem.field, problem.times)
        log_report(report)
        await self._exposition.get()
        self._reports[query.name] = report
        self._update_unknown_media(report)
        await self.persist(report)
        calls_per_day = {account.name: account.limits.calls_per_day for account in self.replica.accounts}
        return _RETRY_RULES.retry(
            report,
            calls_per_day=calls_per_day.get(query.account, 0),
            queries=sum(other.account == query.account for other in self.queries),
        )

    async def _report(self, query: Query) -> PollReport:
        started_at = self._now()
        if query.search is not None and self._discovery is not None:
            failure = await self._discovery.ensure(query.account, query.name, query.search)
            if failure is not None:
                skipped = isinstance(failure, AccountPaused | QuotaExceeded)
                result = PollResult.SKIPPED if skipped else PollResult.FAILURE
                return PollReport(query, started_at, self._now(), (), result)
            self._follow_discovery()
            query = next((each for each in self.queries if each.name == query.name), query)
        self._polling[query.account] += 1
        try:
            return await self.poller.poll(query)
        finally:
            self._polling[query.account] -= 1

    @property
    def found(self) -> Found:
        """What searches have found so far."""
        return {} if self._discovery is None else self._discovery.found

    def is_polling(self, account: str) -> bool:
        """Whether play data of an account is polled at the moment."""
        return self._polling[account] > 0

    async def refresh_search(self, query: Query) -> Retry | None:
        """Search for the media of a query again, and return when to retry; None after a success."""
        if self._discovery is None or query.search is None:
            return None
        failure = await self._discovery.refresh_search(query.account, query.name, query.search)
        self._follow_discovery()
        if failure is None:
            return None
        if isinstance(failure, QuotaExceeded):
            return Retry(self._now() + _QUOTA_PAUSE_SECONDS)
        return Retry(self._now() + failure.wait if failure.wait else 0.0)

    async def refresh_metadata(self, account: str) -> Retry | None:
        """Refresh the metadata of the published media, and return when to retry; None after a success."""
        rules = self.replica.rules.metadata.get(account)
        if self._discovery is None or rules is None:
            return None
        media_ids = await self._media_with_metadata(account)
        retry = await self._discovery.refresh_metadata(account, rules, media_ids, self._configured(account))
        self._follow_discovery()
        # Media that are published only after the first polls have no metadata yet.
        return retry or (Retry(self._now() + _FIRST_POLLS_SECONDS) if self.pending_queries() else None)

    async def refresh_all_metadata(self) -> None:
        """Refresh the metadata of every account that is configured to have it, once."""
        for account in self.replica.rules.metadata:
            await self.refresh_metadata(account)

    def discovery_problems(self) -> tuple[DiscoveryProblem, ...]:
        """Searches and metadata that failed last, and media in the configuration that do not exist."""
        if self._discovery is None:
            return ()
        configured = {account.name: self._configured(account.name) for account in self.replica.accounts}
        return self._discovery.problems(configured)

    def _configured(self, account: str) -> frozenset[str]:
        """The media IDs that queries of an account list."""
        return frozenset(each for query in self.queries if query.account == account for each in listed_ids(query))

    async def _media_with_metadata(self, account: str) -> frozenset[str]:
        """The published media of an account that this replica exports metadata of, and those listed by ID."""
        _, rules, publication = await self._exposition.source()
        published = {media.media_id for media in publication.media if media.account == account}
        return frozenset(each for each in published | self._configured(account) if rules.owns(account, each))

    def _follow_discovery(self) -> None:
        """Poll and publish what searches have found, and publish metadata."""
        if self._discovery is None:
            return
        if self.poller.snapshot.metadata is not self._discovery.metadata:
            self.poller.describe(self._discovery.metadata)
        replica = replica_config(self.replica.config, self.replica.shard, self._discovery.found)
        if replica.queries != self.replica.queries:
            self.replica = replica
            self.poller.follow(self.queries)
            self._exposition.reconfigure(replica.rules)

    def _configure_discovery(self) -> None:
        searches = {(query.account, query.name): query.search for query in self.queries if query.search is not None}
        self.telemetry.set_discovery(searches=searches, metadata=self.replica.rules.metadata)
        if self._discovery is not None:
            self._discovery.set_limits({each.name: each.limits.calls_per_day for each in self.replica.accounts})
            self._discovery.report(searches)
            self._follow_discovery()

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
        return frozenset((query.account, each) for query in self.queries for each in self._unknown_media.of(query))

    def _find_unknown_media(self) -> None:
        """Recompute unknown media from all slices, after the queries or the restored data have changed."""
        self._unknown_media.follow(self.queries, self.poller.snapshot.slices.values())
        for query in self.queries:
            self.telemetry.unknown_media(query.name, self._count_unknown_media(query))

    def _update_unknown_media(self, report: PollReport) -> None:
        self._unknown_media.update(self._polled(report))
        for query in self.queries:
            if query.account == report.query.account:
                self.telemetry.unknown_media(query.name, self._count_unknown_media(query))
        query = report.query
        found = {(query.account, media_id) for media_id in self._unknown_media.of(query)} - self._logged_unknown
        if found and report.result is PollResult.SUCCESS:
            self._logged_unknown |= found
            _log.warning(
                "unknown media",
                query=query.name,
                account=query.account,
                media_ids=len(found),
                first=",".join(sorted(media_id for _, media_id in found)[:_NAMED_IN_LOG]),
                advice="Check these IDs: no answer has named them yet, as if they were mistyped or never played.",
            )

    def _count_unknown_media(self, query: Query) -> int | None:
        return len(self._unknown_media.of(query)) if listed_ids(query) else None

    def run_skipped(self, query: str, /) -> None:
        """Count and log a poll that was due while the previous one was still running."""
        if all(each.name != query for each in self.queries):
            return  # a search or metadata
        self.telemetry.poll_skipped(query)
        _log.warning("poll skipped", query=query, reason="the poll before it has not ended")

    def next_run(self, query: str, at: float, /) -> None:
        """Record that the next poll of a query starts at `at` (seconds since 1970)."""
        if any(each.name == query for each in self.queries):  # otherwise a search or metadata
            self._next_polls[query] = at
            self.telemetry.next_poll(query, at)

    async def scrape(self, accept: str | None, accept_encoding: str | None) -> Response:
        """The current metrics, in the format and encoding that the client accepts."""
        rendered = await self._exposition.get()
        return respond(rendered, self.telemetry, accept=accept, accept_encoding=accept_encoding)

    def publication(self) -> Publication:
        """What `/metrics` shows now, before rendering."""
        return publish(self.poller.snapshot, self.replica.rules, self._now())

    def reports(self) -> tuple[PollReport, ...]:
        """The report of each query's last poll, in the order of the configuration."""
        return tuple(self._reports[query.name] for query in self.queries if query.name in self._reports)

    def pending_queries(self) -> Sequence[str]:
        """Names of queries that were neither polled nor restored yet; empty for good once it has been empty."""
        if self._ready:
            return []
        pending_queries = [q.name for q in self.queries if q.name not in self._reports and q.name not in self._restored]
        self._ready = not pending_queries
        return pending_queries

    async def status(self) -> StatusInput:
        """The state at this instant, for the status page."""
        snapshot, rules, publication = await self._exposition.source()
        # In a thread: process metrics are read from /proc.
        metrics = await asyncio.to_thread(lambda: tuple(self.telemetry.collect()))
        return StatusInput(
            version=__version__,
            now=self._now(),
            started_at=self._started_at,
            settings=_settings(self.replica, store=self._store is not None),
            accounts=tuple(account.core_account() for account in self.replica.config.accounts),
            queries=rules.queries,
            pending_queries=tuple(self.pending_queries()),
            reports=self.reports(),
            next_polls=dict(self._next_polls),
            snapshot=snapshot,
            publication=publication,
            unknown_media=self.unknown_media(),
            metadata_failures={} if self._discovery is None else dict(self._discovery.failures),
            player=tuple(self._player_views()),
            numbers=tuple(sample for metric in metrics for sample in metric.samples),
        )

    def _is_restored(self, query: Query) -> bool:
        """Whether data for any slice of the query was restored from storage."""
        known = (self.poller.snapshot.slices.get(slice_) for slice_ in plan.slices(query, self._now()))
        return any(data is not None and data.updated_at is not None for data in known)

    def _count_series(self, series: int, dropped: int) -> None:
        self.telemetry.published(series, dropped)
        if dropped and dropped != self._series_counts[1]:
            _log.warning(
                "series limit exceeded",
                published=series,
                dropped=dropped,
                advice="Raise series_limit, or ask for fewer media, dimensions or days.",
            )
        self._series_counts = series, dropped


def api_actions(config: Config) -> dict[str, dict[str, dict[str, ErrorKind]]]:
    """The actions that each account calls, with their error codes and the kinds of these."""
    queries = config.core_queries()
    of_players = {query.account for query in config.player_queries()}
    return {
        account.name: {
            action.name: {code: classify(0, code, action=action).kind for code in action.error_codes}
            for action in (*ACTIONS, *_optional_actions(account, queries, player=account.name in of_players))
        }
        for account in config.accounts
    }


def _optional_actions(account: AccountSettings, queries: Iterable[Query], *, player: bool) -> Iterator[Action[Any]]:
    """The actions that searches, metadata and players of an account call."""
    searches = [query.search for query in queries if query.account == account.name and query.search is not None]
    rules = account.metadata.core_rules() if account.metadata is not None else None
    if searches:
        yield SEARCH_MEDIA
    if rules is not None:
        yield VIDEO_INFOS
    if any(search.needs_categories for search in searches) or (rules is not None and "category" in rules.labels):
        yield CATEGORIES
    if player:
        yield PLAYER_METRICS


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
