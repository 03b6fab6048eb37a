r"""A query string of the status page and its language, `query\nAccept-Language`: a page, JSON, or a refusal."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import parse_qsl

from starlette.datastructures import QueryParams

from exporter.status.filters import MOST_PER_PAGE, FilterError, Filters, parse
from exporter.status.html_page import Pages
from exporter.status.languages import LANGUAGES, preferred
from exporter.status.responses import document
from exporter.status.summary import summarize
from tests.campaigns.fuzz.message_rules import LONGEST_SENTENCE, check_sentence
from tests.campaigns.fuzz.status_source import OBSERVED
from tests.campaigns.fuzz.target import SEEDS, Target

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.campaigns.fuzz.target import Try

_MOST_PROBLEMS: Final = 10


class Tags(HTMLParser):
    """Every tag with the names of its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, name) for name, _ in attrs} | {(tag, "")}


def try_one(fuzz_input: bytes, pages: Pages, tags: set[tuple[str, str]]) -> None:
    """Try the input as it may arrive over the wire."""
    query, _, languages = fuzz_input.decode("latin-1").partition("\n")
    language = preferred(languages)
    assert language in LANGUAGES
    try:
        choice = parse(QueryParams(query).multi_items())
        assert parse(parse_qsl(choice.query_string()[1:])) == choice, "a link leads elsewhere"
        view = summarize(OBSERVED, choice)
    except FilterError as error:
        check_refusal(error)
        return
    check_choice(choice)
    decoded = json.loads(document(view), parse_constant=_refused)
    assert len(decoded["slices"]["rows"]) <= choice.per_page
    found = Tags(pages.render(view, choice.lang or language).decode()).found
    assert found <= tags, f"tags that no template has: {found - tags}"


def check_refusal(error: FilterError) -> None:
    """A short message, however long the query string."""
    assert 1 <= len(error.problems) <= _MOST_PROBLEMS
    for problem in error.problems:
        check_sentence(problem, longest=LONGEST_SENTENCE)


def check_choice(choice: Filters) -> None:
    """No value leads to an endless page."""
    assert 1 <= choice.per_page <= MOST_PER_PAGE
    assert choice.page >= 1
    assert choice.media_page >= 1


def _refused(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


@contextlib.contextmanager
def _opened() -> Generator[Try]:
    pages = Pages("/metrics")
    plain: list[dict[str, Any]] = [{}, {"per_page": 1, "page": 2, "media_page": 2}, {"media": "a"}, {"state": "stale"}]
    views = [summarize(OBSERVED, Filters(**chosen)) for chosen in plain]
    tags = set().union(*(Tags(pages.render(view, "en").decode()).found for view in views))
    yield partial(try_one, pages=pages, tags=tags)


TARGET: Final = Target(
    "status",
    "a query string of the status page, and the Accept-Language header",
    [(SEEDS / "status", "*.txt")],
    _opened,
    words=(
        b"account=main",
        b"query=q",
        b"days_ago=",
        b"state=",
        b"settled",
        b"not_ready",
        b"stale",
        b"terminal_type=",
        b"os=",
        b"region=",
        b"media=",
        b"sort=",
        b"media_sort=",
        b"page=",
        b"media_page=",
        b"per_page=",
        b"lang=",
        b"&",
        b";",
        b"%00",
        b"%ff",
        b"%F0%9F%8E%AC",
        b"%3Cscript%3E",
        b"%22",
        b"+",
        b"zh",
        b"en;q=0.5",
    ),
    longest=1024,
)
