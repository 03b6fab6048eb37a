"""The dashboard *Overview*: which videos lost plays, and where; it reads recording rules, not all media."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models.common import BigValueColorMode, BigValueTextMode, VisibilityMode
from grafana_foundation_sdk.models.dashboard import Threshold

from deploy.grafana.builder import alerts, frame, state
from deploy.grafana.builder.panels import LOSS, NONE_IS_GOOD, OF_ALL, SOURCE, About, coloured, dashed, graph, single
from deploy.grafana.builder.promql import (
    CHOSEN,
    DIMENSIONS,
    EXPECTED_PLAYS,
    GAINED,
    LOST,
    PLAYS_OF_MOVED,
    SUM_OF_DAY,
    SUM_OF_EXPECTED,
    SUM_OF_LOST,
    SUM_OF_PLAYS,
    TITLES_OF_MOVED,
    View,
    ago,
    named_slice,
    or_zero,
    per_dimension,
    titled,
)
from deploy.grafana.builder.queries import now, over_time, rows
from deploy.grafana.builder.tables import Column, Joined, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table, timeseries
    from grafana_foundation_sdk.models.dashboard import Dashboard

_ACCOUNT: Final = 'account=~"$account"'
_CHOSEN: Final = View(_ACCOUNT, CHOSEN)
_ROWS: Final = 15
_SLICES: Final = 20

_LOST: Final = f"topk({_ROWS}, {_CHOSEN.recorded(LOST)})"
_GAINED: Final = f"topk({_ROWS}, {_CHOSEN.recorded(GAINED)})"
_TITLES: Final = f"{TITLES_OF_MOVED}{{{_ACCOUNT}}}"
_INFO: Final = f'aliyun_vod_media_info{{{_ACCOUNT}, job=~"$job", title!=""}}'
_EXPECTED: Final = _CHOSEN.recorded(SUM_OF_EXPECTED)
_SETTLED: Final = _CHOSEN.recorded(SUM_OF_PLAYS)
_METADATA: Final = "aliyun_vod_media_metadata_info"
_SHARE_MOVED: Final = (
    Threshold(color="red"),
    Threshold(-10, "orange"),
    Threshold(-5, "#b58b00"),
    Threshold(-2, "transparent"),
)

_NO_DAY: Final = "none now: see State"
_NO_MEDIA_DAY: Final = "Nothing to show: no media lost plays, or there is no day to compare now (see State)"
_NO_RULES_DAY: Final = "Fills day by day, from the first day that settles while the recording rules run: see State"
_TITLE: Final = Column("title", "Title", links=(("Open this video", frame.media_link()),))
_HIDDEN: Final = (Column("media_id", "Media ID", hidden=True), Column("account", "Account", hidden=True))


def build() -> Dashboard:
    """The dashboard as Grafana's JSON model."""
    built = frame.dashboard(
        frame.OVERVIEW,
        "Alibaba Cloud VOD / Overview",
        "Which videos lost plays on the last settled day, how much of the whole loss each is, and where it was.",
    ).time("now-30d", "now")
    for variable in (_accounts(), *frame.dimension_variables(_ACCOUNT), _category()):
        built.with_variable(variable)
    for panel, span in ((state.state(), 14), (state.next_poll(), 3), (_date(), 4), (_alerts_firing(), 3)):
        built.with_panel(panel.span(span).height(3))
    for number, span in (
        (_plays(), 4), (_against_expected(), 4), (_lost_plays(), 3), (_dropped(), 4), (_yesterday(), 5), (_today(), 4)
    ):  # fmt: skip
        built.with_panel(number.span(span).height(3))
    built.with_panel(_losers().span(13).height(9))
    built.with_panel(_slices().span(11).height(9))
    # Beside a wider trend, what an alert is about would be cut on a screen of 1280 pixels.
    built.with_panel(alerts.firing(DIMENSIONS).span(16).height(8))
    built.with_panel(_trend().span(8).height(8))
    built.with_row(board.Row("Winners, and today"))
    built.with_panel(_winners().span(12).height(10))
    built.with_panel(_today_over_time().span(12).height(10))
    # Collapsed rows are only queried when they are opened.
    built.with_row(board.Row("Top media").collapsed(collapsed=True).with_panel(_top().span(24).height(12)))
    built.with_row(
        board.Row("By category")
        .collapsed(collapsed=True)
        # Side by side, titles and categories would be cut on a screen of 1280 pixels.
        .with_panel(_categories().span(24).height(9))
        .with_panel(_media_of_category().span(24).height(9))
    )
    return frame.numbered(built.build())


