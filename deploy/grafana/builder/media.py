"""The dashboard *Media*: one video day by day, what it lost where, and how it grows today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models.common import BigValueColorMode, GraphDrawStyle, StackingMode

from deploy.grafana.builder import frame, state
from deploy.grafana.builder.panels import LOSS, VERDICT, About, coloured, dashed, graph, named, set_to, single
from deploy.grafana.builder.promql import CHOSEN, DIMENSIONS, EXPECTED_PLAYS, PLAYS, SETTLED_PLAYS, View
from deploy.grafana.builder.queries import now, over_time, rows
from deploy.grafana.builder.tables import Column, Joined, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table, timeseries
    from grafana_foundation_sdk.models.dashboard import Dashboard

_ACCOUNT: Final = 'account="$account"'
_MEDIA: Final = 'media_id="$media"'
_CHOSEN: Final = View(_ACCOUNT, CHOSEN, _MEDIA)
_OPTIONS: Final = 300

_VIEWERS: Final = "aliyun_vod_media_viewers"
_TIME: Final = "aliyun_vod_media_play_duration_seconds"
_LENGTH: Final = f"max(aliyun_vod_media_duration_seconds{{{_ACCOUNT}, {_MEDIA}}})"

_NO_DAY: Final = "none now: see State"
_NO_DAYS: Final = "No day of this video with these filters: not requested, or not polled yet (see State)"
_SETTLED: Final = "The last settled day is yesterday (UTC+8) from about 09:30 on, the day before until then."


def build() -> Dashboard:
    """The dashboard as Grafana's JSON model."""
    built = frame.dashboard(
        frame.MEDIA,
        "Alibaba Cloud VOD / Media",
        "One video: its last 30 days, what it lost and on which terminals, systems and regions.",
    ).time("now-30d", "now")
    for variable in (_account(), _media(), *frame.dimension_variables(_ACCOUNT)):
        built.with_variable(variable)
    for panel, span in ((state.state(), 14), (state.next_poll(), 4), (_date(), 6)):
        built.with_panel(panel.span(span).height(3))
    built.with_panel(_title().span(6).height(4))
    for number, span in ((_plays(), 3), (_expected(), 3), (_changed(), 4), (_viewers(), 4), (_watched(), 4)):
        built.with_panel(number.span(span).height(4))
    built.with_panel(_plays_per_day().span(24).height(9))
    for breakdown in DIMENSIONS:
        built.with_panel(_breakdown(breakdown, DIMENSIONS[breakdown]).span(8).height(8))
    built.with_row(board.Row("Viewers and time played per day"))
    for per_day in (_viewers_per_day(), _plays_per_viewer(), _hours_per_day(), _time_per_viewer()):
        built.with_panel(per_day.span(6).height(7))
    built.with_row(board.Row("Today"))
    built.with_panel(_today().span(24).height(8))
    return frame.numbered(built.build())


def _account() -> board.QueryVariable:
    return frame.label_variable(
        "account", "Account", 'aliyun_vod_slice_ready{job=~"$job"}', "Accounts of the configuration."
    )


def _of_a_day(selector: str) -> str:
    """The last of 24 hours, looked at every 6 hours: a range would read every sample of thousands of media."""
    return f"last_over_time({selector}[1d:6h])"


def _media() -> board.QueryVariable:
    """With a title if there is one; without the limit, titles of thousands of media would be loaded each time.

    Also those of the last day: while no exporter runs, their history is there to be looked at.
    """
    whole = f'{_ACCOUNT}, job=~"$job", terminal_type="all", os="all", region="all"'
    # Both in one selector: `or` compares the labels of every series. Expected plays have no days_ago.
    played = f'{{__name__=~"{EXPECTED_PLAYS}|{PLAYS}", {whole}, days_ago=~"|[12]"}}'
    yesterday = f'{PLAYS}{{{whole}, days_ago="1"}}'
    most = f"topk({_OPTIONS}, max by (media_id) ({played} or {_of_a_day(yesterday)}))"
    info = f'aliyun_vod_media_info{{{_ACCOUNT}, job=~"$job", title!=""}}'
    titled = f"max by (media_id, title) ({info} or {_of_a_day(info)})"
    titles = f"topk by (media_id) (1, {titled})"
    return frame.result_variable(
        "media",
        "Media",
        f"query_result({most} ^ 0 * on (media_id) group_left (title) {titles} or on (media_id) {most} ^ 0)",
        "The most played media by title, or by ID without one; type to search. Links open others as well.",
    ).regex(r'/media_id="(?<value>[^"]+)"(?:,title="(?<text>[\s\S]*)")?} /')


