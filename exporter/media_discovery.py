"""Finds media by search and refreshes metadata, beside the polls and without delaying them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter.core import play_dates
from exporter.core.media_details import AccountMetadata, FoundMedia, UnknownCategoryError
from exporter.core.media_search import conditions, matching
from exporter.core.metadata import due_media
from exporter.core.retry import Retry
from exporter.errors import ErrorKind, ErrorScope, QuotaExceeded, UpstreamError
from exporter.vod.categories import CATEGORIES
from exporter.vod.media_source import MediaSource
from exporter.vod.search_media import SEARCH_MEDIA
from exporter.vod.video_infos import MEDIA_PER_CALL, VIDEO_INFOS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping

    from exporter.core.media_details import CategoryTree, MediaDetails, MetadataRules, Search
    from exporter.core.media_search import Conditions
    from exporter.vod.media_source import SearchResult
    from exporter.vod.play_data import ApiClient

# While play data is polled, a call for metadata waits until the polls have ended, but no longer than this.
COURTESY_SECONDS: Final = 5.0
_DAY: Final = 86_400.0
_NAMED_IN_LOG: Final = 5
# How long to wait until the polls have left some calls of the day.
_QUOTA_PAUSE_SECONDS: Final = 1_800.0
# GetVideoInfos is asked about so many media before what it returned is published and stored.
_MEDIA_PER_ROUND: Final = 2_000
OPTIONAL_ACTIONS: Final = frozenset(action.name for action in (SEARCH_MEDIA, VIDEO_INFOS, CATEGORIES))

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DiscoveryProblem:
    """A search or a refresh of metadata that failed last, or configured media that do not exist."""

    account: str
    what: str
    code: str = ""
    message: str = ""
    advice: str = ""
    media_ids: tuple[str, ...] = ()


class DiscoveryMeter(Protocol):
    """Counts what searches find."""

    def discovered(self, account: str, query: str, media: int, at: float, *, complete: bool) -> None:
        """A search has found so many media."""
        ...

    def discovery_changed(self, account: str, query: str, change: str, media: int) -> None:
        """So many media are `new` or `gone`."""
        ...

    def metadata_refreshed(self, account: str, at: float) -> None:
        """All metadata of an account was refreshed."""
        ...

    def action_permitted(self, account: str, action: str, *, permitted: bool) -> None:
        """The last call of an optional action was permitted or refused."""
        ...


class MediaStore(Protocol):
    """Stores what was found so that it survives a restart."""

    async def save_media(
        self,
        found: Mapping[tuple[str, Search], FoundMedia],
        metadata: Mapping[str, AccountMetadata],
        /,
    ) -> None:
        """Store these sets and this metadata. Handles its own failures and raises none."""
        ...


class AccountLimitsView(Protocol):
    """The calls that an account has left."""

    @property
    def calls_remaining(self) -> int | None:
        """Calls left today; None: unlimited."""
        ...


class MediaDiscovery:
    """What searches have found and what is known about media, by account; refreshed one call at a time.

    * `client`, `limits`: of an account, by its name; they may change with the configuration.
    * `is_polling`: whether play data of an account is polled at the moment; set by the daemon.
    * `found`, `metadata`: what was stored.
    """

    def __init__(
        self,
        *,
        client: Callable[[str], ApiClient],
        limits: Callable[[str], AccountLimitsView],
        is_polling: Callable[[str], bool] = lambda _: False,
        meter: DiscoveryMeter,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
        store: MediaStore | None = None,
        found: Mapping[tuple[str, Search], FoundMedia] | None = None,
        metadata: Mapping[str, AccountMetadata] | None = None,
    ) -> None:
        self._client = client
        self._limits = limits
        self.is_polling = is_polling
        self._meter = meter
        self._now = now
        self._sleep = sleep
        self._store = store
        self.found: Mapping[tuple[str, Search], FoundMedia] = dict(found or {})
        self.metadata: Mapping[str, AccountMetadata] = MappingProxyType(dict(metadata or {}))
        self.failures: dict[tuple[str, str], UpstreamError] = {}
        self._trees_read_at: dict[str, float] = {}
        self._deleted_checked_at: dict[str, float] = {}
        self._calls_per_day: Mapping[str, int] = {}
        self._searching: dict[tuple[str, Search], asyncio.Lock] = {}
        self._logged: set[tuple[str, str, str]] = set()
        self._logged_deleted: set[tuple[str, str]] = set()

    def set_limits(self, calls_per_day: Mapping[str, int]) -> None:
        """The calls per day of each account; 0: unlimited."""
        self._calls_per_day = calls_per_day

    def report(self, searches: Mapping[tuple[str, str], Search]) -> None:
        """Report what is known of the searches of queries (by account and query), such as after a restart."""
        for (account, query), search in searches.items():
            if (known := self.found.get((account, search))) is not None:
                count = len(known.media_ids)
                self._meter.discovered(account, query, count, known.refreshed_at, complete=True)
        names = {f"search {query}" for _, query in searches}
        self.failures = {
            key: error for key, error in self.failures.items() if not key[1].startswith("search ") or key[1] in names
        }

    async def ensure(self, account: str, query: str, search: Search) -> UpstreamError | None:
        """Search if nothing is known yet, without waiting for polls: one of them waits for it."""
        if (account, search) in self.found:
            return None
        return await self._search(account, query, search, first=True)

    async def refresh_search(self, account: str, query: str, search: Search) -> UpstreamError | None:
        """Search again, unless that has just been done. A failure is logged and returned, and changes nothing."""
        return await self._search(account, query, search, first=(account, search) not in self.found)

    async def _search(self, account: str, query: str, search: Search, *, first: bool) -> UpstreamError | None:
        key = account, search
        async with self._searching.setdefault(key, asyncio.Lock()):
            known = self.found.get(key)
            if known is not None and 0 <= self._now() - known.refreshed_at < (search.every / 2):
                self._meter.discovered(account, query, len(known.media_ids), known.refreshed_at, complete=True)
                return None
            source = self._source(account, first=first)
            try:
                wanted = conditions(search, await self._category_ids(account, search, source), self._now())
                result = await source.search(wanted)
                media_ids = _usable(result, wanted)
            except UnknownCategoryError as error:
                failure = UpstreamError(
                    f"{error}",
                    code="unknown_category",
                    kind=ErrorKind.PARAMETER,
                    advice="Correct the category in the configuration; what was found before stays.",
                )
                return self._failed(account, f"search {query}", failure)
            except UpstreamError as error:
                return self._failed(account, f"search {query}", error)
            self._succeeded(account, f"search {query}", SEARCH_MEDIA.name)
            await self._take(account, query, search, result, media_ids)
        return None

    async def _category_ids(self, account: str, search: Search, source: MediaSource) -> frozenset[int] | None:
        if not search.categories:
            return None
        if not search.needs_categories:
            return frozenset(each for each in search.categories if isinstance(each, int))
        tree = await self._tree(account, source, search.every)
        return tree.resolve(search)

    async def _tree(self, account: str, source: MediaSource, every: float) -> CategoryTree:
        """The categories, read again if they are as old as half an interval: what needs them shares them."""
        known, now = self.metadata.get(account, AccountMetadata()).tree, self._now()
        if known is not None and 0 <= now - self._trees_read_at.get(account, -every) < every / 2:
            return known
        tree = await source.categories()
        self._meter.action_permitted(account, CATEGORIES.name, permitted=True)
        self._trees_read_at[account] = self._now()
        if tree != known:
            self._describe(account, tree=tree)
            if self._store is not None:
                await self._store.save_media({}, {account: self.metadata[account]})
        return tree

    async def _take(
        self, account: str, query: str, search: Search, result: SearchResult, media_ids: frozenset[str]
    ) -> None:
        """Replace what is known by the result; of an incomplete one nothing is gone."""
        key = account, search
        known = self.found.get(key)
        before = known.media_ids if known is not None else frozenset()
        gone = before - media_ids if result.complete else frozenset()
        new = media_ids - before
        now = self._now()
        self.found = {**self.found, key: FoundMedia((before | media_ids) - gone, now)}
        details = {hit.media_id: hit for hit in result.hits if hit.media_id in media_ids}
        self._describe(account, details=details)
        self._meter.discovered(account, query, len(self.found[key].media_ids), now, complete=result.complete)
        for change, media in (("new", new), ("gone", gone)):
            self._meter.discovery_changed(account, query, change, len(media))
            if media and known is not None:
                _log.info(f"media {change}", query=query, account=account, media_ids=len(media), first=_first(media))
        log = _log.info if result.complete else _log.warning
        about = {} if result.complete else _incomplete(result)
        log("media discovered", query=query, account=account, media=len(self.found[key].media_ids), **about)
        if self._store is not None:
            await self._store.save_media({key: self.found[key]}, {account: self.metadata[account]})

    async def refresh_metadata(
        self, account: str, rules: MetadataRules, wanted: Collection[str], configured: Collection[str]
    ) -> Retry | None:
        """Request what is not known about these media, or is older than the rules allow; and the categories.

        Returns when to repeat it, if something failed.
        """
        source = self._source(account, first=False)
        failed = None
        if "category" in rules.labels:
            try:
                await self._tree(account, source, rules.every)
                self._succeeded(account, "categories", CATEGORIES.name)
            except UpstreamError as error:
                failed = self._failed(account, "categories", error)
        try:
            await self._refresh_details(account, source, rules, wanted)
            self._succeeded(account, "metadata", VIDEO_INFOS.name)
        except UpstreamError as error:
            failed = self._failed(account, "metadata", error)
        self.forget(account, wanted)
        self._log_deleted(account, configured)
        if failed is None:
            self._meter.metadata_refreshed(account, self._now())
            return None
        if isinstance(failed, QuotaExceeded):
            return Retry(self._now() + _QUOTA_PAUSE_SECONDS)
        return Retry(self._now() + failed.wait if failed.wait else 0.0)

    async def _refresh_details(
        self, account: str, source: MediaSource, rules: MetadataRules, wanted: Collection[str]
    ) -> None:
        now = self._now()
        due, gone = due_media(wanted, self.metadata.get(account), rules.every, now)
        if not 0 <= now - self._deleted_checked_at.get(account, -rules.every) < rules.every:
            self._deleted_checked_at[account] = now
            due += gone
        for begin in range(0, len(due), _MEDIA_PER_ROUND):
            details: dict[str, MediaDetails] = {}
            missing: set[str] = set()
            try:
                for media_ids in _batches(due[begin : begin + _MEDIA_PER_ROUND], set(gone)):
                    infos = await source.details(media_ids)
                    details |= {each.media_id: each for each in infos.details}
                    missing |= infos.missing
            finally:
                if details or missing:
                    self._describe(account, details=details, missing=missing)
                    if self._store is not None:
                        await self._store.save_media({}, {account: self.metadata[account]})

    def problems(self, configured: Mapping[str, Collection[str]]) -> tuple[DiscoveryProblem, ...]:
        """What failed last, and which of the configured media (by account) do not exist."""
        failed = (
            DiscoveryProblem(account, what, error.code, error.message, error.advice)
            for (account, what), error in sorted(self.failures.items())
        )
        deleted = ((account, sorted(self._deleted(account).intersection(ids))) for account, ids in configured.items())
        missing = (DiscoveryProblem(account, "media", media_ids=tuple(ids)) for account, ids in deleted if ids)
        return (*failed, *missing)

    def forget(self, account: str, wanted: Collection[str]) -> None:
        """Forget the metadata of media that no query of the account publishes any more."""
        about = self.metadata.get(account)
        if about is None:
            return
        kept = frozenset(wanted).union(*(each.media_ids for (owner, _), each in self.found.items() if owner == account))
        if len(about.details) > 2 * len(kept) + _MEDIA_PER_ROUND:
            details = {media_id: each for media_id, each in about.details.items() if media_id in kept}
            self._set(account, replace(about, details=MappingProxyType(details), deleted=about.deleted & kept))

    def _describe(
        self,
        account: str,
        *,
        details: Mapping[str, MediaDetails] | None = None,
        missing: Iterable[str] = (),
        tree: CategoryTree | None = None,
    ) -> None:
        """Add what was returned about an account. Equal details stay the same objects with a new time."""
        about = self.metadata.get(account, AccountMetadata())
        details = details or {}
        self._set(
            account,
            AccountMetadata(
                MappingProxyType({**about.details, **details}),
                (about.deleted | frozenset(missing)) - details.keys(),
                tree if tree is not None else about.tree,
            ),
        )

    def _set(self, account: str, about: AccountMetadata) -> None:
        self.metadata = MappingProxyType({**self.metadata, account: about})

    def _deleted(self, account: str) -> frozenset[str]:
        return self.metadata.get(account, AccountMetadata()).deleted

    def _source(self, account: str, *, first: bool) -> MediaSource:
        async def permit() -> None:
            if not first:
                self._check_quota(account)
                await self._wait_for_polls(account)

        return MediaSource(self._client(account), permit, self._now)

    async def _wait_for_polls(self, account: str) -> None:
        waited = 0.0
        while self.is_polling(account) and waited < COURTESY_SECONDS:
            await self._sleep(COURTESY_SECONDS / 10)
            waited += COURTESY_SECONDS / 10

    def _check_quota(self, account: str) -> None:
        """Leave the polls the part of the daily quota that the rest of the day takes. Raises QuotaExceeded."""
        per_day, remaining = self._calls_per_day.get(account, 0), self._limits(account).calls_remaining
        if not per_day or remaining is None:
            return
        now = self._now()
        rest = (play_dates.next_midnight(now) - now) / _DAY
        if remaining <= per_day * rest * (1 - QUOTA_SHARE):
            raise QuotaExceeded(
                f"account {account}: the calls_per_day that are left are kept for play data",
                code="calls_per_day",
                kind=ErrorKind.OTHER,
                advice="Raise limits.calls_per_day of the account, or refresh searches and metadata less often.",
            )

    def _failed(self, account: str, what: str, error: UpstreamError) -> UpstreamError:
        """Log a failure, a lasting one once: what was known stays."""
        self.failures[account, what] = error
        action = _action(what, error)
        if error.kind is ErrorKind.AUTH and error.scope is ErrorScope.ACTION:
            self._meter.action_permitted(account, action, permitted=False)
        key = account, what, error.code
        if key not in self._logged:
            self._logged.add(key)
            log = _log.info if isinstance(error, QuotaExceeded) else _log.warning
            log(
                "media metadata not refreshed",
                account=account,
                what=what,
                code=error.code,
                kind=error.kind.value,
                request_id=error.request_id,
                error=error.message,
                advice=error.advice,
            )
        return error

    def _succeeded(self, account: str, what: str, action: str) -> None:
        self._meter.action_permitted(account, action, permitted=True)
        self._logged = {each for each in self._logged if each[:2] != (account, what)}
        if self.failures.pop((account, what), None) is not None:
            _log.info("media metadata refreshed again", account=account, what=what)

    def _log_deleted(self, account: str, configured: Collection[str]) -> None:
        deleted = {(account, each) for each in self._deleted(account).intersection(configured)} - self._logged_deleted
        if deleted:
            self._logged_deleted |= deleted
            _log.warning(
                "media do not exist",
                account=account,
                media_ids=len(deleted),
                first=_first(media_id for _, media_id in deleted),
                advice="Remove these IDs from the configuration, or correct them: the service knows no such media.",
            )


QUOTA_SHARE: Final = 0.1
"""The part of calls_per_day that searches and metadata may use ahead of what the rest of the day takes evenly."""


def _usable(result: SearchResult, wanted: Conditions) -> frozenset[str]:
    """The media that fulfil the conditions. Raises UpstreamError where the answer does not allow to tell."""
    media_ids = matching(result.hits, wanted)
    if result.hits and not media_ids and not any(map(wanted.comparable, result.hits)):
        raise UpstreamError(
            "no hit has the fields that it has to be compared by",
            code="malformed",
            kind=ErrorKind.MALFORMED,
            advice="Report this as a defect: the service answers SearchMedia in another way than documented.",
        )
    if not result.hits and result.total != 0:
        raise UpstreamError(
            "the search returned no media and did not count 0",
            code="malformed",
            kind=ErrorKind.MALFORMED,
            advice="Nothing to do if it passes: what was found before stays.",
        )
    return media_ids


def _batches(media_ids: list[str], gone: Collection[str]) -> Iterator[list[str]]:
    """Batches of at most 20; media thought to be deleted are together: one answer for all of them confirms that."""
    for some in ([each for each in media_ids if each not in gone], [each for each in media_ids if each in gone]):
        for begin in range(0, len(some), MEDIA_PER_CALL):
            yield some[begin : begin + MEDIA_PER_CALL]


def _incomplete(result: SearchResult) -> dict[str, object]:
    if result.crowded:
        return {
            "reason": "more than 5000 media were created in the same second; those beyond cannot be listed",
            "seconds": len(result.crowded),
            "advice": "Add a condition to the search that divides them; media found before stay.",
        }
    return {
        "reason": f"the service counted {result.missing} media more than it listed",
        "advice": "Nothing to do if it passes; media found before stay.",
    }


def _first(media_ids: Iterable[str]) -> str:
    return ",".join(sorted(media_ids)[:_NAMED_IN_LOG])


def _action(what: str, error: UpstreamError) -> str:
    """The action that failed: a search may fail while it reads the categories."""
    named = next((name for name in OPTIONAL_ACTIONS if f"vod:{name}" in error.advice), None)
    return named or {"metadata": VIDEO_INFOS.name, "categories": CATEGORIES.name}.get(what, SEARCH_MEDIA.name)
