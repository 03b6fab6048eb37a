from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core import play_dates
from exporter.core.expectation import expected_plays
from exporter.core.model import Dimensions, Freshness, MediaRecord, PlayRow, Query, Ranking, Slice, SliceData, Snapshot
from exporter.core.play_dates import Settlement
from exporter.core.poll_report import PollResult
from exporter.core.publication import Publication, PublicationRules, PublishedMedia, SettledDay, SettledPlays
from exporter.core.publication_builder import PublicationBuilder, publish
from exporter.core.settled_days import SettledDayFinder, days_needed, is_settled, settled_day, wants_by_filters
from tests.core.fake_service import ALL, NOON, TODAY, FakeService, everything, ids, query, row, top

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.model import Media

DAY = 86_400.0
FINAL = Freshness(NOON, 2, settled=True)
CHANGING = Freshness(NOON, 1)


def of(media: Media = everything, **changed: object) -> Query:
    return query(media, **{"expected": True, **changed})  # type: ignore[arg-type]


def known(
    days_ago: int,
    plays: Mapping[str, float | None],
    *,
    listed: Freshness | None = FINAL,
    records: Freshness = FINAL,
    today: date = TODAY,
) -> SliceData:
    """A slice with these plays, without a row where they are None."""
    rows = {
        media_id: MediaRecord(None if count is None else row(media_id, count), records)
        for media_id, count in plays.items()
    }
    return SliceData(Slice("main", ALL, today - timedelta(days=days_ago)), rows, listed, updated_at=NOON)


def published(
    *slices: SliceData, queries: Iterable[Query] = (of(),), now: float = NOON, limit: int = 1000
) -> Publication:
    return publish(Snapshot().updated(slices), PublicationRules(tuple(queries), 2 * DAY, limit), now)


def day_of(*slices: SliceData, queries: Iterable[Query] = (of(),), now: float = NOON) -> SettledDay | None:
    days = published(*slices, queries=queries, now=now).settled_days
    assert len(days) <= 1
    return days[0] if days else None


def numbers(day: SettledDay | None) -> dict[str, tuple[float, float | None]]:
    return {media_id: (row.plays, row.expected) for media_id, row in day.rows.items()} if day else {}


def ago(day: SettledDay | None) -> int | None:
    return (TODAY - day.slice.play_date).days if day else None


BEFORE = (known(2, {"a": 100}), known(8, {"a": 80}), known(9, {"a": 160}))


def test_plays_of_the_last_settled_day_are_published_with_those_expected() -> None:
    day = day_of(known(1, {"a": 30}), *BEFORE)

    assert (ago(day), numbers(day)) == (1, {"a": (30, 50)})


@pytest.mark.parametrize("missing", range(4))
def test_without_one_of_the_days_there_is_nothing(missing: int) -> None:
    slices = [known(1, {"a": 30}), *BEFORE]
    del slices[missing]

    assert day_of(*slices) is None


@pytest.mark.parametrize("unsettled", range(4))
def test_a_day_that_may_still_change_is_not_used(unsettled: int) -> None:
    slices = [known(1, {"a": 30}), *BEFORE]
    slices[unsettled] = replace(slices[unsettled], listed=CHANGING)

    assert day_of(*slices) is None


# A weekday on which an account usually has 80 % of the day before.
OLD = {
    1: dict.fromkeys("pqrst", 80),
    2: dict.fromkeys("pqrst", 100),
    8: dict.fromkeys("pqrst", 80),
    9: dict.fromkeys("pqrst", 100),
}
NEW = {1: {"n": 3}, 2: {"n": 500}, 3: {"n": 1000}, 4: {"n": 1000}}


def with_new_video(**changed: SliceData | None) -> dict[str, tuple[float, float | None]]:
    days = {f"day{day}": known(day, OLD.get(day, {}) | NEW.get(day, {})) for day in (1, 2, 3, 4, 8, 9)}
    return numbers(day_of(*(each for each in (days | changed).values() if each)))


def test_a_new_video_is_expected_to_be_played_as_the_days_before_and_the_other_media_let_expect() -> None:
    assert with_new_video() == dict.fromkeys("pqrst", (80, 80)) | {"n": (3, 200)}


