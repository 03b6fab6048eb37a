"""Which media are published if all of them together have more series than `series_limit`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from exporter.core.media_info import media_series
from exporter.core.publication import PublishedSlice, SettledDay, row_series

if TYPE_CHECKING:
    from exporter.core.publication import Publication

Shown = TypeVar("Shown", PublishedSlice, SettledDay)


def limited(publication: Publication, series_limit: int) -> Publication:
    """The publication with the media that fit under the limit, most played or expected first.

    A video keeps all its series or none, so that those published can be compared across days.
    """
    series = {(each.account, each.media_id): media_series(each) for each in publication.media}
    for about in publication.metadata:
        series[about.account, about.media_id] += about.series
    plays: dict[tuple[str, str], int | float] = dict.fromkeys(series, 0)
    for published in publication.slices:
        for media_id, row in published.rows.items():
            key = published.slice.account, media_id
            series[key] += row_series(row)
            plays[key] = max(plays[key], (row.plays if row else None) or 0)
    for day in publication.settled_days:
        for media_id, settled in day.rows.items():
            key = day.slice.account, media_id
            series[key] += settled.series
            plays[key] = max(plays[key], settled.plays, settled.expected or 0)
    kept: set[tuple[str, str]] = set()
    total = kept_series = 0
    for key in sorted(series, key=lambda key: (-plays[key], key)):
        total += series[key]
        if total <= series_limit:
            kept.add(key)
            kept_series = total
    return replace(
        publication,
        slices=tuple(_only(published, kept) for published in publication.slices),
        media=tuple(each for each in publication.media if (each.account, each.media_id) in kept),
        settled_days=tuple(_only(day, kept) for day in publication.settled_days),
        metadata=tuple(each for each in publication.metadata if (each.account, each.media_id) in kept),
        series=kept_series,
        dropped=total - kept_series,
    )


def _only(published: Shown, kept: set[tuple[str, str]]) -> Shown:
    account = published.slice.account
    return replace(published, rows={m: row for m, row in published.rows.items() if (account, m) in kept})
