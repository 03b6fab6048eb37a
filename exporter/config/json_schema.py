"""The JSON schema for editors: pydantic's schema of the settings, adapted to how they are written in a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import BaseModel

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
# Every setting accepts a variable.
_VARIABLE: Final = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}
_REMARKS: Final = ("description", "default")


def editor_schema(settings: type[BaseModel]) -> str:
    """The schema as indented JSON, with a line break at its end."""
    schema = _as_written(settings.model_json_schema())
    return json.dumps({"$schema": _DRAFT, **schema}, indent=2, ensure_ascii=False) + "\n"


def _as_written(node: Any) -> Any:
    match node:
        case list():
            return [_as_written(part) for part in node]
        case dict():
            # pydantic's titles repeat the names of the settings.
            written = {
                key: _by_name(part) if key in {"properties", "$defs"} else _as_written(part)
                for key, part in node.items()
                if key != "title"
            }
            return _or_variable(written) if _is_narrow(written) else written
        case _:
            return node


def _by_name(named: dict[str, Any]) -> dict[str, Any]:
    return {name: _as_written(part) for name, part in named.items()}


def _is_narrow(node: dict[str, Any]) -> bool:
    """Whether this schema does not accept a variable already."""
    return node.get("type") in {"boolean", "integer", "number"} or bool({"enum", "const", "pattern"} & node.keys())


def _or_variable(node: dict[str, Any]) -> dict[str, Any]:
    narrow = {key: value for key, value in node.items() if key not in _REMARKS}
    remarks = {key: value for key, value in node.items() if key in _REMARKS}
    return {"anyOf": [narrow, _VARIABLE], **remarks}
