from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core import play_dates
from exporter.core.media_details import AccountMetadata, Category, CategoryTree, MediaDetails, MetadataRules
from exporter.core.merge import mark_not_ready, merge_observation
from exporter.core.model import Dimensions, Media, MediaRecord, Query, Slice, SliceData, Snapshot
from exporter.core.observation import SliceObservation
from exporter.core.play_dates import Settlement
from exporter.core.publication import Publication, PublicationRules, PublishedMedia, PublishedSlice
from exporter.core.publication_builder import PublicationBuilder, publish
from exporter.core.sharding import MediaInfoOwnership
from tests.core.fake_service import (
    ALL,
    NOON,
    TODAY,
    YESTERDAY,
    everything,
    ids,
    query,
    row,
    top,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600.0
DAY = 24 * HOUR


def slice_of(play_date: date = YESTERDAY, dimensions: Dimensions = ALL) -> Slice:
    return Slice("main", dimensions, play_date)


def merged(slice_: Slice, *observations: SliceObservation) -> SliceData:
    data: SliceData | None = None
    for observation in observations:
        data = merge_observation(data, slice_, observation, Settlement())
    assert data
    return data


def publication_of(*known: SliceData, queries: tuple[Query, ...], now: float = NOON, limit: int = 1000) -> Publication:
    return publish(Snapshot().updated(known), PublicationRules(queries, 2 * DAY, limit), now)


def plays(published: PublishedSlice) -> dict[str, float | None]:
    return {media_id: row.plays if row else None for media_id, row in published.rows.items()}


def test_a_configured_media_without_a_row_is_a_zero_once_requested() -> None:
    data = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 3), "b": None}))

    (published,) = publication_of(data, queries=(query(ids("a", "b", "never requested")),)).slices

    assert plays(published) == {"a": 3, "b": None}
    assert (published.days_ago, published.updated_at, published.ready, published.settled) == (1, NOON, True, False)


def test_after_a_complete_listing_every_configured_media_without_a_row_is_a_zero() -> None:
    data = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 3), "x": row("x", 2)}, listed=True, total=2))

    (published,) = publication_of(data, queries=(query(ids("a", "b")),)).slices

    assert plays(published) == {"a": 3, "b": None}
    assert published.total == 2


def test_everything_publishes_all_rows_and_no_zeros() -> None:
    data = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 3), "b": None}))

    (published,) = publication_of(data, queries=(query(everything),)).slices

    assert plays(published) == {"a": 3}


def test_a_top_publishes_only_its_ranking() -> None:
    observation = SliceObservation(
        NOON, {"c": row("c", 9), "a": row("a", 8), "b": row("b", 7)}, tops=((top(2), ("c", "a")),), total=50
    )

    (published,) = publication_of(merged(slice_of(), observation), queries=(query(top(2)),)).slices

    assert plays(published) == {"c": 9, "a": 8}


def test_a_top_is_derived_from_a_complete_listing() -> None:
    found = {"a": row("a", 3), "b": row("b", 9), "c": row("c", None)}  # type: ignore[arg-type]

    (published,) = publication_of(
        merged(slice_of(), SliceObservation(NOON, found, listed=True)), queries=(query(top(2)),)
    ).slices

    assert plays(published) == {"b": 9, "a": 3}


def test_one_slice_publishes_the_media_of_several_queries() -> None:
    observation = SliceObservation(NOON, {"a": row("a", 1), "b": row("b", 2), "c": row("c", 3)})

    (published,) = publication_of(
        merged(slice_of(), observation), queries=(query(ids("a"), "1"), query(ids("b"), "2"))
    ).slices

    assert plays(published) == {"a": 1, "b": 2}


def test_at_midnight_today_becomes_yesterday_without_a_poll() -> None:
    data = merged(slice_of(TODAY), SliceObservation(NOON, {"a": row("a", 3)}))
    configured = query(ids("a"), days_ago=(0, 1))
    midnight = play_dates.start(TODAY + timedelta(days=1))

    before, after = (
        publication_of(data, queries=(configured,), now=midnight - 1),
        publication_of(data, queries=(configured,), now=midnight),
    )

    assert [(s.days_ago, plays(s)) for s in before.slices] == [(0, {"a": 3})]
    assert [(s.days_ago, plays(s)) for s in after.slices] == [(1, {"a": 3})]
    assert before.valid_until == after.valid_from == midnight
    assert before.days == {0: play_dates.start(TODAY), 1: play_dates.start(YESTERDAY)}


