"""The categories of the generated account: a tree of three levels, with names that occur twice or contain a slash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.simulator.error_responses import ApiError
from exporter.simulator.parameters import integer, page_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.simulator.variants import Variants

ROOT: Final = -1
_FIRST_ID: Final = 1_000_312_001
# A name, or a name with its subcategories. More than ten at the top: the default page does not have them all.
_TREE: Final[dict[str, dict[str, dict[str, None]]]] = {
    "课程": {"数学": {"代数": None, "几何": None}, "语文": {"古诗": None}, "精选": {}},
    "Courses": {"Mathematics": {"Algebra": None, "Geometry": None}, "Selected": {}},
    "直播回放": {"发布会": {"2025": None, "2026": None}, "精选": {}},
    "Live": {"Replays": {}, "Q/A": {}},
    "音乐": {"现场": {}, "MV": {}},
    "纪录片": {},
    "美食": {},
    "体育": {"篮球": {"集锦": None}, "足球": {"集锦": None}},
    "旅行": {},
    "少儿": {"英语": {}},
    'The "category"': {},
    "内部": {"未发布": {}},
}
_TYPES: Final = ("default", "material")


@dataclass(frozen=True, slots=True)
class Category:
    """A category; those of level 0 have the parent ROOT."""

    category_id: int
    name: str
    level: int
    parent_id: int


def _walk(tree: Mapping[str, Any], level: int, parent_id: int, first: int) -> Iterator[Category]:
    next_id = first
    for name, below in tree.items():
        category = Category(next_id, name, level, parent_id)
        yield category
        next_id += 1
        for each in _walk(below or {}, level + 1, category.category_id, next_id):
            yield each
            next_id += 1


class CategoryTree:
    """The categories of the generated account, by ID."""

    def __init__(self) -> None:
        self.by_id: Final = {each.category_id: each for each in _walk(_TREE, 0, ROOT, _FIRST_ID)}

    def name(self, category_id: int | None) -> str | None:
        """The name of a category; None for none, or for one that does not exist."""
        found = self.by_id.get(category_id) if category_id is not None else None
        return found.name if found else None

    def path(self, category_id: int) -> str:
        """The names from the top down, joined by slashes."""
        category = self.by_id[category_id]
        above = f"{self.path(category.parent_id)}/" if category.parent_id != ROOT else ""
        return above + category.name

    def children(self, category_id: int) -> tuple[Category, ...]:
        """The subcategories one level below."""
        return tuple(each for each in self.by_id.values() if each.parent_id == category_id)

    def with_descendants(self, category_id: int) -> frozenset[int]:
        """A category and all below it."""
        below = (self.with_descendants(child.category_id) for child in self.children(category_id))
        return frozenset({category_id}).union(*below)


NAMES: Final = ("CateId", "Type", "PageNo", "PageSize", "SortBy")


def get_categories(tree: CategoryTree, parameters: Mapping[str, str], variants: Variants) -> dict[str, Any]:
    """The response of GetCategories without RequestId; raises ApiError."""
    category_id = integer("CateId", parameters, ROOT)
    if parameters.get("Type", "default") not in _TYPES:
        raise ApiError("InvalidParameter", f"Type must be one of {' '.join(_TYPES)}.")
    page_no, size = integer("PageNo", parameters, 1, smallest=1), page_size(parameters)
    if category_id != ROOT and category_id not in tree.by_id:
        raise ApiError("InvalidCateId.NotFound")
    children = tree.children(category_id) if parameters.get("Type", "default") == "default" else ()
    shown = children[(page_no - 1) * size : page_no * size]
    response: dict[str, Any] = {
        "SubTotal": len(children),
        "SubCategories": {
            "Category": [{**_fields(each), "SubTotal": len(tree.children(each.category_id))} for each in shown]
        },
    }
    if category_id != ROOT:
        response["Category"] = _fields(tree.by_id[category_id])
    elif variants.root_category == "present":
        response["Category"] = {"CateId": ROOT}
    return response


def _fields(category: Category) -> dict[str, Any]:
    return {
        "CateId": category.category_id,
        "CateName": category.name,
        "Level": category.level,
        "ParentId": category.parent_id,
        "Type": "default",
    }
