"""The duration of a scrape while a poll runs, and while none does."""

from __future__ import annotations

import itertools
import re
import statistics
import tempfile
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.campaigns.bench import peers
from tests.campaigns.bench.rows import Goal, Section, row
from tests.e2e.processes import until

if TYPE_CHECKING:
    from collections.abc import Sequence

MEDIA: Final = 12_000
# Of today alone, so that every row of every poll is new.
QUERY: Final = (
    "every: 10s, days_ago: [0], dimensions: [{}, {terminal_type: [Native, Web]}, {region: [cn-beijing, cn-shanghai,"
    " cn-shenzhen, ap-northeast-1, ap-southeast-1, ap-southeast-5, eu-central-1]}]"
)
LATENCY_MS: Final = 30
SCRAPES: Final = 1_100
PAUSE_SECONDS: Final = 0.05  # twenty a second: one after the other they would keep the exporter busy by themselves
FEWEST_POLLS: Final = 3
_POLLED: Final = re.compile(r"^ts=(\S+) .*msg=polled .*seconds=([\d.]+)$", re.MULTILINE)
_ROWS: Final = re.compile(r"^aliyun_vod_slice_media\{.*\} (\d+)$", re.MULTILINE)

_HOW: Final = """\
A query for all media of today in ten combinations of dimensions: {rows:,} rows, all new at each poll;
{series:,} series. The simulator, which shares the cores, is polled every ten seconds and responds after {latency} ms;
a poll took {seconds:.1f} s. One connection scrapes twenty times a second. The rows are the median of the scrapes
during each of {polls} polls, the median in the pauses after them, and the slowest scrape of each poll and its
pause: scrapes wait while new data is rendered."""


@dataclass(frozen=True, slots=True)
class Span:
    """Start and end of a poll, in seconds since 1970."""

    begun: float
    ended: float


def polls(log: str) -> list[Span]:
    """The spans of polls, from the exporter's log."""
    found = [(datetime.fromisoformat(at).timestamp(), float(seconds)) for at, seconds in _POLLED.findall(log)]
    return [Span(at - seconds, at) for at, seconds in found]


def divided(scrapes: Sequence[tuple[float, float]], spans: Sequence[Span]) -> list[tuple[list[float], list[float]]]:
    """The durations of scrapes by their start: for each span, in it and in the pause before the next one.

    `scrapes` are pairs of start and duration; the last span only ends a pause.
    """
    return [
        (
            [took for begun, took in scrapes if span.begun <= begun < span.ended],
            [took for begun, took in scrapes if span.ended <= begun < after.begun],
        )
        for span, after in itertools.pairwise(spans)
    ]


def sections() -> list[Section]:
    """The table of scrapes beside polls."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            peers.simulator(folder, f"--media={MEDIA}", f"--latency={LATENCY_MS}ms") as endpoint,
            peers.ours(folder, endpoint, QUERY) as (server, process),
        ):
            text = server.text()
            # The first poll does not count, and the next one must be observed from its start.
            until(lambda: len(polls(process.logged())) > 1, "the second poll")
            load = server.load(connections=1, requests=SCRAPES, pause=PAUSE_SECONDS)
            spans = polls(process.logged())[2:]
    scrapes = list(zip(load.begun, load.took, strict=True))
    complete = [each for each in divided(scrapes, spans) if all(each)]
    if len(complete) < FEWEST_POLLS:
        raise RuntimeError(
            f"{len(complete)} polls ended while {load.seconds:.0f} s of scrapes went on, too few to compare"
        )
    milliseconds = partial(map, lambda seconds: seconds * 1e3)
    idle = row("in a pause", "ms", milliseconds(statistics.median(pause) for _, pause in complete))
    rows = (
        idle,
        row(
            "while a poll runs",
            "ms",
            milliseconds(statistics.median(poll) for poll, _ in complete),
            against=idle,
            goal=Goal(2),
        ),
        row("the slowest of a poll and its pause", "ms", milliseconds(max(*poll, *pause) for poll, pause in complete)),
    )
    how = _HOW.format(
        rows=sum(map(int, _ROWS.findall(text))),
        series=peers.count(text),
        latency=LATENCY_MS,
        seconds=statistics.median(span.ended - span.begun for span in spans),
        polls=len(complete),
    )
    return [Section("A scrape while a poll runs", how, rows)]
