from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core import play_dates
from exporter.errors import ErrorKind, ErrorScope, QuotaExceeded, RequestSkipped, UpstreamError
from exporter.vod.rate_limits import (
    MIN_REQUESTS_PER_SECOND,
    RECOVERY,
    AccountLimits,
    Permit,
)
from tests.vod.fakes import Clock, FakeMeter, FakeQuotaStore, account_limits

ACTION = "Ask"
THROTTLED = UpstreamError("", code="Throttling.User", kind=ErrorKind.THROTTLED)


def retry_after(seconds: float) -> UpstreamError:
    return UpstreamError("", code="ServiceUnavailable", kind=ErrorKind.SERVER, wait=seconds)


def throttled_alone(wait: float | None = None) -> UpstreamError:
    return UpstreamError("", code="Throttling.Api", kind=ErrorKind.THROTTLED, wait=wait, scope=ErrorScope.ACTION)


class Account:
    """Limits with a fake clock, and the times at which callers were permitted."""

    def __init__(
        self, rate: float = 5.0, concurrency: int = 4, calls_per_day: int = 0, clock: Clock | None = None
    ) -> None:
        self.clock = clock or Clock()
        self.meter = FakeMeter()
        self.limits = account_limits(self.clock, self.meter, rate, concurrency, calls_per_day)
        self.passed: list[tuple[float, int]] = []
        self.max_in_flight = 0
        self.most_at_once = 0

    async def caller(self, name: int = 0, takes: float = 0.0, action: str = ACTION) -> Permit:
        async with self.limits.acquire(action) as permit:
            self.limits.spend()
            self.passed.append((self.clock.monotonic(), name))
            self.max_in_flight += 1
            self.most_at_once = max(self.most_at_once, self.max_in_flight)
            try:
                if takes:
                    await self.clock.sleep(takes)
            finally:
                self.max_in_flight -= 1
        return permit

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.passed]


async def test_requests_pass_at_the_rate() -> None:
    account = Account(rate=5)
    await account.clock.run(_all(account.caller() for _ in range(6)))
    assert account.times == pytest.approx([0, 0.15, 0.35, 0.55, 0.75, 0.95])


async def _all(callers: object) -> None:
    async with asyncio.TaskGroup() as group:
        for caller in callers:  # type: ignore[attr-defined]
            group.create_task(caller)


@given(
    rate=st.floats(0.05, 200),
    concurrency=st.integers(1, 6),
    arrivals=st.lists(st.floats(0, 20), min_size=1, max_size=25),
    takes=st.lists(st.floats(0, 3), min_size=25, max_size=25),
    throttled=st.sets(st.integers(0, 24)),
    cancelled=st.dictionaries(st.integers(0, 24), st.floats(0, 20)),
)
def test_neither_rate_nor_concurrency_is_ever_exceeded(
    rate: float,
    concurrency: int,
    arrivals: list[float],
    takes: list[float],
    throttled: set[int],
    cancelled: dict[int, float],
) -> None:
    account = Account(rate=rate, concurrency=concurrency)
    clock = account.clock

    async def caller(number: int, arrival: float) -> None:
        await clock.sleep(arrival)
        permit = await account.caller(number, takes[number])
        if number in throttled:
            account.limits.on_error(ACTION, permit, THROTTLED)
        else:
            account.limits.on_success(ACTION, permit)

    async def cancel(task: asyncio.Task[None], at: float) -> None:
        await clock.sleep(at)
        task.cancel()

    async def everybody() -> None:
        tasks = [asyncio.create_task(caller(number, arrival)) for number, arrival in enumerate(arrivals)]
        cancels = [asyncio.create_task(cancel(tasks[n], at)) for n, at in cancelled.items() if n < len(tasks)]
        await asyncio.gather(*cancels)
        await asyncio.gather(*tasks, return_exceptions=True)
        # Cancelled callers have released everything: the full concurrency is available.
        account.most_at_once = 0
        await _all(account.caller(99, takes=1e6) for _ in range(concurrency))
        assert account.most_at_once == concurrency

    asyncio.run(clock.run(everybody()))
    assert account.max_in_flight == 0
    assert account.most_at_once <= concurrency
    times = account.times
    for first in range(len(times)):
        for last in range(first, len(times)):
            seconds = times[last] - times[first]
            assert last - first + 1 <= rate * (seconds + 0.05) * (1 + 1e-6) + 1 + 1e-6