@pytest.mark.parametrize(
    "changed",
    [
        {"day4": None},
        {"day4": known(4, {})},  # it was not there yet
        {"day3": known(3, NEW[3], listed=CHANGING, records=CHANGING)},
        {"day9": known(9, dict.fromkeys("pqrs", 100))},  # too few media for a usual step
    ],
)
def test_without_a_day_of_it_or_a_usual_step_nothing_is_expected_of_a_new_video(
    changed: dict[str, SliceData | None],
) -> None:
    assert with_new_video(**changed)["n"] == (3, 0)


def test_of_a_new_video_nothing_is_expected_in_a_slice_with_filters() -> None:
    android = Dimensions(os="Android")
    slices = [known(day, OLD.get(day, {}) | NEW.get(day, {})) for day in (1, 2, 3, 4, 8, 9)]
    filtered = [replace(data, slice=replace(data.slice, dimensions=android)) for data in slices]

    assert numbers(day_of(*filtered, queries=[of(dimensions=(android,))]))["n"] == (3, 0)


def test_an_earlier_day_that_settles_later_gives_a_new_video_its_expected_plays() -> None:
    builder, rules = PublicationBuilder(), PublicationRules((of(),), 2 * DAY, 1000)
    slices = {day: known(day, OLD.get(day, {}) | NEW.get(day, {})) for day in (1, 2, 3, 4, 8, 9)}
    snapshot = Snapshot().updated([data for day, data in slices.items() if day != 4])
    (before,) = builder.publish(snapshot, rules, NOON).settled_days
    (after,) = builder.publish(snapshot.updated([slices[4]]), rules, NOON).settled_days

    assert (before.rows["n"].expected, after.rows["n"].expected) == (0, 200)


def test_until_yesterday_is_settled_the_day_before_is_the_last_settled_day() -> None:
    earlier = known(2, {"a": 100}), known(3, {"a": 60}), known(9, {"a": 160}), known(10, {"a": 160})
    also = known(8, {"a": 80})
    yesterday = known(1, {"a": 30}, listed=CHANGING, records=CHANGING)
    final = known(1, {"a": 30})

    assert numbers(day_of(yesterday, *earlier, also)) == {"a": (100, 60)}
    assert numbers(day_of(final, *earlier, also)) == {"a": (30, 50)}


def test_at_midnight_nothing_changes() -> None:
    builder, rules = PublicationBuilder(), PublicationRules((of(),), 2 * DAY, 1000)
    snapshot = Snapshot().updated([known(1, {"a": 30}), *BEFORE])
    before = builder.publish(snapshot, rules, NOON).settled_days

    after = builder.publish(snapshot, rules, play_dates.next_midnight(NOON)).settled_days

    assert before
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_a_day_stays_until_the_next_one_settles_however_late_that_is() -> None:
    assert ago(day_of(known(1, {"a": 30}), *BEFORE, now=NOON + 5 * DAY)) == 1


def test_a_video_that_is_gone_is_a_zero_where_the_listing_was_read_to_its_end() -> None:
    gone = {"gone": 100.0}
    slices = known(1, {"a": 30}), known(2, {"a": 100, **gone}), known(8, {"a": 80, **gone}), known(9, {"a": 80, **gone})

    assert numbers(day_of(*slices)) == {"a": (30, 80), "gone": (0, 100)}


def test_a_video_that_is_gone_is_absent_where_a_row_has_no_usable_media_id() -> None:
    gone = {"gone": 100.0}
    slices = known(1, {"a": 30}), known(2, {"a": 100, **gone}), known(8, {"a": 80, **gone}), known(9, {"a": 80, **gone})

    day = day_of(replace(slices[0], unattributed_rows=1), *slices[1:])

    assert numbers(day) == {"a": (30, 80)}


def test_a_video_that_was_not_played_the_day_before_either_is_no_zero_of_all() -> None:
    assert numbers(
        day_of(known(1, {"a": 30}), known(2, {"a": 100}), *(known(n, {"a": 80, "old": 9}) for n in (8, 9)))
    ) == {"a": (30, 80)}


def test_a_video_requested_by_id_is_a_zero() -> None:
    slices = [known(n, {"a": None if n == 1 else 100, "never": None}, listed=None) for n in (1, 2, 8, 9)]

    assert numbers(day_of(*slices, queries=[of(ids("a", "never"))])) == {"a": (0, 100), "never": (0, 0)}


