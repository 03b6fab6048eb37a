"""The common parts of the dashboards: variables, links, time zone, and the numbering of panels."""

from __future__ import annotations

from typing import Final

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

OVERVIEW: Final = "aliyun-vod-overview"
MEDIA: Final = "aliyun-vod-media"
EXPORTER: Final = "aliyun-vod-exporter"

ALL: Final = "all"  # the label value of a dimension without filter
DIMENSIONS: Final = {"terminal_type": "Terminal", "os": "OS", "region": "Region"}


def dashboard(uid: str, title: str, description: str) -> board.Dashboard:
    """An empty dashboard that has its variable for the data source, and links to the others."""
    return (
        board.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["aliyun-vod"])
        # Play dates are days in UTC+8, wherever the reader is.
        .timezone("Asia/Shanghai")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            board.DashboardLink("Alibaba Cloud VOD")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["aliyun-vod"])
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .with_variable(board.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )


def label_variable(name: str, label: str, selector: str, description: str, *, of: str = "") -> board.QueryVariable:
    """The values of a label (`of`, when it is called otherwise than the variable) in the series of a selector."""
    return asked_variable(name, label, f"label_values({selector}, {of or name})", description)


def asked_variable(name: str, label: str, query: str, description: str) -> board.QueryVariable:
    """The results of a variable query."""
    return (
        board.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
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
    """Terminal type, OS and region, one value each: `all` is the total beside its parts, so they are never mixed.

    Each offers only what is there together with those before it. `account` is the matcher of the account.
    """
    found, matchers = [], account
    for name, label in DIMENSIONS.items():
        found.append(
            label_variable(
                name,
                label,
                f"aliyun_vod_slice_ready{{{matchers}}}",
                f"{label} the numbers are filtered by; all is no filter. Only what the configuration asks for is here.",
            ).current(VariableOption(selected=True, text=ALL, value=ALL))
        )
        matchers += f', {name}="${name}"'
    return found


def media_link() -> str:
    """The media dashboard for the row's account and media, with the filters and the time range of this one."""
    carried = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", *DIMENSIONS))
    return (
        f"/d/{MEDIA}?var-account=${{__data.fields.account}}&var-media=${{__data.fields.media_id}}"
        f"&{carried}&${{__url_time_range}}"
    )


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
