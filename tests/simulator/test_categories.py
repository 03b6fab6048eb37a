from __future__ import annotations

from typing import Any

import pytest

from exporter.simulator.categories import ROOT, CategoryTree
from exporter.simulator.variants import parse_variants
from tests.simulator.account_requests import requested
from tests.simulator.clients import Clock, simulator

CATEGORIES = "GetCategories"
TREE = CategoryTree()


def test_the_tree_has_three_levels_and_awkward_names() -> None:
    names = [each.name for each in TREE.by_id.values()]
    assert {each.level for each in TREE.by_id.values()} == {0, 1, 2}
    assert len(names) > len(set(names))
    assert any("/" in name for name in names)
    assert any('"' in name for name in names)
    assert len(TREE.children(ROOT)) > 10
    algebra = next(each for each in TREE.by_id.values() if each.name == "代数")
    assert TREE.path(algebra.category_id) == "课程/数学/代数"
    for each in TREE.by_id.values():
        parent = TREE.by_id.get(each.parent_id)
        assert each.level == (parent.level + 1 if parent else 0)
        assert {child.category_id for child in TREE.children(each.category_id)} < TREE.with_descendants(
            each.category_id
        )


async def test_the_whole_tree_can_be_read(clock: Clock) -> None:
    service = simulator(clock)
    found: dict[int, dict[str, Any]] = {}
    waiting = [ROOT]
    while waiting:
        document = await requested(service, clock, CATEGORIES, CateId=waiting.pop(), PageSize=100)
        rows = document["SubCategories"]["Category"]
        assert len(rows) == document["SubTotal"]
        found |= {row["CateId"]: row for row in rows}
        waiting += [row["CateId"] for row in rows if row["SubTotal"]]
    assert {id_: (row["CateName"], row["Level"], row["ParentId"]) for id_, row in found.items()} == {
        id_: (each.name, each.level, each.parent_id) for id_, each in TREE.by_id.items()
    }


async def test_pages(clock: Clock) -> None:
    service = simulator(clock)
    first = await requested(service, clock, CATEGORIES)
    second = await requested(service, clock, CATEGORIES, PageNo=2)
    rows = [row["CateId"] for page in (first, second) for row in page["SubCategories"]["Category"]]
    assert len(first["SubCategories"]["Category"]) == 10
    assert rows == [each.category_id for each in TREE.children(ROOT)]


@pytest.mark.parametrize(("form", "expected"), [("present", {"CateId": -1}), ("absent", None)])
async def test_the_root(clock: Clock, form: str, expected: dict[str, int] | None) -> None:
    service = simulator(clock, variants=parse_variants([f"root_category:{form}"]))
    assert (await requested(service, clock, CATEGORIES)).get("Category") == expected


async def test_numbers_as_strings(clock: Clock) -> None:
    service = simulator(clock, variants=parse_variants(["numbers:strings"]))
    row = (await requested(service, clock, CATEGORIES))["SubCategories"]["Category"][0]
    assert (row["Level"], row["ParentId"], row["SubTotal"]) == ("0", "-1", "3")


async def test_material_has_none(clock: Clock) -> None:
    assert (await requested(simulator(clock), clock, CATEGORIES, Type="material"))["SubTotal"] == 0


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"CateId": 5}, "InvalidCateId.NotFound"),
        ({"CateId": "x"}, "InvalidParameter"),
        ({"Type": "x"}, "InvalidParameter"),
        ({"PageSize": 101}, "InvalidParameter"),
    ],
)
async def test_wrong_parameters(clock: Clock, parameters: dict[str, object], code: str) -> None:
    assert (await requested(simulator(clock), clock, CATEGORIES, **parameters))["Code"] == code