def test_a_day_outside_all_queries_is_published_again_when_a_query_covers_it() -> None:
    known = merged(slice_of(YESTERDAY), SliceObservation(NOON, {"a": row("a", 3)}, listed=True))
    for polls in range(3):
        known = merge_observation(
            known, known.slice, SliceObservation(NOON + polls, {"a": row("a", 3)}, listed=True), Settlement()
        )
    configured = query(ids("a"), days_ago=(1, 8))

    assert not publication_of(known, queries=(configured,), now=NOON + 3 * DAY).slices
    assert [s.days_ago for s in publication_of(known, queries=(configured,), now=NOON + 7 * DAY).slices] == [8]


def test_stale_data_has_no_series() -> None:
    data = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 3)}, total=1))
    configured = query(ids("a"), days_ago=(1, 2, 3))

    fresh = publication_of(data, queries=(configured,), now=NOON + 2 * DAY - 1)
    stale = publication_of(data, queries=(configured,), now=NOON + 2 * DAY)

    assert [plays(s) for s in fresh.slices] == [{"a": 3}]
    assert fresh.valid_until == NOON + 2 * DAY
    assert (stale.slices, stale.media, stale.series) == ((), (), 0)


def test_media_become_stale_one_by_one() -> None:
    data = merged(
        slice_of(),
        SliceObservation(NOON - DAY, {"a": row("a", 3)}),
        SliceObservation(NOON, {"b": row("b", 4)}, is_whole=False),
    )

    (published,) = publication_of(data, queries=(query(ids("a", "b"), days_ago=(1, 2)),), now=NOON + DAY).slices

    assert plays(published) == {"b": 4}


def test_a_settled_slice_never_becomes_stale() -> None:
    times = [NOON, NOON + HOUR, NOON + 2 * HOUR]
    data = merged(slice_of(), *(SliceObservation(at, {"a": row("a", 3)}) for at in times))

    (published,) = publication_of(data, queries=(query(ids("a"), days_ago=(20,)),), now=NOON + 19 * DAY).slices

    assert published.settled
    assert plays(published) == {"a": 3}


def test_a_slice_is_settled_when_all_wanted_media_are() -> None:
    times = [NOON, NOON + HOUR, NOON + 2 * HOUR]
    data = merged(
        slice_of(),
        *(SliceObservation(at, {"a": row("a", 3)}) for at in times),
        SliceObservation(NOON + 3 * HOUR, {"b": row("b", 1)}),
    )

    def settled(*media: Media) -> bool:
        queries = tuple(query(wanted, str(i)) for i, wanted in enumerate(media))
        return publication_of(data, queries=queries, now=NOON + 3 * HOUR).slices[0].settled

    assert settled(ids("a"))
    assert not settled(ids("a", "b"))
    assert not settled(ids("a"), everything)
    assert not settled(ids("a", "never requested"))


def test_a_slice_that_is_not_ready_has_its_slice_series_even_without_rows() -> None:
    data = mark_not_ready(None, slice_of(), NOON)

    (published,) = publication_of(data, queries=(query(ids("a")),)).slices

    assert (dict(published.rows), published.ready, published.settled, published.updated_at) == ({}, False, False, None)
    assert not publication_of(data, queries=(query(ids("a"), days_ago=(1, 2, 3)),), now=NOON + 2 * DAY).slices


def test_a_slice_that_no_query_covers_is_not_published() -> None:
    data = merged(slice_of(dimensions=Dimensions(os="iOS")), SliceObservation(NOON, {"a": row("a")}))

    assert not publication_of(data, queries=(query(ids("a")),)).slices


