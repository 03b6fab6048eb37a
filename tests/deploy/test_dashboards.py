"""The dashboards as files: as the builder writes them and Grafana reads them, with a description in each panel."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.builder.written import FOLDER, texts
from exporter.documents.durations import parse
from exporter.exposition import catalog
from exporter.exposition.player_catalog import PLAYER_METRICS
from exporter.exposition.self_metrics import SELF_METRICS
from tests.deploy.grafana import rate_interval
from tests.e2e.shipped import PROMETHEUS, read

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITTEN: Final = {name: json.loads(text) for name, text in texts().items()}
FILES: Final = sorted(WRITTEN)
PANELS: Final[dict[str, dict[str, Any]]] = {
    f"{dashboard['uid']}-{panel['id']}-{panel['title']}": panel
    for dashboard in WRITTEN.values()
    for row_or_panel in dashboard["panels"]
    for panel in (row_or_panel, *row_or_panel.get("panels", ()))
    if panel["type"] != "row"
}
every_panel = pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
GRID_WIDTH: Final = 24


def different(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """Differences after a round trip through the SDK's models."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key not in theirs:
                yield f"unknown key {where}/{key}"
            else:
                yield from different(value, theirs[key], f"{where}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from different(one, other, f"{where}[{index}]")
    elif ours != theirs:
        yield f"changed {where}: {ours!r} -> {theirs!r}"


def test_the_files_are_what_the_builder_writes() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}

    assert files == texts(), "run: python -m deploy.grafana.builder"


@pytest.mark.parametrize("name", FILES)
def test_grafana_knows_every_key(name: str) -> None:
    plugins.register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(WRITTEN[name])))

    assert list(different(WRITTEN[name], read)) == []


@pytest.mark.parametrize("name", FILES)
def test_a_dashboard_has_a_stable_uid_and_no_version_of_its_own(name: str) -> None:
    dashboard = WRITTEN[name]

    assert f"{dashboard['uid']}.json" == name
    assert {"version", "id"}.isdisjoint(dashboard)
    assert dashboard["timezone"] == "Asia/Shanghai", "play dates are days in UTC+8"
    assert dashboard["links"], "leads to the others"


@pytest.mark.parametrize("name", FILES)
def test_panels_do_not_overlap_and_are_inside_the_grid(name: str) -> None:
    places = [panel["gridPos"] for panel in WRITTEN[name]["panels"]]

    assert all(place["x"] + place["w"] <= GRID_WIDTH for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


@pytest.mark.parametrize("name", FILES)
def test_every_panel_has_a_number_of_its_own(name: str) -> None:
    numbers = [p["id"] for panel in WRITTEN[name]["panels"] for p in (panel, *panel.get("panels", ()))]

    assert numbers == list(range(1, len(numbers) + 1))


@every_panel
def test_every_panel_has_a_description_a_unit_and_a_text_for_no_data(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]

    assert len(panel["description"]) > len(panel["title"])
    assert defaults["unit"]
    assert defaults["noValue"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


@every_panel
def test_a_panel_without_data_has_no_threshold_colour(panel: dict[str, Any]) -> None:
    if panel["options"].get("colorMode") == "background":
        (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
        assert mapping["options"]["match"] == "null+nan"
        assert mapping["options"]["result"]["color"] not in {"red", "orange", "green"}


@every_panel
def test_viewers_and_averages_are_not_summed(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        if re.search(r"viewer", target["expr"]):
            assert not re.search(r"\b(sum|avg)\b", target["expr"])


@every_panel
def test_panels_use_only_existing_metrics(panel: dict[str, Any]) -> None:
    ours = {metric.name for metric in catalog.PLAY_METRICS + SELF_METRICS + PLAYER_METRICS}
    for target in panel["targets"]:
        named = re.findall(r"\baliyun_vod_\w+", target["expr"])
        assert {re.sub(r"_bucket$", "", name) for name in named} <= ours | {"aliyun_vod_exporter_build_info"}


@every_panel
def test_rates_are_of_stretches_that_have_two_scrapes(panel: dict[str, Any]) -> None:
    """With a default data source and the longest documented scrape interval."""
    for target in panel["targets"]:
        if "$__rate_interval" in target["expr"]:
            assert rate_interval(target) >= 4 * max(documented_scrape_intervals())


def test_some_rates_are_drawn_and_some_scrape_interval_is_said() -> None:
    exprs = [target["expr"] for panel in PANELS.values() for target in panel["targets"]]

    assert sum("$__rate_interval" in expr for expr in exprs) >= 3
    assert len(documented_scrape_intervals()) >= 4


def documented_scrape_intervals() -> list[float]:
    """The documented scrape intervals, in seconds."""
    root = FOLDER.parents[2]
    texts = [(root / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")]
    said = [found for text in texts for found in re.findall(r"scrape_interval: (\w+)", text)]
    chart = yaml.safe_load((root / "deploy" / "helm" / "aliyun-vod-exporter" / "values.yaml").read_text())
    return [
        parse(each)
        for each in (*said, read(PROMETHEUS)["global"]["scrape_interval"], chart["serviceMonitor"]["interval"])
    ]


def test_a_title_leads_to_the_media_with_the_filters_of_the_row() -> None:
    links = {
        link["url"]
        for panel in PANELS.values()
        for override in panel["fieldConfig"].get("overrides", ())
        for each in override["properties"]
        if each["id"] == "links"
        for link in each["value"]
    }
    (link,) = links
    (media,) = (dashboard for dashboard in WRITTEN.values() if urlsplit(link).path == f"/d/{dashboard['uid']}")
    given = {name.removeprefix("var-") for name in parse_qs(urlsplit(link).query)}
    carried = set(re.findall(r"\$\{(\w+):queryparam\}", link))

    assert given | carried == {variable["name"] for variable in media["templating"]["list"]}
    assert "${__data.fields.media_id}" in link


def test_provisioning_finds_the_dashboards() -> None:
    provisioning = FOLDER.parent / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "aliyun-vod.yml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]

    assert provider["type"] == "file"
    assert Path(provider["options"]["path"]).name == FOLDER.name
    assert source["type"] == "prometheus"
    assert source["isDefault"]
    assert source["jsonData"]["timeInterval"] == read(PROMETHEUS)["global"]["scrape_interval"]
