from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from itertools import repeat
from typing import TYPE_CHECKING, NoReturn

import httpx
import pytest

from exporter import __version__
from exporter.errors import (
    AccountPaused,
    CredentialsError,
    ErrorKind,
    NotReady,
    QuotaExceeded,
    RequestSkipped,
    StartError,
    UpstreamError,
)
from exporter.vod import network_errors
from exporter.vod.actions import Action
from exporter.vod.client import Client
from exporter.vod.credentials.sources import Credentials, EnvCredentials
from exporter.vod.rate_limits import Permit
from exporter.vod.redaction import Secrets
from exporter.vod.responses import LARGEST_ERROR, LARGEST_RESPONSE
from exporter.vod.signing import signed_headers
from exporter.vod.transport import FRESH
from tests.vod.fakes import ENDPOINT, KEY, START, ClientFixture, FakeSource, Service, action, ok, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

BUSY = "ServiceUnavailable"
OTHER_KEY = Credentials("other-id", "other-secret")


async def failing(fixture: ClientFixture, **parameters: str) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await fixture.run(**parameters)
    return caught.value


async def test_sends_one_signed_request_in_rpc_style() -> None:
    service = Service(ok())
    async with ClientFixture(service) as fixture:
        assert await fixture.run(MediaId="a b+*你", PageNo="1") == b"fine"
    (request,) = service.requests
    assert request.method == "POST"
    assert str(request.url) == f"{ENDPOINT}/?MediaId=a%20b%2B%2A%E4%BD%A0&PageNo=1"
    assert request.content == b""
    assert request.headers["content-length"] == "0"
    assert request.headers["x-acs-action"] == "Ask"
    assert request.headers["x-acs-version"] == "2017-03-21"
    assert request.headers["x-acs-date"] == "2023-11-14T22:13:20Z"
    to_sign = {"host": "vod.cn-shanghai.aliyuncs.com", "x-acs-action": "Ask", "x-acs-version": "2017-03-21"}
    signed = signed_headers(request.url.query.decode(), to_sign, KEY, at=START, nonce="nonce-0")
    assert request.headers["authorization"] == signed["authorization"]
    assert request.headers["user-agent"] == f"aliyun-vod-exporter/{__version__}"
    assert "content-type" not in request.headers


async def test_a_response_is_decoded_with_the_parameters_of_its_request() -> None:
    ask = Action("Ask", "2017-03-21", "vod:Ask", lambda _, parameters: parameters["PageNo"])
    async with ClientFixture(Service(ok())) as fixture:
        assert await fixture.clock.run(fixture.client.call(ask, {"PageNo": "7"})) == "7"


async def test_counts_a_success() -> None:
    async with ClientFixture(Service(ok()), calls_per_day=10) as fixture:
        await fixture.run()
        assert (fixture.meter.sent, fixture.meter.failed, fixture.meter.retries) == (1, [], 0)
        assert fixture.meter.took == [0.0]
        assert fixture.meter.calls == [10, 9]
        assert (fixture.meter.accounts, fixture.meter.actions) == ({"main"}, {"Ask"})


async def test_latency_is_measured_on_the_monotonic_clock() -> None:
    async def slow(_: httpx.Request) -> httpx.Response:
        await fixture.clock.sleep(1.5)
        return ok()

    async with ClientFixture(slow) as fixture:
        await fixture.run()
        assert fixture.meter.took == [1.5]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (500, "Meter.ServerInternalError", ErrorKind.SERVER),
        (500, "Meter.DataSourceQueryError", ErrorKind.SERVER),
        (503, "ServiceUnAvailable", ErrorKind.SERVER),
        (400, "Throttling.User", ErrorKind.THROTTLED),
    ],
)
async def test_repeated_up_to_four_attempts_in_all(status: int, code: str, kind: ErrorKind) -> None:
    service = Service(refusal(status, code))
    async with ClientFixture(service) as fixture:
        error = await failing(fixture)
        assert (error.code, error.kind, error.request_id, error.http_status) == (code, kind, "REQ-1", status)
        assert (fixture.meter.sent, fixture.meter.retries) == (4, 3)
        assert fixture.meter.failed == [(code, kind.value)] * 4
        assert len(fixture.meter.took) == 4
    nonces = [request.headers["x-acs-signature-nonce"] for request in service.requests]
    assert len(set(nonces)) == 4
    assert [request.extensions[FRESH] for request in service.requests] == [False, True, True, True]
    assert service.requests[0].headers["x-acs-date"] != service.requests[3].headers["x-acs-date"]