def test_title_and_length_are_the_newest_known() -> None:
    older = merged(slice_of(), SliceObservation(NOON, {"a": row("a", title="old", media_duration=60)}))
    newer = merged(slice_of(TODAY), SliceObservation(NOON, {"a": row("a", title="new")}))

    (media,) = publication_of(newer, older, queries=(query(ids("a"), days_ago=(0, 1)),)).media

    assert (media.account, media.media_id, media.title, media.duration) == ("main", "a", "new", 60)


def test_beyond_the_limit_the_most_played_media_keep_all_their_series() -> None:
    today = merged(slice_of(TODAY), SliceObservation(NOON, {"a": row("a", 1), "b": row("b", 5), "c": row("c", 2)}))
    yesterday = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 9), "b": row("b", 5), "c": row("c", 2)}))
    queries = (query(everything, days_ago=(0, 1)),)

    publication = publication_of(today, yesterday, queries=queries, limit=11)

    each = 2 * 2 + 1  # plays and viewers on two days, and a title
    assert [sorted(plays(s)) for s in publication.slices] == [["a", "b"], ["a", "b"]]
    assert (publication.series, publication.dropped) == (2 * each, each)
    assert [media.media_id for media in publication.media] == ["a", "b"]
    assert publication_of(today, yesterday, queries=queries, limit=15).dropped == 0


@pytest.mark.parametrize(("limit", "kept"), [(10, ["a", "b"]), (9, ["a"]), (4, [])])
def test_metadata_count_as_series_and_are_limited_with_the_rest_of_a_video(limit: int, kept: list[str]) -> None:
    known = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 9), "b": row("b", 1)}))
    details = {media_id: MediaDetails(media_id, status="Normal", tags=("new",)) for media_id in ("a", "b")}
    tree = CategoryTree([Category(1, "Courses", None, 0)])
    snapshot = Snapshot({slice_of(): known}, {"main": AccountMetadata(details, tree=tree)})
    wanted = {"main": MetadataRules(HOUR, ("status",), ("new",))}

    publication = publish(snapshot, PublicationRules((query(everything),), 2 * DAY, limit, metadata=wanted), NOON)

    each = 2 + 1 + 2  # plays and viewers, a title, labels and a tag
    assert (publication.series, publication.dropped) == (each * len(kept), each * (2 - len(kept)))
    assert [about.media_id for about in publication.metadata] == kept
    assert [each.path for each in publication.categories] == ["Courses"]


@given(
    plays_of=st.dictionaries(st.text("abc", min_size=1, max_size=2), st.none() | st.integers(0, 5), max_size=6),
    limit=st.integers(0, 20),
)
def test_every_series_is_counted_as_kept_or_dropped(plays_of: dict[str, int | None], limit: int) -> None:
    data = merged(
        slice_of(), SliceObservation(NOON, {m: row(m, p) if p is not None else None for m, p in plays_of.items()})
    )
    queries = (query(ids(*plays_of)),)

    whole, limited = (
        publication_of(data, queries=queries, limit=10**6),
        publication_of(data, queries=queries, limit=limit),
    )

    assert limited.series <= limit
    assert limited.series + limited.dropped == whole.series
    kept_plays = {m: p or 0 for m, p in plays(limited.slices[0]).items()}
    left_out = [p or 0 for m, p in plays_of.items() if m not in kept_plays]
    assert min(kept_plays.values(), default=9) >= max(left_out, default=0)


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_a_publication_is_valid_from_midnight_to_midnight(hour: int) -> None:
    now = datetime.fromisoformat(f"2024-03-24T{hour:02}:30:00+08:00").timestamp()

    publication = publication_of(queries=(query(everything, days_ago=(0, 30)),), now=now)

    assert publication.valid_from == play_dates.start(TODAY)
    assert publication.valid_until == play_dates.start(TODAY) + DAY
    assert publication.days == {0: play_dates.start(TODAY), 30: play_dates.start(date(2024, 2, 23))}


