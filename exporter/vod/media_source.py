"""Searches, details and categories of one account: complete results, each from as many calls as it takes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from exporter.core.media_details import CategoryTree
from exporter.core.media_search import MediaWalk, SearchConditions, UnorderedError, matching
from exporter.errors import ErrorKind, UpstreamError
from exporter.vod import categories, search_media, video_infos
from exporter.vod.categories import CATEGORIES
from exporter.vod.error_bodies import malformed
from exporter.vod.search_media import CATEGORIES_PER_SEARCH, SEARCH_MEDIA
from exporter.vod.video_infos import VIDEO_INFOS, VideoInfos

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from exporter.core.media_details import Category, MediaDetails
    from exporter.vod.actions import Action, ApiClient

T = TypeVar("T")

# No account needs so many calls: the service is at fault, and the rest of the tree is not read.
_MAX_CALLS_FOR_CATEGORIES: Final = 10_200


class _Permit(Protocol):
    """Waits until a call may be made."""

    def __call__(self) -> Awaitable[object]:
        """Return when the next call may be made; raises UpstreamError if it may not be made now."""
        ...


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search returned: the hits, not compared yet, and how many the service counted (None: not given).

    * `crowded`: seconds (since 1970) in which more media were created than a search can list.
    * `missing`: the number of hits that the service counted and did not list.
    """

    hits: tuple[MediaDetails, ...]
    total: int | None
    crowded: tuple[float, ...] = ()
    missing: int = 0

    @property
    def complete(self) -> bool:
        """Whether every hit was listed."""
        return not self.crowded and not self.missing

    def media_ids(self, wanted: SearchConditions) -> frozenset[str]:
        """The media that fulfil the conditions. Raises UpstreamError if the response does not show which ones do."""
        media_ids = matching(self.hits, wanted)
        if self.hits and not media_ids and not any(map(wanted.comparable, self.hits)):
            raise UpstreamError(
                "no hit has the fields that the conditions are about",
                code="malformed",
                kind=ErrorKind.MALFORMED,
                advice="Report this as a defect: the responses of SearchMedia differ from its documentation.",
            )
        if not self.hits and self.total != 0:
            raise UpstreamError(
                "the search returned no media and did not count 0",
                code="malformed",
                kind=ErrorKind.MALFORMED,
                advice="Usually temporary: what was found before stays.",
            )
        return media_ids


class MediaSource:
    """Media of one account, one call at a time: `permit` is awaited before each.

    `succeeded` gets the name of the action of each call that has succeeded; `action`: of the last call.
    """

    def __init__(
        self,
        client: ApiClient,
        permit: _Permit,
        now: Callable[[], float],
        succeeded: Callable[[str], None] = lambda _action: None,
    ) -> None:
        self._client = client
        self._permit = permit
        self._now = now
        self._succeeded = succeeded
        self.action = ""

    async def _call(self, action: Action[T], parameters: Mapping[str, str]) -> T:
        self.action = action.name
        await self._permit()
        response = await self._client.call(action, parameters)
        self._succeeded(action.name)
        return response

    async def search(self, wanted: SearchConditions, *, most_pages: int | None = None) -> SearchResult:
        """All hits of a search, or those of at most `most_pages` pages for each 50 categories. Raises UpstreamError."""
        ids = sorted(wanted.category_ids or ())
        groups = [ids[begin : begin + CATEGORIES_PER_SEARCH] for begin in range(0, len(ids), CATEGORIES_PER_SEARCH)]
        if wanted.category_ids is None:
            groups = [[]]
        hits: dict[str, MediaDetails] = {}
        totals: list[int | None] = []
        crowded: list[float] = []
        missing = 0
        for group in groups:
            walk = await self._walk(wanted, group, most_pages)
            hits |= walk.hits
            totals.append(walk.total)
            crowded += walk.crowded
            missing += walk.missing if walk.next is None else max(1, (walk.total or 0) - len(walk.hits))
        known = [total for total in totals if total is not None]
        return SearchResult(
            tuple(hits.values()), sum(known) if len(known) == len(totals) else None, tuple(crowded), missing
        )

    async def _walk(self, wanted: SearchConditions, category_ids: Sequence[int], most_pages: int | None) -> MediaWalk:
        walk = MediaWalk(wanted.created_from)
        pages = 0
        while (request := walk.next) is not None and pages != most_pages:
            pages += 1
            page = await self._call(SEARCH_MEDIA, search_media.parameters(request, wanted, category_ids))
            now = self._now()
            try:
                walk.on_page(replace(page, hits=tuple(replace(hit, observed_at=now) for hit in page.hits)))
            except UnorderedError as error:
                raise malformed(str(error)) from error
        return walk

    async def details(self, media_ids: Sequence[str]) -> VideoInfos:
        """Details of at most 20 media. Raises UpstreamError.

        If the service answers that there is no such media, each half is requested alone: it may mean only one of them.
        """
        try:
            infos = await self._call(VIDEO_INFOS, video_infos.parameters(media_ids))
        except UpstreamError as error:
            if error.code.lower() != video_infos.NOT_FOUND.lower():
                raise
            self._succeeded(VIDEO_INFOS.name)
            if len(media_ids) == 1:
                return VideoInfos((), frozenset(media_ids))
            half = len(media_ids) // 2
            first, second = await self.details(media_ids[:half]), await self.details(media_ids[half:])
            return VideoInfos((*first.details, *second.details), first.missing | second.missing)
        now = self._now()
        return replace(infos, details=tuple(replace(each, observed_at=now) for each in infos.details))

    async def categories(self, known: CategoryTree | None = None) -> CategoryTree:
        """The whole tree; `known` ones stay if some are missing, given twice or without a usable ID.

        Raises UpstreamError.
        """
        found: dict[int, Category] = {}
        parents, calls, is_short = [categories.ROOT], 0, False
        while parents:
            parent, page, read = parents.pop(), 1, 0
            while True:
                if (calls := calls + 1) > _MAX_CALLS_FOR_CATEGORIES:
                    raise malformed("the tree of categories has no end")
                response = await self._call(CATEGORIES, categories.parameters(parent, page))
                new = [each for each in _unambiguous(response.categories) if each.category_id not in found]
                found |= {each.category_id: each for each in new}
                parents += [each.category_id for each in new if each.category_id in response.parents]
                read += response.listed
                is_short = is_short or len(new) < response.listed
                if not new or response.listed < categories.PAGE_SIZE or read == response.total:
                    break
                page += 1
            if not found and response.total != 0:
                raise malformed("the response lists no categories and does not count 0")
            is_short = is_short or read < (response.total or 0)
        if is_short and known is not None:
            found = {each.category_id: each for each in known} | found
        return CategoryTree(found.values())


def _unambiguous(listed: Iterable[Category]) -> list[Category]:
    """The categories in their order, each once, without those whose ID has different content."""
    distinct = list(dict.fromkeys(listed))
    times = Counter(each.category_id for each in distinct)
    return [each for each in distinct if times[each.category_id] == 1]
