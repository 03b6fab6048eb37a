"""The dashboard *Media*: one media, its last 30 days, who watches it where, and how it grows today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models.common import BigValueColorMode, GraphDrawStyle, StackingMode
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig

from deploy.grafana.builder import frame, promql
from deploy.grafana.builder.panels import (
    LOSS,
    VERDICT,
    About,
    dashed,
    graph,
    named,
    now,
    over_time,
    rows,
    set_to,
    single,
)
from deploy.grafana.builder.promql import View, change
from deploy.grafana.builder.tables import Column, Computed, Joined, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table, timeseries
    from grafana_foundation_sdk.models.dashboard import Dashboard

_ACCOUNT: Final = 'account="$account"'
_MEDIA: Final = 'media_id="$media"'
_DIMENSIONS: Final = ", ".join(f'{name}="${name}"' for name in frame.DIMENSIONS)
_SLICES: Final = f"{_ACCOUNT}, {_DIMENSIONS}"
_CHOSEN: Final = View(_SLICES, _MEDIA)

_VIEWERS: Final = "aliyun_vod_media_viewers"
_PLAYS_PER_VIEWER: Final = "aliyun_vod_media_plays_per_viewer"
_TIME: Final = "aliyun_vod_media_play_duration_seconds"
_TIME_PER_VIEWER: Final = "aliyun_vod_media_play_duration_per_viewer_seconds"
_LENGTH: Final = f"max(aliyun_vod_media_duration_seconds{{{_ACCOUNT}, {_MEDIA}}})"

_NO_DAY: Final = "none published, or no settled day yet"
_NO_WEEK: Final = "needs days_ago 1, 2, 8, 9"
_NO_DAYS: Final = "No day of this media with these filters: the configuration does not ask for it"
_SETTLED: Final = (
    "The last settled day is yesterday (UTC+8) once it is final, soon after 09:00, and the day before until then; "
    "while neither is, as in the first hours or with polls more than 2 h apart, there is none."
)


def build() -> Dashboard:
    """The dashboard as Grafana's JSON model."""
    built = frame.dashboard(
        frame.MEDIA,
        "Alibaba Cloud VOD / Media",
        "One media: its last 30 days, what it lost or won in a week and on which terminals, systems and regions.",
    ).time("now-30d", "now")
    for variable in (_account(), _media(), *frame.dimension_variables(_ACCOUNT)):
        built.with_variable(variable)
    built.with_row(board.Row("The last settled day"))
    built.with_panel(_title().span(7).height(4))
    built.with_panel(_play_date().span(4).height(4))
    built.with_panel(_plays().span(3).height(4))
    built.with_panel(_changed().span(4).height(4))
    built.with_panel(_viewers().span(3).height(4))
    built.with_panel(_watched().span(3).height(4))
    built.with_row(board.Row("The last 30 days"))
    built.with_panel(_plays_per_day().span(24).height(9))
    for per_day in (_viewers_per_day(), _plays_per_viewer(), _hours_per_day(), _time_per_viewer()):
        built.with_panel(per_day.span(6).height(7))
    built.with_row(board.Row("Where it is watched: the last settled day against the same weekday a week before"))
    for breakdown in (
        _breakdown("terminal_type", "Terminal"),
        _breakdown("os", "OS"),
        _breakdown("region", "Region"),
    ):
        built.with_panel(breakdown.span(8).height(8))
    built.with_row(board.Row("As Prometheus saw it"))
    built.with_panel(_today().span(12).height(8))
    built.with_panel(_history().span(12).height(8))
    return frame.numbered(built.build())


def _account() -> board.QueryVariable:
    return frame.label_variable("account", "Account", "aliyun_vod_slice_ready", "Accounts of the configuration.")


def _media() -> board.QueryVariable:
    return frame.asked_variable(
        "media",
        "Media",
        f"query_result(max by (media_id, title) (aliyun_vod_media_info{{{_ACCOUNT}}}))",
        "Media of the account by title; type to search.",
    ).regex(r'/media_id="(?<value>[^"]+)",title="(?<text>[\s\S]*)"} /')


