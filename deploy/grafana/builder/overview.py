"""The dashboard *Overview*: how the account did on the last settled day, and which media lost or won."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models.dashboard import Threshold, VariableOption

from deploy.grafana.builder import frame, promql
from deploy.grafana.builder.panels import (
    LOSS,
    NONE_IS_GOOD,
    VERDICT,
    About,
    bars,
    dashed,
    graph,
    named,
    now,
    over_time,
    rows,
    single,
)
from deploy.grafana.builder.promql import View, change, share, titled, total
from deploy.grafana.builder.tables import Column, Computed, Joined, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
    from grafana_foundation_sdk.models.dashboard import Dashboard

_ACCOUNT: Final = 'account=~"$account"'
_DIMENSIONS: Final = ", ".join(f'{name}="${name}"' for name in frame.DIMENSIONS)
_CHOSEN: Final = View(f"{_ACCOUNT}, {_DIMENSIONS}")

_PLAYS: Final = _CHOSEN.last_settled()
_PLAYS_BEFORE: Final = _CHOSEN.week_before()
_PLAYS_OR_ZERO: Final = _CHOSEN.last_settled_or_zero()
_TIME_PLAYED: Final = "aliyun_vod_media_play_duration_seconds"

_NO_DAY: Final = "no settled day yet"
_NO_WEEK: Final = "needs days_ago 1, 2, 8, 9"
_SETTLED: Final = (
    "The last settled day is yesterday (UTC+8) once it is final, soon after 09:00, and the day before until then; "
    "while neither is, as in the first hours or with polls more than 2 h apart, there is none."
)
_ROWS: Final = 15
# All media together vary less than a single one.
_OF_ALL: Final = (Threshold(color="red"), Threshold(-0.3, "orange"), Threshold(-0.1, "green"))
_TITLE: Final = Column("title", "Title", links=(("Open this media", frame.media_link()),))
_MEDIA_ID: Final = Column("media_id", "Media ID", width=300)
_ACCOUNT_COLUMN: Final = Column("account", "Account", width=90)
_HIDDEN: Final = (Column("media_id", "Media ID", hidden=True), Column("account", "Account", hidden=True))


def build() -> Dashboard:
    """The dashboard as Grafana's JSON model."""
    built = frame.dashboard(
        frame.OVERVIEW,
        "Alibaba Cloud VOD / Overview",
        "Account totals of the last settled day and today so far, and the media that lost or won most in a week.",
    ).time("now-30d", "now")
    for variable in (_accounts(), *frame.dimension_variables(_ACCOUNT), _least_plays()):
        built.with_variable(variable)
    built.with_row(board.Row("The last settled day"))
    for number in (_play_date(), _plays(), _plays_changed(), _hours_played(), _media_played(), _today()):
        built.with_panel(number.span(4).height(4))
    built.with_panel(_collapsed().span(4).height(7))
    built.with_panel(_worst().span(8).height(7))
    built.with_panel(_today_over_time().span(12).height(7))
    built.with_row(board.Row("From one week to the next"))
    for moved in (_losers(), _winners()):
        built.with_panel(moved.span(12).height(11))
    built.with_row(board.Row("What is watched, and where"))
    built.with_panel(_top().span(24).height(12))
    for shares in (_shares("terminal_type", "terminal"), _shares("os", "OS"), _shares("region", "region")):
        built.with_panel(shares.span(8).height(8))
    # Collapsed: a month of every media is only queried when it is opened.
    built.with_row(board.Row("History").collapsed(collapsed=True).with_panel(_history().span(24).height(9)))
    return frame.numbered(built.build())


def _accounts() -> board.QueryVariable:
    return frame.several(
        frame.label_variable("account", "Account", "aliyun_vod_slice_ready", "Accounts of the configuration.")
    )


def _least_plays() -> board.CustomVariable:
    return (
        board.CustomVariable("least_plays")
        .label("Drops from")
        .description("Media with fewer plays a week before are left out where drops are counted: their numbers jump.")
        .values("10,100,1000,10000")
        .current(VariableOption(selected=True, text="100", value="100"))
    )


def _play_date() -> stat.Panel:
    about = About(
        "Last settled day",
        f"{_SETTLED} All numbers of that day on this dashboard are of this date; of several accounts, the newest.",
        "time:ddd YYYY-MM-DD",
        _NO_DAY,
    )
    return single(about, now(promql.last_settled_date(_CHOSEN)))


