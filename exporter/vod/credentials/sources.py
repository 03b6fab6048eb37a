"""Sources of credentials: settings, files that are read again when they change, or the environment."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from exporter.errors import OPEN_MORE_FILES, CredentialsError, ErrorKind
from exporter.secret_files import FileState, read_secret, state_of
from exporter.single_flight import SharedThreads
from exporter.threads import FILE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

# The variables that Alibaba Cloud's SDKs read.
ACCESS_KEY_ID: Final = "ALIBABA_CLOUD_ACCESS_KEY_ID"
ACCESS_KEY_SECRET: Final = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"  # noqa: S105 - the name of a variable, not a secret
SECURITY_TOKEN: Final = "ALIBABA_CLOUD_SECURITY_TOKEN"  # noqa: S105 - the name of a variable, not a secret

# Tokens have a few kB; a larger file is a wrong one, and a log or device must not be read to its end.
_LARGEST_FILE: Final = 64 * 1024

TIME_LIMIT: Final = FILE_SECONDS
"""Seconds that checking and reading a file may take."""
# Reads of a file that have not returned: some never do, and nothing can end their threads.
_MOST_HANGING: Final = 6
# Seconds for which a value is good that came too late for its caller.
_LATE_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """What requests are signed with; only the ID may be shown."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


class CredentialSource(Protocol):
    """A source of an account's credentials. `get` and `renew` raise CredentialsError."""

    async def get(self) -> Credentials:
        """The credentials to sign the next attempt with; they may be cached."""
        ...

    async def renew(self) -> Credentials:
        """Credentials fetched again, because the service rejected the token of the previous ones."""
        ...

    async def changed(self) -> bool:
        """Whether a file of the source has changed since the last call of this or `get`; never raises.

        The next `get` does not return values cached from the file before.
        """
        ...


class Secret(Protocol):
    """One part of the credentials. Both methods may block on files and do so in a thread."""

    async def read(self, *, again: bool = False) -> str:
        """The value; `again`: do not use a cached one. Raises CredentialsError."""
        ...

    async def changed(self) -> bool:
        """Whether its file has changed since the last call of this or `read`; never raises."""
        ...


class PlainSecret:
    """A value in the configuration; `setting` is its name in errors."""

    def __init__(self, value: str, *, setting: str) -> None:
        self._value = value
        self._setting = setting

    async def read(self, *, again: bool = False) -> str:  # noqa: ARG002 - there is nothing to read again
        """The validated value. Raises CredentialsError."""
        return validate_secret(self._value, self._setting)

    async def changed(self) -> bool:
        """False: it cannot change."""
        return False


class FileWatch:
    """Detects that a file, which may be missing, has changed since it was last checked."""

    def __init__(self, path: Path, *, time_limit: float = TIME_LIMIT) -> None:
        self._path = path
        self._time_limit = time_limit
        self._last: FileState | None = None
        self._checked = False
        # A change that is found after the time limit is returned by the next call.
        self._threads: SharedThreads[bool] = SharedThreads(most=_MOST_HANGING, kept=math.inf)
        self._hangs = False

    def check(self) -> FileState:
        """Record and return the current state of the file. May block; raises OSError and ValueError."""
        self._checked = True
        try:
            self._last = last = state_of(self._path)
        except (OSError, ValueError):
            self._last = None
            raise
        return last

    async def changed(self) -> bool:
        """Whether the state has changed since the last check; False if there was none, or none within the time limit.

        Checks in a thread: a network file system may block forever.
        """
        try:
            async with asyncio.timeout(self._time_limit):
                changed = await self._threads.run((), self._changed, f"checking {self._path.name}")
        except TimeoutError:
            if not self._hangs:
                import structlog  # noqa: PLC0415 - check-config, which reads keys too, does without it

                error = f"cannot check {self._path}: no response within {self._time_limit:g} s"
                structlog.get_logger().warning("key file does not respond", error=error, advice=_HUNG_FILE)
            self._hangs = True
            return False
        except OSError:  # no thread can be started
            return False
        self._hangs = False
        return changed

    def _changed(self) -> bool:
        checked, last = self._checked, self._last
        with contextlib.suppress(OSError, ValueError):
            self.check()
        return checked and self._last != last


