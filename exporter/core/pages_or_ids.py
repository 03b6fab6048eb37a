"""Whether pages of the listing or calls by media ID take fewer calls."""

from __future__ import annotations

from typing import Final

from exporter.core.plan import PAGE_SIZE, pages_of

# While the length of the result set is unknown, up to this many media are requested by ID.
FEW_MEDIA: Final = 2
# For more media than this the first page is requested first, whatever the length of the result set: it costs one call
# at most, and saves one for each wanted video on it.
MANY_MEDIA: Final = 10


def worth_a_page(missing: int, pages_left: int | None, likely_pages: int | None, *, page_was_useful: bool) -> bool:
    """Whether reading the listing on takes no more calls than requesting each missing video by ID.

    * `pages_left`: from the total that the service reported; None while no page was read.
    * `likely_pages`: the expected length of the listing, or None if that is unknown.
    * `page_was_useful`: the last page read contained a wanted video.
    """
    if missing == 1:
        return False
    if pages_left is not None:
        # None left but not at the end: the total is wrong, so the end may be anywhere.
        # A page with a wanted video has saved the call for it, and the next one may do so too.
        return pages_left > 0 and (pages_left <= missing or page_was_useful)
    if likely_pages is not None:
        return likely_pages < missing or missing > MANY_MEDIA
    return missing > FEW_MEDIA


def last_certain_page(pages_read: int, total: int, missing: int) -> int:
    """The last page that is worth a call even if each page before it contains 100 of the wanted media.

    With m media missing and p pages left, the i-th page from now is worth a call while p - i <= m - 100 * i and more
    than one video is left; see `worth_a_page`.
    """
    left = pages_of(total) - pages_read
    more = min((missing - left) // (PAGE_SIZE - 1), (missing - 2) // PAGE_SIZE, left - 1)
    return pages_read + 1 + max(0, more)
