"""The way to the endpoint: names, connections, proxies and certificates, each with errors of its own."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from exporter.vod import network_errors, tcp_stream, tls_trust
from exporter.vod.network_errors import NetworkError
from exporter.vod.proxies import authority
from exporter.vod.response_head import received_head, status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from exporter.vod.proxies import Proxy
    from exporter.vod.tcp_stream import Address, Stream

    Opener = Callable[[], Awaitable[Stream]]

_CONNECTED: Final = 200


class Resolve(Protocol):
    """Looks up names."""

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host. Raises NetworkError."""
        ...


@dataclass(slots=True)
class Progress:
    """What an attempt is waiting for, for the message of a time limit that runs out."""

    waiting_for: str = "its turn"


@dataclass(frozen=True, slots=True)
class Route:
    """Where connections lead and how; `proxy` is None where they are direct, `context` where nothing is encrypted."""

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

    async def opened(self, progress: Progress) -> Stream:
        """A connection that is ready for a request. Raises NetworkError."""

        async def unencrypted() -> Stream:
            if self.proxy is not None:
                return await self._through(self.proxy, progress)
            return await self._connected(self.host, self.port, "the endpoint", progress)

        if self.scheme == "http":
            return await unencrypted()
        return await self._encrypted(unencrypted, self.host, "the endpoint", progress)

    async def _through(self, proxy: Proxy, progress: Progress) -> Stream:
        """A connection to the proxy, and where the endpoint is encrypted, through it."""
        peer = "the proxy"

        async def unencrypted() -> Stream:
            return await self._connected(proxy.host, proxy.port, peer, progress)

        if proxy.scheme == "http":
            stream = await unencrypted()
        else:
            stream = await self._encrypted(unencrypted, proxy.host, peer, progress)
        if self.scheme == "https":
            with _closed_unless_good(stream):
                progress.waiting_for = f"{peer} to connect to the endpoint"
                await self._tunnelled(stream, proxy)
        return stream

    async def _connected(self, host: str, port: int, peer: str, progress: Progress) -> Stream:
        progress.waiting_for = f"name resolution of {host}"
        addresses = await self.resolve(host, port)
        progress.waiting_for = f"{peer} to accept the connection"
        try:
            return await tcp_stream.connected(addresses)
        except OSError as error:
            raise network_errors.unconnected(peer, error) from None

    async def _encrypted(self, unencrypted: Opener, host: str, peer: str, progress: Progress) -> Stream:
        assert self.context is not None  # noqa: S101 - there is one wherever something is encrypted
        stream = await unencrypted()
        progress.waiting_for = f"the TLS handshake with {peer}"
        with _closed_unless_good(stream):
            try:
                await stream.secure(self.context, host)
            except ssl.SSLCertVerificationError as error:
                reason, advice = tls_trust.refused(error, await _shown(unencrypted, host))
                raise network_errors.untrusted(peer, reason, advice) from None
            except OSError as error:
                raise network_errors.no_tls(peer, error) from None
        return stream

    async def _tunnelled(self, stream: Stream, proxy: Proxy) -> None:
        target = authority(self.host, self.port)
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        stream.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        head = await received_head(stream)
        if head is None:
            raise network_errors.closed("by the proxy before it connected to the endpoint")
        if (status := status_of(head)) != _CONNECTED:
            raise network_errors.proxy_refused(status)
        if stream.received:
            raise network_errors.no_http("the proxy sent more than its answer to CONNECT")


async def _shown(unencrypted: Opener, host: str) -> bytes | None:
    """The certificate that was refused: asked for once more without checking it, for whom it names; nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, NetworkError):
        stream = await unencrypted()
        with contextlib.closing(stream):
            await stream.secure(context, host)
            return stream.certificate()
    return None


@contextlib.contextmanager
def _closed_unless_good(stream: Stream) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stream.close()
        raise
