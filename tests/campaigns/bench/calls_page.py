"""Formats the counts as docs/design/calls.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MARK: Final = "<!-- Written by `make calls`. What is changed here by hand is lost. -->"

_INTRODUCTION: Final = """\
# How many calls

What a poll costs is calls to the API, not time: every number below is a count, the same on every machine. The exporter
called the simulator over HTTP on loopback, with a clock of its own; each result was checked to be complete.

```sh
make calls      # counts everything again and writes this page, in a minute or two
```

## Media by ID

A query wants K media of one day, whose result set has so many media with plays, in P pages of 100. If K is more than
there are media with plays, the rest of the K was never played: their zeros have to be confirmed, too.

* **fewest**: the lower bound, the calls needed if the page of each wanted video were known beforehand: one for each of
  those pages and for each wanted video without plays, or all P pages (at least one) where that is less.
* **first time**: nothing is known of the account. At most min(K, P) + 2 calls.
* **P known**: the total of another finished day is known, which is about the length of this result set. At most
  min(K, P) + 1.
* **naive**: a call for each ID.

The program stops if one row breaks these bounds. If it knows that there are more pages than media, the exporter
requests up to ten media by ID without reading a page. If all of them are on the first page, reading it would have
been cheaper, which is why the first time can take fewer calls.
"""


_COUNTER: Final = """\
`aliyun_vod_api_calls_saved_total{reason="sweep"}` was checked after every poll above: it says the naive calls less
those made, and 0 where looking at a page first cost a call more than it saved.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Calls for `wanted` media by ID in a result set of `played` media, `pages` pages.

    The fewest possible and the actual calls.
    """

    wanted: int
    played: int
    pages: int
    fewest: int
    first: int
    known: int

    @property
    def bounded(self) -> bool:
        """Whether the calls are within the documented bounds."""
        most = min(self.wanted, self.pages)
        return self.fewest <= self.first <= most + 2 and self.fewest <= self.known <= most + 1

    def __str__(self) -> str:
        """A line of the table."""
        return (
            f"| {self.played:,} | {self.pages:,} | {self.wanted:,} "
            f"| {self.fewest:,} | {self.first:,} | {self.known:,} | {self.wanted:,} |"
        )


@dataclass(frozen=True, slots=True)
class Day:
    """Calls of one steady day: actual, estimated by check-config, of a naive poller, and saved by reason."""

    made: int
    announced: str
    naive_calls: int
    saved: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Restart:
    """The first poll after a restart at a time of day: the requested `days_ago`, calls, and saved calls."""

    at: str
    days_without: Sequence[int]
    calls_without: int
    days_with: Sequence[int]
    calls_with: int
    saved: Mapping[str, int]


def document(*, spread: Iterable[Row], most_played: Iterable[Row], day: Day, restarts: Sequence[Restart]) -> str:
    """The page."""
    return "\n".join(
        [
            _MARK,
            "",
            _INTRODUCTION,
            "### Spread evenly over the result set",
            "",
            _table(spread),
            "### The most played",
            "",
            _table(most_played),
            _COUNTER,
            _day(day),
            _restarts(restarts),
        ]
    )


def _table(rows: Iterable[Row]) -> str:
    lines = "\n".join(map(str, rows))
    return f"""\
| media with plays | P | K | fewest | first time | P known | naive |
|---|---|---|---|---|---|---|
{lines}
"""


def _day(day: Day) -> str:
    return f"""\
## A steady day

The queries of [config.example.yaml](../../config.example.yaml) on an account of 120 media, polled when they are due for
twelve days; the calls of the twelfth:

| | calls |
|---|---|
| made | {day.made:,} |
| announced by `check-config`, which takes each query by itself | {day.announced} |
| naive: at each poll a call for each ID or page, dimension and day | {day.naive_calls:,} |

That day `aliyun_vod_api_calls_saved_total` grew by {_reasons(day.saved)}.
"""


def _restarts(restarts: Sequence[Restart]) -> str:
    lines = "\n".join(
        f"| {each.at} UTC+8 | `days_ago` {_ages(each.days_without)} | {each.calls_without:,} "
        f"| `days_ago` {_ages(each.days_with)} | {each.calls_with:,} | {_reasons(each.saved)} |"
        for each in restarts
    )
    return f"""\
## A restart

One query for all media of nine days (`days_ago` 0 to 8), 1,000 of them with plays on a finished day, polled hourly
since 10:00 of the day before. Then a new process starts, a minute after the next poll was due. With storage it
requests only days that may still change: today, and yesterday until it was found unchanged after 09:00 UTC+8. Data that
was polled less than an interval before a restart is not requested at all. The last column is
`aliyun_vod_api_calls_saved_total` after the poll.

| restart at | without `--storage.path` | calls | with it | calls | saved |
|---|---|---|---|---|---|
{lines}
"""


def _ages(ages: Sequence[int]) -> str:
    """`0`, `0 and 1` or `0 to 8`."""
    match ages:
        case [only]:
            return str(only)
        case [first, second]:
            return f"{first} and {second}"
        case _:
            return f"{ages[0]} to {ages[-1]}"


def _reasons(saved: Mapping[str, int]) -> str:
    return ", ".join(f"{calls:,} `{reason}`" for reason, calls in saved.items())