def _title() -> stat.Panel:
    about = About(
        "Title and length",
        "The newest title that the service gave for the media, and how long it is.",
        "dthms",
        "no title: never played since it is asked for",
    )
    info = f"topk by (account, media_id) (1, aliyun_vod_media_info{{{_ACCOUNT}, {_MEDIA}}})"
    length = f"max by (account, media_id) (aliyun_vod_media_duration_seconds{{{_ACCOUNT}, {_MEDIA}}})"
    measured = f"{length} * on (account, media_id) group_left (title) ({info})"
    return named(about, now(f"{measured} or on (account, media_id) 0 * {info}", "{{title}}")).color_mode(
        BigValueColorMode.NONE
    )


def _play_date() -> stat.Panel:
    about = About(
        "Last settled day", f"{_SETTLED} The other numbers of this row are of that day.", "time:ddd YYYY-MM-DD", _NO_DAY
    )
    return single(about, now(promql.last_settled_date(_CHOSEN)))


def _plays() -> stat.Panel:
    about = About("Plays", f"Plays of the media on the last settled day. {_SETTLED}", "locale", _NO_DAY)
    return single(about, now(_CHOSEN.last_settled()))


def _changed() -> stat.Panel:
    about = About(
        "Change in a week",
        "Plays of the last settled day against the same weekday a week before: -50 % is half lost.",
        "percentunit",
        _NO_WEEK,
    )
    return single(about, now(change(_CHOSEN.last_settled_or_zero(), _CHOSEN.week_before())), *VERDICT).decimals(0)


def _viewers() -> stat.Panel:
    about = About("Viewers", "Unique viewers of the media on the last settled day.", "locale", _NO_DAY)
    return single(about, now(_CHOSEN.last_settled(_VIEWERS)))


def _watched() -> stat.Panel:
    about = About(
        "Watched",
        "How much of the media a play lasts on average: time played over plays over its length.",
        "percentunit",
        "no plays, or no length",
    )
    time, plays = _CHOSEN.last_settled(_TIME), _CHOSEN.last_settled()
    return single(about, now(f"(\n{time}\n) / ((\n{plays}\n) > 0) / scalar({_LENGTH})")).decimals(0)


def _per_day(
    about: About, metric: str, divisor: int = 1, colour: str = "blue", *, legend: bool = False
) -> timeseries.Panel:
    """Bars by date out of one instant: `days_ago` is the day, its date another metric's value."""
    plain = f"max by (days_ago) ({metric}{{{_SLICES}, {_MEDIA}}})" + (f" / {divisor}" if divisor > 1 else "")
    settled = f"max by (days_ago) (aliyun_vod_slice_settled{{{_SLICES}}}) == 1"
    panel = graph(
        about,
        rows(f"{plain} and on (days_ago) {settled}"),
        rows(f"{plain} unless on (days_ago) {settled}"),
        rows("1000 * max by (days_ago) (aliyun_vod_play_date_timestamp_seconds)"),
        legend=legend,
    )
    for transformation, options in (
        ("filterFieldsByName", {"include": {"names": ["days_ago", "Value #A", "Value #B", "Value #C"]}}),
        ("joinByField", {"byField": "days_ago", "mode": "outer"}),
        (
            "convertFieldType",
            {"fields": {}, "conversions": [{"targetField": "Value #C", "destinationType": "time"}]},
        ),
        ("sortBy", {"fields": {}, "sort": [{"field": "Value #C"}]}),
        (
            "organize",
            {
                "excludeByName": {"days_ago": True},
                "indexByName": {"Value #C": 0, "Value #A": 1, "Value #B": 2},
                "renameByName": {"Value #A": "final", "Value #B": "may still change", "Value #C": "Date"},
            },
        ),
    ):
        panel.with_transformation(DataTransformerConfig(id_val=transformation, options=options))
    return (
        # All possible days, whatever range is selected.
        panel.time_from("31d")
        .draw_style(GraphDrawStyle.BARS)
        .bar_width_factor(0.8)
        .fill_opacity(85)
        .line_width(0)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
        .override_by_name("final", set_to(color={"mode": "fixed", "fixedColor": colour}))
        .override_by_name("may still change", set_to(color={"mode": "fixed", "fixedColor": "gray"}))
    )


