"""Every setting: its type, default and sentence, and what it means in the words of the core; knows no YAML, no file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from exporter.config.consistency import stale_between_polls
from exporter.config.json_schema import editor_schema
from exporter.core.model import (
    OPERATING_SYSTEMS,
    REGIONS,
    TERMINAL_TYPES,
    ByIds,
    Dimensions,
    Everything,
    Measure,
    Media,
    Query,
    Top,
)
from exporter.core.play_dates import OLDEST_DAYS_AGO
from exporter.documents import durations, lookalikes
from exporter.documents.error_messages import (
    FieldErrorDict,
    field_error,
    kind,
    merge_errors,
    quoted,
    unknown_key,
)
from exporter.documents.field_types import (
    Choice,
    Duration,
    Endpoint,
    Host,
    ListOf,
    MediaId,
    Name,
    OidcProviderArn,
    Pattern,
    RoleArn,
    SessionName,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_ACCOUNT: Final = "default"
DEFAULT_ENDPOINT: Final = "https://vod.cn-shanghai.aliyuncs.com"
# Before the first model is built: pydantic would look for plugins in the metadata of every installed library.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
# Yesterday and the day before, each with the same day a week earlier: what alerts on drops compare.
DEFAULT_DAYS_AGO: Final = (1, 2, 8, 9)
_MEDIA_FORMS: Final = "all, {ids: [...]} or {top: 100, by: plays}"


class SettingsModel(BaseModel):
    """A mapping of settings: unknown keys are errors, nothing changes later, errors hold no values.

    A setting without a value (`key:`) is as if it were not there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    @classmethod
    def complaints(cls, given: Mapping[str, Any]) -> Iterator[FieldErrorDict]:
        """Errors between settings, found even if one of them is invalid by itself."""
        del given
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _collect_all_errors(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, Mapping):
            return handler(given)
        known = {key: value for key, value in given.items() if key in cls.model_fields and value is not None}
        unknown: list[FieldErrorDict] = [
            ((key,), unknown_key(key, cls.model_fields)) for key in given if key not in cls.model_fields
        ]
        settings: Self = merge_errors(handler, known, [*unknown, *cls.complaints(known)])
        return settings


def _secret(value: object) -> object:
    """Strip the line break that files and variables often end with; messages never quote the value."""
    if not isinstance(value, str):
        return value
    secret = value.strip()
    if not secret:
        raise field_error("is empty")
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise field_error(f"holds spaces or characters that no key or token has{lookalikes.hint(secret, secret=True)}")
    return secret


def _token(value: object) -> object:
    """An empty token is None: `${ALIBABA_CLOUD_SECURITY_TOKEN:-}` means "if there is one"."""
    return None if value == "" else _secret(value)


def _file(value: object) -> object:
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise field_error("must be the path of a file")
    return value


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    """Resolve a relative path against the directory of the configuration file."""
    directory: Path | None = (info.context or {}).get("directory")
    return directory / path if directory else path


_Secret = Annotated[SecretStr, BeforeValidator(_secret)]
_SecretFile = Annotated[Path, BeforeValidator(_file), AfterValidator(_beside_the_file)]


