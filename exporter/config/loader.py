"""A file and the environment → Config, or ConfigError with every problem at its line; notices changes of the file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from exporter import secret_files
from exporter.config.accounts import CredentialSettings
from exporter.config.schema import Config
from exporter.documents.env_vars import expand
from exporter.documents.error_messages import FieldError, field_errors, setting
from exporter.documents.yaml_reader import Document, Position, YamlError, read
from exporter.errors import ConfigError, ConfigProblem, reason_of
from exporter.threads import run_in_daemon_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from exporter.documents.error_messages import SettingPath
    from exporter.secret_files import Content, PermissionWarning

# More than any valid configuration needs; bounds the memory that reading a wrong file takes.
LARGEST_FILE: Final = 16 * 1024 * 1024

# Content that is unchanged for this long is complete: an editor may write a file in several steps.
_SETTLED_SECONDS: Final = 1.0


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration file at `path` (UTF-8, with or without byte order mark).

    Raises ConfigError, also for a file that is missing, cannot be read or is not text.
    """
    return _loaded(path, _read(path), environ)


def _loaded(path: Path, found: Content | OSError, environ: Mapping[str, str]) -> Config:
    content = _content(path, found)
    text = _text(path, content.data)
    config = loads(text, file=str(path), environ=environ)
    if content.world_writable and _is_in(text, config):
        raise ConfigError(
            ConfigProblem(str(path), 0, 0, "", "holds a secret, and everyone may write to it; chmod 600 it")
        )
    return config


def permission_warnings(path: Path, config: Config) -> Iterator[PermissionWarning]:
    """Warnings about the file, and files that its accounts name, that too many users may read or change.

    A secret from the environment is not in the file. Raises ConfigError when the file was removed.
    """
    yield from secret_files.permission_warnings(
        path, is_secret=_is_in(_text(path, _content(path, _read(path)).data), config), is_used=True
    )
    for account in config.accounts:
        given = account.credentials
        for file in (given.access_key_id_file, given.access_key_secret_file, given.security_token_file):
            if file is not None:
                yield from secret_files.permission_warnings(file, is_secret=file != given.access_key_id_file)
        for file in (given.oidc_token_file, given.profile_file):
            if file is not None:
                yield from secret_files.permission_warnings(file)


def _is_in(text: str, config: Config) -> bool:
    """Whether the text contains a secret itself, not only the variable that holds it."""
    credentials = [account.credentials for account in config.accounts]
    secrets = [each for given in credentials for each in (given.access_key_secret, given.security_token)]
    return any(secret is not None and secret.get_secret_value() in text for secret in secrets)


def loads(text: str, *, file: str, environ: Mapping[str, str]) -> Config:
    """Parse a configuration. `file` names it in messages; relative paths of secrets start in its directory.

    Raises ConfigError with every problem, in the order of the file.
    """
    document = read(text, partial(expand, environ=environ))
    outcome = _validated(document, directory=Path(file).parent)
    if isinstance(outcome, Config) and not document.errors:
        return outcome
    found = [] if isinstance(outcome, Config) else outcome
    raise ConfigError(*_problems(file, [*document.errors, *found]))


def _validated(document: Document, directory: Path) -> Config | list[YamlError]:
    """The configuration, or the schema's errors that are not reported already.

    pydantic's exception holds the values, so it must not become the context of a ConfigError.
    """
    try:
        return Config.model_validate(document.data, context={"directory": directory})
    except ValidationError as error:
        return list(_yaml_errors(document, field_errors(error)))


def _yaml_errors(document: Document, found: Iterable[FieldError]) -> Iterator[YamlError]:
    for finding in found:
        path = _in_file(finding.path, document)
        if not any(path[:length] in document.unknown for length in range(len(path) + 1)):
            place = document.keys[path] if finding.of_key else _nearest_position(path, document)
            yield YamlError(path, place, finding.sentence)


def _in_file(path: SettingPath, document: Document) -> SettingPath:
    """The path as it exists in the file: `days_ago: 1` has no `days_ago[0]`."""
    return path[:-1] if path and isinstance(path[-1], int) and path not in document.values else path


def _nearest_position(path: SettingPath, document: Document) -> Position:
    """The position of the value; if it is missing, the position of the mapping that lacks it."""
    ancestors = (path[:length] for length in range(len(path), -1, -1))
    return next(document.values[ancestor] for ancestor in ancestors if ancestor in document.values)


def _problems(file: str, errors: Iterable[YamlError]) -> list[ConfigProblem]:
    names = CredentialSettings.model_fields
    return sorted({ConfigProblem(file, *m.place, setting(m.path, names), m.message) for m in errors})


def _read(path: Path) -> Content | OSError:
    try:
        return secret_files.read(path, most=LARGEST_FILE)
    except OSError as error:
        return error


def _content(path: Path, found: Content | OSError) -> Content:
    """The content that was read. Raises ConfigError that says why there is none and what to do."""
    match found:
        case FileNotFoundError():
            reason = "there is no such file; name one with --config.file"
        case OSError():
            reason = f"cannot be read: {reason_of(found)}"
            with contextlib.suppress(OSError):
                if not isinstance(found, TimeoutError) and path.is_dir():
                    reason = "is a directory; name the file in it with --config.file"
        case _:
            return found
    raise ConfigError(ConfigProblem(str(path), 0, 0, "", reason))


def _text(path: Path, content: bytes) -> str:
    """The content as text. Raises ConfigError with the position of the first invalid byte, and no content."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode().split("\n")
        place = Position(len(before), len(before[-1]) + 1)
    raise ConfigError(ConfigProblem(str(path), *place, "", "is not UTF-8 text; save the file as UTF-8"))


class WatchedFile:
    """Compares content, not timestamps: a mounted ConfigMap changes by a link, and a copy may keep old timestamps."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ
        self._last_read = b""

    def read(self) -> Config:
        """Load the file. Raises ConfigError; a rejected file counts as read until it changes again."""
        found = _read(self._path)
        self._last_read = _digest(found)
        return _loaded(self._path, found, self._environ)

    async def watch(
        self,
        changed: asyncio.Event,
        every: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Check the file every `every` seconds, and set `changed` when its content differs from what was last read."""
        while True:
            await sleep(every)
            found = await self._current_digest()
            while found != self._last_read:
                before = found
                await sleep(min(every, _SETTLED_SECONDS))
                found = await self._current_digest()
                if found == before:
                    changed.set()
                    break

    async def _current_digest(self) -> bytes:
        return _digest(await run_in_daemon_thread(lambda: _read(self._path), "checking the configuration"))


def _digest(found: Content | OSError) -> bytes:
    """The digest of the content; for a file that cannot be read, the error number."""
    return str(found.errno).encode() if isinstance(found, OSError) else hashlib.sha256(found.data).digest()
