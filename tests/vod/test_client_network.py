"""The client against a faulty server of raw bytes on loopback."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
import ssl
import zlib
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from exporter.errors import StartError, UpstreamError
from exporter.vod.client import Client
from exporter.vod.rate_limits import AccountLimits
from tests.vod.fakes import AdvanceableLoop, ClientFixture, FakeMeter, FakeSource, action, put_forward
from tests.vod.pages import decode
from tests.vod.servers import conversation_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PAGE = b'{"RequestId":"R","TotalCount":0,"QoeInfoList":[]}'


@asynccontextmanager
async def serving(*conversations: Conversation) -> AsyncIterator[str]:
    """An endpoint whose connections run these conversations in order, the last one for ever."""
    left = list(conversations)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) == b"P":  # of POST; TLS begins with another byte and has no end of headers
            await reader.readuntil(b"\r\n\r\n")
        await (left.pop(0) if len(left) > 1 else left[0])(reader, writer)

    async with conversation_server(serve) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def network_client(
    endpoint: str,
    timeout: float = 300.0,  # noqa: ASYNC109 - the client's; a loaded machine is slow, not wrong
    concurrency: int = 4,
) -> AsyncIterator[tuple[Client, FakeMeter]]:
    """A client with a real connection and without pauses between attempts."""

    async def no_sleep(_: float) -> None:
        await asyncio.sleep(0)

    meter = FakeMeter()
    limits = AccountLimits("main", requests_per_second=1e6, concurrency=concurrency, meter=meter)
    client = Client(
        "main",
        endpoint=endpoint,
        credentials=FakeSource(),
        limits=limits,
        timeout=timeout,
        meter=meter,
        sleep=no_sleep,
    )
    async with aclosing(client):
        yield client, meter


def says(head: bytes, body: bytes = b"", *, length: int | None = None) -> Conversation:
    async def conversation(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(body) if length is None else length
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (head, size, body))
        await writer.drain()

    return conversation


def raw(data: bytes) -> Conversation:
    async def conversation(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return conversation


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # With SO_LINGER 0, closing resets the connection.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.close()


async def resets_in_the_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await says(b"200 OK", PAGE[:20], length=len(PAGE))(reader, writer)
    await resets(reader, writer)


async def stalls(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client hangs up


async def trickles(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


GOOD = says(b"200 OK\r\nContent-Type: application/json", PAGE)
ZIPPED = gzip.compress(PAGE)
DEFLATED = zlib.compress(PAGE)
BUSY = gzip.compress(b'{"Code":"ServiceUnavailable"}')


@pytest.mark.parametrize(
    "conversation",
    [
        GOOD,
        says(b"200 OK\r\nContent-Encoding: gzip", ZIPPED),
        says(b"200 OK\r\nContent-Encoding: gzip, gzip", gzip.compress(ZIPPED)),
        says(b"200 OK\r\nContent-Encoding: gzip", b"".join(gzip.compress(bytes([byte])) for byte in PAGE)),
        says(b"200 OK\r\nContent-Encoding: deflate", DEFLATED),
        says(b"200 OK\r\nContent-Encoding: deflate", DEFLATED[2:-4]),
        raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
            % (PAGE[:5], len(PAGE) - 5, PAGE[5:])
        ),
        raw(b"HTTP/1.0 200 OK\r\n\r\n" + PAGE),
    ],
    ids=["plain", "gzip", "gzip twice", "members", "deflate", "deflate without its header", "chunked", "until closed"],
)
async def test_answers(conversation: Conversation) -> None:
    async with serving(conversation) as endpoint, network_client(endpoint) as (client, meter):
        page = await client.call(action(decode), {"a": "b"})
        assert (page.total_count, page.request_id) == (0, "R")
        assert (meter.sent, meter.failed) == (1, [])


@pytest.mark.parametrize(
    ("conversation", "failed"),
    [
        (resets, ("connect", "transport")),
        (raw(b""), ("connect", "transport")),
        (resets_in_the_body, ("connect", "transport")),
        (says(b"200 OK", PAGE[:20], length=len(PAGE)), ("connect", "transport")),
        (says(b"200 OK", PAGE[:-5]), ("malformed", "malformed")),
        (says(b"200 OK"), ("malformed", "malformed")),
        (raw(b"\x16\x03\x01garbage\r\n\r\n"), ("malformed", "malformed")),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), ("malformed", "malformed")),
        (raw(b"HTTP/1.1 200 OK\nContent-Length: 49\n\n" + PAGE), ("malformed", "malformed")),
        (raw(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 49\r\n\r\n" + PAGE), ("malformed", "malformed")),
        (raw(b"HTTP/2.0 200 OK\r\nContent-Length: 49\r\n\r\n" + PAGE), ("malformed", "malformed")),
        (says(b"206 Partial Content", PAGE), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: gzip", b"not gzip"), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: gzip", ZIPPED[:-10]), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: gzip", ZIPPED[:-8]), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: gzip", ZIPPED + ZIPPED[:-8]), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: gzip", ZIPPED[:-1]), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: gzip", ZIPPED[:-8] + b"\0" * 8), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: deflate", DEFLATED[:-4]), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: deflate", DEFLATED[2:-5]), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: gzip, gzip", gzip.compress(ZIPPED[:-8])), ("malformed", "malformed")),
        (says(b"503 Busy\r\nContent-Encoding: gzip", BUSY[:-8]), ("ServiceUnavailable", "server")),
        (says(b"500 Oops\r\nContent-Encoding: gzip", b"not gzip"), ("http_500", "server")),
        (says(b"503 Busy", b'{"Code":"ServiceUnavailable"}'), ("ServiceUnavailable", "server")),
        (says(b"500 Oops", b"x" * 1_000_000), ("http_500", "server")),
        (says(b"200 OK\r\nContent-Encoding: gzip", gzip.compress(b" " * 17 * 1024 * 1024)), ("malformed", "malformed")),
    ],
    ids=[
        "reset before headers",
        "closed before headers",
        "reset in the body",
        "closed in the body",
        "truncated JSON",
        "empty",
        "garbage",
        "two lengths",
        "line feeds alone",
        "a folded header",
        "HTTP/2.0",
        "206",
        "not gzip",
        "truncated gzip",
        "gzip without its checksum",
        "a second gzip member without its checksum",
        "gzip without its last byte",
        "gzip with a wrong checksum",
        "deflate without its checksum",
        "truncated deflate without its header",
        "truncated gzip within gzip",
        "error in truncated gzip",
        "error that is not gzip",
        "error with a code",
        "endless error",
        "gzip bomb",
    ],
)
async def test_one_failure_then_an_answer(conversation: Conversation, failed: tuple[str, str]) -> None:
    async with serving(conversation, GOOD) as endpoint, network_client(endpoint) as (client, meter):
        page = await client.call(action(decode), {})
        assert page.request_id == "R"
        assert (meter.sent, meter.failed, meter.retries) == (2, [failed], 1)


@pytest.mark.parametrize("conversation", [stalls, trickles])
def test_timeout_bounds_the_whole_attempt(conversation: Conversation) -> None:
    async def too_long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        put_forward(300)
        await conversation(reader, writer)

    async def given_up() -> None:
        async with serving(too_long) as endpoint, network_client(endpoint) as (client, meter):
            with pytest.raises(
                UpstreamError,
                match=r"^no complete response from [0-9.:]+ within 300 s: waited for the (end of the )?response$",
            ) as caught:
                await client.call(action(decode), {})
            assert caught.value.code == "timeout"
            assert meter.failed == [("timeout", "transport")] * 4

    with asyncio.Runner(loop_factory=AdvanceableLoop) as runner:
        runner.run(given_up())


async def test_no_program_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    async with network_client(endpoint) as (client, meter):
        with pytest.raises(UpstreamError, match=r"^no response from 127\.0\.0\.1:") as caught:
            await client.call(action(decode), {})
        assert caught.value.code == "connect"
        assert caught.value.advice
        assert meter.failed == [("connect", "transport")] * 4


async def test_tls_with_a_server_that_speaks_none() -> None:
    plain = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    async with serving(plain) as http, network_client(http.replace("http:", "https:")) as (client, meter):
        with pytest.raises(UpstreamError):
            await client.call(action(decode), {})
        assert meter.failed == [("connect", "transport")] * 4


async def test_redirect_is_not_followed() -> None:
    async with (
        serving(GOOD) as other,
        serving(says(b"302 Found\r\nLocation: " + other.encode())) as endpoint,
        network_client(endpoint) as (client, meter),
    ):
        with pytest.raises(UpstreamError):
            await client.call(action(decode), {})
        assert meter.failed == [("http_302", "other")]


async def test_cancelled_while_the_server_stalls() -> None:
    requested = asyncio.Event()

    async def takes_and_stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requested.set()
        await stalls(reader, writer)

    async with serving(takes_and_stalls, GOOD) as endpoint, network_client(endpoint) as (client, meter):
        call = asyncio.create_task(client.call(action(decode), {}))
        await requested.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert meter.failed == []
        assert (await client.call(action(decode), {})).request_id == "R"


async def test_proxy_of_the_environment_is_not_used_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(GOOD) as endpoint, network_client(endpoint) as (client, _):
        assert (await client.call(action(decode), {})).request_id == "R"


@pytest.mark.parametrize(
    ("variable", "value", "expected_text"),
    [
        ("HTTPS_PROXY", "gopher://127.0.0.1:1", "HTTPS_PROXY is not the URL of a proxy like "),
        ("ALL_PROXY", "socks5://127.0.0.1:1", "ALL_PROXY names a SOCKS proxy, which is not supported: "),
        ("SSL_CERT_FILE", "/nonexistent.pem", "SSL_CERT_FILE names '/nonexistent.pem', which cannot be read: No such "),
        ("SSL_CERT_FILE", "/", "SSL_CERT_FILE names '/', which cannot be read: Is a directory"),
        ("SSL_CERT_FILE", "/dev/null", "SSL_CERT_FILE names '/dev/null', which holds no certificates in PEM form"),
        ("SSL_CERT_DIR", "/nonexistent", "SSL_CERT_DIR names '/nonexistent', which is not a directory"),
    ],
)
async def test_settings_of_the_environment_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected_text: str
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(StartError) as caught:
        async with network_client("https://vod.cn-shanghai.aliyuncs.com"):
            pass
    assert str(caught.value).startswith(f"account main: {expected_text}")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1/"),
        ("HTTPS_PROXY", "nonsense://"),
        ("FTP_PROXY", "nonsense://"),
        ("NO_PROXY", "localhost,fd00::/8,[::1]:x,://,10.0.0.0/99"),
    ],
)
async def test_variables_that_do_not_matter_are_not_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    async with serving(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with network_client("http://vod.example.invalid") as (client, _):
            assert (await client.call(action(decode), {})).request_id == "R"


def test_an_unused_client_opens_no_connection() -> None:
    """A client that is never used opens nothing."""
    assert ClientFixture(lambda _: pytest.fail("asked")).meter.sent == 0


async def test_a_proxy_of_the_environment_is_used_and_no_proxy_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with network_client("http://vod.example.invalid") as (client, _):
            assert (await client.call(action(decode), {})).request_id == "R"

        monkeypatch.setenv("NO_PROXY", "example.invalid")
        async with network_client("http://vod.example.invalid") as (client, meter):
            with pytest.raises(UpstreamError, match=r"^no response from vod\.example\.invalid"):
                await client.call(action(decode), {})
            assert meter.failed == [("connect", "transport")] * 4


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_every_proxy_variable_that_applies_is_used(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    async with serving(GOOD) as proxy:
        monkeypatch.setenv(variable, proxy)
        async with network_client("http://vod.example.invalid") as (client, _):
            assert (await client.call(action(decode), {})).request_id == "R"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "[::1]"])
async def test_no_proxy_is_used_for_this_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed_port = server.getsockname()[1]
    async with serving(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with network_client(f"http://{host}:{closed_port}") as (client, meter):
            with pytest.raises(UpstreamError):
                await client.call(action(decode), {})
            assert meter.failed == [("connect", "transport")] * 4


@pytest.mark.parametrize(
    ("conversation", "failed"),
    [
        (says(b"302 Found\r\nLocation: http://other.example.invalid/"), ("http_302", "other")),
        (says(b"200 OK\r\nContent-Encoding: gzip", b"not gzip"), ("malformed", "malformed")),
    ],
    ids=["redirect", "not gzip"],
)
async def test_by_a_proxy_the_same_failures_are_the_same(
    monkeypatch: pytest.MonkeyPatch, conversation: Conversation, failed: tuple[str, str]
) -> None:
    async with serving(conversation) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with network_client("http://vod.example.invalid") as (client, meter):
            with pytest.raises(UpstreamError):
                await client.call(action(decode), {})
            assert set(meter.failed) == {failed}


async def tunnels(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    head: bytes,
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
) -> None:
    """A proxy that connects to the port that CONNECT names, on this machine."""
    port = int(head.split(b" ")[1].rpartition(b":")[2])
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(answer)

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    try:
        await asyncio.gather(carry(reader, there_writer), carry(there_reader, writer))
    finally:
        there_writer.transport.abort()


@asynccontextmanager
async def proxying(
    respond: Callable[..., Awaitable[None]], context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """The port of a proxy with this behaviour, and the heads that it received."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await respond(reader, writer, head=heads[-1])
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


