"""The breaker by itself; its effect on calls is tested in test_client."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from exporter.errors import AccountPaused, ErrorKind, ErrorScope, UpstreamError
from exporter.vod.auth_breaker import OPEN_SECONDS, AuthCircuitBreaker, AuthCircuitBreakers
from exporter.vod.credentials.sources import Credentials
from tests.vod.fakes import KEY, Clock

FORBIDDEN = UpstreamError(
    "No.", code="Forbidden.RAM", kind=ErrorKind.AUTH, http_status=403, scope=ErrorScope.ACTION, advice="Allow it."
)
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


async def test_the_end_of_a_pause_is_a_time_of_the_present_clock(pause: AuthCircuitBreaker, clock: Clock) -> None:
    """The clock of a machine without a battery may be set to the right year meanwhile."""
    await clock.until(60)
    clock.start += 3600
    with pytest.raises(AccountPaused, match="until 2023-11-14T23:18:20Z or until"):
        pause.check(KEY)


async def call_once(pause: AuthCircuitBreaker) -> None:
    async with pause.admit(KEY):
        pass


async def test_while_a_probe_is_under_way_a_new_pause_refuses_at_once(pause: AuthCircuitBreaker, clock: Clock) -> None:
    await clock.until(OPEN_SECONDS)
    async with pause.admit(KEY):
        # A request that was sent before the pause is refused only now.
        pause.open(KEY, REFUSED)
        waiting_request = asyncio.ensure_future(call_once(pause))
        await clock.settle()
        is_refused = waiting_request.done()
    assert is_refused
    with pytest.raises(AccountPaused):
        await waiting_request


async def test_who_waits_for_a_probe_is_refused_with_it(pause: AuthCircuitBreaker, clock: Clock) -> None:
    await clock.until(OPEN_SECONDS)
    with contextlib.suppress(UpstreamError):
        async with pause.admit(KEY):
            waiting = asyncio.ensure_future(call_once(pause))
            await clock.settle()
            assert not waiting.done()
            pause.open(KEY, REFUSED)
            raise REFUSED
    with pytest.raises(AccountPaused):
        await waiting


@pytest.fixture
def breakers(clock: Clock) -> AuthCircuitBreakers:
    return AuthCircuitBreakers("main", clock.now, clock.monotonic)


async def send(breakers: AuthCircuitBreakers, action: str, error: UpstreamError | None = None) -> None:
    """Send a request of an action that fails with this error, as the client does."""
    try:
        async with breakers.admit(action, KEY):
            if error is not None:
                raise error
    except AccountPaused:
        raise
    except UpstreamError as refused:
        breakers.open(action, KEY, refused)


async def test_a_missing_permission_pauses_the_action_alone(breakers: AuthCircuitBreakers) -> None:
    await send(breakers, "A", FORBIDDEN)
    breakers.check("B", KEY)
    await send(breakers, "B")
    with pytest.raises(AccountPaused, match=r"account main is paused for A until .* after Forbidden.RAM: No") as caught:
        breakers.check("A", KEY)
    assert (caught.value.scope, caught.value.advice) == (ErrorScope.ACTION, "Allow it.")
    breakers.check("A", Credentials("another", "key"))


async def test_a_rejected_key_pauses_every_action(breakers: AuthCircuitBreakers) -> None:
    await send(breakers, "A", REFUSED)
    for action in "AB":
        with pytest.raises(AccountPaused, match="account main is paused until") as caught:
            breakers.check(action, KEY)
        assert caught.value.scope is ErrorScope.ACCOUNT


async def test_of_two_actions_that_are_paused_each_has_its_own_probe(
    breakers: AuthCircuitBreakers, clock: Clock
) -> None:
    await send(breakers, "A", FORBIDDEN)
    await send(breakers, "B", FORBIDDEN)
    await clock.until(OPEN_SECONDS)
    async with breakers.admit("A", KEY):
        # Does not wait for the probe of A.
        await send(breakers, "B")
    await send(breakers, "A", FORBIDDEN)
    with pytest.raises(AccountPaused):
        breakers.check("A", KEY)
    await send(breakers, "B")


async def test_one_action_probes_for_all_and_the_others_wait(breakers: AuthCircuitBreakers, clock: Clock) -> None:
    await send(breakers, "A", REFUSED)
    await clock.until(OPEN_SECONDS)
    async with breakers.admit("B", KEY):
        waiting = asyncio.ensure_future(send(breakers, "A"))
        await clock.settle()
        assert not waiting.done()
    await waiting


async def test_a_probe_that_lacks_a_permission_only_shows_that_the_key_is_accepted(
    breakers: AuthCircuitBreakers, clock: Clock
) -> None:
    await send(breakers, "A", REFUSED)
    await clock.until(OPEN_SECONDS)
    await send(breakers, "A", FORBIDDEN)
    breakers.check("B", KEY)
    async with breakers.admit("B", KEY):
        await send(breakers, "B")  # no request probes for the account any more
    with pytest.raises(AccountPaused, match="for A"):
        breakers.check("A", KEY)


async def test_a_paused_action_does_not_wait_for_the_probe_of_the_account(
    breakers: AuthCircuitBreakers, clock: Clock
) -> None:
    await send(breakers, "B", REFUSED)
    await clock.until(OPEN_SECONDS)
    async with breakers.admit("B", KEY):
        breakers.open("A", KEY, FORBIDDEN)  # a request that was sent before
        paused = asyncio.ensure_future(send(breakers, "A"))
        await clock.settle()
        assert paused.done()
    with pytest.raises(AccountPaused, match="for A"):
        await paused


async def test_a_rejected_key_does_not_end_the_pause_of_an_action(breakers: AuthCircuitBreakers, clock: Clock) -> None:
    await send(breakers, "A", FORBIDDEN)
    await clock.until(OPEN_SECONDS)
    await send(breakers, "A", REFUSED)
    await clock.until(2 * OPEN_SECONDS)
    await send(breakers, "B")
    async with breakers.admit("A", KEY):
        waiting = asyncio.ensure_future(send(breakers, "A"))
        await clock.settle()
        assert not waiting.done()
    await waiting
