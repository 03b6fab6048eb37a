"""YAML text → typed values with the place of each; gathers every mistake; knows no setting."""

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
# Go counts a duration in nanoseconds, in 64 bits.
_LONGEST_SECONDS: Final = (2**63 - 1) / 1e9
_HALF_A_CHARACTER: Final = re.compile("[\ud800-\udfff]")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(slots=True)
class ErrorCollector:
    """What was found wrong in one file."""

    file: str
    problems: list[ConfigProblem] = field(default_factory=list)

    def tell(self, mark: yaml.Mark | None, setting: str, message: str) -> None:
        """Note a mistake at a place; PyYAML counts from 0."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        self.problems.append(ConfigProblem(self.file, line, column, setting, message))


@dataclass(frozen=True, slots=True)
class Value:
    """One value, not yet typed. Each reader tells of what does not fit and then gives None, as for what is empty."""

    node: yaml.Node = field(repr=False)
    setting: str
    mistakes: ErrorCollector = field(repr=False)

    @property
    def line(self) -> int:
        """The line it begins in, from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def column(self) -> int:
        """The column it begins in, from 1."""
        return int(self.node.start_mark.column) + 1

    def wrong(self, message: str) -> None:
        """Tell of a mistake here."""
        self.mistakes.tell(self.node.start_mark, self.setting, message)

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands here; nothing is what a setting left out is."""
        return self.node.tag == "tag:yaml.org,2002:null"

    def text(self) -> str | None:
        """Read text; numbers and the like are text too, as they are for Go."""
        if self.is_empty:
            return None
        if not isinstance(self.node, yaml.ScalarNode):
            self.wrong("must be text")
            return None
        text = str(self.node.value)
        if _HALF_A_CHARACTER.search(text):
            self.wrong("holds half of a character (an escape from \\uD800 to \\uDFFF)")
            return None
        return text

    def choice(self, allowed: Collection[str]) -> str | None:
        """Read one of some words."""
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
        """Read a whole number from 0."""
        text = self.text()
        if text is None:
            return None
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
            self.wrong("must be a whole number from 0")
            return None
        return int(text)

    def duration(self) -> float | None:
        """Read a duration as Go writes them, as in `1m30s`, in seconds."""
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
        """Read a list; its values are still to be read."""
        if self.is_empty:
            return None
        if not isinstance(self.node, yaml.SequenceNode):
            self.wrong("must be a list")
            return None
        return tuple(
            Value(node, f"{self.setting}[{number}]", self.mistakes) for number, node in enumerate(self.node.value)
        )

    def members(self, allowed: Collection[str] | None = None) -> Mapping[str, Value]:
        """Read a mapping; another key than `allowed` is a mistake (None: any)."""
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
                self.mistakes.tell(key.start_mark, self.setting, "a key must be plain text")
            elif colon and Value(node, setting, self.mistakes).is_empty:
                # `name:value` is one long key, and the value may be a hash.
                setting = f"{self.setting}.{before}".lstrip(".")
                self.mistakes.tell(key.start_mark, setting, "a colon needs a space after it")
            elif name in found:
                self.mistakes.tell(key.start_mark, setting, "is given twice")
            elif allowed is not None and name not in allowed:
                said = "***" if may_be_secret(name) else repr(name[:60])
                self.mistakes.tell(
                    key.start_mark, self.setting, f"{said} is no setting here (allowed: {', '.join(allowed)})"
                )
            else:
                found[name] = Value(node, setting, self.mistakes)
        return found

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                self.mistakes.tell(key.start_mark, self.setting, "`<<` is not supported here: write the settings out")
            else:
                yield key, value


def read(text: str, mistakes: ErrorCollector) -> Value | None:
    """Read one YAML document; None when it is empty or is no YAML, which `mistakes` then has."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        # What it found comes from the file, where hashes and keys stand; what it expected does not.
        said = re.sub(r"^(found .*?) '[^']*'", r"\1", str(error.problem))
        mistakes.tell(error.problem_mark or error.context_mark, "", f"not valid YAML: {said}")
    except (yaml.YAMLError, ValueError, OverflowError):  # PyYAML hands "\UFFFFFFFF" to Python as it is
        mistakes.tell(None, "", "not valid YAML: a character or number is not allowed")
    except RecursionError:
        mistakes.tell(None, "", "lists and mappings are nested too deeply")
    else:
        return Value(root, "", mistakes) if root is not None else None
    return None
