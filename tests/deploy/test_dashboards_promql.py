"""The dashboards' expressions for lost plays, days by date, titles and the state, on given series in promtool."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.builder import alerts, languages, state
from deploy.grafana.builder.promql import (
    EXPECTED_PLAYS,
    LOST,
    PLAYS,
    PLAYS_OF_MOVED,
    SUM_OF_PLAYS,
    View,
    named_slice,
    or_zero,
    per_dimension,
    titled,
)
from deploy.grafana.builder.queries import per_bar
from deploy.grafana.builder.written import FOLDER, texts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("promtool")

RULES: Final = FOLDER.parents[1] / "prometheus" / "rules" / "aliyun-vod-records.yml"
ALL: Final = View('account="a"', 'terminal_type="all", os="all", region="all"')
ONE: Final = View('account="a"', 'terminal_type="all", os="all", region="all"', 'media_id="m"')
SLICE: Final = 'account="a",terminal_type="all",os="all",region="all"'
HOUR: Final = 3600
DAY: Final = 24 * HOUR
# promtool's tests begin in 1970, in UTC+8 at 08:00: the first midnight there is 16 hours later.
MIDNIGHT: Final = 16 * HOUR


def series(name: str, values: object) -> dict[str, str]:
    return {"series": name, "values": str(values)}


def settled(
    media_id: str, plays: int, expected: int | None, more: str = "", slices: str = SLICE
) -> list[dict[str, str]]:
    """Plays and expected plays of a video, for some minutes."""
    labels = f'{{{slices},media_id="{media_id}",job="aliyun-vod"{more}}}'
    found = [series(f"aliyun_vod_media_settled_plays{labels}", f"{plays}x20")]
    return (
        found
        if expected is None
        else [*found, series(f"aliyun_vod_media_settled_plays_expected{labels}", f"{expected}x20")]
    )


def info(media_id: str, title: str, more: str = "") -> dict[str, str]:
    return series(
        f'aliyun_vod_media_info{{account="a",media_id="{media_id}",title="{title}",job="aliyun-vod"{more}}}', "1x20"
    )


def answers(
    folder: Path,
    given: list[dict[str, str]],
    expr: str,
    expected: dict[str, float],
    at: str = "0s",
    interval: str = "1m",
    first: str = "",
) -> None:
    """Raises AssertionError with promtool's output if the result differs; `first`: the group of rules to begin with."""
    case: dict[str, Any] = {
        "interval": interval,
        "input_series": given,
        "promql_expr_test": [
            {
                "expr": expr.replace("$job", "aliyun-vod").replace("$account", "a"),
                "eval_time": at,
                "exp_samples": [{"labels": labels, "value": value} for labels, value in expected.items()],
            }
        ],
    }
    # What is looked at after hours does not depend on rules. promtool loads series up to the last time that is read.
    files = [str(RULES)] if at == "6m" or first else []
    if interval == "1h":
        now = {"expr": "vector(1)", "eval_time": "80h", "exp_samples": [{"labels": "{}", "value": 1}]}
        case["promql_expr_test"].append(now)
    document: dict[str, Any] = {"rule_files": files, "tests": [case]}
    if first:
        groups = [group["name"] for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]]
        document["group_eval_order"] = sorted(groups, key=lambda name: name != first)
    rules = yaml.safe_dump(document, allow_unicode=True)
    (folder / "test.yml").write_text(rules)
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


TWO_EXPORTERS: Final = [
    each
    for instance in ("one", "other")
    for more in [f',instance="{instance}"']
    for each in (
        *settled("m", 10, 100, more), *settled("n", 70, 80, more), *settled("new", 7, None, more),
        *settled("won", 30, 10, more), info("m", "Title of " + instance, more),
    )
]  # fmt: skip


def media(name: str) -> str:
    return f'{{account="a", media_id="{name}", os="all", region="all", terminal_type="all"}}'


