"""The common parts of the dashboards: variables, links, time zone, and the numbering of panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    RowPanel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.builder.panels import SOURCE
from deploy.grafana.builder.promql import ALL, DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Collection

OVERVIEW: Final = "aliyun-vod-overview"
MEDIA: Final = "aliyun-vod-media"
EXPORTER: Final = "aliyun-vod-exporter"
TAG: Final = "aliyun-vod"

_FIRING: Final = 'ALERTS{alertstate="firing", alertname=~"AliyunVod.*"}'
# Where an alert begins; one about plays begins for each date.
_ALERT_BEGINS: Final = (
    f"group by (alertname, account, date) ({_FIRING}) unless group by (alertname, account, date) ({_FIRING} offset 1h)"
)
_LOADED: Final = 'changes(aliyun_vod_exporter_config_last_reload_success_timestamp_seconds{job=~"$job"}[1h]) > 0'


def dashboard(uid: str, title: str, description: str) -> board.Dashboard:
    """An empty dashboard that has its variable for the data source, and links to the others."""
    return (
        board.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        # Play dates are days in UTC+8, wherever the reader is.
        .timezone("Asia/Shanghai")
        # Numbers change with polls, which are half an hour apart.
        .refresh("15m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(_link("Alibaba Cloud VOD", TAG))
        .link(_link("中文", f"{TAG}-zh"))
        .annotation(_annotation("Alerts", _ALERT_BEGINS, "red"))
        .annotation(_annotation("Configuration loaded", _LOADED, "blue"))
        .with_variable(board.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_job())
    )


def _link(title: str, tag: str) -> board.DashboardLink:
    return (
        board.DashboardLink(title)
        .type(DashboardLinkType.DASHBOARDS)
        .as_dropdown(as_dropdown=True)
        .tags([tag])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )


def _annotation(name: str, expr: str, colour: str) -> board.AnnotationQuery:
    return board.AnnotationQuery().name(name).datasource(SOURCE).enable(enable=True).icon_color(colour).expr(expr)


def _job() -> board.QueryVariable:
    exporters = 'up{job=~".*aliyun-vod.*"} or last_over_time(aliyun_vod_exporter_build_info[1d])'
    return (
        several(
            result_variable(
                "job", "Job", f"query_result(group by (job) ({exporters}))", "Jobs of Prometheus that scrape exporters."
            )
        )
        .regex('/job="([^"]+)"/')
        # Also series that backfill wrote without a job.
        .all_value(".*")
    )


def label_variable(name: str, label: str, selector: str, description: str, *, of: str = "") -> board.QueryVariable:
    """The values of a label (`of`, if its name differs from that of the variable) in the series of a selector."""
    return result_variable(name, label, f"label_values({selector}, {of or name})", description)


def result_variable(name: str, label: str, query: str, description: str) -> board.QueryVariable:
    """The results of a variable query."""
    return (
        board.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def several(variable: board.QueryVariable) -> board.QueryVariable:
    """More than one value may be chosen; at first it is all of them."""
    return (
        variable.multi(multi=True)
        .include_all(include_all=True)
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def dimension_variables(account: str) -> list[board.QueryVariable]:
    """Terminal type, OS and region, one value each: `all` is the total of the other values, so they are never mixed.

    Each offers only what is there together with those before it. `account` is the matcher of the account.
    """
    found, matchers = [], account
    for name, label in DIMENSIONS.items():
        found.append(
            label_variable(
                name,
                label,
                f'aliyun_vod_slice_ready{{job=~"$job", {matchers}}}',
                f"{label} the numbers are filtered by; all is no filter. Only what the configuration requests is here.",
            ).current(VariableOption(selected=True, text=ALL, value=ALL))
        )
        matchers += f', {name}="${name}"'
    return found


def media_link() -> str:
    """The media dashboard for the row's account and media, with the filters and the time range of this one."""
    return _row_link(MEDIA, DIMENSIONS)


def alert_link(filters: Collection[str]) -> str:
    """The dashboard that the row names, of its account and media; without filters but those of this dashboard."""
    return _row_link("aliyun-vod-${__data.fields.page}", filters)


def _row_link(uid: str, filters: Collection[str]) -> str:
    carried = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", *filters))
    whole = "".join(f"&var-{name}={ALL}" for name in DIMENSIONS if name not in filters)
    return (
        f"/d/{uid}?var-account=${{__data.fields.account}}&var-media=${{__data.fields.media_id}}"
        f"&{carried}{whole}&${{__url_time_range}}"
    )


def category_link() -> str:
    """The same dashboard, of the row's category."""
    carried = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", "account", *DIMENSIONS))
    return f"/d/{OVERVIEW}?var-category=${{__data.fields.category}}&{carried}&${{__url_time_range}}"


def completed(dashboard: dict[str, Any]) -> dict[str, Any]:
    """The JSON with a setting that the SDK lacks: the step at which an annotation reads its series, an hour."""
    for annotation in dashboard["annotations"]["list"]:
        annotation |= {
            "step": "1h",
            "titleFormat": "{{alertname}}" if "ALERTS" in annotation["expr"] else annotation["name"],
            "textFormat": "{{account}}{{instance}}",
            "target": {"expr": annotation["expr"], "interval": "1h", "refId": "Anno"},
        }
    return dashboard


def numbered(built: Dashboard) -> Dashboard:
    """Every panel with its number, so that links to a panel stay right."""
    panels = [
        inner
        for panel in built.panels or []
        for inner in (panel, *(panel.panels if isinstance(panel, RowPanel) else ()))
    ]
    for number, panel in enumerate(panels, 1):
        panel.id_val = number
    return built
