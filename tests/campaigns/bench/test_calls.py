"""The page about calls has the counted numbers; its expensive rows are only checked against the bounds."""

from __future__ import annotations

import re
from typing import Final

from tests.campaigns.bench import calls
from tests.campaigns.bench.calls_page import Row

CHEAP_WANTED: Final = (1, 3, 30)
CHEAP_RESULT_SETS: Final = (0, 50, 1_000)


def written() -> tuple[list[Row], list[Row]]:
    """The rows of both tables of the page."""
    spread, _, most_played = calls.PAGE.read_text(encoding="utf-8").partition("### The most played")
    lines = re.compile(r"^\| [\d,]+ \|.*\|$", re.MULTILINE)
    tables = ([_row(line) for line in lines.findall(part)] for part in (spread, most_played))
    first, second = tables
    return first, second


def _row(line: str) -> Row:
    played, pages, wanted, fewest, first, known, _ = (
        int(cell.replace(",", "")) for cell in line.strip("| ").split("|")
    )
    row = Row(wanted, played, pages, fewest, first, known)
    assert str(row) == line
    return row


def test_both_tables_have_every_row_within_its_bounds() -> None:
    for table in written():
        assert [(row.played, row.wanted) for row in table] == [
            (played, wanted) for played in calls.RESULT_SETS for wanted in calls.WANTED
        ]
        assert [row for row in table if not row.bounded] == []


async def test_the_cheap_rows_are_what_is_counted_now() -> None:
    counted = [pair async for pair in calls.rows(CHEAP_WANTED, CHEAP_RESULT_SETS)]

    for table, now in zip(written(), zip(*counted, strict=True), strict=True):
        cheap = [row for row in table if row.wanted in CHEAP_WANTED and row.played in CHEAP_RESULT_SETS]
        assert cheap == list(now)