def _plays() -> stat.Panel:
    about = About(
        "Plays",
        f"Plays of all media that the exporter publishes. {_SETTLED} With a query for some media it is their sum.",
        "locale",
        _NO_DAY,
    )
    return single(about, now(total("", _PLAYS)))


def _plays_changed() -> stat.Panel:
    about = About(
        "Change in a week",
        "Plays of the last settled day against the same weekday a week before: -50 % is half lost.",
        "percentunit",
        _NO_WEEK,
    )
    return single(about, now(change(total("", _PLAYS), total("", _PLAYS_BEFORE))), *_OF_ALL).decimals(1)


def _hours_played() -> stat.Panel:
    about = About(
        "Hours played", "Total time that all published media were played on the last settled day.", "locale", _NO_DAY
    )
    return single(about, now(f"{total('', _CHOSEN.last_settled(_TIME_PLAYED))} / 3600")).decimals(0)


def _media_played() -> stat.Panel:
    about = About(
        "Media played",
        "Media with plays on the last settled day, as the service counts them. Only a query for all or the top media "
        "is told that; one for given IDs is not.",
        "locale",
        "needs media: all or top",
    )
    return single(about, now(total("", _CHOSEN.last_settled(promql.SLICE_MEDIA))))


def _today() -> stat.Panel:
    about = About(
        "Plays today so far",
        "Plays since 00:00 UTC+8. The service may be hours behind; at 00:00 the count starts again.",
        "locale",
        "needs days_ago 0",
    )
    return single(about, now(total("", _CHOSEN.on(promql.PLAYS, "0"))))


def _collapsed() -> stat.Panel:
    about = About(
        "Lost more than half",
        "Media with less than half the plays of the same weekday a week before, among those that had at least as many "
        "plays then as *Drops from* says. A media that lost its last play counts, where all media are asked for.",
        "none",
        _NO_WEEK,
    )
    halved = (
        f"((\n{_PLAYS_OR_ZERO}\n) < bool (0.5 * (\n{_PLAYS_BEFORE}\n))) and ((\n{_PLAYS_BEFORE}\n) >= $least_plays)"
    )
    return single(about, now(total("", halved)), *NONE_IS_GOOD)


def _worst() -> stat.Panel:
    about = About(
        "Worst drops",
        "The three media that lost the largest share of their plays in a week, among those that had at least as many "
        "plays as *Drops from* says. Details are in the table below.",
        "percentunit",
        f"no media with so many plays, or {_NO_WEEK}",
    )
    dropped = change(_PLAYS_OR_ZERO, f"(\n{_PLAYS_BEFORE}\n) >= $least_plays")
    return named(about, now(titled(f"bottomk(3, {dropped})", _ACCOUNT), "{{title}}"), *VERDICT).decimals(0)


def _today_over_time() -> timeseries.Panel:
    about = About(
        "Plays today so far, and a week ago at the same time",
        "How today's count grows, beside what it was at the same time a week ago as Prometheus saw it then: the "
        "earliest sign of a drop, hours before the day is final. It falls to 0 at 00:00 UTC+8.",
        "short",
        "needs days_ago 0 in the configuration",
    )
    today = _CHOSEN.on(promql.PLAYS, "0")
    week_ago = today.replace("})", "} offset 7d)")
    return (
        graph(
            about,
            over_time(total("account", today), "{{account}} today"),
            over_time(total("account", week_ago), "{{account}} a week ago"),
        )
        .time_from("1d")
        .override_by_query("B", dashed("gray"))
    )


def _losers() -> table.Panel:
    about = About(
        "Biggest losers",
        f"Media that lost most plays in number, the last settled day against the same weekday a week before. "
        f"{_SETTLED} A title leads to the media.",
        "short",
        f"No media has lost plays, or the configuration {_NO_WEEK}",
    )
    return _moved(about, f"bottomk({_ROWS}, {_difference()} < 0)", descending=False)


def _winners() -> table.Panel:
    about = About(
        "Biggest winners",
        "Media that won most plays in number, the last settled day against the same weekday a week before. New media, "
        "without plays then, are not among them.",
        "short",
        f"No media has won plays, or the configuration {_NO_WEEK}",
    )
    return _moved(about, f"topk({_ROWS}, {_difference()} > 0)", descending=True)


