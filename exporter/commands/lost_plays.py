"""Plays of the last settled day against those expected, the largest losses first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.slice_results import filter_labels
from exporter.core import play_dates
from exporter.core.expectation import loss_order, lost_plays
from exporter.core.plan import has_expected_plays

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.core.model import Query
    from exporter.core.play_dates import Settlement
    from exporter.core.publication import Publication

# How many losses are shown below the table.
_SHOWN: Final = 20


def settled_plays(publication: Publication) -> list[dict[str, Any]]:
    """One mapping for each video of each settled day, by lost plays; those without expected plays come last."""
    titles = {(media.account, media.media_id): media.title for media in publication.media}
    found = [
        {
            "account": day.slice.account,
            "play_date": day.slice.play_date.isoformat(),
            **filters,
            "media_id": media_id,
            "title": titles.get((day.slice.account, media_id)) or row.title,
            "plays": row.plays,
            "expected": row.expected,
            "lost": lost_plays(row.plays, row.expected),
        }
        for day in publication.settled_days
        for filters in [filter_labels(day.slice.dimensions)]
        for media_id, row in day.rows.items()
    ]
    names = "account", "media_id", "terminal_type", "os", "region"
    return sorted(found, key=lambda row: loss_order(row["plays"], row["lost"], *(row[name] for name in names)))


def largest_losses(rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """The first of `settled_plays` as rows of a table, rounded, and a line above them; both empty without losses."""
    losing = [row for row in rows if row["expected"] is not None and round(row["expected"]) > row["plays"]]
    if not losing:
        return [], ""
    more = f", the {_SHOWN} largest of {len(losing)}" if len(losing) > _SHOWN else ""
    shown = [
        {**row, "expected": round(row["expected"]), "lost": round(row["expected"]) - row["plays"]}
        for row in losing[:_SHOWN]
    ]
    return shown, f"Fewer plays than expected on the last settled day{more}:"


def why_not_compared(
    queries: Iterable[Query], publication: Publication, settlement: Settlement, now: float
) -> Iterator[str]:
    """A line if it is too early in the day: then a single poll does not settle the day before yesterday."""
    # From when on yesterday can be final, and the day before it is.
    final_at = play_dates.start(play_dates.play_date(now, 1)) + settlement.after
    if publication.settled_days or not now < final_at < play_dates.next_midnight(now):
        return
    if any(map(has_expected_plays, queries)):
        at = datetime.fromtimestamp(final_at, play_dates.PLAY_TIME_ZONE)
        yield (
            f"Not compared with expected plays: from {at:%H:%M} UTC+8 on, a single poll settles"
            f" {play_dates.play_date(now, 2)}; before, that takes {settlement.unchanged + 1} polls."
        )