def recorded(metric: str, name: str) -> str:
    return metric + media(name)


def test_the_media_that_lost_and_gained_are_recorded_once_however_many_exporters_there_are(tmp_path: Path) -> None:
    lost = {recorded(LOST, "m"): 90.0, recorded(LOST, "n"): 10.0}
    gained = "aliyun_vod:media_plays:gained"

    answers(tmp_path, TWO_EXPORTERS, LOST, lost, "6m")
    answers(tmp_path, TWO_EXPORTERS, gained, {recorded(gained, "new"): 7, recorded(gained, "won"): 20}, "6m")
    answers(tmp_path, TWO_EXPORTERS, "sum(aliyun_vod:slice_plays:lost)", {"{}": 100}, "6m")
    # Plays and what was lost or gained are the expected plays, which a new media has not.
    answers(tmp_path, TWO_EXPORTERS, f"{PLAYS_OF_MOVED} - {gained} > 0", {media("won"): 10}, "6m")
    answers(tmp_path, TWO_EXPORTERS, f"{PLAYS_OF_MOVED} + {LOST}", {media("m"): 100, media("n"): 80}, "6m")


def test_a_day_on_which_nothing_is_lost_says_0_and_no_day_says_nothing(tmp_path: Path) -> None:
    gained = [*settled("won", 30, 10), *settled("same", 5, 5)]
    name = "aliyun_vod:slice_plays:lost"

    answers(tmp_path, gained, name, {f"{name}{{{SLICE}}}": 0}, "6m")
    answers(tmp_path, settled("new", 7, None), name, {}, "6m")


def test_what_is_lost_is_not_added_up_before_there_are_the_media_that_lost_it(tmp_path: Path) -> None:
    """A Prometheus that has just started may evaluate the rules for dashboards before the thresholds."""
    answers(tmp_path, TWO_EXPORTERS, LOST, {}, first="aliyun-vod-dashboards")
    answers(tmp_path, TWO_EXPORTERS, "aliyun_vod:slice_plays:lost", {}, first="aliyun-vod-dashboards")


def test_parts_of_the_loss_add_up(tmp_path: Path) -> None:
    parts = f"{ALL.recorded(LOST)} / on (account) group_left () {ALL.recorded('aliyun_vod:slice_plays:lost')}"

    answers(tmp_path, TWO_EXPORTERS, parts, {media("m"): 0.9, media("n"): 0.1}, "6m")


def test_a_media_has_one_title_and_its_id_where_none_is_known(tmp_path: Path) -> None:
    expr = titled(f"sum by (account, media_id) ({LOST})", "aliyun_vod:media_title:moved")

    answers(tmp_path, TWO_EXPORTERS, f"count({expr})", {"{}": 2}, "6m")
    answers(tmp_path, TWO_EXPORTERS, f'{expr} and on (title) label_replace(vector(1), "title", "n", "", "")',
            {'{account="a", media_id="n", title="n"}': 10}, "6m")  # fmt: skip


@pytest.mark.parametrize(
    ("title", "ref_id", "total"),
    [
        ("Plays by category", "A", 10 + 70 + 30),
        ("Plays by category", "B", 100 + 80 + 10),
        ("Lost plays by media, of the chosen categories", "A", 90 + 10 - 20),
    ],
)
def test_a_media_has_one_category_though_exporters_disagree(
    tmp_path: Path, title: str, ref_id: str, total: float
) -> None:
    """One of them has refreshed its metadata since the media was moved."""
    categories = [
        series(f'aliyun_vod_media_metadata_info{{account="a",media_id="{name}",category="{at}",{instance}}}', "1x20")
        for instance, home in (('instance="one"', "Old"), ('instance="other"', "New"))
        for name, at in (("m", home), ("n", "Maths"), ("won", ""))
    ]
    overview = json.loads(texts()["aliyun-vod-overview.json"])
    (panel,) = (panel for panel in languages.panels_of(overview) if panel["title"] == title)
    (expr,) = (target["expr"] for target in panel["targets"] if target["refId"] == ref_id)
    for variable, value in {"terminal_type": "all", "os": "all", "region": "all", "category": ".*"}.items():
        expr = expr.replace(f"${variable}", value)

    answers(tmp_path, [*TWO_EXPORTERS, *categories], f"sum({expr})", {"{}": total}, "6m")


