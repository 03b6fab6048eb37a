"""The reference pages are current, complete and equal in both languages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest
from pydantic import BaseModel

from exporter.cli import COMMANDS, main
from exporter.config.loader import loads
from exporter.config.schema import Config
from exporter.documents.field_types import Duration
from tests.docs_pages.pages import DOCS, PAGES, Language, as_code, chinese, english, page, parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

LANGUAGES: Final = {"en": english(), "zh-CN": chinese()}
TRANSLATIONS: Final = chinese().translations or {}
_FLAG_IN_HELP: Final = re.compile(r"^  (?:-\w, )?(--[\w.-]+)((?:.|\n(?!  -))*)", re.MULTILINE)
_DEFAULT_IN_HELP: Final = re.compile(r"\(default: ([^)]*)\)")
_CODE: Final = re.compile(r"`([^`]+)`")
_AMOUNT: Final = re.compile(r"\d[\d.:]*(?:ms|[smhdy])?\b", re.ASCII)


def text(language: Language, name: str) -> str:
    return (language.folder / name).read_text(encoding="utf-8")


def rows(content: str) -> list[list[str]]:
    """The rows of all tables, as cells."""
    return [
        [cell.strip() for cell in line.strip("|").split(" |")]
        for line in content.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]


def fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting of a model and its nested models, by path."""
    for name, field in model.model_fields.items():
        inner = f"{path}.{name}".lstrip(".")
        yield inner, field
        for nested, is_listed in models(field.annotation):
            yield from fields(nested, f"{inner}[]" if is_listed else inner)


def models(annotation: Any, *, is_listed: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    """The models in an annotation, and whether they are list items."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, is_listed
    for part in get_args(annotation):
        yield from models(part, is_listed=is_listed or getattr(annotation, "__origin__", None) is tuple)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_as_the_code_has_it(name: str, language: str) -> None:
    assert text(LANGUAGES[language], name) == page(name, LANGUAGES[language]), "run `make docs`"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_the_page_has_each_of_its_parts_once(name: str, language: str) -> None:
    assert parts(text(LANGUAGES[language], name)) == list(PAGES[name])


def test_every_text_has_a_translation_and_every_translation_a_text() -> None:
    language = chinese()
    for name in PAGES:
        page(name, language)
    assert language.missing == set()
    assert set(TRANSLATIONS) - language.used == set()


def test_a_text_without_a_translation_is_found() -> None:
    language = Language(DOCS / "zh-CN", {name: name for name in TRANSLATIONS if name != "required"})
    assert "| required |" in page("configuration.md", language)
    assert language.missing == {"required"}


@pytest.mark.parametrize("english_text", TRANSLATIONS)
def test_a_translation_has_the_same_amounts_and_names(english_text: str) -> None:
    translated = TRANSLATIONS[english_text]
    assert set(_CODE.findall(as_code(translated))) == set(_CODE.findall(as_code(english_text)))
    midnight = translated.replace("零点", "00:00")
    assert set(_AMOUNT.findall(midnight)) == set(_AMOUNT.findall(english_text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_is_on_the_page(language: str) -> None:
    found = [path for path, _ in fields(Config)]
    written = [_CODE.findall(row[0]) for row in rows(text(LANGUAGES[language], "configuration.md"))]
    assert sorted(names[0] for names in written if names and names[0] in found) == sorted(found)


def test_the_bounds_of_a_duration_are_in_its_description() -> None:
    bounds = {
        path: (each.at_least, each.at_most)
        for path, field in fields(Config)
        for each in field.metadata
        if isinstance(each, Duration)
    }
    descriptions = {path: field.description or "" for path, field in fields(Config)}
    assert "queries[].every" in bounds
    assert [path for path, (least, most) in bounds.items() if f"{least} to {most}" not in descriptions[path]] == []


def test_the_bounds_of_a_number_are_in_its_description() -> None:
    for path, field in fields(Config):
        least = [getattr(each, "ge", None) for each in field.metadata]
        most = [getattr(each, "le", None) for each in field.metadata]
        for bound in (*least, *most):
            assert bound is None or re.search(rf"\b{re.escape(f'{bound:g}')}\b", field.description or ""), path


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_the_help_is_on_the_page_with_its_default(
    command: str, language: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A default that is split over two lines would not be found.
    monkeypatch.setenv("COLUMNS", "1000")
    assert main([command, "--help"], {}) == 0
    entries = {flag: _DEFAULT_IN_HELP.findall(entry) for flag, entry in _FLAG_IN_HELP.findall(capsys.readouterr().out)}
    helped = {flag: "".join(defaults) for flag, defaults in entries.items() if flag != "--help"}
    (section,) = re.findall(
        rf"^### {command}\n(.*?)^(?:###? |<!--)", text(LANGUAGES[language], "cli.md"), re.MULTILINE | re.DOTALL
    )
    written = {_CODE.findall(row[0])[0].partition("=")[0]: row[1] for row in rows(section)[1:]}
    assert written.keys() == helped.keys()
    assert {flag: default for flag, default in helped.items() if default} == {
        flag: default.strip("`") for flag, default in written.items() if default.startswith("`")
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_configuration_to_copy_is_valid(language: str) -> None:
    copied = re.findall(
        r"^```yaml\n(.*?)^```$", text(LANGUAGES[language], "configuration.md"), re.MULTILINE | re.DOTALL
    )
    assert copied
    for block in copied:
        assert loads(block, file="configuration.md", environ={}).queries


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_steady_day_takes_is_what_was_counted(language: str) -> None:
    calls = (DOCS / "design" / "calls.md").read_text(encoding="utf-8")
    counted = {row[0].partition(":")[0]: row[1] for row in rows(calls) if len(row) == 2}
    (counted_line,) = (
        line for line in text(LANGUAGES[language], "configuration.md").splitlines() if counted["naive"] in line
    )
    assert re.findall(r"\d[\d,]*\d", counted_line)[:2] == [counted["made"], counted["naive"]]
