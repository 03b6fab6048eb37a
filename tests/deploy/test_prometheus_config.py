"""Prometheus' configuration: valid with the shipped rules, and suited to the exporter."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from exporter.commands.flags import EXPORTER_PORT
from exporter.documents.durations import parse
from tests.e2e.shipped import PROMETHEUS, RULES, read

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.tool("promtool")
def test_promtool_accepts_it_and_finds_the_shipped_rules(tmp_path: Path) -> None:
    """At the place of a checkout: the one in the file is that of a container."""
    (place,) = read(PROMETHEUS)["rule_files"]
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS.read_text().replace(place, f"{RULES}/*.yml"))
    ran = subprocess.run(
        ["promtool", "check", "config", f"{tmp_path}/prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(list(RULES.glob('*.yml')))} rule files found" in ran.stdout
    assert "rules found" in ran.stdout


def test_it_scrapes_the_exporter_under_the_name_that_the_rules_expect() -> None:
    (job,) = read(PROMETHEUS)["scrape_configs"]
    assert job == {
        "job_name": "aliyun-vod",
        "honor_labels": True,
        "static_configs": [{"targets": [f"exporter:{EXPORTER_PORT}"]}],
    }
    expected = [name for file in RULES.glob("*.yml") for name in re.findall(r'job=~?"([^"]*)"', file.read_text())]
    assert expected
    assert all(re.fullmatch(name, "aliyun-vod") for name in expected)


def test_a_scrape_ends_before_the_next_and_rules_see_every_one() -> None:
    times = {name: parse(value) for name, value in read(PROMETHEUS)["global"].items()}
    assert times["scrape_timeout"] < times["scrape_interval"] == times["evaluation_interval"] == 30