def test_unchanged_parts_of_a_publication_are_the_same_objects() -> None:
    publishing, rules = PublicationBuilder(), PublicationRules((query(everything, days_ago=(0, 1)),), 2 * DAY, 1000)
    today = merged(slice_of(TODAY), SliceObservation(NOON, {"a": row("a", 1)}, listed=True))
    yesterday = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 2), "b": row("b", 3)}, listed=True))
    known = Snapshot().updated([today, yesterday])
    first = publishing.publish(known, rules, NOON)

    later = merge_observation(
        today, today.slice, SliceObservation(NOON + 60, {"a": row("a", 7)}, listed=True), Settlement()
    )
    second = publishing.publish(known.updated([later]), rules, NOON + 60)

    assert [plays(published) for published in second.slices] == [{"a": 7}, {"a": 2, "b": 3}]
    assert second.slices[1] is first.slices[1]
    assert second.media is first.media


def test_a_poll_that_finds_the_same_numbers_changes_no_rows() -> None:
    publishing, rules = PublicationBuilder(), PublicationRules((query(everything),), 2 * DAY, 1000)
    data = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 1)}, listed=True))
    (before,) = publishing.publish(Snapshot().updated([data]), rules, NOON).slices

    again = merge_observation(
        data, data.slice, SliceObservation(NOON + 60, {"a": row("a", 1)}, listed=True), Settlement()
    )
    (after,) = publishing.publish(Snapshot().updated([again]), rules, NOON + 60).slices

    assert after.rows is before.rows
    assert after.updated_at == NOON + 60


def test_a_title_observed_after_the_clock_was_set_back_is_older() -> None:
    publishing, rules = (
        PublicationBuilder(),
        PublicationRules((query(everything, dimensions=(ALL, Dimensions(os="iOS"))),), 2 * DAY, 1000),
    )

    def view_of(dimensions: Dimensions, at: float, title: str) -> SliceData:
        return merged(slice_of(dimensions=dimensions), SliceObservation(at, {"a": row("a", title=title)}, listed=True))

    known = Snapshot().updated([view_of(ALL, NOON - 60, "one"), view_of(Dimensions(os="iOS"), NOON, "other")])
    assert [media.title for media in publishing.publish(known, rules, NOON).media] == ["other"]

    known = known.updated([view_of(Dimensions(os="iOS"), NOON - 120, "other")])
    assert [media.title for media in publishing.publish(known, rules, NOON).media] == ["one"]


def settling(**observation: object) -> list[SliceObservation]:
    """The same observation three times, from noon on: settled after that."""
    return [SliceObservation(NOON + polls * HOUR, **observation) for polls in range(3)]  # type: ignore[arg-type]


def test_a_settled_day_without_plays_is_always_published() -> None:
    data = merged(slice_of(), *settling(listed=True, total=0))

    (published,) = publication_of(data, queries=(query(everything, days_ago=(20,)),), now=NOON + 19 * DAY).slices

    assert (dict(published.rows), published.total, published.settled) == ({}, 0, True)


def test_settled_media_stay_when_the_rest_of_the_slice_is_stale() -> None:
    data = merged(slice_of(), *settling(rows={"a": row("a", 3)}), SliceObservation(NOON + 3 * HOUR, {"b": row("b", 1)}))
    configured = query(ids("a", "b"), days_ago=(20,))

    publication = publication_of(data, queries=(configured,), now=NOON + 19 * DAY)

    (published,) = publication.slices
    assert (plays(published), published.settled) == ({"a": 3}, False)
    assert publication.valid_until == play_dates.next_midnight(NOON + 19 * DAY)


def test_a_total_that_is_older_than_all_rows_is_not_published() -> None:
    """Polls by ID tell no total: a settled day would keep the one of its first hours for ever."""
    first = SliceObservation(NOON - 20 * HOUR, {"a": row("a", 3), "b": row("b", 1)}, total=7)
    by_id = [replace(each, total=None) for each in settling(rows={"a": row("a", 9), "b": None})]
    configured = query(ids("a", "b"), days_ago=(0, 1))

    (before,) = publication_of(merged(slice_of(), first), queries=(configured,), now=NOON - 19 * HOUR).slices
    (after,) = publication_of(merged(slice_of(), first, *by_id), queries=(configured,), now=NOON + 3 * HOUR).slices

    assert (before.total, before.settled) == (7, False)
    assert (plays(after), after.total, after.settled) == ({"a": 9, "b": None}, None, True)


