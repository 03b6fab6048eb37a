"""Each Chinese page has the headings, tables, code and names of its English page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.markdown import PAIRS, ROOT, blocks, headings, links, names, prose, rows, tables

TRANSLATED = pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=[chinese for _, chinese in PAIRS])


def without_comments(block: str) -> list[str]:
    """The lines of a block of code; comments are in the language of the page."""
    return [re.sub(r"(^|\s+)#\s.*", "", line) for line in block.splitlines()]


def test_there_are_translations() -> None:
    assert {chinese for _, chinese in PAIRS} >= {
        "README.zh-CN.md",
        "docs/zh-CN/concepts.md",
        "docs/zh-CN/index.md",
        "docs/zh-CN/troubleshooting.md",
    }


@TRANSLATED
def test_both_have_the_same_levels_of_headings(english: str, chinese: str) -> None:
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(chinese)]


@TRANSLATED
def test_both_have_tables_of_the_same_size(english: str, chinese: str) -> None:
    def sizes(page: str) -> list[list[int]]:
        return [[len(row) for row in table] for table in tables(page)]

    assert sizes(english) == sizes(chinese)


@TRANSLATED
def test_the_rows_of_a_table_have_as_many_cells_as_its_header(english: str, chinese: str) -> None:
    for page in (english, chinese):
        for header, *body in tables(page):
            assert [row for row in body if len(row) != len(header)] == [], f"{page}: {header}"


@TRANSLATED
def test_both_define_the_same_names_in_their_tables(english: str, chinese: str) -> None:
    assert [names(row[0]) for row in rows(english)] == [names(row[0]) for row in rows(chinese)]


@TRANSLATED
def test_both_have_the_same_code(english: str, chinese: str) -> None:
    """What the program prints in the reader's language has as many lines."""

    def code(page: str) -> list[tuple[str, object]]:
        return [
            (kind, block.count("\n") if kind == "text" else without_comments(block)) for kind, block in blocks(page)
        ]

    assert code(english) == code(chinese)


@TRANSLATED
def test_both_mention_the_same_names(english: str, chinese: str) -> None:
    assert set(names(prose(english))) == set(names(prose(chinese)))


@TRANSLATED
def test_both_link_to_each_other(english: str, chinese: str) -> None:
    assert relative(chinese, english) in links(english)
    assert relative(english, chinese) in links(chinese)


@TRANSLATED
def test_a_chinese_page_links_to_chinese_pages(english: str, chinese: str) -> None:
    """If a page exists in Chinese, Chinese pages link to that one."""
    translations = dict(PAIRS)
    for link in links(chinese):
        path = link.partition("#")[0]
        target = ((ROOT / chinese).parent / path).resolve()
        if path and target.is_relative_to(ROOT.resolve()):
            page = str(target.relative_to(ROOT.resolve()))
            assert page == english or page not in translations, f"{chinese} links to {page}, not {translations[page]}"


def relative(page: str, start: str) -> str:
    """A page as a link on the page `start` names it."""
    return os.path.relpath(page, Path(start).parent)
