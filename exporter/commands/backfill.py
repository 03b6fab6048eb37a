"""Write past days as an OpenMetrics file, from which promtool creates blocks for Prometheus."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import stat
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from rich.console import Console

from exporter import app
from exporter.backfill import openmetrics, promtool, replay
from exporter.backfill.collect import fetch
from exporter.backfill.estimate import LOOKBACK, estimate, step_for
from exporter.backfill.progress import shown
from exporter.commands.loop_signals import run_interruptible
from exporter.config.loader import load
from exporter.core import play_dates
from exporter.documents.durations import to_text
from exporter.errors import ExporterError, FlagError
from exporter.plurals import counted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from exporter.backfill.collect import BackfillData
    from exporter.backfill.progress import Progress
    from exporter.backfill.replay import HistoricalView
    from exporter.config.schema import Config

STANDARD_OUTPUT: Final = Path("-")


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Write the file or the blocks; exit status 1 when a day is missing.

    Raises ConfigError, FlagError and ExporterError.
    """
    if bool(arguments.output) == bool(arguments.blocks):
        raise FlagError("give either --output=FILE or --blocks=DIRECTORY")
    config = _selected(load(arguments.config_file, environ), arguments.queries)
    console = Console(stderr=True, highlight=False)

    def print_line(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    program = promtool.find(environ) if arguments.blocks else ""
    if arguments.blocks:
        promtool.check_directory(arguments.blocks)
    else:
        _check_output(arguments.output, overwrite=arguments.overwrite)
    rates = {account.name: account.limits.requests_per_second for account in config.accounts}
    queries = replay.past_queries(config.core_queries())
    print_line(estimate(queries, arguments.days, config.settlement, rates).line(arguments.step))
    with shown(console) as progress:
        runtime = app.Runtime(environ)
        fetched = run_interruptible(fetch(config, runtime, arguments.days, progress, arguments.storage_path))
    for line in (*gap_messages(fetched, arguments.days), *_invalid_value_messages(fetched)):
        print_line(line)
    views = fetched.views(LOOKBACK)
    if not views:
        raise ExporterError("no day was fetched, nothing is written; fix the problems above and try again")
    step = arguments.step or step_for(openmetrics.samples(views))
    if step != LOOKBACK:
        views = fetched.views(step)
    if not arguments.step and step > LOOKBACK:
        print_line(_longer_step_message(step))
    labels = dict(arguments.labels)
    if arguments.blocks:
        with promtool.text_file(arguments.blocks) as output:
            written = _write_file(output, views, labels, console)
            print_line(f"promtool creates blocks from it in {arguments.blocks}")
            promtool.create_blocks(program, output, arguments.blocks, _hours_of_blocks(views))
    else:
        written = _write_file(arguments.output, views, labels, console)
    for line in describe_output(arguments.output, views, written):
        print_line(line)
    return 1 if fetched.gaps else 0


def _selected(config: Config, names: Sequence[str]) -> Config:
    """The configuration with only these queries (no names: all). Raises FlagError for an unknown name."""
    if unknown := sorted(set(names) - {query.name for query in config.queries}):
        known = ", ".join(query.name for query in config.queries)
        raise FlagError(f"--query={unknown[0]}: the configuration has {known}")
    if not names:
        return config
    return config.model_copy(update={"queries": tuple(query for query in config.queries if query.name in names)})


def _longer_step_message(step: int) -> str:
    """Why the step is longer than Prometheus' lookback, and what to do about it."""
    return (
        f"--step={to_text(step)}, because 5m would be more than 10 million samples: graphs have gaps between samples;"
        " give --step=5m if there is room, --query and --days for less"
    )


def _write_file(output: Path, views: Sequence[HistoricalView], labels: Mapping[str, str], console: Console) -> int:
    if output != STANDARD_OUTPUT:
        try:
            free = shutil.disk_usage(output.parent).free
        except OSError as error:  # it was removed meanwhile
            raise ExporterError(f"cannot write {output}: {error.strerror}") from None
        check_free_space(output, openmetrics.size(views, labels), free)
    with _atomic_file(output) as file, shown(console) as progress:
        return write(file, views, labels, progress)


def check_free_space(output: Path, needed: int, free: int) -> None:
    """Raise ExporterError when fewer than `needed` bytes are free: Prometheus may use the same disk."""
    if needed > free:
        gigabytes = [f"{size / 1e9:.1f} GB" for size in (needed, free)]
        raise ExporterError(
            "--output={} needs about {}, {} are free: make room, or use a longer --step, fewer --days,"
            " one --query, or fewer days_ago in the queries".format(output, *gigabytes)
        )


def write(file: BinaryIO, views: Sequence[HistoricalView], labels: Mapping[str, str], progress: Progress) -> int:
    """Write the views (oldest first) as OpenMetrics and return the number of samples."""
    total = openmetrics.samples(views)
    progress.begin("writing", total, "sample")
    for piece in openmetrics.exposition(views, labels):
        file.write(piece.text)
        progress.advance(piece.samples)
    return total


def gap_messages(fetched: BackfillData, count: int) -> Iterator[str]:
    """Lines about missing and incomplete days among the last `count` play dates, with reasons, then advice."""
    for play_date in (play_dates.play_date(fetched.at, ago) for ago in range(1, count + 1)):
        if play_date not in fetched.dates:
            yield f"{play_date} is left out: not final 3 h ago; the last 3 h are what Prometheus still holds in memory"
    yield from map(str, fetched.gaps)
    yield from dict.fromkeys(gap.advice for gap in fetched.gaps if gap.advice)


def _invalid_value_messages(fetched: BackfillData) -> Iterator[str]:
    """A line about invalid values, which the daemon counts as `aliyun_vod_api_invalid_values_total`."""
    if fetched.problems:
        values = sum(problem.times for problem in fetched.problems)
        yield f"{counted(values, 'invalid value')} left out, or cut if a title: " + "; ".join(
            map(str, fetched.problems)
        )


def _hours_of_blocks(views: Sequence[HistoricalView]) -> int:
    """Hours that all samples span: with its default blocks of 2 h, promtool would read the file hundreds of times."""
    return (views[-1].instants[-1] - views[0].instants[0]) // 3600 + 24


def describe_output(output: Path | None, views: Sequence[HistoricalView], samples: int) -> Iterator[str]:
    """Lines on what was written and how to import it into Prometheus; `output` None: the blocks exist already."""
    first, last = (
        datetime.fromtimestamp(at, play_dates.PLAY_TIME_ZONE).strftime("%F %H:%M")
        for at in (views[0].instants[0], views[-1].instants[-1])
    )
    yield f"written: {counted(samples, 'sample')} from {first} to {last} UTC+8"
    if output is None:
        yield "next: move the blocks into the storage directory of your Prometheus, and give them to its user"
    else:
        file = "backfill.txt" if output == STANDARD_OUTPUT else str(output)
        hours = _hours_of_blocks(views)
        yield "next, with the storage directory of your Prometheus in place of DATA:"
        yield f"  promtool tsdb create-blocks-from openmetrics --max-block-duration={hours}h {shlex.quote(file)} DATA"
    yield "and let Prometheus keep them: --storage.tsdb.retention.time is 15d by default, so set it to 90d or more"


def _check_output(output: Path, *, overwrite: bool) -> None:
    """Raise FlagError, before any API request, when the output file cannot be written."""
    if output == STANDARD_OUTPUT:
        return
    # First: below a directory that may not be entered, `stat` raises.
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise FlagError(f"--output={output}: {output.parent} is not a directory that can be written to")
    try:
        mode = output.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise FlagError(f"--output={output}: {error.strerror}; name another file") from None
    if not stat.S_ISREG(mode):
        raise FlagError(f"--output={output} is not a file: name one, or - for standard output")
    if not overwrite:
        raise FlagError(f"--output={output} exists: --overwrite replaces it")


@contextlib.contextmanager
def _atomic_file(output: Path) -> Generator[BinaryIO]:
    """Open a temporary file that replaces `output` once it is complete, and is removed on an error."""
    if output == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with contextlib.ExitStack() as cleanup:
        try:
            # mkstemp: readable by its owner only, and at a name where no one can have placed a link.
            # Not longer than the name of the output may be.
            descriptor, name = tempfile.mkstemp(prefix=".backfill-", dir=output.parent)
            temporary = Path(name)
            cleanup.callback(temporary.unlink, missing_ok=True)
            with os.fdopen(descriptor, "wb") as file:
                yield file
            temporary.replace(output)
        except OSError as error:
            raise ExporterError(f"cannot write {output}: {error.strerror}") from None
