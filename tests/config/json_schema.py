"""A validator for the subset of JSON Schema that our schema uses; unknown keywords are errors."""

import re
from collections.abc import Callable
from typing import Any, Final

REMARKS: Final = {"$schema", "$defs", "description", "default", "format", "writeOnly"}
TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
# By keyword: the type that it applies to, and whether a value of that type conforms to it.
PLAIN: Final[dict[str, tuple[type | tuple[type, ...], Callable[[Any, Any], bool]]]] = {
    "type": (
        object,
        lambda value, rule: isinstance(value, TYPES[rule]) and isinstance(value, bool) == (rule == "boolean"),
    ),
    "const": (object, lambda value, rule: bool(value == rule)),
    "enum": (object, lambda value, rule: value in rule),
    "required": (dict, lambda value, rule: value.keys() >= set(rule)),
    "pattern": (str, lambda value, rule: bool(re.search(rule, value))),
    "minItems": (list, lambda value, rule: len(value) >= rule),
    "uniqueItems": (list, lambda value, rule: len(set(value)) == len(value) or not rule),
    "minimum": ((int, float), lambda value, rule: bool(value >= rule)),
    "maximum": ((int, float), lambda value, rule: bool(value <= rule)),
}


def is_valid(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None) -> bool:
    return all(_holds(keyword, value, schema, root or schema) for keyword in schema.keys() - REMARKS)


def _holds(keyword: str, value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    rule = schema[keyword]
    match keyword:
        case "$ref":
            return is_valid(value, root["$defs"][rule.removeprefix("#/$defs/")], root)
        case "anyOf":
            return any(is_valid(value, branch, root) for branch in rule)
        case "items":
            return not isinstance(value, list) or all(is_valid(part, rule, root) for part in value)
        case "properties":
            shared = value.keys() & rule.keys() if isinstance(value, dict) else set()
            return all(is_valid(value[key], rule[key], root) for key in shared)
        case "additionalProperties":
            assert rule is False
            return not isinstance(value, dict) or value.keys() <= schema["properties"].keys()
    applies_to, holds = PLAIN[keyword]
    return not isinstance(value, applies_to) or holds(value, rule)
