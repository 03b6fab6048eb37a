from __future__ import annotations

import pytest

from tests.campaigns.bench import page
from tests.campaigns.bench.rows import (
    Goal,
    Row,
    Section,
    missing,
    row,
)

NGINX = row("nginx", "ms", [1.0, 1.5, 1.25])
OURS = row("ours", "ms", [2.0, 1.5, 2.5], against=NGINX, goal=Goal(1.5))
GAUGES = row("gauges", "ms", [1234.4], against=OURS, goal=Goal(300, at_least=True))
GONE = missing("pushgateway", "ms", "pushgateway is not installed")
SECTION = Section(
    "A scrape",
    "Of 100,000 series, " + "one after the other, " * 10 + "that is all.",
    (NGINX, OURS, GAUGES, GONE),
)


def test_a_terminal_gets_aligned_columns() -> None:
    assert page.tables([SECTION]).splitlines() == [
        "A scrape",
        "               median   least to most  ratio         goal",
        "nginx         1.25 ms    1.00 to 1.50",
        "ours          2.00 ms    1.50 to 2.50  1.60 x nginx  at most 1.5   missed",
        "gauges       1,234 ms  1,234 to 1,234  617 x ours    at least 300  reached",
        "pushgateway         –                                              pushgateway is not installed",
    ]


def test_the_page_has_each_section_as_a_table_and_names_the_machine() -> None:
    lines = page.document([SECTION], parts=["scrape", "poll"], machine={"processor": "A1, 2 cores"}).splitlines()
    assert "| ours | 2.00 ms | 1.50 to 2.50 | 1.60 x nginx | at most 1.5 | missed |" in lines
    assert "| pushgateway | – |  |  |  | pushgateway is not installed |" in lines
    assert "* processor: A1, 2 cores" in lines
    assert any("scrape, poll" in line for line in lines)


def test_the_goals_of_all_sections_come_first() -> None:
    other = Section("Memory", "Of it all.", (row("peak", "bytes a series", [741.0], goal=Goal(700), note="5 MiB"),))
    goals = page.goals([SECTION, other])
    assert [(each.name, each.reached) for each in goals.rows] == [
        ("A scrape: ours", False),
        ("A scrape: gauges", True),
        ("Memory: peak", False),
    ]
    text = page.document([SECTION, other], parts=["scrape"], machine={})
    assert text.index("## Goals") < text.index("| Memory: peak | 741 bytes a series |") < text.index("## A scrape")


def test_the_page_has_short_lines() -> None:
    text = page.document([SECTION], parts=["scrape"], machine={"packages": "one 1.0, " * 40})
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (0.999, "0.999"),
        (1, "1.00"),
        (12.345, "12.3"),
        (123.45, "123"),
        (1234567.8, "1,234,568"),
    ],
)
def test_figures_have_three_digits_at_least(figure: float, shown: str) -> None:
    assert page.cells(Row("a", figure, "ms"))[1] == f"{shown} ms"


def test_a_note_is_beside_the_result_of_the_goal() -> None:
    noted = row("memory", "bytes a series", [600.0], goal=Goal(700), note="572 MiB")
    assert page.cells(noted)[-2:] == ("at most 700", "reached; 572 MiB")


def test_a_figure_without_unit_is_a_number_alone() -> None:
    assert page.cells(Row("series", 960_000, ""))[1] == "960,000"
