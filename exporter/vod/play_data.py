"""DescribeVodMediaPlayData: slice → parameters, JSON → Page; the only speller of wire names."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar

import msgspec

from exporter.core.model import Measure, Page, PlayRow
from exporter.errors import Kind, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.core.model import Slice

ACTION: Final = "DescribeVodMediaPlayData"
VERSION: Final = "2017-03-21"
ORDER_NAMES: Final = {
    Measure.PLAYS: "PlaySuccessVv",
    Measure.PLAYS_PER_VIEWER: "PlayPerVv",
    Measure.PLAY_DURATION: "PlayDuration",
    Measure.PLAY_DURATION_PER_VIEWER: "PlayDurationPerUv",
}

# Stands where an ID was damaged; half an ID may be that of another media.
_DAMAGE: Final = "\N{REPLACEMENT CHARACTER}"

T = TypeVar("T")


class Caller(Protocol):
    """Who asks the service."""

    @property
    def at_once(self) -> int:
        """How many calls may be under way at once."""
        ...

    async def call(self, action: str, version: str, parameters: Mapping[str, str], decode: Callable[[bytes], T]) -> T:
        """The decoded answer; raises UpstreamError."""
        ...


class PlayData:
    """Pages of play data of one account."""

    def __init__(self, client: Caller) -> None:
        self._client = client

    @property
    def at_once(self) -> int:
        """How many calls of the account may be under way at once."""
        return self._client.at_once

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        """One page, from 1, of a slice: of one media, or ordered by a measure, most first; raises UpstreamError."""
        asked = parameters(slice_, page=page, page_size=page_size, media_id=media_id, order_by=order_by)
        return await self._client.call(ACTION, VERSION, asked, partial(decode, page=page, media_id=media_id))


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


# Types drift between generations of this API and its siblings; None is "not given", never 0.
_Number = int | float | str | None


class _Row(msgspec.Struct, gc=False):
    """One element of QoeInfoList; field names are the service's."""

    MediaId: str | None = None
    VideoTitle: Any = None
    VideoDuration: _Number = None
    DAU: _Number = None
    PlaySuccessVv: _Number = None
    PlayPerVv: _Number = None
    PlayDuration: _Number = None
    PlayDurationPerUv: _Number = None


class _Body(msgspec.Struct, gc=False):
    """The answer; PageSize is not read: a page with more rows than asked for is still true."""

    RequestId: Any = None
    TotalCount: _Number = None
    PageNo: _Number = None
    QoeInfoList: list[_Row] | None = None


_DECODER: Final = msgspec.json.Decoder(_Body)

_WIRE_NAMES: Final = {
    "media_id": "MediaId",
    "title": "VideoTitle",
    "media_duration": "VideoDuration",
    "viewers": "DAU",
    "plays": "PlaySuccessVv",
    "plays_per_viewer": "PlayPerVv",
    "play_duration": "PlayDuration",
    "play_duration_per_viewer": "PlayDurationPerUv",
}
_Plain = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | float | None
_PlainCount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None


class _PlainRow(msgspec.Struct, gc=False, rename=_WIRE_NAMES):
    """An element of QoeInfoList as it should be."""

    media_id: Annotated[str, msgspec.Meta(min_length=1)]
    title: str | None = None
    media_duration: _Plain = None
    viewers: _Plain = None
    plays: _Plain = None
    plays_per_viewer: _Plain = None
    play_duration: _Plain = None
    play_duration_per_viewer: _Plain = None


class _PlainBody(msgspec.Struct, gc=False):
    """The answer as it should be."""

    QoeInfoList: list[_PlainRow]
    RequestId: str = ""
    TotalCount: _PlainCount = None
    PageNo: _PlainCount = None


_PLAIN_DECODER: Final = msgspec.json.Decoder(_PlainBody)


def decode(body: bytes, *, page: int | None = None, media_id: str | None = None) -> Page:
    """The page that a body holds; `page` and `media_id` as asked, where the answer must agree with them.

    Raises UpstreamError of kind malformed that names the field, with the request ID where there is one.
    """
    return _plain(body, page, media_id) or _careful(body, page, media_id)


def _plain(body: bytes, page: int | None, media_id: str | None) -> Page | None:
    """The page, where everything is as it should be; None otherwise.

    That is what the service says all day, read without looking at each number in Python: a third of the time.
    """
    try:
        answer = _PLAIN_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if media_id is not None or (page is not None and answer.PageNo not in {None, page}):
        return None
    rows = msgspec.convert(answer.QoeInfoList, tuple[PlayRow, ...], from_attributes=True)
    if _DAMAGE in "".join([row.media_id for row in rows]):
        return None
    return Page(rows, answer.TotalCount, answer.RequestId)


