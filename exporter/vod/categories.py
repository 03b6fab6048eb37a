"""GetCategories: the categories below one category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.core.media_details import Category
from exporter.vod import metadata_values as values
from exporter.vod.actions import Action
from exporter.vod.error_bodies import malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = -1
PAGE_SIZE: Final = 100
NOT_FOUND: Final = "InvalidCateId.NotFound"


@dataclass(frozen=True, slots=True)
class CategoryPage:
    """One response: categories, those of them with categories below, and the number of all; None if not given.

    `listed`: how many it lists, also those without a usable ID or name.
    """

    categories: tuple[Category, ...]
    parents: frozenset[int]
    total: int | None
    listed: int


def _decode(body: bytes, parameters: Mapping[str, str]) -> CategoryPage:
    document, body = values.parsed(body, "GetCategories", ("SubCategories", "SubTotal", "Category"))
    parent = int(parameters["CateId"])
    rows, categories, parents = values.objects(document, "SubCategories", "Category"), [], set()
    if len(rows) > int(parameters["PageSize"]):
        raise malformed(f"SubCategories has {len(rows)} rows, but {parameters['PageSize']} were requested")
    data = ["SubCategories", *(["Category"] if isinstance(document.get("Category"), dict) else [])]
    values.check_success(body, data, has_rows=bool(rows))
    for each in rows:
        category_id, name = values.whole(each.get("CateId")), values.text(each.get("CateName"))
        if category_id is None or category_id <= 0 or not name:
            continue
        level = values.whole(each.get("Level"))
        categories.append(Category(category_id, name, None if parent == ROOT else parent, max(level or 0, 0)))
        # If the number of children is missing, they are requested, down to the deepest level.
        children = values.whole(each.get("SubTotal"))
        if children or (children is None and (level or 0) < _DEEPEST):
            parents.add(category_id)
    if rows and not categories:
        raise malformed("no row of SubCategories has an ID and a name that can be used")
    return CategoryPage(tuple(categories), frozenset(parents), values.whole(document.get("SubTotal")), len(rows))


# "最多 3 级分类" (Alibaba Cloud's page): levels 0 to 2.
_DEEPEST: Final = 2

# Name, version, permission and error codes: Alibaba Cloud's pages of 2021 to 2026.
CATEGORIES: Final = Action("GetCategories", "2017-03-21", "vod:GetCategories", _decode, (NOT_FOUND,))


def parameters(parent: int, page: int) -> dict[str, str]:
    """The parameters of one page of the categories below a category, or below ROOT."""
    return {"CateId": str(parent), "PageNo": str(page), "PageSize": str(PAGE_SIZE)}