def test_a_video_requested_by_id_without_response_does_not_hide_the_others() -> None:
    slices = [known(n, {"a": 100}, listed=None) for n in (1, 2, 8, 9)]

    assert numbers(day_of(*slices, queries=[of(ids("a", "refused"))])) == {"a": (100, 100)}


def also(data: SliceData, media_id: str, plays: float | None, freshness: Freshness) -> SliceData:
    row_ = None if plays is None else row(media_id, plays)
    return replace(data, records={**data.records, media_id: MediaRecord(row_, freshness)})


def test_a_video_requested_later_does_not_hide_the_day_of_the_others() -> None:
    older = [known(n, {"a": 70}, listed=None) for n in (3, 10)]
    slices = [known(n, {"a": 100}, listed=None) for n in (1, 2, 8, 9)]
    later = NOON + 3600
    added = [also(slices[0], "new", 5, Freshness(later, 0))]
    added += [also(data, "new", None, Freshness(later, 0, settled=True)) for data in (*slices[1:], *older)]
    queries = [of(ids("a", "new"))]

    assert (ago(day_of(*slices, *older, queries=queries)), ago(day_of(*added, queries=queries))) == (1, 1)
    assert numbers(day_of(*added, queries=queries)) == {"a": (100, 100)}


def test_a_video_that_settles_later_than_others_is_waited_for() -> None:
    earlier = Freshness(NOON - DAY, 2, settled=True)
    slices = [known(n, {"a": 100, "late": 50}, listed=None, records=earlier) for n in (2, 3, 8, 9, 10)]
    yesterday = also(known(1, {"a": 100}, listed=None), "late", 51, CHANGING)

    day = day_of(yesterday, *slices, queries=[of(ids("a", "late"))])

    assert (ago(day), numbers(day)) == (2, {"a": (100, 100), "late": (50, 50)})


@pytest.mark.parametrize("other", [ids(), ids("refused")], ids=["a search without media", "never answered"])
def test_a_query_without_data_does_not_hide_the_day_of_another(other: Media) -> None:
    slices = [known(n, {"a": 100}, listed=None) for n in (1, 2, 8, 9)]

    assert numbers(day_of(*slices, queries=[of(ids("a")), of(other, name="other")])) == {"a": (100, 100)}
    assert day_of(*slices, queries=[of(other)]) is None


def test_a_query_added_later_does_not_hide_the_day_of_another() -> None:
    later = NOON + 3600
    slices = [known(n, {"a": 100}, listed=None) for n in (1, 2, 3, 8, 9, 10)]
    added = [
        also(data, "new", 5, Freshness(later, 0, settled=data.slice.play_date < TODAY - timedelta(days=1)))
        for data in slices
    ]
    by_ids = [of(ids("a")), of(ids("new"), name="new")]
    assert (ago(day_of(*slices, queries=by_ids)), ago(day_of(*added, queries=by_ids))) == (1, 1)
    assert numbers(day_of(*added, queries=by_ids)) == {"a": (100, 100)}

    with_top = [of(ids("a")), of(top(1), name="new")]
    ranked_later = [
        replace(data, rankings={top(1).by: Ranking(1, ("new",), data.records["new"].freshness)}) for data in added
    ]
    assert (ago(day_of(*slices, queries=with_top)), ago(day_of(*ranked_later, queries=with_top))) == (1, 1)

    assert ago(day_of(*slices, queries=[of(ids("a")), of(name="all")])) == 1


@pytest.mark.parametrize("slow", [ids("b"), everything, top(1)], ids=["ids", "all", "top"])
def test_a_query_that_is_polled_later_is_waited_for(slow: Media) -> None:
    earlier = Freshness(NOON - DAY, 2, settled=True)
    ranking = {top(1).by: Ranking(1, ("b",), earlier)}
    slices = [
        known(n, {"a": 100, "b": 50}, listed=earlier if slow is everything else None, records=earlier)
        for n in (2, 3, 8, 9, 10)
    ]
    slices = [replace(data, rankings=ranking if slow == top(1) else {}) for data in slices]

    day = day_of(known(1, {"a": 90}, listed=None), *slices, queries=[of(ids("a")), of(slow, name="slow")])

    assert (ago(day), numbers(day)) == (2, {"a": (100, 100), "b": (50, 50)})


