"""The commands and their flags, recorded while they are added to a parser."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.definitions import DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIRED: Final = "required"
OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of a command: as in `--log.level` or `--shard=N`, its default as it is typed, its help and choices."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...]


class _Recorder:
    """Records the flags that are added."""

    def __init__(self) -> None:
        self.actions: list[argparse.Action] = []
        self._parser = argparse.ArgumentParser(add_help=False)

    def add_argument(self, *flags: Any, **settings: Any) -> argparse.Action:
        self.actions.append(self._parser.add_argument(*flags, **settings))
        return self.actions[-1]


def commands() -> Iterator[tuple[str, str, list[Flag]]]:
    """Every command: its name, description and flags."""
    for name, command in DEFINITIONS.items():
        recorder = _Recorder()
        command.flags(recorder)
        yield name, command.sentence, [_flag(action) for action in recorder.actions]


def _flag(action: argparse.Action) -> Flag:
    (name,) = action.option_strings
    takes_value = action.nargs != 0
    value = f"={action.metavar or action.dest.upper()}" if takes_value and not action.choices else ""
    return Flag(name + value, _default(action), action.help or "", tuple(action.choices or ()))


def _default(action: argparse.Action) -> str:
    if action.required:
        return REQUIRED
    if action.nargs == 0:
        return OFF
    if isinstance(action.default, list):
        return ", ".join(action.default)
    return "" if action.default is None else str(action.default)
