"""The settings of the configuration file, section by section, from its JSON schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.config.schema import schema_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Node = Mapping[str, Any]

REQUIRED: Final = "required"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: its path as in `accounts[].name`, its default as in a file, its descriptions and choices."""

    path: str
    default: str
    description: str
    choices: tuple[str, ...]


def sections() -> Iterator[tuple[str, list[Setting]]]:
    """The settings of each mapping by its path; that of the file itself is empty."""
    schema = json.loads(schema_json())
    yield from _sections("", schema, schema["$defs"])


def _sections(path: str, node: Node, defs: Mapping[str, Node]) -> Iterator[tuple[str, list[Setting]]]:
    mappings = list(_mappings(path, node, defs))
    if not mappings:
        return
    place = mappings[0][0]
    # If there are several forms, no setting is required: one of the forms is.
    is_required = len(mappings) == 1
    yield (
        place,
        [
            _setting(place, name, inner, is_required=is_required and name in mapping.get("required", ()))
            for _, mapping in mappings
            for name, inner in mapping["properties"].items()
        ],
    )
    for _, mapping in mappings:
        for name, inner in mapping["properties"].items():
            yield from _sections(_joined(place, name), inner, defs)


def _mappings(path: str, node: Node, defs: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    """Every mapping that a node may be, with its path: the forms of `media`, the items of a list."""
    if "$ref" in node:
        yield from _mappings(path, defs[node["$ref"].rpartition("/")[2]], defs)
    for form in node.get("anyOf", ()):
        yield from _mappings(path, form, defs)
    if "items" in node:
        yield from _mappings(f"{path}[]", node["items"], defs)
    if "properties" in node:
        yield path, node


def _setting(place: str, name: str, node: Node, *, is_required: bool) -> Setting:
    default = node.get("default")
    if is_required:
        displayed = REQUIRED
    else:
        displayed = default if isinstance(default, str) else "" if default is None else json.dumps(default)
    return Setting(_joined(place, name), displayed, node["description"], tuple(_choices(node)))


def _choices(node: Node) -> Iterator[str]:
    yield from node.get("enum", ())
    # A list of one may be written as its item: both forms have the same choices.
    for form in node.get("anyOf", ())[:1]:
        yield from _choices(form)
    if "items" in node:
        yield from _choices(node["items"])


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")
