"""Poll queries, report how polls ended, and answer scrapes with what is known."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter import __version__
from exporter.core import plan
from exporter.core.play_dates import Settlement
from exporter.core.poller import PollReport, PollResult
from exporter.core.publication import Publication, PublicationRules
from exporter.core.publication_builder import publish
from exporter.core.retry import RetryRules
from exporter.core.sharding import WHOLE, Shard
from exporter.core.unknown_media import UnknownMedia, listed_ids
from exporter.errors import ErrorKind, NotReady, QuotaExceeded, UpstreamError
from exporter.exposition.cache import ExpositionCache
from exporter.exposition.negotiation import Response, respond
from exporter.exposition.render import Renderer
from exporter.status.model import AccountInfo, StatusInput, StatusSettings
from exporter.vod.auth_breaker import OPEN_SECONDS
from exporter.vod.client import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.config.schema import AccountSettings, Config
    from exporter.core.call_runner import PageSource
    from exporter.core.model import Query, SliceData
    from exporter.core.poller import Poller
    from exporter.core.retry import Retry
    from exporter.exposition.gzip_segments import GzipPayload
    from exporter.exposition.telemetry import Telemetry

# Every call is bounded by itself; a poll that takes a day all the same hangs, and must not stop its query for good.
POLL_TIMEOUT_SECONDS: Final = 86_400.0
_NAMED_IN_LOG: Final = 5
_RETRY_RULES: Final = RetryRules(OPEN_SECONDS, ATTEMPTS)

_log = structlog.get_logger()


class SliceStore(Protocol):
    """Where what was learnt survives a restart."""

    async def save(self, learnt: Iterable[SliceData]) -> None:
        """Keep these slices, all or none; a failure is its own business."""
        ...

    def set_retention(self, retention: float) -> None:
        """Forget play dates older than so many seconds."""
        ...


class Daemon:
    """Polls queries, reports how polls ended, and answers scrapes with what is known."""

    def __init__(
        self,
        config: Config,
        poller: Poller,
        telemetry: Telemetry,
        now: Callable[[], float],
        *,
        store: SliceStore | None = None,
        shard: Shard = WHOLE,
        poll_timeout: float = POLL_TIMEOUT_SECONDS,
    ) -> None:
        self.shard = shard
        self.poller = poller
        self.telemetry = telemetry
        self.queries, self.rules = _shard_part(config, shard)
        self._calls_per_day = _calls_per_day(config, shard)
        self._config = config
        self._now = now
        self._store = store
        self._poll_timeout = poll_timeout
        self._restored = {query.name for query in self.queries if self._is_restored(query)}
        self._ready = False
        self._started_at = now()
        self._exposition: ExpositionCache[GzipPayload] = ExpositionCache(
            Renderer(), self.rules, snapshot=lambda: poller.snapshot, published=self._count_series, now=now
        )
        self._unknown_media = UnknownMedia()
        self._logged_unknown: set[tuple[str, str]] = set()
        self._reports: dict[str, PollReport] = {}
        self._next_polls: dict[str, float] = {}
        self._series_counts = (0, 0)
        self._find_unknown_media()
        telemetry.config_loaded(self._started_at)

    def reconfigure(self, config: Config, sources: Mapping[str, PageSource]) -> None:
        """Go by another configuration from now on; what is known stays. Nothing that it ends may be polled now."""
        self.pending_queries()  # whoever is ready stays ready, however many queries are new
        self.queries, self.rules = _shard_part(config, self.shard)
        self._calls_per_day = _calls_per_day(config, self.shard)
        self._config = config
        names = {query.name for query in self.queries}
        self._reports = {name: report for name, report in self._reports.items() if name in names}
        self._next_polls = {name: at for name, at in self._next_polls.items() if name in names}
        self._restored = {query.name for query in self.queries if self._is_restored(query)}
        self.poller.reconfigure(self.queries, sources, Settlement(config.settle.after, config.settle.unchanged))
        self._exposition.reconfigure(self.rules)
        if self._store is not None:
            self._store.set_retention(config.storage.retention)
        self.telemetry.configured(accounts=[account.name for account in config.accounts], queries=names)
        self._find_unknown_media()
        self.telemetry.config_loaded(self._now())

    def failed(self) -> tuple[Query, ...]:
        """The queries whose last poll did not get everything."""
        return tuple(report.query for report in self.reports() if report.result is not PollResult.SUCCESS)

    def auth_failed_queries(self) -> frozenset[str]:
        """The queries whose last poll met an account that is not admitted, has no credentials or no calls left."""
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
        """Poll a query to its end, whatever comes of it, and show what was learnt; whether and when to repeat it."""
        try:
            async with asyncio.timeout(self._poll_timeout):
                report = await self.poller.poll(query)
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
        _log_report(report)
        await self._exposition.get()
        self._reports[query.name] = report
        self._learn_unknown_media(report)
        await self.persist(report)
        return _RETRY_RULES.retry(
            report,
            calls_per_day=self._calls_per_day.get(query.account, 0),
            queries=sum(other.account == query.account for other in self.queries),
        )

    async def persist(self, report: PollReport) -> None:
        """Write what a poll has learnt to storage, where there is one."""
        if self._store is not None:
            await self._store.save(self._polled(report))

    def _polled(self, report: PollReport) -> list[SliceData]:
        slices = self.poller.snapshot.slices
        polled = (outcome.slice for outcome in report.outcomes)
        return [slices[slice_] for slice_ in polled if slice_ in slices]

    def unknown_media(self) -> frozenset[tuple[str, str]]:
        """Account and ID of the media that were asked for by ID and that no answer has ever named."""
        return frozenset((query.account, each) for query in self.queries for each in self._unknown_media.of(query))

    def _find_unknown_media(self) -> None:
        """Other queries, or more that is known: look through all of it."""
        self._unknown_media.follow(self.queries, self.poller.snapshot.slices.values())
        for query in self.queries:
            self.telemetry.unknown_media(query.name, self._count_unknown_media(query))

    def _learn_unknown_media(self, report: PollReport) -> None:
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

    def poll_skipped(self, query: str) -> None:
        """It was time to poll, but the poll before is still under way."""
        self.telemetry.poll_skipped(query)
        _log.warning("poll skipped", query=query, reason="the poll before it has not ended")

    def next_poll(self, query: str, at: float) -> None:
        """The next poll of a query begins at `at`."""
        self._next_polls[query] = at
        self.telemetry.next_poll(query, at)

    async def scrape(self, accept: str | None, accept_encoding: str | None) -> Response:
        """Everything that is known now, in the format that was asked for."""
        rendered = await self._exposition.get()
        return respond(rendered, self.telemetry, accept=accept, accept_encoding=accept_encoding)

    def publication(self) -> Publication:
        """What Prometheus would see now, not rendered."""
        return publish(self.poller.snapshot, self.rules, self._now())

    def reports(self) -> tuple[PollReport, ...]:
        """How the last poll of each query ended, in the order of the configuration."""
        return tuple(self._reports[query.name] for query in self.queries if query.name in self._reports)

    def pending_queries(self) -> Sequence[str]:
        """The queries that were neither polled to their end nor restored from storage; once none is, none ever is."""
        if self._ready:
            return []
        pending_queries = [q.name for q in self.queries if q.name not in self._reports and q.name not in self._restored]
        self._ready = not pending_queries
        return pending_queries

    async def status(self) -> StatusInput:
        """How it stands at this instant, for the page."""
        snapshot, rules, publication = await self._exposition.source()
        # Some of the numbers are read from the kernel.
        metrics = await asyncio.to_thread(lambda: tuple(self.telemetry.collect()))
        return StatusInput(
            version=__version__,
            now=self._now(),
            started_at=self._started_at,
            settings=_settings(self._config, self.shard, store=self._store is not None),
            accounts=tuple(map(_account, self._config.accounts)),
            queries=rules.queries,
            pending_queries=tuple(self.pending_queries()),
            reports=self.reports(),
            next_polls=dict(self._next_polls),
            snapshot=snapshot,
            publication=publication,
            unknown_media=self.unknown_media(),
            numbers=tuple(sample for metric in metrics for sample in metric.samples),
        )

    def _is_restored(self, query: Query) -> bool:
        """Whether storage knew something of what a query looks at."""
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


def _shard_part(config: Config, shard: Shard) -> tuple[tuple[Query, ...], PublicationRules]:
    """What is to be polled and published of a configuration here."""
    share = shard.share(config.core_queries())
    return share.queries, PublicationRules(
        share.queries,
        config.stale_after,
        config.series_limit,
        media_info_ownership=share.media_info_ownership,
        days_ago=share.days_ago,
    )


def _calls_per_day(config: Config, shard: Shard) -> dict[str, float]:
    """The calls a day that each account may make here; 0: unlimited."""
    parts = shard.share(config.core_queries()).parts
    return {each.name: each.limits.calls_per_day * parts.get(each.name, 1.0) for each in config.accounts}


def _account(settings: AccountSettings) -> AccountInfo:
    given, limits = settings.credentials, settings.limits
    has_key = given.access_key_id is not None or given.access_key_id_file is not None
    return AccountInfo(
        name=settings.name,
        endpoint=settings.endpoint,
        credentials="key" if has_key and given.provider == "default" else given.provider,
        timeout=settings.timeout,
        requests_per_second=limits.requests_per_second,
        concurrency=limits.concurrency,
        calls_per_day=limits.calls_per_day,
    )


def _settings(config: Config, shard: Shard, *, store: bool) -> StatusSettings:
    return StatusSettings(
        settle_after=config.settle.after,
        settle_unchanged=config.settle.unchanged,
        stale_after=config.stale_after,
        series_limit=config.series_limit,
        storage_retention=config.storage.retention if store else None,
        shard=shard.number,
        total_shards=shard.total,
    )


def _log_report(report: PollReport) -> None:
    """One line for the poll, one for each error code in it."""
    by_code: dict[str, list[UpstreamError]] = defaultdict(list)
    for outcome in report.outcomes:
        for error in outcome.errors:
            by_code[error.code].append(error)
    for code, errors in by_code.items():
        first = errors[0]
        say = _log.info if isinstance(first, NotReady) else _log.warning
        say(
            "not ready yet" if isinstance(first, NotReady) else "API request failed",
            query=report.query.name,
            account=report.query.account,
            code=code,
            kind=first.kind.value,
            times=len(errors),
            request_id=first.request_id,
            error=first.message,
            advice=first.advice,
        )
    short = sum(outcome.short_by for outcome in report.outcomes)
    if short:
        _log.warning(
            "incomplete listing",
            query=report.query.name,
            account=report.query.account,
            rows=short,
            reason="the service counted more media than it listed; what it listed is shown, and no media is taken for"
            " unplayed",
            advice="Nothing to do if it passes: rows move while they are read. If it lasts, ask for {top: N, by: plays}"
            " with as many media as it lists, or for media by their IDs.",
        )
    _log_problems(report)
    _log.info(
        "polled",
        query=report.query.name,
        result=report.result.value,
        slices=len(report.outcomes),
        seconds=round(report.ended_at - report.started_at, 3),
    )


def _log_problems(report: PollReport) -> None:
    """One line for all values that could not be used; never what stood there."""
    times: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for problem in (problem for outcome in report.outcomes for problem in outcome.problems):
        times[problem.field, problem.reason] += problem.times
        first.setdefault((problem.field, problem.reason), problem.media_id)
    if times:
        _log.warning(
            "invalid values",
            query=report.query.name,
            account=report.query.account,
            values=times.total(),
            fields="; ".join(
                f"{field}: {reason} ({count}{f', first of media {first[key]}' if first[key] else ''})"
                for key, count in times.items()
                for field, reason in [key]
            ),
            advice="Nothing is shown for values that were left out; all others are. If it lasts, ask Alibaba Cloud's"
            " support why the service says so.",
        )
