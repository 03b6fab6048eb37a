"""Alert and recording rules: accepted by promtool; every alert is tested, explained, and has no literal threshold."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parent.parent.parent
RULES: Final = ROOT / "deploy/prometheus/rules/aliyun-vod.yml"
TESTS: Final = sorted((ROOT / "deploy/prometheus/tests").glob("*.yml"))
RUNBOOKS: Final = (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")
METRICS: Final = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")

GROUPS: Final[list[dict[str, Any]]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
ALL: Final[list[dict[str, Any]]] = [rule for group in GROUPS for rule in group["rules"]]
# Two may have one name, and labels that tell them apart.
ALERT_RULES: Final = [rule for rule in ALL if "alert" in rule]
ALERTS: Final = {rule["alert"]: rule for rule in ALERT_RULES}
RECORDED: Final = {rule["record"]: rule["expr"] for rule in ALL if "record" in rule}
THRESHOLDS: Final = {name: expr for name, expr in RECORDED.items() if name.endswith(":threshold")}
DROPS: Final = {name for name in ALERTS if re.search(r"(Plays|Viewers|WatchTime)(Dropped|Gone)$", name)}

# The alerts of the contract.
PROMISED: Final = {
    "AliyunVodPlaysDropped",
    "AliyunVodPlaysGone",
    "AliyunVodViewersDropped",
    "AliyunVodWatchTimeDropped",
    "AliyunVodAccountPlaysDropped",
    "AliyunVodExporterDown",
    "AliyunVodAuthFailing",
    "AliyunVodApiErrors",
    "AliyunVodThrottled",
    "AliyunVodDataStale",
    "AliyunVodDayNotReady",
    "AliyunVodCallBudgetSpent",
    "AliyunVodSeriesDropped",
    "AliyunVodStorageFailing",
    "AliyunVodConfigReloadFailed",
    "AliyunVodLabelsShadowed",
}
# Nothing one would tune: none and some, the hour that `offset 1h` looks back, the 8 hours of UTC+8, a day.
FIXED: Final = {"0", "1", "3600", "28800", "86400"}

# What two exporters that should be scraped show, every 5 minutes; the second has no target for a while.
LOST: Final = {"e:9985": "1x10", "f:9985": "1x2 stale _x2 1x5"}

_METRIC: Final = re.compile(r"\b(?:up|aliyun_vod_\w+)\b")
_RECORD: Final = re.compile(r"\baliyun_vod:[\w:]+")
_NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_PROMQL: Final = re.compile(r"^```promql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION: Final = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def promtool(*arguments: str | Path) -> None:
    run = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def scenarios() -> dict[str, set[str]]:
    """By alert, how each series of it goes in each scenario of the test files: `nYn` does not fire, fires, resolves."""
    found: dict[str, set[str]] = {name: set() for name in ALERTS}
    for file in TESTS:
        for scenario in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            cases = sorted(scenario.get("alert_rule_test", ()), key=lambda case: seconds(case["eval_time"]))
            for alert in {case["alertname"] for case in cases}:
                moments = [[each["exp_labels"] for each in c["exp_alerts"]] for c in cases if c["alertname"] == alert]
                for series in [labels for moment in moments for labels in moment]:
                    found[alert].add("".join("Y" if series in moment else "n" for moment in moments))
    return found


def seconds(duration: str) -> int:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhms])", duration))


def metrics(text: str) -> set[str]:
    return set(_METRIC.findall(text)) - {"up"}


@pytest.mark.tool("promtool")
def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


@pytest.mark.tool("promtool")
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_tests_say(file: Path) -> None:
    promtool("test", "rules", file)


def test_every_alert_of_the_contract_exists() -> None:
    assert set(ALERTS) == PROMISED


def test_every_alert_is_tested_not_firing_firing_and_resolving() -> None:
    # in one scenario, so that what makes the difference is what changes there
    untried = {name for name, seen in scenarios().items() if not any(re.search("nY+n", pattern) for pattern in seen)}
    assert untried == set()


@pytest.mark.parametrize("rule", ALERT_RULES, ids=lambda rule: "-".join([rule["alert"], *rule["labels"].values()]))
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    alone = [each["alert"] for each in ALERT_RULES].count(rule["alert"]) == 1
    assert rule["labels"].keys() - (set() if alone else {"scope"}) == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"


def test_every_alert_has_a_runbook_and_no_runbook_is_left_over() -> None:
    sections = dict(_SECTION.findall(RUNBOOKS))
    assert set(sections) - {"Drop"} == set(ALERTS)
    for alert in ALERTS:
        for part in ("**Means.**", "**Users notice**", "**Look.**", "**Do.**", "**Silence**"):
            assert part in sections[alert], f"{alert} does not say: {part}"


def test_the_table_of_runbooks_has_the_severities_of_the_rules() -> None:
    told = dict(re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (\w+) \|", RUNBOOKS, re.MULTILINE))
    assert set(told.items()) == {(rule["alert"], rule["labels"]["severity"]) for rule in ALERT_RULES}


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_reads_what_is_exposed_or_recorded_before_it(rule: dict[str, Any]) -> None:
    before = {earlier.get("record") for earlier in ALL[: ALL.index(rule)]}
    assert set(_RECORD.findall(rule["expr"])) <= before
    text = rule["expr"] + " ".join(rule.get("annotations", {}).values())
    assert {metric for metric in metrics(text) if f"| `{metric}` |" not in METRICS} == set()
    assert set(_RECORD.findall(text)) <= set(RECORDED)


def test_no_rule_has_a_number_of_its_own() -> None:
    for rule in ALL:
        name = rule.get("alert") or rule["record"]
        if name not in THRESHOLDS:
            assert set(_NUMBER.findall(_QUOTED.sub("", rule["expr"]))) <= FIXED, name


def test_thresholds_stand_together_and_are_all_used() -> None:
    assert [rule.get("record") for rule in ALL[: len(THRESHOLDS)]] == list(THRESHOLDS)
    assert all(expr.startswith("vector(") for expr in THRESHOLDS.values())
    used = {name for rule in ALL for name in _RECORD.findall(rule["expr"])}
    assert set(THRESHOLDS) <= used


@pytest.mark.parametrize("alert", sorted(DROPS))
def test_a_drop_looks_at_one_instant_and_speaks_at_once(alert: str) -> None:
    rule = ALERTS[alert]
    read = [rule["expr"], *(RECORDED[name] for name in RECORDED if name not in THRESHOLDS and "query" not in name)]
    assert not any(re.search(r"\boffset\b|\[", expression) for expression in read)
    assert "for" not in rule
    # A scrape that fails, or moves the days while rules are evaluated, takes the numbers away for a moment.
    assert rule["keep_firing_for"] == "10m"
    assert "ends ten minutes after its numbers have recovered" in RUNBOOKS
    assert not any("interval" in group for group in GROUPS)


@pytest.mark.tool("promtool")
def test_an_exporter_that_service_discovery_has_lost_is_missed_where_there_are_two(tmp_path: Path) -> None:
    shipped = RULES.read_text(encoding="utf-8")
    record = "record: aliyun_vod:exporters:threshold\n        expr: vector"
    (tmp_path / "rules.yml").write_text(shipped.replace(f"{record}(1)", f"{record}(2)"), encoding="utf-8")
    up = [{"series": f'up{{instance="{who}", job="aliyun-vod"}}', "values": v} for who, v in LOST.items()]
    missed = {
        "exp_labels": {"severity": "critical"},
        "exp_annotations": {
            "summary": "Prometheus scrapes fewer exporters than there are",
            "description": "For 5 minutes there was a target for 1 of 2 only. No play alert can fire about what no "
            "other exporter polls. See first whether the process runs, then the error on Prometheus' page Status, "
            "Targets.",
            "runbook_url": "docs/runbooks.md#aliyunvodexporterdown",
        },
    }
    cases = [
        {"alertname": "AliyunVodExporterDown", "eval_time": at, "exp_alerts": alerts}
        for at, alerts in (("10m", []), ("20m", [missed]), ("40m", []))
    ]
    scenario = {"interval": "5m", "input_series": up, "alert_rule_test": cases}
    (tmp_path / "lost.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "5m", "tests": [scenario]})
    )
    promtool("test", "rules", tmp_path / "lost.yml")


def test_queries_that_poll_as_rarely_as_the_runbooks_allow_settle_yesterday_before_its_alert() -> None:
    (number,) = re.findall(r"vector\((\d+) \* 3600\)", THRESHOLDS["aliyun_vod:day_settled_time_seconds:threshold"])
    allowed = re.findall(r"(\d+)\s+hours or more often", RUNBOOKS)
    assert len(allowed) == 2
    # Three polls from 09:00 on.
    assert all(9 + 3 * int(hours) <= int(number) for hours in allowed)


@pytest.mark.tool("promtool")
def test_what_the_runbooks_ask_prometheus_is_promql(tmp_path: Path) -> None:
    queries = _PROMQL.findall(RUNBOOKS)
    file = tmp_path / "queries.yml"
    rules = [{"record": f"runbook:query:{number}", "expr": query} for number, query in enumerate(queries)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
    promtool("check", "rules", file)
    assert len(queries) >= len(ALERTS) - 1  # a configuration file is not looked at in Prometheus alone


@pytest.mark.parametrize("names", [metrics(RUNBOOKS), set(_RECORD.findall(RUNBOOKS))], ids=["metrics", "records"])
def test_everything_named_in_the_runbooks_exists(names: set[str]) -> None:
    assert names
    assert {name for name in names if f"| `{name}` |" not in METRICS and name not in RECORDED} == set()