def _accounts() -> board.QueryVariable:
    return frame.several(
        frame.label_variable(
            "account", "Account", 'aliyun_vod_slice_ready{job=~"$job"}', "Accounts of the configuration."
        )
    )


def _category() -> board.QueryVariable:
    return frame.several(
        frame.label_variable(
            "category",
            "Category",
            f"{_METADATA}{{{_ACCOUNT}}}",
            "Categories of media, for the row By category; only where the exporter publishes metadata.",
        )
    ).all_value(".*")


def _date() -> stat.Panel:
    about = About(
        "Last settled day",
        "The last day whose plays are final and can be compared with expected ones: yesterday (UTC+8) from about 09:30 "
        "on, the day before until then. All numbers are of that day unless their title says otherwise.",
        "time:ddd YYYY-MM-DD",
        _NO_DAY,
    )
    return single(about, now(f"1000 * max({_CHOSEN.date()})"))


def _alerts_firing() -> stat.Panel:
    about = About(
        "Alerts",
        "Alerts of the accounts and exporters that are firing now. They are listed below.",
        "none",
        "rules are not loaded",
    )
    return single(about, now(or_zero(f"count({alerts.FIRING})")), *NONE_IS_GOOD)


def _plays() -> stat.Panel:
    about = About("Plays", "Plays of all published media on the last settled day.", "locale", _NO_DAY)
    return single(about, now(f"sum({_SETTLED})"))


def _against_expected() -> stat.Panel:
    about = About(
        "Against expected",
        "Plays of the last settled day against those expected: the fewer of what the day before and the same weekday "
        "a week before let expect, so a usual day is at or above 0 %. Media in their first days count as plays without "
        "being expected.",
        "percentunit",
        _NO_DAY,
    )
    return single(about, now(f"sum({_SETTLED}) / (sum({_EXPECTED}) > 0) - 1"), *OF_ALL).decimals(1)


def _lost_plays() -> stat.Panel:
    about = About(
        "Lost plays",
        "Expected plays - plays, added up over the media that have fewer than expected. Some are lost every day: what "
        "other media gained is not subtracted.",
        "locale",
        _NO_DAY,
    )
    return single(about, now(f"sum({_CHOSEN.recorded(SUM_OF_LOST)})")).decimals(0)


def _dropped() -> stat.Panel:
    about = About(
        "Dropped media",
        "Media that lost so many plays that the rules call it a drop, whatever the filters above. Those that lost most "
        "alert.",
        "none",
        _NO_DAY,
    )
    count = or_zero(f"count(aliyun_vod:media_plays:dropped{{{_ACCOUNT}}})", f"{SUM_OF_EXPECTED}{{{_ACCOUNT}}}")
    return single(about, now(count), *NONE_IS_GOOD)


def _yesterday() -> stat.Panel:
    about = About(
        "Yesterday",
        "Plays of yesterday (UTC+8) as known now: provisional until about 09:30, when the day becomes final.",
        "locale",
        "none now, or no days_ago 1",
    )
    plays = f"sum({_CHOSEN.recorded(SUM_OF_DAY, ago(1))})"
    settled = _CHOSEN.scraped("aliyun_vod_slice_settled", 'days_ago="1"')
    is_settled = f"min(max by (account) ({settled})) == 1"
    panel = single(about, now(f"{plays} and on () ({is_settled})", "final"))
    provisional = now(f"{plays} unless on () ({is_settled})", "provisional").ref_id("B").datasource(SOURCE)
    return (
        panel.with_target(provisional)
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
        .text(common.VizTextDisplayOptions().title_size(12).value_size(22))
        .color_mode(BigValueColorMode.VALUE)
        .override_by_query("B", coloured("orange"))
    )


