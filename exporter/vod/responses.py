"""Interpret a response of the service: decode it, or raise the UpstreamError it stands for; no network access."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.errors import ErrorKind, NotReady, RetryPolicy, UpstreamError
from exporter.safe_text import printable, shortened
from exporter.vod import error_bodies, error_codes, wait_headers
from exporter.vod.error_classification import classify
from exporter.vod.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exporter.vod.actions import Action

LARGEST_RESPONSE: Final = 16 * 1024 * 1024
LARGEST_ERROR: Final = error_bodies.LARGEST_ERROR
"""Bytes of a decoded body; genuine ones are shorter."""

_LONGEST_MESSAGE: Final = 300
_LONGEST_REQUEST_ID: Final = 64
# The service repeats the text it signed, with our parameters and token: the message is cut off at these words.
_ECHO: Final = re.compile(r"(server )?string[ _-]?to[ _-]?sign.*", re.IGNORECASE | re.DOTALL)
# Signatures and hashes of any request.
_SIGNATURE: Final = re.compile(r"\b[0-9a-fA-F]{64}\b|(?<=signature=)[^\s,;&\"']+", re.IGNORECASE)

# Cannot match within a JSON string, where the quotes would be escaped.
_REQUEST_ID: Final = re.compile(rb'"RequestId"\s*:\s*"([^"\\]{1,128})"')
_OK: Final = 200
# Seconds that clocks may seem to differ by: the Date header has whole seconds.
_DATE_PRECISION: Final = 2

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
    response: RawResponse, action: Action[T], parameters: Mapping[str, str], *, now: float, hide: Collection[str] = ()
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
        raise _malformed(response, text, response.request_id, hide)
    if response.unreadable:
        raise _malformed(response, response.unreadable, "", hide)
    try:
        return action.decode(response.body, parameters)
    except UpstreamError as error:
        # Only a body that cannot be decoded is searched for an error, so that valid ones are parsed once.
        if _has_error_code(response):
            raise _service_error(response, action, now, hide) from error
        raise _malformed(response, clean_message(error.message, hide), error.request_id, hide) from error


def no_response(code: str, message: str, hide: Collection[str] = (), *, advice: str = "") -> UpstreamError:
    """The error of an attempt without a response: code `timeout`, `connect` or `malformed`."""
    info = classify(0, code)
    return UpstreamError(
        clean_message(message, hide),
        code=info.code,
        kind=info.kind,
        advice=advice or info.advice,
        retry=info.retry,
    )


def replayed(response: RawResponse, hide: Collection[str] = ()) -> UpstreamError:
    """The error of an attempt that received the response to an earlier request again."""
    request_id = _request_id(response, response.request_id, hide)
    advice = "Look for a proxy, or a server that poses as the endpoint, that sends responses twice."
    message = f"the response to an earlier request arrived again (request ID {request_id}); it was discarded"
    return _malformed(response, message, response.request_id, hide, advice=advice)


def clean_message(text: str, hide: Collection[str] = ()) -> str:
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
        message = f"{message} ({_clock(wait_headers.clock_offset(response.headers, now))})"
    error = NotReady if info.kind is ErrorKind.NOT_READY else UpstreamError
    return error(
        message,
        code=info.code,
        kind=info.kind,
        request_id=_request_id(response, error_bodies.text(fields, "requestid"), hide),
        http_status=response.status,
        advice=info.advice,
        wait=wait_headers.requested_wait(response.headers, now) if info.retry is RetryPolicy.BACK_OFF else None,
        retry=info.retry,
        scope=info.scope,
    )


def _malformed(
    response: RawResponse, message: str, request_id: str, hide: Collection[str], *, advice: str = ""
) -> UpstreamError:
    info = classify(response.status, error_codes.MALFORMED)
    return UpstreamError(
        message,
        code=info.code,
        kind=info.kind,
        request_id=_request_id(response, request_id, hide),
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
