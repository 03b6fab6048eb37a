"""The experimental alerts on players: three buckets in a row, against the same buckets a week before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.deploy.promtool import RULES, VERSIONS, check_firing

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
        f"{prefix}plays{{{_TARGET}}}": values(plays),
        f'{prefix}plays{{{_TARGET}, ago="7d"}}': values(week_before),
        f"{prefix}bucket_timestamp_seconds{{{_TARGET}}}": values(starts),
        f"{prefix}data_lag_seconds{{{_TARGET}}}": values(lag),
        f"{prefix}up{{{_TARGET}}}": values(1),
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
