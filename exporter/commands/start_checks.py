"""Check what `serve` checks before it listens: errors that keep it from starting, and warnings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter import secret_files
from exporter.account_credentials import credential_source
from exporter.commands.loop_signals import run_interruptible
from exporter.commands.request_counter import RequestCounter
from exporter.commands.setting_warnings import lacks_token, missing_token
from exporter.errors import CredentialsError, StartError, shown
from exporter.threads import run_in_daemon_thread
from exporter.vod.credentials.provider_chain import provider_chain
from exporter.vod.credentials.providers import LARGEST_FILE, CliProfile, IniProfile, OidcRole
from exporter.vod.credentials.sources import SECURITY_TOKEN, EnvCredentials, StaticCredentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from exporter.config.accounts import AccountSettings
    from exporter.config.schema import Config
    from exporter.vod.credentials.sources import CredentialSource

_RETRIED: Final = "serve starts all the same, and reads it again at every poll."


@dataclass(frozen=True, slots=True)
class StartCheckResult:
    """Sentences for the operator: `errors` keep serve from starting, `warnings` do not."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check_start(config: Config, environ: Mapping[str, str]) -> StartCheckResult:
    """Open each account as serve does, and close it again; sends no request."""
    return run_interruptible(_check_start(config, environ))


async def _check_start(config: Config, environ: Mapping[str, str]) -> StartCheckResult:
    # All at the same time: each key file on a file system that does not respond takes its whole time limit.
    results = await asyncio.gather(*(_check_credentials(account, environ) for account in config.accounts))
    errors: list[str] = []
    warnings: list[str] = []
    for account, (source, found) in zip(config.accounts, results, strict=True):
        errors += found.errors
        warnings += found.warnings
        if source is not None and any(map(_concerns_connections, environ)):
            try:
                await _connect(account, source)
            except StartError as error:
                errors.append(str(error))
    return StartCheckResult(tuple(errors), tuple(warnings))


async def _check_credentials(
    account: AccountSettings, environ: Mapping[str, str]
) -> tuple[CredentialSource | None, StartCheckResult]:
    """The source of an account's credentials, None if there is none, and what is wrong with it."""
    not_yet: list[CredentialsError] = []
    source: CredentialSource | None = None
    errors: tuple[str, ...] = ()
    warnings: list[str] = []
    try:
        source = await credential_source(account, environ, not_yet=not_yet.append)
        warnings += [] if not_yet else await _missing_token(account, source)
    except StartError as error:
        errors = (str(error),)
    warnings += (f"account {account.name}: {e.message}. {e.advice} {_RETRIED}" for e in not_yet)
    if source is not None and not isinstance(source, EnvCredentials | StaticCredentials):
        warnings += await run_in_daemon_thread(
            lambda: tuple(_missing_files(account, environ)), f"files of {account.name}"
        )
    return source, StartCheckResult(errors, tuple(warnings))


async def _missing_token(account: AccountSettings, source: CredentialSource) -> list[str]:
    """A warning about a temporary AccessKey in a file or the environment without its token."""
    in_environment = isinstance(source, EnvCredentials)
    if account.credentials.access_key_id is not None or not (in_environment or isinstance(source, StaticCredentials)):
        return []  # `setting_warnings` checks what is in the configuration; all other sources provide the token
    try:
        found = await source.get()
    except CredentialsError:
        return []  # a warning or an error of its own
    where = SECURITY_TOKEN if in_environment else "security_token or security_token_file"
    return [missing_token(account.name, where)] if lacks_token(found.access_key_id, found.security_token) else []


def _missing_files(account: AccountSettings, environ: Mapping[str, str]) -> Iterator[str]:
    """Warnings about unreadable files that a credential provider reads only at the first poll."""
    for name, file in _provider_files(account, environ):
        try:
            secret_files.read_secret(file, most=LARGEST_FILE)
        except OSError as error:
            what = f"cannot read {name} {shown(file)}: {error.strerror}"
            yield f"account {account.name}: {what}. Make it a file that the exporter's user may read. {_RETRIED}"


def _provider_files(account: AccountSettings, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """The files of the account's providers, named by a setting, a variable or nothing; each with what it is."""
    for provider in provider_chain(account.credentials, environ):
        match provider:
            case OidcRole():
                yield "oidc_token_file", provider.oidc_token_file
            case CliProfile():
                yield "profile_file", provider.file
            case IniProfile():
                yield "credentials file", provider.file


def _concerns_connections(variable: str) -> bool:
    return variable.upper() in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}


async def _connect(account: AccountSettings, source: CredentialSource) -> None:
    """Create the client of an account. Raises StartError for proxies and certificates that cannot be used.

    The client's libraries take half a second to import, so this runs only when a variable may affect it.
    """
    from exporter.accounts import Accounts  # noqa: PLC0415 - see above

    async def opened_source(account: AccountSettings) -> CredentialSource:
        del account
        return source

    async with Accounts(opened_source, meter=RequestCounter()) as accounts, accounts.opened((account,)):
        pass