def test_a_video_that_is_known_of_the_settled_day_only_has_no_expectation() -> None:
    slices = [known(n, {"a": 100, **({"new": 5} if n == 1 else {})}, listed=None) for n in (1, 2, 8, 9)]

    assert numbers(day_of(*slices, queries=[of(ids("a", "new"))])) == {"a": (100, 100), "new": (5, None)}


def ranked(days_ago: int, plays: Mapping[str, float | None], *first: str, listed: Freshness | None = None) -> SliceData:
    data = known(days_ago, plays, listed=listed)
    return replace(data, rankings={top(2).by: Ranking(2, first, FINAL)})


def test_a_video_that_leaves_a_top_is_absent() -> None:
    slices = [ranked(n, {"a": 100, "b": 90}, "a", "b") for n in (2, 8, 9)]
    yesterday = ranked(1, {"a": 100, "c": 95}, "a", "c")

    assert numbers(day_of(yesterday, *slices, queries=[of(top(2))])) == {"a": (100, 100), "c": (95, None)}


def test_a_video_that_leaves_a_top_with_no_plays_is_a_zero() -> None:
    slices = [ranked(n, {"a": 100, "b": 90}, "a", "b") for n in (2, 8, 9)]
    yesterday = ranked(1, {"a": 100, "b": None}, "a")

    assert numbers(day_of(yesterday, *slices, queries=[of(top(2))])) == {"a": (100, 100), "b": (0, 90)}


def test_plays_that_are_not_given_are_absent() -> None:
    def without_plays(days_ago: int) -> SliceData:
        return replace(known(days_ago, {}), records={"a": MediaRecord(PlayRow("a"), FINAL)})

    assert numbers(day_of(without_plays(1), *BEFORE)) == {}
    assert numbers(day_of(known(1, {"a": 30}), without_plays(2), *BEFORE[1:])) == {"a": (30, None)}


@pytest.mark.parametrize("unwanted", [of(expected=False), of(days_ago=(0, 2, 8))])
def test_a_query_without_expected_plays_or_without_yesterday_has_none(unwanted: Query) -> None:
    assert day_of(known(1, {"a": 30}), *BEFORE, queries=[unwanted]) is None


def test_a_title_is_published_of_a_video_that_is_gone() -> None:
    gone = {"gone": 100.0}

    media = published(known(1, {}), *(known(n, gone) for n in (2, 8, 9))).media

    assert media == (PublishedMedia("main", "gone", "title of gone", None),)


def test_a_title_of_blanks_is_none_given() -> None:
    day = replace(known(1, {}), records={"a": MediaRecord(PlayRow("a", " \u3000", plays=30), FINAL)})

    settled = day_of(day, *BEFORE)

    assert settled is not None
    assert settled.rows["a"].title is None


def test_settled_plays_count_as_series_and_are_limited_with_the_rest_of_a_video() -> None:
    slices = [known(n, {"a": 10, "gone": None if n == 1 else 1000}) for n in (1, 2, 8, 9)]
    whole = published(*slices)
    # `a`: plays, viewers and the title of yesterday, and two of the settled day; `gone`: its title and two.
    assert (whole.series, whole.dropped) == (3 + 2 + 1 + 2, 0)

    limited = published(*slices, limit=4)

    assert (limited.series, limited.dropped) == (3, 5)
    assert [numbers(day) for day in limited.settled_days] == [{"gone": (0, 1000)}]
    assert [media.media_id for media in limited.media] == ["gone"]


@pytest.mark.parametrize(
    ("plays", "kept"),
    [
        # By days ago. Yesterday is not settled, so the settled day is the day before, which is not published itself.
        ({1: {"a": 500, "b": 10}, 2: {"a": 100, "b": 200}, 3: {}, 9: {}, 10: {}}, "a"),
        ({1: {"a": 10, "b": 20}, 2: {"a": 900, "b": 50}, 3: {"b": 50}, 9: {"b": 50}, 10: {}}, "a"),
        ({1: {"a": 10, "b": 20}, 2: {"a": 10, "b": 50}, 3: {"a": 90}, 9: {"a": 90}, 10: {}}, "a"),
        ({1: {"a": 10, "b": 20}, 2: {"a": 10, "b": 5}, 3: {}, 9: {}, 10: {}}, "b"),
    ],
    ids=["played yesterday", "played on the settled day", "expected", "none of them"],
)
def test_beyond_the_limit_the_most_plays_of_any_day_or_the_most_expected_decide(
    plays: dict[int, dict[str, float | None]], kept: str
) -> None:
    slices = [
        known(days_ago, of_day, records=CHANGING if days_ago == 1 else FINAL) for days_ago, of_day in plays.items()
    ]
    slices = [
        replace(each, listed=CHANGING) if each.slice.play_date == TODAY - timedelta(days=1) else each for each in slices
    ]

    limited = published(*slices, limit=5)

    assert [ago(day) for day in limited.settled_days] == [2]
    assert {media.media_id for media in limited.media} == {kept}


