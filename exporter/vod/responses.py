"""Interpret a response: decode it, or raise the UpstreamError it stands for, with the wait; no network access."""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.errors import ErrorKind, NotReady, RetryPolicy, UpstreamError
from exporter.safe_text import printable, shortened
from exporter.vod import error_bodies, error_codes
from exporter.vod.error_classification import classify
from exporter.vod.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exporter.vod.actions import Action

LARGEST_RESPONSE: Final = 16 * 1024 * 1024
LARGEST_ERROR: Final = error_bodies.LARGEST_ERROR
"""Bytes of a decoded body; genuine ones are shorter."""
LONGEST_WAIT: Final = 300.0
"""Seconds; longer requested waits are shortened to this."""

_LONGEST_MESSAGE: Final = 300
_LONGEST_REQUEST_ID: Final = 64
# Request IDs that are remembered for an endpoint.
_MOST_IDS: Final = 4_096
# The service repeats the text it signed, with our parameters and token: the message is cut off at these words.
_ECHO: Final = re.compile(r"(server )?string[ _-]?to[ _-]?sign.*", re.IGNORECASE | re.DOTALL)
# Signatures and hashes of any request.
_SIGNATURE: Final = re.compile(r"\b[0-9a-fA-F]{64}\b|(?<=signature=)[^\s,;&\"']+", re.IGNORECASE)

# Cannot match within a JSON string, where the quotes would be escaped.
_REQUEST_ID: Final = re.compile(rb'"RequestId"\s*:\s*"([^"\\]{1,128})"')
_OK: Final = 200
# Seconds that clocks may seem to differ by: the Date header has whole seconds.
_DATE_PRECISION: Final = 2

_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,15}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A received response: `headers` by lower-case name; `unreadable` is why there is no body, or empty."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    unreadable: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the HTTP status is one of success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers

    @property
    def request_id(self) -> str:
        """The service's ID of the request; empty if the response has none."""
        found = _REQUEST_ID.search(self.body)
        return found[1].decode("utf-8", "replace") if found else self.headers.get("x-acs-request-id", "")


def decode_response(
    response: RawResponse, action: Action[T], parameters: Mapping[str, str], *, now: float, hide: Collection[str]
) -> T:
    """Decode the response to a request with these parameters; raises UpstreamError for every failure.

    `now` is seconds since 1970. `hide` are texts that no message may show.
    """
    if not response.is_success:
        raise _service_error(response, action, now, hide)
    if response.status != _OK:
        if _has_error_code(response):
            raise _service_error(response, action, now, hide)
        # A part of a response, or one that a proxy has changed.
        text = f"HTTP {response.status}, which no complete response of the service has"
        raise _malformed(response, text, hide)
    if response.unreadable:
        raise _malformed(response, response.unreadable, hide)
    try:
        return action.decode(response.body, parameters)
    except UpstreamError as error:
        # Only a body that cannot be decoded is searched for an error, so that valid ones are parsed once.
        if _has_error_code(response):
            raise _service_error(response, action, now, hide) from error
        raise _malformed(response, clean_message(error.message, hide), hide) from error


def no_response(code: str, message: str, hide: Collection[str], *, advice: str = "") -> UpstreamError:
    """The error of an attempt without a response: code `timeout`, `connect` or `malformed`."""
    info = classify(0, code)
    return UpstreamError(
        clean_message(message, hide),
        code=info.code,
        kind=info.kind,
        advice=advice or info.advice,
        retry=info.retry,
    )


def replayed(response: RawResponse, hide: Collection[str]) -> UpstreamError:
    """The error of an attempt that received the response to an earlier request again."""
    request_id = _request_id(response, response.request_id, hide)
    advice = "Look for a proxy, or a server that poses as the endpoint, that sends responses twice."
    message = f"the response to an earlier request arrived again (request ID {request_id}); it was discarded"
    return _malformed(response, message, hide, advice=advice)


class ReplayDetector:
    """Rejects responses to earlier requests by the request ID that the service gives each request."""

    def __init__(self) -> None:
        # The IDs of the latest responses, with their calls and connections.
        self._known: dict[str, tuple[bytes, weakref.ref[object] | None]] = {}

    def check(self, response: RawResponse, call: bytes, connection: object | None, hide: Collection[str]) -> None:
        """Raise UpstreamError if its ID was already used for another call, or for the same call on this connection.

        `call` is the action and its parameters. A response without an ID is never a copy. The same response to the same
        call over another connection comes from a cache: it is old but correct.
        """
        request_id = response.request_id
        if not request_id:
            return
        before = self._known.get(request_id)
        if before is None:
            self._known[request_id] = call, weakref.ref(connection) if connection is not None else None
            if len(self._known) > _MOST_IDS:
                del self._known[next(iter(self._known))]
            return
        earlier = before[1]() if before[1] is not None else None
        if before[0] != call or (connection is not None and earlier is connection):
            raise replayed(response, hide)


