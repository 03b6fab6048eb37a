"""A few calls for one account, which show what the daemon would meet: permissions, media, categories, searches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.slice_results import describe_error, named
from exporter.core import play_dates
from exporter.core.media_details import MEDIA_PER_CALL, UnknownCategoryError
from exporter.core.media_search import conditions
from exporter.core.model import Dimensions, Slice
from exporter.core.plan import PAGE_SIZE
from exporter.core.player_buckets import TargetHistory
from exporter.core.unknown_media import listed_ids
from exporter.documents.durations import to_text
from exporter.errors import AccountPaused, ErrorKind, ErrorScope, NotReady, RequestSkipped, UpstreamError
from exporter.plurals import counted
from exporter.safe_text import printable
from exporter.vod import categories, player_metrics
from exporter.vod.categories import CATEGORIES
from exporter.vod.media_source import MediaSource
from exporter.vod.play_data import PLAY_DATA, PlayDataSource
from exporter.vod.player_metrics import PLAYER_METRICS
from exporter.vod.search_media import SEARCH_MEDIA
from exporter.vod.video_infos import VIDEO_INFOS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator

    from exporter.core.media_details import CategoryTree, Search
    from exporter.core.model import Query
    from exporter.core.player_query import PlayerQuery
    from exporter.vod.actions import Action, ApiClient

_DAYS_AGO: Final = 2
"""A day that the service has computed at any time of day."""
_MOST_MEDIA: Final = 1_000
_MOST_MEDIA_CALLS: Final = 60
"""More are made only to finish the last batch: IDs that do not exist are requested again in halves."""
_MADE_UP_ID: Final = "0" * 32


@dataclass(frozen=True, slots=True)
class AccountNeeds:
    """What the daemon requests of an account: queries, players, and `optional` actions."""

    account: str
    queries: tuple[Query, ...]
    players: tuple[PlayerQuery, ...]
    optional: tuple[Action[Any], ...]


class AccountCheck:
    """Makes the calls of one account, one after the other, and collects what they show.

    * `lines`: what was requested, and its result.
    * `errors`: why a part of the configuration will not work; `warnings`: what is probably not meant.
    """

    def __init__(self, needs: AccountNeeds, client: ApiClient, now: Callable[[], float]) -> None:
        self.lines: list[tuple[str, str]] = []
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self._needs = needs
        self._client = client
        self._now = now
        self._calls = 0
        self._source = MediaSource(client, self._permit, now)
        self._tree: CategoryTree | None = None
        self._media_id = _MADE_UP_ID
        self._steps = dict(self._planned())

    async def run(self) -> None:
        """Make the calls, except those that would fail for the same reason."""
        for name, step in self._steps.items():
            try:
                result = await step()
            except UpstreamError as error:
                self._failed(name, error)
                self._add(name, f"failed: {error.code}")
                if _concerns_all(error):
                    self._leave_out("not tried")
                    return
            else:
                self._add(name, result)

    def stop(self, after: float) -> None:
        """Record that the calls did not end within `after` seconds."""
        left = self._leave_out("not checked")
        self._error(
            f"{', '.join(left)}: not checked within {to_text(after)}. Check the network path to the endpoint, or raise"
            " --online.timeout."
        )

    def _leave_out(self, result: str) -> list[str]:
        done = {name for name, _ in self.lines}
        left = [name for name in self._steps if name not in done]
        self.lines += ((name, result) for name in left)
        return left

    def _add(self, name: str, result: str) -> None:
        self.lines.append((name, printable(result)))

    def _error(self, text: str) -> None:
        self.errors.append(printable(f"account {self._needs.account}: {text}"))

    def _warning(self, text: str) -> None:
        self.warnings.append(printable(f"account {self._needs.account}: {text}"))

    def _failed(self, name: str, error: UpstreamError) -> None:
        if isinstance(error, AccountPaused):
            return  # an earlier call of the same action reported the reason
        if name == VIDEO_INFOS.name and VIDEO_INFOS not in self._needs.optional and not _concerns_all(error):
            # The daemon does not call it.
            self._warning(f"whether its media IDs exist could not be checked: {describe_error(error)}")
        else:
            self._error(f"{name}: {describe_error(error)}")

    async def _permit(self) -> None:
        self._calls += 1

    def _planned(self) -> Iterator[tuple[str, Callable[[], Awaitable[str]]]]:
        """The calls by name, in their order: what one of them returns is of use to those that follow."""
        needs = self._needs
        if needs.queries:
            yield PLAY_DATA.name, self._play_data
        if CATEGORIES in needs.optional:
            yield CATEGORIES.name, self._categories
        searches: dict[Search, list[str]] = {}
        for query in needs.queries:
            if query.search is not None:
                searches.setdefault(query.search, []).append(query.name)
        for search, names in searches.items():
            yield f"{SEARCH_MEDIA.name} ({', '.join(names)})", partial(self._search, search, names)
        listed = sorted(frozenset[str]().union(*map(listed_ids, needs.queries)))
        if listed or VIDEO_INFOS in needs.optional:
            yield VIDEO_INFOS.name, partial(self._media, listed)
        players = {target.app_id: query for query in needs.players for target in query.targets}
        for app_id, player in players.items():
            yield f"{PLAYER_METRICS.name} ({app_id})", partial(self._player, app_id, player)

    async def _play_data(self) -> str:
        day = play_dates.play_date(self._now(), _DAYS_AGO)
        slice_ = Slice(self._needs.account, Dimensions(), day)
        try:
            page = await PlayDataSource(self._client).page(slice_, page=1, page_size=PAGE_SIZE)
        except NotReady:
            return f"answered: {day} is not computed yet"
        self._media_id = next((row.media_id for row in page.rows), self._media_id)
        count = len(page.rows) if page.total_count is None else page.total_count
        return f"answered: {counted(count, 'video')} with plays on {day}"

    async def _categories(self) -> str:
        if not any(query.search is not None and query.search.needs_categories for query in self._needs.queries):
            await self._client.call(CATEGORIES, categories.parameters(categories.ROOT, 1))
            return "answered"
        self._tree = await self._source.categories()
        return f"answered: {counted(len(tuple(self._tree)), 'category')}"

    async def _search(self, search: Search, names: list[str]) -> str:
        unknown = self._unknown_categories(search)
        report = self._error if search.needs_categories else self._warning
        for text in unknown.values():
            end = "" if text.endswith("?") else "."
            report(f"search of {', '.join(names)}: {text}{end} Correct the category in the configuration.")
        searchable = replace(search, categories=tuple(each for each in search.categories if each not in unknown))
        ids = None
        if not searchable.needs_categories:
            ids = frozenset(each for each in searchable.categories if isinstance(each, int)) or None
        elif self._tree is not None:
            ids = self._tree.resolve(searchable)
        wanted = conditions(searchable, ids, self._now())
        result = await self._source.search(wanted, most_pages=1)
        media_ids = result.media_ids(wanted)
        self._media_id = next(iter(media_ids), self._media_id)
        if unknown:
            return f"answered, but {', '.join(unknown.values())}"
        if searchable.needs_categories and self._tree is None:
            return "answered, but not searched: its categories are not known"
        if media_ids:
            return f"answered: finds {'' if result.complete else 'at least '}{counted(len(media_ids), 'video')}"
        if not result.complete:
            return f"answered: none of the first {counted(len(result.hits), 'hit')} fulfils all conditions"
        self._warning(
            f"search of {', '.join(names)} finds no media now: correct its conditions, unless such media are yet to"
            " come."
        )
        return "answered: finds no media now"

    def _unknown_categories(self, search: Search) -> dict[int | str, str]:
        """What is wrong with each category that the tree does not have; nothing if the tree is not known."""
        unknown: dict[int | str, str] = {}
        if self._tree is not None:
            for category in search.categories:
                try:
                    self._tree.resolve(replace(search, categories=(category,)))
                except UnknownCategoryError as error:
                    unknown[category] = str(error)
        return unknown

    async def _media(self, listed: list[str]) -> str:
        checked: list[str] = []
        found: set[str] = set()
        missing: set[str] = set()
        remaining, self._calls = listed[:_MOST_MEDIA] or [self._media_id], 0
        while remaining and self._calls < _MOST_MEDIA_CALLS:
            batch, remaining = remaining[:MEDIA_PER_CALL], remaining[MEDIA_PER_CALL:]
            infos = await self._source.details(batch)
            checked += batch
            found |= {each.media_id for each in infos.details}
            missing |= infos.missing
        if not listed:
            return "answered"
        if missing:
            self._warning(
                f"the service does not know {_of(missing, checked)}: {named(sorted(missing))}."
                " Correct or remove them: they are shown with 0 plays for ever."
            )
        if unmentioned := sorted(set(checked) - found - missing):
            self._warning(
                f"the service reports neither details nor absence of {_of(unmentioned, checked)}: {named(unmentioned)}."
                " They may belong to an application that these credentials may not read."
            )
        if left := listed[len(checked) :]:
            self._warning(f"not checked, to limit the number of calls: {_of(left, listed)}")
        return f"answered: knows {_of(found, checked)}"

    async def _player(self, app_id: str, query: PlayerQuery) -> str:
        target = next(each for each in query.targets if each.app_id == app_id)
        recent = TargetHistory.empty(query.buckets, query.calls).recent(self._now())
        rows = await player_metrics.read(self._client, target, query.calls[0], recent, query.interval)
        return f"answered: {counted(len(rows.rows), 'bucket')}"


def _of(part: Collection[str], whole: Collection[str]) -> str:
    return f"{len(part)} of {counted(len(whole), 'media ID')}"


def _concerns_all(error: UpstreamError) -> bool:
    """Whether every other call of the account would fail too."""
    return error.scope is ErrorScope.ACCOUNT and (
        isinstance(error, RequestSkipped) or error.kind in {ErrorKind.AUTH, ErrorKind.CLOCK, ErrorKind.TRANSPORT}
    )
