from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES, Dimensions
from exporter.errors import AccountPaused, ErrorKind, NotReady, UpstreamError
from exporter.status.filters import FilterError, Filters
from exporter.status.model import Problem
from exporter.status.summary import summarize
from exporter.status.views import Attention
from tests.status.examples import (
    EVERYTHING,
    EXPECTING,
    NOW,
    SETTINGS,
    Number,
    by_ids,
    known,
    observed,
    report,
    weekly,
)

SETTLED = [known(ago, {"a": 1}) for ago in EVERYTHING.days_ago]


def test_no_problem_is_reported_if_all_is_well() -> None:
    view = summarize(observed(*SETTLED, reports=[report(EVERYTHING)]), Filters())

    assert view.attention == ()
    assert view.ready
    assert (view.version, view.now, view.started_at, view.series) == ("1.2.3", NOW, NOW - 3600, 6)


def test_problems_are_reported_most_urgent_first() -> None:
    not_ready = NotReady("not yet", code="Meter.ReadyTsError", kind=ErrorKind.NOT_READY)
    refused = UpstreamError("no", code="Forbidden", kind=ErrorKind.AUTH)
    paused = AccountPaused("paused", code="Forbidden", kind=ErrorKind.AUTH)
    numbers = (
        Number("aliyun_vod_exporter_config_last_reload_successful", 0),
        Number("aliyun_vod_exporter_storage_errors_total", 2),
    )
    view = summarize(
        observed(
            known(1, {"a": 2, "b": 1}),
            known(2, {}, settled=False, at=NOW - 3 * 86_400),
            queries=(EVERYTHING, by_ids("a"), by_ids("b", name="new")),
            reports=[report(EVERYTHING, not_ready, refused), report(by_ids("a"), paused, at=NOW + 1)],
            pending_queries=("new",),
            numbers=numbers,
            settings=replace(SETTINGS, series_limit=3),
        ),
        Filters(),
    )

    assert view.attention == (
        Attention(Problem.PAUSED, "main"),
        Attention(Problem.QUERY, "q", "failure: Forbidden"),
        Attention(Problem.QUERY, "ids", "failure: Forbidden"),
        Attention(Problem.CONFIG_REJECTED),
        Attention(Problem.SERIES_DROPPED, count=2),
        Attention(Problem.STALE, count=1),
        Attention(Problem.UNANSWERED, count=3),
        Attention(Problem.WAITING, "new"),
    )
    assert not view.ready
    assert (view.storage_errors, view.series_dropped) == (2, 2)


def test_media_that_lost_many_expected_plays_are_a_problem() -> None:
    slices = weekly({"a": (10, 100, 100, 100), "b": (0, 25, 25, 25), "c": (900, 1000, 1000, 1000)}, newest=2)
    (attention,) = (
        each
        for each in summarize(observed(*slices, queries=(EXPECTING,)), Filters(media="c")).attention
        if each.trouble == "plays_dropped"
    )

    assert attention == Attention(Problem.PLAYS_DROPPED, "main", "2024-03-22", 1)


def test_media_that_age_are_no_problem() -> None:
    slices = weekly({f"m{number}": (200, 400, 1000, 2000) for number in range(9)})

    assert summarize(observed(*slices, queries=(EXPECTING,), reports=[report(EXPECTING)]), Filters()).attention == (
        Attention(Problem.UNANSWERED, count=1),
    )


def test_slices_that_wait_for_the_first_poll_are_not_reported_one_by_one() -> None:
    view = summarize(observed(pending_queries=("q",)), Filters())

    assert view.attention == (Attention(Problem.WAITING, "q"),)


def test_media_of_the_page_have_their_history() -> None:
    (row,) = summarize(observed(*SETTLED), Filters()).media.rows

    assert [plays for plays in row.history if plays is not None] == [1, 1, 1, 1]


@pytest.mark.parametrize(("page", "shown"), [(1, "abc"), (3, "g"), (999_999, "g")])
def test_a_page_has_the_requested_number_of_rows_and_the_last_one_the_rest(page: int, shown: str) -> None:
    plays: dict[str, float | None] = {media_id: 100 - place for place, media_id in enumerate("abcdefg")}

    media = summarize(observed(known(1, plays)), Filters(media_page=page, per_page=3)).media

    assert "".join(row.media_id for row in media.rows) == shown
    assert (media.number, media.pages, media.total) == (min(page, 3), 3, 7)


def test_no_rows_are_one_empty_page() -> None:
    slices = summarize(observed(), Filters(state="settled")).slices

    assert (slices.rows, slices.number, slices.pages, slices.total) == ((), 1, 1, 0)


def test_an_account_that_is_not_configured_cannot_be_selected() -> None:
    with pytest.raises(FilterError):
        summarize(observed(), Filters(query="nobody"))


def test_thousands_of_slices_and_media_fit_on_a_page() -> None:
    filters = product((None, *TERMINAL_TYPES), (None, *OPERATING_SYSTEMS), (None, *REGIONS))
    dimensions = tuple(Dimensions(*each) for each in filters)
    query = replace(EVERYTHING, dimensions=dimensions, days_ago=tuple(range(31)))
    plays: dict[str, float | None] = {f"{number:032x}": number for number in range(3000)}

    view = summarize(observed(known(1, plays), known(8, plays), queries=[query]), Filters(page=2, media_page=60))

    assert (view.slices.total, len(view.slices.rows)) == (144 * 31, 50)
    assert (view.media.total, len(view.media.rows), view.media.rows[-1].plays) == (3000, 50, 0)
