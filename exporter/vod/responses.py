"""What a reply of the service means: an answer, or the UpstreamError it stands for; knows no network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.errors import ErrorKind, NotReady, UpstreamError
from exporter.vod import error_bodies, error_codes, wait_headers
from exporter.vod.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

LARGEST_RESPONSE: Final = 16 * 1024 * 1024
LARGEST_ERROR: Final = error_bodies.LARGEST_ERROR
"""Bytes of a decoded body; nothing true is longer."""

_LONGEST_MESSAGE: Final = 300
_LONGEST_REQUEST_ID: Final = 64
# The real service repeats what it signed, and with it our parameters and token: nothing after these words is shown.
_ECHO: Final = re.compile(r"(server )?string[ _-]?to[ _-]?sign.*", re.IGNORECASE | re.DOTALL)
# Signatures and hashes of requests, ours or any other.
_SIGNATURE: Final = re.compile(r"\b[0-9a-fA-F]{64}\b|(?<=signature=)[^\s,;&\"']+", re.IGNORECASE)

# Within a text of JSON its quotes would be escaped.
_REQUEST_ID: Final = re.compile(rb'"RequestId"\s*:\s*"([^"\\]{1,128})"')
_OK: Final = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response that arrived: `headers` by name in lower case; `unreadable` says why there is no body, or nothing."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    unreadable: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the service says that this is an answer."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers

    @property
    def request_id(self) -> str:
        """The service's name for the request that this is the reply to; empty where it has none."""
        found = _REQUEST_ID.search(self.body)
        return found[1].decode("utf-8", "replace") if found else self.headers.get("x-acs-request-id", "")


def answer(reply: RawResponse, decode: Callable[[bytes], T], *, now: float, hide: Collection[str] = ()) -> T:
    """What the reply says, decoded; raises UpstreamError for everything that is no answer.

    `decode` raises UpstreamError for a body it cannot read. `now` is seconds since 1970. `hide` are the texts that no
    message may show.
    """
    if not reply.is_success:
        raise _refusal(reply, error_bodies.fields(reply.body), now, hide)
    if reply.status != _OK:
        told = error_bodies.find(reply.body)
        if told is not None and told.code:
            raise _refusal(reply, error_bodies.fields(reply.body), now, hide)
        # A part of something, or what somebody on the way made of it.
        text = f"HTTP {reply.status}, which no whole answer of the service has"
        raise _malformed(reply, text, reply.request_id, hide)
    if reply.unreadable:
        raise _malformed(reply, reply.unreadable, "", hide)
    try:
        return decode(reply.body)
    except UpstreamError as error:
        # Only a body that is no answer is searched for an error: an answer is not parsed twice.
        told = error_bodies.find(reply.body)
        if told is not None and told.code:
            raise _refusal(reply, error_bodies.fields(reply.body), now, hide) from error
        raise _malformed(reply, clean_message(error.message, hide), error.request_id, hide) from error


def no_response(code: str, message: str, hide: Collection[str] = (), *, advice: str = "") -> UpstreamError:
    """The failure of an attempt without any response: code `timeout`, `connect` or `malformed`."""
    meaning = error_codes.classify(0, code)
    return UpstreamError(
        clean_message(message, hide), code=meaning.code, kind=meaning.kind, advice=advice or meaning.advice
    )


def replayed(reply: RawResponse, hide: Collection[str] = ()) -> UpstreamError:
    """The failure of an attempt whose answer is the one to an earlier request, sent once more."""
    return UpstreamError(
        f"the answer to an earlier request arrived again (request ID {_request_id(reply, reply.request_id, hide)}); "
        "it is not believed",
        code=error_codes.MALFORMED,
        kind=ErrorKind.MALFORMED,
        request_id=_request_id(reply, reply.request_id, hide),
        http_status=reply.status,
        advice="Look for a proxy on the way, or a server in place of the endpoint, that sends answers twice.",
    )


def clean_message(text: str, hide: Collection[str] = ()) -> str:
    """A text from outside in one printable line of at most 300 characters, without what must not be seen."""
    text = _SIGNATURE.sub("***", _ECHO.sub("", redacted(text, hide)))
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _refusal(reply: RawResponse, told: Mapping[str, object], now: float, hide: Collection[str]) -> UpstreamError:
    code, message = redacted(error_bodies.code(told), hide), clean_message(error_bodies.message(told), hide)
    meaning = error_codes.classify(reply.status, code, message)
    if not message:
        message = f"HTTP {reply.status} without a message" if code else f"HTTP {reply.status} without an error code"
    if meaning.kind is ErrorKind.CLOCK:
        message = f"{message} ({_clock(wait_headers.clock_offset(reply.headers, now))})"
    error = NotReady if meaning.kind is ErrorKind.NOT_READY else UpstreamError
    return error(
        message,
        code=meaning.code,
        kind=meaning.kind,
        request_id=_request_id(reply, error_bodies.text(told, "requestid"), hide),
        http_status=reply.status,
        advice=meaning.advice,
        wait=wait_headers.requested_wait(reply.headers, now)
        if meaning.repeat is error_codes.RetryPolicy.BACK_OFF
        else None,
    )


def _malformed(reply: RawResponse, message: str, request_id: str, hide: Collection[str]) -> UpstreamError:
    meaning = error_codes.classify(reply.status, error_codes.MALFORMED)
    return UpstreamError(
        message,
        code=meaning.code,
        kind=meaning.kind,
        request_id=_request_id(reply, request_id, hide),
        http_status=reply.status,
        advice=meaning.advice,
    )


def _clock(offset: float | None) -> str:
    if offset is None:
        return "the response has no date to compare our clock with"
    return f"our clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the service's"


def _request_id(reply: RawResponse, told: str, hide: Collection[str]) -> str:
    text = redacted(told or reply.headers.get("x-acs-request-id", ""), hide)
    # Once more: what is left out may have stood within a secret.
    return redacted("".join(c for c in text if c.isprintable() and not c.isspace()), hide)[:_LONGEST_REQUEST_ID]
