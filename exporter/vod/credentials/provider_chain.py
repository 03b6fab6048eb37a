"""Choose credential providers from settings and environment variables; does not contact any of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from exporter.errors import StartError
from exporter.vod.credentials.providers import (
    METADATA_SERVICE,
    AssumedRole,
    CliProfile,
    CredentialProvider,
    EcsRole,
    IniProfile,
    OidcRole,
    UriProvider,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SESSION_NAME: Final = "aliyun-vod-exporter"

# The variables of Alibaba Cloud's SDKs, and those that ACK's webhook sets in pods with RRSA.
_ROLE_ARN: Final = "ALIBABA_CLOUD_ROLE_ARN"
_ROLE_SESSION_NAME: Final = "ALIBABA_CLOUD_ROLE_SESSION_NAME"
_OIDC_PROVIDER_ARN: Final = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
_OIDC_TOKEN_FILE: Final = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"  # noqa: S105 - the name of a variable, not a secret
_ECS_METADATA: Final = "ALIBABA_CLOUD_ECS_METADATA"
_ECS_METADATA_DISABLED: Final = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
_IMDSV1_DISABLED: Final = "ALIBABA_CLOUD_IMDSV1_DISABLED"
_PROFILE: Final = "ALIBABA_CLOUD_PROFILE"
_CLI_PROFILE_DISABLED: Final = "ALIBABA_CLOUD_CLI_PROFILE_DISABLED"
_CREDENTIALS_FILE: Final = "ALIBABA_CLOUD_CREDENTIALS_FILE"
_CREDENTIALS_URI: Final = "ALIBABA_CLOUD_CREDENTIALS_URI"
_STS_REGION: Final = "ALIBABA_CLOUD_STS_REGION"
_VPC_ENDPOINT_ENABLED: Final = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"


class CredentialOptions(Protocol):
    """The credential settings of an account; None if not set."""

    @property
    def provider(self) -> str:
        """`default`, `ecs_ram_role`, `oidc_role_arn`, `ram_role_arn` or `profile`; `env` needs no provider."""

    @property
    def role_arn(self) -> str | None:
        """The role to assume."""

    @property
    def role_session_name(self) -> str | None:
        """The name of the session in audit logs."""

    @property
    def session_duration(self) -> float:
        """Requested lifetime of an STS token in seconds."""

    @property
    def external_id(self) -> str | None:
        """The external ID that a role of another company may require."""

    @property
    def sts_endpoint(self) -> str | None:
        """The host of STS."""

    @property
    def oidc_provider_arn(self) -> str | None:
        """The OIDC provider that issued the token in the file."""

    @property
    def oidc_token_file(self) -> Path | None:
        """The file with that token."""

    @property
    def role_name(self) -> str | None:
        """The role of the ECS instance."""

    @property
    def profile_name(self) -> str | None:
        """A profile of the CLI."""

    @property
    def profile_file(self) -> Path | None:
        """The configuration file of the CLI."""


def provider_chain(options: CredentialOptions, variables: Mapping[str, str]) -> tuple[CredentialProvider, ...]:
    """The providers to try in order; the first with credentials is used. Empty if the default chain has none.

    Raises StartError if the configured provider cannot be used.
    """
    match options.provider:
        case "ecs_ram_role":
            if _is_true(variables, _ECS_METADATA_DISABLED):
                raise StartError(
                    f"provider ecs_ram_role: {_ECS_METADATA_DISABLED} is true. Unset it, or choose another provider."
                )
            return (_ecs_role(options, variables),)
        case "oidc_role_arn":
            return (_oidc_role(options, variables),)
        case "ram_role_arn":
            return (_assumed_role(options, variables),)
        case "profile":
            file = options.profile_file or _at_home(variables, ".aliyun/config.json")
            if file is None:
                raise StartError("provider profile: HOME is not set. Set profile_file too.")
            return (_cli_profile(options, variables, file),)
        case _:
            return tuple(_chain(options, variables))


def _chain(options: CredentialOptions, variables: Mapping[str, str]) -> list[CredentialProvider]:
    """The available providers of Alibaba Cloud's default chain, in its order.

    One exception: the metadata service is used only if a variable names the role. Outside ECS its address is
    unreachable, and the timeout would hide the real cause; in an untrusted network another host may answer at it.
    """
    found: list[CredentialProvider] = []
    if all(variables.get(name) for name in (_ROLE_ARN, _OIDC_PROVIDER_ARN, _OIDC_TOKEN_FILE)):
        found.append(_oidc_role(options, variables))
    cli = _at_home(variables, ".aliyun/config.json")
    if cli and _exists(cli) and not _is_true(variables, _CLI_PROFILE_DISABLED):
        found.append(_cli_profile(options, variables, cli))
    named = variables.get(_CREDENTIALS_FILE)
    ini = Path(named) if named else _at_home(variables, ".alibabacloud/credentials.ini")
    if ini and _exists(ini):
        found.append(IniProfile(ini, variables.get(_PROFILE) or "default", _ecs_role(options, variables)))
    if variables.get(_ECS_METADATA) and not _is_true(variables, _ECS_METADATA_DISABLED):
        found.append(_ecs_role(options, variables))
    if uri := variables.get(_CREDENTIALS_URI):
        found.append(UriProvider(uri))
    return found


def _ecs_role(options: CredentialOptions, variables: Mapping[str, str]) -> EcsRole:
    # The library would send the request to the proxy, which returns the role of its own machine; it ignores NO_PROXY.
    # With the service as its own proxy, the request goes there with an absolute URL, which every HTTP/1.1 server
    # accepts.
    proxied = variables.get("HTTP_PROXY") or variables.get("http_proxy")
    return EcsRole(
        options.role_name or variables.get(_ECS_METADATA, ""),
        _is_true(variables, _IMDSV1_DISABLED),
        METADATA_SERVICE if proxied else None,
    )


def _oidc_role(options: CredentialOptions, variables: Mapping[str, str]) -> OidcRole:
    role_arn = options.role_arn or variables.get(_ROLE_ARN, "")
    provider_arn = options.oidc_provider_arn or variables.get(_OIDC_PROVIDER_ARN, "")
    token_file = options.oidc_token_file or variables.get(_OIDC_TOKEN_FILE, "")
    _need(
        "oidc_role_arn",
        {
            ("role_arn", _ROLE_ARN): role_arn,
            ("oidc_provider_arn", _OIDC_PROVIDER_ARN): provider_arn,
            ("oidc_token_file", _OIDC_TOKEN_FILE): str(token_file),
        },
    )
    return OidcRole(
        role_arn,
        provider_arn,
        Path(token_file),
        _session_name(options, variables),
        int(options.session_duration),
        _sts_endpoint(options, variables),
    )


def _assumed_role(options: CredentialOptions, variables: Mapping[str, str]) -> AssumedRole:
    role_arn = options.role_arn or variables.get(_ROLE_ARN, "")
    _need("ram_role_arn", {("role_arn", _ROLE_ARN): role_arn})
    return AssumedRole(
        role_arn,
        _session_name(options, variables),
        options.external_id,
        int(options.session_duration),
        _sts_endpoint(options, variables),
    )


def _cli_profile(options: CredentialOptions, variables: Mapping[str, str], file: Path) -> CliProfile:
    return CliProfile(file, options.profile_name or variables.get(_PROFILE) or None, _ecs_role(options, variables))


def _session_name(options: CredentialOptions, variables: Mapping[str, str]) -> str:
    return options.role_session_name or variables.get(_ROLE_SESSION_NAME) or _SESSION_NAME


def _sts_endpoint(options: CredentialOptions, variables: Mapping[str, str]) -> str:
    region = variables.get(_STS_REGION)
    prefix = "sts-vpc" if _is_true(variables, _VPC_ENDPOINT_ENABLED) else "sts"
    return options.sts_endpoint or (f"{prefix}.{region}.aliyuncs.com" if region else "sts.aliyuncs.com")


def _need(provider: str, values: Mapping[tuple[str, str], str]) -> None:
    missing = [names for names, value in values.items() if not value]
    if missing:
        settings, variables = (", ".join(names) for names in zip(*missing, strict=True))
        them = "it" if len(missing) == 1 else "them"
        raise StartError(f"provider {provider} needs {settings}. Set {them} in credentials, or set {variables}.")


def _at_home(variables: Mapping[str, str], path: str) -> Path | None:
    home = variables.get("HOME")
    return Path(home, path) if home else None


def _exists(file: Path) -> bool:
    """Whether there is such a file; False also where its directory may not be entered, as another user's home."""
    return os.path.isfile(file)  # noqa: PTH113 - `is_file` raises there before Python 3.14


def _is_true(variables: Mapping[str, str], name: str) -> bool:
    return variables.get(name, "").lower() == "true"