def test_media_without_any_plays_are_limited_by_their_ids() -> None:
    slices = [known(days_ago, {"a": 0, "b": 0}) for days_ago in (1, 2, 8, 9)]

    limited = published(*slices, queries=(query(ids("a"), "p"), of(ids("b"))), limit=5)

    assert {media.media_id for media in limited.media} == {"a"}


counts = st.none() | st.integers(0, 500)
freshness = st.sampled_from([FINAL, FINAL, FINAL, CHANGING])


@st.composite
def any_slice(draw: st.DrawFn, days_ago: int) -> SliceData:
    plays = draw(st.dictionaries(st.sampled_from("abc"), st.tuples(counts, freshness)))
    data = known(days_ago, {}, listed=draw(st.none() | freshness))
    records = {m: MediaRecord(None if n is None else row(m, n), fresh) for m, (n, fresh) in plays.items()}
    return replace(data, records=records, rankings={top(2).by: Ranking(2, tuple(sorted(plays)[:2]), draw(freshness))})


@st.composite
def any_days(draw: st.DrawFn) -> list[SliceData]:
    days_ago = draw(st.sets(st.sampled_from(range(1, 12)), min_size=1)) | {2, 9, 8}
    return [draw(any_slice(n)) for n in sorted(days_ago)]


@settings(max_examples=150)
@given(days=any_days(), media=st.sampled_from([everything, ids("a", "b"), top(2)]), later=st.integers(0, 2))
def test_every_number_is_from_settled_records_of_the_days_of_one_settled_day(
    days: list[SliceData], media: Media, later: int
) -> None:
    now = NOON + later * DAY
    day = day_of(*days, queries=[of(media)], now=now)
    if day is None:
        return
    by_date = {data.slice.play_date: data for data in days}

    def settled_plays(media_id: str, days_before: int) -> float | None:
        record = by_date[day.slice.play_date - timedelta(days=days_before)].record(media_id)
        if record is None or not record.freshness.settled:
            return None
        return record.row.plays if record.row else 0

    assert day.slice.play_date < play_dates.today(now)
    for media_id, published_days in day.rows.items():
        assert published_days.plays == settled_plays(media_id, 0)
        before = {used: settled_plays(media_id, used - 1) for used in (2, 8, 9)}
        assert published_days.expected == expected_plays(before)


@settings(max_examples=100)
@given(
    versions=st.lists(any_days(), min_size=1, max_size=4), media=st.sampled_from([everything, ids("a", "b"), top(2)])
)
def test_successive_publications_are_those_from_scratch(versions: list[list[SliceData]], media: Media) -> None:
    builder, rules = PublicationBuilder(), PublicationRules((of(media),), 2 * DAY, 1000)
    snapshot = Snapshot()
    for n, days in enumerate(versions):
        snapshot, now = snapshot.updated(days), NOON + n * DAY / 2
        built, scratch = builder.publish(snapshot, rules, now), publish(snapshot, rules, now)
        assert built.settled_days == scratch.settled_days
        assert set(built.media) == set(scratch.media)
        assert built.series == scratch.series


async def test_adding_a_video_to_a_query_keeps_the_day_of_the_others() -> None:
    service = FakeService()
    for days in range(1, 12):
        service.put([row("a", 100)] if days > 1 else [row("a", 40), row("new", 7)], TODAY - timedelta(days=days))
    one, both = of(ids("a")), of(ids("a", "new"))
    poller = service.poller(queries=[one])

    async def polled(polled_query: Query, times: int) -> dict[str, tuple[float, float | None]]:
        for _ in range(times):
            assert (await poller.poll(polled_query)).result is PollResult.SUCCESS
            service.now += polled_query.every
        (day,) = publish(poller.snapshot, PublicationRules((polled_query,), 2 * DAY, 1000), service.now).settled_days
        assert ago(day) == 1
        return numbers(day)

    assert await polled(one, 3) == {"a": (40, 100)}
    poller.reconfigure([both], {"main": service}, Settlement())
    assert await polled(both, 1) == {"a": (40, 100)}
    assert await polled(both, 2) == {"a": (40, 100), "new": (7, 0)}


