"""The published plays as rows, one for each video of each slice, and as a table for terminals."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, ConsoleDimensions
from rich.table import Table
from rich.text import Text

from exporter import stdio
from exporter.commands.slice_results import filter_labels
from exporter.core.fields import NUMBERS, zero_row
from exporter.exposition.catalog import PLAY_BY_FIELD
from exporter.safe_text import SPACES, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from exporter.core.publication import Publication, PublishedMetadata

_FIELDS: Final = tuple(PLAY_BY_FIELD)
_NUMBERS: Final = (*_FIELDS, "expected", "lost")
_NEVER_SEEN: Final = "never seen: no title known"
_SECONDS: Final = tuple(field.attribute for field in NUMBERS if field.seconds)
# Width of a table that is not written to a terminal: wide enough that nothing is cut off.
_UNLIMITED_WIDTH: Final = 10_000
# A longer table is shortened: it is too long to read, and takes a minute to draw.
_LONGEST_TABLE: Final = 1000
_SLICE: Final = ("account", "play_date", "terminal_type", "os", "region")
_COMMON: Final = (*_SLICE, "days_ago")
# Of a table for a narrow terminal: the longest line of a heading, and the least room for titles.
_NARROW: Final = 8
_SHORTEST_TITLE: Final = 20


def play_rows(publication: Publication) -> Iterator[dict[str, Any]]:
    """One row for each video of each slice, the most played first; zeros without plays, None for unknown values."""
    titles = {(media.account, media.media_id): media.title for media in publication.media}
    metadata = {(each.account, each.media_id): each for each in publication.metadata}
    for published in publication.slices:
        slice_, filters = published.slice, filter_labels(published.slice.dimensions)
        values_of = {media_id: row or zero_row(media_id) for media_id, row in published.rows.items()}
        for media_id, values in sorted(values_of.items(), key=lambda entry: (-(entry[1].plays or 0), entry[0])):
            yield {
                "account": slice_.account,
                "play_date": slice_.play_date.isoformat(),
                "days_ago": published.days_ago,
                **filters,
                "media_id": media_id,
                "title": titles.get((slice_.account, media_id)),
                **(_metadata(metadata.get((slice_.account, media_id))) if metadata else {}),
                **{field: getattr(values, field) for field in _FIELDS},
            }


def _metadata(known: PublishedMetadata | None) -> dict[str, Any]:
    """The published metadata of a video; None and an empty list for what is not known."""
    labels = dict(known.labels) if known is not None else {}
    created_at = known.created_at if known is not None else None
    return {
        "category": labels.get("category") or None,
        "tags": list(known.tags) if known is not None else [],
        "created": None if created_at is None else f"{datetime.fromtimestamp(created_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "deleted": known is not None and known.deleted,
    }


def most_played(rows: Sequence[Mapping[str, Any]]) -> tuple[Sequence[Mapping[str, Any]], str]:
    """The rows of the table, and a line on those left out: of many rows, the most played media of each slice."""
    if len(rows) <= _LONGEST_TABLE:
        return rows, ""
    slices = [list(group) for _, group in groupby(rows, key=lambda row: [row[name] for name in _SLICE])]
    count = max(1, _LONGEST_TABLE // len(slices))
    shown = [row for group in slices for row in group[:count]]
    return (
        shown,
        f"Most played media of each slice: at most {count} are shown. --output=json has all {len(rows)} rows.\n",
    )


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows under column headings, times in seconds; empty if there are no rows.

    For a terminal that is too narrow, what all rows have in common is a line above, headings have several lines, and
    titles are shortened. Nothing else is: longer lines go on in the next one.
    """
    if not rows:
        return ""
    console = Console(file=sys.stdout, highlight=False)
    if not sys.stdout.isatty():  # FORCE_COLOR does not make a pipe a terminal
        _widen(console, _UNLIMITED_WIDTH)
    above, drawn = "", _drawn(rows, _heading)
    if _width(drawn, console) > console.width:
        above, drawn = _narrowed(rows, console)
    with console.capture() as capture:
        console.print(drawn)
    return above + "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _narrowed(rows: Sequence[Mapping[str, Any]], console: Console) -> tuple[str, Table]:
    """A line above the table, and the table with shortened titles; without room for the rest, widens the console."""
    common = {name: rows[0][name] for name in _COMMON if name in rows[0] and len({row[name] for row in rows}) == 1}
    above = f"All rows: {', '.join(f'{name} {_cell(value)}' for name, value in common.items())}\n\n" if common else ""
    different = [{name: value for name, value in row.items() if name not in common} for row in rows]
    drawn = _drawn(different, lambda name: fill(_heading(name).replace("_", " "), _NARROW))
    titles = drawn.columns[[*different[0]].index("title")]
    titles.max_width = _SHORTEST_TITLE
    width = _width(drawn, console)
    titles.max_width += max(0, console.width - width)
    _widen(console, width)
    return above, drawn


def _drawn(rows: Sequence[Mapping[str, Any]], heading: Callable[[str], str]) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        drawn.add_column(heading(name), justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(_cell(value)) for value in row.values()))
    return drawn


def _heading(name: str) -> str:
    return f"{name}_seconds" if name in _SECONDS else name


def _widen(console: Console, width: int) -> None:
    """Make a console at least so wide; of a dumb terminal, rich ignores a width without a height."""
    console.size = ConsoleDimensions(max(console.width, width), console.height)


def _width(drawn: Table, console: Console) -> int:
    """The columns of a terminal in which nothing is cut off."""
    return console.measure(drawn, options=console.options.update(width=_UNLIMITED_WIDTH)).maximum


def with_titles(rows: Iterable[Mapping[str, Any]], unknown: Collection[tuple[str, str]]) -> list[dict[str, Any]]:
    """The rows, with a remark as title of media that no response has ever contained: their IDs may be mistyped."""
    return [
        {**row, "title": _NEVER_SEEN if (row["account"], row["media_id"]) in unknown else row["title"]} for row in rows
    ]


def _cell(value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(value)
    return "" if value is None or value is False else terminal_line(str(value))


def terminal_line(text: str) -> str:
    """A text as one printable line, escaped for stdout's encoding before rich measures its width."""
    return stdio.as_encoded(sys.stdout, printable(text, keep=SPACES))