@asynccontextmanager
async def over_tls(
    certificate: trustme.LeafCert, conversation: Conversation = GOOD, heads: list[bytes] | None = None
) -> AsyncIterator[int]:
    """The port of an endpoint with TLS; `heads` gets those of its requests."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if heads is not None:
                heads.append(head)
            await conversation(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


AUTHORITY = trustme.CA(organization_name="Corporate Proxy CA")
ENDPOINT_NAME = "vod.example.invalid"


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the authority of these tests."""
    file = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_encrypted_endpoint_is_reached_through_a_tunnel(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    context = None
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    requests: list[bytes] = []
    certificate = AUTHORITY.issue_cert(ENDPOINT_NAME)
    async with over_tls(certificate, heads=requests) as port, proxying(tunnels, context) as (proxy, heads):
        monkeypatch.setenv("https_proxy", f"{scheme}://user:p%40ss/#?w@127.0.0.1:{proxy}")
        async with network_client(f"https://{ENDPOINT_NAME}:{port}") as (client, meter):
            assert (await client.call(action(decode), {})).request_id == "R"
            assert meter.failed == []
    encoded = base64.b64encode(b"user:p@ss/#?w")
    place = b"%b:%d" % (ENDPOINT_NAME.encode(), port)
    assert heads == [
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic %b\r\n\r\n" % (place, place, encoded)
    ]
    (request,) = requests
    assert request.startswith(b"POST /")
    assert b"proxy" not in request.lower()


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\nProxy-Agent: any\r\n\r\n",
    ],
    ids=["interim responses", "another success", "HTTP/1.0"],
)
async def test_any_successful_answer_to_connect_opens_the_tunnel(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    responds = partial(tunnels, answer=answer)
    async with over_tls(AUTHORITY.issue_cert(ENDPOINT_NAME)) as port, proxying(responds) as (proxy, _):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy}")
        async with network_client(f"https://{ENDPOINT_NAME}:{port}") as (client, meter):
            assert (await client.call(action(decode), {})).request_id == "R"
            assert meter.failed == []


