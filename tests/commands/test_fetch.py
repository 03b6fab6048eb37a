from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from exporter.app import Runtime
from exporter.cli import main
from exporter.commands import fetch
from exporter.commands.fetch import poll_all
from exporter.commands.play_table import most_played, table
from exporter.simulator.faults import Fault
from exporter.simulator.options import Conditions, SimulatorOptions
from tests.harness import NOON, Clock, running_harness, simulated

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.simulator.request_log import LoggedCall

# A search in which nothing can be found yet, and a query beside it.
SEARCH = """
accounts:
  - {name: main, endpoint: "ENDPOINT", credentials: {access_key_id: simulator, access_key_secret: simulator-secret}}
queries:
  - {name: courses, media: {search: {category: [nowhere]}}}
  - {name: popular, media: {top: 2}, days_ago: 2}
"""
YESTERDAY = """
accounts:
  - {name: main, endpoint: "ENDPOINT", credentials: {access_key_id: simulator, access_key_secret: simulator-secret}}
queries:
  - {name: q, media: all, days_ago: [1], expected: false}
"""
ROW = {
    "account": "main",
    "play_date": "2024-03-23",
    "days_ago": 1,
    "terminal_type": "all",
    "os": "all",
    "region": "all",
    "media_id": "9ae2af636ca6c10412f44891fc000000",
    "title": "阿里云VOD视频标题",
    "plays": 20,
    "viewers": 5,
    "plays_per_viewer": 4,
    "play_duration": 2400,
    "play_duration_per_viewer": None,
}


def test_rows_stand_under_their_names_with_units_and_what_was_not_given_is_empty() -> None:
    heading, row = table([ROW]).splitlines()

    assert heading.split() == [
        *list(ROW)[:-2],
        "play_duration_seconds",
        "play_duration_per_viewer_seconds",
    ]
    assert row.split() == [str(value) for value in ROW.values() if value is not None]


def test_a_title_cannot_reach_the_terminal_s_controls() -> None:
    printed = table([{**ROW, "title": "\x1b[31mred\x1b[0m\nnext\u202e [bold]not markup[/bold]"}])

    assert "\x1b" not in printed
    assert len(printed.splitlines()) == 2
    assert "\u202e" not in printed
    assert "[bold]not markup[/bold]" in printed


def test_spaces_of_a_title_are_kept() -> None:
    """Chinese titles have ideographic ones."""
    assert "课程\u3000数学\u00a01" in table([{**ROW, "title": "课程\u3000数学\u00a01"}])


def test_json_has_no_character_that_controls_a_terminal() -> None:
    title = "标题\x7f\u2028\u202e\U000e0001\ud800🎬"

    line = fetch._escaped(json.dumps({"title": title}, ensure_ascii=False))  # noqa: SLF001 - the service has no such title

    assert line == r'{"title": "标题\u007f\u2028\u202e\udb40\udc01\ud800🎬"}'
    assert json.loads(line) == {"title": title}


def rows_of(days: int, media: int) -> list[dict[str, object]]:
    """Rows of `fetch`, the most played media of each day first."""
    return [
        {
            "account": "main",
            "play_date": f"day {day}",
            "terminal_type": "all",
            "os": "all",
            "region": "all",
            "plays": -m,
        }
        for day in range(days)
        for m in range(media)
    ]


@pytest.mark.parametrize(
    ("days", "media", "shown", "each"),
    [(1, 1000, 1000, 1000), (4, 250, 1000, 250), (4, 5000, 1000, 250), (1500, 2, 1500, 1)],
)
def test_a_long_table_has_the_most_played_media_of_each_slice(days: int, media: int, shown: int, each: int) -> None:
    rows, line = most_played(rows_of(days, media))

    assert len(rows) == shown
    assert {row["plays"] for row in rows} == set(range(0, -each, -1))
    if days * media > shown:
        assert line == (
            f"Most played media of each slice: at most {each} are shown. --output=json has all {days * media} rows.\n"
        )
    else:
        assert line == ""


