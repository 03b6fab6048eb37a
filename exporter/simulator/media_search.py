"""SearchMedia: the media that a filter finds, sorted, in pages by number or by token."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from exporter.simulator.error_responses import ApiError
from exporter.simulator.match_syntax import parse_match
from exporter.simulator.parameters import integer, page_size
from exporter.simulator.video_fields import search_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.simulator.match_syntax import Alternatives, Condition
    from exporter.simulator.media_library import LibraryState, MediaLibrary, Video
    from exporter.simulator.variants import Variants

NAMES: Final = ("SearchType", "Match", "Fields", "SortBy", "PageNo", "PageSize", "ScrollToken")
CEILING: Final = 5_000
"""Hits within the reach of page numbers alone."""

_TYPES: Final = ("video", "audio", "image", "attached")
_SORTABLE: Final[dict[str, Callable[[Video], int]]] = {
    "CreationTime": lambda video: video.created,
    "ModificationTime": lambda video: video.modified,
}
_MOST_SORT_FIELDS: Final = 3
_STEP_MEDIA, _STEP_PAGES = 100, 5
_TOKEN_LASTS: Final = 600.0
_CACHED_RESULTS, _MOST_TOKENS = 8, 1_000


@dataclass(slots=True)
class _Walk:
    """A walk by token: its hits, its position, when its token was issued, and how often it was used."""

    key: tuple[str, ...]
    hits: Sequence[Video]
    page_no: int
    at: float
    uses: int = 0


class MediaSearch:
    """Searches a library; the hits of the latest filters are cached, so that a page takes no time."""

    def __init__(self, library: MediaLibrary) -> None:
        self._library = library
        self._hits = lru_cache(_CACHED_RESULTS)(self._find)
        self._walks: OrderedDict[str, _Walk] = OrderedDict()
        self._issued = 0

    def respond(self, parameters: Mapping[str, str], now: float, variants: Variants) -> dict[str, Any]:
        """The response without RequestId; raises ApiError."""
        given = {name: value for name, value in parameters.items() if value}
        media_type = given.get("SearchType", "video")
        if media_type not in _TYPES:
            raise ApiError("InvalidParameter", f"SearchType must be one of {' '.join(_TYPES)}.")
        page_no, size = integer("PageNo", given, 1, smallest=1), page_size(given)
        match, sort, token = given.get("Match", ""), given.get("SortBy", "CreationTime:Desc"), given.get("ScrollToken")
        clauses, order = parse_match(match), _sort_order(sort, traverses=token is not None)
        hits: Sequence[Video] = ()
        if media_type == "video":
            key = (match, sort, str(size))
            if token is None:
                state = self._library.at(now, same_second=variants.created == "same_second")
                hits = self._hits(state, clauses, order, variants)
                token = self._issue(_Walk(key, hits, page_no, now))
                shown = hits[: CEILING if page_no * size > CEILING else None]
                if page_no * size > CEILING and variants.beyond_5000 == "error":
                    raise ApiError("InvalidParameter", "PageNo and PageSize exceed 5000 records, send ScrollToken.")
            else:
                shown = hits = self._scroll(token, key, page_no, size, now, variants)
            hits_shown = shown[(page_no - 1) * size : page_no * size]
        else:
            hits_shown = ()
        fields = frozenset(given.get("Fields", "").split(","))
        response: dict[str, Any] = {"Total": len(hits)}
        if token is not None:
            response["ScrollToken"] = token
        names = self._library.categories
        response["MediaList"] = [search_fields(video, fields, names, variants) for video in hits_shown]
        return response

    def _find(
        self,
        state: LibraryState,
        clauses: tuple[Alternatives, ...],
        order: tuple[tuple[str, bool], ...],
        variants: Variants,
    ) -> Sequence[Video]:
        tests = [self._test(clause, variants) for clause in clauses]
        hits = [video for video in _candidates(state, clauses) if all(test(video) for test in tests)]
        for field, descending in reversed(order):
            hits.sort(key=_SORTABLE[field], reverse=descending)
        return hits

    def _test(self, clause: Alternatives, variants: Variants) -> Callable[[Video], bool]:
        tests = [self._test_one(condition, variants) for condition in clause]
        return tests[0] if len(tests) == 1 else lambda video: any(test(video) for test in tests)

    def _test_one(self, condition: Condition, variants: Variants) -> Callable[[Video], bool]:
        values, wanted = condition.values, frozenset(condition.values)
        match condition.field:
            case "CateId":
                category = int(values[0])
                known = variants.subcategories == "included" and category in self._library.categories.by_id
                ids = self._library.categories.with_descendants(category) if known else frozenset({category})
                return lambda video: video.category_id in ids
            case "Tags" if variants.tags == "words":
                return lambda video: not wanted.isdisjoint(video.tags)
            case "Tags":
                return lambda video: any(value in tag for value in values for tag in video.tags)
            case "Title" | "Description" as field:
                attribute = field.lower()
                return lambda video: any(value in getattr(video, attribute) for value in values)
            case field if condition.range is not None:
                holds, number = condition.range.holds, _NUMBERS[field]
                return lambda video: holds(number(video))
            case field:
                text = _TEXTS[field]
                return lambda video: text(video) in wanted

    def _scroll(
        self, token: str, key: tuple[str, ...], page_no: int, size: int, now: float, variants: Variants
    ) -> Sequence[Video]:
        walk = self._walks.get(token)
        expires = variants.scroll_token == "expiring"  # noqa: S105 - no password
        if walk is None or walk.key != key or now > walk.at + _TOKEN_LASTS or (expires and walk.uses):
            raise ApiError("InvalidScrollToken.Expired")
        pages = abs(page_no - walk.page_no)
        too_far = pages > _STEP_PAGES if variants.scroll == "5_pages" else (pages + 1) * size > _STEP_MEDIA
        if too_far:
            raise ApiError("InvalidParameter", "The records from the current page to PageNo exceed 100.")
        walk.page_no, walk.uses = page_no, walk.uses + 1
        return walk.hits

    def _issue(self, walk: _Walk) -> str:
        self._issued += 1
        token = blake2b(f"{self._issued}".encode(), digest_size=16).hexdigest()
        self._walks[token] = walk
        if len(self._walks) > _MOST_TOKENS:
            self._walks.popitem(last=False)
        return token


_NUMBERS: Final[dict[str, Callable[[Video], float]]] = {
    **_SORTABLE,
    "Size": lambda video: video.size,
    "Duration": lambda video: video.duration,
}
_TEXTS: Final[dict[str, Callable[[Video], str]]] = {
    "VideoId": lambda video: video.media_id,
    "Status": lambda video: video.status,
    "AppId": lambda video: video.app_id,
    "StorageLocation": lambda video: video.storage_location,
    "MediaSource": lambda _: "general",
    "PreprocessStatus": lambda _: "UnPreprocess",
}


def _candidates(state: LibraryState, clauses: tuple[Alternatives, ...]) -> Sequence[Video]:
    """The media that can be hits: those of the IDs in the filter, or all."""
    for clause in clauses:
        if len(clause) == 1 and clause[0].field == "VideoId":
            ids = dict.fromkeys(clause[0].values)
            return [state.by_id[media_id] for media_id in ids if media_id in state.by_id]
    return state.videos


def _sort_order(text: str, *, traverses: bool) -> tuple[tuple[str, bool], ...]:
    """Fields, and whether each is descending."""
    order = []
    for part in text.split(","):
        field, _, direction = part.strip().partition(":")
        if field not in _SORTABLE or direction not in {"Asc", "Desc"}:
            raise ApiError("InvalidParameter", "SortBy must be such as CreationTime:Desc.")
        order.append((field, direction == "Desc"))
    if len(order) > (1 if traverses else _MOST_SORT_FIELDS):
        raise ApiError("SortByExceededMax")
    return tuple(order)
