"""Finds media by search and refreshes metadata, beside the polls and without delaying them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter.core.media_details import FoundMedia, UnknownCategoryError
from exporter.core.media_search import conditions
from exporter.core.retry import Retry
from exporter.discovery.failure_log import DiscoveryProblem, FailureLog, PermissionMeter, first_of, search_name
from exporter.discovery.known_media import KnownMedia
from exporter.discovery.metadata_refresh import CategoryTrees, MetadataRefresh, refreshed
from exporter.discovery.permits import CallPermits
from exporter.errors import ErrorKind, QuotaExceeded, UpstreamError
from exporter.vod.media_source import MediaSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from contextlib import AbstractContextManager

    from exporter.core.media_details import AccountMetadata, MetadataRules, Search
    from exporter.discovery.known_media import MediaStore
    from exporter.discovery.permits import AccountLimitsView
    from exporter.vod.actions import ApiClient
    from exporter.vod.media_source import SearchResult

# Wait this long for calls of the day that the polls do not need.
_QUOTA_PAUSE_SECONDS: Final = 1_800.0

_log = structlog.get_logger()


class DiscoveryMeter(PermissionMeter, Protocol):
    """Counts what searches find, and records whether their actions are permitted."""

    def discovered(self, account: str, query: str, media: int, at: float, *, complete: bool) -> None:
        """Record the number of media that a search has found."""
        ...

    def discovery_changed(self, account: str, query: str, change: str, media: int) -> None:
        """Count media that are `new` or `gone`."""
        ...

    def metadata_refreshed(self, account: str, at: float) -> None:
        """All metadata of an account was refreshed."""
        ...


class MediaDiscovery:
    """Media found by searches, and metadata of media, by account; refreshed one call at a time.

    * `client`, `limits`: return those of an account, by its name; they may change with the configuration.
    * `found`, `metadata`: the stored ones.
    """

    def __init__(
        self,
        *,
        client: Callable[[str], ApiClient],
        limits: Callable[[str], AccountLimitsView],
        meter: DiscoveryMeter,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
        store: MediaStore | None = None,
        found: Mapping[tuple[str, Search], FoundMedia] | None = None,
        metadata: Mapping[str, AccountMetadata] | None = None,
    ) -> None:
        self._client = client
        self._meter = meter
        self._now = now
        self._known = KnownMedia(store, found, metadata)
        self._failures = FailureLog(meter)
        self._permits = CallPermits(limits, now, sleep)
        self._trees = CategoryTrees(self._known, now)
        self._metadata_refresh = MetadataRefresh(self._known, self._trees, self._failures, now)
        self._searching: dict[tuple[str, Search], asyncio.Lock] = {}

    @property
    def found(self) -> Mapping[tuple[str, Search], FoundMedia]:
        """What searches have found, by account and search."""
        return self._known.found

    @property
    def metadata(self) -> Mapping[str, AccountMetadata]:
        """What is known about media, by account."""
        return self._known.metadata

    @property
    def failures(self) -> Mapping[tuple[str, str], UpstreamError]:
        """What failed last, by account and name."""
        return self._failures.current

    def polling(self, account: str) -> AbstractContextManager[None]:
        """While this context is entered, play data of the account is polled: calls of searches and metadata wait."""
        return self._permits.polling(account)

    def reconfigure(
        self,
        searches: Mapping[tuple[str, str], Search],
        metadata: Mapping[str, MetadataRules],
        calls_per_day: Mapping[str, int],
    ) -> None:
        """Apply a configuration: the searches of queries (by account and query); metadata and limits of accounts.

        Reports the known results of the searches, for example after a restart.
        """
        self._permits.set_limits(calls_per_day)
        for (account, query), search in searches.items():
            if (known := self.found.get((account, search))) is not None:
                self._report(account, query, known)
        self._failures.retain(
            {(account, search_name(query)) for account, query in searches}
            | {(account, name) for account, rules in metadata.items() for name in refreshed(rules)}
        )

    async def ensure(self, account: str, query: str, search: Search) -> UpstreamError | None:
        """Search if there is no result yet, without waiting for polls: one of them waits for this."""
        if (account, search) in self.found:
            return None
        return await self._search(account, query, search, first=True)

    async def refresh_search(self, account: str, query: str, search: Search) -> Retry | None:
        """Search again unless the result is recent, and return when to retry. A failure keeps the last result.

        The first search is left to the poll that needs it, which repeats it if it fails.
        """
        if (account, search) not in self.found:
            return None
        return self._retry(await self._search(account, query, search, first=False))

    async def _search(self, account: str, query: str, search: Search, *, first: bool) -> UpstreamError | None:
        key = account, search
        async with self._searching.setdefault(key, asyncio.Lock()):
            known = self.found.get(key)
            if known is not None and 0 <= self._now() - known.refreshed_at < (search.every / 2):
                self._report(account, query, known)
                return None
            source = self._source(account, first=first)
            try:
                wanted = conditions(search, await self._category_ids(account, search, source), self._now())
                result = await source.search(wanted)
                media_ids = result.media_ids(wanted)
            except UnknownCategoryError as error:
                failure = UpstreamError(
                    f"{error}",
                    code="unknown_category",
                    kind=ErrorKind.PARAMETER,
                    advice="Correct the category in the configuration; what was found before stays.",
                )
                return self._failures.failed(account, search_name(query), failure, source.action)
            except UpstreamError as error:
                return self._failures.failed(account, search_name(query), error, source.action)
            self._failures.succeeded(account, search_name(query))
            unclear = frozenset(hit.media_id for hit in result.hits if not wanted.comparable(hit))
            await self._store_result(account, query, search, result, media_ids, unclear)
        return None

    async def _category_ids(self, account: str, search: Search, source: MediaSource) -> frozenset[int] | None:
        if not search.categories:
            return None
        if not search.needs_categories:
            return frozenset(each for each in search.categories if isinstance(each, int))
        tree = await self._trees.current(account, source, search.every)
        return tree.resolve(search)

    async def _store_result(
        self,
        account: str,
        query: str,
        search: Search,
        result: SearchResult,
        media_ids: frozenset[str],
        unclear: frozenset[str],
    ) -> None:
        """Replace the known media by the result; an incomplete one removes none, a complete one no unclear ones."""
        known = self.found.get((account, search))
        before = known.media_ids if known is not None else frozenset()
        gone = before - media_ids - unclear if result.complete else frozenset()
        new = media_ids - before
        found = FoundMedia((before | media_ids) - gone, self._now())
        self._report(account, query, found, complete=result.complete)
        for change, media in (("new", new), ("gone", gone)):
            self._meter.discovery_changed(account, query, change, len(media))
            if media and known is not None:
                _log.info(f"media {change}", query=query, account=account, media_ids=len(media), first=first_of(media))
        log = _log.info if result.complete else _log.warning
        about = {} if result.complete else _incomplete(result)
        log("media discovered", query=query, account=account, media=len(found.media_ids), **about)
        details = {hit.media_id: hit for hit in result.hits if hit.media_id in media_ids}
        await self._known.replace_found(account, search, found, details)

    def _report(self, account: str, query: str, found: FoundMedia, *, complete: bool = True) -> None:
        self._meter.discovered(account, query, len(found.media_ids), found.refreshed_at, complete=complete)

    async def refresh_metadata(
        self,
        account: str,
        rules: MetadataRules,
        wanted: Collection[str],
        configured: Collection[str],
        *,
        needs_categories: bool,
    ) -> Retry | None:
        """Request metadata of these media that is missing or older than the rules allow, and the categories if needed.

        Returns when to retry if something failed, else None.
        """
        source = self._source(account, first=False)
        failed = await self._metadata_refresh.run(
            account, source, rules, wanted, configured, needs_categories=needs_categories
        )
        if failed is None:
            self._meter.metadata_refreshed(account, self._now())
        return self._retry(failed)

    def problems(self, configured: Mapping[str, Collection[str]]) -> tuple[DiscoveryProblem, ...]:
        """The current failures, and the configured media (by account) that do not exist."""
        deleted = (
            (account, sorted(self._known.about(account).deleted.intersection(ids)))
            for account, ids in configured.items()
        )
        missing = (DiscoveryProblem(account, "media", media_ids=tuple(ids)) for account, ids in deleted if ids)
        return (*self._failures.problems(), *missing)

    def _source(self, account: str, *, first: bool) -> MediaSource:
        async def permit() -> None:
            if not first:
                await self._permits.permit(account)

        return MediaSource(
            self._client(account), permit, self._now, lambda action: self._failures.permitted(account, action)
        )

    def _retry(self, failure: UpstreamError | None) -> Retry | None:
        """When to retry: after the wait that the service requested or the pause of the quota, else soon (0)."""
        if failure is None:
            return None
        wait = _QUOTA_PAUSE_SECONDS if isinstance(failure, QuotaExceeded) else failure.wait
        return Retry(self._now() + wait if wait else 0.0)


def _incomplete(result: SearchResult) -> dict[str, object]:
    if result.crowded:
        return {
            "reason": "more than 5000 media were created in the same second; those beyond cannot be listed",
            "seconds": len(result.crowded),
            "advice": "Add a condition to the search that divides them; media found before stay.",
        }
    return {
        "reason": f"the service counted {result.missing} media more than it listed",
        "advice": "Usually temporary; media found before stay.",
    }