def _today() -> stat.Panel:
    about = About(
        "Today so far",
        "Plays since 00:00 UTC+8. The service may be hours behind; at 00:00 the count starts again.",
        "locale",
        "none now, or no days_ago 0",
    )
    return single(about, now(f"sum({_CHOSEN.recorded(SUM_OF_DAY, ago(0))})"))


def _beside(metric: str, media: str) -> str:
    """Another number of the media of a result."""
    return f"{_CHOSEN.recorded(metric)} and on (account, media_id) {media}"


def _losers() -> table.Panel:
    about = About(
        "Lost plays by media",
        "Media with fewer plays than expected on the last settled day, by how many they lost. Of all lost: the part of "
        "Lost plays that is this video's. A title opens the video.",
        "short",
        _NO_MEDIA_DAY,
    )
    of_all = f"{_LOST} / on (account) group_left () sum by (account) ({_CHOSEN.recorded(SUM_OF_LOST)})"
    expected = f"({_CHOSEN.recorded(PLAYS_OF_MOVED)} + {_LOST})"
    return table_of(
        about,
        (
            rows(titled(_LOST, _TITLES)),
            rows(f"max by (media_id) ({of_all})"),
            rows(f"max by (media_id) ({_beside(PLAYS_OF_MOVED, _LOST)})"),
            rows(f"max by (media_id) (- {_LOST} / {expected})"),
        ),
        Joined(by=("media_id",), only=True, sort_by="Value #A"),
        (
            _TITLE,
            Column("Value #A", "Lost", "locale", 75, 0),
            Column("Value #B", "Of all lost", "percentunit", 110, 1, gauge="red"),
            Column("Value #C", "Plays", "locale", 75),
            Column("Value #D", "Change", "percentunit", 70, 0, LOSS),
            *_HIDDEN,
        ),
    )


def _slices() -> table.Panel:
    about = About(
        "Lost plays by terminal, OS and region",
        "Where the plays were lost on the last settled day; below 0: gained. Of the loss: its part of what all values "
        "of that dimension lost. Share: of all plays, and by how many percentage points (pp) it differs from its "
        "expected share. The filter of a dimension does not apply to its own lines.",
        "short",
        "Nothing to show: no day to compare now (see State), or no query has terminal_type, os or region in its "
        "dimensions",
    )

    def lost(view: View) -> str:
        return f"({view.recorded(SUM_OF_EXPECTED)} - {view.recorded(SUM_OF_PLAYS)})"

    def of_loss(view: View) -> str:
        return f"({lost(view)} > 0) / on (account) group_left () sum by (account) ({lost(view)} > 0)"

    def share(view: View, metric: str) -> str:
        return f"({view.recorded(metric)} / on (account) group_left () sum by (account) ({view.recorded(metric)} > 0))"

    def moved(view: View) -> str:
        return f"100 * ({share(view, SUM_OF_PLAYS)} - {share(view, SUM_OF_EXPECTED)})"

    most = f"topk({_SLICES}, {named_slice(per_dimension(_ACCOUNT, lost))})"

    def of_most(expr: str) -> str:
        return f"{named_slice(expr)} and {most}"

    return table_of(
        about,
        (
            rows(most),
            rows(of_most(per_dimension(_ACCOUNT, of_loss))),
            rows(of_most(per_dimension(_ACCOUNT, lambda view: share(view, SUM_OF_PLAYS)))),
            rows(of_most(per_dimension(_ACCOUNT, moved))),
        ),
        Joined(by=("account", "slice"), sort_by="Value #A"),
        (
            Column("slice", "Where"),
            Column("Value #A", "Lost", "locale", 70, 0),
            Column("Value #B", "Of the loss", "percentunit", 98, 0),
            Column("Value #C", "Share", "percentunit", 65, 1),
            Column("Value #D", "Share change", "suffix: pp", 118, 1, _SHARE_MOVED),
            Column("account", "Account", width=75),
        ),
    )


