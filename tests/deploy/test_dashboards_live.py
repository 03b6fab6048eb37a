"""Every query of the dashboards, run on a real Prometheus that scrapes two exporters with the simulator."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from deploy.grafana.builder.written import texts
from exporter.core import play_dates
from exporter.core.model import Dimensions
from exporter.simulator.dataset import Dataset
from exporter.simulator.generated_media import most_played
from exporter.simulator.incidents import collapse
from tests.deploy.grafana import rate_interval
from tests.e2e.processes import Prometheus, exporter, free_port, post, prometheus_with, until
from tests.e2e.test_clock import wall_clock

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = [pytest.mark.tool("prometheus"), pytest.mark.tool("promtool"), pytest.mark.tool("faketime")]

WRITTEN: Final = [json.loads(text) for text in texts().values()]
# A Sunday after 09:00 UTC+8, for simulator and exporters; Prometheus uses the real time.
NOON: Final = "24T12:00:00"
AT_NOON: Final = datetime.fromisoformat(f"2024-03-{NOON}+08:00").timestamp()
MEDIA: Final = 20
SCRAPED: Final = 1
"""Seconds from scrape to scrape; the documentation recommends 60."""
DAY: Final = 86_400

CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
    limits: {{requests_per_second: 200, concurrency: 8, calls_per_day: 100000}}
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


@dataclass
class DashboardQueries:
    """A Prometheus, and the values of the variables: the first one each, or all if that is the default."""

    server: Prometheus
    variables: dict[str, dict[str, str]] = field(default_factory=dict)

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """As `Prometheus.query`, for queries longer than a URL may be."""
        answer = post(f"{self.server.url}/api/v1/query", data={"query": promql}).json()
        assert answer["status"] == "success", (answer, promql)
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def expr(self, dashboard: dict[str, Any], target: dict[str, Any]) -> str:
        """A query with variables interpolated as by Grafana; the scrape interval is a second instead of a minute."""
        rates_over = f"{rate_interval(target) * SCRAPED / 60:.0f}s"
        text = target["expr"].replace("$__rate_interval", rates_over).replace("$__interval", "1m")
        return substituted(text, self.values(dashboard))

    def values(self, dashboard: dict[str, Any]) -> dict[str, str]:
        """The value of each variable of a dashboard; every variable has an option."""
        if dashboard["uid"] not in self.variables:
            known: dict[str, str] = {}
            self.variables[dashboard["uid"]] = known
            for variable in dashboard["templating"]["list"]:
                if variable["type"] == "query":
                    options = self.options(substituted(variable["query"]["query"], known), variable.get("regex", ""))
                    assert options, f"nothing to choose for {variable['name']}"
                    whole = "(" + "|".join(re.escape(option).replace("\\", "\\\\") for option in options) + ")"
                    first = self.collapsing if self.collapsing in options else options[0]
                    chosen = variable.get("current", {}).get("value", first)
                    assert chosen in ("$__all", *options)
                    known[variable["name"]] = whole if chosen == "$__all" else chosen
                elif variable["type"] == "custom":
                    known[variable["name"]] = variable["current"]["value"]
            assert "$" not in "".join(known.values())
        return self.variables[dashboard["uid"]]

    def options(self, query: str, regex: str) -> list[str]:
        """The options of a variable's query, as from Grafana's Prometheus data source."""
        if found := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
            return list(dict.fromkeys(labels.get(found[2], "") for labels, _ in self.query(found[1])))
        found = re.fullmatch(r"query_result\((.+)\)", query)
        assert found, query
        lines = [
            "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "} 1 1700000000000"
            for labels, _ in self.query(found[1])
        ]
        pattern = re.compile(regex.strip("/").replace("(?<", "(?P<"))
        matched = [pattern.search(line) for line in lines]
        assert all(match and match["text"] for match in matched), lines
        return [match["value"] for match in matched if match]

    @property
    def collapsing(self) -> str:
        """The media that has lost its plays."""
        return most_played(0)


def substituted(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], text)


def catalogue() -> Dataset:
    return Dataset(media=MEDIA, incidents=(collapse(0, play_dates.play_date(AT_NOON, 1)),))


def week_ago(now: float, labels: str) -> str:
    """The plays of a day that had begun, as scraped a week before `now`: OpenMetrics."""
    media, play_date = catalogue(), play_dates.play_date(AT_NOON, 7)
    lines = ["# TYPE aliyun_vod_media_plays gauge"]
    for media_id in media.media_ids:
        counts = media.counts(media_id, play_date, Dimensions(), now=AT_NOON - 7 * DAY)
        plays = counts.plays if counts else 0
        lines += [
            f'aliyun_vod_media_plays{{media_id="{media_id}",days_ago="0",{labels}}} {plays} {now - 7 * DAY + later:.0f}'
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
    scraped = (
        f"global: {{scrape_interval: {SCRAPED}s}}\n"
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
            dashboards = DashboardQueries(server)
            settled = 'count(aliyun_vod_slice_settled{days_ago=~"1|8",os="all",region="all"} == 1) == 12'
            until(lambda: dashboards.query(settled), "yesterday to be settled")
            yield dashboards


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


@pytest.mark.parametrize(("dashboard", "target"), TARGETS)
def test_every_query_has_a_result(
    dashboards: DashboardQueries, dashboard: dict[str, Any], target: dict[str, Any]
) -> None:
    expr = dashboards.expr(dashboard, target)

    assert until(lambda: dashboards.query(expr), expr)


def plays(days_ago: int, media: Dataset) -> dict[str, int]:
    """The plays of the simulator's dataset."""
    counts = {
        media_id: media.counts(media_id, play_dates.play_date(AT_NOON, days_ago), Dimensions(), now=AT_NOON)
        for media_id in media.media_ids
    }
    return {media_id: each.plays for media_id, each in counts.items() if each}


