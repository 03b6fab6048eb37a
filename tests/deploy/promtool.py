"""promtool on the PATH, and Debian's newest Prometheus and Alertmanager: `python -m tests.deploy.promtool FOLDER`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

ROOT: Final = Path(__file__).parent.parent.parent
FOLDER: Final = ROOT / ".venv" / "prometheus3"
_UNPACKED: Final = FOLDER / "usr" / "bin"
RULES: Final = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
VERSIONS: Final = ("2", "3")
_RECORD: Final = re.compile(r"\baliyun_vod:[\w:]+")
# The exporter of the series, unless they have their own labels.
_UP: Final = {'up{instance="e:9985", job="aliyun-vod"}': "1x1000"}


def get(folder: Path) -> None:
    """Unpack the packages of Debian's newest suite; apt keeps its state elsewhere and installs nothing.

    If that fails, it prints the reason, and the tests that need the packages are skipped.
    """
    listed = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian"]
    ran = subprocess.run(listed, capture_output=True, text=True, check=False) if shutil.which("apt-get") else None
    mirrors = ran.stdout.split() if ran else []
    if not mirrors:
        sys.stdout.write("promtool 3: packages are taken from Debian; put another one on the path as promtool-3\n")
        return
    try:
        _unpack(mirrors[0], folder)
        for name in ("promtool", "prometheus-alertmanager"):
            subprocess.run([folder / "usr" / "bin" / name, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.write(f"promtool 3: could not be taken from Debian ({error}); put one on the path as promtool-3\n")


def _unpack(mirror: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as state:
        for name in ("lists", "cache/archives"):
            (Path(state) / name / "partial").mkdir(parents=True)
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (sources := Path(state) / "sources.list").write_text(f"deb [signed-by={keys}] {mirror} sid main\n")
        options = {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "-", "Dir::State::lists": f"{state}/lists"}
        options |= {"Dir::Cache": f"{state}/cache", "APT::Sandbox::User": "root"}
        # The list of a mirror that is some weeks behind has expired; its packages are still signed.
        options |= {"Acquire::Check-Valid-Until": "false"}
        apt = ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in options.items())]
        subprocess.run([*apt, "update"], check=True, cwd=state)
        subprocess.run([*apt, "download", "prometheus", "promtool", "prometheus-alertmanager"], check=True, cwd=state)
        for package in Path(state).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)


def program(version: str) -> str:
    """The path of promtool; without it the test is skipped, or fails with REQUIRE_TOOLS=1."""
    if version == "2":
        return _needed(shutil.which("promtool"), "promtool 2: a Debian package")
    return newest("promtool", version)


def newest(name: str, version: str) -> str:
    """The path of a program of Debian's newest suite, or of the one on the path as NAME-VERSION."""
    unpacked = shutil.which(_UNPACKED / name)
    return _needed(unpacked or shutil.which(f"{name}-{version}"), f"{name} {version}: make .venv/.prometheus3")


def _needed(found: str | None, what: str) -> str:
    if found is None:
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(f"needs {what}")
        pytest.skip(f"needs {what}")
    return found


def promtool(version: str, *arguments: str | Path) -> None:
    """Fail the test unless promtool succeeds.

    While promtool 2.42 cuts a block, once a simulated day, it may lose the first sample of a new series: of 720,000
    such samples in a test of 60 days most runs lose one or two. So there only a second failure counts.
    """
    command = [program(version), *arguments]
    # A run has 60 MB, or 115 MB with a quarter of its time saved.
    environment = {"GOGC": "400", **os.environ}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ran.returncode and version == "2" and arguments[0] == "test":
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ran.returncode:
        pytest.fail(ran.stdout + ran.stderr)


def with_thresholds(folder: Path, **values: str) -> list[Path]:
    """Copies of the rules with other numbers, as an operator would change them."""
    copies, changed = [], 0
    for file in RULES:
        text = file.read_text(encoding="utf-8")
        for name, value in values.items():
            pattern = rf"('aliyun_vod:{name}:threshold', expr: vector)\(.*\)}}"
            text, count = re.subn(pattern, rf"\1({value})}}", text)
            changed += count
        (copy := folder / file.name).write_text(text, encoding="utf-8")
        copies.append(copy)
    assert changed == len(values)
    return copies


def of_groups(folder: Path, rules: Iterable[Path], names: Collection[str]) -> Path:
    """A copy with these groups only: a rule without data takes as long to evaluate as one with little."""
    # PyYAML's own parser takes ten times as long.
    documents = [yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader) for file in rules]
    groups = [group for document in documents for group in document["groups"] if group["name"] in names]
    assert {group["name"] for group in groups} == set(names)
    recorded = {rule.get("record") for group in groups for rule in group["rules"]}
    read = {name for group in groups for rule in group["rules"] for name in _RECORD.findall(rule["expr"])}
    assert read <= recorded, "an alert that reads what is not recorded does not fire"
    (copy := folder / "groups.yml").write_text(json.dumps({"groups": groups}, ensure_ascii=False), encoding="utf-8")
    return copy


def check_firing(
    version: str,
    folder: Path,
    series: Mapping[str, str],
    firing: Mapping[str, Iterable[str]],
    *,
    rules: Iterable[Path] = RULES,
    groups: Collection[str] = (),
    interval: str = "1m",
    every: str = "",
    order: Iterable[str] = (),
    within: str = "",
    more: str = "",
    only: str = "AliyunVod.*",
) -> None:
    """Check which alerts fire at which times, each as `Name label=value ...` with the labels that it has.

    `groups`: of the rules, else all. `interval`: between values, and between evaluations unless these are `every` so
    long. `within`: not at these times, but ever in so long before them. `more`: another label that counts. `only`: of
    these alerts.
    """
    by = "alertname, account, media_id, terminal_type, os, region, instance, query, severity, category, age_days"
    firing_alerts = f'ALERTS{{alertstate="firing", alertname=~"{only}"}}'
    if within:
        firing_alerts = f"max_over_time({firing_alerts}[{within}])"
    cases = [
        {
            "expr": f"group by ({by}, {more}) ({firing_alerts})",
            "eval_time": time,
            "exp_samples": [{"labels": _labels(alert), "value": 1} for alert in alerts],
        }
        for time, alerts in firing.items()
    ]
    document: dict[str, Any] = {
        "rule_files": [str(file) for file in ([of_groups(folder, rules, groups)] if groups else rules)],
        "evaluation_interval": every or interval,
        "tests": [
            {
                "interval": interval,
                "input_series": [{"series": name, "values": values} for name, values in (_UP | dict(series)).items()],
                "promql_expr_test": cases,
            }
        ],
    }
    if order:
        document["group_eval_order"] = list(order)
    (file := folder / "test.yml").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    promtool(version, "test", "rules", file)


def _labels(alert: str) -> str:
    name, *labels = alert.split()
    pairs = (label.partition("=") for label in labels)
    return "{" + ", ".join([f'alertname="AliyunVod{name}"', *(f'{label}="{value}"' for label, _, value in pairs)]) + "}"


if __name__ == "__main__":
    get(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
