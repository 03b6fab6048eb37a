"""The dashboard *Player*, experimental: plays now against yesterday and last week, and how well they work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models.dashboard import Threshold, VariableOption

from deploy.grafana.builder import alerts, frame
from deploy.grafana.builder.panels import UNKNOWN, About, dashed, graph, single
from deploy.grafana.builder.queries import now, over_time

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, timeseries
    from grafana_foundation_sdk.models.dashboard import Dashboard

PLAYER: Final = "aliyun-vod-player"

_ACCOUNT: Final = 'job=~"$job", account=~"$account"'
_TARGET: Final = f'{_ACCOUNT}, terminal_type="$terminal", os="$system"'
_BY: Final = "account, app_id, terminal_type, os"
_LEGEND: Final = "{{account}} {{app_id}} {{terminal_type}} {{os}}"
_NONE: Final = "none before the second poll, or exporter down"
_NOTHING: Final = (
    "No player data: it comes with the second poll after a start, and only if the configuration has player:"
)
_LATE: Final = (Threshold(color="green"), Threshold(3_600, "orange"), Threshold(7_200, "red"))
_FEWER: Final = (Threshold(color="red"), Threshold(-0.5, "orange"), Threshold(-0.2, UNKNOWN), Threshold(-0.05, "green"))


def build() -> Dashboard:
    """The dashboard as Grafana's JSON model."""
    built = frame.dashboard(
        PLAYER,
        "Alibaba Cloud VOD / Player (experimental)",
        "Experimental: plays and playback quality of whole applications in buckets of 5 minutes. The service documents "
        "no delay; a point stands where it was published, not where its bucket began.",
    ).time("now-24h", "now")
    for variable in _variables():
        built.with_variable(variable)
    for number in (_lag(), _bucket(), _ratio(), _failures_now()):
        built.with_panel(number.span(6).height(4))
    built.with_panel(_plays().span(24).height(8))
    built.with_panel(alerts.firing().span(24).height(6))
    built.with_row(board.Row("By terminal and OS"))
    for graphs in (_plays_by_target(), _failures(), _first_frame(), _stutter()):
        built.with_panel(graphs.span(12).height(8))
    built.with_row(board.Row("How fresh and how final"))
    for graphs in (_lags(), _revisions()):
        built.with_panel(graphs.span(12).height(7))
    return frame.numbered(built.build())


def _variables() -> list[board.QueryVariable]:
    return [
        frame.several(
            frame.label_variable(
                "account", "Account", 'aliyun_vod_player_up{job=~"$job"}', "Accounts whose players are polled."
            )
        ),
        frame.label_variable(
            "terminal",
            "Terminal",
            f"aliyun_vod_player_up{{{_ACCOUNT}}}",
            "Terminal type of the numbers and of the first graph.",
            of="terminal_type",
        ),
        frame.label_variable(
            "system",
            "OS",
            f'aliyun_vod_player_up{{{_ACCOUNT}, terminal_type="$terminal"}}',
            "OS of the numbers and of the first graph; all is no filter.",
            of="os",
        ).current(VariableOption(selected=True, text="all", value="all")),
    ]


def _of(metric: str, matchers: str, ago: str | None = "") -> str:
    chosen = matchers if ago is None else f'{matchers}, ago="{ago}"'
    return f"max by ({_BY}) (aliyun_vod_player_{metric}{{{chosen}}})"


def _lag() -> stat.Panel:
    about = About(
        "Data lag",
        "Time since the end of the newest bucket that has data. Above an hour no alert on failures or first frames is "
        "possible, and on plays only if other targets of the account go on.",
        "s",
        _NONE,
    )
    return single(about, now(f"max({_of('data_lag_seconds', _TARGET, None)})"), *_LATE)


def _bucket() -> stat.Panel:
    about = About(
        "Newest bucket", "Start of the newest bucket that two polls have read unchanged.", "dateTimeAsIso", _NONE
    )
    return single(about, now(f"1000 * max({_of('bucket_timestamp_seconds', _TARGET, None)})"))


def _ratio() -> stat.Panel:
    about = About(
        "Against last week",
        "Plays of the newest bucket against the same bucket a week before: -20 % is a fifth fewer; of several "
        "applications the lowest.",
        "percentunit",
        "no bucket, or none a week before",
    )
    return single(
        about, now(f"min({_of('plays', _TARGET)} / ({_of('plays', _TARGET, '7d')} > 0)) - 1"), *_FEWER
    ).decimals(1)


def _failures_now() -> stat.Panel:
    about = About(
        "Failed plays", "Share of the plays of the newest bucket that failed; the largest.", "percentunit", _NONE
    )
    steps = (Threshold(color="green"), Threshold(0.05, "orange"), Threshold(0.1, "red"))
    return single(about, now(f"max({_of('play_failure_ratio', _TARGET)})"), *steps).decimals(1)


def _plays() -> timeseries.Panel:
    about = About(
        "Plays in 5 minutes",
        "The newest bucket, and dashed the same bucket yesterday and a week before, as published together.",
        "locale",
        _NOTHING,
    )
    return (
        graph(
            about,
            over_time(_of("plays", _TARGET), "{{account}} {{app_id}}"),
            over_time(_of("plays", _TARGET, "1d"), "yesterday"),
            over_time(_of("plays", _TARGET, "7d"), "a week before"),
        )
        .override_by_query("B", dashed("orange"))
        .override_by_query("C", dashed("purple"))
    )


def _plays_by_target() -> timeseries.Panel:
    about = About("Plays", "Plays in 5 minutes. OS all contains the others: never add them up.", "locale", _NOTHING)
    return graph(about, over_time(_of("plays", _ACCOUNT), _LEGEND))


def _failures() -> timeseries.Panel:
    about = About("Failed plays by target", "Share of plays that failed.", "percentunit", _NOTHING)
    return graph(about, over_time(_of("play_failure_ratio", _ACCOUNT), _LEGEND))


def _first_frame() -> timeseries.Panel:
    about = About("First frame", "Time from the request to the first frame; without failed starts.", "s", _NOTHING)
    return graph(about, over_time(_of("first_frame_seconds", _ACCOUNT), _LEGEND))


def _stutter() -> timeseries.Panel:
    about = About("Stutter", "Share of plays that stuttered.", "percentunit", _NOTHING)
    return graph(about, over_time(_of("stutter_play_ratio", _ACCOUNT), _LEGEND))


def _lags() -> timeseries.Panel:
    about = About("Data lag by target", "How late the service is; nothing is documented.", "s", _NOTHING)
    return graph(about, over_time(_of("data_lag_seconds", _ACCOUNT, None), _LEGEND))


def _revisions() -> timeseries.Panel:
    about = About(
        "Revised buckets",
        "Buckets of the last hour that changed after they were confirmed: with many of them the newest numbers are too "
        "small.",
        "locale",
        _NOTHING,
    )
    rises = f"max by ({_BY}) (increase(aliyun_vod_player_bucket_revisions_total{{{_ACCOUNT}}}[1h]))"
    return graph(about, over_time(rises, _LEGEND)).axis_soft_max(1)
