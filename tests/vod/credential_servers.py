"""Fakes of STS and of the metadata service of ECS on loopback, for the real credentials library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import trustme

Answer = tuple[int, Any]
NAMES = ("sts.example.com", "sts.cn-hangzhou.aliyuncs.com")
"""What the certificate of a stand-in is for, beside its address."""


@dataclass
class Keys:
    """The credentials that a fake returns; `expires` in seconds since 1970."""

    access_key_id: str = "STS.role-key-id"
    access_key_secret: str = "role-secret-0123456789"
    security_token: str = "role-token-0123456789"
    expires: float = 4_000_000_000.0

    def json(self) -> dict[str, str]:
        return {
            "AccessKeyId": self.access_key_id,
            "AccessKeySecret": self.access_key_secret,
            "SecurityToken": self.security_token,
            "Expiration": datetime.fromtimestamp(self.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


@dataclass
class ReceivedRequest:
    """A request as it arrived, header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass
class Sts:
    """AssumeRole for requests signed with `start`, AssumeRoleWithOIDC for those with `oidc_token`."""

    start: tuple[str, str, str] = ("start-id", "start-secret-0123456789", "")
    oidc_token: str = "oidc-token-0123456789"
    keys: Keys = field(default_factory=Keys)
    failure: Answer | None = None
    received: list[ReceivedRequest] = field(default_factory=list)
    host: str = ""

    def __call__(self, received: ReceivedRequest) -> Answer:
        self.received.append(received)
        if self.failure is not None:
            return self.failure
        query = received.query
        if query["Action"] == "AssumeRoleWithOIDC":
            if query["OIDCToken"] != self.oidc_token:
                return refusal(401, "AuthenticationFail.OIDCToken.Invalid", "The Jwt content is invalid.")
        elif (query["AccessKeyId"], signature(query, self.start[1]), query.get("SecurityToken", "")) != (
            self.start[0],
            query["Signature"],
            self.start[2],
        ):
            return refusal(400, "SignatureDoesNotMatch", f"server string to sign is:{received.target}")
        return 200, {"RequestId": "REQ-STS", "Credentials": self.keys.json()}


@dataclass
class Metadata:
    """The metadata service in its secure mode (a token first), for an instance with one role."""

    role_name: str = "instance-role"
    keys: Keys = field(default_factory=Keys)
    knows_tokens: bool = True
    failure: Answer | None = None
    received: list[ReceivedRequest] = field(default_factory=list)
    host: str = ""

    def __call__(self, received: ReceivedRequest) -> Answer:
        self.received.append(received)
        if self.failure is not None:
            return self.failure
        if received.path == "/latest/api/token":
            is_right = received.method == "PUT" and "x-aliyun-ecs-metadata-token-ttl-seconds" in received.headers
            return (200, "metadata-token") if self.knows_tokens and is_right else (404, "no")
        if self.knows_tokens and received.headers.get("x-aliyun-ecs-metadata-token") != "metadata-token":
            return 403, "no"
        roles = "/latest/meta-data/ram/security-credentials/"
        keys = {"Code": "Success", **self.keys.json()}
        return {roles: (200, self.role_name), roles + self.role_name: (200, keys)}.get(received.path, (404, "no"))


def refusal(status: int, code: str, message: str) -> Answer:
    """An error response in the format of STS."""
    return status, {"RequestId": "REQ-STS", "HostId": "sts", "Code": code, "Message": message}


def signature(query: Mapping[str, str], secret: str) -> str:
    """HMAC-SHA1 over the sorted parameters (the description of the RPC signature 1.0)."""
    pairs = sorted((name, value) for name, value in query.items() if name != "Signature")
    canonical = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    text = f"GET&%2F&{quote(canonical, safe='~')}"
    return base64.b64encode(hmac.digest(f"{secret}&".encode(), text.encode(), hashlib.sha1)).decode()


@contextmanager
def listening(answer: Callable[[ReceivedRequest], Answer], ca: trustme.CA | None = None) -> Iterator[str]:
    """Serve responses on loopback, over TLS with a `ca`; yields `host:port`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            # The client keeps the connection open; the test ends nevertheless.
            self.close_connection = True
            super().handle_one_request()

        def _respond(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = answer(ReceivedRequest(self.command, self.path, headers))
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = _respond  # noqa: N815 - the names are the library's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Nothing: what matters is in `received`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1", *NAMES).configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def forwarding(port: int, heads: list[str]) -> Iterator[str]:
    """As a proxy, to that port whatever CONNECT names; gives its host and port, and puts into `heads` what it got."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threads.append(threading.Thread(target=forward, args=[client]))
                    threads[-1].start()

        def forward(client: socket.socket) -> None:
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += client.recv(1)
                heads.append(head.decode("latin-1"))
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=copy, args=[server, client])
                back.start()
                copy(client, server)
                back.join()

        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until either side ends, then close the other."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
