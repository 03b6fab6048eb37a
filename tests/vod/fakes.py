"""Fakes for the tests of this package: a clock that moves when all tasks wait, a recording meter, sources."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx

from exporter.vod.actions import Action
from exporter.vod.client import Client
from exporter.vod.credentials.sources import Credentials
from exporter.vod.play_data import PLAY_DATA
from exporter.vod.rate_limits import AccountLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from exporter.errors import ErrorKind
    from exporter.vod.redaction import Secrets

START = 1_700_000_000.0  # 2023-11-15 06:13:20 UTC+8
KEY = Credentials("key-id", "key-secret")
ENDPOINT = "https://vod.cn-shanghai.aliyuncs.com"
RAND = 0.5

T = TypeVar("T")


class Clock:
    """A clock that stands still until `run` finds no other work."""

    def __init__(self, start: float = START) -> None:
        self.start = start
        self.elapsed = 0.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> float:
        return self.start + self.elapsed

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.elapsed + seconds, next(self._order), future))
        await future

    async def settle(self) -> None:
        """Run everything that does not wait for time."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def until(self, elapsed: float) -> None:
        """Let time pass, and wake the sleepers that become due."""
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= elapsed:
            await self._wake()
        self.elapsed = max(self.elapsed, elapsed)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine; time advances whenever everything waits."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await self.settle()
            if not task.done() and self._sleepers:
                await self._wake()
        return task.result()

    async def _wake(self) -> None:
        at, _, future = heapq.heappop(self._sleepers)
        self.elapsed = max(self.elapsed, at)
        if not future.done():
            future.set_result(None)
        await self.settle()


class AdvanceableLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can advance."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def put_forward(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, AdvanceableLoop)
    loop.ahead += seconds


@dataclass
class FakeMeter:
    """Records all reports in order."""

    sent: int = 0
    retries: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    actions: set[str] = field(default_factory=set)
    took: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    calls: list[int | None] = field(default_factory=list)
    accounts: set[str] = field(default_factory=set)

    def request_sent(self, account: str, action: str) -> None:
        self.accounts.add(account)
        self.actions.add(action)
        self.sent += 1

    def request_failed(self, account: str, action: str, code: str, kind: ErrorKind) -> None:
        self.accounts.add(account)
        self.actions.add(action)
        self.failed.append((code, kind.value))

    def request_took(self, account: str, action: str, seconds: float) -> None:
        self.accounts.add(account)
        self.actions.add(action)
        self.took.append(seconds)

    def retried(self, account: str, action: str) -> None:
        self.accounts.add(account)
        self.actions.add(action)
        self.retries += 1

    def rate_changed(self, account: str, per_second: float) -> None:
        self.accounts.add(account)
        self.rates.append(per_second)

    def calls_remaining(self, account: str, calls: int | None) -> None:
        self.accounts.add(account)
        self.calls.append(calls)


class FakeSource:
    """Credentials that a test can change; `renewed` is what it has after a renewal, if anything else."""

    def __init__(self, credentials: Credentials = KEY, renewed: Credentials | None = None) -> None:
        self.credentials = credentials
        self.renewed = renewed
        self.renewals = 0

    async def get(self) -> Credentials:
        return self.credentials

    async def changed(self) -> bool:
        return False

    async def renew(self) -> Credentials:
        self.renewals += 1
        self.credentials = self.renewed or self.credentials
        return self.credentials


class Service:
    """Returns these answers in order, the last one for ever, and records the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        # A response can be read once only.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def action(decode: Callable[[bytes], T]) -> Action[T]:
    """An action with the error codes of play data; its decoder ignores the parameters."""
    return Action("Ask", "2017-03-21", "vod:Ask", lambda body, _: decode(body), PLAY_DATA.error_codes)


class FakeQuotaStore:
    """A store of calls: those from before a restart, and those recorded since."""

    def __init__(self, **spent: int) -> None:
        self.kept = {(account, date(2023, 11, 15)): calls for account, calls in spent.items()}

    def calls_spent(self, account: str, day: date) -> int:
        return self.kept.get((account, day), 0)

    def record_calls(self, account: str, day: date, calls: int) -> None:
        self.kept[account, day] = calls


def account_limits(clock: Clock, meter: FakeMeter, rate: float, concurrency: int, calls_per_day: int) -> AccountLimits:
    limits = AccountLimits(
        "main",
        requests_per_second=rate,
        concurrency=concurrency,
        calls_per_day=calls_per_day,
        meter=meter,
        now=clock.now,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
    )
    limits.report()
    return limits


class ClientFixture:
    """A client with fakes of everything that it needs."""

    def __init__(
        self,
        service: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]],
        *,
        source: FakeSource | None = None,
        rate: float = 1000.0,
        concurrency: int = 4,
        calls_per_day: int = 0,
        endpoint: str = ENDPOINT,
        timeout: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self.clock = Clock()
        self.meter = FakeMeter()
        self.source = source or FakeSource()
        self.limits = account_limits(self.clock, self.meter, rate, concurrency, calls_per_day)
        nonces = count()
        self.client = Client(
            "main",
            endpoint=endpoint,
            credentials=self.source,
            limits=self.limits,
            timeout=timeout,
            meter=self.meter,
            transport=transport or httpx.MockTransport(service),
            secrets=secrets,
            sleep=self.clock.sleep,
            random=lambda: RAND,
            nonce=lambda: f"nonce-{next(nonces)}",
            now=self.clock.now,
            monotonic=self.clock.monotonic,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    def call_once(self, **parameters: str) -> Coroutine[Any, Any, bytes]:
        """A call whose decoded response is the body."""
        return self.client.call(action(bytes), parameters)

    async def run(self, **parameters: str) -> bytes:
        return await self.clock.run(self.call_once(**parameters))


def refusal(status: int, code: str, message: str = "No.", **headers: str) -> httpx.Response:
    """An error response of the service."""
    body = {"RequestId": "REQ-1", "HostId": "vod", "Code": code, "Message": message}
    return httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def ok(body: bytes = b"fine") -> httpx.Response:
    return httpx.Response(200, content=body)
