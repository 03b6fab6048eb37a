"""A test client over real sockets that sends a configured request and returns the response."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Only ends a test that hangs; no result depends on it.
PATIENCE = 300.0
VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class Refused(Exception):
    """The connection was closed without a response."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    cipher: str = ""
    version: str = ""
    alpn: str | None = None
    certificate: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Client:
    """A request and its TLS settings; `only` and `curve` restrict what the client offers."""

    tls: bool = True
    cert: str | None = None
    only: str | None = None
    ciphers: str = ""
    curve: str | None = None
    user: str | None = None
    path: str = "/metrics"
    alpn: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def context(self, folder: Path) -> ssl.SSLContext | None:
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        if self.only:
            with warnings.catch_warnings(action="ignore"):  # deprecated versions
                context.minimum_version = context.maximum_version = VERSIONS[self.only]
            if self.only in {"TLS10", "TLS11"}:
                context.set_ciphers("ALL:@SECLEVEL=0")
        if self.ciphers:
            context.set_ciphers(self.ciphers)
        if self.curve:
            context.set_ecdh_curve(self.curve)
        if self.cert:
            context.load_cert_chain(folder / f"{self.cert}.crt", folder / f"{self.cert}.key")
        if self.alpn:
            context.set_alpn_protocols(list(self.alpn))
        return context

    def request(self) -> bytes:
        headers = {"Host": "localhost", "Connection": "close", **self.headers}
        if self.user is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(self.user.encode()).decode()}"
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"GET {self.path} HTTP/1.1\r\n{head}\r\n".encode()

    async def fetch(self, port: int, folder: Path) -> Answer:
        """Raises Refused."""
        try:
            async with asyncio.timeout(PATIENCE):
                name = "localhost" if self.tls else None
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=self.context(folder), server_hostname=name
                )
                writer.write(self.request())
                whole = await reader.read(-1)
        except OSError as error:
            raise Refused(str(error)) from None
        shown = writer.get_extra_info("ssl_object")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        answer = parsed(whole)
        if shown is None:
            return answer
        return Answer(
            answer.status,
            answer.headers,
            answer.body,
            shown.cipher()[0],
            shown.version(),
            shown.selected_alpn_protocol(),
            shown.getpeercert(binary_form=True),
        )


def parsed(whole: bytes) -> Answer:
    head, blank, body = whole.partition(b"\r\n\r\n")
    if not blank:
        raise Refused("closed without an answer")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return Answer(int(status.split()[1]), {name.lower(): value for name, value in pairs}, body)