def _difference() -> str:
    return f"(\n(\n{_PLAYS_OR_ZERO}\n)\n-\n(\n{_PLAYS_BEFORE}\n)\n)"


def _moved(about: About, expr: str, *, descending: bool) -> table.Panel:
    return table_of(
        about,
        (rows(titled(expr, _ACCOUNT)), rows(f"max by (media_id) (\n{_PLAYS_OR_ZERO}\n)")),
        Joined(
            by="media_id",
            only=True,
            sort_by="Value #A",
            descending=descending,
            computed=(
                Computed("Before", "Value #B", "-", "Value #A"),
                Computed("Change", "Value #A", "/", "Before"),
            ),
        ),
        (
            _TITLE,
            Column("Value #B", "Plays", "locale", 80),
            Column("Before", "Week before", "locale", 105),
            Column("Value #A", "Difference", "locale", 95),
            Column("Change", "Change", "percentunit", 85, 0, LOSS),
            *_HIDDEN,
        ),
    )


def _top() -> table.Panel:
    about = About(
        "Top media",
        f"The media with most plays on the last settled day. {_SETTLED} A title leads to the media. Viewers are of one "
        "media each: they cannot be added up, because who watched two would count twice.",
        "short",
        f"Nothing published for these filters: {_NO_DAY}, or the configuration does not ask for them",
    )
    top = f"topk(20, {_PLAYS})"
    ours = f"and on (account, media_id) ({top})"

    def beside(metric: str) -> str:
        return f"max by (media_id) ((\n{_CHOSEN.last_settled(metric)}\n) {ours})"

    return table_of(
        about,
        (
            rows(titled(top, _ACCOUNT)),
            rows(f"max by (media_id) ((\n{_PLAYS_BEFORE}\n) {ours})"),
            rows(beside("aliyun_vod_media_viewers")),
            rows(beside("aliyun_vod_media_plays_per_viewer")),
            rows(f"{beside(_TIME_PLAYED)} / 3600"),
            rows(beside("aliyun_vod_media_play_duration_per_viewer_seconds")),
        ),
        Joined(
            by="media_id",
            sort_by="Value #A",
            computed=(
                Computed("Difference", "Value #A", "-", "Value #B"),
                Computed("Change", "Difference", "/", "Value #B"),
            ),
        ),
        (
            _TITLE,
            Column("Value #A", "Plays", "locale", 220, gauge="blue"),
            Column("Value #B", "Week before", "locale", 105),
            Column("Change", "Change", "percentunit", 85, 0, LOSS),
            Column("Value #C", "Viewers", "locale", 85),
            Column("Value #D", "Plays per viewer", "none", 140, 2),
            Column("Value #E", "Hours played", "locale", 120, 0),
            Column("Value #F", "Time per viewer", "s", 135, 1),
            _MEDIA_ID,
            _ACCOUNT_COLUMN,
        ),
    )


def _shares(dimension: str, name: str) -> bargauge.Panel:
    about = About(
        f"Plays by {name}",
        f"Shares of the plays of the last settled day. The filter for {name} has no effect here, the others have.",
        "percentunit",
        f"not asked for: queries[].dimensions without {dimension}",
    )
    others = ", ".join(f'{other}="${other}"' for other in frame.DIMENSIONS if other != dimension)
    parts = View(f'{_ACCOUNT}, {others}, {dimension}!="{frame.ALL}"')
    return bars(about, now(share(dimension, parts.last_settled()), f"{{{{{dimension}}}}}")).max(1).decimals(1)


def _history() -> timeseries.Panel:
    about = About(
        "Plays of the last settled day, as time went on",
        "Steps from one day's plays to the next day's soon after 09:00 UTC+8, when a day gets final. The dashed line "
        "is the same weekday a week before. Of the past it knows what Prometheus scraped, or what backfill wrote.",
        "short",
        _NO_DAY,
    )
    return (
        graph(
            about,
            over_time(total("account", _PLAYS), "{{account}}"),
            over_time(total("account", _PLAYS_BEFORE), "{{account}} a week before"),
        )
        .interval("15m")
        .override_by_query("B", dashed("gray"))
    )