def _title() -> stat.Panel:
    about = About(
        "Title and length",
        "The newest title that the service gave for the video, or its ID, and how long it is.",
        "dthms",
        "no length is published",
    )
    info = f'topk by (media_id) (1, aliyun_vod_media_info{{{_ACCOUNT}, {_MEDIA}, title!=""}})'
    length = f"max by (media_id) (aliyun_vod_media_duration_seconds{{{_ACCOUNT}, {_MEDIA}}})"
    length = f"({length} or max by (media_id) (0 * {_CHOSEN.scraped(PLAYS)}))"
    nameless = f'label_replace({length} ^ 0, "title", "$1", "media_id", "(.*)")'
    titled = f"{length} * on (media_id) group_left (title) ({info} or on (media_id) {nameless})"
    return named(about, now(titled, "{{title}}")).color_mode(BigValueColorMode.NONE)


def _date() -> stat.Panel:
    about = About(
        "Last settled day",
        f"{_SETTLED} Plays and expected plays are of that day.",
        "time:ddd YYYY-MM-DD",
        _NO_DAY,
    )
    return single(about, now(f"1000 * max({_CHOSEN.date()})"))


def _plays() -> stat.Panel:
    about = About("Plays", f"Plays of the video on the last settled day. {_SETTLED}", "locale", _NO_DAY)
    return single(about, now(_CHOSEN.settled()))


def _expected() -> stat.Panel:
    about = About(
        "Expected",
        "Plays expected on the last settled day: the fewer of those a week before and those the day before let expect. "
        "None until a day is final (see State), and none while too few days of the video are known.",
        "locale",
        "none known now",
    )
    return single(about, now(_CHOSEN.settled(EXPECTED_PLAYS))).decimals(0)


def _changed() -> stat.Panel:
    about = About(
        "Against expected",
        "Plays of the last settled day against those expected: -50 % is half lost.",
        "percentunit",
        "nothing expected now",
    )
    return single(about, now(f"- {_CHOSEN.lost()} / ({_CHOSEN.settled(EXPECTED_PLAYS)} > 0)"), *VERDICT).decimals(0)


def _of_yesterday(metric: str) -> str:
    return f"max({_CHOSEN.on_day(metric, 1)})"


def _viewers() -> stat.Panel:
    about = About(
        "Viewers yesterday", "Unique viewers of the video yesterday (UTC+8), as known now.", "locale", "not published"
    )
    return single(about, now(_of_yesterday(_VIEWERS)))


def _watched() -> stat.Panel:
    about = About(
        "Watched yesterday",
        "How much of the video a play lasted on average yesterday (UTC+8): time played over plays over its length.",
        "percentunit",
        "no plays, or no length",
    )
    return single(about, now(f"{_of_yesterday(_TIME)} / ({_of_yesterday(PLAYS)} > 0) / {_LENGTH}")).decimals(0)


def _per_day(
    about: About, metric: str, divisor: int = 1, colour: str = "blue", *, expected: bool = False
) -> timeseries.Panel:
    """Bars by date: from what is published now, and from history."""
    divided = f" / {divisor}" if divisor > 1 else ""
    targets = [
        over_time(f"({_CHOSEN.by_date(metric, final=True)}){divided}", "final"),
        over_time(f"{_CHOSEN.by_date(metric, final=False)}{divided}", "may still change"),
    ]
    if expected:
        targets.append(over_time(_CHOSEN.settled_by_date(_CHOSEN.scraped(EXPECTED_PLAYS)), "expected"))
        targets.append(
            over_time(
                f"{_CHOSEN.settled_by_date(_CHOSEN.scraped(SETTLED_PLAYS))}\nunless on () "
                f"({_CHOSEN.by_date(metric, final=True)})",
                "final, without a row",
            )
        )
    panel = (
        graph(about, *targets, legend=expected)
        .interval("1d")
        .draw_style(GraphDrawStyle.BARS)
        .bar_width_factor(0.8)
        .fill_opacity(85)
        .line_width(0)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
        .override_by_query("A", coloured(colour))
        .override_by_query("B", coloured("gray"))
    )
    if expected:
        line = dashed("orange") + set_to(
            custom__drawStyle="line", custom__lineWidth=2, custom__stacking={"mode": "none", "group": "B"}
        )
        panel.override_by_query("C", line)
        panel.override_by_query("D", coloured(colour))
    return panel


