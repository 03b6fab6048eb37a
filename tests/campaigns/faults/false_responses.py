"""Well-formed but false responses: changing totals, wrong pages, rows of other media."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tests.campaigns.faults.fault import Family, Fault, NotApplicable
from tests.campaigns.faults.service import to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.campaigns.faults.fault import Exchange, Payload


async def _with_change(exchange: Exchange, *, change: Callable[[Exchange], Payload]) -> Payload:
    payload = change(exchange)
    await exchange.send("200 OK", {}, to_json(payload))
    return payload


def _total(exchange: Exchange, *, change: Callable[[int, int], Any]) -> Payload:
    payload = exchange.payload
    return {**payload, "TotalCount": change(payload["TotalCount"], exchange.call.page)}


def _page(exchange: Exchange, *, first: Callable[[int], int], size: int = 100) -> Payload:
    """Other rows of the same listing, starting at `first` of the page number."""
    if exchange.call.media_id is not None:
        raise NotApplicable
    begin = first(exchange.call.page)
    return {**exchange.payload, "QoeInfoList": exchange.listed()[begin : begin + size]}


def _repeated(exchange: Exchange) -> Payload:
    rows = exchange.payload["QoeInfoList"]
    return {**exchange.payload, "QoeInfoList": [*rows, *rows]}


def _contradicted(exchange: Exchange) -> Payload:
    """Every row twice, the second time with other numbers."""
    rows = exchange.payload["QoeInfoList"]
    return {**exchange.payload, "QoeInfoList": [*rows, *({**row, "PlaySuccessVv": row["DAU"]} for row in rows)]}


def _other_media(exchange: Exchange) -> Payload:
    """Rows of media that were not requested: instead of a single media, in addition to a listing."""
    stranger = {"MediaId": "stranger", "VideoTitle": "not ours", "DAU": 3, "PlaySuccessVv": 4}
    if exchange.call.media_id is not None:
        return {**exchange.payload, "TotalCount": 1, "QoeInfoList": [stranger]}
    return {**exchange.payload, "QoeInfoList": [*exchange.payload["QoeInfoList"], stranger]}


def _unfiltered(exchange: Exchange) -> Payload:
    """The whole listing for a request for one video."""
    if exchange.call.media_id is None:
        raise NotApplicable
    return {**exchange.payload, "TotalCount": len(exchange.listed()), "QoeInfoList": exchange.listed()[:100]}


def _empty_page(exchange: Exchange) -> Payload:
    return {**exchange.payload, "QoeInfoList": []}


def _reversed_order(exchange: Exchange) -> Payload:
    if exchange.call.media_id is not None:
        raise NotApplicable
    begin = (exchange.call.page - 1) * exchange.call.size
    return {**exchange.payload, "QoeInfoList": exchange.listed()[::-1][begin : begin + exchange.call.size]}


def _endless_listing(exchange: Exchange) -> Payload:
    """One row per page, each of another media, with a total of a million."""
    call = exchange.call
    if call.media_id is not None:
        raise NotApplicable
    row = {"MediaId": f"{call.page:032x}", "VideoTitle": "one more", "DAU": 1, "PlaySuccessVv": 2_000_000 - call.page}
    return {**exchange.payload, "TotalCount": 1_000_000, "QoeInfoList": [row]}


def _false_response(name: str, change: Callable[[Exchange], Payload], *, endless: bool = False) -> Fault:
    # May be accepted or rejected; if rejected, it counts as malformed.
    counted = ("malformed", "malformed")
    return Fault(name, Family.LIE, counted, 4, partial(_with_change, change=change), sure=False, endless=endless)


def faults() -> tuple[Fault, ...]:
    """All of them."""
    totals: dict[str, Callable[[int, int], Any]] = {
        "grows with every page": lambda total, page: total + 40 * page,
        "shrinks with every page": lambda total, page: max(0, total - 40 * page),
        "is one more": lambda total, _: total + 1,
        "is far too large": lambda total, _: total + 1000,
        "is beyond all numbers": lambda *_: 10**30,
        "is one less": lambda total, _: max(0, total - 1),
        "is 1": lambda *_: 1,
        "is 0": lambda *_: 0,
        "is missing": lambda *_: None,
    }
    pages: dict[str, tuple[Callable[[int], int], int]] = {
        "echoes the first page": (lambda _: 0, 100),
        "echoes the page before": (lambda page: 100 * max(0, page - 2), 100),
        "is the next one": (lambda page: 100 * page, 100),
        "repeats the last row of the one before": (lambda page: max(0, 100 * (page - 1) - 1), 100),
        "has lost its first row": (lambda page: 100 * (page - 1) + 1, 99),
        "is half as long as requested": (lambda page: 50 * (page - 1), 50),
        "is twice as long as requested": (lambda page: 200 * (page - 1), 200),
        "is the whole list": (lambda _: 0, 1_000_000),
    }
    return (
        *(_false_response(f"TotalCount {name}", partial(_total, change=change)) for name, change in totals.items()),
        *(
            _false_response(f"page {name}", partial(_page, first=first, size=size))
            for name, (first, size) in pages.items()
        ),
        _false_response("every row twice", _repeated),
        _false_response("every row twice, with other numbers", _contradicted),
        _false_response("rows of a stranger", _other_media),
        _false_response("the whole list for one video", _unfiltered),
        _false_response("no rows of those counted", _empty_page),
        _false_response("least first", _reversed_order),
        _false_response("a list without end", _endless_listing, endless=True),
    )
