"""Every query of the dashboards, run on a real Prometheus with the rules that scrapes two exporters."""

from __future__ import annotations

import json
import subprocess
import time
from collections import defaultdict
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import pytest

from deploy.grafana.builder import languages
from deploy.grafana.builder.written import FOLDER, texts
from exporter.core import play_dates
from exporter.core.expectation import expected_plays
from exporter.core.model import Dimensions
from exporter.simulator.dataset import Dataset
from exporter.simulator.generated_media import most_played
from exporter.simulator.incidents import collapse
from exporter.simulator.media_library import MediaLibrary
from tests.campaigns.bench.dashboards import load
from tests.deploy.grafana import DashboardQueries
from tests.e2e.processes import Prometheus, exporter, free_port, post, prometheus_with, until
from tests.e2e.test_clock import wall_clock

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = [pytest.mark.tool("prometheus"), pytest.mark.tool("promtool"), pytest.mark.tool("faketime")]

# The Chinese ones have the same queries.
# Player has no data here: its exporters read no player metrics.
WRITTEN: Final = [
    json.loads(text) for name, text in texts().items() if not name.endswith("-zh.json") and "player" not in name
]
# A Sunday after 09:00 UTC+8, for simulator and exporters; Prometheus uses the real time.
NOON: Final = "24T12:00:00"
AT_NOON: Final = datetime.fromisoformat(f"2024-03-{NOON}+08:00").timestamp()
MEDIA: Final = 20
COLLAPSING: Final = most_played(0)
"""The media that has lost its plays."""
RULES: Final = FOLDER.parents[1] / "prometheus" / "rules"
SCRAPED: Final = 1
"""Seconds from scrape to scrape; the documentation recommends 60."""
DAY: Final = 86_400

CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
    limits: {{requests_per_second: 200, concurrency: 8, calls_per_day: 100000}}
    metadata: {{labels: [category]}}
settle: {{unchanged: 1}}
queries:
  - name: catalogue
    every: 10s
    media: all
    dimensions:
      - {{}}
      - {{terminal_type: [Native, Web]}}
      - {{os: [Android, iOS, Windows]}}
      - {{region: [cn-beijing, cn-shanghai]}}
    days_ago: [0, 1, 2, 8, 9]
  - {{name: month, every: 10s, media: {{top: 20, by: plays}}, days_ago: [{month}]}}
