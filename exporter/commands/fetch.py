"""One poll of every query now, printed as a table, as JSON or as Prometheus would see it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter import app, stdio
from exporter.backfill.progress import NO_PROGRESS, Progress, shown
from exporter.commands.slice_results import SliceResult, describe_results, results_by_slice
from exporter.config.loader import load
from exporter.core.fields import NUMBERS, zero_row
from exporter.core.poller import PollResult
from exporter.exposition.catalog import PLAY_BY_FIELD

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterator, Mapping

    from exporter.config.schema import Config
    from exporter.core.publication import Publication
    from exporter.daemon import Daemon
    from exporter.exposition.telemetry import Telemetry

_PLAIN_TEXT: Final = "text/plain;version=0.0.4"
_FIELDS: Final = tuple(PLAY_BY_FIELD)
_NEVER_SEEN: Final = "never seen: no title known"
_SECONDS: Final = tuple(field.attribute for field in NUMBERS if field.seconds)
# A table that is piped is as wide as it needs to be: nothing is cut off for a width that nobody has.
_UNCUT: Final = 10_000


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print what is known after one poll; 1 when any query failed. Raises ConfigError and StartError."""
    config = load(arguments.config_file, environ)
    console = Console(stderr=True, highlight=False)
    fetched = asyncio.run(_fetch(config, environ, console, arguments.output))
    _write(fetched, arguments.output)
    if arguments.output == "prom":
        for line in fetched.sentences:
            console.print(_cell(line), markup=False, soft_wrap=True)
    return 0 if all(result is PollResult.SUCCESS for result in fetched.results.values()) else 1


@dataclass(frozen=True, slots=True)
class _FetchResult:
    """What one poll has found: how each query ended, in words and by slice, the rows, and what Prometheus would see.

    `unknown` are the media, as account and ID, that no answer has ever named.
    """

    results: Mapping[str, PollResult]
    results_by_slice: tuple[SliceResult, ...]
    sentences: tuple[str, ...]
    rows: list[dict[str, Any]]
    unknown: Collection[tuple[str, str]]
    exposition: bytes


async def _fetch(config: Config, environ: Mapping[str, str], console: Console, output: str) -> _FetchResult:
    async with app.assemble_daemon(config, app.Runtime(environ)) as exporter:
        with shown(console) as progress:
            await poll_all(exporter, progress)
        now, reports, publication = time.time(), exporter.reports(), exporter.publication()
        ended = results_by_slice(reports, publication, now)
        return _FetchResult(
            {report.query.name: report.result for report in reports},
            ended,
            tuple(describe_results(ended, reports, final_after=config.settle.after, now=now)),
            list(_rows(publication)),
            exporter.unknown_media(),
            (await exporter.scrape(_PLAIN_TEXT, None)).body if output == "prom" else b"",
        )


async def poll_all(exporter: Daemon, progress: Progress, *, silence: float = NO_PROGRESS) -> None:
    """Poll every query once, and tell of each that ends, or after `silence` seconds how many requests were made."""
    progress.begin("polling", len(exporter.queries), "queries")
    async with asyncio.TaskGroup() as group:
        names = {group.create_task(exporter.poll(query)): query.name for query in exporter.queries}
        under_way = set(names)
        while under_way:
            ended, under_way = await asyncio.wait(under_way, timeout=silence, return_when=asyncio.FIRST_COMPLETED)
            if not ended:
                progress.advance(0, _requests(exporter.telemetry))
            reports = {report.query.name: report for report in exporter.reports()}
            for report in (reports[names[poll]] for poll in ended if names[poll] in reports):
                seconds = report.ended_at - report.started_at
                what = f"{report.result.value}, {len(report.outcomes)} slices in {seconds:.1f} s"
                progress.advance(1, f"polled {report.query.name}: {what}")


def _requests(telemetry: Telemetry) -> str:
    """How many attempts were made and how they failed: `9 requests sent, 6 failed (connect 6), 5 sent again`."""
    sent = again = 0
    failed: Counter[str] = Counter()
    for sample in (sample for metric in telemetry.collect() for sample in metric.samples if sample.value):
        match sample.name:
            case "aliyun_vod_api_requests_total":
                sent += int(sample.value)
            case "aliyun_vod_api_retries_total":
                again += int(sample.value)
            case "aliyun_vod_api_errors_total":
                failed[sample.labels["code"]] += int(sample.value)
    said = f"{sent} requests sent"
    if failed:
        codes = ", ".join(f"{code} {times}" for code, times in sorted(failed.items()))
        said += f", {failed.total()} failed ({codes}), {again} to be sent again"
    return said


def _write(fetched: _FetchResult, output: str) -> None:
    """JSON and Prometheus' text are UTF-8 whatever the locale; a table is for who reads in that locale."""
    match output:
        case "table":
            lines = "".join(f"{_cell(line)}\n" for line in fetched.sentences)
            rows = [{**row, "title": _title(row, fetched.unknown)} for row in fetched.rows]
            sys.stdout.write("\n".join(part for part in (table(rows), lines) if part))
        case "json":
            document = {
                "queries": fetched.results,
                "rows": fetched.rows,
                "slices": [ending.document() for ending in fetched.results_by_slice],
            }
            text = json.dumps(document, ensure_ascii=False, indent=2)
            stdio.write_utf8(sys.stdout, (_printable(text, _escaped) + "\n").encode())
        case _:
            exposition = fetched.exposition
            if sys.stdout.isatty():
                # The format knows no way to spell them; what is piped is what Prometheus would see.
                exposition = _printable(exposition.decode(), _replaced).encode()
            stdio.write_utf8(sys.stdout, exposition)
    sys.stdout.flush()


def table(rows: list[dict[str, Any]]) -> str:
    """The rows under their names, times in seconds; empty where nothing was given."""
    if not rows:
        return ""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        heading = f"{name}_seconds" if name in _SECONDS else name
        drawn.add_column(heading, justify="right" if name in _FIELDS else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(_cell(value)) for value in row.values()))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = _UNCUT
    with console.capture() as capture:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _rows(publication: Publication) -> Iterator[dict[str, Any]]:
    """One row for each media of each slice; a media without plays has zeros, what was not given is None."""
    titles = {(media.account, media.media_id): media.title for media in publication.media}
    for published in publication.slices:
        slice_, filters = published.slice, published.slice.dimensions
        for media_id, row in published.rows.items():
            said = row or zero_row(media_id)
            yield {
                "account": slice_.account,
                "play_date": slice_.play_date.isoformat(),
                "days_ago": published.days_ago,
                "terminal_type": filters.terminal_type or "all",
                "os": filters.os or "all",
                "region": filters.region or "all",
                "media_id": media_id,
                "title": titles.get((slice_.account, media_id)),
                **{field: getattr(said, field) for field in _FIELDS},
            }


def _title(row: Mapping[str, Any], unknown: Collection[tuple[str, str]]) -> object:
    """The title, or that no answer has ever named the media: its ID may be mistyped."""
    return _NEVER_SEEN if (row["account"], row["media_id"]) in unknown else row["title"]


def _cell(value: object) -> str:
    """Nothing but one line, of what can be shown: escaped now, it is as wide as it will be."""
    return "" if value is None else stdio.as_encoded(sys.stdout, "".join(map(_replaced, str(value))))


def _printable(text: str, spelt: Callable[[str], str]) -> str:
    """A title may hold anything; of what is not printable only line breaks reach the terminal."""
    return "\n".join("".join(map(spelt, line)) for line in text.split("\n"))


def _replaced(letter: str) -> str:
    return letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]