def test_without_any_expected_plays_no_media_is_called_new(tmp_path: Path) -> None:
    answers(tmp_path, settled("m", 10, None), "aliyun_vod:media_plays:gained", {}, "6m")


def test_plays_of_yesterday_and_today_are_summed_once(tmp_path: Path) -> None:
    given = [
        series(f'aliyun_vod_media_plays{{{SLICE},media_id="{name}",days_ago="{ago}",instance="{instance}"}}', "5x20")
        for name in "mn" for ago in (0, 1, 8) for instance in ("one", "other")
    ]  # fmt: skip
    answers(tmp_path, given, "sum by (days_ago) (aliyun_vod:slice_plays:of_day)",
            {'{days_ago="0"}': 10, '{days_ago="1"}': 10}, "6m")  # fmt: skip


def test_a_slice_is_named_by_its_filters(tmp_path: Path) -> None:
    given = [
        series('aliyun_vod:slice_plays:settled{account="a",terminal_type="all",os="Android",region="all"}', "3x20"),
        series('aliyun_vod:slice_plays:settled{account="a",terminal_type="Native",os="all",region="all"}', "4x20"),
        series('aliyun_vod:slice_plays:settled{account="a",terminal_type="Web",os="iOS",region="all"}', "5x20"),
    ]
    expr = named_slice(per_dimension('account="a"', lambda view: view.recorded(SUM_OF_PLAYS)))
    for variable in ("terminal_type", "os", "region"):
        expr = expr.replace(f"${variable}", "all")

    answers(tmp_path, given, expr, {'{account="a", slice="Android"}': 3, '{account="a", slice="Native"}': 4}, "1m")


@pytest.mark.parametrize(("given", "shown"), [([], {"{}": 0}), ([("x", 5)], {"{}": 1})], ids=["none", "one"])
def test_nothing_counted_is_zero_while_the_rules_run(
    tmp_path: Path, given: list[tuple[str, int]], shown: dict[str, float]
) -> None:
    answers(tmp_path, [series(name, f"{value}x20") for name, value in given], or_zero("count(x)"), shown, "6m")


@pytest.mark.parametrize(("at", "grew"), [("5m30s", 4), ("10m30s", 3), ("15m30s", 0), ("20m30s", 1)])
def test_a_bar_has_what_was_counted_between_its_last_scrape_and_the_next_bar(
    tmp_path: Path, at: str, grew: float
) -> None:
    """The counter grows between the scrapes at 2 and 3 minutes, 5 and 6; after 17 minutes it begins again."""
    given = [series('calls{instance="e",reason="r"}', "_x1 1x0 5x3 8x10 1x5")]
    expr = per_bar("calls", "", by="reason").build().expr.replace("$__interval", "5m")

    answers(tmp_path, given, expr, {'{reason="r"}': grew}, at)


@pytest.mark.parametrize(("known", "shown"), [("1x20", {'{reason="r"}': 2}), ("_x7 1x20", {'{reason="r"}': 1})])
def test_labels_that_are_new_count_from_zero_unless_their_exporter_is_new(
    tmp_path: Path, known: str, shown: dict[str, float]
) -> None:
    given = [
        series('calls{instance="e",job="j",reason="r"}', "_x7 1 2x10"),
        series('aliyun_vod_exporter_build_info{instance="e",job="j"}', known),
    ]
    expr = per_bar("calls", "", by="reason").build().expr.replace("$__interval", "5m")

    answers(tmp_path, given, expr, shown, "10m30s")