def test_the_total_is_published_as_long_as_a_row_of_its_time() -> None:
    data = merged(
        slice_of(),
        SliceObservation(NOON - DAY, {"b": row("b", 4)}, total=7),
        SliceObservation(NOON, {"a": row("a", 3)}),
    )
    configured = query(ids("a", "b"), days_ago=(1, 2))

    (before,), (after,) = (publication_of(data, queries=(configured,), now=NOON + DAY - ago).slices for ago in (1, 0))

    assert (before.total, after.total) == (7, None)
    assert (plays(before), plays(after)) == ({"a": 3, "b": 4}, {"a": 3})


def test_a_search_that_has_found_nothing_does_not_settle_a_day() -> None:
    data = merged(slice_of(TODAY), SliceObservation(NOON, {"a": row("a", 3)}))

    (published,) = publication_of(data, queries=(query(ids(), days_ago=(0,)),)).slices

    assert (dict(published.rows), published.settled) == ({}, False)


def test_rows_of_everything_become_stale_one_by_one() -> None:
    data = merged(
        slice_of(), SliceObservation(NOON - DAY, {"a": row("a", 3)}), SliceObservation(NOON, {"b": row("b", 4)})
    )

    (published,) = publication_of(data, queries=(query(everything, days_ago=(1, 2)),), now=NOON + DAY).slices

    assert plays(published) == {"b": 4}


def test_a_top_without_a_current_ranking_publishes_no_media() -> None:
    ranked = SliceObservation(NOON - DAY, {"a": row("a", 3)}, tops=((top(1), ("a",)),))
    configured = query(top(1), days_ago=(1, 2))

    for observations in (
        [ranked, SliceObservation(NOON, {"a": row("a", 3)})],
        [SliceObservation(NOON, {"a": row("a", 3)})],
    ):
        (published,) = publication_of(merged(slice_of(), *observations), queries=(configured,), now=NOON + DAY).slices
        assert (plays(published), published.settled) == ({}, False)


def test_a_top_publishes_no_zeros() -> None:
    ranked = SliceObservation(NOON, {"a": row("a", 3), "b": row("b", 2)}, tops=((top(2), ("a", "b")),))
    data = merged(slice_of(), ranked, SliceObservation(NOON, {"b": None}))

    assert plays(publication_of(data, queries=(query(top(2)),)).slices[0]) == {"a": 3}
    assert plays(publication_of(data, queries=(query(top(2)), query(ids("b"), "2"))).slices[0]) == {"a": 3, "b": None}


def test_a_top_is_settled_when_its_ranking_and_all_its_rows_are() -> None:
    ranked = {"rows": {"a": row("a", 3)}, "tops": ((top(1), ("a",)),)}
    late = NOON + 3 * HOUR

    def settled(*observations: SliceObservation) -> bool:
        return publication_of(merged(slice_of(), *observations), queries=(query(top(1)),), now=late).slices[0].settled

    assert settled(*settling(**ranked))
    assert not settled(*settling(rows=ranked["rows"]), SliceObservation(late, **ranked))  # type: ignore[arg-type]
    assert not settled(*settling(**ranked), SliceObservation(late, {"a": row("a", 4)}))
    assert not settled(*settling(rows=ranked["rows"]))


def test_a_zero_is_three_series_and_has_no_plays() -> None:
    data = merged(slice_of(), SliceObservation(NOON, {"a": None, "b": row("b", 0), "c": row("c", 1)}))
    queries = (query(ids("a", "b", "c")),)

    whole, limited = publication_of(data, queries=queries), publication_of(data, queries=queries, limit=3)

    assert whole.series == 3 + 3 + 3  # the others: plays, viewers and a title
    assert [plays(published) for published in limited.slices] == [{"c": 1}]
    assert (limited.series, limited.dropped) == (3, 6)


