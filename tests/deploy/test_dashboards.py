"""The dashboards as files: as the builder writes them and Grafana reads them, complete, in two languages that agree."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.builder import alerts, languages
from deploy.grafana.builder.texts import CHINESE
from deploy.grafana.builder.written import FOLDER, texts
from exporter.documents.durations import parse
from exporter.errors import ErrorKind
from exporter.exposition import catalog
from exporter.exposition.player_catalog import PLAYER_METRICS
from exporter.exposition.self_metrics import SELF_METRICS
from tests.deploy.grafana import rate_interval
from tests.e2e.shipped import PROMETHEUS, read

if TYPE_CHECKING:
    from collections.abc import Iterator


def rules(name: str) -> Iterator[dict[str, Any]]:
    """The rules of a file."""
    text = (FOLDER.parents[1] / "prometheus" / "rules" / name).read_text(encoding="utf-8")
    for group in yaml.safe_load(text)["groups"]:
        yield from group["rules"]


WRITTEN: Final = {name: json.loads(text) for name, text in texts().items()}
FILES: Final = sorted(WRITTEN)
ENGLISH: Final = [name for name in FILES if not name.endswith(f"{languages.SUFFIX}.json")]
RECORDED: Final = {rule["record"] for rule in rules("aliyun-vod-records.yml")}
# Metrics that an exporter with metadata of media publishes.
OF_METADATA: Final = {"aliyun_vod_media_metadata_info"}
PANELS: Final[dict[str, dict[str, Any]]] = {
    f"{dashboard['uid']}-{panel['id']}-{panel['title']}": panel
    for dashboard in WRITTEN.values()
    for row_or_panel in dashboard["panels"]
    for panel in (row_or_panel, *row_or_panel.get("panels", ()))
    if panel["type"] != "row"
}
every_panel = pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
GRID_WIDTH: Final = 24
TEMPLATES: Final = FOLDER.parents[2] / "exporter" / "status" / "templates"
SMALL_SCREEN: Final = 1280
ROOM: Final = 300
"""Pixels of a title of about 40 letters, and of the borders of a panel."""


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
    # What Grafana's data source for Prometheus reads of an annotation is not among the SDK's models.
    of_annotations = {"step", "titleFormat", "textFormat"}
    found = [each for each in different(WRITTEN[name], read) if not each.startswith("unknown key /annotations/list")]
    more = {each.rpartition("/")[2] for each in set(different(WRITTEN[name], read)) - set(found)}

    assert found == []
    assert more <= of_annotations | {"expr", "interval", "refId"}


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
        mapping = panel["fieldConfig"]["defaults"]["mappings"][0]
        assert mapping["options"]["match"] == "null+nan"
        # That no exporter is there is an answer.
        no_exporter = {"Exporters down", CHINESE["Exporters down"]}
        assert (mapping["options"]["result"]["color"] == "red") == (panel["title"] in no_exporter)
        assert mapping["options"]["result"]["color"] not in {"orange", "green"}


@every_panel
def test_viewers_and_averages_are_not_summed(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        if re.search(r"viewer", target["expr"]):
            assert not re.search(r"\b(sum|avg)\b", target["expr"])


@every_panel
def test_panels_use_only_existing_metrics(panel: dict[str, Any]) -> None:
    ours = {metric.name for metric in catalog.PLAY_METRICS + SELF_METRICS + PLAYER_METRICS}
    for target in panel["targets"]:
        named = set(re.findall(r"\baliyun_vod[\w:]+", target["expr"]))
        scraped = {re.sub(r"_bucket$", "", name) for name in named if ":" not in name}
        assert scraped <= ours | OF_METADATA | {"aliyun_vod_exporter_build_info"}
        assert {name for name in named if ":" in name} <= RECORDED


TABLES: Final = [panel for panel in PANELS.values() if panel["type"] == "table" and len(panel["targets"]) > 1]


@pytest.mark.parametrize("panel", TABLES, ids=lambda each: each["title"])
def test_a_table_keeps_its_columns_while_one_of_its_results_is_empty(panel: dict[str, Any]) -> None:
    """Grafana's `merge` goes by the fields that all results have; an empty one has none, and nothing is merged."""
    steps = {step["id"]: step["options"] for step in panel["transformations"]}
    field = steps["joinByField"]["byField"]

    assert "merge" not in steps
    assert field in steps["filterFieldsByName"]["include"]["names"]
    for target in panel["targets"]:
        assert re.search(rf'by \([^)]*\b{field}\b|label_join\([\s\S]*"{field}"', target["expr"]), target["refId"]