@pytest.mark.parametrize(
    ("answer", "code", "kind"),
    [
        (httpx.ConnectError("refused"), "connect", "transport"),
        (OSError("tls"), "connect", "transport"),
        (httpx.Response(502, content=b"<html>"), "http_502", "server"),
        (httpx.Response(429), "http_429", "throttled"),
    ],
)
async def test_failures_without_a_code_are_repeated(answer: httpx.Response | Exception, code: str, kind: str) -> None:
    async with ClientFixture(Service(answer, ok())) as fixture:
        assert await fixture.run() == b"fine"
        assert fixture.meter.failed == [(code, kind)]
        assert (fixture.meter.sent, fixture.meter.retries, len(fixture.meter.took)) == (2, 1, 2)


async def test_back_off_grows_with_full_jitter() -> None:
    async with ClientFixture(Service(refusal(503, BUSY))) as fixture:
        await failing(fixture)
        # Half of 0.5, 1 and 2 s: the fake random number is 0.5.
        assert [seconds for seconds in fixture.clock.slept if seconds > 0.01] == [0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"x_acs_retry_after": "2500"}, 2.5),
        ({"x_ratelimit_user_api": "Limit:1,Remain:0,TimeLeft:2000,Reset:1234"}, 2.0),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "9999"}, 300.0),
    ],
)
@pytest.mark.parametrize(("status", "code"), [(400, "Throttling.Api"), (503, BUSY)])
async def test_named_wait_is_waited(headers: dict[str, str], wait: float, status: int, code: str) -> None:
    async with ClientFixture(Service(refusal(status, code, **headers), ok())) as fixture:
        await fixture.run()
        assert fixture.clock.elapsed == pytest.approx(wait, abs=0.01)


async def test_named_wait_holds_the_other_calls_of_the_account() -> None:
    service = Service(refusal(400, "Throttling", x_acs_retry_after="60000"), ok())
    async with ClientFixture(service) as fixture:
        first = asyncio.create_task(fixture.call_once())
        await fixture.clock.settle()
        second = asyncio.create_task(fixture.call_once())
        await fixture.clock.until(59.9)
        assert len(service.requests) == 1
        await fixture.clock.until(61)
        assert len(service.requests) == 3
        assert first.done()
        assert second.done()


async def test_named_wait_of_one_action_does_not_hold_the_others() -> None:
    other = Action("Other", "2017-03-21", "vod:Other", lambda body, _: body)
    service = Service(refusal(400, "Throttling.Api", x_acs_retry_after="60000"), ok())
    async with ClientFixture(service) as fixture:
        asks = [asyncio.create_task(fixture.call_once())]
        await fixture.clock.settle()
        asks.append(asyncio.create_task(fixture.call_once()))
        others = asyncio.create_task(fixture.client.call(other, {}))
        await fixture.clock.until(59.9)
        assert (len(service.requests), others.done()) == (2, True)
        assert fixture.limits.requests_per_second == 500
        await fixture.clock.until(61)
        assert all(ask.done() for ask in asks)
        assert fixture.limits.requests_per_second == 1000


async def test_throttling_slows_the_account_down_and_success_does_not_at_once_undo_it() -> None:
    async with ClientFixture(Service(refusal(400, "Throttling"), ok()), rate=10) as fixture:
        await fixture.run()
        assert fixture.meter.rates[:2] == [10, 5]
        assert fixture.meter.accounts == {"main"}
        assert 5 <= fixture.limits.requests_per_second < 6


async def test_server_errors_do_not_slow_the_account_down() -> None:
    async with ClientFixture(Service(refusal(503, BUSY), ok()), rate=10) as fixture:
        await fixture.run()
        assert fixture.meter.rates == [10]


@pytest.mark.parametrize(
    ("answer", "code", "kind"),
    [
        (refusal(400, "Meter.ParamError"), "Meter.ParamError", ErrorKind.PARAMETER),
        (refusal(400, "MissingPageNo"), "MissingPageNo", ErrorKind.PARAMETER),
        (refusal(403, "Meter.AuthError"), "Meter.AuthError", ErrorKind.AUTH),
        (refusal(400, "SignatureDoesNotMatch"), "SignatureDoesNotMatch", ErrorKind.AUTH),
        (refusal(400, "InvalidTimeStamp.Expired"), "InvalidTimeStamp.Expired", ErrorKind.CLOCK),
        (httpx.Response(302, headers={"location": "http://127.0.0.1/"}), "http_302", ErrorKind.OTHER),
        (httpx.Response(404, content=b"<html>"), "http_404", ErrorKind.OTHER),
    ],
)
async def test_never_repeated(answer: httpx.Response, code: str, kind: ErrorKind) -> None:
    async with ClientFixture(Service(answer)) as fixture:
        error = await failing(fixture)
        assert (error.code, error.kind) == (code, kind)
        assert error.advice
        assert (fixture.meter.sent, fixture.meter.retries, fixture.meter.failed) == (1, 0, [(code, kind.value)])


