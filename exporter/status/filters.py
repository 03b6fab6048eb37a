"""Parse a query string into the filters of the status page, or report every error in it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES
from exporter.core.play_dates import OLDEST_DAYS_AGO
from exporter.errors import ExporterError
from exporter.status.languages import LANGUAGES
from exporter.status.model import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

SORTS: Final = ("days_ago", "age", "rows", "state")
MEDIA_SORTS: Final = ("lost", "plays", "fall", "rise", "title")
MEDIA_CHANGES: Final = ("dropped",)
MOST_PER_PAGE: Final = 1000
# Where the page has other defaults than the JSON.
PAGE_DEFAULTS: Final[Mapping[str, Any]] = {"per_page": 20, "media_sort": "lost"}
# An error is a long sentence; a short query string must not cause a long response.
_MOST_PROBLEMS: Final = 10
_MOST_PAGES: Final = 1_000_000
_LONGEST_TEXT: Final = 200
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "state": tuple(State),
    "terminal_type": ("all", *TERMINAL_TYPES),
    "os": ("all", *OPERATING_SYSTEMS),
    "region": ("all", *REGIONS),
    "sort": SORTS,
    "media_sort": MEDIA_SORTS,
    "media_change": MEDIA_CHANGES,
    "lang": LANGUAGES,
}
_NUMBERS: Final = {
    "days_ago": (0, OLDEST_DAYS_AGO),
    "page": (1, _MOST_PAGES),
    "media_page": (1, _MOST_PAGES),
    "per_page": (1, MOST_PER_PAGE),
    "created_within": (1, 3650),
}


class FilterError(ExporterError):
    """A query string with errors; `problems` are one sentence each, at most ten."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Filters:
    """What the page shows; empty and None do not filter.

    `media` is a part of an ID or title. `sort` and `page` apply to slices, `media_sort` and `media_page` to media.
    `media_change` is `dropped` for media that lost many of their expected plays. `category` is a path that includes
    those below it; `created_within` is in days.
    """

    account: str = ""
    query: str = ""
    days_ago: int | None = None
    state: str = ""
    terminal_type: str = ""
    os: str = ""
    region: str = ""
    media: str = ""
    sort: str = "days_ago"
    media_sort: str = "plays"
    page: int = 1
    media_page: int = 1
    per_page: int = 50
    lang: str = ""
    media_change: str = ""
    category: str = ""
    tag: str = ""
    created_within: int | None = None

    def query_string(self, **changes: str | int | None) -> str:
        """Return these filters with changes as a query string: `?` and every value that is not the page's default."""
        default = Filters(**PAGE_DEFAULTS)
        filters = replace(self, **changes)  # type: ignore[arg-type]  # templates have no types
        values = {field.name: getattr(filters, field.name) for field in fields(Filters)}
        return "?" + urlencode({name: value for name, value in values.items() if value != getattr(default, name)})

    def reset(self, **changes: str | int | None) -> str:
        """Return a query string of only the changes, with the language and page size of these filters."""
        kept = {**PAGE_DEFAULTS, "lang": self.lang, "per_page": self.per_page}
        return Filters(**kept).query_string(**changes)

    @property
    def is_filtered(self) -> bool:
        """Whether any filter is set."""
        texts = (self.account, self.query, self.terminal_type, self.os, self.region, self.media, self.media_change)
        return any(texts) or bool(self.category or self.tag or self.created_within) or self.filters_slices

    @property
    def filters_slices(self) -> bool:
        """Whether a filter, page or order of slices is set."""
        return bool(self.state) or self.days_ago is not None or self.page > 1 or self.sort != SORTS[0]


def parse(given: Iterable[tuple[str, str]], **defaults: Any) -> Filters:
    """Parse the names and values of a query string; an empty value counts as not given. Raises FilterError."""
    problems: list[str] = []
    chosen: dict[str, str | int] = {}
    known = [field.name for field in fields(Filters)]
    for name, text in given:
        if len(problems) == _MOST_PROBLEMS:
            break
        if name not in known:
            problems.append(f"{_quoted(name)} is not a parameter; there are {', '.join(known)}")
        elif name in chosen:
            problems.append(f"{name} is given twice")
        elif text.strip():
            try:
                chosen[name] = _value(name, text.strip())
            except ValueError as error:
                problems.append(f"{name}: {error}")
    if problems:
        raise FilterError(*problems)
    return Filters(**{**defaults, **chosen})


def check(filters: Filters, *, accounts: Collection[str], queries: Collection[str]) -> None:
    """Check that the account and query are configured. Raises FilterError."""
    problems = [
        f"{name}: {_quoted(value)} is not configured"
        for name, value, known in (("account", filters.account, accounts), ("query", filters.query, queries))
        if value and value not in known
    ]
    if problems:
        raise FilterError(*problems)


def _value(name: str, text: str) -> str | int:
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
            raise ValueError(f"{text[:60]!a} is not a number from {least} to {most}")
        return int(text)
    if name in _WORDS and text not in _WORDS[name]:
        raise ValueError(f"{_quoted(text)} is not one of {', '.join(_WORDS[name])}")
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"is longer than {_LONGEST_TEXT} characters")
    return text


def _quoted(text: str) -> str:
    return repr(text[:60])
