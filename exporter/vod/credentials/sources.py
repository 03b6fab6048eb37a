"""Sources of credentials: the environment, or parts from settings and files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from exporter.errors import CredentialsError, ErrorKind

if TYPE_CHECKING:
    from collections.abc import Mapping

# The variables that Alibaba Cloud's SDKs read.
ACCESS_KEY_ID: Final = "ALIBABA_CLOUD_ACCESS_KEY_ID"
ACCESS_KEY_SECRET: Final = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"  # noqa: S105 - the name of a variable, not a secret
SECURITY_TOKEN: Final = "ALIBABA_CLOUD_SECURITY_TOKEN"  # noqa: S105 - the name of a variable, not a secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """What requests are signed with; only the ID may be shown."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FetchedCredentials:
    """Credentials and the place they were fetched from; `expires` in seconds since 1970, None if unknown."""

    credentials: Credentials
    place: str
    expires: float | None = None


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


class StaticCredentials:
    """Credentials of two or three parts, each a setting or a file."""

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

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def get(self) -> Credentials:
        """The current values of the variables. Raises CredentialsError."""
        token = self._read(SECURITY_TOKEN) if self._environ.get(SECURITY_TOKEN) else None
        return Credentials(self._read(ACCESS_KEY_ID), self._read(ACCESS_KEY_SECRET), token)

    async def renew(self) -> Credentials:
        """The same as `get`: nothing is cached."""
        return await self.get()

    async def changed(self) -> bool:
        """False: the environment does not change while the process runs."""
        return False

    def _read(self, name: str) -> str:
        if name not in self._environ:
            advice = f"Set {name}, or name the credentials of the account in the configuration file."
            raise no_credentials(f"environment variable {name} is not set", advice)
        return validate_secret(self._environ[name], f"environment variable {name}")


_QUOTES: Final = "\"'"


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
    # Docker's --env-file and some editors keep quotes, and no key or token has any.
    if text[0] in _QUOTES and text[-1] == text[0]:
        raise no_credentials(f"{origin} is in quotes", "Write the value without quotes.")
    return text


def no_credentials(message: str, advice: str) -> CredentialsError:
    """The error that a request cannot be signed; message and advice must not contain a secret."""
    return CredentialsError(message, code="credentials", kind=ErrorKind.AUTH, advice=advice)
