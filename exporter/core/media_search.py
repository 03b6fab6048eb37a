"""Walks a search by creation time to its end, and compares every hit again; makes no calls itself."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.media_details import MediaDetails, Search

# "最多 100" hits a page, and the first 5,000 hits of a search can be reached by page numbers (Alibaba Cloud's page).
PAGE_SIZE: Final = 100
CEILING: Final = 5_000


@dataclass(frozen=True, slots=True)
class SearchConditions:
    """The conditions of a search at one instant, with resolved categories; every hit is compared with them.

    * `category_ids`: any of them; None: no condition. `created_from`: seconds since 1970.
    """

    category_ids: frozenset[int] | None = None
    tags: tuple[str, ...] = ()
    title: str | None = None
    statuses: tuple[str, ...] = ()
    created_from: float | None = None

    def match(self, details: MediaDetails) -> bool:
        """Whether a video meets all conditions; tags, status and category are compared exactly."""
        return (
            (self.category_ids is None or details.category_id in self.category_ids)
            and (not self.tags or not set(self.tags).isdisjoint(details.tags or ()))
            and (self.title is None or self.title in (details.title or ""))
            and (not self.statuses or details.status in self.statuses)
            and (self.created_from is None or (details.created_at or 0.0) >= self.created_from)
        )

    def comparable(self, details: MediaDetails) -> bool:
        """Whether the response has every field that a condition is about."""
        return (
            (self.category_ids is None or details.category_id is not None)
            and (not self.tags or details.tags is not None)
            and (self.title is None or details.title is not None)
            and (not self.statuses or details.status is not None)
        )


def conditions(search: Search, category_ids: frozenset[int] | None, now: float) -> SearchConditions:
    """The conditions of a search at `now` (seconds since 1970), with the IDs of its categories."""
    created_from = None if search.created_within is None else now - search.created_within
    return SearchConditions(category_ids, search.tags, search.title, search.statuses, created_from)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One page of hits, oldest first: created from a second on, or after it (`exclusive`)."""

    created_from: float | None
    exclusive: bool
    page: int


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One response: hits in its order, and the number of all hits; None if not given.

    `skipped`: hits without a usable media ID.
    """

    hits: tuple[MediaDetails, ...]
    total: int | None
    skipped: int = 0


class UnorderedError(ValueError):
    """The hits are not in the order of their creation: the walk would not end, or miss some."""


class MediaWalk:
    """Plans the pages of a search, ordered by creation time.

    The page after one begins at the creation time of its last hit and not at the next page number: a video that is
    deleted meanwhile would move another one to a page already read, and beyond CEILING there are no page numbers.
    Numbers are used only within a second that has more hits than a page.

    * `next`: the page to request now; None at the end.
    * `hits`: by media ID, as returned last. `total`: how many the service counted at the start.
    * `crowded`: seconds (since 1970) with more hits than can be reached.
    * `missing`: hits that the service counted and did not list.
    """

    def __init__(
        self, created_from: float | None = None, *, page_size: int = PAGE_SIZE, ceiling: int = CEILING
    ) -> None:
        self._pages = ceiling // page_size
        self._page_size = page_size
        self.next: SearchRequest | None = SearchRequest(created_from, exclusive=False, page=1)
        self._read = 0  # hits of the current window, from its first page on
        self._skipped = 0
        self.hits: dict[str, MediaDetails] = {}
        self.total: int | None = None
        self.crowded: list[float] = []
        self.missing = 0

    def on_page(self, page: SearchPage) -> None:
        """Handle the response to the request `next`. Raises UnorderedError."""
        request = self.next
        if request is None:
            return
        times = [hit.created_at for hit in page.hits if hit.created_at is not None]
        _check_order(request, times, page)
        if request == SearchRequest(request.created_from, exclusive=False, page=1) and self.total is None:
            self.total = page.total
        self.hits.update((hit.media_id, hit) for hit in page.hits)
        returned = len(page.hits) + page.skipped
        self._skipped += page.skipped
        self._read = returned + (self._read if request.page > 1 else 0)
        if page.total is None or self._read > page.total:  # no count, or a wrong one
            ended = returned < self._page_size
        else:
            ended = self._read == page.total or not returned
        self.next = None if ended else self._following(request, times)
        if ended:
            left = 0 if page.total is None else page.total - self._read
            self.missing = max(0, left, (self.total or 0) - len(self.hits) - self._skipped)

    def _following(self, request: SearchRequest, times: list[float]) -> SearchRequest:
        last = times[-1] if times else request.created_from
        if last is not None and (request.created_from is None or last > request.created_from):
            return SearchRequest(last, exclusive=False, page=1)
        if request.page < self._pages:
            return SearchRequest(request.created_from, request.exclusive, request.page + 1)
        # As many hits of one second as can be reached; `last` is None only if no hit has a time.
        self.crowded.append(last or 0.0)
        return SearchRequest(last, exclusive=True, page=1)


def _check_order(request: SearchRequest, times: list[float], page: SearchPage) -> None:
    if page.hits and not times:
        raise UnorderedError("no hit has a CreationTime")
    if any(later < earlier for earlier, later in pairwise(times)):
        raise UnorderedError("the hits are not ordered by CreationTime")
    # The other conditions are checked afterwards; this one must hold, or the walk would not advance.
    if times and request.created_from is not None:
        first = int(request.created_from) + request.exclusive
        if times[0] < first:
            raise UnorderedError("hits were created before the time that was requested")


def matching(hits: Iterable[MediaDetails], wanted: SearchConditions) -> frozenset[str]:
    """The hits that fulfil the conditions: the service's own comparison is only partly documented."""
    return frozenset(hit.media_id for hit in hits if wanted.match(hit))