def shown(dashboards: DashboardQueries, title: str) -> list[tuple[dict[str, str], float]]:
    """The result of the first target of that panel of the overview."""
    (overview,) = (dashboard for dashboard in WRITTEN if dashboard["uid"] == "aliyun-vod-overview")
    (target,) = (panel["targets"][0] for panel in overview["panels"] if panel["title"] == title)
    return dashboards.query(dashboards.expr(overview, target))


def test_two_exporters_do_not_double_the_totals(dashboards: DashboardQueries) -> None:
    now, before = plays(1, catalogue()), plays(8, catalogue())

    assert shown(dashboards, "Plays") == [({}, sum(now.values()))]
    ((_, changed),) = shown(dashboards, "Change in a week")
    assert changed == pytest.approx(sum(now.values()) / sum(before.values()) - 1)
    assert shown(dashboards, "Media played") == [({}, len(now))]
    assert shown(dashboards, "Last settled day") == [({}, 1000 * play_dates.start(play_dates.play_date(AT_NOON, 1)))]


def test_the_collapse_is_seen_at_a_glance(dashboards: DashboardQueries) -> None:
    now, before = plays(1, catalogue()), plays(8, catalogue())
    halved = [media_id for media_id, was in before.items() if was >= 100 and now.get(media_id, 0) < 0.5 * was]
    (worst, loss), *_ = shown(dashboards, "Worst drops")
    losers = {labels["media_id"]: lost for labels, lost in shown(dashboards, "Biggest losers")}

    assert dashboards.collapsing in halved
    assert shown(dashboards, "Lost more than half") == [({}, len(halved))]
    assert (worst["media_id"], worst["title"]) == (dashboards.collapsing, "旗舰新品 Hero video")
    assert loss == pytest.approx(now[dashboards.collapsing] / before[dashboards.collapsing] - 1)
    assert min(losers, key=losers.__getitem__) == dashboards.collapsing
    assert losers[dashboards.collapsing] == now[dashboards.collapsing] - before[dashboards.collapsing]


def test_shares_are_of_one_whole(dashboards: DashboardQueries) -> None:
    shares = {labels["terminal_type"]: share for labels, share in shown(dashboards, "Plays by terminal")}

    assert shares.keys() == {"Native", "Web"}
    assert sum(shares.values()) == pytest.approx(1)
