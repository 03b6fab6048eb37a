"""The project's Markdown pages, and their headings, links, tables and code blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
# Hidden folders (.venv, .git) are not part of the project, nor is the virtual environment that the README makes.
PAGES: Final = sorted(
    str(page.relative_to(ROOT))
    for place in ROOT.iterdir()
    if not place.name.startswith(".") and not (place / "pyvenv.cfg").exists()
    for page in (place.rglob("*.md") if place.is_dir() else [place])
    if page.suffix == ".md"
)
# Every page in English with the same page in Chinese.
READMES: Final = ("README.md", "README.zh-CN.md")
PAIRS: Final = (
    READMES,
    *((page.replace("zh-CN/", ""), page) for page in PAGES if page.startswith("docs/zh-CN/")),
)

_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^(#+) +(.+)$", re.MULTILINE)
_CODE: Final = re.compile(r"`([^`\n]+)`")
_SEPARATOR: Final = re.compile(r"\|(?: *:?-+:? *\|)+")
_CELLS: Final = re.compile(r"(?<!\\)\|")


def read(page: str) -> str:
    """The text of a page, by its path in the project."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """The page without its code blocks."""
    return _FENCED.sub("", read(page))


def blocks(page: str) -> list[tuple[str, str]]:
    """The code blocks, each with its language."""
    return _FENCED.findall(read(page))


def headings(page: str) -> list[tuple[int, str]]:
    """The headings, each with its level."""
    return [(len(marks), text) for marks, text in _HEADING.findall(prose(page))]


def anchors(page: str) -> set[str]:
    """The anchors that GitHub derives from headings: of equal ones the second gets -1, the third -2."""
    found: list[str] = []
    for _, text in headings(page):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
        found.append(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return {f"{anchor}-{before}" if (before := found[:n].count(anchor)) else anchor for n, anchor in enumerate(found)}


def links(page: str) -> list[str]:
    """The targets of all links and images, as written."""
    return _LINK.findall(prose(page))


def names(text: str) -> list[str]:
    """The inline code: `like this`."""
    return _CODE.findall(text)


def tables(page: str) -> list[list[list[str]]]:
    """The tables, each as rows of cells; the first row is the header."""
    found: list[list[list[str]]] = []
    before = ""
    for line in prose(page).splitlines():
        if line.startswith("|") and not _SEPARATOR.fullmatch(line.strip()):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([cell.strip() for cell in _CELLS.split(line.strip())[1:-1]])
        before = line
    return found


def rows(page: str) -> list[list[str]]:
    """The rows of all tables, headers included."""
    return [row for table in tables(page) for row in table]


def named(page: str) -> set[str]:
    """The names that the tables define: in the first cell of a row."""
    return {name for row in rows(page) for name in names(row[0])}
