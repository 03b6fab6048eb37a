"""Panels of this project: each has a description, a unit, and a text for why it may be empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMappingResult,
)

if TYPE_CHECKING:
    from typing import Self

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.variants import Dataquery

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")

UNKNOWN: Final = "#44474d"  # neither good nor bad
PLAIN: Final = (Threshold(color="text"),)
LOSS: Final = (
    Threshold(color="red"),
    Threshold(-0.5, "orange"),
    Threshold(-0.2, "#b58b00"),
    Threshold(-0.05, "transparent"),
    Threshold(0.2, "green"),
)
"""A video's difference from its expected plays, as a share of them: half lost is red."""
VERDICT: Final = (*LOSS[:3], Threshold(-0.05, "green"))
"""The same where a colour is always shown."""
OF_ALL: Final = (
    Threshold(color="red"),
    Threshold(-0.3, "orange"),
    Threshold(-0.15, "#b58b00"),
    Threshold(-0.05, "green"),
)
"""The same of all media together: they vary less than a single one."""
NONE_IS_GOOD: Final = (Threshold(color="green"), Threshold(1, "red"))
ONE_IS_GOOD: Final = (Threshold(color="red"), Threshold(1, "green"))


@dataclass(frozen=True, slots=True)
class About:
    """The texts of a panel: `empty` is displayed in place of data, with the reason."""

    title: str
    description: str
    unit: str
    empty: str


class Describable(Protocol):
    """The common interface of the SDK's panel builders."""

    def title(self, title: str) -> Self:
        """The title."""
        ...

    def description(self, description: str) -> Self:
        """The text of the (i) in its corner."""
        ...

    def unit(self, unit: str) -> Self:
        """The unit, by Grafana's name."""
        ...

    def no_value(self, no_value: str) -> Self:
        """The text in place of data."""
        ...

    def datasource(self, datasource: DataSourceRef) -> Self:
        """The data source."""
        ...

    def with_target(self, target: Builder[Dataquery]) -> Self:
        """A query."""
        ...


P = TypeVar("P", bound=Describable)


def described(panel: P, about: About, *targets: prometheus.Dataquery) -> P:
    """A panel with the common settings; its targets are called A, B, C."""
    panel.title(about.title).description(about.description).unit(about.unit).no_value(about.empty).datasource(SOURCE)
    for ref_id, target in zip("ABCDEFGH", targets, strict=False):
        panel.with_target(target.ref_id(ref_id).datasource(SOURCE))
    return panel


def thresholds(*steps: Threshold) -> board.ThresholdsConfig:
    """Colours by value; the first step has none."""
    return board.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(list(steps))


def colour(name: str) -> board.FieldColor:
    """One colour, whatever the value."""
    return board.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(name)


def single(about: About, target: prometheus.Dataquery, *steps: Threshold, none_is: str = UNKNOWN) -> stat.Panel:
    """One number; with steps its background has their colours; `none_is` the colour where there is no number."""
    unknown = SpecialValueMap(
        DashboardSpecialValueMapOptions(
            SpecialValueMatch.NULL_AND_NAN, ValueMappingResult(text=about.empty, color=none_is)
        )
    )
    panel = (
        stat.Panel()
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.BACKGROUND if steps else BigValueColorMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds(*(steps or PLAIN)))
        .mappings([unknown] if steps else [])
        .color_scheme(board.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    )
    return described(panel, about, target)


def named(about: About, target: prometheus.Dataquery, *steps: Threshold) -> stat.Panel:
    """One number with the name of its series."""
    text = common.VizTextDisplayOptions().title_size(15).value_size(34)
    return single(about, target, *steps).text_mode(BigValueTextMode.VALUE_AND_NAME).text(text)


def bars(about: About, target: prometheus.Dataquery) -> bargauge.Panel:
    """One horizontal bar per series."""
    panel = (
        bargauge.Panel()
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(colour("blue"))
        .min(0)
    )
    return described(panel, about, target)


def graph(about: About, *targets: prometheus.Dataquery, legend: bool = True) -> timeseries.Panel:
    """Lines over time."""
    panel = (
        timeseries.Panel()
        .line_width(2)
        .fill_opacity(8)
        .show_points(VisibilityMode.AUTO)
        .min(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(legend)
            .calcs([])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    return described(panel, about, *targets)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """The same as bars on top of each other, each over its own stretch of at least 5 minutes: `$__interval`."""
    return (
        panel.interval("5m")
        .decimals(0)
        .axis_soft_max(1)
        .draw_style(GraphDrawStyle.BARS)
        .fill_opacity(80)
        .line_width(0)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    )


def set_to(**properties: object) -> list[DynamicConfigValue]:
    """Properties of one field: `custom__width=80` is the option `custom.width`."""
    return [DynamicConfigValue(name.replace("__", "."), value) for name, value in properties.items()]


def coloured(name: str) -> list[DynamicConfigValue]:
    """One field in one colour."""
    return set_to(color={"mode": "fixed", "fixedColor": name})


def dashed(name: str) -> list[DynamicConfigValue]:
    """A line to compare with, in one colour."""
    return set_to(custom__lineStyle={"fill": "dash", "dash": [6, 6]}, custom__fillOpacity=0) + coloured(name)