async def test_not_ready_is_counted_and_raised_at_once() -> None:
    async with ClientFixture(Service(refusal(502, "Meter.ReadyTsError"))) as fixture:
        assert isinstance(await failing(fixture), NotReady)
        assert fixture.meter.sent == 1
        assert fixture.meter.failed == [("Meter.ReadyTsError", "not_ready")]


async def test_used_nonce_is_repeated_once_with_another() -> None:
    service = Service(refusal(400, "SignatureNonceUsed"))
    async with ClientFixture(service) as fixture:
        assert (await failing(fixture)).code == "SignatureNonceUsed"
        assert fixture.meter.sent == 2
    assert len({request.headers["x-acs-signature-nonce"] for request in service.requests}) == 2


async def test_what_a_lost_connection_did_not_answer_is_signed_and_sent_again_over_a_new_one() -> None:
    service = Service(network_errors.lost(), ok())
    async with ClientFixture(service) as fixture:
        assert await fixture.run() == b"fine"
    assert [request.headers["x-acs-signature-nonce"] for request in service.requests] == ["nonce-0", "nonce-1"]
    assert [request.extensions[FRESH] for request in service.requests] == [False, True]
    assert (fixture.meter.sent, fixture.meter.failed, fixture.meter.retries) == (1, [], 0)


async def test_once_means_once_whatever_errors_are_between() -> None:
    service = Service(refusal(400, "SignatureNonceUsed"), refusal(503, BUSY), refusal(400, "SignatureNonceUsed"), ok())
    async with ClientFixture(service) as fixture:
        assert (await failing(fixture)).code == "SignatureNonceUsed"
        assert fixture.meter.sent == 3


@pytest.mark.parametrize("code", ["Expired", "Malformed", "MismatchWithAccessKey"])
async def test_expired_token_is_renewed_once(code: str) -> None:
    source = FakeSource(Credentials("i", "s", "old"), renewed=Credentials("i", "s", "new"))
    service = Service(refusal(400, f"InvalidSecurityToken.{code}"), ok())
    async with ClientFixture(service, source=source) as fixture:
        assert await fixture.run() == b"fine"
        assert source.renewals == 1
        assert fixture.meter.failed == [(f"InvalidSecurityToken.{code}", "auth")]
    assert [request.headers["x-acs-security-token"] for request in service.requests] == ["old", "new"]


async def test_token_that_stays_refused_pauses_the_account() -> None:
    source = FakeSource(Credentials("i", "s", "old"))
    async with ClientFixture(Service(refusal(400, "InvalidSecurityToken.Expired")), source=source) as fixture:
        assert (await failing(fixture)).kind is ErrorKind.AUTH
        assert (fixture.meter.sent, source.renewals) == (2, 1)
        assert isinstance(await failing(fixture), AccountPaused)
        assert fixture.meter.sent == 2


async def test_auth_error_pauses_the_account_and_says_so() -> None:
    async with ClientFixture(Service(refusal(403, "Meter.AuthError", "Authentication Failed."))) as fixture:
        await failing(fixture)
        fixture.clock.elapsed += 299
        error = await failing(fixture)
        assert isinstance(error, AccountPaused)
        assert "main" in error.message
        assert "is paused for Ask until 2023-11-14T22:18:20Z or until" in error.message
        assert "Meter.AuthError: Authentication Failed." in error.message
        assert (error.code, error.kind, error.request_id) == ("Meter.AuthError", ErrorKind.AUTH, "REQ-1")
        assert "RAM action" in error.advice
        # A skipped request counts neither as a request nor as a failure, and not against the quota.
        assert (fixture.meter.sent, len(fixture.meter.failed), len(fixture.meter.took)) == (1, 1, 1)


async def test_changed_credentials_end_the_pause() -> None:
    async with ClientFixture(Service(refusal(403, "Forbidden.RAM"), ok())) as fixture:
        await failing(fixture)
        fixture.source.credentials = OTHER_KEY
        assert await fixture.run() == b"fine"
        fixture.source.credentials = KEY
        assert await fixture.run() == b"fine"


