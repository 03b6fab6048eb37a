"""Write past days as an OpenMetrics file, of which promtool makes blocks that Prometheus serves."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import shlex
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from rich.console import Console

from exporter import app
from exporter.commands import flags as spelt
from exporter.commands.past_days import fetch
from exporter.commands.progress import shown
from exporter.config import durations
from exporter.config.loader import load
from exporter.core import days
from exporter.errors import ExporterError, FlagError
from exporter.exposition import catalog, history

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from exporter.commands.past_days import Fetched
    from exporter.commands.progress import Progress
    from exporter.exposition.past import View

STANDARD_OUTPUT: Final = Path("-")
_SHORTEST_STEP: Final = 15
_LONGEST_STEP: Final = 86_400
_LABEL_NAME: Final = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_TAKEN: Final = frozenset(name for metric in catalog.PLAY_METRICS for name in metric.labels)


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    spelt.config_file(parser)
    parser.add_argument(
        "--days",
        type=_days,
        default=days.OLDEST_DAYS_AGO,
        metavar="N",
        help=f"how many days back from today, up to the {days.OLDEST_DAYS_AGO} that the service answers for",
    )
    parser.add_argument(
        "--step",
        type=_step,
        default="5m",
        metavar="DURATION",
        help="time between two samples of a series, 15s to 1d; Prometheus looks back 5m, so longer steps leave gaps",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="where to write, - is standard output; the file appears when it is complete",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if there is one")
    parser.add_argument(
        "--label",
        dest="labels",
        action="append",
        type=_label,
        default=[],
        metavar="NAME=VALUE",
        help="a label for every series, as in job=vod, so that what Prometheus scrapes goes on in them; repeatable",
    )
    spelt.storage_path(parser)
    parser.set_defaults(log_level="warning")


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Write the file; 1 when a day is missing, said which. Raises ConfigError, FlagError and ExporterError."""
    config = load(arguments.config_file, environ)
    console = Console(stderr=True, highlight=False)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    _check_free(arguments.output, overwrite=arguments.overwrite)
    with shown(console) as progress:
        surroundings = app.Surroundings(environ)
        fetched = asyncio.run(fetch(config, surroundings, arguments.days, progress, arguments.storage_path))
    for line in shortcomings(fetched, arguments.days):
        say(line)
    views = fetched.views(arguments.step)
    if not views:
        raise ExporterError("no day was answered, nothing is written; mend what is said above and try again")
    labels = dict(arguments.labels)
    if arguments.output != STANDARD_OUTPUT:
        check_room(arguments.output, history.size(views, labels), shutil.disk_usage(arguments.output.parent).free)
    with _whole(arguments.output) as file, shown(console) as progress:
        written = write(file, views, labels, progress)
    for line in told(arguments.output, views, written):
        say(line)
    return 1 if fetched.gaps else 0


def check_room(output: Path, needed: int, free: int) -> None:
    """Raises ExporterError where so many bytes do not fit: a disk that it shares with Prometheus must not be filled."""
    if needed > free:
        gigabytes = [f"{size / 1e9:.1f} GB" for size in (needed, free)]
        raise ExporterError(
            "--output={} needs about {}, {} are free: make room, or ask for a longer --step, fewer --days,"
            " or fewer days_ago in the queries".format(output, *gigabytes)
        )


def write(file: BinaryIO, views: Sequence[View], labels: Mapping[str, str], progress: Progress) -> int:
    """Write the views (oldest first) as OpenMetrics; how many samples."""
    total = history.samples(views)
    progress.begin("writing", total, "samples")
    for piece in history.exposition(views, labels):
        file.write(piece.text)
        progress.advance(piece.samples)
    return total


def shortcomings(fetched: Fetched, count: int) -> Iterator[str]:
    """Which of the last `count` days are not written, or not all of them, and why; then what can be done."""
    for play_date in (days.play_date(fetched.at, ago) for ago in range(1, count + 1)):
        if play_date not in fetched.dates:
            yield f"{play_date} is left out: not final 3 h ago; the last 3 h are what Prometheus still holds in memory"
    yield from map(str, fetched.gaps)
    yield from dict.fromkeys(gap.advice for gap in fetched.gaps if gap.advice)


def told(output: Path, views: Sequence[View], samples: int) -> Iterator[str]:
    """What was written, and what to do with it."""
    first, last = (
        datetime.fromtimestamp(at, days.PLAY_TIME_ZONE).strftime("%F %H:%M")
        for at in (views[0].instants[0], views[-1].instants[-1])
    )
    file = "backfill.txt" if output == STANDARD_OUTPUT else str(output)
    # One block of 2 h after the other, promtool would read the file hundreds of times.
    hours = (views[-1].instants[-1] - views[0].instants[0]) // 3600 + 24
    yield f"written: {samples:,} samples from {first} to {last} UTC+8"
    yield "next, with the storage directory of your Prometheus in place of DATA:"
    yield f"  promtool tsdb create-blocks-from openmetrics --max-block-duration={hours}h {shlex.quote(file)} DATA"
    yield "and let Prometheus keep them: --storage.tsdb.retention.time is 15d unless you say otherwise, say 90d or more"


def _check_free(output: Path, *, overwrite: bool) -> None:
    """Raises FlagError where the file cannot go, before anything is asked."""
    if output == STANDARD_OUTPUT:
        return
    if output.exists() and not output.is_file():
        raise FlagError(f"--output={output} is not a file: name one, or - for standard output")
    if output.exists() and not overwrite:
        raise FlagError(f"--output={output} exists: --overwrite replaces it")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise FlagError(f"--output={output}: {output.parent} is not a directory that can be written to")


@contextlib.contextmanager
def _whole(output: Path) -> Generator[BinaryIO]:
    """A file that takes its place when all of it is written, and leaves nothing behind when it is not."""
    if output == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with contextlib.ExitStack() as cleared:
        try:
            # For its owner alone, and under a name that nobody can have laid a link under.
            number, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
            partial = Path(name)
            cleared.callback(partial.unlink, missing_ok=True)
            with os.fdopen(number, "wb") as file:
                yield file
            partial.replace(output)
        except OSError as error:
            raise ExporterError(f"cannot write {output}: {error.strerror}") from None


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= days.OLDEST_DAYS_AGO:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {days.OLDEST_DAYS_AGO}")
    return int(text)


def _step(text: str) -> int:
    try:
        seconds = durations.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
    if not _SHORTEST_STEP <= seconds <= _LONGEST_STEP or seconds % 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 15s to 1d, in whole seconds")
    return int(seconds)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (_LABEL_NAME.fullmatch(name) and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE with the name of a label, as in job=vod")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r}: the value is not text in this locale") from None
    if name in _TAKEN:
        raise argparse.ArgumentTypeError(f"{text!r}: the series have a label {name} already")
    return name, value