"""


def catalogue() -> Dataset:
    return Dataset(media=MEDIA, incidents=(collapse(0, play_dates.play_date(AT_NOON, 1)),))


def week_ago(now: float, labels: str) -> str:
    """The plays of a day that had begun, as scraped a week before `now`: OpenMetrics."""
    media, play_date = catalogue(), play_dates.play_date(AT_NOON, 7)
    lines, everything = ["# TYPE aliyun_vod_media_plays gauge"], 0
    for media_id in media.media_ids:
        counts = media.counts(media_id, play_date, Dimensions(), now=AT_NOON - 7 * DAY)
        plays = counts.plays if counts else 0
        everything += plays
        lines += [
            f'aliyun_vod_media_plays{{media_id="{media_id}",days_ago="0",{labels}}} {plays} {now - 7 * DAY + later:.0f}'
            for later in range(-60, 301, 60)
        ]
    recorded = 'account="main",terminal_type="all",os="all",region="all",days_ago="0"'
    lines += ["# TYPE aliyun_vod:slice_plays:of_day gauge"]
    lines += [
        f"aliyun_vod:slice_plays:of_day{{{recorded}}} {everything} {now - 7 * DAY + later:.0f}"
        for later in range(-60, 301, 60)
    ]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def dashboards(tmp_path_factory: pytest.TempPathFactory) -> Generator[DashboardQueries]:
    """Two exporters of the same configuration after some polls, with faults, and scrapes."""
    folder = tmp_path_factory.mktemp("dashboards")
    for name in ("one", "other"):
        (folder / name).mkdir()
    history = folder / "history.txt"
    labels = 'account="main",terminal_type="all",os="all",region="all",job="aliyun-vod",instance="gone"'
    history.write_text(week_ago(time.time(), labels))
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "history.txt", "tsdb"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    ports = {name: free_port() for name in ("one", "other")}
    targets = ", ".join(f"'127.0.0.1:{port}'" for port in ports.values())
    for name in ("aliyun-vod-records.yml", "aliyun-vod-alerts.yml"):
        # Users' rules for dashboards are evaluated every other minute.
        (folder / f"{name}.rules").write_text(
            (RULES / name).read_text(encoding="utf-8").replace("interval: 2m", "interval: 5s")
        )
    scraped = (
        f"global: {{scrape_interval: {SCRAPED}s, evaluation_interval: 5s}}\nrule_files: ['*.rules']\n"
        f"scrape_configs: [{{job_name: aliyun-vod, static_configs: [{{targets: [{targets}]}}]}}]\n"
    )
    simulate = (
        "simulate", "--web.listen-address=127.0.0.1:0", f"--media={MEDIA}", "--collapse=1",
        "--fail=Meter.ServerInternalError:0.1",
    )  # fmt: skip
    with wall_clock(folder, NOON) as clock, exporter(folder, *simulate, **clock.fixed) as simulator:
        month = ", ".join(map(str, range(play_dates.OLDEST_DAYS_AGO)))
        (folder / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url(), month=month))
        serve = ("serve", f"--config.file={folder}/config.yaml")
        with (
            prometheus_with(folder, scraped) as server,
            exporter(folder / "one", *serve, f"--web.listen-address=127.0.0.1:{ports['one']}", **clock.fixed),
            exporter(folder / "other", *serve, f"--web.listen-address=127.0.0.1:{ports['other']}", **clock.fixed),
        ):
            dashboards = DashboardQueries(server, prefers=COLLAPSING, scraped=SCRAPED)
            settled = 'count(aliyun_vod_slice_settled{days_ago=~"1|8",os="all",region="all"} == 1) == 12'
            until(lambda: dashboards.query(settled), "yesterday to be settled")
            # The rules are evaluated some seconds later; on the day before nothing had collapsed.
            lost = 'aliyun_vod:slice_plays:lost{terminal_type="all",os="all",region="all"}'
            recorded = f"{lost} > {sum(plays(1, catalogue()).values())}"
            until(lambda: dashboards.query(recorded), "the rules to have seen yesterday")
            date = f"{28800 + play_dates.start(play_dates.play_date(AT_NOON, 1)):.0f}"
            recorded_date = f'aliyun_vod:slice_plays:settled{{date="{date}"}}'
            until(lambda: dashboards.query(recorded_date), "the rules to have seen its date")
            until(lambda: dashboards.query(ALL_DESCRIBED), "metadata of all media")
            in_alerts = 'ALERTS{alertname=~"AliyunVodMediaPlays(Gone|Dropped)", age_days!=""}'
            until(lambda: dashboards.query(in_alerts), "the alert to have it")
            yield dashboards


# Of each exporter, with or without a category; a video that was deleted before has none.
ALL_DESCRIBED: Final = """
absent(aliyun_vod_media_settled_plays{terminal_type="all", os="all", region="all"}
  unless on (instance, media_id) aliyun_vod_media_metadata_info
  unless on (instance, media_id) aliyun_vod_media_deleted)
