"""Read YAML as typed values with their positions, and collect every error; knows no settings."""

from __future__ import annotations

import decimal
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import yaml

from exporter.documents import yaml_reader
from exporter.documents.env_vars import is_unicode
from exporter.documents.yaml_reader import MERGE, NULL, Position, position
from exporter.errors import ConfigProblem
from exporter.secret_files import may_be_secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_BOOLEANS: Final = {
    "true": True,
    "yes": True,
    "y": True,
    "on": True,
    "false": False,
    "no": False,
    "n": False,
    "off": False,
}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATIONS: Final = re.compile(rf"(?:{_DURATION.pattern})++")
# The range of Go's integers.
_LARGEST: Final = 2**63 - 1
_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


@dataclass(slots=True)
class ErrorCollector:
    """The errors found in one file."""

    file: str
    problems: list[ConfigProblem] = field(default_factory=list)

    def add(self, place: Position, setting: str, message: str) -> None:
        """Add an error at a position."""
        self.problems.append(ConfigProblem(self.file, *place, setting, message))


@dataclass(frozen=True, slots=True)
class Value:
    """One value, not yet typed. Its methods report a value of another type, and treat it as an empty one."""

    node: yaml.Node = field(repr=False)
    setting: str
    errors: ErrorCollector = field(repr=False)

    @property
    def place(self) -> Position:
        """The position of its first character."""
        return position(self.node.start_mark)

    def wrong(self, message: str) -> None:
        """Report an error at this value."""
        self.errors.add(self.place, self.setting, message)

    @property
    def is_empty(self) -> bool:
        """Whether the value is empty, which counts as not set."""
        return self.node.tag == NULL

    def text(self) -> str | None:
        """Read text; numbers, booleans and dates count as text, as in Go."""
        if self.is_empty:
            return None
        if not isinstance(self.node, yaml.ScalarNode):
            self.wrong("must be text")
            return None
        text = str(self.node.value)
        if not is_unicode(text):
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
        """Read a whole number of at least 0; a leading 0 would make it octal for Go."""
        text = self.text()
        if text is None:
            return None
        if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text) or int(text) > _LARGEST:
            self.wrong(f"must be a whole number from 0 to {_LARGEST}")
            return None
        return int(text)

    def duration(self) -> float | None:
        """Read a duration in Go's format, such as `1m30s`, as seconds."""
        text = self.text()
        if text is None:
            return None
        if text != "0" and not _DURATIONS.fullmatch(text):
            self.wrong("must be a duration with its unit, as in 500ms, 1s or 1m30s; 0 is off")
            return None
        # Exact, because the longest duration of Go is a 64-bit number of nanoseconds, and the next one is an error.
        with decimal.localcontext(Emax=decimal.MAX_EMAX):
            nanoseconds = sum(Decimal(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
        if nanoseconds >= _LARGEST + 1:
            self.wrong("is too long: 292 years are the most")
            return None
        return float(nanoseconds) / 1e9

    def texts(self) -> tuple[Value, ...]:
        """Read a list of values, not yet typed."""
        if self.is_empty:
            return ()
        if not isinstance(self.node, yaml.SequenceNode):
            self.wrong("must be a list")
            return ()
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
        for key, node in self.node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            before, colon, _ = name.partition(":")
            setting = f"{self.setting}.{name}".lstrip(".")
            value, at = Value(node, setting, self.errors), (position(key.start_mark), self.setting)
            if key.tag == MERGE:
                self.errors.add(*at, "`<<` is not supported here: write the settings out")
            elif not isinstance(key, yaml.ScalarNode) or not name.isprintable():
                self.errors.add(*at, "a key must be plain text")
            elif colon and value.is_empty:
                # YAML reads `name:value` as one key, and its value may be a secret.
                self.errors.add(at[0], f"{self.setting}.{before}".lstrip("."), "a colon needs a space after it")
            elif name in found:
                self.errors.add(at[0], setting, "is given twice")
            elif allowed is not None and name not in allowed:
                shown = "***" if may_be_secret(name) else repr(name[:60])
                self.errors.add(*at, f"{shown} is not a setting here (allowed: {', '.join(allowed)})")
            else:
                found[name] = value
        return found


def read(text: str, errors: ErrorCollector) -> Value | None:
    """Read one YAML document; None if it is empty or not valid, which is added to `errors`."""
    root = yaml_reader.compose(text)
    if isinstance(root, yaml_reader.YamlError):
        errors.add(root.place, "", root.message)
        return None
    return Value(root, "", errors) if root is not None else None
