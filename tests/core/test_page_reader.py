from __future__ import annotations

from exporter.core.model import Measure, Page
from exporter.core.page_reader import MAX_PAGES, PageReader, PageRequest
from exporter.errors import ErrorKind, UpstreamError
from tests.core.fake_service import row

PLAYS = Measure.PLAYS


def page(*media_ids: str, total: int | None = None) -> Page:
    return Page(tuple(row(media_id) for media_id in media_ids), total, "R")


def after(reader: PageReader, *pages: Page) -> PageReader:
    """The reader after these responses to its next pages."""
    for each in pages:
        request = reader.request_next(0, 1)
        assert request is not None
        assert reader.add(request.number, each) == [each]
    return reader


def test_a_total_is_kept_while_later_pages_give_none() -> None:
    first = page("a", "b", total=4), page("c")
    reader = after(PageReader(PLAYS, 2, None), *first)
    assert (reader.listing.total, reader.listing.ended, reader.listing.complete) == (4, False, False)

    reader = after(PageReader(PLAYS, 2, None), *first, page("d"))
    assert (reader.listing.total, reader.listing.ended, reader.listing.complete) == (4, True, True)


def test_rows_of_both_readings_are_kept_and_the_second_one_overrides() -> None:
    reader = after(PageReader(PLAYS, 2, None), page("a", "b", total=4), page("b"))
    assert (reader.listing.ended, reader.number, reader.listing.rows) == (False, 0, {})

    again = Page((row("a", plays=11), row("c")), 4, "R")
    after(reader, again, page())

    assert reader.listing.ended
    assert {media_id: each.plays for media_id, each in reader.listing.rows.items()} == {"a": 11, "c": 10, "b": 10}
    assert (reader.listing.complete, reader.listing.short_by) == (False, 1)


def test_the_last_known_page_follows_from_the_total_and_the_wanted_rows() -> None:
    assert PageReader(PLAYS, 2, None).last_known_page == 0
    ten = page("a", "b", total=19)
    assert after(PageReader(PLAYS, 2, None), ten).last_known_page == 10
    assert after(PageReader(PLAYS, 2, 5), ten).last_known_page == 3
    assert after(PageReader(PLAYS, 2, 50), ten).last_known_page == 10


def test_a_repeated_row_does_not_count_towards_a_top() -> None:
    reader = after(PageReader(PLAYS, 2, 4), page("a", "b", total=19), page("b", "c", total=19))

    assert (reader.listing.done, reader.last_known_page) == (False, 3)


def test_no_rows_count_as_missing_before_the_end() -> None:
    reader = after(PageReader(PLAYS, 2, None), page("a", "b", total=5))

    assert (reader.listing.ended, reader.listing.short_by) == (False, 0)


def test_a_result_set_with_rows_after_max_pages_is_an_error() -> None:
    pages = [page(f"m{n}") for n in range(MAX_PAGES)]
    assert after(PageReader(PLAYS, 1, None), *pages[1:]).no_end_error is None

    error = after(PageReader(PLAYS, 1, None), *pages).no_end_error

    assert error is not None
    assert (error.code, error.kind) == ("malformed", ErrorKind.MALFORMED)
    assert "no end" in str(error)
    assert str(MAX_PAGES) in str(error)
    assert "by ID" in error.advice


def test_no_page_beyond_max_pages_is_requested_ahead() -> None:
    reader = after(PageReader(PLAYS, 1, None), *(page(f"m{n}") for n in range(MAX_PAGES - 2)))

    request = [reader.request_next(2 * MAX_PAGES, 8) for _ in range(3)]

    assert request == [PageRequest(PLAYS, MAX_PAGES - 1, 1), PageRequest(PLAYS, MAX_PAGES, 1), None]


def test_a_rejected_page_is_reported_as_the_service_does_and_with_what_to_query_instead() -> None:
    reader = after(PageReader(PLAYS, 2, None), page("a", "b", total=9))
    error = UpstreamError("no such page", code="Meter.P", kind=ErrorKind.PARAMETER, request_id="R-1", http_status=400)

    rejection = reader.rejection(error)

    assert str(rejection) == "page 2 of the list of media was rejected: no such page"
    assert (rejection.code, rejection.kind) == ("Meter.P", ErrorKind.PARAMETER)
    assert (rejection.request_id, rejection.http_status) == ("R-1", 400)
    assert "{top: 2, by: plays}" in rejection.advice


def test_pages_ahead_are_dropped_at_the_end_even_if_media_are_missing() -> None:
    reader = after(PageReader(PLAYS, 2, None), page("a", "b", total=19))
    for _ in range(3):
        assert reader.request_next(4, 3) is not None

    reader.add(2, page(total=2), {"never"})

    assert (reader.listing.ended, reader.in_flight) == (True, set())
