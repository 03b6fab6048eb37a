"""The chart's values.yaml and the table of its README, from values.schema.json: `python -m tests.deploy.chart_values`.

The schema is the only source of values, defaults and descriptions; a test compares both files with it.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT: Final = Path(__file__).parent.parent.parent
CHART: Final = ROOT / "deploy" / "helm" / "aliyun-vod-exporter"
_TABLE: Final = re.compile(r"(?<=\| value \| default \| meaning \|\n\|---\|---\|---\|\n)(?:\|.*\n)*")
_WIDTH: Final = 110
_LONGEST_DEFAULT: Final = 50
_HEAD: Final = """\
# Defaults of the chart, written from values.schema.json by `python -m tests.deploy.chart_values`.
"""


def schema() -> dict[str, Any]:
    """The JSON schema of the values."""
    read: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return read


def leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every value that has a default, by its path, as in `image.tag`."""
    for name, value in node["properties"].items():
        inner = f"{path}.{name}".lstrip(".")
        if "default" in value:
            yield inner, value
        elif "properties" in value:
            yield from leaves(value, inner)


def values_text(node: Mapping[str, Any]) -> str:
    """The content of values.yaml."""
    return "\n".join([_HEAD, *_lines(node, "")])


def table(node: Mapping[str, Any]) -> str:
    """The rows of the table in README.md."""
    return "".join(f"| `{path}` | {_shown(value['default'])} | {_meaning(value)} |\n" for path, value in leaves(node))


def _lines(node: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in node["properties"].items():
        if "default" not in value and "properties" not in value:
            continue
        yield from textwrap.wrap(_meaning(value), _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        if "default" in value:
            yield textwrap.indent(_setting(name, value["default"]), indent)
        else:
            yield f"{indent}{name}:"
            yield from _lines(value, f"{indent}  ")
        if not indent:
            yield ""


def _setting(name: str, default: Any) -> str:
    nested = isinstance(default, dict | list) and any(isinstance(inner, dict | list) for inner in _inside(default))
    if nested:
        return yaml.safe_dump({name: default}, sort_keys=False, default_flow_style=None, width=_WIDTH).rstrip("\n")
    if isinstance(default, dict | list):
        return f"{name}: {yaml.safe_dump(default, sort_keys=False, default_flow_style=True, width=_WIDTH)}".rstrip("\n")
    return f"{name}: {json.dumps(default)}"


def _inside(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _meaning(value: Mapping[str, Any]) -> str:
    choices = ", ".join(choice for choice in value.get("enum", ()) if choice)
    return f"{value['description']} One of {choices}." if choices else str(value["description"])


def _shown(default: object) -> str:
    text = json.dumps(default)
    return f"`{text}`" if len(text) <= _LONGEST_DEFAULT else "see values.yaml"


def readme_text(before: str, node: Mapping[str, Any]) -> str:
    """README.md with its table as the schema says."""
    return _TABLE.sub(lambda _: table(node), before, count=1)


def main() -> None:
    """Write both files."""
    node = schema()
    (CHART / "values.yaml").write_text(values_text(node), encoding="utf-8")
    readme = CHART / "README.md"
    readme.write_text(readme_text(readme.read_text(encoding="utf-8"), node), encoding="utf-8")


if __name__ == "__main__":
    main()
