from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from exporter.core.model import Dimensions, Slice
from exporter.core.play_dates import Settlement
from exporter.core.poll_report import PollReport, PollResult, SliceOutcome
from exporter.core.retry import QUOTA_SHARE, Retry, RetryRules
from exporter.errors import AccountPaused, CredentialsError, ErrorKind, NotReady, QuotaExceeded, UpstreamError
from tests.core.fake_service import (
    NOON,
    YESTERDAY,
    FakeService,
    everything,
    failure,
    not_ready,
    query,
    row,
)

RULES = RetryRules(pause=300.0, attempts=4)
MIDNIGHT = datetime.fromisoformat("2024-03-25T00:00:00+08:00").timestamp()
DAY = 86_400.0

paused = AccountPaused("paused", code="Forbidden", kind=ErrorKind.AUTH, wait=120.0)
spent = QuotaExceeded("spent", code="calls_per_day", kind=ErrorKind.OTHER)
no_key = CredentialsError("no file", code="credentials", kind=ErrorKind.AUTH)
refused = failure(ErrorKind.AUTH, "InvalidAccessKeyId.NotFound")


def report(result: PollResult, *errors: UpstreamError, started_at: float = NOON, seconds: float = 5.0) -> PollReport:
    slice_ = Slice("main", Dimensions(), YESTERDAY)
    outcome = SliceOutcome(slice_, answered=result is PollResult.PARTIAL, errors=errors)
    return PollReport(query(everything), started_at, started_at + seconds, (outcome,), result)


def retry(ended: PollReport, *, calls_per_day: float = 0, queries: int = 1) -> Retry | None:
    return RULES.retry(ended, calls_per_day=calls_per_day, queries=queries)


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind not in {ErrorKind.AUTH, ErrorKind.NOT_READY}])
def test_a_failure_of_any_kind_is_repeated_after_the_back_off(kind: ErrorKind) -> None:
    assert retry(report(PollResult.FAILURE, failure(kind))) == Retry()


@pytest.mark.parametrize("calls_per_day", [0, 1_000])
def test_a_poll_that_timed_out_is_repeated(calls_per_day: int) -> None:
    timed_out = PollReport(query(everything), 0, 1, (), PollResult.FAILURE)
    assert retry(timed_out, calls_per_day=calls_per_day) == Retry()


def test_a_poll_whose_search_failed_is_repeated_as_for_any_other_error() -> None:
    def searched(error: UpstreamError) -> PollReport:
        return PollReport(query(everything), NOON, NOON + 5, (), PollResult.FAILURE, search_error=error)

    assert retry(searched(spent)) == Retry(MIDNIGHT)
    assert retry(searched(paused)) == Retry(NOON + 5 + 120)
    assert retry(searched(failure(ErrorKind.SERVER)), calls_per_day=1_000) == Retry(NOON + 5 + 4 * DAY / 100)


@pytest.mark.parametrize("errors", [(), (not_ready(),)])
def test_a_successful_poll_is_not_repeated(errors: tuple[NotReady, ...]) -> None:
    assert retry(report(PollResult.SUCCESS, *errors)) is None


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((failure(ErrorKind.SERVER), failure(ErrorKind.PARAMETER)), Retry()),
        ((failure(ErrorKind.PARAMETER), not_ready()), None),
        ((), None),  # rows missing: another poll within minutes finds no more
    ],
)
def test_a_partial_poll_is_repeated_unless_the_rest_stays_missing(
    errors: tuple[UpstreamError, ...], expected: Retry | None
) -> None:
    assert retry(report(PollResult.PARTIAL, *errors)) == expected


@pytest.mark.parametrize(
    ("error", "wait"),
    [(refused, 300), (paused, 120), (AccountPaused("", code="", kind=ErrorKind.AUTH), 300)],
)
def test_a_paused_account_is_polled_again_when_its_pause_ends(error: UpstreamError, wait: float) -> None:
    ended = report(PollResult.FAILURE, error)
    assert retry(ended) == Retry(ended.ended_at + wait)


def test_missing_credentials_cause_no_pause() -> None:
    assert retry(report(PollResult.FAILURE, no_key)) == Retry()


@pytest.mark.parametrize("result", [PollResult.SKIPPED, PollResult.PARTIAL])
def test_an_exceeded_quota_is_available_again_at_midnight_in_china(result: PollResult) -> None:
    assert retry(report(result, failure(), spent), calls_per_day=10) == Retry(MIDNIGHT)


def test_a_quota_exceeded_before_midnight_is_available_when_the_poll_ends_after_it() -> None:
    ended = report(PollResult.PARTIAL, spent, started_at=MIDNIGHT - 1, seconds=3)
    found = retry(ended, calls_per_day=10)
    assert found is not None
    assert found.not_before < ended.ended_at


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("failures", [1, 20])
def test_repeats_of_a_query_that_always_fails_use_at_most_a_tenth_of_the_quota(failures: int, queries: int) -> None:
    ended = report(PollResult.FAILURE, *[failure()] * failures)
    found = retry(ended, calls_per_day=1_000, queries=queries)
    assert found is not None
    wait = found.not_before - ended.ended_at
    assert queries * failures * RULES.attempts * DAY / wait == pytest.approx(1_000 * QUOTA_SHARE)


def test_skipped_and_single_attempt_calls_cost_little() -> None:
    cheap = retry(report(PollResult.FAILURE, failure(ErrorKind.PARAMETER), no_key), calls_per_day=1_000)
    assert cheap == Retry(NOON + 5 + DAY / 100)


async def moving(service: FakeService) -> None:
    while True:
        await asyncio.sleep(0)
        service.now += 0.001


async def test_a_repeated_poll_fetches_only_the_rest_and_the_next_regular_one_everything() -> None:
    service, broken = FakeService(), [True]
    clock = asyncio.ensure_future(moving(service))
    poller = service.poller(settlement=Settlement(after=90 * DAY))
    for day in (YESTERDAY, YESTERDAY.replace(day=22)):
        service.put([row("a")], day)
    service.refuse = lambda slice_, *_: failure() if slice_.play_date.day == 22 and broken[0] else None
    polled = query(everything, days_ago=(1, 2))

    async def days() -> list[int]:
        before = len(service.calls)
        await poller.poll(polled)
        return sorted(slice_.play_date.day for slice_, *_ in service.calls[before:])

    assert await days() == [22, 23]
    service.now += 60
    assert await days() == [22]
    service.now += 120
    broken[0] = False
    assert await days() == [22]
    assert service.saved["shared"] == 0, "a naive poller would not have repeated it"
    service.now += 660
    assert await days() == [22, 23]
    broken[0] = True
    service.now += 900
    assert await days() == [22, 23]
    service.now += 900
    assert await days() == [22, 23], "an interval after a poll that failed, everything is due"
    clock.cancel()