@pytest.mark.parametrize(("at", "seconds"), [("1m", 30), ("2m", 0)])
def test_a_poll_that_is_due_is_due_now(tmp_path: Path, at: str, seconds: float) -> None:
    exporter = json.loads(texts()["aliyun-vod-exporter.json"])
    (panel,) = (panel for panel in exporter["panels"] if panel["title"] == "Queries")
    (expr,) = (target["expr"] for target in panel["targets"] if target["refId"] == "A")
    name = 'aliyun_vod_query_next_poll_timestamp_seconds{job="aliyun-vod",instance="e",query="q"}'

    answers(tmp_path, [series(name, "90x5")], f"sum({expr.replace('$instance', 'e')})", {"{}": seconds}, at)


@pytest.mark.parametrize(
    ("alert", "more", "page", "account", "where"),
    [
        ("MediaPlaysDropped", 'account="a", media_id="m", title="T"', "media", "a", "-"),
        ("MediaDropsMany", 'account="a"', "overview", "a", "-"),
        ("AccountShareDropped", 'account="a", terminal_type="all", os="iOS", region="all"', "overview", "a", "iOS"),
        ("PlayerPlaysDropped", 'account="a", app_id="x", terminal_type="web", os="all"', "player", "a", "web"),
        ("DayNotSettled", 'account="a"', "exporter", "a", "-"),
        ("ExporterDown", 'job="aliyun-vod", instance="e"', "exporter", "All", "-"),
    ],
)
def test_an_alert_opens_the_dashboard_about_it(
    tmp_path: Path, alert: str, more: str, page: str, account: str, where: str
) -> None:
    """Few are about a video; and an empty account would be none."""
    labels = f'alertname="AliyunVod{alert}", severity="warning", {more}'
    given = [
        series(f'ALERTS{{{labels}, alertstate="firing"}}', "1x20"),
        series(f"ALERTS_FOR_STATE{{{labels}}}", "60x20"),
    ]
    (target,) = alerts.firing().build().targets or []
    expr = json.loads(json.dumps(target, cls=JSONEncoder))["expr"]

    shown = f'{{page="{page}", account="{account}", slice="{where}"}}'
    answers(tmp_path, given, f"sum by (page, account, slice) ({expr})", {shown: 60_000}, "1m")


def by_date(day: int) -> str:
    """The time of a step of a day that begins so many midnights after the first."""
    return f"{(MIDNIGHT + day * DAY) // HOUR}h"


# Hour by hour: the first day (from midnight on) has 100 plays, the second 200, as yesterday of the next.
HISTORY: Final = [
    series(
        f'aliyun_vod_media_plays{{{SLICE},media_id="m",days_ago="1",job="aliyun-vod"}}', "_x40 90x9 100x14 180x9 200x14"
    ),
    series('aliyun_vod_play_date_timestamp_seconds{days_ago="1"}', f"_x40 {MIDNIGHT}x23 {MIDNIGHT + DAY}x23"),
    series(f'aliyun_vod_slice_settled{{{SLICE},days_ago="1",job="aliyun-vod"}}', "_x40 0x9 1x14 0x9 1x14"),
    *(
        series(f'{name}{{{SLICE},job="aliyun-vod"{more}}}', values)
        for name, more, values in (
            ("aliyun_vod_media_settled_plays_expected", ',media_id="m"', "_x50 110x23 220x13"),
            ("aliyun_vod_slice_settled_date_timestamp_seconds", "", f"_x50 {MIDNIGHT}x23 {MIDNIGHT + DAY}x13"),
        )
    ),
]


@pytest.mark.parametrize(("day", "plays"), [(0, 100), (1, 200), (2, None)])
def test_a_day_out_of_history_has_what_was_scraped_last_while_it_was_yesterday(
    tmp_path: Path, day: int, plays: float | None
) -> None:
    # The selected range ends long after: nothing is published at its end.
    expr = ONE.by_date(PLAYS, final=True).replace("${__to:date:seconds}", str(30 * DAY))

    answers(tmp_path, HISTORY, expr, {} if plays is None else {"{}": plays}, by_date(day), "1h")


