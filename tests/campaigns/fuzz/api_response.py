r"""A response of the service: `STATUS\nheader: value\n...\n\nbody`, decoded as DescribeVodMediaPlayData."""

from __future__ import annotations

import contextlib
import json
import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from exporter.core.publication import PublishedMedia
from exporter.errors import UpstreamError
from exporter.exposition.render import Renderer
from exporter.vod.actions import Action
from exporter.vod.responses import RawResponse, decode_response
from exporter.vod.row_values import LARGEST_NUMBER
from tests.campaigns.fuzz.message_rules import check_no_secrets, check_sentence
from tests.campaigns.fuzz.target import SEEDS, Target
from tests.exposition.examples import publication, published, read_text, series
from tests.vod.pages import decode

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from exporter.core.model import Page, PlayRow
    from tests.campaigns.fuzz.target import Try

SECRETS: Final = ("LTAI5tCanaryCanary", "c4naryS3cretOfTheKey")
NOW: Final = 1_700_000_000.0
MEDIA_ID: Final = "9ae2af636ca6c10412f44891fc000000"
_LONGEST_MESSAGE: Final = 300
_LONGEST_LABEL: Final = 128
_LONGEST_WAIT: Final = 300.0
_NUMBERS: Final = {
    "viewers": "DAU",
    "plays": "PlaySuccessVv",
    "plays_per_viewer": "PlayPerVv",
    "play_duration": "PlayDuration",
    "play_duration_per_viewer": "PlayDurationPerUv",
    "media_duration": "VideoDuration",
}


def response_of(fuzz_input: bytes) -> RawResponse:
    """The response that an input describes; an invalid status becomes 200."""
    head, _, body = fuzz_input.partition(b"\n\n")
    status, *headers = head.decode("latin-1").split("\n")
    named = (line.partition(":") for line in headers)
    known = {name.strip().lower(): value.strip() for name, _, value in named}
    return RawResponse(int(status) if status.isascii() and status.isdigit() and len(status) < 4 else 200, known, body)


def decode_any(body: bytes, _: Mapping[str, str], *, page: int, media_id: str | None) -> Page:
    return decode(body, page=page, media_id=media_id)


def try_one(fuzz_input: bytes) -> None:
    """A valid response has the rows of its JSON and can be published; any other is an UpstreamError."""
    response = response_of(fuzz_input)
    for page, media_id in ((1, None), (2, None), (1, MEDIA_ID)):
        try:
            action = Action("Fuzz", "1", "vod:Fuzz", partial(decode_any, page=page, media_id=media_id))
            decoded = decode_response(response, action, {}, now=NOW, hide=SECRETS)
        except UpstreamError as error:
            check_refusal(error)
            continue
        assert response.is_success, f"a success with status {response.status}"
        check_answer(decoded, response.body, media_id)


def check_refusal(error: UpstreamError) -> None:
    """The error message and the labels are valid."""
    check_sentence(error.message, longest=_LONGEST_MESSAGE)
    check_sentence(error.code, longest=_LONGEST_LABEL)
    check_sentence(f"request ID: {error.request_id}", longest=_LONGEST_LABEL)
    assert error.wait is None or 0 <= error.wait <= _LONGEST_WAIT, f"waits {error.wait} s"
    check_no_secrets(SECRETS, str(error), repr(error), error.code, error.request_id, error.advice)


def check_answer(decoded: Page, body: bytes, media_id: str | None) -> None:
    """The rows are those of the JSON that have a media ID, and every number can be a sample."""
    assert decoded.total_count is None or decoded.total_count >= 0
    if media_id is not None:
        assert {row.media_id for row in decoded.rows} <= {media_id}
    plain = _strictly(body)
    if plain is not None:
        meant = [_meant(each) for each in plain.get("QoeInfoList") or () if "MediaId" in each]
        assert meant == [_numbers_of(row) for row in decoded.rows]
    rows = {row.media_id: row for row in decoded.rows}
    media = [PublishedMedia("main", row.media_id, row.title, row.media_duration) for row in rows.values()]
    shown = series(read_text(Renderer().render(publication(published(rows), media=media)).plain))
    assert all(map(math.isfinite, shown.values())), "no number for a sample"


def _strictly(body: bytes) -> dict[str, Any] | None:
    """The body, if the standard library parses it and no name is repeated."""
    try:
        decoded = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    half = any("\ud800" <= character <= "\udfff" for character in json.dumps(decoded, ensure_ascii=False))
    return None if half or not isinstance(decoded, dict) else decoded


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _meant(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["MediaId"], *(_number(row.get(wire)) for wire in _NUMBERS.values())


def _number(value: Any) -> float | None:
    """A number from 0 that a float represents exactly, also as text; anything else counts as absent."""
    if isinstance(value, str):
        value = float(value) if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", value) else None
    return float(value) if isinstance(value, int | float) and 0 <= value <= LARGEST_NUMBER else None


def _numbers_of(row: PlayRow) -> tuple[Any, ...]:
    numbers = [getattr(row, name) for name in _NUMBERS]
    return row.media_id, *(None if value is None else float(value) for value in numbers)


@contextlib.contextmanager
def _opened() -> Generator[Try]:
    yield try_one


TARGET: Final = Target(
    "api-response",
    "a response of the service: status, headers and body",
    [(SEEDS / "api_response", "*.txt")],
    _opened,
    words=(
        b'"QoeInfoList":[',
        b'"MediaId":',
        b'"TotalCount":',
        b'"PlaySuccessVv":',
        b'"VideoTitle":',
        b'"PageNo":1',
        b'"Code":',
        b'"Message":',
        b'"RequestId":',
        b"Meter.ReadyTsError",
        b"Throttling.User",
        b"InvalidTimeStamp.Expired",
        b"Meter.ParamError",
        b"string to sign",
        b"Signature=",
        b"x-acs-retry-after: ",
        b"Retry-After: ",
        b"x-ratelimit-user-api: Limit:1,Remain:0,TimeLeft:2000,Reset:1",
        b"Date: Tue, 14 Nov 2023 21:13:20 GMT",
        b"1e999",
        b"1e-400",
        b"NaN",
        b"-0.0",
        b"\\ud83d",
        b"\\u0000",
        b"\xff",
        b"\xef\xbb\xbf",
        b"null",
        b"18446744073709551616",
        *(secret.encode() for secret in SECRETS),
        MEDIA_ID.encode(),
    ),
)
