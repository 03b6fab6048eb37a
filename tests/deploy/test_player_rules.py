"""The experimental alerts on players: three buckets in a row, against the same buckets a week before."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from exporter.simulator.options import Conditions
from exporter.simulator.variants import parse_variants
from tests.deploy.promtool import RULES, VERSIONS, check_firing
from tests.test_player_polls import setup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RULES: Final = [file for file in RULES if file.name.startswith("aliyun-vod-player-")]
_TARGET: Final = (
    'instance="e:9985", job="aliyun-vod", account="main", app_id="app-1000000", terminal_type="web", os="all"'
)
_ALERT: Final = "account=main terminal_type=web os=all severity=warning"
_FIRST: Final = 1_795_700_100


def series(
    plays: Sequence[int | None],
    week_before: Sequence[int | None] | int = 1_000,
    *,
    buckets: Sequence[int] | None = None,
    lag: Sequence[int] | int = 900,
    up: int = 1,
    target: str = _TARGET,
    **more: Sequence[float | None] | float,
) -> dict[str, str]:
    """Series at one value a minute, of buckets of five minutes; a single number is the same in all of them."""

    def values(each: Sequence[float | None] | float | None) -> str:
        if each is None or isinstance(each, int | float):
            each = [each] * len(plays)
        return " ".join(f"{'_' if value is None else value}x4" for value in each)

    starts = buckets or [_FIRST + 300 * number for number in range(len(plays))]
    prefix = "aliyun_vod_player_"
    return {
        f"{prefix}plays{{{target}}}": values(plays),
        f'{prefix}plays{{{target}, ago="7d"}}': values(week_before),
        f"{prefix}bucket_timestamp_seconds{{{target}}}": values(starts),
        f"{prefix}data_lag_seconds{{{target}}}": values(lag),
        f"{prefix}up{{{target}}}": values(up),
        **{f"{prefix}{name.removesuffix('_7d')}{{{_labels(name)}}}": values(each) for name, each in more.items()},
    }


def _labels(name: str) -> str:
    return f'{_TARGET}, ago="7d"' if name.endswith("_7d") else _TARGET


QUIET: Final = [1_000] * 4


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("given", "firing"),
    [
        pytest.param(
            series([*QUIET, 400, 390, 380, 370, *QUIET]),
            {"20m": [], "29m": [], "31m": [f"PlayerPlaysDropped {_ALERT}"], "46m": []},
            id="below half for three buckets",
        ),
        pytest.param(series([*QUIET, 400, 390, 900, 380, 370, *QUIET]), {"30m": [], "44m": [], "50m": []}, id="two"),
        pytest.param(
            series([*QUIET, 300, 120, 60, 60, 100], [*QUIET, 350, 130, 70, 70, 110]), {"40m": []}, id="a night's low"
        ),
        pytest.param(series([*QUIET, *[420] * 6], [*QUIET, *[450] * 6]), {"45m": []}, id="a weekend"),
        pytest.param(series([*QUIET, *[40] * 6], [*QUIET, *[99] * 6]), {"45m": []}, id="too few to be missed"),
        pytest.param(series([*QUIET, *[40] * 6], [*QUIET, *[None] * 6]), {"45m": []}, id="no bucket a week before"),
        pytest.param(
            series([*QUIET, *[40] * 8], buckets=[_FIRST + 300 * min(number, 4) for number in range(12)]),
            {"34m": [], "45m": [], "58m": []},
            id="one low bucket that stays because the next ones are missing",
        ),
        pytest.param(
            series([*QUIET, *[40] * 8], lag=[900] * 4 + [21_600] * 8),
            {"34m": [], "40m": [f"PlayerDataLate {_ALERT}"]},
            id="six hours late",
        ),
        pytest.param(
            series(QUIET * 3, play_failure_ratio=[0.02] * 4 + [0.4] * 8, play_failure_ratio_7d=0.02),
            {"29m": [], "31m": [f"PlayerFailureRatioHigh {_ALERT}"]},
            id="failures",
        ),
        pytest.param(
            series(QUIET * 3, play_failure_ratio=[0.02] * 4 + [0.4] * 8),
            {"31m": [f"PlayerFailureRatioHigh {_ALERT}"]},
            id="failures that cannot be compared",
        ),
        pytest.param(
            series(QUIET * 3, play_failure_ratio=0.4, play_failure_ratio_7d=0.38), {"40m": []}, id="failures as ever"
        ),
        pytest.param(series([50] * 12, 60, play_failure_ratio=0.4), {"40m": []}, id="failures of few plays"),
        pytest.param(
            series(QUIET * 3, first_frame_seconds=[0.8] * 4 + [4.2] * 8, first_frame_seconds_7d=0.8),
            {"29m": [], "31m": [f"PlayerFirstFrameSlow {_ALERT}"]},
            id="slow first frames",
        ),
        pytest.param(
            series(QUIET * 3, first_frame_seconds=4.2, first_frame_seconds_7d=4), {"40m": []}, id="as slow as ever"
        ),
    ],
)
def test_which_alerts_fire(given: dict[str, str], firing: dict[str, list[str]], version: str, tmp_path: Path) -> None:
    check_firing(version, tmp_path, given, firing, rules=_RULES)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_target_that_never_had_data_is_late_and_a_failed_scrape_ends_nothing(version: str, tmp_path: Path) -> None:
    never = {f"aliyun_vod_player_up{{{_TARGET}}}": "0x60"}
    check_firing(version, tmp_path, never, {"10m": [], "20m": [f"PlayerDataLate {_ALERT}"]}, rules=_RULES)
    dropping = series([*QUIET, *[40] * 8])
    gap = {
        name: " ".join(["1000x4"] * 4 + ["40x3 _"] * 8) if "plays" in name and "7d" not in name else values
        for name, values in dropping.items()
    }
    firing = [f"PlayerPlaysDropped {_ALERT}"]
    check_firing(version, tmp_path, gap, {"31m": firing, "50m": firing}, rules=_RULES)


_MOBILE: Final = _TARGET.replace("web", "mobile")
_OTHER_APP: Final = _TARGET.replace("app-1000000", "app-other").replace('"all"', '"iOS"')
_OTHER_ACCOUNT: Final = _MOBILE.replace("main", "second")
_BUCKETS: Final = 60
_LAST: Final = 5  # after this bucket there are no plays any more


def stopped(*, week_before: int = 1_000, up: int = 1, until: int = _BUCKETS, usual: int = 900) -> dict[str, str]:
    """A target whose plays end after `_LAST` and come back at `until`; every number stays as it is meanwhile."""
    since = [0 if number >= until else max(0, number - _LAST) for number in range(_BUCKETS)]
    return series(
        [1_000] * _BUCKETS,
        week_before,
        buckets=[_FIRST + 300 * (number - missing) for number, missing in enumerate(since)],
        lag=[usual + 300 * missing for missing in since],
        up=up,
    )


def going_on(target: str = _MOBILE, *, lag: int = 600, every: int = 1) -> dict[str, str]:
    """A target whose buckets advance, `every` of them at a time."""
    starts = [_FIRST + 300 * (number // every * every) for number in range(_BUCKETS)]
    return series([1_000] * _BUCKETS, buckets=starts, lag=lag, target=target)


_GONE: Final = f"PlayerPlaysDropped {_ALERT}"
_LATE: Final = f"PlayerDataLate {_ALERT}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("given", "firing"),
    [
        # The first bucket without plays would have been published at 30m, the third at 40m.
        pytest.param(
            stopped() | going_on(),
            {"30m": [], "40m": [], "46m": [_GONE], "120m": [_GONE], "180m": [_GONE, _LATE], "290m": [_GONE, _LATE]},
            id="others of the application go on",
        ),
        pytest.param(stopped() | going_on(_OTHER_APP), {"46m": [_GONE]}, id="others of the account go on"),
        pytest.param(stopped(until=20) | going_on(), {"46m": [_GONE], "99m": [_GONE], "102m": []}, id="plays again"),
        pytest.param(stopped(usual=3_000) | going_on(), {"40m": [], "46m": [_GONE]}, id="later than others as ever"),
        pytest.param(stopped(until=8) | going_on(), {"40m": [], "46m": [], "60m": []}, id="two buckets missing"),
        pytest.param(stopped(), {"46m": [], "120m": [], "180m": [_LATE]}, id="no other target"),
        pytest.param(stopped() | going_on(_OTHER_ACCOUNT), {"46m": [], "120m": []}, id="others of another account"),
        pytest.param(stopped() | going_on(lag=4_000), {"46m": [], "120m": []}, id="others are late"),
        pytest.param(stopped() | going_on(every=6), {"46m": [], "120m": []}, id="others advance by half an hour"),
        pytest.param(stopped(week_before=99) | going_on(), {"46m": [], "120m": []}, id="too few to be missed"),
        pytest.param(stopped(up=0) | going_on(), {"46m": [], "120m": []}, id="polls fail"),
        pytest.param(
            going_on(_TARGET, every=6) | going_on(), {"46m": [], "120m": []}, id="it advances by half an hour as ever"
        ),
    ],
)
def test_plays_that_end_are_distinguished_from_late_data_by_the_other_targets(
    given: dict[str, str], firing: dict[str, list[str]], version: str, tmp_path: Path
) -> None:
    check_firing(version, tmp_path, given, firing, rules=_RULES)


@pytest.mark.parametrize(
    "variants",
    [
        pytest.param([], id="rows of 0 and where the data ends"),
        pytest.param(["extend:absent"], id="rows of 0"),
        pytest.param(["empty_buckets:absent"], id="no rows"),
        pytest.param(["empty_buckets:null", "unready_buckets:null", "extend:absent"], id="rows of null"),
        pytest.param(["unready_buckets:zero", "extend:absent"], id="rows of 0 for buckets to come too"),
    ],
)
async def test_plays_that_end_on_one_terminal_alert_however_the_service_answers(
    variants: list[str], tmp_path: Path
) -> None:
    """The series of the exporter itself, at one value a minute from 12:00 on."""
    minutes, ends = 90, 30
    values: dict[str, list[str]] = {}
    async with setup(player="player: [{name: app}]\n", conditions=Conditions(variants=parse_variants(variants))) as on:
        on.simulator.set_incidents([f"terminal:Web:-100%@0T12:{ends}"])
        for minute in range(minutes):
            if not minute % 5:
                await on.player.poll(on.replica.player_queries[0])
            for name, value in on.series().items():
                known = values.setdefault(f"aliyun_vod_player_{name}", [])
                known += ["_"] * (minute - len(known)) + [f"{value}"]
            on.clock.at += 60
    given = {name: " ".join(each) for name, each in values.items()}
    # Ten minutes of lag and three buckets; the second read of a bucket confirms the one before.
    due = ends + 10 + 3 * 5 + 5
    check_firing("2", tmp_path, given, {f"{ends + 10}m": [], f"{due}m": [_GONE], "89m": [_GONE]}, rules=_RULES)


_HOUR: Final = 2
_WEEK: Final = 7 * 24 * _HOUR


def lags(*hours_late: float, week_before: Sequence[float] | None) -> dict[str, str]:
    """How late data is by the hour, and on time otherwise; without a week before, of a new target."""
    usual = "900x{}"
    before = [] if week_before is None else [usual.format(24 * _HOUR - 1), *_by_the_hour(week_before)]
    between = [usual.format(_WEEK - _HOUR * len(hours_late) - 1)] if before else [usual.format(_HOUR - 1)]
    values = " ".join([*before, *between, *_by_the_hour(hours_late)])
    up = f"1x{2 * _WEEK}"
    return {
        f"aliyun_vod_player_data_lag_seconds{{{_TARGET}}}": values,
        f"aliyun_vod_player_up{{{_TARGET}}}": up,
    }


def _by_the_hour(hours: Sequence[float]) -> list[str]:
    """Lags that grow from one hour to the next."""
    return [f"{each * 3_600:.0f}x{_HOUR - 1}" for each in hours]


# Thresholds are evaluated first: Prometheus takes no value that is five minutes old.
_check_hours = partial(
    check_firing,
    rules=_RULES,
    interval="30m",
    order=[f"aliyun-vod-player{of}" for of in ("-thresholds", "-buckets", "")],
)

_NIGHT: Final = (1, 2, 3, 4, 5, 5.5)


@pytest.mark.parametrize(
    ("given", "at", "firing"),
    [
        pytest.param(lags(*_NIGHT, week_before=None), 5, [_LATE], id="the first night without plays"),
        pytest.param(lags(*_NIGHT, week_before=_NIGHT), 24 + 168 + 5, [], id="a night as a week before"),
        pytest.param(lags(*_NIGHT, week_before=[0.25] * 6), 24 + 168 + 5, [_LATE], id="no such night a week before"),
        pytest.param(lags(*_NIGHT, week_before=(0.25, 0.25, 1, 2, 3, 4)), 24 + 168 + 5, [_LATE], id="an earlier end"),
    ],
)
def test_nights_without_plays_are_not_late(given: dict[str, str], at: int, firing: list[str], tmp_path: Path) -> None:
    _check_hours("2", tmp_path, given, {f"{at}h": firing})


def test_a_service_that_is_always_six_hours_late_stays_late(tmp_path: Path) -> None:
    given = {f"aliyun_vod_player_data_lag_seconds{{{_TARGET}}}": f"21600x{2 * _WEEK}"}
    _check_hours("2", tmp_path, given, {"1h": [_LATE], "192h": [_LATE], "240h": [_LATE]})
