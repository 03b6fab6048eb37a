"""Decode DescribeVodMediaPlayData's JSON value by value: an unusable value is absent, the rest of the page is kept."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from exporter.core.fields import FIELDS, NUMBERS
from exporter.core.model import Page, PlayRow, RowProblem, merged_problems
from exporter.vod import error_bodies, row_values
from exporter.vod.json_repair import NO_JSON, attempts
from exporter.vod.shared_texts import SHARED_TEXTS

# Every row has these; per-viewer values, titles and lengths may be missing without a reported problem.
_EXPECTED: Final = frozenset(field.wire_name for field in NUMBERS if field.zero_when_unplayed)
_NULL: Final = msgspec.Raw(b"null")
# yyyyMMdd or yyyy-MM-dd, as JSON.
_DATE: Final = re.compile(rb'"?([0-9]{4})-?([0-9]{2})-?([0-9]{2})"?')


# An element of QoeInfoList, each value as it stands in the body.
_Row: Final = msgspec.defstruct("_Row", [(field.wire_name, msgspec.Raw, _NULL) for field in FIELDS], gc=False)


class _UndecodedBody(msgspec.Struct, gc=False):
    """A response with undecoded rows."""

    RequestId: msgspec.Raw = _NULL
    TotalCount: msgspec.Raw = _NULL
    PageNo: msgspec.Raw = _NULL
    PlayDate: msgspec.Raw = _NULL
    QoeInfoList: list[msgspec.Raw] | None = None


_DECODER: Final = msgspec.json.Decoder(_UndecodedBody)
_ROW_DECODER: Final = msgspec.json.Decoder(_Row)


def decode_leniently(body: bytes, page: int, page_size: int, media_id: str | None, play_date: str) -> Page:
    """Decode any body, and check that it matches the requested page, page size, media and play date (yyyyMMdd).

    Raises UpstreamError of kind malformed.
    """
    response, body = _parse(body)
    request_id = row_values.text(bytes(response.RequestId)) or ""
    try:
        _check_date(response, play_date)
        return _page(body, response, request_id, page, page_size, media_id)
    except ValueError as error:
        raise error_bodies.malformed(str(error)) from error


def _page(
    body: bytes, response: _UndecodedBody, request_id: str, page: int, page_size: int, media_id: str | None
) -> Page:
    listed = response.QoeInfoList or []
    if not listed:
        _check_empty(body, response)
    problems: list[RowProblem] = []
    total = _total(response, problems)
    if total is not None and listed and (reason := _reason_for_more(body)):
        # The rows are used, but may not be all.
        total = None
        problems.append(RowProblem("TotalCount", reason, ""))
    echoed = row_values.count(bytes(response.PageNo), "PageNo")
    if echoed not in {None, page}:
        raise ValueError(f"PageNo is {echoed}, but {page} was requested")
    if len(listed) > page_size:
        raise ValueError(f"QoeInfoList has {len(listed)} rows, but {page_size} were requested")
    rows = tuple(row for row in (_row(bytes(each), problems) for each in listed) if row is not None)
    if listed and not rows:
        raise ValueError("no row of QoeInfoList has a MediaId that can be used")
    if media_id is not None:
        if any(row.media_id != media_id for row in rows):
            raise ValueError(f"QoeInfoList contains a MediaId other than {media_id!a}, which was requested")
        if total and not rows:
            raise ValueError(f"TotalCount is {total} but QoeInfoList has no row of the requested media")
    return Page(rows, total, request_id, skipped=len(listed) - len(rows), problems=merged_problems(problems))


def _check_date(response: _UndecodedBody, play_date: str) -> None:
    """Check that the date of a response is the requested one, if it has any: none is documented. Raises ValueError.

    A date with a time of day may be in UTC, where the day of UTC+8 begins the day before; it is ignored.
    """
    named = _DATE.fullmatch(response.PlayDate)
    if named is not None and (date := b"".join(named.groups()).decode()) != play_date:
        raise ValueError(f"PlayDate is {date}, but {play_date} was requested")


def _total(response: _UndecodedBody, problems: list[RowProblem]) -> int | None:
    try:
        return row_values.count(bytes(response.TotalCount), "TotalCount")
    except ValueError:
        # Rows are used without TotalCount; a response without rows needs it.
        if not response.QoeInfoList:
            raise
        problems.append(RowProblem("TotalCount", "not a count", ""))
        return None


def _reason_for_more(body: bytes) -> str:
    """Why the rows of a body may not be all; empty if nothing is wrong beside them."""
    try:
        return "beside an error" if error_bodies.find_beside(body, ["QoeInfoList"]) else ""
    except ValueError:
        return "beside content that cannot be read"


def _check_empty(body: bytes, response: _UndecodedBody) -> None:
    """Check that a body without rows shows that there are none. Raises ValueError."""
    if error := error_bodies.find(body):
        raise ValueError(f"the response contains an error and no rows: {error}")
    if bytes(response.TotalCount) == b"null" and response.QoeInfoList is None:
        raise ValueError("neither TotalCount nor QoeInfoList: this is not a response of DescribeVodMediaPlayData")
    error_bodies.check_without_rows(body)
    if error_bodies.fields(body).get("qoeinfolist"):
        raise ValueError(
            "QoeInfoList is written in another letter case: this is not a response of DescribeVodMediaPlayData"
        )


def _row(body: bytes, problems: list[RowProblem]) -> PlayRow | None:
    """The usable values of a row, with `problems` extended; None if it has no usable media ID."""
    try:
        given = _ROW_DECODER.decode(body)
    except NO_JSON:
        given = _Row()
    raw_id, raw_title, *raw_numbers = map(bytes, msgspec.structs.astuple(given))
    media_id = row_values.media_id(raw_id)
    if media_id is None:
        problems.append(RowProblem("MediaId", "missing or damaged", ""))
        return None

    def read(name: str, value: bytes) -> int | float | None:
        number, reason = row_values.number(value)
        if reason or (number is None and name in _EXPECTED):
            problems.append(RowProblem(name, reason or "missing", media_id))
        return number

    title, reason = row_values.title(raw_title)
    if reason:
        problems.append(RowProblem("VideoTitle", reason, media_id))
    numbers = (read(field.wire_name, value) for field, value in zip(NUMBERS, raw_numbers, strict=True))
    return PlayRow(SHARED_TEXTS.shared(media_id), SHARED_TEXTS.shared(title), *numbers)


def _parse(body: bytes) -> tuple[_UndecodedBody, bytes]:
    """Parse the body, repaired if necessary, and return that too; a repair loses only the value concerned."""
    reason = ""
    for repaired, is_original_text in attempts(body):
        try:
            return _DECODER.decode(repaired), repaired
        except RecursionError as error:
            raise error_bodies.malformed("the response is nested too deeply") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # An error in a repaired text would mislead: report the last one in the original text.
            reason = _reason(error, repaired) if is_original_text else reason
    raise error_bodies.malformed(reason)


def _reason(error: Exception, body: bytes) -> str:
    """Why a body cannot be decoded, in words of our own."""
    start = body.lstrip()[:1]
    if not start:
        return "the response is empty"
    if start == b"<":
        return "the response is HTML or XML, not JSON"
    if isinstance(error, msgspec.ValidationError):
        what = "QoeInfoList is not a list" if start == b"{" else "the response is JSON, but not an object"
        return f"{what}: this is not a response of DescribeVodMediaPlayData"
    return "the response is JSON that ends too early" if "truncated" in str(error) else "the response is not JSON"
