"""One poll of every query now, printed as a table, as JSON or as Prometheus would see it."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter import app
from exporter.config.loader import load
from exporter.core.model import PlayRow
from exporter.core.poll import PollResult

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

    from exporter.config.schema import Config
    from exporter.core.model import Query
    from exporter.core.publication import Publication
    from exporter.daemon import Exporter

_PLAIN_TEXT: Final = "text/plain;version=0.0.4"
_FIELDS: Final = ("plays", "viewers", "plays_per_viewer", "play_duration", "play_duration_per_viewer")
# A table that is piped is as wide as it needs to be: nothing is cut off for a width that nobody has.
_UNCUT: Final = 10_000


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print what is known after one poll; 1 when any query failed. Raises ConfigError and StartError."""
    config = load(arguments.config_file, environ)
    results, printed = asyncio.run(_fetch(config, environ, arguments.output))
    sys.stdout.write(printed)
    sys.stdout.flush()
    return 0 if all(result is PollResult.SUCCESS for result in results.values()) else 1


async def _fetch(config: Config, environ: Mapping[str, str], output: str) -> tuple[dict[str, PollResult], str]:
    progress = Console(stderr=True, highlight=False)

    async with app.assembled(config, app.Surroundings(environ)) as exporter:

        async def poll(query: Query) -> None:
            await exporter.poll(query)
            (report,) = (report for report in exporter.reports() if report.query is query)
            seconds = report.ended_at - report.started_at
            slices = len(report.outcomes)
            progress.print(
                f"polled {query.name}: {report.result.value}, {slices} slices in {seconds:.1f} s", markup=False
            )

        with progress.status(f"polling {len(exporter.queries)} queries"):
            async with asyncio.TaskGroup() as group:
                for query in exporter.queries:
                    group.create_task(poll(query))
        results = {report.query.name: report.result for report in exporter.reports()}
        return results, await _printed(exporter, output, results)


async def _printed(exporter: Exporter, output: str, results: Mapping[str, PollResult]) -> str:
    match output:
        case "prom":
            exposition = (await exporter.scrape(_PLAIN_TEXT, None)).body.decode()
            # The format knows no way to spell them; what is piped is what Prometheus would see.
            return _printable(exposition, _replaced) if sys.stdout.isatty() else exposition
        case "json":
            rows = list(_rows(exporter.publication()))
            document = json.dumps({"queries": results, "rows": rows}, ensure_ascii=False, indent=2)
            return _printable(document, _escaped) + "\n"
        case _:
            return table(list(_rows(exporter.publication())))


def table(rows: list[dict[str, Any]]) -> str:
    """The rows under their names; empty where nothing was given."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0] if rows else ():
        drawn.add_column(name, justify="right" if name in _FIELDS else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(_cell(value)) for value in row.values()))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = _UNCUT
    with console.capture() as capture:
        console.print(drawn if rows else "No rows: nobody played the media asked for, or nothing was answered.")
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _rows(publication: Publication) -> Iterator[dict[str, Any]]:
    """One row for each media of each slice; a media without plays has zeros, what was not given is None."""
    titles = {(media.account, media.media_id): media.title for media in publication.media}
    for published in publication.slices:
        slice_, filters = published.slice, published.slice.dimensions
        for media_id, row in published.rows.items():
            said = row or PlayRow(media_id, viewers=0, plays=0, play_duration=0)
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


def _cell(value: object) -> str:
    """Nothing but one line."""
    return "" if value is None else "".join(map(_replaced, str(value)))


def _printable(text: str, spelt: Callable[[str], str]) -> str:
    """A title may hold anything; of what is not printable only line breaks reach the terminal."""
    return "\n".join("".join(map(spelt, line)) for line in text.split("\n"))


def _replaced(letter: str) -> str:
    return letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else json.dumps(letter)[1:-1]