class Gate:
    """A service that responds when the test opens the gate."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[httpx.Response]] = []

    async def __call__(self, _: httpx.Request) -> httpx.Response:
        future: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return await future

    def answer(self, response: httpx.Response) -> None:
        self.waiting.pop(0).set_result(response)


@pytest.fixture
async def paused() -> AsyncIterator[tuple[ClientFixture, Gate]]:
    """A paused account whose five minutes have passed, and one probing request."""
    gate = Gate()
    async with ClientFixture(gate) as fixture:
        first = asyncio.create_task(fixture.call_once())
        await fixture.clock.settle()
        gate.answer(refusal(403, "Meter.AuthError"))
        with pytest.raises(UpstreamError):
            await first
        fixture.clock.elapsed += 300
        yield fixture, gate


async def test_one_request_probes_and_the_others_wait_for_what_becomes_of_it(
    paused: tuple[ClientFixture, Gate],
) -> None:
    fixture, gate = paused
    probe, *others = [asyncio.create_task(fixture.call_once()) for _ in range(4)]
    await fixture.clock.until(fixture.clock.elapsed + 1)
    assert fixture.meter.sent == 2
    gate.answer(ok())
    assert await probe == b"fine"
    await fixture.clock.until(fixture.clock.elapsed + 1)
    assert len(gate.waiting) == 3
    for _ in others:
        gate.answer(ok())
    assert await asyncio.gather(*others) == [b"fine"] * 3


async def test_probe_without_an_answer_does_not_end_the_pause(paused: tuple[ClientFixture, Gate]) -> None:
    fixture, gate = paused
    probe = asyncio.create_task(fixture.call_once())
    await fixture.clock.settle()
    gate.waiting.pop(0).set_exception(httpx.ConnectError("refused"))
    await fixture.clock.settle()
    assert fixture.meter.failed[1:] == [("connect", "transport")]
    probe.cancel()  # while it waits to retry
    calls = [asyncio.create_task(fixture.call_once()) for _ in range(2)]
    await fixture.clock.until(fixture.clock.elapsed + 1)
    # Still one at a time: of two calls only one was sent.
    assert len(gate.waiting) == 1
    gate.answer(ok())
    await fixture.clock.until(fixture.clock.elapsed + 1)
    gate.answer(ok())
    assert await asyncio.gather(*calls) == [b"fine"] * 2


async def test_paused_account_refuses_at_once_and_not_after_waiting_for_a_turn() -> None:
    async with ClientFixture(Service(refusal(403, "Meter.AuthError"))) as fixture:
        await failing(fixture)
        fixture.limits.on_error("Ask", Permit(0.0), UpstreamError("", code="x", kind=ErrorKind.SERVER, wait=60.0))
        assert isinstance(await failing(fixture), AccountPaused)
        assert fixture.clock.elapsed == 0


async def test_calls_that_wait_for_their_turn_are_not_sent_when_the_pause_begins() -> None:
    gate = Gate()
    async with ClientFixture(gate, concurrency=1, calls_per_day=10) as fixture:
        calls = [asyncio.create_task(fixture.call_once()) for _ in range(4)]
        await fixture.clock.settle()
        gate.answer(refusal(403, "Meter.AuthError"))
        await fixture.clock.until(1)
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in errors] == [UpstreamError, AccountPaused, AccountPaused, AccountPaused]
        assert fixture.meter.sent == 1
        assert fixture.limits.calls_remaining == 9


async def test_refused_probe_pauses_for_another_five_minutes(paused: tuple[ClientFixture, Gate]) -> None:
    fixture, gate = paused
    probe = asyncio.create_task(fixture.call_once())
    await fixture.clock.settle()
    waiting = asyncio.create_task(fixture.call_once())
    await fixture.clock.until(fixture.clock.elapsed + 1)
    gate.answer(refusal(403, "Meter.AuthError"))
    with pytest.raises(UpstreamError):
        await probe
    with pytest.raises(AccountPaused):
        await waiting
    assert fixture.meter.sent == 2
    fixture.clock.elapsed += 299
    assert isinstance(await failing(fixture), AccountPaused)


@pytest.mark.parametrize("code", ["Meter.ParamError", "Meter.ReadyTsError"])
async def test_any_other_answer_to_the_probe_ends_the_pause(paused: tuple[ClientFixture, Gate], code: str) -> None:
    fixture, gate = paused
    probe = asyncio.create_task(fixture.call_once())
    await fixture.clock.settle()
    gate.answer(refusal(400, code))
    with pytest.raises(UpstreamError):
        await probe
    others = [asyncio.create_task(fixture.call_once()) for _ in range(2)]
    await fixture.clock.until(fixture.clock.elapsed + 1)
    assert len(gate.waiting) == 2
    for _ in others:
        gate.answer(ok())
    await asyncio.gather(*others)


async def test_probe_that_is_cancelled_leaves_the_probing_to_the_next(paused: tuple[ClientFixture, Gate]) -> None:
    fixture, gate = paused
    probe = asyncio.create_task(fixture.call_once())
    await fixture.clock.settle()
    probe.cancel()
    await fixture.clock.settle()
    gate.waiting.clear()
    again = asyncio.create_task(fixture.call_once())
    await fixture.clock.until(fixture.clock.elapsed + 1)
    gate.answer(ok())
    assert await again == b"fine"


async def test_cancelled_calls_leak_no_place_and_are_no_failures() -> None:
    gate = Gate()
    async with ClientFixture(gate, concurrency=2) as fixture:
        calls = [asyncio.create_task(fixture.call_once()) for _ in range(5)]
        await fixture.clock.until(1)
        assert len(gate.waiting) == 2
        for call in calls:
            call.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*calls, return_exceptions=True)
        )
        assert (fixture.meter.sent, fixture.meter.failed, fixture.meter.took) == (2, [], [])
        gate.waiting.clear()
        calls = [asyncio.create_task(fixture.call_once()) for _ in range(2)]
        await fixture.clock.until(2)
        gate.answer(ok())
        gate.answer(ok())
        assert await asyncio.gather(*calls) == [b"fine", b"fine"]


async def test_spent_budget_sends_nothing() -> None:
    service = Service(refusal(503, BUSY))
    async with ClientFixture(service, calls_per_day=2) as fixture:
        # The third attempt of this call is one too many.
        assert isinstance(await failing(fixture), QuotaExceeded)
        assert isinstance(await failing(fixture), QuotaExceeded)
        assert len(service.requests) == fixture.meter.sent == 2


async def test_missing_credentials_send_no_request_and_open_no_breaker() -> None:
    environ: dict[str, str] = {}
    service = Service(ok())
    async with ClientFixture(service) as fixture:
        source = EnvCredentials(environ)
        client = Client(
            "main",
            endpoint=ENDPOINT,
            credentials=source,
            limits=fixture.limits,
            timeout=300,
            meter=fixture.meter,
            transport=httpx.MockTransport(service),
        )
        with pytest.raises(CredentialsError) as caught:
            await client.call(action(bytes), {})
        assert isinstance(caught.value, RequestSkipped)
        environ.update(ALIBABA_CLOUD_ACCESS_KEY_ID="i", ALIBABA_CLOUD_ACCESS_KEY_SECRET="s")
        assert await client.call(action(bytes), {}) == b"fine"
    assert fixture.meter.failed == []


def cannot(body: bytes) -> NoReturn:
    raise UpstreamError(f"QoeInfoList is {len(body)}", code="malformed", kind=ErrorKind.MALFORMED)


async def test_answer_that_cannot_be_decoded_is_a_failed_attempt() -> None:
    service = Service(httpx.Response(200, content=b"{}", headers={"x-acs-request-id": "H"}))
    async with ClientFixture(service) as fixture:
        with pytest.raises(UpstreamError) as caught:
            await fixture.clock.run(fixture.client.call(action(cannot), {}))
        error = caught.value
        assert (error.code, error.kind, error.message, error.request_id) == (
            "malformed",
            ErrorKind.MALFORMED,
            "QoeInfoList is 2",
            "H",
        )
        assert fixture.meter.failed == [("malformed", "malformed")] * 4


async def test_success_that_holds_an_error_is_that_error() -> None:
    async with ClientFixture(Service(refusal(200, "Meter.ParamError"))) as fixture:
        with pytest.raises(UpstreamError) as caught:
            await fixture.clock.run(fixture.client.call(action(cannot), {}))
        assert caught.value.code == "Meter.ParamError"
        assert fixture.meter.sent == 1


async def test_too_long_an_answer_is_malformed() -> None:
    async with ClientFixture(Service(ok(b" " * (16 * 1024 * 1024 + 1)), ok())) as fixture:
        assert await fixture.run() == b"fine"
        assert fixture.meter.failed == [("malformed", "malformed")]
    async with ClientFixture(Service(ok(b" " * 16 * 1024 * 1024))) as fixture:
        assert len(await fixture.run()) == 16 * 1024 * 1024


async def test_half_a_character_is_not_sent() -> None:
    service = Service(ok())
    async with ClientFixture(service) as fixture:
        error = await failing(fixture, MediaId="\ud83d")
        assert (error.code, error.kind) == ("parameter", ErrorKind.PARAMETER)
        assert "half a character" in error.message
        assert "media ID" in error.advice
    assert service.requests == []


async def test_clock_error_says_by_how_much() -> None:
    answer = refusal(400, "InvalidTimeStamp.Expired", date="Tue, 14 Nov 2023 21:13:20 GMT")
    async with ClientFixture(Service(answer)) as fixture:
        assert START == 1_700_000_000
        assert "3600 s ahead" in (await failing(fixture)).message


ECHO = "Signature is not matched. server string to sign is:POST\n/\n&SecurityToken=quiet"


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400, "SignatureDoesNotMatch", ECHO),
        refusal(400, "hush-hush", "hush-hush quiet-quiet"),
        httpx.LocalProtocolError("Illegal header value b'quiet-quiet'"),
        network_errors.no_http("quiet-quiet"),
        httpx.Response(200, content=b"hush-hush"),
    ],
)
async def test_secrets_and_signatures_are_in_no_error(answer: httpx.Response | Exception) -> None:
    service = Service(answer)
    async with ClientFixture(
        service, source=FakeSource(Credentials("shown-id", "hush-hush", "quiet-quiet"))
    ) as fixture:
        with pytest.raises(UpstreamError) as caught:
            await fixture.clock.run(fixture.client.call(action(_shows_everything), {}))
        error = caught.value
        everything_shown = f"{error} {error!r} {vars(error)} {fixture.meter.failed} {error.__cause__!r}"
        assert "hush-hush" not in f"{error} {error!r} {vars(error)} {fixture.meter.failed}"
        assert "quiet" not in everything_shown
        assert service.requests[0].headers["authorization"].rpartition("=")[2] not in everything_shown


def _shows_everything(body: bytes) -> NoReturn:
    raise UpstreamError(f"not JSON: {body.decode()}", code="malformed", kind=ErrorKind.MALFORMED)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "vod.cn-shanghai.aliyuncs.com",
        "ftp://vod.cn-shanghai.aliyuncs.com",
        "https://",
        "https://user:hush@vod.cn-shanghai.aliyuncs.com",
        "https://vod.cn-shanghai.aliyuncs.com/path",
        "https://vod.cn-shanghai.aliyuncs.com/?a=b",
        "https://vod.cn-shanghai.aliyuncs.com/#hush",
        "https://vod.cn-shanghai.aliyuncs.com/\ud83d",
        "http://127.0.0.1:0",
        "http://127.0.0.1:65536",
        "http://127.0.0.1:70000",
        "http://[::1",
        "http://a\nb",
    ],
)
def test_endpoint_that_is_none_is_a_start_error(endpoint: str) -> None:
    with pytest.raises(StartError, match=r"account main: the endpoint is not a URL like https://") as caught:
        ClientFixture(Service(ok()), endpoint=endpoint)
    assert "hush" not in str(caught.value)


def test_given_authorities_are_those_of_an_encrypted_connection() -> None:
    def authorities() -> NoReturn:
        raise StartError("no authorities")

    fixture = ClientFixture(Service(ok()))
    with pytest.raises(StartError, match="account main: no authorities"):
        Client(
            "main",
            endpoint=ENDPOINT,
            credentials=FakeSource(),
            limits=fixture.limits,
            timeout=1,
            meter=fixture.meter,
            tls=authorities,
            variables={},
        )


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://vod-vpc.cn-shanghai.aliyuncs.com/", "vod-vpc.cn-shanghai.aliyuncs.com"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://127.0.0.1:1", "127.0.0.1:1"),
        ("http://127.0.0.1:65535", "127.0.0.1:65535"),
        ("https://vod.cn-shanghai.aliyuncs.com:443", "vod.cn-shanghai.aliyuncs.com"),
    ],
)
async def test_host_is_sent_as_it_is_signed(endpoint: str, host: str) -> None:
    service = Service(ok())
    async with ClientFixture(service, endpoint=endpoint) as fixture:
        await fixture.run()
    assert service.requests[0].headers["host"] == host


def test_the_limits_are_known_from_the_start() -> None:
    fixture = ClientFixture(Service(ok()), rate=7, calls_per_day=3, concurrency=2)
    assert (fixture.meter.rates, fixture.meter.calls) == ([7], [3])
    assert fixture.client.max_in_flight == 2


async def test_every_attempt_is_measured_and_counted_for_its_account() -> None:
    answers = [refusal(503, BUSY), ok()]

    async def slow(_: httpx.Request) -> httpx.Response:
        await fixture.clock.sleep(1.5)
        return answers.pop(0)

    async with ClientFixture(slow) as fixture:
        fixture.clock.elapsed = 100.0
        await fixture.run()
        assert fixture.meter.took == [1.5, 1.5]
        assert (fixture.meter.sent, fixture.meter.retries, len(fixture.meter.failed)) == (2, 1, 1)
        assert (fixture.meter.accounts, fixture.meter.actions) == ({"main"}, {"Ask"})


async def test_only_a_refused_token_has_credentials_renewed() -> None:
    async with ClientFixture(Service(refusal(503, BUSY), ok())) as fixture:
        await fixture.run()
        assert fixture.source.renewals == 0


async def test_a_named_wait_is_no_longer_than_named() -> None:
    async with ClientFixture(Service(refusal(503, BUSY, x_acs_retry_after="100"), ok())) as fixture:
        await fixture.run()
        assert fixture.clock.elapsed == pytest.approx(0.1, abs=0.01)


async def test_nonces_are_those_that_were_given() -> None:
    service = Service(refusal(503, BUSY), ok())
    async with ClientFixture(service) as fixture:
        await fixture.run()
    assert [request.headers["x-acs-signature-nonce"] for request in service.requests] == ["nonce-0", "nonce-1"]


@pytest.mark.parametrize("error", [httpx.ReadError("raw text"), OSError(5, "raw text"), UnicodeError("raw text")])
async def test_an_unforeseen_error_of_the_network_shows_no_text_of_a_library(error: Exception) -> None:
    async with ClientFixture(Service(error)) as fixture:
        failure = await failing(fixture)
        message = "no response from vod.cn-shanghai.aliyuncs.com: the connection was closed before the response"
        assert failure.message == message
        assert failure.advice == network_errors.closed("").advice


def page_of(request_id: str) -> httpx.Response:
    return ok(f'{{"RequestId":"{request_id}","TotalCount":0}}'.encode())


async def test_an_answer_that_was_the_answer_to_another_question_is_not_believed() -> None:
    async with ClientFixture(Service(page_of("ID-1"), page_of("ID-1"), page_of("ID-2"))) as fixture:
        await fixture.run(PlayDate="20231114")
        assert b"ID-2" in await fixture.run(PlayDate="20231113")
        assert fixture.meter.failed == [("malformed", "malformed")]


async def test_an_answer_that_always_comes_too_late_is_never_believed() -> None:
    async with ClientFixture(Service(page_of("ID-1"))) as fixture:
        await fixture.run(PlayDate="20231114")
        error = await failing(fixture, PlayDate="20231113")
        assert error.message.startswith("the response to an earlier request arrived again (request ID ID-1)")
        assert error.request_id == "ID-1"


async def test_a_repeated_response_shows_no_secret() -> None:
    source = FakeSource(Credentials("i", "hush-hush"))
    async with ClientFixture(Service(page_of("hush-hush")), source=source) as fixture:
        await fixture.run(PlayDate="20231114")
        error = await failing(fixture, PlayDate="20231113")
        assert "(request ID ***)" in error.message
        assert error.request_id == "***"


async def test_an_answer_to_another_action_with_the_same_parameters_is_not_believed() -> None:
    other = Action("Other", "2017-03-21", "vod:Other", lambda body, _: body)
    async with ClientFixture(Service(page_of("ID-1"), page_of("ID-1"), page_of("ID-2"))) as fixture:
        await fixture.run(PlayDate="20231114")
        assert b"ID-2" in await fixture.clock.run(fixture.client.call(other, {"PlayDate": "20231114"}))
        assert fixture.meter.failed == [("malformed", "malformed")]
        assert fixture.meter.actions == {"Ask", "Other"}


async def test_the_name_of_a_request_in_the_headers_counts_where_the_body_has_none() -> None:
    answer = httpx.Response(200, content=b"{}", headers={"x-acs-request-id": "ID-1"})
    async with ClientFixture(Service(answer)) as fixture:
        await fixture.run(PlayDate="20231114")
        await failing(fixture, PlayDate="20231113")


async def test_answers_without_a_name_and_the_same_answer_to_the_same_question_are_believed() -> None:
    async with ClientFixture(Service(ok(b"{}"))) as fixture:
        for date in ("20231114", "20231113"):
            await fixture.run(PlayDate=date)
        assert fixture.meter.failed == []
    async with ClientFixture(Service(page_of("ID-1"))) as fixture:
        for _ in range(2):
            await fixture.run(PlayDate="20231114")
        assert fixture.meter.failed == []


@pytest.mark.parametrize("status", [201, 202, 203, 206, 226])
async def test_only_http_200_is_a_whole_answer(status: int) -> None:
    async with ClientFixture(Service(httpx.Response(status, content=b"{}"), ok())) as fixture:
        assert await fixture.run() == b"fine"
        assert fixture.meter.failed == [("malformed", "malformed")]


@pytest.mark.parametrize("encoding", ["x-gzip", "X-GZIP", "gzip", "GZip", "identity, gzip"])
async def test_gzip_is_read_by_each_of_its_names(encoding: str) -> None:
    answer = httpx.Response(200, headers={"content-encoding": encoding}, stream=Pieces([gzip.compress(b"fine")]))

    async def service(_: httpx.Request) -> httpx.Response:
        return answer

    async with ClientFixture(service) as fixture:
        assert await fixture.run() == b"fine"


@pytest.mark.parametrize("encoding", ["br", "gzip, x-cipher", "zstd"])
async def test_a_response_with_an_unrequested_encoding_is_rejected(encoding: str) -> None:
    async def service(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": encoding}, stream=Pieces([b"{}"]))

    async with ClientFixture(service) as fixture:
        error = await failing(fixture)
        assert (error.code, "gzip" in error.message) == ("malformed", True)


async def test_an_error_with_an_unrequested_encoding_is_classified_by_its_status() -> None:
    async with in_pieces(503, Pieces([b"{}"]), content_encoding="br") as fixture:
        await failing(fixture)
        assert fixture.meter.failed == [("http_503", "server")]


async def test_a_secret_of_another_account_is_hidden_too() -> None:
    secrets = Secrets()
    secrets.add("token/of+another==")
    repeated = "token/of+another== token%2Fof%2Banother%3D%3D"
    async with ClientFixture(Service(refusal(403, "Forbidden.RAM", repeated)), secrets=secrets) as fixture:
        error = await failing(fixture)
        assert error.message == "*** ***"


class Pieces(httpx.AsyncByteStream):
    """A body in pieces that counts how many were read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.taken += 1
            yield piece


