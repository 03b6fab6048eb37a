"""Failures of the service: counted under the right code and kind, last good values kept, recovery without a restart."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.faults import Fault
from exporter.simulator.options import Conditions, SimulatorOptions
from tests.harness import CONFIGURATION, Harness, running_harness

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

DAY = 86_400.0
FOUR_ATTEMPTS, ONE_ATTEMPT = 4.0, 1.0


async def broken(harness: Harness, *faults: Fault, later: float = 900.0) -> str:
    """One poll while the faults last."""
    harness.simulator.change(faults=faults)
    result = await harness.poll(later=later)
    harness.simulator.change(faults=())
    return result


async def kept_and_recovered(harness: Harness) -> None:
    """All data is as before the fault; the next good response renews it, and the query is up again."""
    before = await harness.plays(0)
    assert before, "the last good values must still be there"
    assert await harness.poll(later=3600) == "success"
    after = await harness.plays(0)
    assert after == harness.truth(0) != before
    assert await harness.series("^aliyun_vod_query_up") == {'aliyun_vod_query_up{account="main",query="q"}': 1}


@pytest.mark.parametrize(
    ("code", "kind", "attempts", "result"),
    [
        ("Meter.ParamError", "parameter", ONE_ATTEMPT, "failure"),
        ("Meter.ServerInternalError", "server", FOUR_ATTEMPTS, "failure"),
        ("Meter.DataSourceQueryError", "server", FOUR_ATTEMPTS, "failure"),
        ("Meter.ReadyTsError", "not_ready", ONE_ATTEMPT, "success"),
        ("InternalError", "server", FOUR_ATTEMPTS, "failure"),
        ("ServiceUnAvailable", "server", FOUR_ATTEMPTS, "failure"),
        ("Throttling.Api", "throttled", FOUR_ATTEMPTS, "failure"),
        ("http_503", "server", FOUR_ATTEMPTS, "failure"),
        ("http_429", "throttled", FOUR_ATTEMPTS, "failure"),
    ],
)
async def test_every_code_is_counted_by_itself(code: str, kind: str, attempts: float, result: str) -> None:
    async with running_harness(days_ago="[0]") as harness:
        await harness.poll()
        before = await harness.metrics()

        assert await broken(harness, Fault(code)) == result

        assert await harness.errors() == {(code, kind): attempts}
        for line in before.splitlines():
            if line.startswith(("aliyun_vod_media_", "aliyun_vod_slice_updated")):
                assert line in await harness.metrics()
        await kept_and_recovered(harness)


@pytest.mark.parametrize(
    ("fault", "code", "kind"),
    [
        ("html", "malformed", "malformed"),
        ("empty", "malformed", "malformed"),
        ("truncated", "malformed", "malformed"),
        ("reset", "connect", "transport"),
    ],
)
async def test_what_is_no_answer_at_all_is_repeated_and_counted(fault: str, code: str, kind: str) -> None:
    await _no_answer(fault, code, kind)


@pytest.mark.parametrize("fault", ["stall", "trickle"])
async def test_what_never_ends_is_given_up_after_the_timeout_repeated_and_counted(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, ahead = asyncio.get_running_loop(), 0.0
    monkeypatch.setattr(loop, "time", lambda since=loop.time: since() + ahead)

    async def put_forward(harness: Harness) -> None:
        """Move the clock by more than the timeout whenever the service delays a response."""
        nonlocal ahead
        calls_before = len(harness.simulator.request_log.calls)
        while True:
            await asyncio.sleep(0)
            while len(harness.simulator.request_log.calls) > calls_before:
                calls_before, ahead = calls_before + 1, ahead + 11

    await _no_answer(fault, "timeout", "transport", put_forward)


async def _never(_: Harness) -> None:
    """Leave the clock alone."""


async def _no_answer(
    fault: str, code: str, kind: str, beside: Callable[[Harness], Coroutine[Any, Any, None]] = _never
) -> None:
    async with running_harness(days_ago="[0]", timeout="10s") as harness:
        await harness.poll()
        aside = asyncio.create_task(beside(harness))

        assert await broken(harness, Fault(fault)) == "failure"

        aside.cancel()
        assert await harness.errors() == {(code, kind): FOUR_ATTEMPTS}
        assert len(harness.clock.waits) == 3
        await kept_and_recovered(harness)


@pytest.mark.parametrize("header", ["x-acs-retry-after", "x-ratelimit-user-api", "retry-after"])
async def test_throttling_waits_as_long_as_the_service_says_and_slows_down(header: str) -> None:
    conditions = Conditions(wait_header=header)  # type: ignore[arg-type]
    async with running_harness(SimulatorOptions(conditions=conditions), days_ago="[0]") as harness:
        await harness.poll()
        harness.clock.waits.clear()

        assert await broken(harness, Fault("Throttling.User", times=1, wait=7)) == "success"

        assert await harness.errors() == {("Throttling.User", "throttled"): 1}
        assert 7 <= sum(harness.clock.waits) <= 8
        (rate,) = (await harness.series("^aliyun_vod_api_rate_limit_requests_per_second")).values()
        assert rate < 1000
        harness.clock.at += 120
        await kept_and_recovered(harness)
        assert (await harness.series("^aliyun_vod_api_rate_limit_requests_per_second")).popitem()[1] == 1000


async def test_a_wrong_key_pauses_the_account_until_it_is_right_again() -> None:
    async with running_harness(days_ago="[0]") as harness:
        await harness.poll()
        right = harness.simulator.conditions.credentials
        harness.simulator.change(credentials=AccessKeyPair("simulator", "another secret"))
        calls_before = len(harness.simulator.request_log.calls)

        assert await harness.poll(later=900) == "failure"
        assert await harness.poll(later=10) == "skipped"
        assert len(harness.simulator.request_log.calls) == calls_before + 1
        assert await harness.errors() == {("SignatureDoesNotMatch", "auth"): 1}
        assert await harness.series("^aliyun_vod_query_up") == {'aliyun_vod_query_up{account="main",query="q"}': 0}

        harness.simulator.change(credentials=right)
        assert await harness.poll(later=10) == "skipped"
        harness.clock.at += 300
        await kept_and_recovered(harness)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Meter.AuthError", "auth"),
        ("Forbidden.RAM", "auth"),
        ("InvalidAccessKeyId.NotFound", "auth"),
        ("OperationDenied.Suspended", "auth"),
    ],
)
async def test_an_authentication_error_is_not_retried_and_probed_after_five_minutes(code: str, kind: str) -> None:
    async with running_harness(days_ago="[0, 1, 2, 3]") as harness:
        await harness.poll()

        await broken(harness, Fault(code))

        counted = await harness.errors()
        assert set(counted) == {(code, kind)}
        assert counted[code, kind] <= 4  # those that were under way together, none after them
        await kept_and_recovered(harness)


@pytest.mark.parametrize("offset", [1000.0, -1000.0])
async def test_a_wrong_clock_is_named_and_by_how_much(offset: float, capsys: pytest.CaptureFixture[str]) -> None:
    async with running_harness(days_ago="[0]") as harness:
        await harness.poll()
        harness.simulator.change(clock_offset=offset)

        assert await harness.poll(later=900) == "failure"

        assert await harness.errors() == {("InvalidTimeStamp.Expired", "clock"): 1}
        assert "1000 s" in capsys.readouterr().out
        harness.simulator.change(clock_offset=0.0)
        await kept_and_recovered(harness)


async def test_an_expired_token_is_renewed_once_and_the_poll_succeeds(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    text = CONFIGURATION.replace("simulator-secret}", f"simulator-secret, security_token_file: {token}}}")
    async with running_harness(text=text, days_ago="[0]") as harness:
        harness.simulator.change(credentials=AccessKeyPair(security_token="old"))
        await harness.poll()
        harness.simulator.change(token_expired=True)

        assert await harness.poll(later=900) == "failure"
        assert await harness.errors() == {("InvalidSecurityToken.Expired", "auth"): 2}
        assert await harness.poll(later=900) == "failure"  # the probe after five minutes

        token.write_text("new")
        harness.simulator.change(token_expired=False, credentials=AccessKeyPair(security_token="new"))
        await kept_and_recovered(harness)


async def test_a_reused_nonce_is_retried_once() -> None:
    async with running_harness(days_ago="[0]") as harness:
        await harness.poll()

        assert await broken(harness, Fault("SignatureNonceUsed", times=1)) == "success"
        assert await broken(harness, Fault("SignatureNonceUsed")) == "failure"

        assert await harness.errors() == {("SignatureNonceUsed", "other"): 3}
        await kept_and_recovered(harness)


async def test_one_failure_among_many_responses_is_retried_without_effect() -> None:
    async with running_harness(SimulatorOptions(media=500), days_ago="[0, 1]") as harness:
        harness.simulator.change(faults=(Fault("Meter.ServerInternalError", 0.3), Fault("reset", 0.2)))
        for _ in range(20):  # with four attempts each, some poll gets through
            if await harness.poll(later=900) == "success":
                break

        assert await harness.plays(1) == harness.truth(1)
        counted = await harness.errors()
        assert counted["Meter.ServerInternalError", "server"] > 0
        assert counted["connect", "transport"] > 0


async def test_not_ready_shows_the_slice_and_keeps_the_day() -> None:
    async with running_harness(days_ago="[1, 2]") as harness:
        await broken(harness, Fault("Meter.ReadyTsError", when={"PlayDate": "20240323"}))

        assert await harness.plays(1) == {}
        assert await harness.plays(2) == harness.truth(2)
        ready = await harness.series("^aliyun_vod_slice_ready")
        assert [value for name, value in sorted(ready.items())] == [0, 1]
        assert await harness.series("^aliyun_vod_slice_settled.*days_ago=.1") != {}

        await harness.poll(later=900)
        assert await harness.plays(1) == harness.truth(1)


async def test_at_midnight_the_days_move_and_nothing_else() -> None:
    async with running_harness(days_ago="[0, 1]") as harness:
        await harness.poll()
        before = await harness.plays(0)

        harness.clock.at += DAY / 2 - 0.001
        assert await harness.plays(0) == before
        harness.clock.at += 0.002

        assert (await harness.plays(0), await harness.plays(1)) == ({}, before)
        (date,) = (await harness.series('^aliyun_vod_play_date_timestamp_seconds{days_ago="1"}')).values()
        assert date == datetime.fromisoformat("2024-03-24T00:00:00+08:00").timestamp()


async def test_what_is_stale_is_gone_and_what_is_settled_stays() -> None:
    async with running_harness(days_ago="[0, 1, 2, 3, 4, 5]") as harness:
        for _ in range(3):
            await harness.poll(later=60)
        harness.simulator.change(faults=(Fault("Meter.ServerInternalError"),))

        settled = await harness.plays(1)
        assert await harness.poll(later=2 * DAY + 1) == "partial"

        assert await harness.plays(3) == settled
        assert await harness.plays(2) == {}, "today of two days ago, never final, is stale"


async def test_the_series_limit_keeps_the_most_played() -> None:
    async with running_harness(days_ago="[1]", text=CONFIGURATION + "series_limit: 50\n") as harness:
        await harness.poll()

        published = await harness.plays()
        truth = sorted(harness.truth().items(), key=lambda item: -item[1])
        assert list(dict(sorted(published.items(), key=lambda item: -item[1]))) == [
            m for m, _ in truth[: len(published)]
        ]
        counts = await harness.series("^aliyun_vod_exporter_series")
        assert counts["aliyun_vod_exporter_series"] <= 50
        assert counts["aliyun_vod_exporter_series_dropped"] > 100


async def test_a_budget_pauses_polling_and_goes_on_the_next_day() -> None:
    text = CONFIGURATION.replace("concurrency: 8", "concurrency: 8, calls_per_day: 3")
    async with running_harness(days_ago="[0, 1]", text=text) as harness:
        assert await harness.poll() == "success"
        assert await harness.series("calls_remaining") == {'aliyun_vod_api_calls_remaining_today{account="main"}': 1}

        assert await harness.poll(later=3600) == "partial"
        assert await harness.poll(later=3600) == "skipped"
        assert len(harness.simulator.request_log.calls) == 3

        assert await harness.poll(later=DAY / 2) == "success"
        assert len(harness.simulator.request_log.calls) == 5
