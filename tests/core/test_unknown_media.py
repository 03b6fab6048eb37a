from __future__ import annotations

from datetime import timedelta

from exporter.core.model import Freshness, MediaRecord, Slice, SliceData
from exporter.core.unknown_media import UnknownMedia
from tests.core.fake_service import (
    ALL,
    YESTERDAY,
    everything,
    ids,
    query,
    row,
)

HEARD = Freshness(0.0)


def data(answers: dict[str, bool], *, account: str = "main", days: int = 0, listed: bool = False) -> SliceData:
    """A slice in which these media were asked for: those that are true have a row."""
    told = {media_id: MediaRecord(row(media_id) if named else None, HEARD) for media_id, named in answers.items()}
    slice_ = Slice(account, ALL, YESTERDAY - timedelta(days))
    return SliceData(slice_, answers=told, listed=HEARD if listed else None)


def test_an_id_that_was_requested_and_never_had_a_row_is_unknown() -> None:
    asked, unknown = query(ids("played", "mistyped", "not asked yet")), UnknownMedia()
    unknown.follow([asked], [])
    assert unknown.of(asked) == set()

    unknown.update([data({"played": True, "mistyped": False, "not listed": False})])

    assert unknown.of(asked) == {"mistyped"}


def test_one_row_on_any_day_makes_an_id_known_for_good() -> None:
    asked, unknown = query(ids("a", "b")), UnknownMedia()
    unknown.follow([asked], [data({"a": False, "b": False})])
    assert unknown.of(asked) == {"a", "b"}
    unknown.update([data({"a": True}, days=9)])
    unknown.update([data({"a": False, "b": False}, days=1)])
    assert unknown.of(asked) == {"b"}
    unknown.follow([asked], [])
    assert unknown.of(asked) == {"b"}, "a reload forgets nothing"


def test_a_listing_without_the_id_counts_and_another_account_does_not() -> None:
    asked, unknown = query(ids("a", "b")), UnknownMedia()
    unknown.follow([asked, query(everything, "all"), query(ids("a"), "other", account="other")], [])
    unknown.update([data({"b": True}, listed=True), data({"a": True}, account="other")])
    assert unknown.of(asked) == {"a"}
    assert unknown.of(query(everything, "all")) == set()


def test_an_id_removed_from_the_configuration_is_forgotten() -> None:
    unknown = UnknownMedia()
    unknown.follow([query(ids("a", "b"))], [data({"a": False, "b": False})])
    unknown.follow([query(ids("b"))], [])
    assert unknown.of(query(ids("a", "b"))) == {"b"}
    unknown.follow([], [])
    assert unknown.of(query(ids("a", "b"))) == set()
