"""Plays against expected plays of accounts: the same numbers as the list of media, and as `fetch`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.commands.lost_plays import settled_plays
from exporter.core.model import Dimensions
from exporter.status.expectations import Expectations, account_losses
from exporter.status.filters import Filters
from exporter.status.media import media
from tests.status.examples import EVERYTHING, EXPECTING, by_ids, day, known, observed, weekly

if TYPE_CHECKING:
    from exporter.status.expected_views import LossView
    from exporter.status.model import StatusInput

IOS = Dimensions(os="iOS")
counts = st.none() | st.integers(0, 1000)
catalogues = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.tuples(counts, counts, counts, counts))


def of(status: StatusInput) -> tuple[LossView, ...]:
    return account_losses(status, Expectations(status))


@given(plays=catalogues, ids=st.frozensets(st.text("abcdef", min_size=1, max_size=3), max_size=5))
def test_sums_and_drops_are_those_of_the_listed_media_in_the_order_of_lost_plays(
    plays: dict[str, tuple[float | None, ...]], ids: frozenset[str]
) -> None:
    queries = (EXPECTING, replace(by_ids(*ids), expected=True)) if ids else (EXPECTING,)
    status = observed(*weekly(plays), queries=queries)
    expectations = Expectations(status)

    (loss,) = account_losses(status, expectations)
    listed = media(status, Filters(media_sort="lost"), expectations)
    expecting = [view for view in listed if view.expected is not None]

    assert loss.play_date == day(1)
    assert loss.media == len(expecting)
    if expecting:
        assert loss.plays == sum(view.plays or 0 for view in expecting)
        assert loss.expected == pytest.approx(sum(view.expected or 0 for view in expecting))
        assert loss.lost == pytest.approx(sum(view.lost or 0 for view in expecting))
    dropped = media(status, Filters(media_sort="lost", media_change="dropped"), expectations)
    assert loss.dropped == len(dropped)
    assert dropped == [view for view in listed if view in dropped]
    assert [view.lost for view in expecting] == sorted((view.lost or 0 for view in expecting), reverse=True)
    fetched = [(row["media_id"], row["plays"], row["lost"]) for row in settled_plays(status.publication)]
    (settled_day,) = status.publication.settled_days
    assert fetched == [(view.media_id, view.plays, view.lost) for view in listed if view.media_id in settled_day.rows]


def test_the_json_of_an_account() -> None:
    status = observed(
        *weekly({"a": (40, 200, 200, 200), "b": (30, 20, 20, 20), "c": (1, 1, 1, 1)}), queries=[EXPECTING]
    )

    assert [asdict(view) for view in of(status)] == [
        {
            "account": "main",
            "terminal_type": "all",
            "os": "all",
            "region": "all",
            "setting": "on",
            "play_date": day(1),
            "media": 3,
            "plays": 71,
            "expected": 221,
            "lost": 150,
            "dropped": 1,
            "missing": (),
        }
    ]


def test_of_the_combinations_with_a_settled_day_the_one_with_the_fewest_filters_counts() -> None:
    query = replace(EXPECTING, dimensions=(Dimensions(), IOS, Dimensions(os="iOS", region="cn-beijing")))

    (loss,) = of(observed(*weekly({"a": (1, 2, 2, 2)}, dimensions=IOS), known(1, {"a": 9}), queries=[query]))

    assert (loss.os, loss.region, loss.play_date, loss.plays) == ("iOS", "all", day(1), 1)


def test_accounts_without_expected_plays_say_why() -> None:
    older = replace(EXPECTING, days_ago=(2, 9))

    assert [view.setting for view in of(observed(queries=[EVERYTHING, replace(older, account="second")]))] == [
        "off",
        "no_yesterday",
    ]
    assert [view.setting for view in of(observed(queries=[EVERYTHING, older, EXPECTING]))] == ["on"]
    assert of(observed(queries=[])) == ()
