from __future__ import annotations

import pytest

from exporter.commands.lost_plays import largest_losses, settled_plays, why_not_compared
from exporter.core.model import Dimensions
from exporter.core.play_dates import Settlement
from exporter.core.publication import PublishedMedia
from exporter.simulator.options import SimulatorOptions
from tests.exposition.examples import publication, settled_day
from tests.harness import NOON, Clock, running_harness

PLAYS = {"kept": (100, 100.0), "half": (50, 99.6), "new": (7, None), "gone": (0, 1000.0), "rose": (60, 50.0)}


def test_media_are_listed_by_lost_plays_and_without_an_expectation_last() -> None:
    ios = settled_day({"kept": (1, 52.0)}, dimensions=Dimensions(os="iOS"), days_ago=2)
    displayed = publication(
        settled_days=(settled_day(PLAYS), ios), media=[PublishedMedia("main", "gone", "a title", None)]
    )

    rows = settled_plays(displayed)

    assert [(row["media_id"], row["os"], row["lost"]) for row in rows] == [
        ("gone", "all", 1000.0),
        ("kept", "iOS", 51.0),
        ("half", "all", 49.599999999999994),
        ("kept", "all", 0.0),
        ("rose", "all", -10.0),
        ("new", "all", None),
    ]
    assert rows[0] == {
        "account": "main",
        "play_date": "2024-03-22",
        "terminal_type": "all",
        "os": "all",
        "region": "all",
        "media_id": "gone",
        "title": "a title",
        "plays": 0,
        "expected": 1000.0,
        "lost": 1000.0,
    }


def test_only_losses_are_shown_in_whole_plays() -> None:
    rows, heading = largest_losses(settled_plays(publication(settled_days=[settled_day(PLAYS)])))

    assert [(row["media_id"], row["plays"], row["expected"], row["lost"]) for row in rows] == [
        ("gone", 0, 1000, 1000),
        ("half", 50, 100, 50),
    ]
    assert heading == "Fewer plays than expected on the last settled day:"


def test_of_many_losses_the_largest_are_shown() -> None:
    day = settled_day({f"m{i:02}": (0, 100.0 + i) for i in range(30)})

    rows, heading = largest_losses(settled_plays(publication(settled_days=[day])))

    assert [row["media_id"] for row in rows] == [f"m{29 - i:02}" for i in range(20)]
    assert heading == "Fewer plays than expected on the last settled day, the 20 largest of 30:"


def test_without_losses_nothing_is_shown() -> None:
    assert largest_losses(settled_plays(publication(settled_days=[settled_day({"a": (5, 5.4)})]))) == ([], "")


async def test_one_poll_is_enough_and_its_losses_are_those_of_the_service() -> None:
    async with running_harness(SimulatorOptions(media=20), expected="true") as harness:
        await harness.poll()
        rows = settled_plays(harness.exporter.publication())

        assert {row["media_id"]: row["plays"] for row in rows} == harness.truth(2)
    assert all(row["lost"] == row["expected"] - row["plays"] for row in rows)
    assert [row["title"] for row in rows if row["title"] is None] == []


@pytest.mark.parametrize(
    ("hour", "setting", "named"),
    [
        (8.9, "true", ["2024-03-22"]),
        (0.1, "true", ["2024-03-22"]),
        (9.1, "true", []),
        (23.9, "true", []),
        (8.9, "false", []),
    ],
)
async def test_one_poll_before_nine_says_why_nothing_is_compared(hour: float, setting: str, named: list[str]) -> None:
    clock = Clock(NOON + (hour - 12) * 3600)
    async with running_harness(SimulatorOptions(media=20), clock=clock, expected=setting) as harness:
        await harness.poll()
        displayed = harness.exporter.publication()
        queries = [report.query for report in harness.exporter.reports()]

    lines = list(why_not_compared(queries, displayed, Settlement(), clock.at))

    assert bool(settled_plays(displayed)) is (setting == "true" and not named)
    assert lines == [
        "Not compared with expected plays: from 09:00 UTC+8 on, a single poll settles"
        f" {day}; before, that takes 3 polls."
        for day in named
    ]