def _duration(default: str, description: str) -> Any:
    """A field of seconds whose default is shown to editors as a duration."""
    return Field(default=durations.parse(default), json_schema_extra={"default": default}, description=description)


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
    session_duration: Annotated[float, Duration("15m", "12h")] = _duration(
        "1h", "Lifetime of the role's token, 15m to 12h; at most the maximum session duration of the role."
    )
    sts_endpoint: Host | None = Field(
        default=None,
        description="Host of STS; default: that of ALIBABA_CLOUD_STS_REGION (inside the VPC with"
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
        description="Name of the ECS instance's RAM role; default: ALIBABA_CLOUD_ECS_METADATA, else what the"
        " metadata service answers.",
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
    def complaints(cls, given: Mapping[str, Any]) -> Iterator[FieldErrorDict]:
        """One source for each part, every part that signing needs, and nothing the provider does not take."""
        # An empty token is none; anything else that is there counts, right or wrong.
        there = [name for name in cls.model_fields if name in given and (name != "security_token" or given[name] != "")]
        parts = {name.removesuffix("_file"): name for name in there if name.startswith(_PARTS)}
        for part in parts:
            if part in there and f"{part}_file" in there:
                yield (f"{part}_file",), field_error(f"cannot stand beside {part}: give one of the two")
        for part in ("access_key_id", "access_key_secret"):
            if parts and part not in parts:
                yield (next(iter(parts.values())),), field_error(f"needs {part} or {part}_file beside it")
        provider = given.get("provider", "default")
        if parts and "provider" in there and provider != "ram_role_arn":
            yield ("provider",), field_error("cannot stand beside keys, only ram_role_arn can: give keys or a provider")
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
    calls_per_day: Annotated[int, Field(ge=0)] = Field(
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
    timeout: Annotated[float, Duration("100ms", "10m")] = _duration("10s", "Timeout of one attempt, 100ms to 10m.")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="Request limits of the account.")


class MediaByIds(SettingsModel):
    """Media listed by ID; without plays they are exported as 0."""

    ids: Annotated[tuple[MediaId, ...], ListOf(unique=True)] = Field(
        description="Media IDs; media without plays are exported as 0."
        " At most one call per media and slice, and one more."
    )


class MediaTop(SettingsModel):
    """The media that rank first by a measure."""

    top: Annotated[int, Field(ge=1)] = Field(
        description="Number of media, at least 1. One call per 100 media and slice."
    )
    by: Annotated[Measure, Choice(tuple(Measure))] = Field(default=Measure.PLAYS, description="Measure to rank by.")


def _media(given: object, info: ValidationInfo) -> object:
    """Choose the form by the keys, so that only errors of that form are reported."""
    match given:
        case {"ids": _, "top": _}:
            raise field_error("takes ids or top, not both")
        case {"ids": _}:
            return MediaByIds.model_validate(given, context=info.context)
        case {"top": _}:
            return MediaTop.model_validate(given, context=info.context)
        case "all" | MediaByIds() | MediaTop():
            return given
        case str():
            raise field_error(f"{quoted(given)} is not one of {_MEDIA_FORMS}{lookalikes.hint(given)}")
        case {}:
            raise field_error(f"must be {_MEDIA_FORMS}")
        case _:
            raise field_error(f"must be {_MEDIA_FORMS}, not {kind(given)}")


class DimensionLists(SettingsModel):
    """All combinations of the filters listed; a filter left out does not restrict."""

    terminal_type: Annotated[tuple[Annotated[str, Choice(TERMINAL_TYPES)], ...], ListOf()] | None = Field(
        default=None, description="Terminal types; Native is the Android and iOS SDK."
    )
    os: Annotated[tuple[Annotated[str, Choice(OPERATING_SYSTEMS)], ...], ListOf()] | None = Field(
        default=None, description="Operating systems."
    )
    region: Annotated[tuple[Annotated[str, Choice(REGIONS)], ...], ListOf()] | None = Field(
        default=None, description="Service regions of the media, not of the endpoint."
    )

    def product(self) -> Iterator[Dimensions]:
        """Every combination, the last filter changing fastest."""
        for combination in itertools.product(self.terminal_type or (None,), self.os or (None,), self.region or (None,)):
            yield Dimensions(*combination)


class QuerySettings(SettingsModel):
    """A query that is polled at an interval."""

    name: Name = Field(description="Name in logs and self-metrics, never on play metrics; 1 to 64 characters.")
    account: Name | None = Field(default=None, description="Name of the account; required if there are several.")
    every: Annotated[float, Duration("10s", "30d")] = _duration("15m", "Poll interval, 10s to 30d.")
    media: Annotated[MediaByIds | MediaTop | Literal["all"], BeforeValidator(_media)] = Field(
        description="Media to query: {ids: [...]}, {top: 100, by: plays} or all."
    )
    dimensions: Annotated[tuple[DimensionLists, ...], ListOf(scalar=False)] = Field(
        default_factory=lambda: (DimensionLists(),),
        json_schema_extra={"default": [{}]},
        description="Breakdowns. Each entry stands for all combinations of its lists; {} is no filter, the total.",
    )
    days_ago: Annotated[tuple[Annotated[int, Field(ge=0, le=OLDEST_DAYS_AGO)], ...], ListOf(unique=True)] = Field(
        default=DEFAULT_DAYS_AGO, description="Days before today (UTC+8), 0 to 30; 0 is today."
    )
    expected: bool = Field(
        default=True,
        description="Whether to compare the last settled day with expected plays, if days_ago contains 1. Days 1 to 3"
        " and 8 to 10 are then polled too, which costs calls in the first poll only.",
    )

    def core_query(self, only_account: str) -> Query:
        """The core's Query; repeated combinations of dimensions are merged."""
        combinations = itertools.chain.from_iterable(lists.product() for lists in self.dimensions)
        return Query(
            name=self.name,
            account=self.account or only_account,
            every=self.every,
            media=self._core_media(),
            dimensions=tuple(dict.fromkeys(combinations)),
            days_ago=self.days_ago,
            expected=self.expected,
        )

    def _core_media(self) -> Media:
        match self.media:
            case MediaByIds(ids=ids):
                return ByIds(frozenset(ids))
            case MediaTop(top=n, by=by):
                return Top(n, by)
            case "all":
                return Everything()


class SettleSettings(SettingsModel):
    """When a day is settled: final, and not polled again."""

    after: Annotated[float, Duration("0", "30d")] = _duration(
        "33h", "Time from the start of a day (00:00 UTC+8) until it may settle, 0 to 30d; 33h: 09:00 the next day."
    )
    unchanged: Annotated[int, Field(ge=1)] = Field(
        default=2, description="Number of polls in a row that must then find it unchanged, at least 1."
    )


class StorageSettings(SettingsModel):
    """What the file of --storage.path keeps."""

    retention: Annotated[float, Duration("31d", "3650d")] = _duration(
        "400d", "How long a day is kept, from its start, 31d to 3650d; only the last 30 days are published."
    )


class Config(SettingsModel):
    """The whole configuration."""

    accounts: Annotated[tuple[AccountSettings, ...], ListOf(scalar=False)] = Field(
        default_factory=lambda: (AccountSettings(name=DEFAULT_ACCOUNT),),
        description='Alibaba Cloud accounts; default: one named "default" with default credentials.',
    )
    queries: Annotated[tuple[QuerySettings, ...], ListOf(scalar=False)] = Field(
        description="What to poll, at least one query."
    )
    settle: SettleSettings = Field(
        default_factory=SettleSettings, description="When a day is settled and not polled again."
    )
    stale_after: Annotated[float, Duration("1s", "30d")] = _duration(
        "2d",
        "Age at which data that is not settled is no longer published, 1s to 30d; must exceed the interval of each"
        " query with days that cannot settle yet.",
    )
    series_limit: Annotated[int, Field(ge=1)] = Field(
        default=200_000,
        description="Maximum number of media series published, at least 1. The media with the most plays are kept, the"
        " rest is counted and logged.",
    )

    storage: StorageSettings = Field(default_factory=StorageSettings, description="Retention of the storage file.")

    def core_queries(self) -> tuple[Query, ...]:
        """The queries as core types, in the order of the file."""
        return tuple(query.core_query(self.accounts[0].name) for query in self.queries)

    @classmethod
    def complaints(cls, given: Mapping[str, Any]) -> Iterator[FieldErrorDict]:
        """Names are given once, and queries name accounts that exist."""
        account_names = _each_item(given.get("accounts", ({"name": DEFAULT_ACCOUNT},)), "name")
        # A query may mean an account whose own name is invalid.
        is_known = bool(account_names) and all(isinstance(name, str) for name in account_names)
        yield from _duplicates("accounts", account_names)
        yield from _duplicates("queries", _each_item(given.get("queries"), "name"))
        for position, account in enumerate(_each_item(given.get("queries"), "account")):
            path = ("queries", position, "account")
            if account is None and len(account_names) > 1:
                yield path, field_error("is required where there is more than one account")
            if is_known and isinstance(account, str) and account not in account_names:
                yield (
                    path,
                    field_error(
                        f"{quoted(account)} is not one of the accounts: {', '.join(dict.fromkeys(account_names))}"
                    ),
                )
        yield from stale_between_polls(
            given,
            every=QuerySettings.model_fields["every"].default,
            stale_after=cls.model_fields["stale_after"].default,
            settle_after=SettleSettings.model_fields["after"].default,
            days_ago=DEFAULT_DAYS_AGO,
        )


def schema_json() -> str:
    """The JSON schema of the configuration file, for editors and `check-config --schema`."""
    return editor_schema(Config)


def _each_item(parts: object, name: str) -> list[Any]:
    """One setting of each entry of a list (empty if it is not a list); None for entries without it."""
    if not isinstance(parts, list | tuple):
        return []
    return [part.get(name) if isinstance(part, Mapping) else getattr(part, name, None) for part in parts]


def _duplicates(setting: str, names: list[Any]) -> Iterator[FieldErrorDict]:
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        if isinstance(name, str) and first.setdefault(name, position) != position:
            yield (setting, position, "name"), field_error(f"{quoted(name)} is already {setting}[{first[name]}]")
