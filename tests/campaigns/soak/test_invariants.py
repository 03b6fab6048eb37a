"""Every invariant of the soak finds its violations and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from random import Random
from typing import TYPE_CHECKING

import pytest

from exporter.core import play_dates
from exporter.core.model import (
    ByIds,
    Dimensions,
    Everything,
    Freshness,
    Measure,
    MediaRecord,
    Query,
    Slice,
    SliceData,
    Top,
)
from exporter.simulator.dataset import Dataset
from tests.campaigns.faults.scrapes import Scrape
from tests.campaigns.soak.invariants import (
    PLAYS,
    FinalNumbers,
    down,
    growth,
    missing_days,
    scraped,
    stored,
)
from tests.campaigns.soak.service_history import Returned

if TYPE_CHECKING:
    from exporter.core.model import Media

DAY = date(2024, 3, 22)
NOON = play_dates.start(DAY) + 36 * 3600.0
DATASET = Dataset(1, 20)
TRUTH = FinalNumbers(DATASET)
EVERYTHING = Dimensions()
PARAMETERS = {"PlayDate": "20240322", "PageNo": "1", "PageSize": "100"}
FINAL = Freshness(NOON, 2, settled=True)
SLICE = Slice("main", EVERYTHING, DAY)


def media() -> list[str]:
    """The media with plays, most first."""
    plays = TRUTH.plays((EVERYTHING, DAY))
    return sorted(plays, key=lambda media_id: -plays[media_id])


def page(*rows: dict[str, object], total: int | None = None) -> dict[str, object]:
    return {"RequestId": "x", "TotalCount": len(rows) if total is None else total, "QoeInfoList": list(rows)}


def row(media_id: str, plays: int, viewers: int = 1) -> dict[str, object]:
    return {"MediaId": media_id, "PlaySuccessVv": plays, "DAU": viewers}


def scrape(*samples: str, settled: int = 0, start: float = play_dates.start(DAY)) -> Scrape:
    slice_ = 'account="main",terminal_type="all",os="all",region="all",days_ago="1"'
    lines = [
        f'aliyun_vod_play_date_timestamp_seconds{{days_ago="1"}} {start}',
        f"aliyun_vod_slice_settled{{{slice_}}} {settled}",
        *(sample.replace("SLICE", slice_) for sample in samples),
    ]
    return Scrape(NOON, "\n".join(lines) + "\n")


def plays(media_id: str, number: float) -> str:
    return f'aliyun_vod_media_plays{{SLICE,media_id="{media_id}"}} {number}'


def viewers(media_id: str, number: float) -> str:
    return f'aliyun_vod_media_viewers{{SLICE,media_id="{media_id}"}} {number}'


def played(media_id: str) -> list[str]:
    """The final row, as the exporter publishes it."""
    numbers = TRUTH.row((EVERYTHING, DAY), media_id)
    return [f'{metric}{{SLICE,media_id="{media_id}"}} {value}' for metric, value in numbers]


def freshness(*pages: dict[str, object], **parameters: str) -> Returned:
    returned = Returned()
    for number, payload in enumerate(pages, 1):
        returned.record({**PARAMETERS, "PageNo": str(number), **parameters}, payload)
    return returned


@pytest.mark.parametrize(
    "published",
    [
        [plays("a", 5), viewers("a", 2)],
        [plays("a", 6), viewers("a", 3)],
        ["aliyun_vod_media_play_duration_seconds" + plays("b", 0)[len(PLAYS) :], plays("b", 0), viewers("b", 0)],
        [],
    ],
)
def test_returned_rows_may_be_published(published: list[str]) -> None:
    returned = freshness(page(row("a", 5, 2)), page(row("a", 6, 3)))
    assert scraped(scrape(*published), returned, TRUTH).wrong == []


@pytest.mark.parametrize(
    ("published", "violation"),
    [
        ([plays("a", 7), viewers("a", 3)], "never returned"),
        ([plays("a", 5), viewers("a", 3)], "never returned"),
        ([plays("a", 5)], "never returned"),
        ([plays("b", 5), viewers("b", 2)], "never returned"),
        ([plays("c", 0), viewers("c", 0)], "never returned"),
        ([plays("a", 5), viewers("a", 2), plays("a", 5)], "twice"),
        ([plays("a", 5), viewers("a", 2), "nonsense"], "not a sample"),
    ],
)
def test_a_row_that_was_not_returned_is_wrong(published: list[str], violation: str) -> None:
    returned = freshness(page(row("a", 5, 2)), page(row("a", 6, 3)))
    (found,) = scraped(scrape(*published), returned, TRUTH).wrong
    assert violation in found


def test_a_zero_needs_a_complete_listing_or_a_response_for_that_media() -> None:
    zeros = ["aliyun_vod_media_play_duration_seconds" + plays("b", 0)[len(PLAYS) :], plays("b", 0), viewers("b", 0)]
    half = freshness(page(row("a", 5), total=2))
    assert scraped(scrape(*zeros), half, TRUTH).wrong
    both = freshness(page(row("a", 5), total=2), page(row("c", 5), total=2))
    assert not scraped(scrape(*zeros), both, TRUTH).wrong
    assert not scraped(scrape(*zeros), freshness(page(), MediaId="b"), TRUTH).wrong


def test_a_false_row_published_as_settled_is_wrong() -> None:
    top = media()[0]
    returned = freshness(page(row(top, 5, 2)))
    assert not scraped(scrape(plays(top, 5), viewers(top, 2)), returned, TRUTH).wrong
    (found,) = scraped(scrape(plays(top, 5), viewers(top, 2), settled=1), returned, TRUTH).wrong
    assert "settled" in found


def test_a_row_of_another_date_is_wrong() -> None:
    (found,) = scraped(scrape(start=play_dates.start(DAY) + 86_400), Returned(), TRUTH).wrong
    assert "1 days ago began at" in found


def test_rows_of_removed_days_do_not_count() -> None:
    returned = freshness(page(row("a", 5, 2)))
    returned.forget(DAY)
    assert not scraped(scrape(plays("a", 5), viewers("a", 2)), returned, TRUTH).wrong
    returned.forget(date(2024, 3, 23))
    assert scraped(scrape(plays("a", 5), viewers("a", 2)), returned, TRUTH).wrong


def test_a_query_that_is_down_is_named() -> None:
    assert down(
        Scrape(
            NOON,
            'aliyun_vod_query_up{account="main",query="a"} 1.0\naliyun_vod_query_up{account="main",query="b"} 0.0\n',
        )
    ) == ["b"]


def settled() -> SliceData:
    """The complete day, settled."""
    rows = {counts.media.media_id: counts.row() for counts in DATASET.result_set(DAY, now=math.inf)}
    return SliceData(
        SLICE, {media_id: MediaRecord(row, FINAL) for media_id, row in rows.items()}, FINAL, total=len(rows)
    )


EVERY_WANT: dict[Slice, set[Media]] = {
    SLICE: {Everything(), Top(3, Measure.PLAYS), ByIds(frozenset(media()[:1])), ByIds(frozenset({"none"}))}
}


def test_a_complete_settled_day_has_no_violation() -> None:
    found = stored([settled()], EVERY_WANT, TRUTH, NOON)
    assert (found.lost, found.wrong, found.missing_days) == ([], [], 4)
    assert found.checked == len(media())


def test_a_planted_value_is_wrong() -> None:
    known = settled()
    first = media()[0]
    row = known.records[first].row
    assert row is not None
    assert row.viewers is not None
    for changed in (replace(row, viewers=row.viewers + 1), replace(row, plays=None), None):
        planted = replace(known, records={**known.records, first: MediaRecord(changed, FINAL)})
        found = stored([planted], {}, TRUTH, NOON)
        assert first in found.wrong[0]
        provisional = MediaRecord(changed, replace(FINAL, settled=False))
        held = replace(planted, records={**known.records, first: provisional}, listed=None)
        assert not stored([held], {}, TRUTH, NOON).wrong, "what is not settled may be anything"


def test_a_media_missing_from_a_settled_listing_is_wrong_and_lost() -> None:
    known = settled()
    records = {media_id: record for media_id, record in known.records.items() if media_id != media()[0]}
    found = stored([replace(known, records=records)], EVERY_WANT, TRUTH, NOON)
    assert "other media" in found.wrong[0]
    assert [violation for violation in found.lost if media()[0] in violation and "without a row" in violation]


@pytest.mark.parametrize(
    "known",
    [
        [],
        [SliceData(SLICE)],
        [replace(settled(), slice=replace(SLICE, account="other"))],
        [replace(settled(), records={}, listed=replace(FINAL, settled=False))],
    ],
)
def test_a_missing_or_unsettled_day_is_lost(known: list[SliceData]) -> None:
    found = stored(known, {SLICE: {Everything()}}, TRUTH, NOON)
    assert [violation for violation in found.lost if "not settled" in violation]


WINDOW = play_dates.start(DAY) + 33 * 3600.0, play_dates.start(date(2024, 3, 25))


def query(*ids: str, days_ago: tuple[int, ...] = (1, 2), dimensions: Dimensions = EVERYTHING) -> tuple[Query, ...]:
    return (Query("q", "main", 900.0, ByIds(frozenset(ids)), (dimensions,), days_ago),)


def one(media_id: str) -> ByIds:
    return ByIds(frozenset({media_id}))


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([(0.0, query("a", "b"))], {"a", "b"}),
        ([(0.0, query("a", "b")), (WINDOW[0] + 1, query("b", "c"))], {"b"}),
        ([(0.0, query("a", "b")), (WINDOW[0] - 1, query("b", "c"))], {"b", "c"}),
        ([(0.0, query("a", "b")), (WINDOW[1] + 1, query("b", "c"))], {"a", "b"}),
        ([(WINDOW[0] + 1, query("a", "b"))], set()),
        ([(0.0, query("a", days_ago=(0, 1)))], set()),
        ([(0.0, query("a")), (WINDOW[0] + 1, query("a", dimensions=Dimensions(os="iOS")))], set()),
    ],
)
def test_a_want_is_owed_if_it_was_queried_all_the_time(
    history: list[tuple[float, tuple[Query, ...]]], expected: set[str]
) -> None:
    assert missing_days(history, DAY) == ({SLICE: {one(media_id) for media_id in expected}} if expected else {})


@pytest.mark.parametrize("noise", [0.0, 1.0, 10.0])
def test_a_leak_is_found_in_noise_and_noise_alone_is_no_leak(noise: float) -> None:
    chance = Random(1)  # noqa: S311 - noise, not secrets
    flat = [100 + chance.uniform(-noise, noise) for _ in range(500)]
    assert abs(growth(flat)) < 2
    assert growth([value + number * 0.02 for number, value in enumerate(flat)]) > 5
    assert growth([value - number * 0.02 for number, value in enumerate(flat)]) < 0


def test_outliers_and_one_step_at_the_start_are_no_leak() -> None:
    values = [100.0] * 300
    for at in (3, 250, 251, 299):
        values[at] = 400.0
    assert growth(values) == 0
    assert growth([50.0] * 40 + [100.0] * 260) == 0
    assert growth([1.0, 2.0]) == 0