@pytest.mark.parametrize(("day", "plays"), [(0, 110), (1, 220), (2, None)])
def test_expected_plays_stand_at_their_date(tmp_path: Path, day: int, plays: float | None) -> None:
    expr = ONE.settled_by_date(ONE.scraped(EXPECTED_PLAYS))

    answers(tmp_path, HISTORY, expr, {} if plays is None else {'{account="a"}': plays}, by_date(day), "1h")


@pytest.mark.parametrize(("day", "plays"), [(0, 300), (1, 200), (2, None)])
def test_what_was_recorded_of_the_day_before_is_not_drawn_on_a_day_with_fewer_plays(
    tmp_path: Path, day: int, plays: float | None
) -> None:
    first, second = (
        f'aliyun_vod:slice_plays:settled{{{SLICE},date="{MIDNIGHT + each * DAY + 28_800}"}}' for each in range(2)
    )
    history = [*HISTORY, series(first, "_x50 300x26"), series(second, "_x74 200x13")]
    expr = ONE.settled_by_date(ONE.recorded("aliyun_vod:slice_plays:settled"), dated=True)

    answers(tmp_path, history, expr, {} if plays is None else {'{account="a"}': plays}, by_date(day), "1h")


def test_a_step_that_is_no_midnight_shows_no_other_day(tmp_path: Path) -> None:
    """Grafana begins steps of a day at midnight of the dashboard's time zone; another program may not."""
    expr = ONE.settled_by_date(ONE.scraped(EXPECTED_PLAYS))

    answers(tmp_path, HISTORY, expr, {}, "20h", "1h")
    answers(tmp_path, HISTORY, expr, {}, "30h", "1h")


def test_what_is_published_now_goes_before_history_and_is_provisional_until_settled(tmp_path: Path) -> None:
    labels = f'{SLICE},job="aliyun-vod"'
    given = [
        *(
            series(f'aliyun_vod_media_plays{{{labels},media_id="m",days_ago="{ago}"}}', f"{10 * ago}x80")
            for ago in (1, 2)
        ),
        *(
            series(f'aliyun_vod_play_date_timestamp_seconds{{days_ago="{ago}"}}', f"{MIDNIGHT + (2 - ago) * DAY}x80")
            for ago in (1, 2)
        ),
        *(series(f'aliyun_vod_slice_settled{{{labels},days_ago="{ago}"}}', f"{ago - 1}x80") for ago in (1, 2)),
    ]
    final, provisional = (
        ONE.by_date(PLAYS, final=final).replace("${__to:date:seconds}", str(MIDNIGHT + 2 * DAY))
        for final in (True, False)
    )

    answers(tmp_path, given, final, {"{}": 20}, by_date(0), "1h")
    answers(tmp_path, given, provisional, {}, by_date(0), "1h")
    answers(tmp_path, given, final, {}, by_date(1), "1h")
    answers(tmp_path, given, provisional, {"{}": 10}, by_date(1), "1h")


@pytest.mark.parametrize(("at", "title"), [("3h", "Now"), ("13h", "Now"), ("40h", None)])
def test_media_of_the_last_day_can_be_chosen_while_no_exporter_runs(tmp_path: Path, at: str, title: str | None) -> None:
    """Their history is in Prometheus; the exporter stops after 7 hours."""
    given = [
        series(f'aliyun_vod_media_plays{{{SLICE},media_id="m",days_ago="1",job="aliyun-vod"}}', "5x7 stale"),
        series('aliyun_vod_media_info{account="a",media_id="m",title="Now",job="aliyun-vod"}', "1x7 stale"),
    ]
    media = json.loads(texts()["aliyun-vod-media.json"])
    (variable,) = (each for each in media["templating"]["list"] if each["name"] == "media")
    expr = variable["query"]["query"].removeprefix("query_result(").removesuffix(")")

    answers(tmp_path, given, expr, {f'{{media_id="m", title="{title}"}}': 1} if title else {}, at, "1h")