@pytest.mark.parametrize("added", [everything, top(2), ids("new")], ids=["all", "top", "ids"])
async def test_adding_a_query_keeps_the_day_of_the_others(added: Media) -> None:
    service = FakeService()
    for days in range(1, 12):
        service.put([row("a", 100 if days > 1 else 40), row("new", 7)], TODAY - timedelta(days=days))
    one, other = of(ids("a")), of(added, name="added")
    poller = service.poller(queries=[one])
    for _ in range(3):
        await poller.poll(one)
        service.now += one.every

    async def polled(times: int) -> dict[str, tuple[float, float | None]]:
        for _ in range(times):
            await poller.poll(other)
            service.now += other.every
        (day,) = publish(poller.snapshot, PublicationRules((one, other), 2 * DAY, 1000), service.now).settled_days
        assert ago(day) == 1
        return numbers(day)

    poller.reconfigure([one, other], {"main": service}, Settlement())
    assert await polled(0) == await polled(1) == {"a": (40, 100)}
    assert await polled(2) == {"a": (40, 100), "new": (7, 7)}


def test_a_video_without_expected_plays_has_one_series_instead_of_two() -> None:
    assert [SettledPlays(1, expected, None, None).series for expected in (None, 0)] == [1, 2]


def finder(media: Media, *slices: SliceData) -> SettledDayFinder:
    found = SettledDayFinder("main", ALL, (media,))
    assert found.day is None
    found.begin(TODAY)
    found.update({data.slice: data for data in slices})
    return found


def test_queries_of_the_same_filters_want_together() -> None:
    assert wants_by_filters([of(), of(ids("a"), name="other")]) == {("main", ALL): (everything, ids("a"))}


@pytest.mark.parametrize(("ago_", "is_found"), [(22, True), (23, False)])
def test_the_oldest_day_needs_only_days_that_the_service_returns(ago_: int, *, is_found: bool) -> None:
    days = [known(each, {"a": 1}) for each in days_needed(ago_)]
    assert (finder(everything, *days).day is not None) == is_found


def test_an_equal_day_stays_the_same_object() -> None:
    found = finder(everything, known(1, {"a": 30}), *BEFORE)
    day = found.day
    found.update({data.slice: data for data in (known(1, {"a": 30}), *BEFORE)})
    assert found.day is day


def test_a_video_that_was_known_the_day_before_is_waited_for() -> None:
    yesterday = also(known(1, {"a": 30}, listed=None), "b", 1, CHANGING)
    days = [replace(each, listed=None) for each in BEFORE]
    known_before = [also(days[0], "b", 1, FINAL), *days[1:]]

    found = finder(ids("a", "b"), yesterday, *known_before)
    assert found.day is None
    found.update({data.slice: data for data in (yesterday, *days)})
    assert numbers(found.day) == {"a": (30, 50)}, "b was added later"


def test_the_length_of_a_video_is_that_of_its_newest_row() -> None:
    rows = {"a": MediaRecord(row("a", 30, media_duration=95), FINAL)}
    day = settled_day(
        replace(known(1, {}), records=rows), {used: known(used, {"a": 1}) for used in (2, 8, 9)}, [everything]
    )
    assert day.rows["a"].media_duration == 95


def test_a_ranking_is_settled_with_all_its_media() -> None:
    settled = ranked(1, {"a": 30, "b": 20}, "a", "b")
    assert is_settled(settled, None, [top(2)])
    ((by, ranking),) = settled.rankings.items()
    changing = replace(settled, rankings={by: replace(ranking, freshness=CHANGING)})
    assert not is_settled(changing, None, [top(2)])
    assert not is_settled(also(settled, "b", 20, CHANGING), None, [top(2)])
    assert not is_settled(replace(settled, rankings={}), None, [top(2)])


def test_a_top_that_was_not_ranked_the_day_before_has_its_own_media() -> None:
    earlier = {used: known(used, {}, listed=None) for used in (2, 8, 9)}
    assert set(settled_day(ranked(1, {"a": 30}, "a"), earlier, [top(1)]).rows) == {"a"}
