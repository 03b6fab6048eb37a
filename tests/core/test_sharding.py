from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES, Dimensions
from exporter.core.sharding import WHOLE, Shard
from tests.core.fake_service import (
    ALL,
    everything,
    ids,
    query,
    top,
)

if TYPE_CHECKING:
    from exporter.core.model import Media, Query

EVERY_FILTER = tuple(
    Dimensions(*values)
    for values in itertools.product((None, *TERMINAL_TYPES), (None, *OPERATING_SYSTEMS), (None, *REGIONS))
)
WIDE = query(everything, "wide", dimensions=EVERY_FILTER, days_ago=(0, 1, 2, 8, 9))


def owners(total: int, *queries: Query) -> dict[tuple[str, Dimensions], list[int]]:
    """The shards that own each combination of a query and filters."""
    found: dict[tuple[str, Dimensions], list[int]] = {(q.name, d): [] for q in queries for d in q.dimensions}
    for number in range(total):
        for shared in Shard(number, total).assign(queries).queries:
            for dimensions in shared.dimensions:
                found[shared.name, dimensions].append(number)
    return found


def test_a_single_replica_does_everything() -> None:
    assignment = WHOLE.assign([WIDE])

    assert assignment.queries == (WIDE,)
    assert "anything" in assignment.media_info_ownership["main"]
    assert assignment.days_ago == frozenset({0, 1, 2, 8, 9})
    assert assignment.parts == {"main": 1.0}


@pytest.mark.parametrize("total", [2, 3, 7])
def test_every_combination_has_one_shard_and_no_shard_has_too_many(total: int) -> None:
    found = owners(total, WIDE)

    assert all(len(numbers) == 1 for numbers in found.values())
    of_each = Counter(numbers[0] for numbers in found.values())
    fair = len(EVERY_FILTER) / total
    assert all(fair / 2 < of_each[number] < fair * 2 for number in range(total))


@pytest.mark.parametrize("total", [1, 2, 5])
def test_an_additional_shard_takes_from_all_others_which_exchange_nothing(total: int) -> None:
    before, after = owners(total, WIDE), owners(total + 1, WIDE)

    moved = {key for key, numbers in after.items() if numbers != before[key]}
    assert moved
    assert all(after[key] == [total] for key in moved)
    assert len(moved) < 2 * len(EVERY_FILTER) / (total + 1)


def test_queries_that_need_the_same_slice_are_on_the_same_shard() -> None:
    other = query(everything, "other", dimensions=EVERY_FILTER, days_ago=(5,), every=60.0)
    found = owners(4, WIDE, other)

    assert all(found["wide", dimensions] == found["other", dimensions] for dimensions in EVERY_FILTER)


def test_the_hash_is_the_same_in_every_process_and_version() -> None:
    # If this changed, every replica would fetch what another one knows after an update.
    found = owners(3, query(everything, dimensions=EVERY_FILTER[:8]))

    assert [number for (number,) in found.values()] == [1, 0, 2, 0, 2, 0, 0, 0]


def test_each_day_is_exported_by_one_shard() -> None:
    shares = [Shard(number, 5).assign([WIDE]) for number in range(5)]

    assert Counter(ago for share in shares for ago in share.days_ago) == Counter((0, 1, 2, 8, 9))


IOS, LINUX, WEB_IOS = Dimensions(os="iOS"), Dimensions(os="Linux"), Dimensions(terminal_type="Web", os="iOS")


def filtered_query(media: Media, *dimensions: Dimensions) -> Query:
    return query(media, dimensions=dimensions)


@pytest.mark.parametrize(
    ("queries", "describing"),
    [
        pytest.param([filtered_query(everything, IOS, ALL)], {"a": ALL}, id="least filtered"),
        pytest.param([filtered_query(everything, IOS), filtered_query(top(1), ALL)], {"a": ALL}, id="of all that list"),
        pytest.param(
            [filtered_query(everything, IOS), filtered_query(ids("b"), ALL)],
            {"a": IOS, "b": ALL},
            id="not by other names",
        ),
        pytest.param(
            [filtered_query(ids("a"), WEB_IOS), filtered_query(ids("b"), LINUX)],
            {"a": WEB_IOS, "b": LINUX},
            id="by name",
        ),
        pytest.param(
            [filtered_query(ids("a", "b"), IOS), filtered_query(ids("b"), ALL)], {"a": IOS, "b": ALL}, id="named twice"
        ),
        pytest.param([filtered_query(ids("a"), LINUX, IOS)], {"a": LINUX}, id="by as many filters"),
        pytest.param(
            [filtered_query(ids("a"), LINUX), filtered_query(everything, ALL)],
            {"a": ALL, "b": ALL},
            id="listed for sure",
        ),
        pytest.param(
            [filtered_query(ids("a"), LINUX), filtered_query(top(1), ALL)], {"a": LINUX, "b": ALL}, id="top may not"
        ),
        pytest.param(
            [filtered_query(ids("a"), LINUX), filtered_query(everything, IOS)],
            {"a": LINUX, "b": IOS},
            id="nor all, filtered",
        ),
    ],
)
@pytest.mark.parametrize("total", [1, 2, 3, 50])
def test_title_and_length_are_owned_by_one_shard_with_the_fewest_filters(
    total: int, queries: list[Query], describing: dict[str, Dimensions]
) -> None:
    for media_id, dimensions in describing.items():
        (owner,) = owners(total, filtered_query(everything, dimensions))["q", dimensions]
        for order in (queries, queries[::-1]):
            shares = [Shard(number, total).assign(order) for number in range(total)]
            assert [n for n, share in enumerate(shares) if media_id in share.media_info_ownership["main"]] == [owner]


def test_each_account_has_its_own_media_info_owner() -> None:
    shares = [Shard(n, 5).assign([query(everything, a, account=a) for a in "abcdefgh"]) for n in range(5)]

    describing = [
        [n for n, share in enumerate(shares) if "m" in share.media_info_ownership[account]] for account in "abcdefgh"
    ]
    assert all(len(numbers) == 1 for numbers in describing)
    assert len({number for (number,) in describing}) > 1


def test_the_parts_of_an_account_follow_its_polls_and_add_up_to_one() -> None:
    often = query(everything, "often", dimensions=(ALL,), every=60.0)
    rarely = query(everything, "rarely", dimensions=EVERY_FILTER[1:], every=86_400.0)
    parts = {number: Shard(number, 3).assign([often, rarely]).parts["main"] for number in range(3)}

    assert sum(parts.values()) == pytest.approx(1.0)
    (owner,) = owners(3, often)["often", ALL]
    assert parts[owner] > 0.9


def test_days_are_distributed_over_the_shards() -> None:
    month = query(everything, days_ago=tuple(range(31)))

    assert all(Shard(number, 3).assign([month]).days_ago for number in range(3))


def test_the_categories_of_each_account_are_exported_by_one_shard() -> None:
    assignments = [Shard(n, 3).assign([query(everything, a, account=a) for a in "abcdefgh"]) for n in range(3)]

    exported = Counter(account for each in assignments for account in each.category_accounts)
    assert exported == dict.fromkeys("abcdefgh", 1)
    assert all(each.category_accounts for each in assignments)
    assert WHOLE.assign([query(everything, account="a")]).category_accounts == {"a"}


def test_no_shard_owns_other_media_when_all_are_configured_by_id() -> None:
    assignment = WHOLE.assign([query(ids("a"))])

    assert "a" in assignment.media_info_ownership["main"]
    assert "b" not in assignment.media_info_ownership["main"]