def test_a_media_can_be_chosen_that_was_expected_to_be_played_or_was_within_two_days(tmp_path: Path) -> None:
    given = [
        series(f'{EXPECTED_PLAYS}{{{SLICE},media_id="expected",job="aliyun-vod"}}', "5x7"),
        *(
            series(f'{PLAYS}{{{SLICE},media_id="of {ago}",days_ago="{ago}",job="aliyun-vod"}}', "5x7")
            for ago in (0, 1, 2, 7)
        ),
    ]
    media = json.loads(texts()["aliyun-vod-media.json"])
    (variable,) = (each for each in media["templating"]["list"] if each["name"] == "media")
    expr = variable["query"]["query"].removeprefix("query_result(").removesuffix(")")

    chosen = ("expected", "of 1", "of 2")
    answers(tmp_path, given, expr, {f'{{media_id="{each}"}}': 1 for each in chosen}, "3h", "1h")


UP: Final = series('up{job="aliyun-vod",instance="e"}', "1x1700")
LOADED: Final = series("aliyun_vod:plays:threshold", "100x1700")
READY: Final = series(f'aliyun_vod_slice_ready{{{SLICE},days_ago="1",job="aliyun-vod"}}', "1x1700")


def settled_date(value: int) -> dict[str, str]:
    return series(f'aliyun_vod_slice_settled_date_timestamp_seconds{{{SLICE},job="aliyun-vod"}}', f"{value}x1700")


def since(minutes: int, given: dict[str, str]) -> dict[str, str]:
    """A series that begins so many minutes after the others, which have a sample every 2 minutes."""
    return {**given, "values": f"_x{minutes // 2} {given['values']}"}


@pytest.mark.parametrize(
    ("given", "at", "says"),
    [
        ([], "40h", "No exporter: "),
        ([series('up{job="node",instance="n"}', "1x1700")], "40h", "No exporter: "),
        ([series('up{job="aliyun-vod",instance="e"}', "0x1700")], "40h", "An exporter is down: "),
        ([UP], "40h", "The first poll "),
        ([UP, READY], "40h", "No recording rules: "),
        ([UP, LOADED, series(READY["series"].replace('"1"', '"0"'), "1x1700")], "40h", "No query requests yesterday: "),
        ([UP, READY, LOADED], "40h", "No day to compare yet: "),
        # 40 h: the second midnight in UTC+8.
        ([UP, READY, LOADED, since(41 * 60 - 2, settled_date(MIDNIGHT))], "41h", "The first numbers come in"),
        ([UP, READY, LOADED, since(41 * 60 - 4, settled_date(MIDNIGHT))], "41h", "The numbers are of yesterday"),
        ([UP, READY, LOADED, settled_date(MIDNIGHT)], "41h", "The numbers are of yesterday"),
        ([UP, READY, LOADED, settled_date(MIDNIGHT - DAY)], "41h", "Yesterday is not final yet"),
        ([UP, READY, LOADED, settled_date(MIDNIGHT - DAY)], "56h", "Late: "),
        ([UP, since(55 * 60, READY), LOADED, settled_date(MIDNIGHT - DAY)], "56h", "Yesterday is not final yet"),
    ],
)
def test_the_state_says_why_there_are_no_numbers(
    tmp_path: Path, given: list[dict[str, str]], at: str, says: str
) -> None:
    panel = json.loads(json.dumps(state.state().build(), cls=JSONEncoder))
    texts = panel["fieldConfig"]["defaults"]["mappings"][1]["options"]
    (code,) = (code for code, shown in texts.items() if shown["text"].startswith(says))

    answers(tmp_path, given, state.expression(), {"{}": float(code)}, at, "2m")