def test_a_replica_publishes_only_its_own_days_and_titles() -> None:
    known = Snapshot().updated([merged(slice_of(), SliceObservation(NOON, {"a": row("a"), "b": row("b")}))])
    queries = (query(ids("a", "b"), days_ago=(0, 1)),)
    rules = PublicationRules(
        queries, 2 * DAY, 1000, {"main": MediaInfoOwnership(all=False, but=frozenset("b"))}, frozenset({0})
    )

    publication = publish(known, rules, NOON)

    assert publication.days == {0: play_dates.start(TODAY)}
    assert {media.media_id: media.title for media in publication.media} == {"a": None, "b": "title of b"}


def test_new_rules_apply_immediately() -> None:
    known = Snapshot().updated([merged(slice_of(), SliceObservation(NOON, {"a": row("a", 1), "b": row("b", 2)}))])
    publishing = PublicationBuilder()

    def view_of(rules: PublicationRules) -> list[dict[str, float | None]]:
        return [plays(published) for published in publishing.publish(known, rules, NOON + HOUR).slices]

    assert view_of(PublicationRules((query(ids("a")),), 2 * DAY, 1000)) == [{"a": 1}]
    assert view_of(PublicationRules((query(ids("b")),), 2 * DAY, 1000)) == [{"b": 2}]
    assert view_of(PublicationRules((query(ids("b")),), HOUR, 1000)) == []


def test_stale_data_disappears_in_the_exact_second() -> None:
    publishing, rules = PublicationBuilder(), PublicationRules((query(ids("a")),), HOUR, 1000)
    known = Snapshot().updated([merged(slice_of(), SliceObservation(NOON, {"a": row("a", 1)}))])

    slice_counts = [len(publishing.publish(known, rules, NOON + after).slices) for after in (0, HOUR - 1, HOUR)]

    assert slice_counts == [1, 1, 0]


class Counted(dict[str, MediaRecord]):
    """Records that count how often one is read."""

    read = 0

    def get(self, *args: Any) -> Any:
        self.read += 1
        return super().get(*args)


class CountedQueries(tuple[Query, ...]):  # noqa: SLOT001 - a tuple can have no slot for the count
    """Queries that count how often they are iterated."""

    read = 0

    def __iter__(self) -> Iterator[Query]:
        self.read += 1
        return super().__iter__()


def test_unchanged_slices_are_not_read_again_until_midnight() -> None:
    publishing, queries = PublicationBuilder(), CountedQueries((query(ids("a", "b")),))
    data = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 1), "b": None}))
    records = Counted(data.records)
    known, rules = Snapshot().updated([replace(data, records=records)]), PublicationRules(queries, 2 * DAY, 1000)

    publishing.publish(known, rules, NOON)
    once = records.read, queries.read
    assert min(once) > 0
    for now in (NOON, NOON + HOUR, NOON + 12 * HOUR - 1):
        publishing.publish(known, rules, now)
        assert (records.read, queries.read) == once

    publishing.publish(known, rules, NOON + 12 * HOUR)
    assert records.read == once[0]  # yesterday became a day that no query covers
    assert queries.read > once[1]


def test_slices_that_are_equal_under_new_rules_are_the_same_objects() -> None:
    publishing, configured = PublicationBuilder(), query(everything)
    known = Snapshot().updated([merged(slice_of(), SliceObservation(NOON, {"a": row("a", 1)}))])

    first = publishing.publish(known, PublicationRules((configured,), 2 * DAY, 1000), NOON)
    second = publishing.publish(
        known, PublicationRules((configured, query(top(1), "2", days_ago=(0,))), 2 * DAY, 1000), NOON
    )

    assert second.slices[0] is first.slices[0]


def test_an_incomplete_poll_that_finds_the_same_numbers_changes_nothing() -> None:
    publishing, rules = PublicationBuilder(), PublicationRules((query(everything),), 2 * DAY, 1000)
    data = merged(slice_of(), SliceObservation(NOON, {"a": row("a", 1)}))
    (before,) = publishing.publish(Snapshot().updated([data]), rules, NOON).slices

    again = merge_observation(
        data, data.slice, SliceObservation(NOON + 60, {"a": row("a", 1)}, is_whole=False), Settlement()
    )
    (after,) = publishing.publish(Snapshot().updated([again]), rules, NOON + 60).slices

    assert after is before


