"""The dashboards' expressions for the last settled day, zeros and titles, on given series in promtool."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from deploy.grafana.builder.promql import View, change, last_settled_date, share, titled, total

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("promtool")

ALL: Final = View('account="a"')
SLICE: Final = 'account="a",terminal_type="all",os="all",region="all"'
SERIES: Final = '{account="a", media_id="%s", os="all", region="all", terminal_type="all"}'


def play(media_id: str, days_ago: int, value: int, more: str = "") -> dict[str, str]:
    return series(f'aliyun_vod_media_plays{{{SLICE},media_id="{media_id}",days_ago="{days_ago}"{more}}}', value)


def settled(days_ago: int, value: int, more: str = "") -> dict[str, str]:
    return series(f'aliyun_vod_slice_settled{{{SLICE},days_ago="{days_ago}"{more}}}', value)


def counted(days_ago: int, value: int) -> dict[str, str]:
    return series(f'aliyun_vod_slice_media{{{SLICE},days_ago="{days_ago}"}}', value)


def series(name: str, value: int) -> dict[str, str]:
    return {"series": name, "values": str(value)}


def answers(folder: Path, given: list[dict[str, str]], expr: str, expected: dict[str, float]) -> None:
    """Raises AssertionError with promtool's output if the result differs."""
    case: dict[str, Any] = {
        "input_series": given,
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": "0s",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in expected.items()],
            }
        ],
    }
    (folder / "test.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}, allow_unicode=True))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


DAYS: Final = [play("m", days_ago, plays) for days_ago, plays in ((1, 10), (2, 20), (8, 100), (9, 200))]


@pytest.mark.parametrize(
    ("yesterday", "now", "before"),
    [
        ([settled(1, 1), settled(2, 0)], 10, 100),
        ([settled(1, 1), settled(2, 1)], 10, 100),
        ([settled(1, 0), settled(2, 1)], 20, 200),
        ([settled(2, 1)], 20, 200),
    ],
    ids=["alone", "settled", "not settled", "not known"],
)
def test_yesterday_counts_when_it_is_settled_and_the_day_before_until_then(
    tmp_path: Path, yesterday: list[dict[str, str]], now: int, before: int
) -> None:
    answers(tmp_path, DAYS + yesterday, ALL.last_settled(), {SERIES % "m": now})
    answers(tmp_path, DAYS + yesterday, ALL.week_before(), {SERIES % "m": before})


@pytest.mark.parametrize("given", [[settled(1, 0), settled(2, 0)], [settled(1, 0)], []], ids=["none", "one", "unknown"])
def test_a_day_that_may_still_change_is_never_the_last_settled_one(tmp_path: Path, given: list[dict[str, str]]) -> None:
    dates = [series(f'aliyun_vod_play_date_timestamp_seconds{{days_ago="{ago}"}}', 1000 - ago) for ago in (1, 2)]
    known = [*DAYS, *dates, *given, counted(1, 1), counted(2, 1)]

    for expr in (ALL.last_settled(), ALL.last_settled_or_zero(), ALL.week_before(), last_settled_date(ALL)):
        answers(tmp_path, known, expr, {})


def test_the_date_is_that_of_the_day(tmp_path: Path) -> None:
    dates = [series(f'aliyun_vod_play_date_timestamp_seconds{{days_ago="{ago}"}}', 1000 - ago) for ago in (1, 2)]

    answers(tmp_path, [*dates, settled(1, 1)], last_settled_date(ALL), {"{}": 999_000})
    answers(tmp_path, [*dates, settled(1, 0), settled(2, 1)], last_settled_date(ALL), {"{}": 998_000})


def test_a_media_that_was_in_the_top_but_is_not_settled_yet_is_not_taken_from_another_day(tmp_path: Path) -> None:
    given = [settled(1, 1), play("stays", 1, 10), play("stays", 2, 20), play("fell out", 2, 20)]

    answers(tmp_path, given, ALL.last_settled(), {SERIES % "stays": 10})


def test_a_media_that_lost_its_last_play_has_zero_where_all_media_are_published(tmp_path: Path) -> None:
    given = [settled(1, 1), play("kept", 1, 5), play("kept", 8, 5), play("lost", 8, 7), counted(1, 1)]

    answers(tmp_path, given, ALL.last_settled_or_zero(), {SERIES % "kept": 5, SERIES % "lost": 0})


def test_a_media_that_fell_out_of_the_top_has_no_number(tmp_path: Path) -> None:
    given = [settled(1, 1), play("kept", 1, 5), play("kept", 8, 5), play("fell out", 8, 7), counted(1, 2)]

    answers(tmp_path, given, ALL.last_settled_or_zero(), {SERIES % "kept": 5})


def test_zeros_of_media_requested_by_id_do_not_make_a_top_complete(tmp_path: Path) -> None:
    given = [settled(1, 1), play("kept", 1, 5), play("id", 1, 0), play("fell out", 8, 7), counted(1, 2)]

    answers(tmp_path, given, ALL.last_settled_or_zero(), {SERIES % "kept": 5, SERIES % "id": 0})


def test_a_media_that_lost_its_last_play_has_zero_if_it_is_the_only_one_selected(tmp_path: Path) -> None:
    given = [settled(1, 1), play("kept", 1, 5), play("lost", 8, 7), counted(1, 1)]
    view = View('account="a"', 'media_id="lost"')

    answers(tmp_path, given, view.last_settled_or_zero(), {SERIES % "lost": 0})


def test_two_exporters_are_one(tmp_path: Path) -> None:
    given = [
        each
        for instance in ("one", "other")
        for more in [f',instance="{instance}"']
        for each in (settled(1, 1, more), play("m", 1, 10, more), play("n", 1, 30, more), play("m", 8, 100, more))
    ]

    answers(tmp_path, given, total("account", ALL.last_settled()), {'{account="a"}': 40})
    answers(tmp_path, given, change(ALL.last_settled(), ALL.week_before()), {SERIES % "m": -0.9})
    answers(tmp_path, given, share("media_id", ALL.last_settled()), {'{media_id="m"}': 0.25, '{media_id="n"}': 0.75})


def test_without_plays_a_week_before_there_is_no_change(tmp_path: Path) -> None:
    given = [settled(1, 1), play("m", 1, 10), play("m", 8, 0)]

    answers(tmp_path, given, change(ALL.last_settled(), ALL.week_before()), {})


def test_a_media_has_one_title_if_exporters_differ_and_none_if_they_have_none(tmp_path: Path) -> None:
    given = [
        play("m", 1, 10),
        play("nameless", 1, 20),
        series('aliyun_vod_media_info{account="a",media_id="m",title="new",instance="one"}', 1),
        series('aliyun_vod_media_info{account="a",media_id="m",title="old",instance="other"}', 1),
    ]
    named = titled("max by (account, media_id) (aliyun_vod_media_plays)", 'account="a"')

    answers(tmp_path, given, f"count({named})", {"{}": 2})
    answers(
        tmp_path,
        given,
        f'max by (media_id) ({named} > 0 and on (account, media_id) (aliyun_vod_media_info{{title="new"}} or {named}))',
        {'{media_id="m"}': 10, '{media_id="nameless"}': 20},
    )
