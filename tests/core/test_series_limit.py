from __future__ import annotations

from datetime import date

import pytest

from exporter.core.model import Dimensions, PlayRow, Slice
from exporter.core.publication import (
    Publication,
    PublishedMedia,
    PublishedMetadata,
    PublishedSlice,
    SettledDay,
    SettledPlays,
)
from exporter.core.series_limit import limited

SLICE = Slice("main", Dimensions(), date(2024, 3, 23))


def publication(
    rows: dict[str, PlayRow | None],
    settled: dict[str, SettledPlays] | None = None,
    metadata: tuple[PublishedMetadata, ...] = (),
) -> Publication:
    return Publication(
        slices=(PublishedSlice(SLICE, 1, rows, total=None, updated_at=None, settled=True, ready=True),),
        media=tuple(PublishedMedia("main", media_id, "t", None) for media_id in rows),
        days={},
        series=1000,
        dropped=0,
        valid_from=0.0,
        valid_until=1.0,
        settled_days=(SettledDay(SLICE, settled or {}),),
        metadata=metadata,
    )


def test_a_video_keeps_its_metadata_or_nothing() -> None:
    of_a = PublishedMetadata("main", "a", (("status", "Normal"),), created_at=1.0)
    of_b = PublishedMetadata("main", "b", deleted=True)
    whole = publication({"a": PlayRow("a", plays=9), "b": PlayRow("b", plays=5)}, metadata=(of_a, of_b))

    kept = limited(whole, 4)

    assert (kept.series, kept.dropped, kept.metadata) == (4, 3, (of_a,))
    assert ([*kept.slices[0].rows], [each.media_id for each in kept.media]) == (["a"], ["a"])
    assert (limited(whole, 3).series, limited(whole, 3).metadata) == (0, ())
    assert limited(whole, 7).metadata == (of_a, of_b)


@pytest.mark.parametrize(
    ("rows", "settled", "first"),
    [
        ({"a": 50, "b": 100}, SettledPlays(1, 2, None, None), "b"),
        ({"a": 50, "b": 1}, SettledPlays(100, 2, None, None), "b"),
        ({"a": 50, "b": 1}, SettledPlays(2, 100, None, None), "b"),
        ({"a": 50, "b": 1}, SettledPlays(2, None, None, None), "a"),
        ({"a": 0, "b": 0}, SettledPlays(0, None, None, None), "a"),
    ],
)
def test_the_most_played_or_expected_media_come_first(rows: dict[str, int], settled: SettledPlays, first: str) -> None:
    whole = publication({media_id: PlayRow(media_id, plays=plays) for media_id, plays in rows.items()}, {"b": settled})

    kept = limited(whole, 4 if first == "b" else 3)

    assert [*kept.slices[0].rows] == [first]
    assert kept.series == (2 + settled.series if first == "b" else 2)
    assert kept.series + kept.dropped == 4 + settled.series
    assert kept.settled_days == (SettledDay(SLICE, {"b": settled} if first == "b" else {}),)