def test_a_publication_at_the_series_limit_is_complete() -> None:
    publishing, rules = PublicationBuilder(), PublicationRules((query(everything),), 2 * DAY, 3)
    known = Snapshot().updated([merged(slice_of(), SliceObservation(NOON, {"a": row("a", 1)}))])

    first, second = publishing.publish(known, rules, NOON), publishing.publish(known, rules, NOON + 60)

    assert (first.series, first.dropped) == (3, 0)
    assert second.slices[0] is first.slices[0]


IDS = st.sampled_from("abcd")
SLICES = tuple(
    Slice(account, dimensions, TODAY - timedelta(days=ago))
    for account in ("main", "other")
    for dimensions in (ALL, Dimensions(os="iOS"))
    for ago in (0, 1, 2)
)
LESSONS = st.builds(
    lambda rows, listed: (
        {m: row(m, p, title=title, **({"media_duration": 60 * p} if p else {})) for m, (p, title) in rows.items()},
        listed,
    ),
    st.dictionaries(IDS, st.tuples(st.integers(0, 3), st.sampled_from(["", "old", "new"]))),
    st.booleans(),
)
QUERIES = st.lists(
    st.builds(
        lambda media, account, filters, days_ago: query(
            media, account=account, dimensions=filters, days_ago=tuple(sorted(days_ago))
        ),
        st.sampled_from([everything, ids("a", "b"), ids("d"), top(2)]),
        st.sampled_from(["main", "other"]),
        st.sampled_from([(ALL,), (Dimensions(os="iOS"), ALL)]),
        st.sets(st.integers(0, 3), min_size=1),
    ),
    max_size=3,
).map(tuple)
RULES = st.builds(
    PublicationRules,
    QUERIES,
    st.sampled_from([HOUR, DAY]),
    st.sampled_from([5, 1000]),
    st.sampled_from(
        [
            None,
            {"main": MediaInfoOwnership(all=True)},
            {
                "main": MediaInfoOwnership(all=True, but=frozenset("a")),
                "other": MediaInfoOwnership(all=False, but=frozenset("bd")),
            },
        ]
    ),
)
CHANGES = st.one_of(
    st.tuples(st.just("learn"), st.sampled_from(SLICES), LESSONS),
    st.tuples(st.just("forget"), st.sampled_from(SLICES), st.none()),
    st.tuples(st.just("rule"), st.none(), RULES),
    st.tuples(st.just("wait"), st.none(), st.sampled_from([0.0, 60.0, HOUR, 12 * HOUR, DAY, -DAY])),
)


@settings(max_examples=100)
@given(rules=RULES, changes=st.lists(CHANGES, max_size=20))
def test_an_incremental_publication_equals_one_built_from_scratch(
    rules: PublicationRules, changes: list[tuple[str, Slice | None, object]]
) -> None:
    publishing, snapshot, now = PublicationBuilder(), Snapshot(), NOON
    for what, slice_, given_ in [*changes, ("wait", None, 1.0)]:
        match what, slice_, given_:
            case "learn", Slice(), (dict() as rows, bool() as listed):
                observation = SliceObservation(now, rows, listed=listed, total=len(rows) if listed else None)
                snapshot = snapshot.updated(
                    [merge_observation(snapshot.slices.get(slice_), slice_, observation, Settlement())]
                )
            case "forget", Slice(), _:
                snapshot = Snapshot({s: data for s, data in snapshot.slices.items() if s != slice_})
            case "rule", _, PublicationRules():
                rules = given_
            case "wait", _, float():
                now += given_
        incremental, afresh = publishing.publish(snapshot, rules, now), publish(snapshot, rules, now)
        assert in_order(incremental) == in_order(afresh)


def in_order(publication: Publication) -> Publication:
    """The publication with its media sorted: their order does not matter."""

    def sort_key(media: PublishedMedia) -> tuple[str, str]:
        return media.account, media.media_id

    return replace(publication, media=tuple(sorted(publication.media, key=sort_key)))