class SecretFile:
    """A file with one value; read again when its times, size or inode change. A trailing line break is ignored.

    Reading that takes longer than `time_limit` seconds is an error.
    """

    def __init__(self, path: str | os.PathLike[str], *, time_limit: float = TIME_LIMIT) -> None:
        self._path = Path(path)
        self._time_limit = time_limit
        self._seen: FileState | None = None
        self._value = ""
        self._watch = FileWatch(self._path, time_limit=time_limit)
        self._threads: SharedThreads[tuple[FileState, str]] = SharedThreads(most=_MOST_HANGING, kept=_LATE_SECONDS)

    async def read(self, *, again: bool = False) -> str:
        """The value, read in a thread: a network file system may block forever. Raises CredentialsError."""
        look = partial(self._look, None if again else self._seen, self._value)
        try:
            async with asyncio.timeout(self._time_limit):
                self._seen, self._value = await self._threads.run(again, look, f"reading {self._path.name}")
        except TimeoutError:
            raise no_credentials(
                f"cannot read credentials file {self._path}: no response within {self._time_limit:g} s", _HUNG_FILE
            ) from None
        except OSError as error:
            raise no_credentials(f"cannot read credentials file {self._path}: {error.strerror}", NO_THREAD) from None
        return self._value

    async def changed(self) -> bool:
        """Whether the file has changed."""
        return await self._watch.changed()

    def _look(self, seen: FileState | None, value: str) -> tuple[FileState, str]:
        try:
            # The state is recorded before reading, so that a change in between is noticed next time.
            now = self._watch.check()
            if now == seen:
                return now, value
            content = read_secret(self._path, most=_LARGEST_FILE)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
            exhausted = isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}
            advice = OPEN_MORE_FILES if exhausted else _FIX_FILE
            raise no_credentials(f"cannot read credentials file {self._path}: {reason}", advice) from error
        # Invalid UTF-8 becomes replacement characters, which validate_secret rejects like all other non-ASCII
        # characters.
        text = content.decode("utf-8", "replace").rstrip("\r\n")
        return now, validate_secret(text, f"credentials file {self._path}")


class EnvSecret:
    """An environment variable, which does not change while the process runs."""

    def __init__(self, name: str, *, environ: Mapping[str, str] = os.environ) -> None:
        self._name = name
        self._environ = environ

    async def read(self, *, again: bool = False) -> str:  # noqa: ARG002 - the environment is never kept
        """The validated value. Raises CredentialsError."""
        if self._name not in self._environ:
            raise no_credentials(f"environment variable {self._name} is not set", f"Set {self._name}, {_OTHERWISE}")
        return validate_secret(self._environ[self._name], f"environment variable {self._name}")

    async def changed(self) -> bool:
        """False: it cannot change."""
        return False


class StaticCredentials:
    """Credentials of two or three parts, each a setting, a file or a variable."""

    def __init__(self, access_key_id: Secret, access_key_secret: Secret, security_token: Secret | None = None) -> None:
        self._access_key_id = access_key_id
        self._access_key_secret = access_key_secret
        self._security_token = security_token

    async def get(self) -> Credentials:
        """The current parts. Raises CredentialsError."""
        return await self._read(again=False)

    async def renew(self) -> Credentials:
        """The parts, with every file read again. Raises CredentialsError."""
        return await self._read(again=True)

    async def changed(self) -> bool:
        """Whether one of the files has changed; all are checked, so that each change counts once."""
        parts = [self._access_key_id, self._access_key_secret, self._security_token]
        return any([await part.changed() for part in parts if part is not None])

    async def _read(self, *, again: bool) -> Credentials:
        token = self._security_token
        return Credentials(
            await self._access_key_id.read(again=again),
            await self._access_key_secret.read(again=again),
            await token.read(again=again) if token is not None else None,
        )


class EnvCredentials:
    """Credentials from the environment; with a token only if its variable is set and not empty."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    async def get(self) -> Credentials:
        """The current values of the variables. Raises CredentialsError."""
        token = EnvSecret(SECURITY_TOKEN, environ=self._environ) if self._environ.get(SECURITY_TOKEN) else None
        key_id = EnvSecret(ACCESS_KEY_ID, environ=self._environ)
        return await StaticCredentials(key_id, EnvSecret(ACCESS_KEY_SECRET, environ=self._environ), token).get()

    async def renew(self) -> Credentials:
        """The same as `get`: nothing is cached."""
        return await self.get()

    async def changed(self) -> bool:
        """False: the environment does not change while the process runs."""
        return False


_OTHERWISE: Final = "or name the credentials of the account in the configuration file."
NO_THREAD: Final = "Raise the number of processes or threads that the exporter may have; it is retried."
_HUNG_FILE: Final = "Check whether its file system responds; it may be a network file system."
_FIX_FILE: Final = "Make it a file with one line that the exporter's user may read and no other user may write."


def validate_secret(text: str, origin: str) -> str:
    """A value that can be sent in a header: printable ASCII without spaces.

    Raises CredentialsError, which never shows the value.
    """
    if not text:
        raise no_credentials(f"{origin} is empty", "Write the value into it.")
    if not text.isascii():
        raise no_credentials(
            f"{origin} holds characters that are not ASCII", "Copy the value again, without any others."
        )
    if " " in text or not text.isprintable():
        raise no_credentials(
            f"{origin} holds a space, line break or control character", "Write the value alone, in one line."
        )
    return text


def no_credentials(message: str, advice: str) -> CredentialsError:
    """The error that a request cannot be signed; message and advice must not contain a secret."""
    return CredentialsError(message, code="credentials", kind=ErrorKind.AUTH, advice=advice)
