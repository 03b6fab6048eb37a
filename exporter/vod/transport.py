"""httpx's requests over aiohttp's connections: what httpx asks of a transport, in less than half of its own CPU."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

import aiohttp
import httpx
from yarl import URL

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

KEEP_ALIVE: Final = 5.0
"""Seconds that a connection is kept open without a request, as long as httpx keeps its own."""

CHUNK_BYTES: Final = 8_192

# From the particular to the general; the first that fits is taken.
_MEANINGS: Final[tuple[tuple[type[Exception], type[httpx.TransportError]], ...]] = (
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),  # the body ended too early
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),  # that was not HTTP
    (aiohttp.ClientError, httpx.ReadError),
    (ValueError, httpx.LocalProtocolError),  # what was to be sent is not HTTP
)


class Direct:
    """Sends over one transport what httpx's client would send over it, at a third of its cost.

    There is nothing to do for what else a client is for: redirects are not followed, no cookie is kept.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def send(self, request: httpx.Request, *, auth: httpx.Auth, stream: Literal[True]) -> httpx.Response:  # noqa: ARG002 - as httpx's client is called
        """The response, its body still to be received. Raises httpx.TransportError."""
        response = await self._transport.handle_async_request(next(auth.auth_flow(request)))
        response.request = request
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


class Connections(httpx.AsyncBaseTransport):
    """Connections that are made when they are needed, as many as there are requests under way, and kept for the next.

    It sets no time limit of its own, asks no proxy, and leaves redirects, cookies and compression to httpx.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and receive up to the end of the headers. Raises httpx.TransportError."""
        # A session belongs to a loop, which there need not be when this is made.
        session = self._session = self._session or _session(self._context)
        with _translated():
            response = await session.request(
                request.method,
                URL(str(request.url), encoded=True),  # as it was signed
                headers=[(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw],
                data=await request.aread() or None,
                allow_redirects=False,
            )
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response))

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Body(httpx.AsyncByteStream):
    """What comes after the headers, as it was sent."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            content = self._response.content
            # In small pieces what is packed: it may unfold a thousandfold, and is counted after each.
            packed = "Content-Encoding" in self._response.headers
            async for chunk in content.iter_chunked(CHUNK_BYTES) if packed else content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        """Keep the connection for the next request, or close it where something is left to be received."""
        self._response.release()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, ValueError) as error:
        meaning = next(theirs for ours, theirs in _MEANINGS if isinstance(error, ours))
        # The text of the others repeats the whole URL.
        raise meaning(error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)) from error


def _session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # How many are under way at once is for the account's limits to say.
        connector=aiohttp.TCPConnector(ssl=context, limit=0, keepalive_timeout=KEEP_ALIVE),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        # All headers are httpx's: those that are signed, and no other.
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        auto_decompress=False,
    )
