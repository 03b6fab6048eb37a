"""Settings of player metrics, and the errors between them; experimental."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, Field

from exporter.config.settings_model import SettingsModel, duration_field
from exporter.core.player_fields import BY_NAME, DEFAULT_NAMES
from exporter.core.player_intervals import INTERVALS
from exporter.core.player_query import (
    MOBILE_OPERATING_SYSTEMS,
    OPERATING_SYSTEMS,
    TERMINAL_TYPES,
    PlayerQuery,
    PlayerTarget,
)
from exporter.documents import durations
from exporter.documents.error_messages import FieldErrorDict, field_error, quoted
from exporter.documents.field_types import Choice, Duration, ListOf, Name, Pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM_APPLICATION: Final = "app-1000000"
_DAY: Final = 86_400


def _whole_days(seconds: float) -> float:
    """Whole days, so that both compared buckets have the same time of day."""
    if seconds % _DAY:
        raise field_error(f"{quoted(durations.to_text(seconds))} must be whole days, such as 1d or 7d")
    return int(seconds)


class PlayerSettings(SettingsModel):
    """Plays and playback quality of a whole application in buckets of minutes; experimental."""

    name: Name = Field(description="Name in logs and on the status page, never on metrics; 1 to 64 characters.")
    account: Name | None = Field(default=None, description="Name of the account; required if there are several.")
    app_id: Annotated[str, Pattern(r"^app-[0-9A-Za-z]{1,64}$", "must be the ID of an application: app-1000000")] = (
        Field(default=SYSTEM_APPLICATION, description="Application; app-1000000 is the one that every account has.")
    )
    terminal_type: Annotated[tuple[Annotated[str, Choice(TERMINAL_TYPES)], ...], ListOf(unique=True)] = Field(
        default=TERMINAL_TYPES, description="Terminal types; one set of series each."
    )
    os: Annotated[tuple[Annotated[str, Choice(OPERATING_SYSTEMS)], ...], ListOf(unique=True)] | None = Field(
        default=None,
        description="Operating systems, one set of series each; default: one for all. With mobile only Android, iOS"
        " and Harmony.",
    )
    every: Annotated[float, Duration("1m", "1d")] = duration_field("5m", "Poll interval, 1m to 1d.")
    interval: Annotated[str, Choice(tuple(INTERVALS))] = Field(
        default="5m", description="Length of the buckets; the alerts are for 5m."
    )
    metrics: Annotated[tuple[Annotated[str, Choice(tuple(BY_NAME))], ...], ListOf(unique=True)] = Field(
        default=DEFAULT_NAMES,
        description="Metrics: plays stands for aliyun_vod_player_plays, which is always among them. A call returns"
        " three; viewers and metrics per viewer take calls of their own.",
    )
    compare: Annotated[
        tuple[Annotated[float, AfterValidator(_whole_days), Duration("1d", "31d")], ...], ListOf(unique=True)
    ] = Field(
        default=(_DAY, 7 * _DAY),
        json_schema_extra={"default": ["1d", "7d"]},
        description="Ages of the earlier buckets that are exported with the newest, in whole days, 1d to 31d; the"
        " alerts compare with 7d.",
    )

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterator[FieldErrorDict]:
        """Mobile terminals have only some of the operating systems."""
        if "mobile" not in _entries(given.get("terminal_type", TERMINAL_TYPES)):
            return
        for position, system in enumerate(_entries(given.get("os"))):
            if system in OPERATING_SYSTEMS and system not in MOBILE_OPERATING_SYSTEMS:
                allowed = ", ".join(MOBILE_OPERATING_SYSTEMS)
                path = ("os", position) if isinstance(given["os"], list | tuple) else ("os",)
                yield (
                    path,
                    field_error(
                        f"{quoted(system)} is not an operating system of terminal type mobile, only {allowed} are:"
                        " give web an entry of its own"
                    ),
                )

    def core_query(self, only_account: str) -> PlayerQuery:
        """The core's PlayerQuery."""
        account = self.account or only_account
        return PlayerQuery(
            name=self.name,
            account=account,
            targets=tuple(
                PlayerTarget(account, self.app_id, terminal_type, system)
                for terminal_type in self.terminal_type
                for system in self.os or ("",)
            ),
            every=self.every,
            interval=self.interval,
            metrics=self.metrics,
            compare=tuple(map(int, self.compare)),
        )


def repeated_targets(entries: object, only_account: object) -> Iterator[FieldErrorDict]:
    """Errors for targets that an earlier entry has too: the series of both would be the same.

    `only_account`: the name of the account if there is only one.
    """
    first: dict[tuple[object, ...], int] = {}
    for position, entry in enumerate(_entries(entries)):
        given = entry if isinstance(entry, Mapping) else entry.__dict__ if isinstance(entry, PlayerSettings) else {}
        for terminal_type in _entries(given.get("terminal_type") or TERMINAL_TYPES):
            for system in _entries(given.get("os")) or [""]:
                target = (
                    given.get("account") or only_account,
                    given.get("app_id") or SYSTEM_APPLICATION,
                    terminal_type,
                    system,
                )
                if not all(isinstance(part, str | None) for part in target):
                    continue
                earlier = first.setdefault(target, position)
                if earlier != position:
                    what = " and ".join(map(str, filter(None, (terminal_type, system))))
                    yield (
                        ("player", position),
                        field_error(f"{what} of this application is already in player[{earlier}]: give each once"),
                    )


def _entries(value: object) -> list[Any]:
    """The entries of a list, or of one that may be written without brackets."""
    if isinstance(value, list | tuple):
        return list(value)
    return [value] if isinstance(value, str) else []