@pytest.mark.parametrize(
    "variables", [{}, {"FORCE_COLOR": "1"}, {"COLUMNS": "40", "TERM": "dumb", "FORCE_COLOR": "1"}], ids=str
)
def test_a_long_title_is_not_cut(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert "x" * 500 in table([{**ROW, "title": "x" * 500}])


@pytest.mark.parametrize(
    ("columns", "longest", "terminal"),
    [(60, 120, "xterm"), (120, 120, "xterm"), (130, 130, "xterm"), (1000, 259, "xterm"), (60, 120, "dumb")],
)
def test_a_narrow_terminal_shortens_titles_and_no_other_value(
    monkeypatch: pytest.MonkeyPatch, columns: int, longest: int, terminal: str
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in {"COLUMNS": str(columns), "TERM": terminal, "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    rows = [{**ROW, "days_ago": ago, "play_date": f"2024-03-2{ago}", "title": "标题 " * 15} for ago in (1, 2)]

    printed = re.sub(r"\x1b\[[0-9;]*m", "", table(rows))

    assert max(map(cell_len, printed.splitlines())) <= longest
    *_, first, last = printed.splitlines()
    for ago, line in ((1, first), (2, last)):
        shown = {str(value) for value in rows[ago - 1].values() if value is not None}
        common = {"main", "all"} if columns < 1000 else set()
        assert shown - common - {rows[0]["title"]} <= set(line.split())
    assert ("All rows: account main, terminal_type all, os all, region all\n\n" in printed) == (columns < 1000)
    assert ("…" in first) == (columns < 1000)


class RecordedProgress:
    """Records progress reports."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, what: str, total: int, unit: str) -> None:
        self.lines.append(f"{what} {total} {unit}")

    def advance(self, parts: int, text: str = "") -> None:
        self.lines.append(f"{text} +{parts}")


async def test_while_nothing_ends_it_says_what_was_tried() -> None:
    faults = (Fault("Meter.ServerInternalError", times=2), Fault("stall"))
    async with running_harness(
        SimulatorOptions(media=3, conditions=Conditions(faults=faults)), timeout="5s"
    ) as harness:
        progress = RecordedProgress()

        async def go_on() -> None:
            while (
                "3 requests sent, 2 failed (Meter.ServerInternalError 2), 2 to be sent again +0" not in progress.lines
            ):
                await asyncio.sleep(0)
            harness.simulator.change(faults=())

        async with asyncio.TaskGroup() as group:
            group.create_task(go_on())
            await poll_all(harness.exporter, progress, silence=0.001)

    assert progress.lines[0] == "polling 1 query"
    assert progress.lines[-1].startswith("polled q: success, 1 slice in ")
    assert progress.lines[-1].endswith(" s +1")


async def test_at_midnight_the_day_that_is_wanted_now_is_fetched_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(NOON + 12 * 3600 - 1)
    monkeypatch.setattr("exporter.app.Runtime", partial(Runtime, now=clock.now, sleep=clock.sleep))
    async with simulated(SimulatorOptions(media=3), clock) as (simulator, url):
        answered = simulator.request_log.add

        def add(call: LoggedCall) -> None:
            answered(call)
            clock.at = max(clock.at, NOON + 12 * 3600)

        monkeypatch.setattr(simulator.request_log, "add", add)
        (tmp_path / "config.yaml").write_text(YESTERDAY.replace("ENDPOINT", url))
        arguments = ["fetch", f"--config.file={tmp_path}/config.yaml", "--output=json"]
        assert await asyncio.to_thread(main, arguments, {}) == 0

    fetched = json.loads(capsys.readouterr().out)
    assert {(row["play_date"], row["days_ago"]) for row in fetched["rows"]} == {("2024-03-24", 1)}
    assert [(each["play_date"], each["state"]) for each in fetched["slices"]] == [("2024-03-24", "rows")]


async def test_a_search_that_fails_is_the_reason_and_not_a_timeout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with simulated(SimulatorOptions(media=3), Clock(time.time())) as (_, url):
        (tmp_path / "config.yaml").write_text(SEARCH.replace("ENDPOINT", url))
        assert await asyncio.to_thread(main, ["fetch", f"--config.file={tmp_path}/config.yaml"], {}) == 1

    printed = capsys.readouterr().out
    assert "timed out" not in printed
    assert "Failed: search courses of account main: unknown_category: there is no category nowhere." in printed
