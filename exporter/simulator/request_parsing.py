"""Parses the parameters of DescribeVodMediaPlayData, or raises Meter.ParamError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES, Dimensions, Measure
from exporter.simulator.calendar import OLDEST_DAYS_AGO, day_at
from exporter.simulator.dataset import Order
from exporter.simulator.error_responses import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LARGEST_PAGE: Final = 100
# Without DAU (Alibaba Cloud's page).
ORDER_NAMES: Final = {
    "PlaySuccessVv": Measure.PLAYS,
    "PlayPerVv": Measure.PLAYS_PER_VIEWER,
    "PlayDuration": Measure.PLAY_DURATION,
    "PlayDurationPerUv": Measure.PLAY_DURATION_PER_VIEWER,
}
NAMES: Final[tuple[str, ...]] = (
    "PlayDate",
    "TerminalType",
    "Os",
    "Region",
    "MediaId",
    "PageNo",
    "PageSize",
    "OrderName",
    "OrderType",
)
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_DATE: Final = re.compile(r"[0-9]{8}")


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The requested page of a slice. `media_id` None: every video with plays."""

    play_date: date
    dimensions: Dimensions
    media_id: str | None
    page_no: int
    page_size: int
    order: Order | None


def parse_query(parameters: Mapping[str, str], now: float) -> PageQuery:
    """The query of a request at `now` (seconds since 1970); an empty value counts as absent. Raises ApiError."""
    given = {name: value for name, value in parameters.items() if value}
    return PageQuery(
        play_date=_play_date(given.get("PlayDate"), now),
        dimensions=Dimensions(
            terminal_type=_one_of("TerminalType", given, TERMINAL_TYPES),
            os=_one_of("Os", given, OPERATING_SYSTEMS),
            region=_one_of("Region", given, REGIONS),
        ),
        media_id=given.get("MediaId"),
        page_no=_number("PageNo", given),
        page_size=_number("PageSize", given, LARGEST_PAGE),
        order=_order(given),
    )


def _play_date(text: str | None, now: float) -> date:
    if text is None:
        return day_at(now, 1)
    if not _DATE.fullmatch(text):
        raise _invalid("PlayDate must be yyyyMMdd")
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise _invalid("PlayDate is not a day of the calendar") from None
    if not day_at(now, OLDEST_DAYS_AGO) <= day <= day_at(now):
        raise _invalid(f"PlayDate must be within the last {OLDEST_DAYS_AGO} days")
    return day


def _one_of(name: str, given: Mapping[str, str], allowed: Sequence[str]) -> str | None:
    value = given.get(name)
    if value is not None and value not in allowed:
        raise _invalid(f"{name} must be one of {' '.join(allowed)}")
    return value


def _number(name: str, given: Mapping[str, str], largest: int | None = None) -> int:
    text = given.get(name, "")
    value = int(text) if _NUMBER.fullmatch(text) else 0
    if value < 1 or (largest is not None and value > largest):
        raise _invalid(f"{name} must be an integer from 1" + (f" to {largest}" if largest else ""))
    return value


def _order(given: Mapping[str, str]) -> Order | None:
    name, type_ = _one_of("OrderName", given, tuple(ORDER_NAMES)), _one_of("OrderType", given, ("ASC", "DESC"))
    if (name is None) != (type_ is None):
        raise _invalid("OrderName and OrderType must be given together")
    return None if name is None else Order(ORDER_NAMES[name], descending=type_ == "DESC")


def _invalid(message: str) -> ApiError:
    return ApiError("Meter.ParamError", message)