def _careful(body: bytes, page: int | None, media_id: str | None) -> Page:
    answer = _parse(body)
    request_id = answer.RequestId if isinstance(answer.RequestId, str) else ""
    try:
        return _page(answer, request_id, page, media_id)
    except ValueError as error:
        raise _malformed(str(error), request_id) from error


def _page(answer: _Body, request_id: str, page: int | None, media_id: str | None) -> Page:
    if answer.TotalCount is None and answer.QoeInfoList is None:
        raise ValueError("neither TotalCount nor QoeInfoList: this is no answer of DescribeVodMediaPlayData")
    total = _count(answer.TotalCount, "TotalCount")
    echoed = _count(answer.PageNo, "PageNo")
    if page is not None and echoed is not None and echoed != page:
        raise ValueError(f"PageNo is {echoed}, asked for was {page}")
    rows = tuple(_row(row, index) for index, row in enumerate(answer.QoeInfoList or ()))
    if media_id is not None:
        if any(row.media_id != media_id for row in rows):
            raise ValueError(f"QoeInfoList holds another MediaId than {media_id!a}, which was asked for")
        if total and not rows:
            raise ValueError(f"TotalCount is {total} but QoeInfoList has no row of the media asked for")
    return Page(rows, total, request_id)


def _row(row: _Row, index: int) -> PlayRow:
    if not row.MediaId or _DAMAGE in row.MediaId:
        raise ValueError(f"QoeInfoList[{index}].MediaId is missing, empty or damaged")
    return PlayRow(
        row.MediaId,
        _title(row.VideoTitle),
        _number(row.VideoDuration, index, "VideoDuration"),
        _number(row.DAU, index, "DAU"),
        _number(row.PlaySuccessVv, index, "PlaySuccessVv"),
        _number(row.PlayPerVv, index, "PlayPerVv"),
        _number(row.PlayDuration, index, "PlayDuration"),
        _number(row.PlayDurationPerUv, index, "PlayDurationPerUv"),
    )


def _title(value: object) -> str | None:
    """A title that is a number is its digits; numbers of plays are not lost over any other title."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return str(value)
    return None


# Digits as JSON writes numbers; a sign and leading zeros besides. No longer than the largest float has digits.
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,309}(\.[0-9]{1,309})?([eE][+-]?[0-9]{1,4})?")
_LARGEST: Final = 1.7976931348623157e308
"""Samples are floats; what is larger has no place in one."""


def _number(value: _Number, index: int, field: str) -> int | float | None:
    if value is None:
        return None
    try:
        return _finite(value)
    except ValueError as error:
        raise ValueError(f"QoeInfoList[{index}].{field} {error}") from error


def _count(value: _Number, field: str) -> int | None:
    if value is None:
        return None
    try:
        number = _finite(value)
    except ValueError as error:
        raise ValueError(f"{field} {error}") from error
    if number < 0 or number != math.floor(number):
        raise ValueError(f"{field} is {number!r:.40}, not a whole number from 0")
    return int(number)


def _finite(value: float | str) -> int | float:
    number = _decimal(value) if isinstance(value, str) else value
    # Also false for NaN.
    if not -_LARGEST <= number <= _LARGEST:
        raise ValueError("is not a finite number")
    return number


def _decimal(text: str) -> int | float:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"is {text!a:.40}, not a number")
    return float(text) if any(mark in text for mark in ".eE") else int(text)


def _parse(body: bytes) -> _Body:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        mended = _mended(body)
        if mended == body or isinstance(error, RecursionError):
            raise _malformed(_reason(error)) from error
    try:
        return _DECODER.decode(mended)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(_reason(error)) from error


# In JSON a backslash always begins an escape. Pairs of surrogates are one escape here; a surrogate alone is the group.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def _mended(body: bytes) -> bytes:
    """The body without a byte order mark, and U+FFFD for half characters: a cut emoji in a title costs no page."""
    text = body.decode("utf-8-sig", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], text)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the answer is nested too deeply"
    if isinstance(error, msgspec.ValidationError):
        return f"the answer has another shape than DescribeVodMediaPlayData's: {error}"
    return f"the answer is not JSON: {error}"


def _malformed(message: str, request_id: str = "") -> UpstreamError:
    return UpstreamError(message, code="malformed", kind=Kind.MALFORMED, request_id=request_id)