def refuses(status: bytes) -> Callable[..., Awaitable[None]]:
    """A proxy that refuses and repeats the request."""

    async def respond(_: asyncio.StreamReader, writer: asyncio.StreamWriter, *, head: bytes) -> None:
        body = b'{"Code":"%b","Message":"%b"}' % (head[-60:].strip(), head.replace(b"\r\n", b" "))
        writer.write(b"HTTP/1.1 %b %b\r\nContent-Length: %d\r\n\r\n%b" % (status, head.split()[-1], len(body), body))

    return respond


@pytest.mark.parametrize(
    ("status", "expected_text"),
    [
        (b"101", "the proxy did not connect (HTTP 101)"),
        (b"407", "the proxy wants other credentials (HTTP 407)"),
        (b"403", "the proxy does not allow this endpoint (HTTP 403)"),
        (b"502", "the proxy did not connect (HTTP 502)"),
    ],
)
async def test_a_proxy_that_does_not_connect_is_named_and_shows_no_credentials(
    monkeypatch: pytest.MonkeyPatch, status: bytes, expected_text: str
) -> None:
    async with proxying(refuses(status)) as (port, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter22@127.0.0.1:{port}")
        async with network_client(f"https://{ENDPOINT_NAME}") as (client, _):
            with pytest.raises(UpstreamError) as caught:
                await client.call(action(decode), {})
        place = f"{ENDPOINT_NAME}:443 through proxy 127.0.0.1:{port} (HTTPS_PROXY)"
        assert caught.value.message == f"no response from {place}: {expected_text}"
        assert caught.value.code == "connect"


@pytest.mark.parametrize("status", [b"407", b"400", b"200"])
async def test_what_a_proxy_repeats_of_its_credentials_is_hidden(
    monkeypatch: pytest.MonkeyPatch, status: bytes
) -> None:
    async with proxying(refuses(status)) as (port, heads):
        monkeypatch.setenv("HTTP_PROXY", f"http://user:hunter22@127.0.0.1:{port}")
        async with network_client(f"http://{ENDPOINT_NAME}") as (client, meter):
            with pytest.raises(UpstreamError) as caught:
                await client.call(action(decode), {})
        encoded = base64.b64encode(b"user:hunter22").decode()
        assert encoded.encode() in heads[0]
        everything_shown = f"{caught.value} {caught.value.code} {caught.value.request_id} {meter.failed}"
        assert encoded.rstrip("=") not in everything_shown
        assert "hunter22" not in everything_shown


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("names", "options", "expected_text"),
    [
        (["127.0.0.1"], {"not_after": datetime(2020, 1, 1, tzinfo=UTC)}, "it has expired"),
        (
            ["127.0.0.1"],
            {"not_before": datetime(2090, 1, 1, tzinfo=UTC), "not_after": datetime(2091, 1, 1, tzinfo=UTC)},
            "it is not yet valid",
        ),
        (["other.example"], {}, "it is for another address"),
    ],
)
async def test_a_certificate_that_is_refused_is_described(
    names: list[str], options: dict[str, Any], expected_text: str
) -> None:
    async with (
        over_tls(AUTHORITY.issue_cert(*names, **options)) as port,
        network_client(f"https://127.0.0.1:{port}") as (client, _),
    ):
        with pytest.raises(UpstreamError) as caught:
            await client.call(action(decode), {})
    refusal = f"TLS handshake with the endpoint: its certificate is rejected: {expected_text}"
    begin = f"no response from 127.0.0.1:{port}: {refusal}; issuer "
    assert caught.value.message.startswith(f'{begin}"Corporate Proxy CA", subject "')
    assert names[0] in caught.value.message