@given(concurrency=st.integers(1, 4), callers=st.integers(1, 20))
def test_first_come_first_served(concurrency: int, callers: int) -> None:
    account = Account(rate=3, concurrency=concurrency)
    asyncio.run(account.clock.run(_all(account.caller(number, takes=0.9) for number in range(callers))))
    assert [number for _, number in account.passed] == list(range(callers))


async def test_concurrency_bounds_what_is_under_way() -> None:
    account = Account(rate=1000, concurrency=2)
    await account.clock.run(_all(account.caller(takes=10) for _ in range(6)))
    assert account.most_at_once == 2
    assert [round(at / 10) for at in account.times] == [0, 0, 1, 1, 2, 2]


async def test_late_wake_up_is_made_up_for_but_idle_time_is_not() -> None:
    account = Account(rate=10)
    await account.clock.run(account.caller())
    account.clock.elapsed = 100
    await account.clock.run(_all(account.caller() for _ in range(3)))
    assert account.times == pytest.approx([0, 100, 100.05, 100.15])


async def test_cancelled_waiter_does_not_delay_the_next() -> None:
    account = Account(rate=1, concurrency=4)
    await account.clock.run(account.caller(0))
    waiters = [asyncio.create_task(account.caller(number)) for number in (1, 2, 3)]
    await account.clock.settle()
    waiters[0].cancel()
    waiters[1].cancel()
    await account.clock.until(5)
    assert [number for _, number in account.passed] == [0, 3]
    assert waiters[2].done()
    assert account.times[1] == pytest.approx(0.95)


async def test_named_wait_holds_everybody() -> None:
    account = Account(rate=10)
    permit = await account.clock.run(account.caller())
    waiting = asyncio.create_task(account.caller())
    await account.clock.settle()  # asleep for its permit when the hold begins
    account.limits.on_error(ACTION, permit, retry_after(7.0))
    await account.clock.run(_all([account.caller()]))
    await waiting
    assert account.times[1:] == pytest.approx([7.0, 7.05], abs=0.06)
    assert account.limits.requests_per_second == 10


async def test_shorter_wait_does_not_end_a_longer_one() -> None:
    account = Account(rate=10)
    permit = await account.clock.run(account.caller())
    account.limits.on_error(ACTION, permit, retry_after(60.0))
    account.limits.on_error(ACTION, permit, retry_after(1.0))
    await account.clock.run(account.caller())
    assert account.times[1] == 60.0


async def test_throttling_halves_the_rate_down_to_a_floor() -> None:
    account = Account(rate=1.0)
    assert account.meter.rates == [1.0]
    for _ in range(6):
        permit = await account.clock.run(account.caller())
        account.limits.on_error(ACTION, permit, THROTTLED)
    assert account.meter.rates == [1.0, 0.5, 0.25, 0.125, MIN_REQUESTS_PER_SECOND]
    assert account.limits.requests_per_second == MIN_REQUESTS_PER_SECOND


async def test_floor_is_not_above_the_configured_rate() -> None:
    account = Account(rate=0.05)
    permit = await account.clock.run(account.caller())
    account.limits.on_error(ACTION, permit, THROTTLED)
    assert account.limits.requests_per_second == 0.05
    assert account.meter.rates == [0.05]


async def test_requests_under_way_together_halve_the_rate_once() -> None:
    account = Account(rate=8)
    turns = [await account.clock.run(account.caller()) for _ in range(4)]
    account.clock.elapsed += 1
    for permit in turns:
        account.limits.on_error(ACTION, permit, THROTTLED)
    assert account.limits.requests_per_second == 4