def _plays_per_day() -> timeseries.Panel:
    about = About(
        "Plays per day, and expected (dashed)",
        "Plays of each day: of those that the configuration requests (days_ago) as published now, of others as "
        "Prometheus scraped them the day after, or backfill wrote them. Gray days may still change. Dashed are the "
        "plays expected of each day when it was the last settled one.",
        "short",
        _NO_DAYS,
    )
    return _per_day(about, PLAYS, expected=True)


def _viewers_per_day() -> timeseries.Panel:
    about = About(
        "Viewers per day",
        "Unique viewers of each day. They cannot be added up over days: who came on two would count twice.",
        "short",
        _NO_DAYS,
    )
    return _per_day(about, _VIEWERS, colour="purple")


def _plays_per_viewer() -> timeseries.Panel:
    about = About("Plays per viewer", "How often a viewer played the video on that day.", "none", _NO_DAYS)
    return _per_day(about, "aliyun_vod_media_plays_per_viewer", colour="purple").decimals(1)


def _hours_per_day() -> timeseries.Panel:
    about = About("Hours played per day", "Total time that the video was played on that day.", "short", _NO_DAYS)
    return _per_day(about, _TIME, 3600, colour="green")


def _time_per_viewer() -> timeseries.Panel:
    about = About("Time per viewer", "How long a viewer watched the video on that day.", "s", _NO_DAYS)
    return _per_day(about, "aliyun_vod_media_play_duration_per_viewer_seconds", colour="green")


def _breakdown(dimension: str, name: str) -> table.Panel:
    about = About(
        f"By {name if name == 'OS' else name.lower()}",
        f"Where the video lost plays on the last settled day. The other filters apply, that for {name} does not.",
        "short",
        f"No {dimension} in queries[].dimensions with these filters, or no day to compare now (see State)",
    )
    others = ", ".join(f'{other}!="all"' if other == dimension else f'{other}="${other}"' for other in DIMENSIONS)
    parts = View(_ACCOUNT, others, _MEDIA)

    def each(expr: str) -> str:
        return f"topk(20, max by ({dimension}) ({expr}))"

    plays, expected = parts.scraped(SETTLED_PLAYS), parts.scraped(EXPECTED_PLAYS)
    return table_of(
        about,
        (rows(each(plays)), rows(each(expected)), rows(each(f"{plays} / ({expected} > 0) - 1"))),
        Joined(by=(dimension,), sort_by="Value #B"),
        (
            Column(dimension, name),
            Column("Value #A", "Plays", "locale", 80),
            Column("Value #B", "Expected", "locale", 85, 0),
            Column("Value #C", "Change", "percentunit", 80, 0, LOSS),
        ),
    )


def _today() -> timeseries.Panel:
    about = About(
        "Today so far, and a week ago at the same time (dashed)",
        "How today's count grows, beside what it was at the same time a week ago as Prometheus scraped it then. "
        "It falls to 0 at 00:00 UTC+8.",
        "short",
        "No plays of today yet: they appear within 5 minutes, but after 00:00 the service may be hours behind. Never "
        "without days_ago 0.",
    )
    selector = _CHOSEN.scraped(PLAYS, 'days_ago="0"')
    return (
        graph(about, over_time(f"max({selector})", "today"), over_time(f"max({selector} offset 7d)", "a week ago"))
        .time_from("1d")
        .interval("5m")
        .override_by_query("B", dashed("gray"))
    )