async def test_an_authority_that_is_not_trusted_is_named_and_so_is_the_variable() -> None:
    async with (
        over_tls(AUTHORITY.issue_cert("127.0.0.1")) as port,
        network_client(f"https://127.0.0.1:{port}") as (client, _),
    ):
        with pytest.raises(UpstreamError) as caught:
            await client.call(action(decode), {})
    assert 'by an authority that is not trusted here; issuer "Corporate Proxy CA"' in caught.value.message
    assert "SSL_CERT_FILE" in caught.value.advice


async def test_a_self_signed_certificate_is_reported_as_such() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own = AUTHORITY.cert_pem
    with own.tempfile() as certificate, AUTHORITY.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(GOOD, "127.0.0.1", 0, ssl=context)
    async with server, network_client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as (client, _):
        with pytest.raises(UpstreamError, match="self-signed, or signed by an authority that is not trusted"):
            await client.call(action(decode), {})


async def test_a_certificate_may_be_trusted_without_its_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = AUTHORITY.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "endpoint.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "endpoint.pem"))
    async with over_tls(certificate) as port, network_client(f"https://127.0.0.1:{port}") as (client, _):
        assert (await client.call(action(decode), {})).request_id == "R"


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_endpoint_that_requires_a_client_certificate_is_described(version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)

    def refuse_attempts(listening: socket.socket) -> None:
        for _ in range(4):
            connection, _ = listening.accept()
            with connection.dup() as raw:
                with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as refused:
                    refused.recv(1)
                raw.settimeout(1)
                with suppress(TimeoutError):
                    raw.recv(65_536)  # unread data would reset the connection, and the alert would be lost

    with socket.create_server(("127.0.0.1", 0)) as listening:
        refusing = asyncio.create_task(asyncio.to_thread(refuse_attempts, listening))
        async with network_client(f"https://127.0.0.1:{listening.getsockname()[1]}") as (client, _):
            with pytest.raises(
                UpstreamError, match=r"TLS handshake with the endpoint: .* requires a client certificate"
            ):
                await client.call(action(decode), {})
        await refusing


