"""Settings of accounts: credentials, endpoint and limits; knows no queries."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from exporter.config.media_selection import MetadataSettings
from exporter.config.settings_model import SettingsModel, duration_field
from exporter.core.model import Account
from exporter.documents import lookalikes
from exporter.documents.error_messages import FieldErrorDict, field_error
from exporter.documents.field_types import (
    Duration,
    Endpoint,
    Host,
    Name,
    OfUsualSize,
    OidcProviderArn,
    Pattern,
    RoleArn,
    SessionName,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_ACCOUNT: Final = "default"
DEFAULT_ENDPOINT: Final = "https://vod.cn-shanghai.aliyuncs.com"


def _secret(value: object) -> object:
    """Strip the line break that files and variables often end with; messages never quote the value."""
    if not isinstance(value, str):
        return value
    secret = value.strip()
    if not secret:
        raise field_error("is empty")
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise field_error(f"holds spaces or characters that no key or token has{lookalikes.hint(secret, secret=True)}")
    if secret[0] in "\"'" and secret[-1] == secret[0]:
        raise field_error("is in quotes: write the value without these")
    return secret


def _token(value: object) -> object:
    """An empty token is None: `${ALIBABA_CLOUD_SECURITY_TOKEN:-}` means "if there is one"."""
    return None if value == "" else _secret(value)


def _file(value: object) -> object:
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise field_error("must be the path of a file")
    if isinstance(value, str) and value.split("/", 1)[0] == "~":
        raise field_error("begins with ~, which is not replaced here: write the whole path, or ${HOME} for it")
    return value


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    """Resolve a relative path against the directory of the configuration file."""
    directory: Path | None = (info.context or {}).get("directory")
    return directory / path if directory else path


_Secret = Annotated[SecretStr, BeforeValidator(_secret)]
_SecretFile = Annotated[Path, BeforeValidator(_file), AfterValidator(_beside_the_file)]


_PARTS: Final = ("access_key_id", "access_key_secret", "security_token")
# Settings that only these providers take.
_BY_STS: Final = ("oidc_role_arn", "ram_role_arn")
_PROVIDERS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "role_arn": _BY_STS,
    "role_session_name": _BY_STS,
    "session_duration": _BY_STS,
    "sts_endpoint": _BY_STS,
    "external_id": ("ram_role_arn",),
    "oidc_provider_arn": ("oidc_role_arn",),
    "oidc_token_file": ("oidc_role_arn",),
    "role_name": ("ecs_ram_role",),
    "profile_name": ("profile",),
    "profile_file": ("profile",),
}


class CredentialSettings(SettingsModel):
    """Credentials that sign the requests: an AccessKey given here or in files, else one from the provider."""

    access_key_id: _Secret | None = Field(default=None, description="AccessKey ID.")
    access_key_id_file: _SecretFile | None = Field(
        default=None, description="File that contains the AccessKey ID; read again when it changes."
    )
    access_key_secret: _Secret | None = Field(default=None, description="AccessKey secret.")
    access_key_secret_file: _SecretFile | None = Field(
        default=None, description="File that contains the AccessKey secret; read again when it changes."
    )
    security_token: Annotated[SecretStr | None, BeforeValidator(_token)] = Field(
        default=None, description="STS token of a temporary AccessKey; empty: none."
    )
    security_token_file: _SecretFile | None = Field(
        default=None, description="File that contains the STS token; read again when it changes."
    )
    provider: Literal["default", "env", "ecs_ram_role", "oidc_role_arn", "ram_role_arn", "profile"] = Field(
        default="default",
        description="Source of the credentials if none are given here: the environment, else Alibaba Cloud's default"
        " chain (default); the environment only (env); the RAM role of the ECS instance (ecs_ram_role); a role assumed"
        " with an OIDC token (oidc_role_arn) or with an AccessKey given here or in the environment (ram_role_arn); a"
        " profile of the Alibaba Cloud CLI (profile).",
    )
    role_arn: RoleArn | None = Field(
        default=None, description="ARN of the RAM role to assume; default: ALIBABA_CLOUD_ROLE_ARN."
    )
    role_session_name: SessionName | None = Field(
        default=None,
        description="Name of the session in audit logs, 2 to 64 characters; default: ALIBABA_CLOUD_ROLE_SESSION_NAME,"
        " else aliyun-vod-exporter.",
    )
    session_duration: Annotated[float, Duration("15m", "12h")] = duration_field(
        "1h", "Lifetime of the role's token, 15m to 12h; at most the maximum session duration of the role."
    )
    sts_endpoint: Host | None = Field(
        default=None,
        description="Host of STS; default: the host of the region ALIBABA_CLOUD_STS_REGION (inside the VPC with"
        " ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED=true), else sts.aliyuncs.com.",
    )
    external_id: Annotated[str, Pattern(r"^[!-~]{2,1224}$", "must be 2 to 1224 characters without spaces")] | None = (
        Field(default=None, description="External ID that a role of another company may require; 2 to 1224 characters.")
    )
    oidc_provider_arn: OidcProviderArn | None = Field(
        default=None,
        description="ARN of the OIDC provider that issues the token; default: ALIBABA_CLOUD_OIDC_PROVIDER_ARN.",
    )
    oidc_token_file: _SecretFile | None = Field(
        default=None,
        description="File that contains the OIDC token; read for every session; default:"
        " ALIBABA_CLOUD_OIDC_TOKEN_FILE.",
    )
    role_name: (
        Annotated[str, Pattern(r"^[A-Za-z0-9.-]{1,64}$", "must be the name of a RAM role, not its ARN")] | None
    ) = Field(
        default=None,
        description="Name of the ECS instance's RAM role; default: ALIBABA_CLOUD_ECS_METADATA, else the"
        " metadata service is queried.",
    )
    profile_name: Name | None = Field(
        default=None,
        description="Profile of the CLI; default: ALIBABA_CLOUD_PROFILE, else the current profile.",
    )
    profile_file: _SecretFile | None = Field(
        default=None,
        description="Profile file of the CLI; default: ~/.aliyun/config.json.",
    )

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterator[FieldErrorDict]:
        """One source for each part, every part that signing needs, and nothing the provider does not take."""
        # An empty token is none; anything else that is there counts, right or wrong.
        there = [name for name in cls.model_fields if name in given and (name != "security_token" or given[name] != "")]
        parts = {name.removesuffix("_file"): name for name in there if name.startswith(_PARTS)}
        for part in parts:
            if part in there and f"{part}_file" in there:
                yield (f"{part}_file",), field_error(f"cannot be combined with {part}: give one of the two")
        for part in ("access_key_id", "access_key_secret"):
            if parts and part not in parts:
                yield (next(iter(parts.values())),), field_error(f"needs {part} or {part}_file too")
        provider = given.get("provider", "default")
        if parts and "provider" in there and provider != "ram_role_arn":
            yield (
                ("provider",),
                field_error("cannot be combined with keys, except ram_role_arn: give keys or a provider"),
            )
        # If the provider is mistyped, the other settings may still be right.
        is_known = provider in {"default", "env", *itertools.chain.from_iterable(_PROVIDERS_OF.values())}
        for name in there:
            providers = _PROVIDERS_OF.get(name, (provider,))
            if is_known and provider not in providers:
                yield (name,), field_error(f"is for provider {' or '.join(providers)} only")


class LimitSettings(SettingsModel):
    """Request limits of an account, over all its queries."""

    requests_per_second: Annotated[float, Field(ge=0.001, allow_inf_nan=False)] = Field(
        default=5.0,
        description="Requests per second, retries included; at least 0.001. Lowered while the service throttles.",
    )
    concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=4, description="Requests in flight at one time, 1 to 1000."
    )
    calls_per_day: Annotated[int, Field(ge=0), OfUsualSize] = Field(
        default=0,
        description="Requests per day (UTC+8), retries included; then polling pauses until 00:00. 0: unlimited.",
    )


class AccountSettings(SettingsModel):
    """An Alibaba Cloud account and how to call the API with it."""

    name: Name = Field(description="Value of the account label, 1 to 64 characters.")
    endpoint: Endpoint = Field(
        default=DEFAULT_ENDPOINT,
        description="URL of the API, which only Shanghai serves, wherever the media are; inside a VPC of that region"
        " https://vod-vpc.cn-shanghai.aliyuncs.com (http:// works too).",
    )
    credentials: CredentialSettings = Field(
        default_factory=CredentialSettings, description="Credentials that sign the requests."
    )
    timeout: Annotated[float, Duration("100ms", "10m")] = duration_field("10s", "Timeout of one attempt, 100ms to 10m.")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="Request limits of the account.")
    metadata: MetadataSettings | None = Field(
        default=None, description="Metadata of the published media: category, status, tags, age; default: none."
    )

    def core_account(self) -> Account:
        """The core's Account."""
        given, limits = self.credentials, self.limits
        has_key = given.access_key_id is not None or given.access_key_id_file is not None
        return Account(
            name=self.name,
            endpoint=self.endpoint,
            credentials="key" if has_key and given.provider == "default" else given.provider,
            timeout=self.timeout,
            requests_per_second=limits.requests_per_second,
            concurrency=limits.concurrency,
            calls_per_day=limits.calls_per_day,
        )
