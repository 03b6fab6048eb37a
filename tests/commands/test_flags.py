from __future__ import annotations

import argparse

import pytest

from exporter.commands import command_names, flags
from exporter.commands.definitions import DEFINITIONS


@pytest.mark.parametrize(
    ("argv", "prefix"),
    [
        ([], ""),
        (["--web.external-url="], ""),
        (["--web.external-url=https://monitoring.example.com"], ""),
        (["--web.external-url=https://monitoring.example.com/"], ""),
        (["--web.external-url=https://monitoring.example.com/vod"], "/vod"),
        (["--web.external-url=http://[::1]:8080/a/b/"], "/a/b"),
        (["--web.external-url=/vod/"], "/vod"),
        (["--web.external-url=https://x/vod", "--web.route-prefix=/"], ""),
        (["--web.external-url=https://x/vod", "--web.route-prefix="], "/vod"),
        (["--web.external-url=https://x/vod", "--web.route-prefix=/other"], "/other"),
        (["--web.route-prefix=vod"], "/vod"),
        (["--web.route-prefix=/vod/"], "/vod"),
        (["--web.route-prefix=/a.b-c_d~1/e"], "/a.b-c_d~1/e"),
    ],
)
def test_the_prefix_is_the_path_of_the_external_url_unless_given(argv: list[str], prefix: str) -> None:
    parser = argparse.ArgumentParser()
    flags.external_url(parser)

    assert flags.parse_prefix(parser.parse_args(argv)) == prefix


class Switches(argparse.ArgumentParser):
    """Records the flags that take no value."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        super().__init__(add_help=False)

    def add_argument(self, *names: str, **settings: object) -> argparse.Action:
        action = super().add_argument(*names, **settings)  # type: ignore[arg-type]
        if action.nargs == 0:
            self.names.update(names)
        return action


def test_every_flag_without_a_value_is_known_before_the_parser_is_there() -> None:
    found = Switches()
    for command in DEFINITIONS.values():
        parser = Switches()
        command.flags(parser)
        found.names |= parser.names

    assert found.names | {"--help", "--version"} == command_names.SWITCHES


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["--web.enable-lifecycle", "serve"], "serve"),
        (["--syntax-only", "check-config", "--config.file=x"], "check-config"),
        (["--config.file", "fetch"], None),
        (["--config.file", "x", "fetch"], "fetch"),
        (["--web.enable-lifecycle", "--config.file", "serve"], None),
    ],
)
def test_a_command_is_found_behind_a_flag_unless_it_is_the_value_of_that(words: list[str], command: str | None) -> None:
    assert command_names.split(words)[0] == command