async def test_a_name_that_is_not_known() -> None:
    async with network_client(f"https://{ENDPOINT_NAME}") as (client, _):
        with pytest.raises(UpstreamError) as caught:
            await client.call(action(decode), {})
    expected_text = f"no response from {ENDPOINT_NAME}:443: the name {ENDPOINT_NAME} was not resolved: "
    assert caught.value.message.startswith(expected_text)


@pytest.mark.parametrize(
    "last", [b"", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"]
)
async def test_a_kept_connection_that_was_closed_costs_no_attempt(last: bytes) -> None:
    """Some servers say that they have closed an idle connection, which may arrive after the next request was sent."""
    opened = 0

    async def closes_on_second_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE.replace(b'"R"', b'"%d"' % opened))
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(last)

    async with serving(closes_on_second_request) as endpoint, network_client(endpoint) as (client, meter):
        for number in range(1, 4):
            assert (await client.call(action(decode), {})).request_id == str(number)
        assert (meter.sent, meter.failed, meter.retries) == (3, [], 0)


async def test_a_copy_that_arrives_after_the_next_question_is_not_its_answer() -> None:
    def page(number: int) -> bytes:
        body = b'{"RequestId":"ID-%d","TotalCount":%d,"QoeInfoList":[]}' % (number, number)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    answered = 0

    async def one_behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        answered += 1
        first = answered
        writer.write(page(first))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(page(first))
        await reader.read()

    async with serving(one_behind) as endpoint, network_client(endpoint) as (client, meter):
        totals = [(await client.call(action(decode), {"PlayDate": str(day)})).total_count for day in range(3)]
        assert totals == [1, 2, 3]
        assert meter.failed == [("malformed", "malformed")] * 2
        same = [(await client.call(action(decode), {"PlayDate": "2"})).total_count for _ in range(2)]
        assert same == [4, 5], "a copy is not taken for an answer even to the same question"


