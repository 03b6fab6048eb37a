"""Evaluates the shipped rules on accounts with the real promtool, a settled day per evaluation."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.deploy.promtool import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from exporter.core.model import Dimensions
    from tests.campaigns.drops.accounts import Account, Settled

_DAY: Final = 86_400
_BY: Final = ("alertname", "account", "media_id", "terminal_type", "os", "region")
_TIME: Final = re.compile(r"time: (\w+),")
_UNIT_DAYS: Final = {"d": 1, "w": 7, "y": 365}


@dataclass(frozen=True, slots=True)
class Alert:
    """What fires, without labels that differ from day to day; `media_id` is empty if it is about the account."""

    name: str
    media_id: str = ""
    terminal_type: str = ""
    os: str = ""
    region: str = ""


def evaluate(
    accounts: Sequence[Account], folder: Path, promtool: str, *, at_once: int = 2
) -> dict[str, list[set[Alert]]]:
    """The alerts that fire on each day, by name of the account."""
    (rules := folder / "rules.yml").write_text(one_group(), encoding="utf-8")
    with ThreadPoolExecutor(at_once) as pool:
        return dict(pool.map(lambda account: (account.name, _evaluated(account, rules, promtool)), accounts))


def one_group() -> str:
    """The shipped rules in one group, records first: a day is one evaluation here, and no record may be a day late."""
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in RULES]
    rules: list[dict[str, Any]] = [rule for each in documents for group in each["groups"] for rule in group["rules"]]
    for rule in rules:
        rule.pop("keep_firing_for", None)
    ordered = sorted(rules, key=lambda rule: "alert" in rule)
    return yaml.safe_dump({"groups": [{"name": "drops", "rules": ordered}]}, allow_unicode=True, width=10_000)


def _evaluated(account: Account, rules: Path, promtool: str) -> list[set[Alert]]:
    test = rules.parent / f"{account.name}.yml"
    test.write_text("\n".join(_test(account, rules)), encoding="utf-8")
    ran = subprocess.run([promtool, "test", "rules", test], capture_output=True, text=True, check=False)
    firing = _firing(ran.stdout + ran.stderr)
    if not firing and "SUCCESS" not in ran.stdout + ran.stderr:
        raise RuntimeError(f"promtool: {(ran.stdout + ran.stderr)[:2000]}")
    return [firing[day] for day in range(account.days)]


def _test(account: Account, rules: Path) -> Iterable[str]:
    """A test whose every expectation fails where an alert fires, so that promtool prints the alerts."""
    yield f"rule_files: [{rules}]"
    yield "evaluation_interval: 1d"
    yield "tests:"
    yield "- interval: 1d"
    yield "  input_series:"
    for dimensions in account.filters:
        dates = " ".join(str(_DAY * number) for number in range(account.days))
        yield _series("slice_settled_date_timestamp_seconds", account, dimensions, "", dates)
    for dimensions, media_id, line in account.settled():
        for metric, values in _values(line):
            yield _series(metric, account, dimensions, f', media_id="{media_id}"', values)
    yield "  promql_expr_test:"
    for day in range(account.days):
        expr = f'group by ({", ".join(_BY)}) (ALERTS{{alertstate="firing", alertname=~"AliyunVod(Account|Media).*"}})'
        yield f"  - {{expr: '{expr}', eval_time: {day}d, exp_samples: []}}"
    yield ""


def _values(line: Sequence[Settled]) -> Iterable[tuple[str, str]]:
    yield "media_settled_plays", " ".join("_" if each.plays is None else str(each.plays) for each in line)
    if any(each.expected is not None for each in line):
        expected = ("_" if each.expected is None else f"{each.expected:.6g}" for each in line)
        yield "media_settled_plays_expected", " ".join(expected)


def _series(metric: str, account: Account, dimensions: Dimensions, more: str, values: str) -> str:
    labels = (
        f'instance="e:9985", job="aliyun-vod", account="{account.name}",'
        f' terminal_type="{dimensions.terminal_type or "all"}", os="{dimensions.os or "all"}",'
        f' region="{dimensions.region or "all"}"{more}'
    )
    return f"  - {{series: 'aliyun_vod_{metric}{{{labels}}}', values: '{values}'}}"


def _firing(output: str) -> defaultdict[int, set[Alert]]:
    """The alerts by day, from what promtool prints of expectations that are not met."""
    firing: defaultdict[int, set[Alert]] = defaultdict(set)
    day = 0
    for line in output.splitlines():
        if found := _TIME.search(line):
            day = sum(int(number) * _UNIT_DAYS[unit] for number, unit in re.findall(r"(\d+)([dwy])", found[1]))
        for labels in re.findall(r'\{[^{}]*alertname="[^{}]*\}', line):
            pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            firing[day].add(
                Alert(
                    pairs["alertname"].removeprefix("AliyunVod"),
                    *(pairs.get(name, "") for name in ("media_id", "terminal_type", "os", "region")),
                )
            )
    return firing
