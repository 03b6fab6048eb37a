"""Poll every query once and print the result as a table, JSON or the text that Prometheus would scrape."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from exporter import app, stdio
from exporter.backfill.progress import NO_PROGRESS, Progress, shown
from exporter.commands.loop_signals import run_interruptible
from exporter.commands.lost_plays import largest_losses, settled_plays, why_not_compared
from exporter.commands.play_table import most_played, play_rows, table, terminal_line, with_titles
from exporter.commands.slice_results import SliceResult, describe_problem, describe_results, results_by_slice
from exporter.config.loader import load
from exporter.core import play_dates
from exporter.core.poll_report import PollResult
from exporter.discovery.failure_log import search_name
from exporter.plurals import counted
from exporter.safe_text import SPACES, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Mapping

    from exporter.config.schema import Config
    from exporter.daemon import Daemon
    from exporter.discovery.failure_log import DiscoveryProblem
    from exporter.exposition.telemetry import Telemetry

_PLAIN_TEXT: Final = "text/plain;version=0.0.4"


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the data after one poll; exit status 1 when a query failed. Raises ConfigError and StartError."""
    config = load(arguments.config_file, environ)
    console = Console(stderr=True, highlight=False)
    fetched = run_interruptible(_fetch(config, environ, console, arguments.output))
    _write(fetched, arguments.output)
    if arguments.output == "prom":
        for line in fetched.sentences:
            console.print(terminal_line(line), markup=False, soft_wrap=True)
    return 0 if all(result is PollResult.SUCCESS for result in fetched.results.values()) else 1


@dataclass(frozen=True, slots=True)
class _FetchResult:
    """The result of one poll.

    * `results`: by query; `results_by_slice`: by slice; `sentences`: the same for people.
    * `rows`: the published rows, one mapping each; `exposition`: as Prometheus would scrape them.
    * `settled_plays`: plays of the last settled day and those expected, by lost plays.
    * `unknown`: account and ID of media that no response has ever contained.
    * `metadata_problems`: searches and metadata that failed, and configured media that do not exist.
    """

    results: Mapping[str, PollResult]
    results_by_slice: tuple[SliceResult, ...]
    sentences: tuple[str, ...]
    rows: list[dict[str, Any]]
    settled_plays: list[dict[str, Any]]
    unknown: Collection[tuple[str, str]]
    metadata_problems: tuple[DiscoveryProblem, ...]
    exposition: bytes


async def _fetch(config: Config, environ: Mapping[str, str], console: Console, output: str) -> _FetchResult:
    runtime = app.Runtime(environ)
    async with app.assemble_daemon(config, runtime) as exporter:
        with shown(console) as progress:
            began = runtime.now()
            await poll_all(exporter, progress)
            if play_dates.today(runtime.now()) != play_dates.today(began):
                # What was yesterday is another day now, which may not have been polled yet.
                await poll_all(exporter, progress)
            await exporter.discovery.refresh_all_metadata()
        now, reports, publication = runtime.now(), exporter.reports(), exporter.publication()
        ended = results_by_slice(reports, publication, now)
        problems = exporter.discovery.problems()
        # Without the media of its search, a query is not polled: the problem says why.
        unsearched = {(problem.account, problem.what) for problem in problems}
        polled = [each for each in reports if (each.query.account, search_name(each.query.name)) not in unsearched]
        return _FetchResult(
            {report.query.name: report.result for report in reports},
            ended,
            (
                *describe_results(ended, polled, final_after=config.settle.after, now=now),
                *map(describe_problem, problems),
                *why_not_compared((report.query for report in polled), publication, config.settlement, now),
            ),
            list(play_rows(publication)),
            settled_plays(publication),
            exporter.unknown_media(),
            problems,
            (await exporter.scrape(_PLAIN_TEXT, None)).body if output == "prom" else b"",
        )


async def poll_all(exporter: Daemon, progress: Progress, *, silence: float = NO_PROGRESS) -> None:
    """Poll every query once; report each that ends, and after `silence` seconds without one the number of requests."""
    progress.begin("polling", len(exporter.queries), "query")
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
                what = f"{report.result.value}, {counted(len(report.outcomes), 'slice')} in {seconds:.1f} s"
                progress.advance(1, f"polled {report.query.name}: {what}")


def _requests(telemetry: Telemetry) -> str:
    """Numbers of attempts and errors: `9 requests sent, 6 failed (connect 6), 5 to be sent again`."""
    sent = again = 0
    failed: Counter[str] = Counter()
    for sample in (sample for metric in telemetry.families.collect() for sample in metric.samples if sample.value):
        match sample.name:
            case "aliyun_vod_api_requests_total":
                sent += int(sample.value)
            case "aliyun_vod_api_retries_total":
                again += int(sample.value)
            case "aliyun_vod_api_errors_total":
                failed[sample.labels["code"]] += int(sample.value)
    text = f"{counted(sent, 'request')} sent"
    if failed:
        codes = ", ".join(f"{code} {times}" for code, times in sorted(failed.items()))
        text += f", {failed.total()} failed ({codes}), {again} to be sent again"
    return text


def _write(fetched: _FetchResult, output: str) -> None:
    """Write the result to stdout: JSON and Prometheus' text as UTF-8, a table in the locale's encoding."""
    match output:
        case "table":
            lines = "".join(f"{terminal_line(line)}\n" for line in fetched.sentences)
            most, left_out = most_played(fetched.rows)
            losses, heading = largest_losses(fetched.settled_plays)
            lost = f"{heading}\n\n{table(losses)}" if losses else ""
            played = table(with_titles(most, fetched.unknown))
            sys.stdout.write("\n".join(part for part in (played, left_out, lines, lost) if part))
        case "json":
            document = {
                "queries": fetched.results,
                "rows": fetched.rows,
                "settled_plays": fetched.settled_plays,
                "slices": [result.document() for result in fetched.results_by_slice],
            }
            if fetched.metadata_problems:
                document["metadata_problems"] = [asdict(problem) for problem in fetched.metadata_problems]
            text = json.dumps(document, ensure_ascii=False, indent=2)
            stdio.write_utf8(sys.stdout, "".join(f"{_escaped(line)}\n" for line in text.split("\n")).encode())
        case _:
            exposition = fetched.exposition
            if sys.stdout.isatty():
                # The format cannot escape unprintable characters; output that is piped is left unchanged.
                exposition = printable(exposition.decode(), keep="\n" + SPACES).encode()
            stdio.write_utf8(sys.stdout, exposition)
    sys.stdout.flush()


def _escaped(line: str) -> str:
    """A line of a JSON text with every unprintable character escaped: titles may contain terminal escapes."""
    return line if line.isprintable() else "".join(map(_escaped_letter, line))


def _escaped_letter(letter: str) -> str:
    if letter.isprintable():
        return letter
    # json.dumps would leave DEL as it is.
    return "".join(f"\\u{unit}" for unit in letter.encode("utf-16-be", "surrogatepass").hex(" ", 2).split())
