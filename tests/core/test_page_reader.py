from __future__ import annotations

from exporter.core.model import Measure, Page
from exporter.core.page_reader import MAX_PAGES, PageReader, PageRequest
from exporter.errors import ErrorKind
from tests.core.fake_service import row

PLAYS = Measure.PLAYS


def page(*media_ids: str, total: int | None = None) -> Page:
    return Page(tuple(row(media_id) for media_id in media_ids), total, "R")


def told(sweep: PageReader, *pages: Page) -> PageReader:
    """The sweep after these answers to its next pages."""
    for each in pages:
        asked = sweep.request_next(0, 1)
        assert asked is not None
        assert sweep.add(asked.number, each) == [each]
    return sweep


def test_a_total_is_kept_while_later_pages_give_none() -> None:
    first = page("a", "b", total=4), page("c")
    sweep = told(PageReader(PLAYS, 2, None), *first)
    assert (sweep.total, sweep.ended, sweep.complete) == (4, False, False)

    sweep = told(PageReader(PLAYS, 2, None), *first, page("d"))
    assert (sweep.total, sweep.ended, sweep.complete) == (4, True, True)


def test_rows_of_both_readings_are_kept_and_the_second_one_overrides() -> None:
    sweep = told(PageReader(PLAYS, 2, None), page("a", "b", total=4), page("b"))
    assert (sweep.ended, sweep.number, sweep.rows) == (False, 0, {})

    again = Page((row("a", plays=11), row("c")), 4, "R")
    told(sweep, again, page())

    assert sweep.ended
    assert {media_id: each.plays for media_id, each in sweep.rows.items()} == {"a": 11, "c": 10, "b": 10}
    assert (sweep.complete, sweep.short_by) == (False, 1)


def test_the_last_known_page_follows_from_the_total_and_the_wanted_rows() -> None:
    assert PageReader(PLAYS, 2, None).last_known_page == 0
    ten = page("a", "b", total=19)
    assert told(PageReader(PLAYS, 2, None), ten).last_known_page == 10
    assert told(PageReader(PLAYS, 2, 5), ten).last_known_page == 3
    assert told(PageReader(PLAYS, 2, 50), ten).last_known_page == 10


def test_a_repeated_row_does_not_count_towards_a_top() -> None:
    sweep = told(PageReader(PLAYS, 2, 4), page("a", "b", total=19), page("b", "c", total=19))

    assert (sweep.done, sweep.last_known_page) == (False, 3)


def test_no_rows_count_as_missing_before_the_end() -> None:
    sweep = told(PageReader(PLAYS, 2, None), page("a", "b", total=5))

    assert (sweep.ended, sweep.short_by) == (False, 0)


def test_a_result_set_with_rows_after_max_pages_is_an_error() -> None:
    pages = [page(f"m{n}") for n in range(MAX_PAGES)]
    assert told(PageReader(PLAYS, 1, None), *pages[1:]).no_end_error is None

    error = told(PageReader(PLAYS, 1, None), *pages).no_end_error

    assert error is not None
    assert (error.code, error.kind) == ("malformed", ErrorKind.MALFORMED)
    assert "no end" in str(error)
    assert str(MAX_PAGES) in str(error)
    assert "by ID" in error.advice


def test_no_page_beyond_max_pages_is_requested_ahead() -> None:
    sweep = told(PageReader(PLAYS, 1, None), *(page(f"m{n}") for n in range(MAX_PAGES - 2)))

    asked = [sweep.request_next(2 * MAX_PAGES, 8) for _ in range(3)]

    assert asked == [PageRequest(PLAYS, MAX_PAGES - 1, 1), PageRequest(PLAYS, MAX_PAGES, 1), None]