and on () aliyun_vod_media_metadata_info
"""

TARGETS: Final = [
    pytest.param(dashboard, target, id=f"{dashboard['uid']}-{panel['id']}{target['refId']}-{panel['title']}")
    for dashboard in WRITTEN
    for outer in dashboard["panels"]
    for panel in (outer, *outer.get("panels", ()))
    for target in panel.get("targets", ())
]


@pytest.mark.parametrize("dashboard", [pytest.param(each, id=each["uid"]) for each in WRITTEN])
def test_every_variable_has_something_to_choose(dashboards: DashboardQueries, dashboard: dict[str, Any]) -> None:
    assert dashboards.values(dashboard)


# What this stack has no series for, also because its exporters and Prometheus are years apart; Prometheus answers all
# the same. What is read by date is in test_dashboards_promql.
EMPTY: Final = (
    "unless on () (min(max by (account) (aliyun_vod_slice_settled{",
    "> time() - 86400) <= time()",
)
# What happens only on a machine under load, or to queries of media by ID.
SOMETIMES: Final = (
    "rate(aliyun_vod_api_retries_total{", 'reason="sweep"}', 'result="partial"}', 'result="failure"}',
    'result="skipped"}',
)  # fmt: skip


@pytest.mark.parametrize(("dashboard", "target"), TARGETS)
def test_every_query_has_a_result(
    dashboards: DashboardQueries, dashboard: dict[str, Any], target: dict[str, Any]
) -> None:
    expr = dashboards.expr(dashboard, target)

    if any(text in target["expr"] for text in EMPTY):
        assert dashboards.query(expr) == []
    elif any(text in target["expr"] for text in SOMETIMES):
        dashboards.query(expr)
    else:
        assert until(lambda: dashboards.query(expr), expr)


def plays(days_ago: int, media: Dataset) -> dict[str, int]:
    """The plays of the simulator's dataset."""
    counts = {
        media_id: media.counts(media_id, play_dates.play_date(AT_NOON, days_ago), Dimensions(), now=AT_NOON)
        for media_id in media.media_ids
    }
    return {media_id: each.plays for media_id, each in counts.items() if each}


def shown(dashboards: DashboardQueries, title: str, ref_id: str = "A") -> list[tuple[dict[str, str], float]]:
    """The result of a target of that panel of the overview."""
    (overview,) = (dashboard for dashboard in WRITTEN if dashboard["uid"] == "aliyun-vod-overview")
    (panel,) = (panel for panel in languages.panels_of(overview) if panel["title"] == title)
    (target,) = (target for target in panel["targets"] if target["refId"] == ref_id)
    expr = dashboards.expr(overview, target)
    return list(until(lambda: dashboards.query(expr), expr))


def test_two_exporters_do_not_double_the_totals(dashboards: DashboardQueries) -> None:
    now = plays(1, catalogue())

    assert shown(dashboards, "Plays") == [({}, sum(now.values()))]
    assert shown(dashboards, "Yesterday") == [({}, sum(now.values()))]
    assert shown(dashboards, "Last settled day") == [({}, 1000 * play_dates.start(play_dates.play_date(AT_NOON, 1)))]


def test_the_first_loser_has_its_part_of_the_whole_loss(dashboards: DashboardQueries) -> None:
    days = {days_ago: plays(days_ago, catalogue()).get(COLLAPSING, 0) for days_ago in (1, 2, 8, 9)}
    expected = expected_plays(days)
    lost = {labels["media_id"]: value for labels, value in shown(dashboards, "Lost plays by media")}
    parts = {labels["media_id"]: value for labels, value in shown(dashboards, "Lost plays by media", "B")}
    changes = {labels["media_id"]: value for labels, value in shown(dashboards, "Lost plays by media", "D")}
    ((_, whole),) = shown(dashboards, "Lost plays")
    (first, _), *_ = shown(dashboards, "Lost plays by media")

    assert (first["media_id"], first["title"]) == (COLLAPSING, "旗舰新品 Hero video")
    assert expected is not None
    assert lost[COLLAPSING] == pytest.approx(expected - days[1])
    assert parts[COLLAPSING] == pytest.approx(lost[COLLAPSING] / whole)
    assert sum(parts.values()) <= 1 + 1e-9
    assert changes[COLLAPSING] < -0.5


def test_terminals_and_systems_have_parts_that_add_up(dashboards: DashboardQueries) -> None:
    where = "Lost plays by terminal, OS and region"
    of_loss, moved = (
        {labels["row"].removeprefix("main "): value for labels, value in shown(dashboards, where, target)}
        for target in "BD"
    )

    assert {"Native", "Web", "Android"} <= moved.keys()
    assert sum(value for name, value in of_loss.items() if name in {"Native", "Web"}) == pytest.approx(1)
    assert moved["Native"] == pytest.approx(-moved["Web"]), "what one share lost the other has"
    assert moved["Native"] < 0, "the collapse is in the app"


