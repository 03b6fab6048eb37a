"""Players in the status: the newest bucket of each target, and how late its data is; experimental."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.core.player_query import ago_label

if TYPE_CHECKING:
    from exporter.core.player_query import PlayerView


@dataclass(frozen=True, slots=True)
class EarlierPlays:
    """Plays of the same bucket `ago` earlier, such as `7d`; None: not known."""

    ago: str
    plays: float | None


@dataclass(frozen=True, slots=True)
class PlayerTargetView:
    """One target. `bucket` is the start of its newest confirmed bucket, None without any; `lag` is in seconds."""

    query: str
    account: str
    app_id: str
    terminal_type: str
    os: str
    interval: str
    up: bool
    error: str
    advice: str
    bucket: float | None
    lag: float | None
    revisions: int
    plays: float | None
    earlier: tuple[EarlierPlays, ...]
    play_failure_ratio: float | None
    first_frame_seconds: float | None
    stutter_play_ratio: float | None


def target_view(view: PlayerView) -> PlayerTargetView:
    """What the page shows of a target."""
    by_age = view.published.values if view.published is not None else {}
    newest = by_age.get(0, {})
    return PlayerTargetView(
        query=view.query.name,
        account=view.target.account,
        app_id=view.target.app_id,
        terminal_type=view.target.terminal_type,
        os=view.target.os or "all",
        interval=view.query.interval,
        up=view.up,
        error=view.error,
        advice=view.advice,
        bucket=view.published.start if view.published is not None else None,
        lag=view.lag,
        revisions=view.revisions,
        plays=newest.get("plays"),
        earlier=tuple(EarlierPlays(ago_label(ago), by_age.get(ago, {}).get("plays")) for ago in view.query.compare),
        play_failure_ratio=newest.get("play_failure_ratio"),
        first_frame_seconds=newest.get("first_frame_seconds"),
        stutter_play_ratio=newest.get("stutter_play_ratio"),
    )
