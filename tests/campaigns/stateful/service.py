"""The service of the histories: its current data, and everything that it returned, call by call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.core.fake_service import FakeService

if TYPE_CHECKING:
    from exporter.core.model import Measure, Page, Slice


@dataclass(frozen=True)
class SuccessfulCall:
    """One successful call."""

    at: float
    slice: Slice
    media_id: str | None
    order_by: Measure | None
    page: Page


@dataclass
class Service(FakeService):
    """Responds from its numbers with at most `largest_page` rows, and records the responses."""

    largest_page: int = 100
    responses: list[SuccessfulCall] = field(default_factory=list)

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        size = min(page_size, self.largest_page)
        answer = await super().page(slice_, page=page, page_size=size, media_id=media_id, order_by=order_by)
        self.responses.append(SuccessfulCall(self.now, slice_, media_id, order_by, answer))
        return answer
