"""Dashboards in Chinese: the English ones with each text replaced by its translation in texts.py."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Final

from deploy.grafana.builder.texts import CHINESE

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX: Final = "-zh"
_NOT_A_TEXT: Final = re.compile(r"\s*|-|__auto|(\{\{\w+\}\}\s*)+")
Place = tuple[dict[str, Any], str]


def chinese(dashboard: dict[str, Any]) -> dict[str, Any]:
    """The same dashboard with Chinese texts; its links lead to the Chinese ones, and one to the English ones."""
    translated = copy.deepcopy(dashboard)
    for holder, key in _places(translated):
        holder[key] = CHINESE.get(holder[key], holder[key])
    translated["uid"] += SUFFIX
    translated["tags"] = [f"{tag}{SUFFIX}" for tag in translated["tags"]]
    for link in translated["links"]:
        link["tags"] = [tag.removesuffix(SUFFIX) if tag.endswith(SUFFIX) else f"{tag}{SUFFIX}" for tag in link["tags"]]
    for link in _data_links(translated):
        link["url"] = re.sub(r"(?<=^/d/)[^?]+", lambda uid: f"{uid[0]}{SUFFIX}", link["url"])
    return translated


def texts_of(dashboard: dict[str, Any]) -> set[str]:
    """All that is written for a reader."""
    return {holder[key] for holder, key in _places(dashboard)}


def panels_of(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows and panels, also those in collapsed rows."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def _places(dashboard: dict[str, Any]) -> Iterator[Place]:
    for holder, key in _all_places(dashboard):
        if holder.get(key) and not _NOT_A_TEXT.fullmatch(holder[key]):
            yield holder, key


def _all_places(dashboard: dict[str, Any]) -> Iterator[Place]:
    yield from ((dashboard, "title"), (dashboard, "description"))
    yield from ((each, "title") for each in (*dashboard["links"], *_data_links(dashboard)))
    yield from ((annotation, "name") for annotation in dashboard["annotations"]["list"])
    for variable in dashboard["templating"]["list"]:
        yield from ((variable, "label"), (variable, "description"))
    for panel in panels_of(dashboard):
        yield from ((panel, "title"), (panel, "description"))
        yield from ((target, "legendFormat") for target in panel.get("targets", ()))
        yield from _fields(panel.get("fieldConfig", {}))
        for step in panel.get("transformations", ()):
            names = step["options"].get("renameByName", {})
            yield from ((names, field) for field in names)
            yield step["options"], "renamePattern"


def _fields(config: dict[str, Any]) -> Iterator[Place]:
    defaults = config.get("defaults", {})
    yield defaults, "noValue"
    yield from _mapped(defaults.get("mappings", ()))
    for override in config.get("overrides", ()):
        if override["matcher"]["id"] == "byName":
            yield override["matcher"], "options"
        for each in override["properties"]:
            if each["id"] == "noValue":
                yield each, "value"
            elif each["id"] == "mappings":
                yield from _mapped(each["value"])


def _mapped(mappings: Any) -> Iterator[Place]:
    for mapping in mappings:
        results = [mapping["options"]["result"]] if "result" in mapping["options"] else mapping["options"].values()
        yield from ((result, "text") for result in results)


def _data_links(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in panels_of(dashboard):
        for override in panel.get("fieldConfig", {}).get("overrides", ()):
            for each in override["properties"]:
                if each["id"] == "links":
                    yield from each["value"]
