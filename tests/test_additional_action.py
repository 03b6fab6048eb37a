"""A further action of the API needs only the changes that modules.md names.

The action of this test lists the covers of media. It uses the client of the account, over real connections, and a
service that checks signatures, beside the simulator's own action.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import pytest
from starlette.requests import Request
from starlette.responses import Response

from exporter import called_actions
from exporter.account_credentials import credential_source
from exporter.accounts import Accounts
from exporter.backfill.openmetrics import exposition
from exporter.backfill.replay import HistoricalView
from exporter.core.model import Dimensions, Slice
from exporter.core.publication import PublishedMedia
from exporter.errors import AccountPaused, ErrorKind, QuotaExceeded, UpstreamError
from exporter.exposition import catalog
from exporter.exposition.catalog import Family, Metric, MetricType
from exporter.exposition.negotiation import respond
from exporter.exposition.render import Renderer
from exporter.exposition.telemetry import Telemetry
from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.error_responses import ApiError
from exporter.simulator.faults import Fault
from exporter.simulator.service import Simulator
from exporter.simulator.signature_check import SignedRequest, Verifier
from exporter.vod.actions import Action
from exporter.vod.auth_breaker import OPEN_SECONDS
from exporter.vod.play_data import PLAY_DATA
from exporter.web.server import bound, serving, urls
from tests.exposition.examples import publication
from tests.harness import CONFIGURATION, NOON, Clock, configuration

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Mapping
    from typing import Any

    from starlette.types import Receive, Scope, Send

    from exporter.accounts import ActiveAccount

# A file in exporter/vod/: the row type, the decoder and the action.


@dataclass(frozen=True, slots=True)
class Cover:
    """The cover of a video."""

    media_id: str
    url: str


def decode(body: bytes, parameters: Mapping[str, str]) -> tuple[Cover, ...]:
    """The covers in a response."""
    try:
        covers = tuple(Cover(each["MediaId"], each["CoverUrl"]) for each in json.loads(body)["Covers"])
    except (ValueError, KeyError, TypeError) as error:
        raise UpstreamError(f"no covers: {error}", code="malformed", kind=ErrorKind.MALFORMED) from None
    assert {cover.media_id for cover in covers} <= set(parameters["MediaIds"].split(","))
    return covers


COVERS: Final = Action("ListCovers", "2017-03-21", "vod:ListCovers", decode, ("InvalidCover.NotFound",))

# A row in exporter/exposition/catalog.py; the attribute is one of PublishedMedia.


@dataclass(frozen=True, slots=True)
class MediaWithCover(PublishedMedia):
    """A video that has a cover as well."""

    cover: str | None = None


COVER_INFO: Final[Family[PublishedMedia]] = Family(
    Metric(
        "aliyun_vod_media_cover_info",
        MetricType.GAUGE,
        "Always 1; the cover of the media is in its label (CoverUrl).",
        ("account", "media_id", "cover"),
    ),
    lambda media: None if getattr(media, "cover", None) is None else 1,
)

# The list of actions in exporter/called_actions.py.


@pytest.fixture(autouse=True)
def one_more_action(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(called_actions, "ACTIONS", (*called_actions.ACTIONS, COVERS))
    monkeypatch.setattr(catalog, "MEDIA", (*catalog.MEDIA, COVER_INFO))


# No other change is needed. Below are a service that knows the action, and the tests.


@dataclass
class Service:
    """The simulator and the new action, which responds or fails with `refusal`."""

    clock: Clock
    simulator: Simulator
    refusal: ApiError | None = None
    answered: list[str] = field(default_factory=list)
    _verifier: Verifier = field(default_factory=Verifier)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and Request(scope).headers.get("x-acs-action") == COVERS.name:
            await self._covers(Request(scope, receive))(scope, receive, send)
        else:
            await self.simulator.app(scope, receive, send)

    def _covers(self, request: Request) -> Response:
        query = parse_qsl(request.url.query)
        request_id = f"COVERS-{len(self.answered)}"
        self.answered.append(request_id)
        try:
            signed = SignedRequest(request.method, query, dict(request.headers), b"")
            self._verifier.verify(signed, AccessKeyPair(), now=self.clock.at)
            if self.refusal is not None:
                raise self.refusal
        except ApiError as error:
            body = error.body(request_id, "vod")
            return Response(json.dumps(body), error.status, headers=error.headers)
        media_ids = dict(query)["MediaIds"].split(",")
        covers = [{"MediaId": media_id, "CoverUrl": f"https://c/{media_id}"} for media_id in media_ids]
        return Response(json.dumps({"RequestId": request_id, "Covers": covers}))


@dataclass
class Harness:
    """An account that calls both actions, and its metrics."""

    service: Service
    account: ActiveAccount
    telemetry: Telemetry
    clock: Clock

    async def covers(self, media_ids: str = "a,b") -> tuple[Cover, ...]:
        return await self.account.client.call(COVERS, {"MediaIds": media_ids})

    async def plays(self) -> int:
        page = await self.account.source.page(
            Slice("main", Dimensions(), date(2024, 3, 23)), page=1, page_size=100, media_id=None
        )
        return len(page.rows)

    def refuse(self, action: str, code: str, wait: float | None = None) -> None:
        """Make an action fail; with an empty `code` it succeeds again."""
        if action == COVERS.name:
            headers = {} if wait is None else {"x-acs-retry-after": f"{wait * 1000:.0f}"}
            self.service.refusal = ApiError(code, headers=headers) if code else None
        else:
            self.service.simulator.change(faults=(Fault(code, wait=wait),) if code else ())

    def counted(self, name: str, **labels: str) -> dict[str, float]:
        """The sums of a metric by action."""
        found: dict[str, float] = {}
        for metric in self.telemetry.families.collect():
            for sample in metric.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    action = sample.labels["action"]
                    found[action] = found.get(action, 0) + sample.value
        return found


class StandingClock(Clock):
    """A clock that stands still, so that sleepers do not wake until it is advanced."""

    def __init__(self) -> None:
        super().__init__()
        self._advanced = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self._advanced.wait()
        self.at += seconds

    async def until_asleep(self, sleepers: int) -> None:
        while len(self.waits) < sleepers:
            await asyncio.sleep(0)

    def go_on(self) -> None:
        self._advanced.set()


@contextlib.asynccontextmanager
async def running_harness(text: str = CONFIGURATION, clock: Clock | None = None) -> AsyncGenerator[Harness]:
    clock = clock or Clock()
    service = Service(clock, Simulator(clock=clock.now))
    with bound(["127.0.0.1:0"]) as sockets:
        async with serving(service, sockets, date_header=False):
            config = configuration(urls(sockets)[0], text=text)
            telemetry = Telemetry(version="1", accounts=called_actions.called_actions(config), queries=[])
            accounts = Accounts(
                lambda account: credential_source(account, {}, not_yet=print),
                meter=telemetry,
                now=clock.now,
                monotonic=clock.now,
                sleep=clock.sleep,
            )
            async with accounts:
                async with accounts.opened(config.accounts) as opened:
                    accounts.adopt(opened)
                yield Harness(service, opened["main"], telemetry, clock)
            service.simulator.close()


async def failure(call: Coroutine[Any, Any, object]) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await call
    return caught.value


each_of_both: Final = pytest.mark.parametrize(
    ("action", "other"), [(PLAY_DATA, COVERS), (COVERS, PLAY_DATA)], ids=lambda action: action.name
)


def call(harness: Harness, action: Action[Any]) -> Coroutine[Any, Any, object]:
    return harness.covers() if action is COVERS else harness.plays()


def test_modules_md_names_the_places() -> None:
    text = (Path(__file__).parent.parent / "docs" / "design" / "modules.md").read_text()
    (item,) = re.findall(r"^\* Another API action: (.*?)^\* ", text, re.MULTILINE | re.DOTALL)
    assert re.findall(r"`([a-z_/]+(?:\.py|/))`", item) == ["vod/", "called_actions.py", "exposition/catalog.py"]


async def test_the_action_is_signed_answered_and_decoded() -> None:
    async with running_harness() as harness:
        assert await harness.covers() == (Cover("a", "https://c/a"), Cover("b", "https://c/b"))
        assert await harness.plays() > 0


async def test_requests_are_counted_by_action_from_zero_on() -> None:
    async with running_harness() as harness:
        for name in ("requests_total", "retries_total", "request_duration_seconds_count", "errors_total"):
            assert harness.counted(f"aliyun_vod_api_{name}") == {PLAY_DATA.name: 0, COVERS.name: 0}

        await harness.covers()
        await harness.covers()
        await harness.plays()
        harness.refuse(COVERS.name, "ServiceUnavailable")
        await failure(harness.covers())

        expected = {PLAY_DATA.name: 1, COVERS.name: 6}
        assert harness.counted("aliyun_vod_api_requests_total") == expected
        assert harness.counted("aliyun_vod_api_request_duration_seconds_count") == expected
        assert harness.counted("aliyun_vod_api_retries_total") == {PLAY_DATA.name: 0, COVERS.name: 3}
        assert harness.counted("aliyun_vod_api_errors_total", code="ServiceUnavailable") == {COVERS.name: 4}


async def test_an_action_has_its_own_error_codes_in_their_documented_form() -> None:
    async with running_harness() as harness:
        assert harness.counted("aliyun_vod_api_errors_total", code="InvalidCover.NotFound") == {COVERS.name: 0}
        assert harness.counted("aliyun_vod_api_errors_total", code="Meter.AuthError") == {PLAY_DATA.name: 0}

        harness.refuse(COVERS.name, "InvalidParameter")
        assert harness.service.refusal is not None
        harness.service.refusal.code = "invalidcover.notfound"
        error = await failure(harness.covers())

        assert (error.code, error.kind) == ("InvalidCover.NotFound", ErrorKind.PARAMETER)
        assert harness.counted("aliyun_vod_api_errors_total", code="InvalidCover.NotFound") == {COVERS.name: 1}


@each_of_both
@pytest.mark.parametrize("code", ["Forbidden.RAM", "NoPermission", "Forbidden", "Meter.AuthError"])
async def test_an_action_that_may_not_be_called_is_paused_alone(
    action: Action[Any], other: Action[Any], code: str
) -> None:
    async with running_harness() as harness:
        harness.refuse(action.name, code)
        refused = await failure(call(harness, action))
        assert refused.advice == (
            f"Allow the RAM action {action.ram_action} on resource * to the user or role of these credentials."
        )

        paused = await failure(call(harness, action))
        assert isinstance(paused, AccountPaused)
        assert paused.message.startswith(f"account main is paused for {action.name} until ")
        assert paused.advice == refused.advice
        assert await call(harness, other)
        assert harness.counted("aliyun_vod_api_requests_total") == {action.name: 1, other.name: 1}

        harness.clock.at += OPEN_SECONDS
        assert (await failure(call(harness, action))).code == code
        harness.refuse(action.name, "")
        assert isinstance(await failure(call(harness, action)), AccountPaused)
        harness.clock.at += OPEN_SECONDS
        assert await call(harness, action)


@each_of_both
@pytest.mark.parametrize(
    "code", ["InvalidAccessKeyId.NotFound", "SignatureDoesNotMatch", "Forbidden.AccessKeyDisabled", "OperationDenied"]
)
async def test_a_rejected_key_or_account_pauses_every_action(
    action: Action[Any], other: Action[Any], code: str
) -> None:
    async with running_harness() as harness:
        harness.refuse(action.name, code)
        assert (await failure(call(harness, action))).code == code
        for each in (action, other):
            paused = await failure(call(harness, each))
            assert isinstance(paused, AccountPaused)
            assert paused.message.startswith("account main is paused until ")
        assert harness.counted("aliyun_vod_api_requests_total") == {action.name: 1, other.name: 0}

        harness.clock.at += OPEN_SECONDS
        assert await call(harness, other), "any action may probe"
        harness.refuse(action.name, "")
        assert await call(harness, action)


@each_of_both
async def test_a_key_that_lacks_a_permission_only_is_accepted(action: Action[Any], other: Action[Any]) -> None:
    async with running_harness() as harness:
        harness.refuse(action.name, "InvalidAccessKeyId.NotFound")
        await failure(call(harness, action))
        harness.clock.at += OPEN_SECONDS
        harness.refuse(action.name, "Forbidden.RAM")
        assert (await failure(call(harness, action))).code == "Forbidden.RAM"
        assert await call(harness, other)
        assert isinstance(await failure(call(harness, action)), AccountPaused)


@each_of_both
@pytest.mark.parametrize(
    ("code", "delays_the_other"), [("Throttling.Api", False), ("Throttling.User", True), ("Throttling", True)]
)
async def test_only_throttling_of_the_account_delays_the_other_action(
    action: Action[Any], other: Action[Any], code: str, *, delays_the_other: bool
) -> None:
    clock = StandingClock()
    async with running_harness(clock=clock) as harness:
        harness.refuse(action.name, code, wait=60)
        throttled = asyncio.ensure_future(call(harness, action))
        await clock.until_asleep(1)
        assert harness.counted("aliyun_vod_api_errors_total", code=code) == {action.name: 1}
        harness.refuse(action.name, "")
        following = [asyncio.ensure_future(call(harness, other))]
        if not delays_the_other:
            assert await following[0]
            following.append(asyncio.ensure_future(call(harness, action)))
        await clock.until_asleep(2)
        sent = harness.counted("aliyun_vod_api_requests_total")
        assert sent == {action.name: 1, other.name: 0 if delays_the_other else 1}
        assert harness.account.limits.requests_per_second == 500
        clock.go_on()
        assert await throttled
        assert all(await asyncio.gather(*following))
        assert clock.at >= NOON + 60


async def test_the_advice_for_an_action_that_is_throttled_alone_names_it() -> None:
    async with running_harness() as harness:
        harness.refuse(COVERS.name, "Throttling.Api")
        assert "the service limits vod:ListCovers " in (await failure(harness.covers())).advice


async def test_both_actions_share_the_calls_of_the_day() -> None:
    text = CONFIGURATION.replace("concurrency: 8", "concurrency: 8, calls_per_day: 3")
    async with running_harness(text) as harness:
        await harness.covers()
        await harness.plays()
        await harness.covers()
        for action in (COVERS, PLAY_DATA):
            assert isinstance(await failure(call(harness, action)), QuotaExceeded)


def test_its_families_are_rendered_with_their_labels_now_and_in_backfills() -> None:
    media = MediaWithCover("main", "m1", "Title", 246, 'https://c/"1"')
    bare = MediaWithCover("main", "m2", None, 10)
    now = publication(media=[media, bare])
    telemetry = Telemetry(version="1", accounts={}, queries=[])
    exposed = respond(Renderer().render(now), telemetry).body.decode().splitlines()
    past = b"".join(chunk.text for chunk in exposition([HistoricalView(now, range(1, 2))], {})).decode().splitlines()
    series = r'aliyun_vod_media_cover_info{account="main",media_id="m1",cover="https://c/\"1\""} 1'
    assert [line for line in exposed if "cover_info" in line] == [
        "# HELP aliyun_vod_media_cover_info Always 1; the cover of the media is in its label (CoverUrl).",
        "# TYPE aliyun_vod_media_cover_info gauge",
        series,
    ]
    assert [line for line in past if line.startswith("aliyun_vod_media_cover_info")] == [f"{series} 1"]
