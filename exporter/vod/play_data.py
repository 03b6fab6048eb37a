"""DescribeVodMediaPlayData: slice → parameters; what it answers is read by `page_decoder`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from exporter.core.fields import NUMBERS
from exporter.core.model import Measure
from exporter.vod.page_decoder import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.core.model import Page, Slice

ACTION: Final = "DescribeVodMediaPlayData"
VERSION: Final = "2017-03-21"
ORDER_NAMES: Final = {Measure(field.attribute): field.wire_name for field in NUMBERS if field.sortable}

T = TypeVar("T")


class ApiClient(Protocol):
    """Who asks the service."""

    @property
    def max_in_flight(self) -> int:
        """How many calls may be under way at once."""
        ...

    async def call(self, action: str, version: str, parameters: Mapping[str, str], decode: Callable[[bytes], T]) -> T:
        """The decoded answer; raises UpstreamError."""
        ...


class PlayDataSource:
    """Pages of play data of one account."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @property
    def max_in_flight(self) -> int:
        """How many calls of the account may be under way at once."""
        return self._client.max_in_flight

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        """One page, from 1, of a slice: of one media, or ordered by a measure, most first; raises UpstreamError."""
        asked = parameters(slice_, page=page, page_size=page_size, media_id=media_id, order_by=order_by)
        return await self._client.call(
            ACTION, VERSION, asked, partial(decode, page=page, page_size=page_size, media_id=media_id)
        )


def parameters(
    slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
) -> dict[str, str]:
    """What is asked, in the service's words; the date always, because its default is not documented."""
    wanted = {
        "PlayDate": f"{slice_.play_date:%Y%m%d}",
        "PageNo": str(page),
        "PageSize": str(page_size),
        "TerminalType": slice_.dimensions.terminal_type,
        "Os": slice_.dimensions.os,
        "Region": slice_.dimensions.region,
        "MediaId": media_id,
        "OrderName": ORDER_NAMES[order_by] if order_by is not None else None,
        "OrderType": "DESC" if order_by is not None else None,
    }
    return {name: value for name, value in wanted.items() if value is not None}
