"""The pages say what the program does: links, flags, settings, metrics, modules and dependencies, in both languages."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from exporter.cli import COMMANDS, main
from exporter.config.loader import loads
from exporter.config.schema import schema_json

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent
READMES: Final = ("README.md", "README.zh-CN.md")
# What is hidden (.venv, .git) is not ours.
PAGES: Final = sorted(
    str(page.relative_to(ROOT))
    for place in ROOT.iterdir()
    if not place.name.startswith(".")
    for page in (place.rglob("*.md") if place.is_dir() else [place])
    if page.suffix == ".md"
)

_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^(#+) +(.+)$", re.MULTILINE)
_CODE: Final = re.compile(r"`([^`\n]+)`")
_FLAG_IN_HELP: Final = re.compile(r"^  (?:-\w, )?(--[\w.-]+)(?:.*\(default: ([^)]*)\))?", re.MULTILINE)
_METRIC: Final = re.compile(r"\baliyun_vod_\w+")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """The page without what is between fences."""
    return _FENCED.sub("", read(page))


def anchors(page: str) -> set[str]:
    """What GitHub makes of the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for _, text in _HEADING.findall(prose(page))}


def rows(page: str) -> list[list[str]]:
    """The rows of all tables of a page, as cells."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in prose(page).splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]


def named(page: str) -> set[str]:
    """What is called by name in the tables of a page: `like this`, in the first cell of a row."""
    return {name for row in rows(page) for name in _CODE.findall(row[0])}


def flags(command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The flags of a command and the default each shows, empty where it shows none."""
    assert main([command, "--help"] if command else ["--help"], {}) == 0
    return dict(_FLAG_IN_HELP.findall(capsys.readouterr().out))


def settings(node: dict[str, Any], defs: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of a JSON schema by its path, as in `accounts[].name`, with its default; None: it has none."""
    if "$ref" in node:
        yield from settings(defs[node["$ref"].rpartition("/")[2]], defs, path)
    for choice in node.get("anyOf", ()):
        yield from settings(choice, defs, path)
    if "items" in node:
        yield from settings(node["items"], defs, f"{path}[]")
    for name, setting in node.get("properties", {}).items():
        inner = f"{path}.{name}".lstrip(".")
        yield inner, setting.get("default")
        yield from settings(setting, defs, inner)


def schema() -> dict[str, Any]:
    """By path, every setting's default."""
    whole = json.loads(schema_json())
    return dict(settings(whole, whole["$defs"]))


def code(block: str) -> list[str]:
    """The lines of a block without comments, which are in the language of the page."""
    return [re.sub(r"\s+#\s.*", "", line) for line in block.splitlines()]


def requirement(text: str) -> str:
    return re.split(r"[^\w.-]", text)[0]


@pytest.fixture(autouse=True)
def wide_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Help as wide as its longest line: a default that is broken over two lines is not found."""
    monkeypatch.setenv("COLUMNS", "1000")


def test_there_are_pages_to_check() -> None:
    assert {*READMES, "CHANGELOG.md", "docs/metrics.md", "docs/design/README.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        there = (ROOT / page).parent / target if target else ROOT / page
        assert there.exists(), f"{page} links to {link}"
        if anchor:
            assert anchor in anchors(str(there.resolve().relative_to(ROOT.resolve()))), f"{page} links to {link}"


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_is_closed(page: str) -> None:
    assert "```" not in prose(page)


def test_the_readmes_have_the_same_sections() -> None:
    english, chinese = ([len(marks) for marks, _ in _HEADING.findall(prose(page))] for page in READMES)
    assert english == chinese


def test_the_readmes_have_the_same_code() -> None:
    english, chinese = ([(kind, code(block)) for kind, block in _FENCED.findall(read(page))] for page in READMES)
    assert english == chinese


def test_the_readmes_have_the_same_tables_of_names() -> None:
    english, chinese = ([_CODE.findall(row[0]) for row in rows(page)] for page in READMES)
    assert english == chinese


def test_the_readmes_mention_the_same_flags_settings_and_metrics() -> None:
    english, chinese = (set(_CODE.findall(prose(page))) for page in READMES)
    assert english == chinese


def test_the_readmes_link_to_each_other() -> None:
    english, chinese = READMES
    assert chinese in _LINK.findall(read(english))
    assert english in _LINK.findall(read(chinese))


@pytest.mark.parametrize("page", READMES)
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_flag_is_in_the_table_with_its_default(
    page: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {_CODE.findall(row[0])[0]: row for row in rows(page) if row[0].startswith("`--")}
    found = flags(command, capsys)
    assert found
    for flag, default in found.items():
        assert flag in told, f"{page} does not tell of {flag}"
        if default:
            assert default in _CODE.findall(told[flag][2]), f"{page} gives another default of {flag} than {default}"


@pytest.mark.parametrize("page", READMES)
def test_every_flag_in_the_table_is_a_flag(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = {flag for command in ["", *COMMANDS] for flag in flags(command, capsys)}
    assert {name for name in named(page) if name.startswith("--")} == known


@pytest.mark.parametrize("page", READMES)
def test_every_command_is_in_the_table(page: str) -> None:
    assert set(COMMANDS) <= named(page)


@pytest.mark.parametrize("page", READMES)
def test_every_setting_is_in_the_table_with_its_default(page: str) -> None:
    told = {_CODE.findall(row[0])[0]: row for row in rows(page) if row[0].startswith("`")}
    known = schema()
    for path, default in known.items():
        assert path in told, f"{page} does not tell of {path}"
        # What is made of further settings has their defaults.
        if default is not None and not isinstance(default, dict):
            shown = default if isinstance(default, str) else json.dumps(default)
            if not shown.startswith('[{"'):
                assert shown in _CODE.findall(told[path][1]), f"{page} gives another default of {path} than {shown}"
    assert {name for name in told if "[]" in name} <= known.keys(), f"{page} tells of settings there are not"


@pytest.mark.parametrize("page", READMES)
def test_the_configuration_to_copy_is_valid(page: str) -> None:
    copied = [block for kind, block in _FENCED.findall(read(page)) if kind == "yaml" and "queries:" in block]
    assert copied
    for block in copied:
        assert loads(block, file=page, environ={}).queries


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/metrics.md"])
def test_metrics_that_are_mentioned_exist(page: str) -> None:
    assert set(_METRIC.findall(read(page))) <= named("docs/metrics.md")


def test_every_dependency_says_why_it_is_there() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    extras = project["project"]["optional-dependencies"].values()
    wanted = [*project["project"]["dependencies"], *itertools.chain(*extras), *project["dependency-groups"]["dev"]]
    assert named("docs/design/dependencies.md") == set(map(requirement, wanted))


def test_every_module_has_its_place_on_the_map() -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "exporter").rglob("*.py")}
    modules = {path for path in modules if not Path(path).name.startswith("__")}
    assert named("docs/design/modules.md") == modules


@pytest.mark.parametrize("page", READMES)
def test_what_a_steady_day_takes_is_what_was_counted(page: str) -> None:
    counted = {row[0].partition(":")[0]: row[1] for row in rows("docs/design/calls.md") if len(row) == 2}
    (told,) = (line for line in prose(page).splitlines() if counted["naive"] in line)
    assert re.findall(r"\d[\d,]*\d", told)[:2] == [counted["made"], counted["naive"]]