@every_panel
def test_rates_are_of_stretches_that_have_two_scrapes(panel: dict[str, Any]) -> None:
    """With a default data source and the longest documented scrape interval."""
    for target in panel["targets"]:
        if "$__rate_interval" in target["expr"]:
            assert rate_interval(target) >= 4 * max(documented_scrape_intervals())


def test_there_are_rates_and_a_documented_scrape_interval() -> None:
    exprs = [target["expr"] for panel in PANELS.values() for target in panel["targets"]]

    assert sum("$__rate_interval" in expr for expr in exprs) >= 3
    assert len(documented_scrape_intervals()) >= 4


def documented_scrape_intervals() -> list[float]:
    """The documented scrape intervals, in seconds."""
    root = FOLDER.parents[2]
    texts = [(root / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")]
    documented = [found for text in texts for found in re.findall(r"scrape_interval: (\w+)", text)]
    chart = yaml.safe_load((root / "deploy" / "helm" / "aliyun-vod-exporter" / "values.yaml").read_text())
    return [
        parse(each)
        for each in (*documented, read(PROMETHEUS)["global"]["scrape_interval"], chart["serviceMonitor"]["interval"])
    ]


@pytest.mark.parametrize("name", FILES)
def test_every_data_link_leads_to_a_dashboard_of_the_language_with_variables_that_it_has(name: str) -> None:
    dashboard = WRITTEN[name]
    urls = {link["url"] for link in data_links(dashboard)}

    assert urls or "media" in name
    for url in urls:
        named_by_row = "${__data.fields.page}" in url
        pages = ("overview", "media", "player", "exporter") if named_by_row else [""]
        paths = [urlsplit(url.replace("${__data.fields.page}", page)).path for page in pages]
        targets = [each for path in paths for each in WRITTEN.values() if path == f"/d/{each['uid']}"]
        assert len(targets) == len(paths)
        given = {key.removeprefix("var-") for key in parse_qs(urlsplit(url).query)}
        carried = set(re.findall(r"\$\{(\w+):queryparam\}", url))
        assert carried <= {variable["name"] for variable in dashboard["templating"]["list"]}
        for target in targets:
            variables = {variable["name"] for variable in target["templating"]["list"]}
            assert target["uid"].endswith(languages.SUFFIX) == dashboard["uid"].endswith(languages.SUFFIX)
            # Of what only another page has, Grafana takes no notice.
            assert given <= variables or named_by_row
            assert {"datasource", "job"} <= carried <= variables or named_by_row
        for field in re.findall(r"\$\{__data\.fields\.(\w+)\}", url):
            assert field in {"account", "media_id", "category", "page"}


def test_a_link_to_media_gives_every_variable() -> None:
    """One that is missing would show another media, or other filters than the row was about."""
    for name in ENGLISH:
        for link in data_links(WRITTEN[name]):
            path = urlsplit(link["url"]).path
            if path in {"/d/aliyun-vod-media", "/d/aliyun-vod-${__data.fields.page}"}:
                given = {key.removeprefix("var-") for key in parse_qs(urlsplit(link["url"]).query)}
                carried = set(re.findall(r"\$\{(\w+):queryparam\}", link["url"]))
                media = WRITTEN["aliyun-vod-media.json"]["templating"]["list"]
                assert given | carried == {variable["name"] for variable in media}


def data_links(dashboard: dict[str, Any]) -> Iterator[dict[str, str]]:
    for panel in languages.panels_of(dashboard):
        for override in panel.get("fieldConfig", {}).get("overrides", ()):
            for each in override["properties"]:
                if each["id"] == "links":
                    yield from each["value"]


def test_a_link_reads_fields_that_the_table_has() -> None:
    for panel in PANELS.values():
        fields = {name for step in panel.get("transformations", ()) for name in step["options"].get("renameByName", {})}
        for override in panel["fieldConfig"].get("overrides", ()):
            for each in override["properties"]:
                for link in each["value"] if each["id"] == "links" else ():
                    assert set(re.findall(r"fields\.(\w+)", link["url"])) <= fields


@pytest.mark.parametrize("name", FILES)
def test_every_variable_is_used_and_loaded_with_the_dashboard(name: str) -> None:
    dashboard = WRITTEN[name]
    for variable in dashboard["templating"]["list"]:
        others = {**dashboard, "templating": [v for v in dashboard["templating"]["list"] if v is not variable]}
        assert f"${variable['name']}" in json.dumps(others) or f"${{{variable['name']}}}" in json.dumps(others)
        assert variable["type"] != "query" or variable["refresh"] == 1, "on load"
    assert "job" in {variable["name"] for variable in dashboard["templating"]["list"]}
    assert dashboard["refresh"] == "15m"


@pytest.mark.parametrize("name", FILES)
def test_alerts_and_reloads_are_annotated(name: str) -> None:
    annotations = WRITTEN[name]["annotations"]["list"]

    assert ["ALERTS" in annotations[0]["expr"], "reload" in annotations[1]["expr"]] == [True, True]
    for each in annotations:
        assert each["enable"]
        assert each["step"] == each["target"]["interval"] == "1h", "a month is 720 points"
        assert each["target"]["expr"] == each["expr"]


def test_every_text_has_a_translation_and_no_translation_is_left_over() -> None:
    used = {text for name in ENGLISH for text in languages.texts_of(WRITTEN[name])}

    assert used == set(CHINESE)
    assert all(CHINESE.values())


@pytest.mark.parametrize("name", ENGLISH)
def test_the_chinese_dashboard_differs_only_in_its_texts(name: str) -> None:
    english = WRITTEN[name]
    chinese = WRITTEN[name.replace(".json", f"{languages.SUFFIX}.json")]
    latin = re.compile(r"[\x00-\x7f]*")
    untranslated = {text for text in languages.texts_of(chinese) if latin.fullmatch(text)}

    assert untranslated <= {"Job", "99 %", "Exporter", "English"}
    assert [
        panel.get("targets") and [t["expr"] for t in panel["targets"]] for panel in languages.panels_of(english)
    ] == [panel.get("targets") and [t["expr"] for t in panel["targets"]] for panel in languages.panels_of(chinese)]
    assert [panel["gridPos"] for panel in languages.panels_of(english)] == [
        panel["gridPos"] for panel in languages.panels_of(chinese)
    ]


@pytest.mark.parametrize("name", FILES)
def test_a_legend_of_label_values_has_only_names(name: str) -> None:
    """Words among the values, such as results of polls, would be English in the Chinese dashboard."""
    names = {"account", "action", "app_id", "code", "instance", "os", "terminal_type", "title"}
    for panel in languages.panels_of(WRITTEN[name]):
        for target in panel.get("targets", ()):
            shown = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            assert shown - {"kind"} <= names, panel["title"]
            if "kind" in shown:
                says_kinds(panel, target["legendFormat"], "zh" if languages.SUFFIX in name else "en")


def says_kinds(panel: dict[str, Any], legend: str, language: str) -> None:
    """The legend calls each kind of errors what the status page calls it."""
    words = tomllib.loads((TEMPLATES / f"{language}.toml").read_text(encoding="utf-8"))
    for kind in ErrorKind:
        shown = legend.replace("{{kind}}", kind)
        for step in panel["transformations"]:
            shown = re.sub(step["options"]["regex"].strip("/"), step["options"]["renamePattern"], shown)
        assert shown == legend.replace("{{kind}}", words[f"kind_{kind}"])


@pytest.mark.parametrize("name", FILES)
def test_what_an_alert_is_about_has_room_on_a_small_screen(name: str) -> None:
    for panel in WRITTEN[name]["panels"]:
        if panel["title"] in {"Alerts that fire now", CHINESE["Alerts that fire now"]}:
            widths = [
                each["value"]
                for override in panel["fieldConfig"]["overrides"]
                for each in override["properties"]
                if each["id"] == "custom.width"
            ]
            assert panel["gridPos"]["w"] * SMALL_SCREEN / GRID_WIDTH - sum(widths) >= ROOM


@pytest.mark.parametrize("name", FILES)
def test_titles_and_categories_have_room_on_a_small_screen(name: str) -> None:
    long = {"Title", "Category", CHINESE["Title"], CHINESE["Category"]}
    for panel in languages.panels_of(WRITTEN[name]):
        columns = {
            override["matcher"]["options"]: {each["id"]: each["value"] for each in override["properties"]}
            for override in panel.get("fieldConfig", {}).get("overrides", ())
        }
        if long & columns.keys():
            shown = [each for each in columns.values() if "custom.hidden" not in each]
            widths = [each["custom.width"] for each in shown if "custom.width" in each]
            left = panel["gridPos"]["w"] * SMALL_SCREEN / GRID_WIDTH - sum(widths)
            assert left / (len(shown) - len(widths)) >= ROOM, panel["title"]


def test_texts_of_one_panel_that_name_columns_stay_different() -> None:
    """Two columns of one name would be one for Grafana's overrides."""
    for panel in PANELS.values():
        for step in panel.get("transformations", ()):
            names = list(step["options"].get("renameByName", {}).values())
            assert len(names) == len(set(names)), panel["title"]


def test_a_load_of_the_overview_reads_no_series_of_every_media() -> None:
    """Its cost is that of some recorded series, whether ten media are published or ten thousand."""
    shown = [panel for panel in WRITTEN["aliyun-vod-overview.json"]["panels"] if panel["type"] != "row"]

    assert len(shown) >= 16
    for panel in shown:
        for target in panel["targets"]:
            assert not re.search(r"\baliyun_vod_media_\w+", target["expr"]), panel["title"]
            # Of recorded series about media, at most as many as the rules keep; never without a limit for long answers.
            if re.search(r"\baliyun_vod:media_plays:(lost|gained|moved)", target["expr"]):
                assert "topk(" in target["expr"], panel["title"]


def test_every_alert_of_the_rules_has_a_name_for_the_reader() -> None:
    named = {
        rule["alert"] for name in ("aliyun-vod-alerts.yml", "aliyun-vod-player-alerts.yml") for rule in rules(name)
    }
    assert set(alerts.NAMES) == named


@pytest.mark.parametrize(
    ("name", "title"),
    [("overview", "Against expected"), ("media", "Against expected"), ("player", "Against last week")],
)
def test_a_tenth_lost_is_not_green(name: str, title: str) -> None:
    dashboard = WRITTEN[f"aliyun-vod-{name}.json"]
    (panel,) = (each for each in dashboard["panels"] if each["title"] == title)
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [step["color"] for step in steps if step.get("value") is None or step["value"] <= -0.09]

    assert reached[-1] not in {"green", "transparent"}


def test_provisioning_finds_the_dashboards() -> None:
    provisioning = FOLDER.parent / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "aliyun-vod.yml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]

    assert provider["type"] == "file"
    assert Path(provider["options"]["path"]).name == FOLDER.name
    assert source["type"] == "prometheus"
    assert source["isDefault"]
    assert source["jsonData"]["timeInterval"] == read(PROMETHEUS)["global"]["scrape_interval"]
