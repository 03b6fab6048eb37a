"""One attempt of a call: a signed request, and its response received, decompressed and decoded within the timeout."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

import httpx

from exporter import __version__
from exporter.errors import ErrorKind, UpstreamError
from exporter.vod import error_codes, network_errors
from exporter.vod.network_errors import ConnectionLost, NetworkError
from exporter.vod.network_route import AttemptProgress
from exporter.vod.responses import (
    LARGEST_ERROR,
    LARGEST_RESPONSE,
    RawResponse,
    ReplayDetector,
    decode_response,
    no_response,
)
from exporter.vod.signing import canonical_query, signed_headers
from exporter.vod.transport import FRESH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.vod.actions import Action
    from exporter.vod.credentials.sources import Credentials
    from exporter.vod.redaction import Secrets

_URLS: Final = 1_024

_HEADERS: Final = {
    "content-length": "0",
    "user-agent": f"aliyun-vod-exporter/{__version__}",
    "accept": "application/json",
    "accept-encoding": "gzip",
}
_NO_BODY: Final = httpx.ByteStream(b"")

T = TypeVar("T")

_GZIP: Final = zlib.MAX_WBITS | 16
_RAW: Final = -zlib.MAX_WBITS
_GZIP_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """An action with its parameters; each attempt sends a request of its own."""

    action: Action[T]
    parameters: Mapping[str, str]
    url: httpx.URL

    @property
    def identity(self) -> bytes:
        """What the response depends on."""
        return self.action.name.encode() + b"?" + self.url.query

    def signed_request(
        self, credentials: Credentials, progress: AttemptProgress, *, at: float, nonce: str, fresh: bool
    ) -> httpx.Request:
        """A request for one attempt; `fresh` demands a new connection."""
        headers = {
            "host": self.url.netloc.decode("ascii"),
            **_HEADERS,
            "x-acs-action": self.action.name,
            "x-acs-version": self.action.version,
        }
        signed = signed_headers(self.url.query.decode("ascii"), headers, credentials, at=at, nonce=nonce)
        extensions = {FRESH: fresh, "progress": progress}
        return httpx.Request("POST", self.url, headers=signed, stream=_NO_BODY, extensions=extensions)


class Exchange:
    """Exchanges a request for a response with one endpoint.

    * `transport`: how requests are sent; `destination` names its other end in messages.
    * `timeout`: seconds for the whole exchange.
    * `secrets`: hidden in texts of servers.
    * `now`: returns seconds since 1970.
    """

    def __init__(
        self,
        endpoint: httpx.URL,
        transport: httpx.AsyncBaseTransport,
        *,
        destination: str,
        timeout: float,
        secrets: Secrets,
        now: Callable[[], float],
        nonce: Callable[[], str],
    ) -> None:
        self._destination = destination
        self._timeout = timeout
        self._secrets = secrets
        self._now = now
        self._nonce = nonce
        self._transport = transport
        self._replay_detector = ReplayDetector()
        # The same queries recur all day, and parsing a URL takes as long as signing it.
        self._url = lru_cache(_URLS)(lambda query: endpoint.copy_with(query=query))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def prepare(self, action: Action[T], parameters: Mapping[str, str]) -> Call[T]:
        """A call in RPC style (`POST /?parameters`, empty body). Raises UpstreamError for text that cannot be sent."""
        return Call(action, parameters, self._url(_query(parameters)))

    async def send(self, call: Call[T], credentials: Credentials, *, fresh: bool) -> T:
        """Send, receive and decode within the timeout; `fresh` demands a new connection.

        Raises UpstreamError, also for failures of the network.
        """
        progress = AttemptProgress()
        try:
            # One timeout for the whole exchange: timeouts of single steps would restart with every byte received.
            async with asyncio.timeout(self._timeout):
                response = await self._respond(call, credentials, progress, fresh=fresh)
                try:
                    received = await _receive(response)
                    decoded = decode_response(
                        received, call.action, call.parameters, now=self._now(), hide=self._secrets
                    )
                    connection = response.extensions.get("connection")
                    self._replay_detector.check(received, call.identity, connection, hide=self._secrets)
                except UpstreamError:
                    # After an error it is uncertain to which request the next response on this connection belongs.
                    _discard_connection(response)
                    raise
                else:
                    if not received.request_id:
                        # A copy of this response could not be distinguished from the response to the next request.
                        _discard_connection(response)
                    return decoded
                finally:
                    await response.aclose()
        except TimeoutError:
            limit = f"within {self._timeout:g} s"
            message = f"no complete response from {self._destination} {limit}: waited for {progress.waiting_for}"
            raise no_response(error_codes.TIMEOUT, message, self._secrets) from None
        except (httpx.HTTPError, OSError, UnicodeError) as error:
            failure = error if isinstance(error, NetworkError) else network_errors.closed("before the response")
            message = f"no response from {self._destination}: {failure.message}"
            # The exception chain could show the request with its secrets.
            raise no_response(failure.code, message, self._secrets, advice=failure.advice) from None

    async def _respond(
        self, call: Call[T], credentials: Credentials, progress: AttemptProgress, *, fresh: bool
    ) -> httpx.Response:
        """Send, and return the response before its body is received. Raises httpx.TransportError.

        If a reused connection turns out to be closed, the request is signed again and sent over a new one; both count
        as one attempt. Redirects are not followed and cookies are not stored: this API does not need them.
        """

        async def send(*, fresh: bool) -> httpx.Response:
            request = call.signed_request(credentials, progress, at=self._now(), nonce=self._nonce(), fresh=fresh)
            return await self._transport.handle_async_request(request)

        try:
            return await send(fresh=fresh)
        except ConnectionLost:
            return await send(fresh=True)


def _discard_connection(response: httpx.Response) -> None:
    discard = response.extensions.get("discard")
    if discard is not None:
        discard()


async def _receive(response: httpx.Response) -> RawResponse:
    """Receive the body, decompressed; without it if it is too large, or cannot be decompressed to its end."""
    status, headers = response.status_code, response.headers
    given = [word.strip().lower() for word in headers.get("content-encoding", "").split(",")]
    encodings = [word.removeprefix("x-") for word in given if word not in ("", "identity")]
    if any(word not in ("gzip", "deflate") for word in encodings):
        reason = "the response has an encoding that was not requested (only gzip was)"
        return RawResponse(status, headers, b"", reason)
    largest = LARGEST_RESPONSE if response.is_success else LARGEST_ERROR
    decompressors = [_Decompressor(each, largest) for each in reversed(encodings)]
    body = bytearray()
    # Not `aiter_bytes`: httpx takes compressed data that is cut off before its checksum for complete.
    async for received in cast("httpx.AsyncByteStream", response.stream):
        chunk = received
        try:
            for each in decompressors:
                chunk = each.decompress(chunk)
        except zlib.error:
            return RawResponse(status, headers, b"", "the response cannot be decompressed")
        body += chunk
        if len(body) > largest:
            return RawResponse(status, headers, b"", f"the response is longer than {largest} bytes")
    if response.is_success and not all(each.is_complete for each in decompressors):
        return RawResponse(status, headers, b"", "the compressed response ends before its checksum")
    return RawResponse(status, headers, bytes(body))


def _query(parameters: Mapping[str, str]) -> bytes:
    """The query string exactly as it is signed, so that no server can interpret a `+` differently."""
    try:
        return canonical_query(parameters.items()).encode("ascii")
    except UnicodeEncodeError as error:
        raise UpstreamError(
            "a parameter holds half a character (a lone surrogate), which cannot be sent",
            code="parameter",
            kind=ErrorKind.PARAMETER,
            advice="Write the media ID again in the configuration file.",
        ) from error


class _Decompressor:
    """Decompression of one encoding; at most `largest` bytes and one more from each gzip member in a chunk."""

    def __init__(self, encoding: str, largest: int) -> None:
        self._is_deflate = encoding == "deflate"
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS if self._is_deflate else _GZIP)
        self._largest = largest

    def decompress(self, chunk: bytes) -> bytes:
        try:
            found = self._zlib.decompress(chunk, self._largest + 1)
        except zlib.error:
            if not self._is_deflate:
                raise
            # Some servers omit zlib's header, contrary to HTTP.
            self._zlib = zlib.decompressobj(_RAW)
            found = self._zlib.decompress(chunk, self._largest + 1)
        self._is_deflate = False
        # A gzip stream may have several members (RFC 1952, 2.2). The next chunk completes a magic number that is cut.
        while self._zlib.eof and self._zlib.unused_data.startswith(_GZIP_MAGIC):
            rest, self._zlib = self._zlib.unused_data, zlib.decompressobj(_GZIP)
            found += self._zlib.decompress(rest, self._largest + 1)
        return found

    @property
    def is_complete(self) -> bool:
        return self._zlib.eof