def _trend() -> timeseries.Panel:
    about = About(
        "Plays per day, and expected (dashed)",
        "Plays of each day when it was the last settled one, at its date, and the plays expected then. Of the past it "
        "knows what the recording rules recorded.",
        "short",
        _NO_RULES_DAY,
    )
    return (
        graph(
            about,
            over_time(_CHOSEN.settled_by_date(_SETTLED, dated=True), "{{account}}"),
            over_time(_CHOSEN.settled_by_date(_EXPECTED, dated=True), "{{account}} expected"),
        )
        .interval("1d")
        .show_points(VisibilityMode.ALWAYS)
        .point_size(5)
        .override_by_query("B", dashed("gray"))
    )


def _winners() -> table.Panel:
    about = About(
        "Gained plays by media",
        "Media with more plays than expected on the last settled day. A video is new if too few days with plays are "
        "known to expect any.",
        "short",
        "Nothing to show: no media gained plays, or there is no day to compare now (see State)",
    )
    return table_of(
        about,
        (
            rows(titled(_GAINED, _TITLES)),
            rows(f"max by (media_id) ({_beside(PLAYS_OF_MOVED, _GAINED)})"),
            rows(f"max by (media_id) ({_CHOSEN.recorded(PLAYS_OF_MOVED)} - {_GAINED} > 0)"),
        ),
        Joined(by=("media_id",), sort_by="Value #A"),
        (
            _TITLE,
            Column("Value #A", "Gained", "locale", 90, 0),
            Column("Value #B", "Plays", "locale", 90),
            Column("Value #C", "Expected", "locale", 90, 0, empty="new"),
            *_HIDDEN,
        ),
    )


def _today_over_time() -> timeseries.Panel:
    about = About(
        "Today so far, and a week ago at the same time (dashed)",
        "How today's count grows, beside what it was at the same time a week ago as Prometheus scraped it then: the "
        "earliest sign of a drop, hours before the day is final. It falls to 0 at 00:00 UTC+8.",
        "short",
        "No plays of today yet: they appear within 5 minutes, but after 00:00 the service may be hours behind. Never "
        "without days_ago 0.",
    )
    today = _CHOSEN.recorded(SUM_OF_DAY, ago(0))
    return (
        graph(
            about,
            over_time(today, "{{account}} today"),
            over_time(f"{today} offset 7d", "{{account}} a week ago"),
        )
        .time_from("1d")
        .interval("5m")
        .override_by_query("B", dashed("gray"))
    )


def _top() -> table.Panel:
    about = About(
        "Top media",
        "The media with most plays on the last settled day. Viewers are of one video each: they cannot be added up, "
        "because who watched two would count twice. A title opens the video.",
        "short",
        "Nothing to show: there is no day to compare now (see State)",
    )
    top = f"topk(20, {_CHOSEN.settled()})"

    def beside(metric: str) -> str:
        """Of yesterday if that is the last settled day, else of the day before."""
        days = " or ".join(
            f"({_CHOSEN.on_day(metric, days_ago)} and on (account, media_id) {top} and on (account) ({_CHOSEN.date()} "
            f'== on () group_left () max(aliyun_vod_play_date_timestamp_seconds{{days_ago="{days_ago}"}})))'
            for days_ago in (1, 2)
        )
        return f"max by (media_id) ({days})"

    return table_of(
        about,
        (
            rows(titled(top, _INFO)),
            rows(f"max by (media_id) ({_CHOSEN.settled(EXPECTED_PLAYS)} and on (account, media_id) {top})"),
            rows(f"max by (media_id) (- {_CHOSEN.lost()} / ({_CHOSEN.settled(EXPECTED_PLAYS)} > 0) and {top})"),
            rows(beside("aliyun_vod_media_viewers")),
            rows(beside("aliyun_vod_media_plays_per_viewer")),
            rows(f"{beside('aliyun_vod_media_play_duration_seconds')} / 3600"),
            rows(beside("aliyun_vod_media_play_duration_per_viewer_seconds")),
        ),
        Joined(by=("media_id",), sort_by="Value #A"),
        (
            _TITLE,
            Column("Value #A", "Plays", "locale", 180, gauge="blue"),
            Column("Value #B", "Expected", "locale", 90, 0),
            Column("Value #C", "Change", "percentunit", 80, 0, LOSS),
            Column("Value #D", "Viewers", "locale", 85),
            Column("Value #E", "Plays per viewer", "none", 140, 2),
            Column("Value #F", "Hours played", "locale", 110, 0),
            Column("Value #G", "Time per viewer", "s", 135, 1),
            *_HIDDEN,
        ),
    )


