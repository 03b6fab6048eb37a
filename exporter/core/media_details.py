"""The data types of searches and metadata: what is searched for, what is known about a video, and the categories."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MEDIA_PER_CALL: Final = 20
"""Media whose metadata one call returns (Alibaba Cloud's page of GetVideoInfos)."""
LABELS: Final = ("category", "status", "app_id", "storage_class", "reference_id")
"""What can be a label of media; `category` is two of them, the ID and the path."""


@dataclass(frozen=True, slots=True)
class Search:
    """The media that a query searches for: those that meet every given condition.

    * `categories`: IDs, or paths such as `Courses/Maths`; any of them. `subcategories`: also those below them.
    * `tags`, `statuses`: any of them, compared exactly. `title`: contained in the title.
    * `created_within`: created at most this many seconds ago.
    * `every`: seconds between two refreshes; not a condition.
    """

    categories: tuple[int | str, ...] = ()
    subcategories: bool = True
    tags: tuple[str, ...] = ()
    title: str | None = None
    statuses: tuple[str, ...] = ()
    created_within: float | None = None
    every: float = field(default=3_600.0, compare=False)

    @property
    def needs_categories(self) -> bool:
        """Whether the tree of categories has to be read first."""
        return bool(self.categories) and (self.subcategories or any(isinstance(each, str) for each in self.categories))


@dataclass(frozen=True, slots=True)
class MediaDetails:
    """What the service returned about one video. None is "not given".

    * `category_id`, `category`: ID and name of its category; None also for media without a category.
    * `created_at`, `observed_at`: seconds since 1970; `observed_at` is not compared.
    """

    media_id: str
    title: str | None = None
    category_id: int | None = None
    category: str | None = None
    tags: tuple[str, ...] | None = None
    status: str | None = None
    created_at: float | None = None
    app_id: str | None = None
    storage_class: str | None = None
    reference_id: str | None = None
    observed_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Category:
    """A category of media; `parent_id` is None and `level` 0 at the top."""

    category_id: int
    name: str
    parent_id: int | None
    level: int


class UnknownCategoryError(ValueError):
    """A category that is searched for is not in the tree; the message names it."""


class CategoryTree:
    """The categories of an account; compared by value."""

    def __init__(self, categories: Iterable[Category] = ()) -> None:
        self._by_id: Mapping[int, Category] = {each.category_id: each for each in categories}
        self._paths = {each: self._path(each) for each in self._by_id}

    def __eq__(self, other: object) -> bool:
        """Whether both have the same categories."""
        return isinstance(other, CategoryTree) and self._by_id == other._by_id

    __hash__ = None  # type: ignore[assignment]  # never a key

    def __iter__(self) -> Iterator[Category]:
        """The categories, by ID."""
        return (self._by_id[each] for each in sorted(self._by_id))

    def path(self, category_id: int) -> str | None:
        """The names from the top down to a category, joined by slashes; None if there is no such category."""
        return self._paths.get(category_id)

    def resolve(self, search: Search) -> frozenset[int]:
        """The IDs of the categories that are searched for. Raises UnknownCategoryError."""
        wanted = {each for category in search.categories for each in self._matching(category)}
        if search.subcategories:
            wanted |= {each for each in self._by_id if not wanted.isdisjoint(self._ancestors(each))}
        return frozenset(wanted)

    def _matching(self, category: int | str) -> Iterable[int]:
        """The category with an ID, or those with a path: siblings may have equal names."""
        if isinstance(category, int):
            if category not in self._by_id:
                raise UnknownCategoryError(f"there is no category with the ID {category}")
            return (category,)
        found = [each for each, path in self._paths.items() if path == category]
        if not found:
            elsewhere = sorted(path for path in self._paths.values() if path.split("/")[-1] == category.split("/")[-1])
            hint = f"; did you mean {elsewhere[0]}?" if elsewhere else ""
            raise UnknownCategoryError(f"there is no category {category}{hint}")
        return found

    def _path(self, category_id: int) -> str:
        names = [self._by_id[each].name for each in self._ancestors(category_id)]
        return "/".join(reversed(names))

    def _ancestors(self, category_id: int) -> list[int]:
        """A category and all above it, upwards; also ends where parents form a circle."""
        line: list[int] = []
        at: int | None = category_id
        while at is not None and at in self._by_id and at not in line:
            line.append(at)
            at = self._by_id[at].parent_id
        return line


@dataclass(frozen=True, slots=True)
class AccountMetadata:
    """Everything known about the media of one account.

    * `details`: by media ID. `deleted`: IDs that the service reported as not existing.
    * `tree`: None until it was read.
    """

    details: Mapping[str, MediaDetails] = field(default_factory=lambda: MappingProxyType({}))
    deleted: frozenset[str] = frozenset()
    tree: CategoryTree | None = None


@dataclass(frozen=True, slots=True)
class MetadataRules:
    """What is published of the metadata of an account.

    * `every`: seconds between two refreshes. `labels`: names of LABELS. `tags`: those that have series.
    """

    every: float
    labels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundMedia:
    """The media that a search found, as of `refreshed_at` (seconds since 1970)."""

    media_ids: frozenset[str]
    refreshed_at: float
