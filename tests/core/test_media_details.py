from __future__ import annotations

import pytest

from exporter.core.media_details import Category, CategoryTree, Search, UnknownCategoryError

TREE = CategoryTree(
    [
        Category(1, "课程", None, 0),
        Category(2, "数学", 1, 1),
        Category(3, "代数", 2, 2),
        Category(4, "Live", None, 0),
        Category(5, "Q/A", 4, 1),
        Category(6, "数学", 4, 1),
        Category(7, "Live", None, 0),
    ]
)


@pytest.mark.parametrize(
    ("wanted", "subcategories", "ids"),
    [
        ((1,), True, {1, 2, 3}),
        ((1,), False, {1}),
        (("课程/数学",), True, {2, 3}),
        (("课程/数学", 4), False, {2, 4}),
        (("Live/Q/A",), True, {5}),
        (("Live",), False, {4, 7}),
        (("Live",), True, {4, 5, 6, 7}),
    ],
)
def test_categories_by_id_and_path(wanted: tuple[int | str, ...], ids: set[int], *, subcategories: bool) -> None:
    assert TREE.resolve(Search(categories=wanted, subcategories=subcategories)) == ids


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (99, "no category with the ID 99"),
        ("数学", r"no category 数学; did you mean Live/数学\?"),
        ("x", "no category x$"),
    ],
)
def test_an_unknown_category_is_named(wanted: int | str, message: str) -> None:
    with pytest.raises(UnknownCategoryError, match=message):
        TREE.resolve(Search(categories=(wanted,)))


def test_parents_that_form_a_circle_end() -> None:
    circle = CategoryTree([Category(1, "a", 2, 0), Category(2, "b", 1, 1)])
    assert circle.path(1) == "b/a"
    assert circle.resolve(Search(categories=(1,))) == {1, 2}


def test_a_category_elsewhere_in_the_tree_is_suggested_by_the_last_name_of_a_path() -> None:
    with pytest.raises(UnknownCategoryError, match=r"no category Courses/代数; did you mean 课程/数学/代数\?"):
        TREE.resolve(Search(categories=("Courses/代数",)))


@pytest.mark.parametrize(
    ("search", "needed"),
    [
        (Search(tags=("a",)), False),
        (Search(categories=(1,)), True),  # with its subcategories
        (Search(categories=(1,), subcategories=False), False),
        (Search(categories=(1, "Live"), subcategories=False), True),
    ],
)
def test_the_tree_is_needed_for_paths_and_subcategories(search: Search, *, needed: bool) -> None:
    assert search.needs_categories is needed


def test_trees_with_the_same_categories_are_equal() -> None:
    assert CategoryTree(TREE) == TREE
    assert CategoryTree() != TREE
    assert list(TREE) != TREE
