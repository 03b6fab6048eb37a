"""DescribeVodMediaPlayData: slice → request parameters; `page_decoder` reads the responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.core.fields import NUMBERS
from exporter.core.model import Measure
from exporter.vod import page_decoder
from exporter.vod.actions import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import Page, Slice
    from exporter.vod.actions import ApiClient

ORDER_NAMES: Final = {Measure(field.attribute): field.wire_name for field in NUMBERS if field.sortable}


def _decode(body: bytes, parameters: Mapping[str, str]) -> Page:
    return page_decoder.decode(
        body,
        page=int(parameters["PageNo"]),
        page_size=int(parameters["PageSize"]),
        media_id=parameters.get("MediaId"),
        play_date=parameters.get("PlayDate"),
    )


# Name, version, permission and error codes: Alibaba Cloud's page.
PLAY_DATA: Final = Action(
    "DescribeVodMediaPlayData",
    "2017-03-21",
    "vod:DescribeVodMediaPlayData",
    _decode,
    (
        "Meter.ParamError",
        "Meter.ServerInternalError",
        "Meter.DataSourceQueryError",
        "Meter.AuthError",
        "Meter.ReadyTsError",
    ),
)


class PlayDataSource:
    """Pages of play data of one account."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @property
    def max_in_flight(self) -> int:
        """How many calls of the account may be in flight."""
        return self._client.max_in_flight

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        """Fetch one page of a slice, counted from 1; raises UpstreamError.

        `media_id` restricts it to one video; `order_by` sorts by a measure, largest first.
        """
        return await self._client.call(
            PLAY_DATA, parameters(slice_, page=page, page_size=page_size, media_id=media_id, order_by=order_by)
        )


def parameters(
    slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
) -> dict[str, str]:
    """The request parameters; the date is always among them, because its default is not documented."""
    optional = {
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
    return {name: value for name, value in optional.items() if value is not None}