async def test_success_lets_the_rate_recover_over_time() -> None:
    account = Account(rate=6)
    permit = await account.clock.run(account.caller())
    account.clock.elapsed += 1
    account.limits.on_error(ACTION, permit, THROTTLED)
    account.clock.elapsed += RECOVERY / 6
    account.limits.on_success(ACTION, permit)  # was sent before the halving: proves nothing
    assert account.limits.requests_per_second == 3
    for number, expected in enumerate((4.0, 5.0, 6.0, 6.0)):
        account.clock.elapsed += RECOVERY / 6 if number else 0
        sent = Permit(account.clock.monotonic())
        account.limits.on_success(ACTION, sent)
        assert account.limits.requests_per_second == pytest.approx(expected)
    assert account.meter.rates == pytest.approx([6, 3, 4, 5, 6])


async def test_halved_rate_is_the_one_in_force() -> None:
    account = Account(rate=4)
    permit = await account.clock.run(account.caller())
    account.limits.on_error(ACTION, permit, THROTTLED)
    await account.clock.run(_all(account.caller() for _ in range(4)))
    assert [later - earlier for earlier, later in pairwise(account.times)][1:] == pytest.approx([0.5] * 3)


async def test_another_rate_is_in_force_at_once() -> None:
    account = Account(rate=4)
    account.limits.change(requests_per_second=2, concurrency=4, calls_per_day=0)
    await account.clock.run(_all(account.caller() for _ in range(4)))
    assert account.meter.rates == [4, 2]
    assert [later - earlier for earlier, later in pairwise(account.times)][1:] == pytest.approx([0.5] * 2)


async def test_a_higher_rate_need_not_be_climbed_to() -> None:
    account = Account(rate=4)
    account.limits.change(requests_per_second=20, concurrency=4, calls_per_day=0)
    assert (account.limits.requests_per_second, account.meter.rates) == (20, [4, 20])


async def test_an_unchanged_rate_is_not_reported_again() -> None:
    account = Account(rate=4)
    account.limits.change(requests_per_second=4, concurrency=9, calls_per_day=0)
    assert account.meter.rates == [4]


@pytest.mark.parametrize(("rate", "in_force", "at_most"), [(100, 4, 100), (2, 2, 2)])
async def test_what_throttling_has_taught_outlives_another_rate(rate: float, in_force: float, at_most: float) -> None:
    account = Account(rate=8)
    permit = await account.clock.run(account.caller())
    account.limits.on_error(ACTION, permit, THROTTLED)

    account.limits.change(requests_per_second=rate, concurrency=4, calls_per_day=0)

    assert account.limits.requests_per_second == in_force
    account.clock.elapsed += RECOVERY
    account.limits.on_success(ACTION, Permit(account.clock.monotonic()))
    assert account.limits.requests_per_second == at_most


async def test_another_concurrency_bounds_what_begins_now() -> None:
    account = Account(rate=1000, concurrency=1)
    account.limits.change(requests_per_second=1000, concurrency=3, calls_per_day=0)
    await account.clock.run(_all(account.caller(takes=1) for _ in range(9)))
    assert account.most_at_once == 3


async def test_another_budget_counts_what_was_spent() -> None:
    account = Account(rate=1000)
    await account.clock.run(account.caller())
    account.limits.change(requests_per_second=1000, concurrency=4, calls_per_day=2)
    await account.clock.run(account.caller())
    with pytest.raises(QuotaExceeded):
        await account.clock.run(account.caller())
    account.limits.change(requests_per_second=1000, concurrency=4, calls_per_day=0)
    await account.clock.run(account.caller())
    assert account.meter.calls == [1, 0, None]


async def test_budget_is_spent_and_comes_back_at_midnight_utc8() -> None:
    account = Account(rate=1000, calls_per_day=2)
    await account.clock.run(account.caller())
    await account.clock.run(account.caller())
    assert account.meter.calls == [2, 1, 0]
    with pytest.raises(QuotaExceeded, match=r"calls_per_day \(2\) .* 2023-11-16 00:00 UTC\+8") as caught:
        await account.clock.run(account.caller())
    assert isinstance(caught.value, RequestSkipped)
    assert (caught.value.code, caught.value.kind) == ("calls_per_day", ErrorKind.OTHER)
    assert "limits.calls_per_day" in caught.value.advice
    midnight = play_dates.next_midnight(account.clock.now()) - account.clock.start
    account.clock.elapsed = midnight - 0.001
    assert account.limits.calls_remaining == 0
    account.clock.elapsed = midnight
    assert account.limits.calls_remaining == 2
    await account.clock.run(account.caller())
    assert account.limits.calls_remaining == 1


