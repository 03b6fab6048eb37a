"""Read YAML as typed values with their positions, and collect every error; knows no settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import yaml

from exporter.errors import ConfigProblem
from exporter.secret_files import may_be_secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
# Go stores a duration as nanoseconds in a signed 64-bit integer.
_LONGEST_SECONDS: Final = (2**63 - 1) / 1e9
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(slots=True)
class ErrorCollector:
    """The errors found in one file."""

    file: str
    problems: list[ConfigProblem] = field(default_factory=list)

    def add(self, mark: yaml.Mark | None, setting: str, message: str) -> None:
        """Add an error at a position of PyYAML, which counts from 0; None: not known."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        self.problems.append(ConfigProblem(self.file, line, column, setting, message))


@dataclass(frozen=True, slots=True)
class Value:
    """One value, not yet typed. Its methods report a value of another type and return None, as for an empty value."""

    node: yaml.Node = field(repr=False)
    setting: str
    errors: ErrorCollector = field(repr=False)

    @property
    def line(self) -> int:
        """The line of its first character, from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def column(self) -> int:
        """The column of its first character, from 1."""
        return int(self.node.start_mark.column) + 1

    def wrong(self, message: str) -> None:
        """Report an error at this value."""
        self.errors.add(self.node.start_mark, self.setting, message)

    @property
    def is_empty(self) -> bool:
        """Whether the value is empty, which counts as not set."""
        return self.node.tag == "tag:yaml.org,2002:null"

    def text(self) -> str | None:
        """Read text; numbers, booleans and dates count as text, as in Go."""
        if self.is_empty:
            return None
        if not isinstance(self.node, yaml.ScalarNode):
            self.wrong("must be text")
            return None
        text = str(self.node.value)
        if _SURROGATE.search(text):
            self.wrong("contains half of a character (an escape from \\uD800 to \\uDFFF)")
            return None
        return text

    def choice(self, allowed: Collection[str]) -> str | None:
        """Read one of the allowed words."""
        text = self.text()
        if text is None or text in allowed:
            return text
        self.wrong(f"{text[:60]!r} is not one of {', '.join(filter(None, allowed))}")
        return None

    def boolean(self) -> bool | None:
        """Read true or false."""
        text = self.text()
        if text is None:
            return None
        if text.lower() not in _BOOLEANS:
            self.wrong("must be true or false")
            return None
        return _BOOLEANS[text.lower()]

    def whole_number(self) -> int | None:
        """Read a whole number of at least 0."""
        text = self.text()
        if text is None:
            return None
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
            self.wrong("must be a whole number from 0")
            return None
        return int(text)

    def duration(self) -> float | None:
        """Read a duration in Go's format, such as `1m30s`, as seconds."""
        text = self.text()
        if text is None:
            return None
        parts = _DURATION.findall(text)
        if text != "0" and (not parts or "".join(map("".join, parts)) != text):
            self.wrong("must be a duration with its unit, as in 500ms, 1s or 1m30s; 0 is off")
            return None
        seconds = float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
        if seconds > _LONGEST_SECONDS:
            self.wrong("is too long: 292 years are the most")
            return None
        return seconds

    def texts(self) -> tuple[Value, ...] | None:
        """Read a list of values, not yet typed."""
        if self.is_empty:
            return None
        if not isinstance(self.node, yaml.SequenceNode):
            self.wrong("must be a list")
            return None
        return tuple(
            Value(node, f"{self.setting}[{number}]", self.errors) for number, node in enumerate(self.node.value)
        )

    def members(self, allowed: Collection[str] | None = None) -> Mapping[str, Value]:
        """Read a mapping; keys that are not `allowed` are errors (None: every key is allowed)."""
        if self.is_empty:
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            self.wrong("must be a mapping of settings")
            return {}
        found: dict[str, Value] = {}
        for key, node in self._pairs(self.node):
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            before, colon, _ = name.partition(":")
            setting = f"{self.setting}.{name}".lstrip(".")
            if not isinstance(key, yaml.ScalarNode) or not name.isprintable():
                self.errors.add(key.start_mark, self.setting, "a key must be plain text")
            elif colon and Value(node, setting, self.errors).is_empty:
                # YAML reads `name:value` as one key, and its value may be a secret.
                setting = f"{self.setting}.{before}".lstrip(".")
                self.errors.add(key.start_mark, setting, "a colon needs a space after it")
            elif name in found:
                self.errors.add(key.start_mark, setting, "is given twice")
            elif allowed is not None and name not in allowed:
                shown = "***" if may_be_secret(name) else repr(name[:60])
                self.errors.add(
                    key.start_mark, self.setting, f"{shown} is not a setting here (allowed: {', '.join(allowed)})"
                )
            else:
                found[name] = Value(node, setting, self.errors)
        return found

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                self.errors.add(key.start_mark, self.setting, "`<<` is not supported here: write the settings out")
            else:
                yield key, value


def read(text: str, errors: ErrorCollector) -> Value | None:
    """Read one YAML document; None if it is empty or not valid, which is added to `errors`."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        # The text that PyYAML found may be a secret of the file; the text that it expected is not from the file.
        problem = re.sub(r"^(found .*?) '[^']*'", r"\1", str(error.problem))
        errors.add(error.problem_mark or error.context_mark, "", f"not valid YAML: {problem}")
    except (yaml.YAMLError, ValueError, OverflowError):  # PyYAML passes "\UFFFFFFFF" to chr()
        errors.add(None, "", "not valid YAML: a character or number is not allowed")
    except RecursionError:
        errors.add(None, "", "lists and mappings are nested too deeply")
    else:
        return Value(root, "", errors) if root is not None else None
    return None
