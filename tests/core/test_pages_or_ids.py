from __future__ import annotations

from itertools import takewhile

import pytest

from exporter.core.pages_or_ids import FEW_MEDIA, MANY_MEDIA, last_certain_page, worth_a_page


@pytest.mark.parametrize(
    ("missing", "pages_left", "useful", "worth"),
    [
        (1, 1, True, False),  # one call either way, and by ID it is certain
        (2, 1, False, True),
        (2, 2, False, True),
        (2, 3, False, False),
        (2, 3, True, True),
        (50, 0, True, False),
        (50, -1, True, False),
    ],
)
def test_the_listing_is_read_on_while_no_more_pages_than_media_are_left_or_pages_are_useful(
    missing: int, pages_left: int, *, useful: bool, worth: bool
) -> None:
    # The expected length of the listing no longer matters.
    for likely in (None, 1, 1_000):
        assert worth_a_page(missing, pages_left, likely, page_was_useful=useful) is worth


@pytest.mark.parametrize(
    ("missing", "likely_pages", "worth"),
    [
        (1, 0, False),
        (FEW_MEDIA, None, False),
        (FEW_MEDIA + 1, None, True),
        (5, 4, True),
        (5, 5, False),
        (MANY_MEDIA, 500, False),
        (MANY_MEDIA + 1, 500, True),
    ],
)
def test_the_first_page_is_read_for_many_media_or_a_short_listing(
    missing: int, likely_pages: int | None, *, worth: bool
) -> None:
    assert worth_a_page(missing, None, likely_pages, page_was_useful=False) is worth


@pytest.mark.parametrize("pages_read", [0, 3])
@pytest.mark.parametrize("left", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("missing", [1, 2, 99, 101, 102, 103, 200, 201, 202, 203, 301, 302, 400, 405, 1_000])
def test_a_page_is_certain_if_it_is_worth_a_call_after_pages_full_of_wanted_media(
    pages_read: int, left: int, missing: int
) -> None:
    worth = takewhile(
        lambda ahead: (
            worth_a_page(missing - 100 * ahead, left - ahead, None, page_was_useful=False) and missing > 100 * ahead
        ),
        range(1, left + 1),
    )

    certain = pages_read + 1 + len(list(worth))
    for total in (100 * (pages_read + left), 100 * (pages_read + left) - 99):
        assert last_certain_page(pages_read, total, missing) == certain
