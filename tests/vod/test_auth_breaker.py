"""The pause by itself; what calls make of it is in test_client."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from exporter.errors import AccountPaused, ErrorKind, UpstreamError
from exporter.vod.auth_breaker import OPEN_SECONDS, AuthCircuitBreaker
from exporter.vod.credentials.sources import Credentials
from tests.vod.fakes import KEY, Clock

REFUSED = UpstreamError("No.", code="InvalidAccessKeyId.NotFound", kind=ErrorKind.AUTH, request_id="R", http_status=404)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pause(clock: Clock) -> AuthCircuitBreaker:
    pause = AuthCircuitBreaker("main", clock.now, clock.monotonic)
    pause.open(KEY, REFUSED)
    return pause


async def test_a_pause_lasts_five_minutes_to_the_second(pause: AuthCircuitBreaker, clock: Clock) -> None:
    await clock.until(OPEN_SECONDS - 0.001)
    with pytest.raises(AccountPaused, match="account main is paused") as caught:
        pause.check(KEY)
    assert caught.value.wait == pytest.approx(0.001)
    await clock.until(OPEN_SECONDS)
    pause.check(KEY)


def test_a_pause_is_of_the_credentials_that_were_refused(pause: AuthCircuitBreaker) -> None:
    pause.check(Credentials(KEY.access_key_id, "another"))


def test_a_pause_ends_at_a_time_of_utc_wherever_this_machine_is(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        pause = AuthCircuitBreaker("main", clock.now, clock.monotonic)
        pause.open(KEY, REFUSED)
        with pytest.raises(AccountPaused, match="until 2023-11-14T22:18:20Z or until") as caught:
            pause.check(KEY)
    finally:
        monkeypatch.undo()
        time.tzset()
    error = caught.value
    assert (error.code, error.kind, error.request_id, error.http_status) == (REFUSED.code, ErrorKind.AUTH, "R", 404)


async def ask(pause: AuthCircuitBreaker) -> None:
    async with pause.admit(KEY):
        pass


async def test_while_a_probe_is_under_way_a_new_pause_refuses_at_once(pause: AuthCircuitBreaker, clock: Clock) -> None:
    await clock.until(OPEN_SECONDS)
    async with pause.admit(KEY):
        # A request that was sent before the pause is refused only now.
        pause.open(KEY, REFUSED)
        asked = asyncio.ensure_future(ask(pause))
        await clock.settle()
        is_told = asked.done()
    assert is_told
    with pytest.raises(AccountPaused):
        await asked


async def test_who_waits_for_a_probe_is_refused_with_it(pause: AuthCircuitBreaker, clock: Clock) -> None:
    await clock.until(OPEN_SECONDS)
    with contextlib.suppress(UpstreamError):
        async with pause.admit(KEY):
            waiting = asyncio.ensure_future(ask(pause))
            await clock.settle()
            assert not waiting.done()
            pause.open(KEY, REFUSED)
            raise REFUSED
    with pytest.raises(AccountPaused):
        await waiting
