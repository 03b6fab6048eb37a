"""The pages match the program: links, flags, settings, metrics, log lines, modules and dependencies."""

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
from tests.markdown import PAGES, PAIRS, READMES, ROOT, anchors, blocks, links, named, names, prose, read, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND_LINE: Final = ("docs/cli.md", "docs/zh-CN/cli.md")
CONFIGURATION: Final = ("docs/configuration.md", "docs/zh-CN/configuration.md")

_FLAG_IN_HELP: Final = re.compile(r"^  (?:-\w, )?(--[\w.-]+)(?:.*\(default: ([^)]*)\))?", re.MULTILINE)
_METRIC: Final = re.compile(r"\baliyun_vod_\w+")
_LOG_MESSAGE: Final = re.compile(r'^ts=\S+ level=\w+ msg=(?:"([^"]+)"|(\w+))', re.MULTILINE)


def flags(command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The flags of a command, with their defaults in the help (empty: none)."""
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


def requirement(text: str) -> str:
    return re.split(r"[^\w.-]", text)[0]


@pytest.fixture(autouse=True)
def wide_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Help without line breaks: a default that is split over two lines would not be found."""
    monkeypatch.setenv("COLUMNS", "1000")


def test_there_are_pages_to_check() -> None:
    assert {*READMES, "CHANGELOG.md", "CONTRIBUTING.md", "docs/metrics.md", "docs/design/README.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    for link in links(page):
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


@pytest.mark.parametrize(("index", "folder"), [("docs/index.md", "docs"), ("docs/zh-CN/index.md", "docs/zh-CN")])
def test_the_index_links_every_page_of_its_language(index: str, folder: str) -> None:
    pages = {path.name for path in (ROOT / folder).glob("*.md")} - {"index.md"}
    assert pages <= set(links(index))


@pytest.mark.parametrize("page", READMES)
def test_a_readme_is_read_in_five_minutes(page: str) -> None:
    assert len(read(page).splitlines()) <= 200


@pytest.mark.parametrize("page", COMMAND_LINE)
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_flag_is_in_a_table_with_its_default(page: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    documented: dict[str, set[str]] = {}
    for row in rows(page):
        for name in names(row[0]):
            documented.setdefault(name.partition("=")[0], set()).update(names(" ".join(row[1:])))
    # Every command has --help; one sentence says so.
    found = {flag: default for flag, default in flags(command, capsys).items() if flag != "--help"}
    assert found
    for flag, default in found.items():
        assert flag in documented, f"{page} does not describe {flag}"
        if default:
            assert default in documented[flag], f"{page} gives another default of {flag} than {default}"


@pytest.mark.parametrize("page", COMMAND_LINE)
def test_every_flag_in_a_table_is_a_flag(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = {flag for command in ["", *COMMANDS] for flag in flags(command, capsys)}
    assert {name.partition("=")[0] for name in named(page) if name.startswith("--")} <= known


@pytest.mark.parametrize("page", COMMAND_LINE)
def test_every_command_is_in_a_table(page: str) -> None:
    assert set(COMMANDS) <= named(page)


@pytest.mark.parametrize("page", CONFIGURATION)
def test_every_setting_is_in_a_table_with_its_default(page: str) -> None:
    documented = {names(row[0])[0]: row for row in rows(page) if row[0].startswith("`")}
    known = schema()
    for path, default in known.items():
        assert path in documented, f"{page} does not describe {path}"
        # Mappings have the defaults of their settings.
        if default is not None and not isinstance(default, dict):
            displayed = default if isinstance(default, str) else json.dumps(default)
            if not displayed.startswith('[{"'):
                assert displayed in names(documented[path][1]), (
                    f"{page} gives another default of {path} than {displayed}"
                )
    assert {name for name in documented if "[]" in name} <= known.keys(), f"{page} describes settings there are not"


@pytest.mark.parametrize("page", CONFIGURATION)
def test_the_calls_of_a_steady_day_are_those_that_were_counted(page: str) -> None:
    counted = {row[0].partition(":")[0]: row[1] for row in rows("docs/design/calls.md") if len(row) == 2}
    (line,) = (line for line in prose(page).splitlines() if counted["naive"] in line)
    assert re.findall(r"\d[\d,]*\d", line)[:2] == [counted["made"], counted["naive"]]


def test_there_are_configurations_to_copy() -> None:
    assert {page for page, _ in configurations()} >= {page for pair in PAIRS[:1] for page in pair}


def configurations() -> list[tuple[str, str]]:
    """Whole configuration files on the pages, each with its page."""
    return [
        (page, block)
        for page in PAGES
        for kind, block in blocks(page)
        if kind == "yaml" and re.search(r"^queries:", block, re.MULTILINE)
    ]


@pytest.mark.parametrize(("page", "block"), configurations())
def test_a_configuration_to_copy_is_valid(page: str, block: str) -> None:
    environment = dict.fromkeys(re.findall(r"\$\{(\w+)", block), "value")
    assert loads(block, file=page, environ=environment).queries


@pytest.mark.parametrize("page", READMES)
def test_check_config_prints_what_the_readme_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (configuration,) = (block for name, block in configurations() if name == page)
    (displayed,) = (block for _, block in blocks(page) if "calls, steady day" in block)
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(configuration, encoding="utf-8")
    key = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "an-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "a-secret"}
    assert main(["check-config"], key) == 0
    assert capsys.readouterr().out == displayed


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/metrics.md"])
def test_metrics_that_are_mentioned_exist(page: str) -> None:
    assert set(_METRIC.findall(read(page))) <= named("docs/metrics.md") | named("docs/player.md")


@pytest.mark.parametrize("page", ["docs/troubleshooting.md", "docs/zh-CN/troubleshooting.md"])
def test_log_lines_that_are_shown_are_ones_the_program_writes(page: str) -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "exporter").rglob("*.py"))
    displayed = {quoted or plain for quoted, plain in _LOG_MESSAGE.findall(read(page))}
    assert len(displayed) == 3
    assert {message for message in displayed if f'"{message}"' not in source} == set()


def test_every_path_named_for_contributors_exists() -> None:
    paths = {
        name
        for name in names(prose("CONTRIBUTING.md"))
        if re.match(r"(exporter|tests|deploy|requirements|docs)/", name)
    }
    assert len(paths) > 10
    assert {path for path in paths if not (ROOT / path).exists() and "X.md" not in path} == set()


def test_every_make_target_that_is_mentioned_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for page in (*READMES, "CONTRIBUTING.md"):
        mentioned = re.findall(r"(?:^|`)make ([a-z-]+)((?: [a-z-]+)*)", read(page), re.MULTILINE)
        assert mentioned
        assert {target for first, more in mentioned for target in (first, *more.split())} <= targets, page


def test_every_dependency_says_why_it_is_there() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    extras = project["project"]["optional-dependencies"].values()
    groups = [each for each in itertools.chain(*project["dependency-groups"].values()) if isinstance(each, str)]
    wanted = [*project["project"]["dependencies"], *itertools.chain(*extras), *groups]
    assert named("docs/design/dependencies.md") == set(map(requirement, wanted))


def test_every_module_has_its_place_on_the_map() -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "exporter").rglob("*.py")}
    modules = {path for path in modules if not Path(path).name.startswith("__")}
    assert named("docs/design/modules.md") == modules