def clean_message(text: str, hide: Collection[str]) -> str:
    """A text from outside as one printable line of at most 300 characters, without secrets and signatures."""
    text = _SIGNATURE.sub("***", _ECHO.sub("", redacted(text, hide)))
    return shortened(printable(" ".join(text.split())), _LONGEST_MESSAGE)


def _has_error_code(response: RawResponse) -> bool:
    found = error_bodies.find(response.body)
    return found is not None and bool(found.code)


def _service_error(response: RawResponse, action: Action[T], now: float, hide: Collection[str]) -> UpstreamError:
    fields = error_bodies.fields(response.body)
    code, message = redacted(error_bodies.code(fields), hide), clean_message(error_bodies.message(fields), hide)
    info = classify(response.status, code, message, action=action)
    if not message:
        message = f"HTTP {response.status} without {'a message' if code else 'an error code'}"
    if info.kind is ErrorKind.CLOCK:
        message = f"{message} ({_clock(clock_offset(response.headers, now))})"
    error = NotReady if info.kind is ErrorKind.NOT_READY else UpstreamError
    return error(
        message,
        code=info.code,
        kind=info.kind,
        request_id=_request_id(response, error_bodies.text(fields, "requestid"), hide),
        http_status=response.status,
        advice=info.advice,
        wait=requested_wait(response.headers, now) if info.retry is RetryPolicy.BACK_OFF else None,
        retry=info.retry,
        scope=info.scope,
    )


def _malformed(response: RawResponse, message: str, hide: Collection[str], *, advice: str = "") -> UpstreamError:
    info = classify(response.status, error_codes.MALFORMED)
    return UpstreamError(
        message,
        code=info.code,
        kind=info.kind,
        request_id=_request_id(response, response.request_id, hide),
        http_status=response.status,
        advice=advice or info.advice,
        retry=info.retry,
    )


def _clock(offset: float | None) -> str:
    if offset is None:
        return "the response has no date to compare our clock with"
    if abs(offset) < _DATE_PRECISION:
        return "our clock agrees with the service's"
    return f"our clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the service's"


def _request_id(response: RawResponse, given: str, hide: Collection[str]) -> str:
    text = redacted(given or response.headers.get("x-acs-request-id", ""), hide)
    # Redact again: removing characters may have completed a secret.
    return redacted(printable(text, instead="").replace(" ", ""), hide)[:_LONGEST_REQUEST_ID]


def requested_wait(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that the service requests to wait, at most LONGEST_WAIT; None if it requests none.

    In order: `x-acs-retry-after` in milliseconds; `x-ratelimit-user-api` and `x-ratelimit-user`, whose TimeLeft is in
    milliseconds (official SDK); `Retry-After` in seconds or as a date. `headers` are looked up in lower case; `now` is
    seconds since 1970.
    """
    wait = (
        _milliseconds(headers.get("x-acs-retry-after", ""))
        or max(_time_left(headers.get(name, "")) for name in ("x-ratelimit-user-api", "x-ratelimit-user"))
        or _retry_after(headers, now)
    )
    return min(wait, LONGEST_WAIT) if wait > 0 else None


def clock_offset(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds the local clock is ahead of the Date header; None if there is no valid one."""
    theirs = _http_date(headers.get("date", ""))
    return None if theirs is None else now - theirs


def _milliseconds(text: str) -> float:
    return int(text) / 1000 if _WHOLE_NUMBER.fullmatch(text.strip()) else 0.0


def _time_left(limit: str) -> float:
    """TimeLeft of `Limit:1,Remain:0,TimeLeft:2000,Reset:1234` in seconds; 0.0 while requests remain."""
    pairs = {name.strip(): value.strip() for name, _, value in (pair.partition(":") for pair in limit.split(","))}
    return _milliseconds(pairs.get("TimeLeft", "")) if pairs.get("Remain", "0") == "0" else 0.0


def _retry_after(headers: Mapping[str, str], now: float) -> float:
    text = headers.get("retry-after", "").strip()
    if _WHOLE_NUMBER.fullmatch(text):
        return float(text)
    until = _http_date(text)
    if until is None:
        return 0.0
    # Compare with the service's own clock if possible: the local one may be wrong.
    return until - (_http_date(headers.get("date", "")) or now)


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
