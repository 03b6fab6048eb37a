"""Fetches keys of roles and profiles with Alibaba Cloud's credentials library; the only module that knows it.

It blocks, so call it in a thread. The library's cache, refresh threads and logs are not used: each fetch makes a new
provider, and the caller keeps the credentials.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from exporter.secret_files import read_secret
from exporter.vod.credentials.providers import (
    LARGEST_FILE,
    LIBRARY,
    METADATA_SERVICE,
    AssumedRole,
    CliProfile,
    CredentialProvider,
    EcsRole,
    IniProfile,
    OidcRole,
    UriProvider,
)
from exporter.vod.credentials.sdk_errors import describe_failure
from exporter.vod.credentials.sources import Credentials, FetchedCredentials, no_credentials, validate_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from exporter.errors import CredentialsError

_SESSION: Final = "exporter.vod.credentials.sdk_session"
# Milliseconds; the metadata service is on the local network.
_CONNECT_TIMEOUT: Final = 5_000
_READ_TIMEOUT: Final = 10_000
_METADATA_TIMEOUT: Final = 2_000
# Loggers that get handlers at import, or that log URLs with tokens and signatures at debug level.
_LOGGERS: Final = ("credentials", LIBRARY, "alibabacloud-tea", "urllib3")
_SILENT: Final = logging.CRITICAL + 1
# The library's names of its providers, which the setting uses too.
_PLACES: Final[Mapping[type[CredentialProvider], str]] = {
    EcsRole: "ecs_ram_role",
    AssumedRole: "ram_role_arn",
    OidcRole: "oidc_role_arn",
    CliProfile: "profile",
    IniProfile: "credentials file",
    UriProvider: "credentials URI",
}


class _Provider(Protocol):
    """A provider of the library; its result has `get_access_key_id` and similar methods."""

    def get_credentials(self) -> Any: ...


class CredentialFetcher:
    """Uses the first provider that has credentials, then only that one: an account must keep its identity."""

    def __init__(self, specs: Sequence[CredentialProvider]) -> None:
        self._specs = tuple(specs)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the providers read."""
        return tuple(file for file in map(_file, self._specs) if file is not None)

    def __call__(self, start: Credentials | None) -> FetchedCredentials:
        """Current credentials; `start` are those that assume the role, if there is one. Raises CredentialsError."""
        failures: list[CredentialsError] = []
        for spec in self._specs:
            outcome = _outcome(spec, start)
            if isinstance(outcome, FetchedCredentials):
                self._specs = (spec,)
                return outcome
            failures.append(outcome)
        raise no_credentials("; ".join(failure.message for failure in failures), failures[0].advice)


def _outcome(spec: CredentialProvider, start: Credentials | None) -> FetchedCredentials | CredentialsError:
    """Return errors instead of raising them: the library's exception as context would keep the request's URL."""
    place = _PLACES[type(spec)]
    hide = [start.access_key_secret, start.security_token or ""] if start is not None else []
    if isinstance(spec, UriProvider):
        hide.append(spec.uri)
    try:
        return _fetched(spec, start, place)
    except Exception as error:  # noqa: BLE001 - the library and its dependencies may raise anything
        message, advice = describe_failure(error, _server(spec), hide)
    return no_credentials(f"{place}: {message}", advice)


def _server(spec: CredentialProvider) -> str:
    """The server as error messages name it, without the host in a profile or the URI: both may contain secrets."""
    match spec:
        case EcsRole():
            return f"the metadata service ({METADATA_SERVICE})"
        case AssumedRole() | OidcRole():
            return spec.sts_endpoint
        case CliProfile() | IniProfile():
            return f"the profile in {spec.file}"
        case UriProvider():
            return "the host of ALIBABA_CLOUD_CREDENTIALS_URI"


def _file(spec: CredentialProvider) -> Path | None:
    match spec:
        case OidcRole():
            return spec.oidc_token_file
        case CliProfile() | IniProfile():
            return spec.file
        case _:
            return None


def _check_file(spec: CredentialProvider) -> None:
    """Check a file before the library reads it. Raises OSError.

    The library would block on a pipe, and a profile may name a program to run.
    """
    file = _file(spec)
    if file is None:
        return
    with contextlib.suppress(FileNotFoundError):  # the library reports this itself
        read_secret(file, most=LARGEST_FILE)


