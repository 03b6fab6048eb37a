"""Alert and recording rules: accepted by promtool; every alert is tested, explained, and has no literal threshold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.promtool import RULES, VERSIONS, promtool
from tests.markdown import PAGES as MARKDOWN
from tests.markdown import blocks, read

ROOT: Final = Path(__file__).parent.parent.parent
TESTS: Final = sorted((ROOT / "deploy/prometheus/tests").glob("*.yml"))
PAGES: Final = {
    language: (ROOT / page).read_text(encoding="utf-8")
    for language, page in {"en": "docs/runbooks.md", "zh": "docs/zh-CN/runbooks.md"}.items()
}
METRICS: Final = "".join((ROOT / f"docs/{page}.md").read_text(encoding="utf-8") for page in ("metrics", "player"))

GROUPS: Final[dict[str, list[dict[str, Any]]]] = {
    group["name"]: group["rules"]
    for file in RULES
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
}
ALL: Final = [rule for rules in GROUPS.values() for rule in rules]
# Two may have one name, and another severity.
ALERTS: Final = [rule for rule in ALL if "alert" in rule]
NAMES: Final = {rule["alert"] for rule in ALERTS}
RECORDED: Final = {rule["record"]: rule["expr"] for rule in ALL if "record" in rule}
THRESHOLDS: Final = {name: expr for name, expr in RECORDED.items() if name.endswith(":threshold")}
DROPS: Final = GROUPS["aliyun-vod-drops"]

PROMISED: Final = {
    *(f"AliyunVodAccount{what}" for what in ("PlaysDropped", "ShareDropped", "PlaysSinking")),
    *(f"AliyunVodMedia{what}Dropped" for what in ("Plays", "Share", "Viewers", "WatchTime")),
    "AliyunVodMediaPlaysGone",
    "AliyunVodMediaDropsMany",
    "AliyunVodExporterDown",
    "AliyunVodAuthFailing",
    "AliyunVodQueryFailing",
    "AliyunVodDayNotSettled",
    "AliyunVodBudgetSpent",
    "AliyunVodSeriesDropped",
    "AliyunVodStorageFailing",
    "AliyunVodConfigReloadFailed",
    "AliyunVodLabelsShadowed",
    *(f"AliyunVodPlayer{what}" for what in ("PlaysDropped", "FailureRatioHigh", "FirstFrameSlow", "DataLate")),
}
ESCALATING: Final = {"AliyunVodExporterDown", "AliyunVodAuthFailing"}
# Nothing one would tune: none, one and the largest, the median, percent, the hour of `offset 1h`,
# the 8 hours of UTC+8, a day, and the days of a week.
FIXED: Final = {"0", "1", "0.5", "100", "3600", "28800", "86400", "7"}
# Chosen together on real counts, as docs/design/drop-alerts.md says: one of them alone is nothing to change.
CHOSEN: Final = {"0.1", "0.4", "0.87", "1.1", "3", "5", "30", "50", "200"}

_METRIC: Final = re.compile(r"\baliyun_vod_\w+\b")
_RECORD: Final = re.compile(r"\baliyun_vod:[\w:]+")
_NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_PROMQL: Final = re.compile(r"^```promql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION: Final = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PARTS: Final = {
    "en": ("**Means.**", "**Users notice**", "**Look.**", "**Do.**", "**Until morning.**", "**Silence**"),
    "zh": ("**含义。**", "**用户感受**", "**查看。**", "**处理。**", "**能否等到早上。**", "**静默**"),
}


def identity(rule: dict[str, Any]) -> str:
    return rule.get("record") or "-".join([rule["alert"], rule["labels"]["severity"]])


@pytest.mark.parametrize("version", VERSIONS)
def test_promtool_accepts_the_rules(version: str) -> None:
    promtool(version, "check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_tests_say(file: Path, version: str) -> None:
    promtool(version, "test", "rules", file)


def test_every_alert_of_the_contract_exists() -> None:
    assert NAMES == PROMISED


def test_every_alert_is_tested_firing_and_not_firing() -> None:
    """The tests give all alerts of their groups that fire at a time, so every other one is tested not to."""
    tests = "".join(
        (Path(__file__).parent / f"test_{what}_rules.py").read_text("utf-8") for what in ("drop", "exporter", "player")
    )
    assert {name for name in NAMES if not re.search(rf'"{name.removeprefix("AliyunVod")}\b', tests)} == set()


@pytest.mark.parametrize("rule", ALERTS, ids=identity)
def test_an_alert_says_in_two_languages_what_to_do_and_where(rule: dict[str, Any]) -> None:
    assert rule["labels"].keys() == {"severity"}
    texts = rule["annotations"]
    assert set(texts) - {"lost_plays", "dropped_media"} == {
        "summary",
        "description",
        "summary_zh",
        "description_zh",
        "dashboard_url",
        "runbook_url",
    }
    assert texts["runbook_url"] == f"https://vod.example.com/docs/runbooks.md#{rule['alert'].lower()}"
    assert texts["dashboard_url"].startswith("https://vod.example.com/d/aliyun-vod-")
    assert all(re.search("[\u4e00-\u9fff]", texts[name]) for name in ("summary_zh", "description_zh"))
    # The same values in both, and nothing that managed services do not evaluate.
    for name in ("summary", "description"):
        values = [set(re.findall(r"\$(?:labels\.)?\w+", texts[key])) for key in (name, f"{name}_zh")]
        assert values[0] == values[1]
    assert "query" not in re.findall(r"\w+", " ".join(re.findall("{{(.*?)}}", str(texts).replace("$labels.query", ""))))


@pytest.mark.parametrize("rule", ALERTS, ids=identity)
def test_the_link_of_an_alert_is_a_dashboard_with_these_variables(rule: dict[str, Any]) -> None:
    """Without them the dashboard would show another account, or all of them."""
    address, _, query = rule["annotations"]["dashboard_url"].partition("?")
    uid = address.rpartition("/d/")[2]
    dashboard = json.loads((ROOT / f"deploy/grafana/dashboards/{uid}.json").read_text(encoding="utf-8"))
    assert dashboard["uid"] == uid
    set_ = set(re.findall(r"(?:^|&)var-(\w+)=", query))
    assert set_ <= {variable["name"] for variable in dashboard["templating"]["list"]}
    variables = {"media": {"account", "media"}, "overview": {"account"}, "player": {"account"}}
    assert set_ == variables.get(uid.removeprefix("aliyun-vod-"), set())


def test_an_alert_about_one_day_names_it() -> None:
    """Those that compare weeks, or viewers of the last settled day by its age, have no such label."""
    of_a_day = {rule["alert"] for rule in DROPS if "alert" in rule} - {
        "AliyunVodAccountPlaysSinking",
        "AliyunVodMediaViewersDropped",
        "AliyunVodMediaWatchTimeDropped",
    }
    for rule in DROPS:
        for text in ("summary", "summary_zh"):
            named = "(toTime $labels.date).Format" in rule.get("annotations", {}).get(text, "")
            assert named == (rule.get("alert") in of_a_day), (rule, text)


def test_messages_have_what_they_sort_and_count_by() -> None:
    """In annotations: another value of a label would be another alert."""
    values = {rule["alert"]: rule["annotations"] for rule in DROPS if "alert" in rule}
    for name, annotation, value in (
        ("AliyunVodMediaPlaysDropped", "lost_plays", '{{ printf "%.0f" $value }}'),
        ("AliyunVodMediaPlaysGone", "lost_plays", '{{ printf "%.0f" $value }}'),
        ("AliyunVodMediaDropsMany", "dropped_media", "{{ $value }}"),
    ):
        assert values[name][annotation] == value


def test_what_can_wait_is_critical_after_half_a_day() -> None:
    waits = {
        (rule["alert"], rule["labels"]["severity"]): rule.get("for") for rule in ALERTS if rule["alert"] in ESCALATING
    }
    assert waits == {
        (name, severity): wait for name in ESCALATING for severity, wait in (("warning", "10m"), ("critical", "12h"))
    }
    assert {
        rule["alert"] for rule in GROUPS["aliyun-vod-exporter"] if rule["labels"]["severity"] == "critical"
    } == ESCALATING


@pytest.mark.parametrize("language", PAGES)
def test_every_alert_has_a_runbook_and_no_runbook_is_left_over(language: str) -> None:
    sections = dict(_SECTION.findall(PAGES[language]))
    assert {name for name in sections if name.startswith("AliyunVod")} == NAMES
    for alert in NAMES:
        for part in PARTS[language]:
            assert part in sections[alert], f"{alert} does not say: {part}"
        assert re.search(r"\]\(https://vod\.example\.com/d/aliyun-vod-\w+", sections[alert]), alert


@pytest.mark.parametrize("language", PAGES)
def test_the_table_of_runbooks_has_the_severities_of_the_rules(language: str) -> None:
    shown = re.findall(r"^\| \[(\w+)\]\(#\w+\) \| ([\w, ]+) \|", PAGES[language], re.MULTILINE)
    severities: dict[str, list[str]] = {}
    for rule in ALERTS:
        severities.setdefault(rule["alert"], []).append(rule["labels"]["severity"])
    assert {name: listed.split(", ") for name, listed in shown} == severities


@pytest.mark.parametrize("rule", ALL, ids=identity)
def test_a_rule_reads_what_is_exposed_or_recorded(rule: dict[str, Any]) -> None:
    read = set(_METRIC.findall(rule["expr"]))
    assert {metric for metric in read if f"| `{metric}` |" not in METRICS} == set()
    assert set(_RECORD.findall(rule["expr"])) <= set(RECORDED)


def test_the_alert_about_renamed_labels_notices_every_label_that_a_rule_or_panel_uses() -> None:
    (rule,) = (rule for rule in ALERTS if rule["alert"] == "AliyunVodLabelsShadowed")
    noticed = re.findall(r"(aliyun_vod_\w+)\{exported_(\w+)!=", rule["expr"])
    rows = re.findall(r"^\| `(aliyun_vod_\w+)` \| \w+ \| ([^|]*) \|", METRICS, re.MULTILINE)
    labels = {metric: re.findall(r"`(\w+)`", column) for metric, column in rows}
    assert [(metric, label) for metric, label in noticed if label not in labels[metric]] == []
    panels = "".join(file.read_text("utf-8") for file in (ROOT / "deploy/grafana/dashboards").glob("*.json"))
    used_in = " ".join(str(rule["expr"]) for rule in ALL) + " ".join(re.findall(r'"expr": "(.*)"', panels))
    used = set(re.findall(r"\w+", used_in)) & {label for listed in labels.values() for label in listed}
    assert {label for _, label in noticed} == used


def test_records_and_alerts_are_in_different_files() -> None:
    for file in RULES:
        groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        kinds = {"alert" if "alert" in rule else "record" for group in groups for rule in group["rules"]}
        assert kinds == {file.stem.rpartition("-")[2].removesuffix("s")}


def test_no_rule_has_a_number_of_its_own() -> None:
    for rule in ALL:
        if rule.get("record") not in THRESHOLDS:
            assert set(_NUMBER.findall(_QUOTED.sub("", rule["expr"]))) <= FIXED | CHOSEN, identity(rule)


def test_thresholds_stand_together_and_are_all_used() -> None:
    together = [*GROUPS["aliyun-vod-player-thresholds"], *GROUPS["aliyun-vod-thresholds"]]
    assert [rule["record"] for rule in together] == list(THRESHOLDS)
    assert all(expr.startswith("vector(") for expr in THRESHOLDS.values())
    assert set(THRESHOLDS) <= {name for rule in ALL for name in _RECORD.findall(rule["expr"])}


def test_a_drop_fires_immediately_and_resolves_with_its_day() -> None:
    """No `for`, and no `keep_firing_for`, by which a video would fire about two days."""
    for rule in DROPS:
        assert "keep_firing_for" not in rule
        assert rule.get("for") == ("4d" if rule["alert"] == "AliyunVodAccountPlaysSinking" else None)
    # What bridges a failed scrape instead.
    for rule in GROUPS["aliyun-vod-plays"]:
        longer = {"[1h]"} if rule["record"] == "aliyun_vod:account_date:settled" else set()
        assert set(re.findall(r"aliyun_vod_\w+(?:{.*?})?(\[\w+\])?", rule["expr"])) <= {"[10m]"} | longer


def test_queries_that_poll_as_rarely_as_the_runbooks_allow_settle_yesterday_before_its_alert() -> None:
    (number,) = re.findall(r"vector\((\d+) \* 3600\)", THRESHOLDS["aliyun_vod:day_settled_time_seconds:threshold"])
    allowed = re.findall(r"(\d+)\s+hours or more often", PAGES["en"])
    assert allowed
    # Three polls from 09:00 on.
    assert all(9 + 3 * int(hours) <= int(number) for hours in allowed)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_query_of_a_page_is_one_that_prometheus_accepts(version: str, tmp_path: Path) -> None:
    queries = {page: [block for kind, block in blocks(page) if kind == "promql"] for page in MARKDOWN}
    file = tmp_path / "queries.yml"
    groups = [
        {"name": page, "rules": [{"record": f"query:{number}", "expr": query} for number, query in enumerate(found)]}
        for page, found in queries.items()
    ]
    file.write_text(yaml.safe_dump({"groups": groups}))
    promtool(version, "check", "rules", file)
    for page in ("docs/runbooks.md", "docs/zh-CN/runbooks.md"):
        assert len(queries[page]) >= len(NAMES) - 1  # a configuration file is not looked at in Prometheus alone


@pytest.mark.parametrize("page", [page for page in MARKDOWN if page != "CHANGELOG.md"])
def test_a_record_that_a_page_names_exists(page: str) -> None:
    assert set(_RECORD.findall(read(page))) <= set(RECORDED)


@pytest.mark.parametrize("language", PAGES)
def test_everything_named_in_the_runbooks_exists(language: str) -> None:
    named = set(_METRIC.findall(PAGES[language]))
    assert named
    assert {name for name in named if f"| `{name}` |" not in METRICS} == set()


def test_both_languages_have_the_same_queries() -> None:
    assert _PROMQL.findall(PAGES["en"]) == _PROMQL.findall(PAGES["zh"])
