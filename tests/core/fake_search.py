"""A catalogue of media that answers searches as the service does, in each way that its documentation leaves open."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exporter.core.media_search import SearchConditions, SearchPage, SearchRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.media_details import MediaDetails


@dataclass
class FakeSearch:
    """Media by ID. `ceiling`: hits that page numbers reach. `change`: called after every answer.

    * `loose`: tags match by substring, and a category with everything else.
    * `counts`: whether answers have the number of all hits.
    """

    media: dict[str, MediaDetails]
    page_size: int = 4
    ceiling: int = 12
    loose: bool = False
    counts: bool = True
    change: Callable[[FakeSearch], None] = lambda _: None
    requests: list[SearchRequest] = field(default_factory=list)

    def page(self, request: SearchRequest, wanted: SearchConditions) -> SearchPage:
        self.requests.append(request)
        own = replace(wanted, created_from=None)
        hits = sorted(
            (each for each in self.media.values() if self._hit(each, request, own)),
            key=lambda each: (each.created_at, each.media_id),
        )
        begin = (request.page - 1) * self.page_size
        assert begin + self.page_size <= self.ceiling
        answer = SearchPage(tuple(hits[begin : begin + self.page_size]), len(hits) if self.counts else None)
        self.change(self)
        return answer

    def _hit(self, media: MediaDetails, request: SearchRequest, wanted: SearchConditions) -> bool:
        created = media.created_at or 0
        if request.created_from is not None and created < int(request.created_from) + request.exclusive:
            return False
        if not self.loose:
            return wanted.match(media)
        tags = wanted.tags
        by_tags = not tags or any(tag in given for tag in tags for given in media.tags or ())
        return by_tags and (wanted.title is None or wanted.title in (media.title or ""))
