"""Tables from several queries: results joined by a label, columns in order, each with its display options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.builders import prometheus, table
from grafana_foundation_sdk.models.common import TableCellHeight
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue, Threshold

from deploy.grafana.builder.panels import About, described
from deploy.grafana.builder.queries import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROW: Final = "row"  # the label that results are joined by where that takes several
_WHERE_NONE: Final = "-"  # a cell without a value is not the place for a panel's whole sentence


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    * `field`: a label, or `Value #A` for the number of target A. `title`: its heading.
    * `steps`: colours of the cell by value. `gauge`: the colour of a bar as long as the value.
    * `mappings`: words in place of numbers, as Grafana's JSON has them.
    * `links`: (title, URL) of what a click offers. `width`: pixels; 0 shares what is left.
    * `hidden`: only there for the links of others. `empty`: in a cell without a value.
    * `text_colour`: `mappings` colour the text.
    """

    field: str
    title: str
    unit: str = ""
    width: int = 0
    decimals: int | None = None
    steps: tuple[Threshold, ...] = ()
    gauge: str = ""
    mappings: tuple[dict[str, Any], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    hidden: bool = False
    empty: str = _WHERE_NONE
    text_colour: bool = False

    def properties(self) -> list[DynamicConfigValue]:
        """Its looks, as overrides of the panel's."""
        found: dict[str, object] = {"noValue": self.empty}
        if self.unit:
            found["unit"] = self.unit
        if self.width:
            found["custom.width"] = self.width
        if self.decimals is not None:
            found["decimals"] = self.decimals
        if mappings := [*self.mappings, *self._without_colour()]:
            found["mappings"] = mappings
        if self.links:
            found["links"] = [{"title": title, "url": url} for title, url in self.links]
        if self.hidden:
            # As Grafana says it up to 12, and since.
            found |= {"custom.hidden": True, "custom.hideFrom": {"viz": True}}
        return [DynamicConfigValue(name, value) for name, value in (found | self._cell()).items()]

    def _without_colour(self) -> list[dict[str, Any]]:
        """A cell without a value would have the colour of the lowest step, which is red where less is worse."""
        result = {"text": self.empty, "color": "transparent", "index": len(self.mappings)}
        return [{"type": "special", "options": {"match": "null+nan", "result": result}}] if self.steps else []

    def _cell(self) -> dict[str, object]:
        found: dict[str, object] = {}
        if self.steps:
            found["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
            found["thresholds"] = {"mode": "absolute", "steps": list(self.steps)}
            found["color"] = {"mode": "thresholds"}
        if self.text_colour:
            found["custom.cellOptions"] = {"type": "color-text"}
        if self.gauge:
            found["custom.cellOptions"] = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
            found["color"] = {"mode": "fixed", "fixedColor": self.gauge}
            found["min"] = 0
            if self.unit == "percentunit":
                found["max"] = 1
        return found


@dataclass(frozen=True, slots=True)
class Joined:
    """How the results become one table.

    * `by`: the labels that together are in each row once. One alone is in every result; several are columns that only
      the first result fills, so it has to have every row.
    * `sort_by`: a field, largest first where `descending`. `only`: rows that are in every result.
    * `numbers`: labels that are numbers, to be sorted as such.
    """

    sort_by: str
    by: tuple[str, ...] = ()
    only: bool = False
    descending: bool = True
    numbers: tuple[str, ...] = ()


def table_of(
    about: About, targets: Sequence[prometheus.Dataquery], joined: Joined, columns: Sequence[Column]
) -> table.Panel:
    """A table with these columns and no others."""
    panel = (
        described(table.Panel(), about, *_keyed(targets, joined.by))
        .cell_height(TableCellHeight.SM)
        .show_header(show_header=True)
    )
    for transformation in _transformations(joined, columns):
        panel.with_transformation(transformation)
    for column in columns:
        panel.override_by_name(column.title, column.properties())
    return panel


def _keyed(targets: Sequence[prometheus.Dataquery], by: tuple[str, ...]) -> list[prometheus.Dataquery]:
    """Queries whose results have one label for the labels that they are joined by.

    Grafana joins by one field. Its `merge` takes all fields that the results have in common instead, and an empty one
    has none: then nothing is merged, and the columns of all results but the first are gone.
    """
    if len(by) < 2:  # noqa: PLR2004 - one label is joined as it is
        return [*targets]
    labels = ", ".join(by)
    names = ", ".join(f'"{name}"' for name in by)
    first, *others = (f'label_join(\n{target.build().expr},\n"{_ROW}", " ", {names})' for target in targets)
    return [rows(first), *(rows(f"max without ({labels}) ({expr})") for expr in others)]


def _transformations(joined: Joined, columns: Sequence[Column]) -> list[DataTransformerConfig]:
    shown = [column.field for column in columns]
    by = joined.by[0] if len(joined.by) == 1 else _ROW
    answered = [*dict.fromkeys((*shown, by))] if joined.by else shown
    steps: list[tuple[str, dict[str, Any]]] = [("filterFieldsByName", {"include": {"names": answered}})]
    if joined.by:
        steps.append(("joinByField", {"byField": by, "mode": "inner" if joined.only else "outer"}))
    if joined.numbers:
        conversions = [{"targetField": name, "destinationType": "number"} for name in joined.numbers]
        steps.append(("convertFieldType", {"fields": {}, "conversions": conversions}))
    steps.append(("sortBy", {"fields": {}, "sort": [{"field": joined.sort_by, "desc": joined.descending}]}))
    steps.append(
        (
            "organize",
            {
                "excludeByName": {name: True for name in answered if name not in shown},
                "indexByName": {name: index for index, name in enumerate(shown)},
                "renameByName": {column.field: column.title for column in columns},
            },
        )
    )
    return [DataTransformerConfig(id_val=name, options=options) for name, options in steps]
