"""The service of the histories: what it would say now, and everything it has said, call by call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.core.fake_service import World

if TYPE_CHECKING:
    from exporter.core.model import Measure, Page, Slice


@dataclass(frozen=True)
class Said:
    """One call that was answered."""

    at: float
    slice: Slice
    media_id: str | None
    order_by: Measure | None
    page: Page


@dataclass
class Service(World):
    """Answers from its numbers, `largest_page` rows at the most whatever is asked for, and writes down what it said."""

    largest_page: int = 100
    said: list[Said] = field(default_factory=list)

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        size = min(page_size, self.largest_page)
        answer = await super().page(slice_, page=page, page_size=size, media_id=media_id, order_by=order_by)
        self.said.append(Said(self.now, slice_, media_id, order_by, answer))
        return answer