async def test_no_call_beyond_the_quota_is_sent() -> None:
    account = Account(rate=1, concurrency=3, calls_per_day=4)
    ends: Counter[str] = Counter()

    async def caller() -> None:
        try:
            await account.caller(takes=2)
        except QuotaExceeded:
            ends["refused"] += 1
        else:
            ends["sent"] += 1

    await account.clock.run(_all(caller() for _ in range(9)))
    assert ends == {"sent": 4, "refused": 5}
    assert account.limits.calls_remaining == 0


async def test_an_exceeded_quota_is_reported_before_waiting_for_a_permit() -> None:
    account = Account(rate=1, concurrency=1, calls_per_day=1)
    permit = await account.clock.run(account.caller())
    account.limits.on_error(ACTION, permit, retry_after(60))
    with pytest.raises(QuotaExceeded):
        await account.clock.run(account.caller())
    assert account.clock.elapsed == 0


async def test_turn_given_back_unused_costs_no_call() -> None:
    account = Account(calls_per_day=1)
    with suppress(ZeroDivisionError):
        async with account.limits.acquire(ACTION):
            raise ZeroDivisionError
    assert account.limits.calls_remaining == 1


async def test_unlimited_calls() -> None:
    account = Account(rate=1000, calls_per_day=0)
    await account.clock.run(_all(account.caller() for _ in range(50)))
    assert account.limits.calls_remaining is None
    assert not account.meter.calls
    assert account.meter.accounts == {"main"}


async def test_budget_goes_on_after_a_restart_and_every_call_is_recorded() -> None:
    clock, meter, quota_store = Clock(), FakeMeter(), FakeQuotaStore(main=3)
    limits = AccountLimits(
        "main",
        requests_per_second=1000,
        concurrency=1,
        calls_per_day=5,
        meter=meter,
        quota_store=quota_store,
        now=clock.now,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
    )
    assert limits.calls_remaining == 2
    limits.spend()
    limits.spend()
    with pytest.raises(QuotaExceeded):
        limits.spend()
    assert quota_store.kept == {("main", date(2023, 11, 15)): 5}

    clock.elapsed += 86_400
    limits.spend()
    assert quota_store.kept["main", date(2023, 11, 16)] == 1


async def test_a_clock_that_is_set_to_another_day_and_back_gives_no_budget_twice() -> None:
    account = Account(calls_per_day=2)
    await account.clock.run(_all(account.caller() for _ in range(2)))
    right = account.clock.start
    for leap in (20 * 365 * 86_400, -86_400, 86_400):
        account.clock.start = right + leap
        assert account.limits.calls_remaining == 2
        account.limits.spend()
        account.clock.start = right
        assert account.limits.calls_remaining == 0
        with pytest.raises(QuotaExceeded):
            account.limits.spend()


async def throttle_alone(account: Account, wait: float | None = None) -> None:
    permit = await account.clock.run(account.caller())
    account.limits.on_error(ACTION, permit, throttled_alone(wait))


async def test_an_action_that_is_throttled_alone_is_slower_and_no_other() -> None:
    account = Account(rate=10)
    await throttle_alone(account)
    account.passed.clear()
    start = account.clock.elapsed
    await account.clock.run(
        _all([*(account.caller(1) for _ in range(5)), *(account.caller(2, action="Other") for _ in range(5))])
    )
    passed = {name: [at - start for at, each in account.passed if each == name] for name in (1, 2)}
    # The throttled action at 5 requests a second, and both together at 10.
    assert all(at >= 0.2 * number - 0.05 for number, at in enumerate(passed[1]))
    assert passed[2][-1] <= 0.7
    assert account.limits.requests_per_second == 5
    assert account.meter.rates == [10, 5]


