from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from exporter.core.media_info import MediaInfoIndex
from exporter.core.model import Dimensions, PlayRow, Slice
from exporter.core.publication import PublishedMedia, PublishedSlice
from exporter.core.sharding import MediaInfoOwnership
from tests.core.fake_service import ALL, TODAY

if TYPE_CHECKING:
    from collections.abc import Mapping

WEB = Dimensions(terminal_type="Web")
NATIVE = Dimensions(terminal_type="Native")
IOS = Dimensions(os="iOS")
ANDROID = Dimensions(os="Android")
LINUX = Dimensions(os="Linux")
BEIJING = Dimensions(region="cn-beijing")
SHANGHAI = Dimensions(region="cn-shanghai")


def published_media(
    rows: Mapping[str, PlayRow | None], ago: int = 1, dimensions: Dimensions = ALL, *, at: float | None = 1.0
) -> PublishedSlice:
    slice_ = Slice("main", dimensions, TODAY - timedelta(days=ago))
    return PublishedSlice(slice_, ago, rows, len(rows), at, settled=False, ready=True)


def media_row(title: str | None = None, duration: float | None = None, media_id: str = "a") -> PlayRow:
    return PlayRow(media_id, title=title, media_duration=duration)


def index_of(
    *rounds: list[PublishedSlice], media_info_ownership: Mapping[str, MediaInfoOwnership] | None = None
) -> MediaInfoIndex:
    found = MediaInfoIndex(media_info_ownership)
    for slices in rounds:
        found.update(tuple(slices))
    return found


def titles(found: MediaInfoIndex) -> dict[str, tuple[str | None, float | None]]:
    return {each.media_id: (each.title, each.duration) for each in found.media}


def test_title_and_length_are_the_newest_and_may_come_from_different_days() -> None:
    newer, older = published_media({"a": media_row("new")}, 1), published_media({"a": media_row("old", 60)}, 2)

    assert index_of([older, newer]).media == (PublishedMedia("main", "a", "new", 60),)
    assert index_of([newer, older]).series == 2


def test_a_length_of_an_earlier_day_does_not_replace_a_later_one() -> None:
    slices = [
        published_media({"a": media_row(duration=1)}, 1),
        published_media({"a": media_row("old", 2)}, 2),
        published_media({"a": media_row("older", 3)}, 3),
    ]

    assert titles(index_of(slices)) == {"a": ("old", 1)}


@pytest.mark.parametrize(
    ("first", "last"), [(WEB, NATIVE), (IOS, LINUX), (BEIJING, SHANGHAI), (WEB, ALL), (ANDROID, ALL), (BEIJING, ALL)]
)
def test_slices_of_the_same_time_are_ordered_by_their_filters(first: Dimensions, last: Dimensions) -> None:
    found = [
        published_media({"a": media_row("by filters", 1)}, 1, max(first, last, key=repr_of)),
        published_media({"a": media_row("x", 2)}, 1, min(first, last, key=repr_of)),
    ]

    assert titles(index_of(found)) == titles(index_of(found[::-1])) == {"a": ("by filters", 1)}


def repr_of(dimensions: Dimensions) -> tuple[str, str, str]:
    return dimensions.terminal_type or "", dimensions.os or "", dimensions.region or ""


def test_a_slice_that_was_never_updated_counts_as_oldest() -> None:
    slices = [
        published_media({"a": media_row("never", 1)}, 1, WEB, at=None),
        published_media({"a": media_row("once", 2)}, 1, NATIVE, at=0.5),
    ]

    assert titles(index_of(slices)) == {"a": ("once", 2)}


@pytest.mark.parametrize("blank", ["", "   ", "\t\n", "\u3000\u00a0"])
def test_a_title_of_blanks_is_none_given(blank: str) -> None:
    """It would be a message or a line of a page without a name."""
    found = index_of([published_media({"a": media_row(blank, 9), "b": media_row(blank, media_id="b")}, 0)])
    assert titles(found) == {"a": (None, 9), "b": (None, None)}
    older = published_media({"a": media_row("older")}, 1)
    assert titles(index_of([published_media({"a": media_row(blank)}, 0), older])) == {"a": ("older", None)}