_CATEGORY_OF: Final = (
    # Exporters that refresh metadata at different times may disagree about a video that has moved.
    "* on (account, media_id) group_left (category) topk by (account, media_id) "
    f"(1, group by (account, media_id, category) ({_METADATA}{{{_ACCOUNT}%s}}))"
)
_NO_CATEGORIES: Final = (
    "Nothing to show: no day to compare now (see State), or the configuration requests no metadata of media"
)


def _by_category(expr: str) -> str:
    return f"sum by (account, category) ({expr} {_CATEGORY_OF % ''})"


def _categories() -> table.Panel:
    about = About(
        "Plays by category",
        "Plays of the last settled day by category of the media, against those expected, and W/W against the same "
        "weekday a week before. A category shows its media below it.",
        "short",
        _NO_CATEGORIES,
    )
    plays, expected = _by_category(_CHOSEN.settled()), _by_category(_CHOSEN.settled(EXPECTED_PLAYS))
    week_before = _by_category(_CHOSEN.week_before())
    return table_of(
        about,
        (
            rows(f"topk(30, {plays})"),
            rows(f"{expected} and topk(30, {plays})"),
            rows(f"- {_by_category(_CHOSEN.lost())} / ({expected} > 0) and topk(30, {plays})"),
            rows(f"{plays} / ({week_before} > 0) - 1 and topk(30, {plays})"),
        ),
        Joined(by=("account", "category"), sort_by="Value #A"),
        (
            Column("category", "Category", links=(("Its media", frame.category_link()),)),
            Column("Value #A", "Plays", "locale", 90),
            Column("Value #B", "Expected", "locale", 90, 0),
            Column("Value #C", "Change", "percentunit", 90, 0, LOSS),
            Column("Value #D", "W/W", "percentunit", 90, 0, LOSS),
            Column("account", "Account", width=200),
        ),
    )


def _media_of_category() -> table.Panel:
    about = About(
        "Lost plays by media, of the chosen categories",
        "Media of the categories chosen above, by how many plays they lost on the last settled day.",
        "short",
        _NO_CATEGORIES,
    )
    category = ', category=~"$category"'
    most = f"topk({_ROWS}, {_CHOSEN.lost()} {_CATEGORY_OF % category})"
    return table_of(
        about,
        (
            rows(titled(f"max by (account, media_id) ({most})", _INFO)),
            rows(f"max by (media_id, category) ({most} ^ 0)"),
            rows(f"max by (media_id) ({_CHOSEN.settled()} and on (account, media_id) {most})"),
            rows(f"max by (media_id) ({_CHOSEN.settled(EXPECTED_PLAYS)} and on (account, media_id) {most})"),
        ),
        Joined(by=("media_id",), sort_by="Value #A"),
        (
            _TITLE,
            Column("category", "Category"),
            Column("Value #A", "Lost", "locale", 90, 0),
            Column("Value #C", "Plays", "locale", 90),
            Column("Value #D", "Expected", "locale", 90, 0),
            *_HIDDEN,
        ),
    )
