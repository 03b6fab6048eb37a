"""What `probe` finds out about DescribeVodMediaPlayData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter.commands.probe_requests import Finding, number, order_of, repeated
from exporter.commands.response_fields import safe_name
from exporter.core.play_dates import OLDEST_DAYS_AGO, play_date

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exporter.commands.probe_requests import ProbeResponse, Requester

_PAGE: Final = 100
_DAY: Final = 2
_ROWS: Final = "QoeInfoList"


def parameters(now: float, days_ago: int, page: int = 1, **more: str) -> dict[str, str]:
    """The parameters of a page of one day."""
    return {"PlayDate": f"{play_date(now, days_ago):%Y%m%d}", "PageNo": str(page), "PageSize": str(_PAGE), **more}


def first(now: float) -> dict[str, str]:
    """The first request: the first page of the day before yesterday, which is always computed."""
    return parameters(now, _DAY)


async def findings(request: Requester, response: ProbeResponse, now: float) -> AsyncIterator[Finding]:
    """What further requests show, after the first `response`."""
    rows = response.rows(_ROWS)
    yield Finding("the day before yesterday", _has_rows(response))
    yield Finding("order of rows without OrderName", _sorted_by(rows))
    again = await request(first(now))
    yield Finding("the same page twice", again.or_error(repeated(rows, again.rows(_ROWS))))
    second = await request(parameters(now, _DAY, 2))
    yield Finding("the second page", _second_page(rows, second))
    ordered = await request(parameters(now, _DAY, OrderName="PlaySuccessVv", OrderType="DESC"))
    plays = [number(row.get("PlaySuccessVv")) for row in ordered.rows(_ROWS)]
    yield Finding("OrderName=PlaySuccessVv, DESC", ordered.or_error(order_of(plays)))
    for label, days_ago in (("yesterday", 1), ("today", 0)):
        yield Finding(label, _has_rows(await request(parameters(now, days_ago))))
    for days_ago in (OLDEST_DAYS_AGO - 1, OLDEST_DAYS_AGO, OLDEST_DAYS_AGO + 1):
        yield Finding(f"{days_ago} days ago", _has_rows(await request(parameters(now, days_ago))))


def _has_rows(response: ProbeResponse) -> str:
    total, rows = number(response.document.get("TotalCount")), response.rows(_ROWS)
    agrees = "" if total is None or (total > 0) == bool(rows) else ", and TotalCount does not agree"
    return response.or_error(f"answered with {'' if rows else 'no '}rows{agrees}")


def _second_page(rows: list[dict[str, Any]], second: ProbeResponse) -> str:
    if second.error:
        return second.outcome
    media = {str(row.get("MediaId")) for row in rows}
    later = {str(row.get("MediaId")) for row in second.rows(_ROWS)}
    if not later:
        return "empty" if len(rows) < _PAGE else "empty after a full page"
    return "some rows of the first page again" if media & later else "other rows than the first page"


def _sorted_by(rows: list[dict[str, Any]]) -> str:
    orders = {name: order_of([row.get(name) for row in rows]) for name in (rows[0] if rows else {})}
    sorted_by = [f"{safe_name(name)} {order}" for name, order in orders.items() if order in {"ascending", "descending"}]
    return ", ".join(sorted_by) or "not sorted by any field"