def test_a_media_without_a_row_has_no_title() -> None:
    found = index_of([published_media({"zero": None, "untitled": media_row(media_id="untitled", duration=9)})])

    assert titles(found) == {"zero": (None, None), "untitled": (None, 9)}
    assert found.series == 1


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": media_row("t", 1)}, {"a": media_row("t", 2)}, {"a": ("t", 2)}),
        ({"a": media_row("t", 1)}, {"a": media_row("u", 1)}, {"a": ("u", 1)}),
        ({"a": media_row("t", 1)}, {"a": None}, {"a": (None, None)}),
        ({"a": None}, {"a": media_row("t", 1)}, {"a": ("t", 1)}),
        ({"a": media_row("t", 1)}, {"b": media_row("u", 2, "b")}, {"b": ("u", 2)}),
        ({"a": media_row("t", 1)}, {"a": media_row("t", 1), "b": None}, {"a": ("t", 1), "b": (None, None)}),
        (
            {"a": media_row("t", 1), "b": media_row("u", 2, "b")},
            {"a": media_row("t", 1), "b": media_row("v", 2, "b")},
            {"a": ("t", 1), "b": ("v", 2)},
        ),
        ({"a": media_row("t", 1)}, {}, {}),
    ],
)
def test_changes_in_a_slice_appear_immediately(
    before: dict[str, PlayRow | None],
    after: dict[str, PlayRow | None],
    expected: dict[str, tuple[str | None, float | None]],
) -> None:
    found = index_of([published_media(before)], [published_media(after)])

    assert titles(found) == expected
    assert found.series == sum(value is not None for pair in expected.values() for value in pair)


def test_media_of_a_removed_slice_disappear_unless_another_contains_them() -> None:
    stays, is_removed = (
        published_media({"a": media_row("old", 1)}, 2),
        published_media({"a": media_row("new", 2), "b": media_row("b", 3, "b")}, 1),
    )

    found = index_of([stays, is_removed], [stays])

    assert titles(found) == {"a": ("old", 1)}
    assert found.series == 2


def test_the_title_of_another_slice_is_used_when_this_one_becomes_older() -> None:
    other, newest = (
        published_media({"a": media_row("other", 1)}, 1, WEB, at=5.0),
        published_media({"a": media_row("newest", 2)}, 1, NATIVE, at=9.0),
    )
    assert titles(index_of([other, newest])) == {"a": ("newest", 2)}

    own = {"0": media_row("its own", 3, "0"), **newest.rows}
    before, set_back = published_media(own, 1, NATIVE, at=9.0), published_media(own, 1, NATIVE, at=3.0)

    assert titles(index_of([other, before], [other, set_back])) == {"0": ("its own", 3), "a": ("other", 1)}


def test_a_replica_exports_titles_only_of_media_that_it_owns() -> None:
    slices = [published_media({"a": media_row("t", 1), "b": media_row("u", 2, "b")})]

    assert titles(
        index_of(slices, media_info_ownership={"main": MediaInfoOwnership(all=False, but=frozenset("a"))})
    ) == {
        "a": ("t", 1),
        "b": (None, None),
    }
    assert titles(index_of(slices, media_info_ownership={"main": MediaInfoOwnership(all=True)})) == {
        "a": ("t", 1),
        "b": ("u", 2),
    }
    renamed = [published_media({"a": media_row("new", 1)})]
    assert titles(index_of(slices, renamed, media_info_ownership={"main": MediaInfoOwnership(all=True)})) == {
        "a": ("new", 1)
    }
    elsewhere = index_of(slices, media_info_ownership={"other": MediaInfoOwnership(all=True)})
    assert titles(elsewhere) == {"a": (None, None), "b": (None, None)}
    assert elsewhere.series == 0


def test_media_stay_the_same_objects_while_nothing_changes() -> None:
    slices = [published_media({"a": media_row("t", 1)})]
    found = index_of(slices)
    before = found.media

    found.update(tuple(slices))
    assert found.media is before
    found.update((published_media({"a": media_row("t", 1)}, at=2.0),))
    assert found.media is before


def test_accounts_have_independent_titles() -> None:
    mine = published_media({"a": media_row("mine", 1)})
    theirs = replace(mine, slice=replace(mine.slice, account="other"), rows={"a": media_row("theirs", 2)})

    found = index_of([mine, theirs])

    assert set(found.media) == {PublishedMedia("main", "a", "mine", 1), PublishedMedia("other", "a", "theirs", 2)}
    found.update((mine,))
    assert found.media == (PublishedMedia("main", "a", "mine", 1),)
