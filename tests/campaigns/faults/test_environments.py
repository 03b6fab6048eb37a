"""The environments campaign: its cells, a dozen of them run, and checks that every invariant can fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.campaigns.faults import environment_runner
from tests.campaigns.faults.environment_runner import (
    CellResults,
    Outcome,
    check,
    results_of_cell,
    table,
)
from tests.campaigns.faults.environments import (
    ENVIRONMENTS,
    PROXY_PASSWORD,
    Area,
    Cell,
    Event,
    brief,
    every,
    impossible,
    possible,
)
from tests.campaigns.faults.scrapes import Scrape

if TYPE_CHECKING:
    from collections.abc import Callable


def test_cells_are_every_event_in_every_possible_environment() -> None:
    left_out = [cell for cell in every() if impossible(cell)]
    printed = table(CellResults(possible()), seconds=1).splitlines()[-1]

    assert len(ENVIRONMENTS) * len(Event) == len(possible()) + len(left_out)
    assert printed == f"{len(ENVIRONMENTS) * len(Event) - len(left_out)} cells, 0 failed, 1 s"
    assert len(left_out) == 3
    assert len({str(cell) for cell in every()}) == len(list(every()))
    assert {environment.area for environment in ENVIRONMENTS} == set(Area)


def test_the_brief_cells_cover_every_area_and_every_event() -> None:
    assert len(brief()) == 12
    assert {cell.environment.area for cell in brief()} == set(Area)
    assert {cell.event for cell in brief()} == set(Event)


@pytest.mark.parametrize("cell", brief(), ids=str)
def test_every_invariant_holds(cell: Cell) -> None:
    assert results_of_cell(cell).wrong == []


@pytest.fixture(scope="module")
def refused() -> Outcome:
    """The outcome of an API error in an ordinary environment."""
    return asyncio.run(environment_runner.run_cell(Cell(ENVIRONMENTS[0], Event.REFUSAL)))


def _after(outcome: Outcome, change: Callable[[str], str]) -> Outcome:
    text = change(outcome.after.text)
    assert text != outcome.after.text
    return replace(outcome, after=Scrape(outcome.after.at, text))


def _without_a_media(text: str) -> str:
    first = next(line for line in text.splitlines() if line.startswith("aliyun_vod_media_plays{"))
    media = first.split('media_id="')[1].split('"')[0]
    return "".join(line for line in text.splitlines(keepends=True) if f'media_id="{media}"' not in line)


def _another_number(text: str) -> str:
    lines = text.splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.startswith("aliyun_vod_media_plays{"))
    lines[at] = lines[at].rpartition(" ")[0] + " 123456\n"
    return "".join(lines)


def _uncounted(outcome: Outcome) -> Outcome:
    assert outcome.recovered is not None
    lines = outcome.recovered.text.splitlines(keepends=True)
    text = "".join(line for line in lines if 'code="Meter.ParamError"' not in line)
    return replace(outcome, recovered=Scrape(outcome.recovered.at, text))


@pytest.mark.parametrize(
    ("planted", "violated"),
    [
        (lambda o: o, set()),
        (lambda o: replace(o, requests=[*o.requests, ("/metrics", 503)]), {"answers"}),
        (lambda o: _after(o, _another_number), {"only_returned_numbers", "known_values_stay"}),
        (lambda o: _after(o, _without_a_media), {"known_values_stay"}),
        (lambda o: replace(o, recovered=o.before), {"recovers", "failures_are_counted"}),
        (_uncounted, {"failures_are_counted"}),
        (lambda o: replace(o, status=-15), {"ends_on_sigterm"}),
        (lambda o: replace(o, seconds=5.1), {"ends_on_sigterm"}),
        (lambda o: replace(o, written=o.written + "Traceback (most recent call last):\n"), {"nothing_breaks"}),
        (lambda o: replace(o, written=o.written + environment_runner.SECRETS[1]), {"nothing_breaks"}),
        (lambda o: replace(o, written=""), {"nothing_breaks"}),
        (lambda o: replace(o, pages=[PROXY_PASSWORD]), {"nothing_breaks"}),
    ],
)
def test_every_invariant_can_fail(refused: Outcome, planted: Callable[[Outcome], Outcome], violated: set[str]) -> None:
    verified = check(planted(refused))

    assert {name for name, times in verified.violated.items() if times} == violated
    assert bool(verified.failed) == bool(violated)
    assert len(verified.cells) == 1


def test_a_cell_that_does_not_finish_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(_: Cell) -> Outcome:
        raise TimeoutError

    monkeypatch.setattr(environment_runner, "run_cell", hangs)
    cell = possible()[0]

    assert results_of_cell(cell).failed == {str(cell)}
    assert results_of_cell(cell).wrong == [f"{cell}: TimeoutError()"]
