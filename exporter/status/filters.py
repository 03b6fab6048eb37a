"""A query string → which slices and media are shown, or every mistake in it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES
from exporter.core.play_dates import OLDEST_DAYS_AGO
from exporter.errors import ExporterError
from exporter.status.languages import LANGUAGES
from exporter.status.views import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

SORTS: Final = ("days_ago", "age", "rows", "state")
MEDIA_SORTS: Final = ("plays", "fall", "rise", "title")
MEDIA_CHANGES: Final = ("dropped",)
MOST_PER_PAGE: Final = 1000
# Of the page, where people read; scripts get more.
ROWS_ON_PAGE: Final = 20
# Each is a long sentence; a short query string must not get a long answer.
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
}


class FilterError(ExporterError):
    """A query string that cannot be used; `problems` are sentences, all of them up to ten."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Filters:
    """What is looked at; empty and None are no filter.

    `media` is an ID or part of a title. `sort` and `page` are of slices, `media_sort` and `media_page` of media,
    and `media_change` is `dropped` for media that lost many plays.
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

    def query_string(self, **changes: str | int | None) -> str:
        """This choice with changes, as the query string of the page: `?` and what is not its default."""
        default = Filters(per_page=ROWS_ON_PAGE)
        chosen = replace(self, **changes)  # type: ignore[arg-type]  # templates have no types
        given = {field.name: getattr(chosen, field.name) for field in fields(Filters)}
        return "?" + urlencode({name: value for name, value in given.items() if value != getattr(default, name)})

    def reset(self, **changes: str | int | None) -> str:
        """The query string of the page for nothing but changes, in the same language."""
        return Filters(lang=self.lang, per_page=self.per_page).query_string(**changes)

    @property
    def is_filtered(self) -> bool:
        """Whether anything is left out."""
        texts = (self.account, self.query, self.terminal_type, self.os, self.region, self.media, self.media_change)
        return any(texts) or self.filters_slices

    @property
    def filters_slices(self) -> bool:
        """Whether somebody looks for certain slices, or for another page or order of them."""
        return bool(self.state) or self.days_ago is not None or self.page > 1 or self.sort != SORTS[0]


def parse(given: Iterable[tuple[str, str]], **defaults: int) -> Filters:
    """Names and values of a query string; a value that is empty is as if it were not there. Raises ChoiceError."""
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
    return Filters(**{**defaults, **chosen})  # type: ignore[arg-type]  # _value gives what the field takes


def check(choice: Filters, *, accounts: Collection[str], queries: Collection[str]) -> None:
    """Whether what is chosen exists. Raises ChoiceError."""
    wrong = [
        f"{name}: {_quoted(value)} is not configured"
        for name, value, known in (("account", choice.account, accounts), ("query", choice.query, queries))
        if value and value not in known
    ]
    if wrong:
        raise FilterError(*wrong)


def _value(name: str, text: str) -> str | int:
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
            raise ValueError(f"{_quoted(text)} is not a number from {least} to {most}")
        return int(text)
    if name in _WORDS and text not in _WORDS[name]:
        raise ValueError(f"{_quoted(text)} is not one of {', '.join(_WORDS[name])}")
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"is longer than {_LONGEST_TEXT} characters")
    return text


def _quoted(text: str) -> str:
    return ascii(text[:60])