async def test_while_an_action_has_to_wait_it_takes_no_slot() -> None:
    account = Account(rate=1000, concurrency=1)
    await throttle_alone(account, wait=60)
    waiting = asyncio.ensure_future(account.caller(1))
    await account.clock.settle()
    await account.clock.run(account.caller(2, action="Other"))
    assert account.clock.elapsed < 1
    assert not waiting.done()
    await account.clock.until(60)
    await waiting
    assert account.passed[-1] == (60, 1)


async def test_requests_that_wait_when_their_action_is_throttled_are_held_back_too() -> None:
    account = Account(rate=1000, concurrency=2)
    permit = await account.clock.run(account.caller())
    first = [asyncio.ensure_future(account.caller(1, takes=5)) for _ in range(2)]
    # Behind the first two: without a slot, and with a permit of the account soon.
    behind = [asyncio.ensure_future(account.caller(2)) for _ in range(3)]
    await account.clock.until(1)
    account.limits.on_error(ACTION, permit, throttled_alone(wait=60))
    await account.clock.until(60)
    assert [name for _, name in account.passed] == [0, 1, 1]
    await account.clock.until(70)
    await asyncio.gather(*first, *behind)
    assert min(at for at, name in account.passed if name == 2) == 61


async def test_an_action_that_waits_is_held_back_by_further_throttling() -> None:
    account = Account(rate=1000, concurrency=4)
    await throttle_alone(account, wait=10)
    waiting = asyncio.ensure_future(account.caller(1))
    await account.clock.until(5)
    account.limits.on_error(ACTION, Permit(5), throttled_alone(wait=20))
    await account.clock.until(24.9)
    assert not waiting.done()
    await account.clock.until(25)
    assert (await waiting).at == 25


@pytest.mark.parametrize("sent_at", [2.0, -1.0])
async def test_a_permit_of_an_action_that_is_not_used_yet_ends_with_further_throttling(sent_at: float) -> None:
    account = Account(rate=1000, concurrency=1)
    await throttle_alone(account)
    other = asyncio.ensure_future(account.caller(2, takes=5, action="Other"))
    await account.clock.until(1)
    waiting = [asyncio.ensure_future(account.caller(1)) for _ in range(2)]
    await account.clock.until(2)
    account.limits.on_error(ACTION, Permit(sent_at), throttled_alone(wait=60))
    await account.clock.until(61.9)
    await other
    assert not any(each.done() for each in waiting)
    await account.clock.until(63)
    await asyncio.gather(*waiting)
    assert [at for at, name in account.passed if name == 1] == pytest.approx([62, 62], abs=0.01)


async def test_permits_from_before_a_halving_do_not_add_up_to_a_burst() -> None:
    account = Account(rate=8, concurrency=1)
    await throttle_alone(account)
    other = asyncio.ensure_future(account.caller(2, takes=5, action="Other"))
    waiting = [asyncio.ensure_future(account.caller(1)) for _ in range(4)]
    await account.clock.until(4)
    for rate in (2, 1, 0.5):
        account.limits.on_error(ACTION, Permit(account.clock.elapsed), throttled_alone())
        assert account.limits.requests_per_second == rate
    await account.clock.until(20)
    await asyncio.gather(other, *waiting)
    times = [at for at, name in account.passed if name == 1]
    assert len(times) == 4
    assert all(at >= 4.95 + 2 * number for number, at in enumerate(times))


async def test_an_action_is_throttled_from_the_rate_that_is_configured_now() -> None:
    account = Account(rate=5)
    account.limits.change(requests_per_second=10, concurrency=4, calls_per_day=0)
    await throttle_alone(account)
    assert account.limits.requests_per_second == 5
    await account.clock.until(RECOVERY)
    await account.clock.run(account.caller())
    account.limits.on_success(ACTION, Permit(RECOVERY))
    assert account.limits.requests_per_second == 10