def test_the_alert_of_the_collapse_is_listed_with_its_media(dashboards: DashboardQueries) -> None:
    alerts = {labels["alertname"]: labels for labels, _ in shown(dashboards, "Alerts that fire now")}

    gone = alerts.get("AliyunVodMediaPlaysGone") or alerts["AliyunVodMediaPlaysDropped"]
    assert (gone["media_id"], gone["what"]) == (COLLAPSING, "旗舰新品 Hero video")


def test_plays_by_category_are_those_of_the_service(dashboards: DashboardQueries) -> None:
    described = MediaLibrary(catalogue().media).at(AT_NOON).by_id
    played: defaultdict[str, float] = defaultdict(float)
    expected: defaultdict[str, float] = defaultdict(float)
    lost: defaultdict[str, float] = defaultdict(float)
    week_before: defaultdict[str, float] = defaultdict(float)
    for media_id, count in plays(1, catalogue()).items():
        if media_id not in described:
            continue
        category = category_of(media_id)
        played[category] += count
        on_days = {days_ago: plays(days_ago, catalogue()).get(media_id, 0) for days_ago in (1, 2, 8, 9)}
        week_before[category] += on_days[8]
        if (most := expected_plays(on_days)) is not None:
            expected[category] += most
            lost[category] += most - count

    def found(ref_id: str) -> dict[str, float]:
        shown_rows = shown(dashboards, "Plays by category", ref_id)
        return {labels["row"].removeprefix("main "): value for labels, value in shown_rows}

    assert len(played) > 3
    assert found("A") == played
    assert found("B") == pytest.approx(expected)
    assert found("C") == pytest.approx({each: -lost[each] / expected[each] for each in expected if expected[each]})
    assert found("D") == pytest.approx(
        {each: played[each] / before - 1 for each, before in week_before.items() if before}
    )


def test_the_alert_has_the_category_and_the_age_of_its_media(dashboards: DashboardQueries) -> None:
    firing = dashboards.query('ALERTS{alertname=~"AliyunVodMediaPlays(Gone|Dropped)", alertstate="firing"}')
    assert firing
    for labels, _ in firing:
        created = MediaLibrary(catalogue().media).at(AT_NOON).by_id[labels["media_id"]].created
        age = (play_dates.start(play_dates.play_date(AT_NOON, 1)) - created) / DAY
        assert labels.get("category", "") == category_of(labels["media_id"])
        assert labels["age_days"] == str(ceil(age))


def category_of(media_id: str) -> str:
    videos = MediaLibrary(catalogue().media)
    category_id = videos.at(AT_NOON).by_id[media_id].category_id
    return videos.categories.path(category_id) if category_id is not None else ""


# No panel of a load may answer more, or read more samples of what a few media publish.
BYTES: Final = 50_000


@pytest.mark.parametrize("dashboard", [pytest.param(each, id=each["uid"]) for each in WRITTEN])
def test_an_answer_is_small(dashboards: DashboardQueries, dashboard: dict[str, Any]) -> None:
    for panel in languages.panels_of(dashboard):
        exprs = [dashboards.expr(dashboard, target) for target in panel.get("targets", ())]
        answers = [get_text(dashboards.server, expr) for expr in exprs]
        assert sum(map(len, answers)) < BYTES, panel["title"]


@pytest.mark.parametrize("dashboard", [pytest.param(each, id=each["uid"]) for each in WRITTEN])
def test_a_load_over_time_is_small_too(dashboards: DashboardQueries, dashboard: dict[str, Any]) -> None:
    answers = load(dashboards, dashboard)

    assert answers
    assert max(answers.values()) < BYTES


def get_text(server: Prometheus, promql: str) -> str:
    return str(post(f"{server.url}/api/v1/query", data={"query": promql}).text)
