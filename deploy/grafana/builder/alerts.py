"""The panel of firing alerts: what each is about, in words, and how much of its expected plays it has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from deploy.grafana.builder import frame
from deploy.grafana.builder.panels import About
from deploy.grafana.builder.queries import rows
from deploy.grafana.builder.tables import Column, Joined, table_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from grafana_foundation_sdk.builders import table

# An alert about an account has no job, one about an exporter often no account.
_MATCHERS: Final = 'alertname=~"AliyunVod.*", account=~"$account|", job=~"$job|"'
FIRING: Final = f'ALERTS{{alertstate="firing", {_MATCHERS}}}'
NAMES: Final = {
    "AliyunVodAccountPlaysDropped": "Account: plays dropped",
    "AliyunVodAccountPlaysSinking": "Account: plays sinking",
    "AliyunVodAccountShareDropped": "Account: lost in one place",
    "AliyunVodMediaPlaysDropped": "Media: plays dropped",
    "AliyunVodMediaPlaysGone": "Media: hardly played",
    "AliyunVodMediaDropsMany": "Many media dropped",
    "AliyunVodMediaShareDropped": "Media: lost in one place",
    "AliyunVodMediaViewersDropped": "Media: fewer viewers",
    "AliyunVodMediaWatchTimeDropped": "Media: watched shorter",
    "AliyunVodExporterDown": "Exporter down",
    "AliyunVodAuthFailing": "Credentials rejected",
    "AliyunVodQueryFailing": "Query failing",
    "AliyunVodDayNotSettled": "Day not final",
    "AliyunVodBudgetSpent": "Calls of the day used up",
    "AliyunVodSeriesDropped": "Series left out",
    "AliyunVodStorageFailing": "Storage failing",
    "AliyunVodConfigReloadFailed": "Configuration rejected",
    "AliyunVodLabelsShadowed": "Labels renamed",
    "AliyunVodPlayerPlaysDropped": "Player: plays dropped",
    "AliyunVodPlayerFailureRatioHigh": "Player: plays fail",
    "AliyunVodPlayerFirstFrameSlow": "Player: slow first frame",
    "AliyunVodPlayerDataLate": "Player: data late",
}
_SEVERITIES: Final = {"critical": "red", "warning": "orange"}
# The dashboard about an alert: of a video, `media`; of these, by name; of any other, `exporter`.
_PAGES: Final = {"overview": "AliyunVod(Account.+|MediaDropsMany)", "player": "AliyunVodPlayer.+"}


def firing(filters: Collection[str] = ()) -> table.Panel:
    """Alerts that fire now, the newest first; `filters` are the dimensions that the dashboard has a variable for."""
    about = About(
        "Alerts that fire now",
        "Firing alerts of the accounts and exporters chosen above, the newest first, with what the video has of its "
        "expected plays. A click on what an alert is about opens the dashboard about that.",
        "short",
        "No alert fires, or the rules are not loaded",
    )
    since = f"ALERTS_FOR_STATE{{{_MATCHERS}}} and ignoring (alertstate) {FIRING}"
    what = since
    # The last that an alert has is what it is about.
    for label in ("account", "instance", "query", "media_id", "title"):
        what = f'label_replace({what}, "what", "$1", "{label}", "(.+)")'
    what = f'label_join({what}, "slice", " ", "terminal_type", "os", "region")'
    what = f'label_replace({what}, "slice", "$1", "slice", "(?:all )*(.*?)(?: all)* *")'
    for label in ("slice", "percent"):
        what = f'label_replace({what}, "{label}", "-", "{label}", " *")'
    for page, alertnames in {"exporter": ".*", **_PAGES}.items():
        what = f'label_replace({what}, "page", "{page}", "alertname", "{alertnames}")'
    what = f'label_replace({what}, "page", "media", "media_id", ".+")'
    # As Grafana's URLs name all accounts.
    what = f'label_replace({what}, "account", "All", "account", "")'
    labels = "alertname, severity, account, media_id, page, what, slice, percent"
    return table_of(
        about,
        (rows(f"topk(50, 1000 * max by ({labels}) (\n{what}\n))"),),
        Joined(sort_by="Value"),
        (
            Column("severity", "Severity", width=75, mappings=(_words(),), text_colour=True),
            Column("alertname", "Alert", width=195, mappings=(_names(),)),
            Column("what", "About", links=(("Open what this is about", frame.alert_link(filters)),)),
            Column("slice", "Where", width=95),
            Column("percent", "% left", width=60),
            Column("Value", "Since", "time:MM-DD HH:mm", 100),
            Column("media_id", "Media ID", hidden=True),
            Column("page", "Dashboard", hidden=True),
            Column("account", "Account", hidden=True),
        ),
    )


def _names() -> dict[str, Any]:
    options = {name: {"text": text, "index": index} for index, (name, text) in enumerate(NAMES.items())}
    return {"type": "value", "options": options}


def _words() -> dict[str, Any]:
    options = {
        name: {"text": name, "color": colour, "index": i} for i, (name, colour) in enumerate(_SEVERITIES.items())
    }
    return {"type": "value", "options": options}