def _fetched(spec: CredentialProvider, start: Credentials | None, place: str) -> FetchedCredentials:
    _check_file(spec)
    keys = _provider(_library(), spec, start).get_credentials()
    token = keys.get_security_token()
    expires = keys.get_expiration()
    return FetchedCredentials(
        Credentials(
            validate_secret(keys.get_access_key_id() or "", "the AccessKey ID"),
            validate_secret(keys.get_access_key_secret() or "", "the AccessKey secret"),
            validate_secret(token, "the security token") if token else None,
        ),
        place,
        # If the expiry is unknown, the library returns None, 0 or a number before 1970.
        float(expires) if expires and expires > 0 else None,
    )


def _library() -> Any:
    """Import the library when it is first needed: it reads the environment, configures logging and takes 0.5 s."""
    providers = importlib.import_module(f"{LIBRARY}.provider")
    importlib.import_module("Tea.core").Session = importlib.import_module(_SESSION).ProxySession  # type: ignore[attr-defined]
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(_SILENT)
    return providers


def _provider(library: Any, spec: CredentialProvider, start: Credentials | None) -> _Provider:
    """The library's provider, with explicit values for everything that it would otherwise read from the environment."""
    provider: _Provider
    match spec:
        case EcsRole():
            provider = library.EcsRamRoleCredentialsProvider(
                role_name=spec.role_name,
                disable_imds_v1=spec.disable_imds_v1,
                http_options=_http_options(_METADATA_TIMEOUT, _METADATA_TIMEOUT, spec.proxy),
                async_update_enabled=False,
            )
        case AssumedRole():
            assert start is not None  # noqa: S101 - for mypy: a role to assume comes with a key
            provider = library.RamRoleArnCredentialsProvider(
                access_key_id=start.access_key_id,
                access_key_secret=start.access_key_secret,
                security_token=start.security_token,
                role_arn=spec.role_arn,
                role_session_name=spec.role_session_name,
                external_id=spec.external_id,
                duration_seconds=spec.duration,
                sts_endpoint=spec.sts_endpoint,
                http_options=_http_options(),
            )
        case OidcRole():
            provider = library.OIDCRoleArnCredentialsProvider(
                role_arn=spec.role_arn,
                oidc_provider_arn=spec.oidc_provider_arn,
                oidc_token_file_path=str(spec.oidc_token_file),
                role_session_name=spec.role_session_name,
                duration_seconds=spec.duration,
                sts_endpoint=spec.sts_endpoint,
                http_options=_http_options(),
            )
        case CliProfile():
            provider = _profile(library, library.CLIProfileCredentialsProvider, spec)
        case IniProfile():
            provider = _profile(library, library.ProfileCredentialsProvider, spec)
        case UriProvider():
            provider = library.URLCredentialsProvider(uri=spec.uri, http_options=_http_options())
    return provider


def _profile(library: Any, base: Any, spec: CliProfile | IniProfile) -> _Provider:
    class Profile(base):  # type: ignore[misc]  # the library has no types
        """Keeps the provider that the profile refers to: unlike the profile itself, it knows when its keys expire."""

        def _get_credentials_provider(self, *section: Any) -> Any:
            role_name = _ecs_role_name(*section)
            if role_name is None:
                self.found = super()._get_credentials_provider(*section)
            else:
                # The library's default would start a thread that never ends.
                self.found = _provider(library, replace(spec.ecs, role_name=role_name or spec.ecs.role_name), None)
            return self.found

        def get_credentials(self) -> Any:
            super().get_credentials()
            return self.found.get_credentials()

    provider: _Provider = Profile(profile_file=str(spec.file), profile_name=spec.name)
    return provider


def _ecs_role_name(section: Mapping[str, Any], profile_name: str | None = None) -> str | None:
    """The role of a profile that refers to the instance's role, "" if it names none; None for other profiles.

    `section` is one of credentials.ini, or, with a name, the whole file of the CLI.
    """
    if profile_name is None:
        return section.get("role_name", "") if section.get("type") == "ecs_ram_role" else None
    for profile in section.get("profiles") or ():
        if profile.get("name") == profile_name and profile.get("mode") == "EcsRamRole":
            return profile.get("ram_role_name") or ""
    return None


def _http_options(connect: int = _CONNECT_TIMEOUT, read: int = _READ_TIMEOUT, proxy: str | None = None) -> Any:
    options = importlib.import_module(f"{LIBRARY}.http").HttpOptions
    return options(connect_timeout=connect, read_timeout=read, proxy=proxy)
