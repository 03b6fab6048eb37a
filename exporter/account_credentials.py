"""The credential source of a configured account, tried at the start as far as that needs no network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from exporter.errors import CredentialsError
from exporter.vod.credentials.credential_files import SecretFile
from exporter.vod.credentials.resolve import resolve_source
from exporter.vod.credentials.sources import PlainSecret, StaticCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic import SecretStr

    from exporter.config.accounts import AccountSettings
    from exporter.vod.credentials.sources import CredentialSource, Secret


async def credential_source(
    account: AccountSettings,
    variables: Mapping[str, str],
    *,
    not_yet: Callable[[CredentialsError], object],
    now: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> CredentialSource:
    """The source of an account's credentials, read once.

    Raises StartError for errors that do not go away by themselves. A file may be created later, and is read again at
    every poll: `not_yet` is called with the reason why it cannot be used now.
    """
    given = account.credentials
    key_id = _secret("access_key_id", given.access_key_id, given.access_key_id_file)
    secret = _secret("access_key_secret", given.access_key_secret, given.access_key_secret_file)
    token = _secret("security_token", given.security_token, given.security_token_file)
    keys = StaticCredentials(key_id, secret, token) if key_id is not None and secret is not None else None
    try:
        if keys is not None:
            await keys.get()
    except CredentialsError as error:
        not_yet(error)
    return await resolve_source(account.name, given, keys, variables, now=now, monotonic=monotonic)


def _secret(setting: str, value: SecretStr | None, file: Path | None) -> Secret | None:
    if value is not None:
        return PlainSecret(value.get_secret_value(), setting=setting)
    return SecretFile(file) if file is not None else None
