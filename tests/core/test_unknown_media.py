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

OBSERVED = Freshness(0.0)


def data(played_by_id: dict[str, bool], *, account: str = "main", days: int = 0, listed: bool = False) -> SliceData:
    """A slice in which these media were requested; those that are true have a row."""
    records = {
        media_id: MediaRecord(row(media_id) if played else None, OBSERVED) for media_id, played in played_by_id.items()
    }
    slice_ = Slice(account, ALL, YESTERDAY - timedelta(days))
    return SliceData(slice_, records=records, listed=OBSERVED if listed else None)


def test_an_id_that_was_requested_and_never_had_a_row_is_unknown() -> None:
    configured, unknown = query(ids("played", "mistyped", "not requested yet")), UnknownMedia()
    unknown.set_queries([configured], [])
    assert unknown.of(configured) == set()

    unknown.update([data({"played": True, "mistyped": False, "not configured": False})])

    assert unknown.of(configured) == {"mistyped"}


def test_one_row_on_any_day_makes_an_id_known_for_good() -> None:
    configured, unknown = query(ids("a", "b")), UnknownMedia()
    unknown.set_queries([configured], [data({"a": False, "b": False})])
    assert unknown.of(configured) == {"a", "b"}
    unknown.update([data({"a": True}, days=9)])
    unknown.update([data({"a": False, "b": False}, days=1)])
    assert unknown.of(configured) == {"b"}
    unknown.set_queries([configured], [])
    assert unknown.of(configured) == {"b"}, "a reload keeps what is known"


def test_a_listing_without_the_id_counts_and_another_account_does_not() -> None:
    configured, unknown = query(ids("a", "b")), UnknownMedia()
    unknown.set_queries([configured, query(everything, "all"), query(ids("a"), "other", account="other")], [])
    unknown.update([data({"b": True}, listed=True), data({"a": True}, account="other")])
    assert unknown.of(configured) == {"a"}
    assert unknown.of(query(everything, "all")) == set()


def test_an_id_removed_from_the_configuration_is_forgotten() -> None:
    unknown = UnknownMedia()
    unknown.set_queries([query(ids("a", "b"))], [data({"a": False, "b": False})])
    unknown.set_queries([query(ids("b"))], [])
    assert unknown.of(query(ids("a", "b"))) == {"b"}
    unknown.set_queries([], [])
    assert unknown.of(query(ids("a", "b"))) == set()


def test_slices_before_any_query_are_ignored() -> None:
    unknown = UnknownMedia()
    unknown.update([data({"a": True})])
    assert unknown.of(query(ids("a"))) == set()


def test_an_id_that_had_a_row_stays_known_over_a_reload() -> None:
    configured, unknown = query(ids("a")), UnknownMedia()
    unknown.set_queries([configured], [data({"a": True})])
    unknown.set_queries([configured], [])
    unknown.update([data({"a": False}, days=1)])
    assert unknown.of(configured) == set()
