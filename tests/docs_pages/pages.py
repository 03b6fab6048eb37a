"""The generated parts of the reference pages: tables between two comments; the text around them is written by hand."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.commands.command_line import GENERAL_FLAGS, STATUSES, VARIABLES
from tests.docs_pages import flags, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

DOCS: Final = Path(__file__).parents[2] / "docs"
CHINESE: Final = Path(__file__).with_name("zh-CN.toml")
_PART: Final = re.compile(r"(<!-- make docs: ([a-z-]+) -->\n).*?(<!-- /make docs -->)", re.DOTALL)
# Code in sentences that were written for terminals and editors.
_CODE: Final = re.compile(
    r"""
      --[a-z][\w.-]*\w
    | https?://(?:[\w./:-]*[\w/])?
    | (?:POST\ )?(?<![\w/])~?/[\w./-]*[\w-]/?
    | \$\{[^}]*\} | \{[^}]*\}
    | (?:\d+\.){3}\d+:\d+ | \[::1\]:\d+ | (?<!\w):\d{4}\b
    | [A-Z]+(?:_[A-Z]+)+(?:_\.\.\.|=\w+)?
    | \b[a-z]+(?:_[a-z]+)+\b | \b[a-z]+=[a-z]+\b
    | \b[a-z]+(?:\.[a-z]+)+\b | (?<!\w)\.socket\b
    | aliyun-vod-exporter
    """,
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Language:
    """A language: its folder, its translations of English texts, and which were used or missing."""

    folder: Path
    translations: Mapping[str, str] | None = None
    used: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)

    def text(self, english: str) -> str:
        """The text in this language; English where there is no translation."""
        if self.translations is None or not english:
            return english
        if english not in self.translations:
            self.missing.add(english)
            return english
        self.used.add(english)
        return self.translations[english]

    def prose(self, english: str, choices: tuple[str, ...] = ()) -> str:
        """A text for a table cell with its code marked, and the allowed values."""
        text = as_code(self.text(english))
        explained, count = (
            re.subn(rf"(?<=[(（])`?({'|'.join(choices)})`?(?=[)）])", r"`\1`", text) if choices else (text, 0)
        )
        if choices and count == len(choices):
            return explained
        if not (listed := [f"`{choice}`" for choice in choices]):
            return text
        end, colon, comma = (".", ": ", ", ") if self.translations is None else ("。", "：", "、")
        return f"{text.removesuffix(end)}{colon}{comma.join(listed)}"


def as_code(text: str) -> str:
    """The text with flags, settings, variables, paths and addresses marked as code."""
    return _CODE.sub(lambda found: f"`{found.group()}`", text)


def english() -> Language:
    """The pages in docs/."""
    return Language(DOCS)


def chinese() -> Language:
    """The pages in docs/zh-CN/."""
    return Language(DOCS / "zh-CN", tomllib.loads(CHINESE.read_text(encoding="utf-8")))


def page(name: str, language: Language) -> str:
    """The expected content of a page: the current one with its generated parts replaced."""
    text = (language.folder / name).read_text(encoding="utf-8")
    return _PART.sub(lambda found: f"{found[1]}\n{_PARTS[found[2]](language)}\n{found[3]}", text)


def parts(text: str) -> list[str]:
    """The names of the generated parts of a page."""
    return [name for _, name, _ in _PART.findall(text)]


def _settings(language: Language) -> str:
    def section(path: str, found: list[settings.Setting]) -> Iterator[str]:
        yield f"### `{path}`\n" if path else f"### {language.text('The whole file')}\n"
        yield _table(
            language,
            ("setting", "default", "meaning"),
            (
                (f"`{each.path}`", _default(language, each.default), language.prose(each.description, each.choices))
                for each in found
            ),
        )

    return "\n".join(line for path, found in settings.sections() for line in section(path, found))


def _commands(language: Language) -> str:
    return _table(
        language,
        ("command", "what it does"),
        ((f"[`{name}`](#{name})", language.prose(sentence)) for name, sentence, _ in flags.commands()),
    )


def _flags(language: Language) -> str:
    def section(name: str, found: list[flags.Flag]) -> Iterator[str]:
        yield f"### {name}\n"
        yield _table(
            language,
            ("flag", "default", "meaning"),
            (
                (f"`{each.name}`", _default(language, each.default), language.prose(each.description, each.choices))
                for each in found
            ),
        )

    return "\n".join(line for name, _, found in flags.commands() for line in section(name, found))


def _general_flags(language: Language) -> str:
    return _table(
        language,
        ("flag", "meaning"),
        ((f"`{flag}`", language.prose(sentence)) for flag, sentence in GENERAL_FLAGS.items()),
    )


def _statuses(language: Language) -> str:
    return _table(
        language, ("exit status", "meaning"), ((name, language.prose(sentence)) for name, sentence in STATUSES.items())
    )


def _variables(language: Language) -> str:
    return _table(
        language,
        ("environment variable", "meaning"),
        (
            (as_code(name if name.isupper() else language.text(name)), language.prose(sentence))
            for name, sentence in VARIABLES.items()
        ),
    )


def _default(language: Language, default: str) -> str:
    if default in {settings.REQUIRED, flags.OFF}:
        return language.text(default)
    return f"`{default}`" if default else ""


def _table(language: Language, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    titles = f"{_row(map(language.text, head))}|{'---|' * len(head)}\n"
    return titles + "".join(map(_row, rows))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n".replace("|  |", "| |")


_PARTS: Final[Mapping[str, Callable[[Language], str]]] = {
    "settings": _settings,
    "commands": _commands,
    "flags": _flags,
    "general-flags": _general_flags,
    "exit-status": _statuses,
    "environment": _variables,
}
PAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "configuration.md": ("settings",),
    "cli.md": ("commands", "exit-status", "general-flags", "flags", "environment"),
}
