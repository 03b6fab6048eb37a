"""The result of a soak: any violation makes it fail and is reported."""

from __future__ import annotations

from random import Random

import pytest
from rich.console import Console

from tests.campaigns.soak.daemon import Size, Stored
from tests.campaigns.soak.invariants import Findings
from tests.campaigns.soak.observations import Observations
from tests.campaigns.soak.report import FULL_DAYS, Report

START = 1_700_000_000.0
HOURS = 90 * 24
MIB = 1024 * 1024


def life(*, leak: float = 0.0, descriptors: float = 0.0) -> list[Size]:
    """Ninety days; growing by that many bytes and descriptors per hour, with noise."""
    chance = Random(1)  # noqa: S311 - noise, not secrets
    return [
        Size(
            START + hour * 3600.0,
            round(90 * MIB + chance.uniform(-MIB, MIB) + hour * leak),
            round(16 + chance.choice([0, 0, 0, 1, 4]) + hour * descriptors),
        )
        for hour in range(HOURS)
    ]


def seen(file_growth: int = 0) -> Observations:
    return Observations(90, 1, stored=[Stored(400_000 + day * file_growth, 2_000_000 * (day % 2)) for day in range(90)])


def on_day(report: Report) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        for table in report.tables():
            console.print(table)
    return captured.get()


def test_noise_is_no_growth() -> None:
    report = Report.of(seen(), [life()], START)
    assert report.good
    assert report.violations() == []
    assert len(report.steady_values) == 4
    assert "values lost" in on_day(report)


@pytest.mark.parametrize(
    ("sizes", "file_growth", "what"),
    [
        (life(leak=8_000.0), 0, "memory"),
        (life(descriptors=0.01), 0, "descriptors"),
        (life(), 1_000, "storage file"),
    ],
)
def test_steady_growth_is_a_leak(sizes: list[Size], file_growth: int, what: str) -> None:
    report = Report.of(seen(file_growth), [life()[:24], sizes], START)
    (violation,) = report.violations()
    assert violation.startswith(f"leak: {what}")
    assert not report.good


def test_growth_is_expected_until_the_storage_is_full() -> None:
    assert Report.of(seen(), [life(leak=8_000.0)[: FULL_DAYS * 24]], START).good


def test_each_violation_is_reported_once() -> None:
    bad = seen()
    bad.settled += Findings(lost=["a day", "a day"], wrong=["a number"])
    bad.published += Findings(wrong=["a number", "another"])
    bad.defects.append("it fell over")
    report = Report.of(bad, [], START)
    assert report.violations() == [
        "lost: a day",
        "wrong: a number",
        "wrong: another",
        "defect: it fell over",
    ]
    assert not report.good