def _plays_per_day() -> timeseries.Panel:
    about = About(
        "Plays per day",
        "Plays of each day that the configuration asks for (days_ago), by date. Gray days may still change: "
        "today grows, a past day is final soon after 09:00 UTC+8 of the next.",
        "short",
        _NO_DAYS,
    )
    return _per_day(about, promql.PLAYS, legend=True)


def _viewers_per_day() -> timeseries.Panel:
    about = About(
        "Viewers per day",
        "Unique viewers of each day. They cannot be added up over days: who came on two would count twice.",
        "short",
        _NO_DAYS,
    )
    return _per_day(about, _VIEWERS, colour="purple")


def _plays_per_viewer() -> timeseries.Panel:
    about = About("Plays per viewer", "How often a viewer played the media on that day.", "none", _NO_DAYS)
    return _per_day(about, _PLAYS_PER_VIEWER, colour="purple").decimals(1)


def _hours_per_day() -> timeseries.Panel:
    about = About("Hours played per day", "Total time that the media was played on that day.", "short", _NO_DAYS)
    return _per_day(about, _TIME, 3600, colour="green")


def _time_per_viewer() -> timeseries.Panel:
    about = About("Time per viewer", "How long a viewer watched the media on that day.", "s", _NO_DAYS)
    return _per_day(about, _TIME_PER_VIEWER, colour="green")


def _breakdown(dimension: str, name: str) -> table.Panel:
    about = About(
        f"By {name if name == 'OS' else name.lower()}",
        f"The other filters apply, that for {name} does not. Viewers of two lines cannot be added up.",
        "short",
        f"Not asked for: no entry of queries[].dimensions has {dimension} with these filters",
    )
    others = ", ".join(f'{other}="${other}"' for other in frame.DIMENSIONS if other != dimension)
    parts = View(f'{_ACCOUNT}, {others}, {dimension}!="{frame.ALL}"', _MEDIA)

    def each(expr: str) -> str:
        return f"max by ({dimension}) (\n{expr}\n)"

    return table_of(
        about,
        (
            rows(each(parts.last_settled_or_zero())),
            rows(each(parts.week_before())),
            rows(each(parts.last_settled(_VIEWERS))),
        ),
        Joined(
            by=dimension,
            sort_by="Value #B",
            computed=(
                Computed("Difference", "Value #A", "-", "Value #B"),
                Computed("Change", "Difference", "/", "Value #B"),
            ),
        ),
        (
            Column(dimension, name),
            Column("Value #A", "Plays", "locale", 75),
            Column("Value #B", "Week before", "locale", 108),
            Column("Change", "Change", "percentunit", 75, 0, LOSS),
            Column("Value #C", "Viewers", "locale", 75),
        ),
    )


def _today() -> timeseries.Panel:
    about = About(
        "Plays today so far, and a week ago at the same time",
        "How today's count grows, beside what it was at the same time a week ago as Prometheus saw it then. "
        "It falls to 0 at 00:00 UTC+8.",
        "short",
        "Needs days_ago 0 in the configuration",
    )
    selector = f'{promql.PLAYS}{{{_SLICES}, {_MEDIA}, days_ago="0"}}'
    return (
        graph(about, over_time(f"max({selector})", "today"), over_time(f"max({selector} offset 7d)", "a week ago"))
        .time_from("1d")
        .override_by_name("a week ago", dashed("gray"))
    )


def _history() -> timeseries.Panel:
    about = About(
        "Plays of the last settled day, as time went on",
        "Steps from one day's plays to the next day's soon after 09:00 UTC+8, when a day gets final. The dashed line "
        "is the same weekday a week before. Of the past it knows what Prometheus scraped, or what backfill wrote.",
        "short",
        _NO_DAYS,
    )
    return (
        graph(
            about,
            over_time(f"max(\n{_CHOSEN.last_settled()}\n)", "last settled day"),
            over_time(f"max(\n{_CHOSEN.week_before()}\n)", "a week before"),
        )
        .interval("15m")
        .override_by_name("a week before", dashed("gray"))
    )
