"""A file and the environment → Config, or ConfigError with every problem at its line."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from exporter.config.document import Document, Mistake, Place, read
from exporter.config.interpolation import expand
from exporter.config.schema import Config, CredentialSettings
from exporter.config.sentences import Finding, findings, setting
from exporter.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.config.sentences import SettingPath


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration file at `path` (UTF-8, with or without byte order mark).

    Raises ConfigError, also for a file that is missing, cannot be read or is not text.
    """
    return loads(_text(path), file=str(path), environ=environ)


def loads(text: str, *, file: str, environ: Mapping[str, str]) -> Config:
    """Read a configuration; `file` names it in messages, and relative paths of secrets start in its directory.

    Raises ConfigError with every problem, in the order of the file.
    """
    document = read(text, partial(expand, environ=environ))
    outcome = _validated(document, directory=Path(file).parent)
    if isinstance(outcome, Config) and not document.mistakes:
        return outcome
    found = [] if isinstance(outcome, Config) else outcome
    raise ConfigError(*_problems(file, [*document.mistakes, *found]))


def _validated(document: Document, directory: Path) -> Config | list[Mistake]:
    """The configuration, or what the schema finds wrong that is not told already.

    The error itself is left behind here: pydantic's holds the values, a ConfigError must not lead back to it.
    """
    try:
        return Config.model_validate(document.data, context={"directory": directory})
    except ValidationError as error:
        return list(_mistakes(document, findings(error)))


def _mistakes(document: Document, found: Iterable[Finding]) -> Iterator[Mistake]:
    for finding in found:
        path = _in_file(finding.path, document)
        if not any(path[:length] in document.unknown for length in range(len(path) + 1)):
            place = document.keys[path] if finding.of_key else _nearest(path, document)
            yield Mistake(path, place, finding.sentence)


def _in_file(path: SettingPath, document: Document) -> SettingPath:
    """The path as the file has it: `days_ago: 1` has no `days_ago[0]`."""
    return path[:-1] if path and isinstance(path[-1], int) and path not in document.values else path


def _nearest(path: SettingPath, document: Document) -> Place:
    """Where the value begins; for one that is missing, the mapping that lacks it."""
    ancestors = (path[:length] for length in range(len(path), -1, -1))
    return next(document.values[ancestor] for ancestor in ancestors if ancestor in document.values)


def _problems(file: str, mistakes: Iterable[Mistake]) -> list[Problem]:
    names = CredentialSettings.model_fields
    return sorted({Problem(file, *m.place, setting(m.path, names), m.message) for m in mistakes})


def _text(path: Path) -> str:
    """The file's text; every reason why there is none is a ConfigError that says what to do."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        reason = "there is no such file; name one with --config.file"
    except IsADirectoryError:
        reason = "is a directory; name the file in it with --config.file"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except ValueError:
        reason = "is not a file name"
    else:
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            before = content[: error.start].decode().split("\n")
            place = Place(len(before), len(before[-1]) + 1)
        raise ConfigError(Problem(str(path), *place, "", "is not UTF-8 text; save the file as UTF-8"))
    raise ConfigError(Problem(str(path), 0, 0, "", reason))
