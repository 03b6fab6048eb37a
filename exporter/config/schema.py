"""The settings except those of accounts: types, defaults, descriptions, and conversion to core types."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from exporter.config.accounts import DEFAULT_ACCOUNT, AccountSettings
from exporter.config.consistency import setting_of, stale_between_polls
from exporter.config.json_schema import editor_schema
from exporter.config.media_selection import MediaByIds, MediaBySearch, MediaTop, media_form
from exporter.config.player import PlayerSettings, repeated_targets
from exporter.config.settings_model import SettingsModel, duration_field
from exporter.core.model import (
    OPERATING_SYSTEMS,
    REGIONS,
    TERMINAL_TYPES,
    ByIds,
    Dimensions,
    Everything,
    Media,
    Query,
    Top,
)
from exporter.core.play_dates import OLDEST_DAYS_AGO, Settlement
from exporter.documents.error_messages import FieldErrorDict, field_error, quoted
from exporter.documents.field_types import Choice, Duration, ListOf, Name, OfUsualSize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.core.player_query import PlayerQuery

# Yesterday and the day before, each with the same day a week earlier: what alerts on drops compare.
DEFAULT_DAYS_AGO: Final = (1, 2, 8, 9)


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

    elsewhere: ClassVar = {
        **dict.fromkeys(("ids", "top", "by", "search"), "media"),
        "metadata": "an entry of accounts",
        **dict.fromkeys(("terminal_type", "os", "region"), "an entry of dimensions"),
    }

    name: Name = Field(description="Name in logs and self-metrics, never on play metrics; 1 to 64 characters.")
    account: Name | None = Field(default=None, description="Name of the account; required if there are several.")
    every: Annotated[float, Duration("10s", "30d")] = duration_field("15m", "Poll interval, 10s to 30d.")
    media: Annotated[MediaByIds | MediaTop | MediaBySearch | Literal["all"], BeforeValidator(media_form)] = Field(
        description="Media to query: {ids: [...]}, {top: 100, by: plays}, {search: ...} or all."
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
            search=self.media.search.core_search() if isinstance(self.media, MediaBySearch) else None,
        )

    def _core_media(self) -> Media:
        match self.media:
            case MediaByIds(ids=ids):
                return ByIds(frozenset(ids))
            case MediaTop(top=n, by=by):
                return Top(n, by)
            case MediaBySearch():
                return ByIds(frozenset())  # until the search has found some
            case "all":
                return Everything()


class SettleSettings(SettingsModel):
    """When a day is settled: final, and not polled again."""

    after: Annotated[float, Duration("0", "30d")] = duration_field(
        "33h", "Time from the start of a day (00:00 UTC+8) until it may settle, 0 to 30d; 33h: 09:00 the next day."
    )
    unchanged: Annotated[int, Field(ge=1), OfUsualSize] = Field(
        default=2, description="Number of polls in a row that must then find it unchanged, at least 1."
    )


class StorageSettings(SettingsModel):
    """What the file of --storage.path keeps."""

    retention: Annotated[float, Duration("31d", "3650d")] = duration_field(
        "400d", "How long a day is kept, from its start, 31d to 3650d; only the last 30 days are published."
    )


class Config(SettingsModel):
    """The whole configuration."""

    elsewhere: ClassVar = {"metadata": "an entry of accounts", "search": "media of a query"}

    accounts: Annotated[tuple[AccountSettings, ...], ListOf(scalar=False)] = Field(
        default_factory=lambda: (AccountSettings(name=DEFAULT_ACCOUNT),),
        description='Alibaba Cloud accounts; default: one named "default" with default credentials.',
    )
    queries: Annotated[tuple[QuerySettings, ...], ListOf(scalar=False)] = Field(
        description="What to poll, at least one query."
    )
    player: Annotated[tuple[PlayerSettings, ...], ListOf(scalar=False)] = Field(
        default=(),
        description="Experimental: plays and playback quality of whole applications in buckets of minutes; default:"
        " none.",
    )
    settle: SettleSettings = Field(
        default_factory=SettleSettings, description="When a day is settled and not polled again."
    )
    stale_after: Annotated[float, Duration("1s", "30d")] = duration_field(
        "2d",
        "Age at which data that is not settled is no longer published, 1s to 30d; must exceed the interval of each"
        " query with days that cannot settle yet.",
    )
    series_limit: Annotated[int, Field(ge=1), OfUsualSize] = Field(
        default=200_000,
        description="Maximum number of media series published, at least 1. The media with the most plays are kept, the"
        " rest is counted and logged.",
    )

    storage: StorageSettings = Field(default_factory=StorageSettings, description="Retention of the storage file.")

    @cached_property
    def settlement(self) -> Settlement:
        """When a day is final, as a core type."""
        return Settlement(self.settle.after, self.settle.unchanged)

    def core_queries(self) -> tuple[Query, ...]:
        """The queries as core types, in the order of the file."""
        return tuple(query.core_query(self.accounts[0].name) for query in self.queries)

    def player_queries(self) -> tuple[PlayerQuery, ...]:
        """What is polled of players, as core types, in the order of the file."""
        return tuple(each.core_query(self.accounts[0].name) for each in self.player)

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterator[FieldErrorDict]:
        """Names are given once, and queries name accounts that exist."""
        account_names = _each_item(given.get("accounts", ({"name": DEFAULT_ACCOUNT},)), "name")
        # A query may mean an account whose own name is invalid.
        is_known = bool(account_names) and all(isinstance(name, str) for name in account_names)
        yield from _duplicates("accounts", account_names)
        yield from _duplicates("queries", _each_item(given.get("queries"), "name"))
        yield from _duplicates("player", _each_item(given.get("player"), "name"))
        yield from repeated_targets(given.get("player"), account_names[0] if len(account_names) == 1 else None)
        used = [
            ((setting, position, "account"), account)
            for setting in ("queries", "player")
            for position, account in enumerate(_each_item(given.get(setting), "account"))
        ]
        for path, account in used:
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
    return [setting_of(part, name) for part in parts]


def _duplicates(setting: str, names: list[Any]) -> Iterator[FieldErrorDict]:
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        if isinstance(name, str) and first.setdefault(name, position) != position:
            yield (setting, position, "name"), field_error(f"{quoted(name)} is already {setting}[{first[name]}]")