async def test_an_action_that_has_recovered_has_the_rate_of_the_account() -> None:
    account = Account(rate=10)
    await throttle_alone(account)
    assert account.limits.requests_per_second == 5
    while account.limits.requests_per_second < 10:
        permit = await account.clock.run(account.caller(takes=1.0))
        account.limits.on_success(ACTION, permit)
    assert account.clock.elapsed == pytest.approx(RECOVERY / 2, abs=2)
    assert (account.meter.rates[1], account.meter.rates[-1]) == (5, 10)
    account.passed.clear()
    start = account.clock.elapsed
    await account.clock.run(_all(account.caller() for _ in range(6)))
    assert account.times[-1] - start <= 0.5


async def test_the_successes_of_another_action_prove_nothing() -> None:
    account = Account(rate=10)
    await throttle_alone(account)
    for _ in range(100):
        account.limits.on_success("Other", await account.clock.run(account.caller(takes=1.0, action="Other")))
    assert account.limits.requests_per_second == 5


async def test_a_throttled_action_starts_from_the_rate_of_a_throttled_account_and_keeps_to_both() -> None:
    account = Account(rate=8)
    permit = await account.clock.run(account.caller())
    account.limits.on_error(ACTION, permit, THROTTLED)
    account.limits.on_error(ACTION, permit, throttled_alone())
    assert account.meter.rates == [8, 4, 2]
    account.limits.on_error("Other", await account.clock.run(account.caller(action="Other")), THROTTLED)
    account.limits.on_error("Other", await account.clock.run(account.caller(action="Other")), THROTTLED)
    assert account.limits.requests_per_second == 1


async def test_a_changed_rate_is_that_of_a_throttled_action_too() -> None:
    account = Account(rate=8)
    await throttle_alone(account)
    account.limits.change(requests_per_second=20, concurrency=4, calls_per_day=0)
    assert account.limits.requests_per_second == 4, "it recovers from where it is"
    account.limits.change(requests_per_second=2, concurrency=4, calls_per_day=0)
    assert account.limits.requests_per_second == 2
    assert account.meter.rates == [8, 4, 2]


async def test_the_slowest_rate_still_keeps_a_wait_of_the_action() -> None:
    account = Account(rate=MIN_REQUESTS_PER_SECOND)
    permit = await account.clock.run(account.caller())
    account.limits.on_error(ACTION, permit, throttled_alone(wait=300))
    # The answer to a request that was sent before.
    account.limits.on_success(ACTION, permit)
    await account.clock.run(account.caller())
    assert account.times[-1] == 300


@given(
    rate=st.floats(0.5, 50),
    concurrency=st.integers(1, 4),
    arrivals=st.lists(st.tuples(st.floats(0, 10), st.sampled_from([ACTION, "Other"])), min_size=1, max_size=20),
    throttled=st.dictionaries(st.integers(0, 19), st.one_of(st.none(), st.floats(0.1, 20)), max_size=6),
)
def test_no_request_is_sent_within_a_wait_of_its_action(
    rate: float,
    concurrency: int,
    arrivals: list[tuple[float, str]],
    throttled: dict[int, float | None],
) -> None:
    account = Account(rate=rate, concurrency=concurrency)
    clock = account.clock
    holds: list[tuple[float, float, str]] = []
    sent: list[tuple[float, str]] = []

    async def caller(number: int, arrival: float, action: str) -> None:
        await clock.sleep(arrival)
        async with account.limits.acquire(action) as permit:
            sent.append((clock.elapsed, action))
            await clock.sleep(0.3)
            if number in throttled:
                wait = throttled[number]
                holds.append((clock.elapsed, clock.elapsed + (wait or 0), action))
                account.limits.on_error(action, permit, throttled_alone(wait))
            else:
                account.limits.on_success(action, permit)

    asyncio.run(clock.run(_all(caller(number, *each) for number, each in enumerate(arrivals))))
    assert len(sent) == len(arrivals)
    for begin, end, action in holds:
        assert not [at for at, each in sent if each == action and begin < at < end]
    for (before, _), (after, _) in pairwise(sorted(sent)[::2]):
        assert (after - before) * rate >= 1 - 0.05 * rate - 1e-6
