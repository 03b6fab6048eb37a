"""Resolve an account's credential settings to a source: a given AccessKey, the environment, or a role or profile."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from exporter.errors import CredentialsError, StartError
from exporter.threads import run_in_daemon_thread
from exporter.vod.credentials.credential_files import TIME_LIMIT
from exporter.vod.credentials.sources import ACCESS_KEY_ID, ACCESS_KEY_SECRET, EnvCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.vod.credentials.provider_chain import CredentialOptions
    from exporter.vod.credentials.sdk import CredentialFetcher
    from exporter.vod.credentials.sources import CredentialSource

_UNSET: Final = f"environment variable {ACCESS_KEY_ID} is not set"
_SET_KEYS: Final = f"Set {ACCESS_KEY_ID}, or name the credentials of the account in the configuration file"
_ON_ECS: Final = "For the RAM role of an ECS instance: provider: ecs_ram_role."


async def resolve_source(
    account: str,
    options: CredentialOptions,
    keys: CredentialSource | None,
    variables: Mapping[str, str],
    *,
    now: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> CredentialSource:
    """The source of the account's credentials; `keys` is the AccessKey of its settings, if any. Fetches nothing.

    Raises StartError for errors that do not go away by themselves: nothing is configured, or the library is missing.
    """
    try:
        if keys is not None and options.provider != "ram_role_arn":
            return keys
        in_environment = bool(variables.get(ACCESS_KEY_ID) or variables.get(ACCESS_KEY_SECRET))
        if options.provider == "env" or (options.provider == "default" and in_environment):
            return await _of_environment(variables)
        start = keys
        if options.provider == "ram_role_arn" and start is None:
            start = await _of_environment(variables)
        async with asyncio.timeout(TIME_LIMIT):
            fetcher = await run_in_daemon_thread(partial(_fetcher, options, variables), f"providers of {account}")
    except StartError as error:
        raise StartError(f"account {account}: {error}") from None
    except TimeoutError:
        raise StartError(
            f"account {account}: the files in which credentials are looked for did not respond within {TIME_LIMIT:g} s"
        ) from None
    from exporter.vod.credentials.cache import CredentialCache  # noqa: PLC0415 - as in _fetcher

    return CredentialCache(account, fetcher, start=start, files=fetcher.files, now=now, monotonic=monotonic)


async def _of_environment(variables: Mapping[str, str]) -> CredentialSource:
    """The environment's credentials, read once: they do not change while the process runs."""
    source = EnvCredentials(variables)
    try:
        await source.get()
    except CredentialsError as error:
        raise StartError(f"{error.message}. {error.advice}") from None
    return source


def _fetcher(options: CredentialOptions, variables: Mapping[str, str]) -> CredentialFetcher:
    # Imported when needed: most accounts have an AccessKey.
    from exporter.vod.credentials.provider_chain import provider_chain  # noqa: PLC0415
    from exporter.vod.credentials.providers import INSTALL_ROLES, LIBRARY  # noqa: PLC0415

    found = provider_chain(options, variables)
    if find_spec(LIBRARY) is None:
        if options.provider == "default":
            raise StartError(f"{_UNSET}. {_SET_KEYS}; or, for keys of roles and profiles: {INSTALL_ROLES}")
        raise StartError(f"provider {options.provider} needs a library that is not installed: {INSTALL_ROLES}")
    if not found:
        raise StartError(f"{_UNSET}, and there is nothing else to take keys from. {_SET_KEYS}. {_ON_ECS}")
    from exporter.vod.credentials.sdk import CredentialFetcher  # noqa: PLC0415

    return CredentialFetcher(found)
