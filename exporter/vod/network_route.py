"""The endpoint of an account, and connections to it: name resolution, TCP, proxy and TLS, each with its own errors."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx

from exporter.errors import StartError
from exporter.single_flight import SharedThreads
from exporter.vod import network_errors, tcp_stream, tls_trust
from exporter.vod.network_errors import NetworkError
from exporter.vod.proxies import DEFAULT_PORTS, authority, proxy_for
from exporter.vod.response_head import read_head, status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from exporter.vod.proxies import Proxy
    from exporter.vod.tcp_stream import Address, Stream

    Opener = Callable[[], Awaitable[Stream]]
    Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

_CONTINUE: Final = 100
# Of HTTP statuses; 101 is none, as no other protocol was requested.
_INTERIM: Final = frozenset({_CONTINUE, *range(102, 200)})
_SUCCESS: Final = range(200, 300)
# Look-ups of one name that have not returned: some never do, and nothing can end their threads.
_MOST_LOOK_UPS: Final = 10
# Seconds for which addresses are good that came too late for the attempt: with name servers or search domains that do
# not respond, each look-up takes longer than that, and often longer than all attempts of a poll.
_LATE_SECONDS: Final = 300.0


class Resolver:
    """Resolves each host name once for all accounts that wait, in threads that the exit does not wait for."""

    def __init__(self, getaddrinfo: Callable[..., Sequence[tuple[Any, ...]]] | None = None) -> None:
        """`getaddrinfo` is the system's by default; it may block."""
        self._getaddrinfo = getaddrinfo
        self._threads: SharedThreads[Sequence[tuple[Any, ...]]] = SharedThreads(most=_MOST_LOOK_UPS, kept=_LATE_SECONDS)

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host, in the order to try them. Raises NetworkError."""
        # Read at each call, so that a replaced `socket.getaddrinfo` is used.
        look_up = partial(self._getaddrinfo or socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await self._threads.run((host, port), look_up, f"resolving {host}"[:40])
        except (OSError, UnicodeError) as error:
            raise network_errors.unresolved(host, error) from None
        return [(entry[0], entry[4]) for entry in found]


@dataclass(slots=True)
class AttemptProgress:
    """What an attempt is waiting for; named in the message of a timeout."""

    waiting_for: str = "its turn"


@dataclass(frozen=True, slots=True)
class Route:
    """The endpoint and the way to it; without a proxy `proxy` is None, and without any TLS `context` is None."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None
    context: ssl.SSLContext | None
    resolve: Resolve

    def __str__(self) -> str:
        """`vod.cn-shanghai.aliyuncs.com:443 through proxy 10.0.0.1:3128 (HTTPS_PROXY)`."""
        target = authority(self.host, self.port)
        return f"{target} through proxy {self.proxy}" if self.proxy else target

    async def open(self, progress: AttemptProgress) -> Stream:
        """Open a connection that is ready for a request. Raises NetworkError."""

        async def connect_plain() -> Stream:
            if self.proxy is not None:
                return await self._connect_proxy(self.proxy, progress)
            return await self._connect(self.host, self.port, "the endpoint", progress)

        if self.scheme == "http":
            return await connect_plain()
        return await self._connect_tls(connect_plain, self.host, "the endpoint", progress)

    async def _connect_proxy(self, proxy: Proxy, progress: AttemptProgress) -> Stream:
        """Connect to the proxy, and for an https endpoint through it."""
        peer = "the proxy"

        async def connect_plain() -> Stream:
            return await self._connect(proxy.host, proxy.port, peer, progress)

        if proxy.scheme == "http":
            stream = await connect_plain()
        else:
            stream = await self._connect_tls(connect_plain, proxy.host, peer, progress)
        if self.scheme == "https":
            with _closed_on_error(stream):
                progress.waiting_for = f"{peer} to connect to the endpoint"
                await self._open_tunnel(stream, proxy)
        return stream

    async def _connect(self, host: str, port: int, peer: str, progress: AttemptProgress) -> Stream:
        progress.waiting_for = f"name resolution of {host}"
        addresses = await self.resolve(host, port)
        progress.waiting_for = f"{peer} to accept the connection"
        try:
            return await tcp_stream.connect(addresses)
        except OSError as error:
            raise network_errors.unconnected(peer, error) from None

    async def _connect_tls(self, connect_plain: Opener, host: str, peer: str, progress: AttemptProgress) -> Stream:
        assert self.context is not None  # noqa: S101 - every route with TLS has a context
        stream = await connect_plain()
        progress.waiting_for = f"the TLS handshake with {peer}"
        with _closed_on_error(stream):
            try:
                await stream.start_tls(self.context, host)
            except ssl.SSLCertVerificationError as error:
                reason, advice = tls_trust.describe_rejection(error, await _rejected_certificate(connect_plain, host))
                raise network_errors.untrusted(peer, reason, advice) from None
            except OSError as error:
                raise network_errors.no_tls(peer, error) from None
        return stream

    async def _open_tunnel(self, stream: Stream, proxy: Proxy) -> None:
        target = authority(self.host, self.port)
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        stream.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        status = _CONTINUE
        while status in _INTERIM:
            if (head := await read_head(stream)) is None:
                raise network_errors.closed("by the proxy before it connected to the endpoint")
            status = status_of(head)
        if status not in _SUCCESS:
            raise network_errors.proxy_refused(status)
        if stream.received:
            raise network_errors.no_http("the proxy sent more than its response to CONNECT")


async def _rejected_certificate(connect_plain: Opener, host: str) -> bytes | None:
    """The rejected certificate, from a second handshake without verification, to describe it; no request is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, NetworkError):
        stream = await connect_plain()
        with contextlib.closing(stream):
            await stream.start_tls(context, host)
            return stream.certificate()
    return None


@contextlib.contextmanager
def _closed_on_error(stream: Stream) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stream.close()
        raise


def parse_endpoint(account: str, text: str) -> httpx.URL:
    """`http(s)://host[:port]` as a URL with the path `/`. Raises StartError for any other text."""
    with contextlib.suppress(httpx.InvalidURL, UnicodeError):
        url = httpx.URL(text)
        bare = not url.userinfo and url.raw_path == b"/" and "#" not in text
        if bare and url.scheme in ("http", "https") and url.host and (url.port is None or url.port in range(1, 65536)):
            return url.copy_with(path="/")
    # The text is not shown: it may contain a password.
    raise StartError(f"account {account}: the endpoint is not a URL like https://vod.cn-shanghai.aliyuncs.com")


def route_to(
    account: str,
    endpoint: httpx.URL,
    resolve: Resolve,
    variables: Mapping[str, str],
    tls: Callable[[], ssl.SSLContext] | None,
) -> Route:
    """The way to an endpoint, through the proxy that `variables` name for it. Raises StartError for invalid variables.

    `tls` makes the context if the connection is encrypted; without it the authorities are those of `variables`.
    """
    scheme, host = endpoint.scheme, endpoint.raw_host.decode("ascii")
    port = endpoint.port or DEFAULT_PORTS[scheme]
    try:
        proxy = proxy_for(scheme, host, port, variables)
        is_encrypted = scheme == "https" or (proxy is not None and proxy.scheme == "https")
        context = (tls() if tls else tls_trust.tls_context(variables)) if is_encrypted else None
        return Route(scheme, host, port, proxy, context, resolve)
    except StartError as error:
        raise StartError(f"account {account}: {error}") from None
