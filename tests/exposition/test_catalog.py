"""The table of metrics, its documentation and the exposition agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.exposition import catalog
from exporter.exposition.negotiation import respond
from exporter.exposition.render import Renderer
from exporter.exposition.self_metrics import SELF_METRICS
from tests.exposition.examples import full_example, full_telemetry, read_text

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
EVERYTHING = (*catalog.PLAY_METRICS, *SELF_METRICS)
GROUPS = ("process_", "python_")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def table() -> list[list[str]]:
    return [cells(line) for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `aliyun_vod_")]


def words(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`(\w+)`", cell))


def test_the_page_has_every_row_of_the_table_in_its_order() -> None:
    documented = [(*words(name), type_, words(labels)) for name, type_, labels, *_ in table()]
    assert documented == [(metric.name, metric.type.value, metric.labels) for metric in EVERYTHING]


def test_every_row_of_the_page_has_meaning_unit_and_stability() -> None:
    assert [row[0] for row in table() if len(row) != 6 or not all(row[3:])] == []


@pytest.mark.parametrize("group", GROUPS)
def test_the_page_names_the_groups_of_the_library(group: str) -> None:
    assert f"| `{group}*` |" in PAGE.read_text("utf-8")


def test_the_page_mentions_no_unknown_metric() -> None:
    mentioned = set(re.findall(r"\baliyun_vod_\w+\b", PAGE.read_text("utf-8"))) - {"aliyun_vod_"}
    assert mentioned == {metric.name for metric in EVERYTHING}


def test_the_exposed_families_are_those_of_the_table() -> None:
    exposition = respond(Renderer().render(full_example()), full_telemetry()).body
    exposed: dict[str, tuple[str, str, set[str]]] = {}
    for metric in read_text(exposition):
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        if not name.startswith(GROUPS):
            exposed[name] = metric.type, metric.documentation, labels
    assert exposed == {metric.name: (metric.type.value, metric.help, set(metric.labels)) for metric in EVERYTHING}


def test_the_groups_of_the_library_are_exposed() -> None:
    names = {metric.name for metric in read_text(respond(Renderer().render(full_example()), full_telemetry()).body)}
    assert {"process_resident_memory_bytes", "python_info", "python_gc_collections"} <= names


@pytest.mark.parametrize("metric", EVERYTHING, ids=lambda metric: metric.name)
def test_a_help_is_a_sentence_that_no_format_escapes(metric: catalog.Metric) -> None:
    assert metric.help[0].isupper()
    assert metric.help.endswith(".")
    assert not set(metric.help) & set('"\\\n')


@pytest.mark.parametrize("metric", EVERYTHING, ids=lambda metric: metric.name)
def test_a_unit_in_a_name_is_in_the_help(metric: catalog.Metric) -> None:
    if metric.name.endswith("_seconds"):
        assert "in seconds" in metric.help