def in_pieces(status: int, pieces: Pieces, **headers: str) -> ClientFixture:
    """Respond with such a body."""

    async def service(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={k.replace("_", "-"): v for k, v in headers.items()}, stream=pieces)

    return ClientFixture(service, calls_per_day=1)


async def test_all_pieces_of_a_body_are_put_together() -> None:
    async with in_pieces(200, Pieces([b"f", b"in", b"e"])) as fixture:
        assert await fixture.run() == b"fine"


@pytest.mark.parametrize(("status", "largest"), [(200, LARGEST_RESPONSE), (500, LARGEST_ERROR)])
async def test_no_more_is_received_of_a_body_than_is_allowed(status: int, largest: int) -> None:
    pieces = Pieces(repeat(b" " * 8_192, 2 * LARGEST_RESPONSE // 8_192))
    async with in_pieces(status, pieces) as fixture:
        await failing(fixture)
        assert pieces.taken == largest // 8_192 + 1


async def test_a_body_that_cannot_be_decompressed_is_an_error() -> None:
    packing = zlib.compressobj(wbits=31)
    error = packing.compress(b'{"Code":"Throttling"}') + packing.flush(zlib.Z_SYNC_FLUSH)
    spoilt = Pieces([error, b"\xff" * 20, b"more"])
    async with in_pieces(503, spoilt, content_encoding="gzip") as fixture:
        await failing(fixture)
        assert fixture.meter.failed == [("http_503", "server")]
        assert spoilt.taken == 2

    async def service(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Pieces([b"no gzip"]))

    async with ClientFixture(service) as fixture:
        answer = await failing(fixture)
        assert answer.code == "malformed"
        assert answer.message == "the response cannot be decompressed"


def compressed(text: bytes, wbits: int) -> bytes:
    packing = zlib.compressobj(wbits=wbits)
    return packing.compress(text) + packing.flush()


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
async def test_of_a_compressed_chunk_no_more_is_decompressed_than_shows_that_it_is_too_long(
    encoding: str, wbits: int
) -> None:
    chunk = compressed(b" " * 64 * LARGEST_ERROR, wbits)
    async with in_pieces(500, Pieces([chunk]), content_encoding=encoding) as fixture:
        tracemalloc.start()
        try:
            await failing(fixture)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 32 * LARGEST_ERROR


async def test_only_the_first_bytes_decide_whether_deflate_has_a_header() -> None:
    pieces = [compressed(b"fine", 15)[:4], compressed(bytes(range(256)), -15)]

    async def service(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "deflate"}, stream=Pieces(pieces))

    async with ClientFixture(service) as fixture:
        assert (await failing(fixture)).message == "the response cannot be decompressed"