async def test_through_a_proxy_as_many_requests_run_concurrently_as_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    many, there, all_there = 101, 0, asyncio.Event()

    async def waits_for_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal there
        there += 1
        if there == many:
            all_there.set()
        await all_there.wait()
        await says(b"200 OK", PAGE.replace(b'"R"', b'"R-%d"' % there))(reader, writer)
        there += 1

    async with serving(waits_for_all) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with network_client("http://vod.example.invalid", concurrency=many) as (client, meter):
            await asyncio.gather(*(client.call(action(decode), {"MediaId": str(n)}) for n in range(many)))
            assert (meter.sent, meter.failed) == (many, [])


def test_by_a_proxy_there_is_no_other_time_limit_than_that_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    async def takes_an_hour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        put_forward(3600)
        for _ in range(10):  # whatever is due by now has its turn
            await asyncio.sleep(0)
        await GOOD(reader, writer)

    async def call_once() -> list[tuple[str, str]]:
        async with serving(takes_an_hour) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy)
            async with network_client("http://vod.example.invalid", timeout=7200) as (client, meter):
                assert (await client.call(action(decode), {})).request_id == "R"
                return meter.failed

    with asyncio.Runner(loop_factory=AdvanceableLoop) as runner:
        assert runner.run(call_once()) == []


async def test_after_a_response_without_a_request_id_its_copy_is_not_the_next_answer() -> None:
    answered = 0

    async def one_behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        answered += 1
        body = b'{"TotalCount":%d,"QoeInfoList":[]}' % answered
        response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        writer.write(response)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await reader.read()

    async with serving(one_behind) as endpoint, network_client(endpoint) as (client, meter):
        totals = [(await client.call(action(decode), {"PlayDate": str(day)})).total_count for day in range(2)]
        assert totals == [1, 2]
        assert meter.failed == []
