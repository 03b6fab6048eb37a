"""YAML text → plain data with the position of each value; independent of settings.

Every scalar stays text: `0123456789` and `1e5` may be media IDs, and the settings define the types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from exporter.documents import lookalikes
from exporter.documents.env_vars import is_unicode
from exporter.documents.yaml_syntax import advice_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.documents.env_vars import Expansion

ValuePath = tuple[str | int, ...]

_TEXT: Final = "text"
NULL: Final = "null"
MERGE: Final = "merge"
_COLLECTION: Final = "collection"
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
# A few lines of anchors can stand for billions of values.
_MOST_VALUES: Final = 250_000
_DEEPEST: Final = 50
_LINE_BREAK: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


_CIRCLE: Final = "an anchor refers to itself"
_TOO_DEEP: Final = "lists and mappings are nested too deeply"
_TAGS: Final = "tags (`!`) are not allowed here; put the value in quotes"
_HALF_A_CHARACTER: Final = r"holds half of a character (an escape from \uD800 to \uDFFF)"


class Unknown(Enum):
    """Stands in the data for a value that could not be read."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


class Position(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class YamlError:
    """An error at a position of the text; `path`: the path of the value concerned."""

    path: ValuePath
    place: Position
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a text: str, None, UNKNOWN, and lists and dicts of them.

    `values` and `keys`: the position of the value at a path, and of its key. `unknown`: the paths of UNKNOWN values;
    each has an entry in `errors`.
    """

    data: Any
    values: Mapping[ValuePath, Position]
    keys: Mapping[ValuePath, Position]
    unknown: frozenset[ValuePath]
    errors: tuple[YamlError, ...]


def read(text: str, expand: Callable[[str], Expansion]) -> Document:
    """Read one YAML document, `expand` each scalar, and collect every error; raises nothing."""
    root = compose(text)
    if root is None or (isinstance(root, yaml.Node) and root.tag == NULL):
        root = YamlError((), Position(1, 1), "is empty: at least `queries` is required")
    if isinstance(root, YamlError):
        return Document(UNKNOWN, {}, {}, frozenset({()}), (root,))
    return _Reader(expand).document(root)


def compose(text: str) -> yaml.Node | YamlError | None:
    """The root node of one YAML document, or why it is not valid; None: it is empty. Untagged scalars are all text."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.reader.ReaderError as error:
        lines = _LINE_BREAK.split(text[: error.position])
        place, message = Position(len(lines), len(lines[-1]) + 1), "a control character is not allowed here"
        if text[error.position] == "\0":
            message += "; save the file as UTF-8"
    except yaml.MarkedYAMLError as error:
        place = position(error.problem_mark or error.context_mark)
        found = lookalikes.near(text, place.line)
        place, message = (Position(*found[:2]), found[2]) if found else (place, advice_on(str(error.problem or "")))
        message = f"not valid YAML: {message}"
    except RecursionError:
        place, message = Position(1, 1), _TOO_DEEP
    except (ValueError, OverflowError):
        # PyYAML passes "\UFFFFFFFF" to Python unchecked.
        place = position(loader.get_mark() if loader else None)
        message = "not valid YAML: a number here is too large"
    return YamlError((), place, message)


def position(mark: yaml.Mark | None) -> Position:
    """The position of a mark of PyYAML, which counts from 0."""
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


# By name: the key with its position in the file, and the value.
_Members = dict[str, tuple[yaml.ScalarNode, yaml.Node]]


class _Loader(yaml.SafeLoader):
    """Composes nodes; each tag is one that this module handles or reports as an error."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        """The tag of an untagged node; only unquoted text can be null or `<<`."""
        if kind is not yaml.ScalarNode:
            return _COLLECTION
        is_plain = implicit[0]
        if is_plain and value in _NULLS:
            return NULL
        return MERGE if is_plain and value == "<<" else _TEXT


class _Reader:
    """Walks the nodes once and builds a Document."""

    def __init__(self, expand: Callable[[str], Expansion]) -> None:
        self._expand = expand
        self._values: dict[ValuePath, Position] = {}
        self._keys: dict[ValuePath, Position] = {}
        self._unknown: set[ValuePath] = set()
        self._errors: list[YamlError] = []
        # By identity of nodes: those that contain the value being read, and the members of mappings.
        self._around: set[int] = set()
        self._merging: set[int] = set()
        self._members_of: dict[int, _Members] = {}

    def document(self, root: yaml.Node) -> Document:
        """The document below this root node."""
        data = self._value(root, ())
        return Document(data, self._values, self._keys, frozenset(self._unknown), tuple(self._errors))

    def _add_error(self, node: yaml.Node, path: ValuePath, message: str) -> None:
        self._errors.append(YamlError(path, position(node.start_mark), message))

    def _refuse(self, node: yaml.Node, path: ValuePath, *messages: str) -> Unknown:
        for message in messages:
            self._add_error(node, path, message)
        self._unknown.add(path)
        return UNKNOWN

    def _value(self, node: yaml.Node, path: ValuePath) -> Any:
        if () in self._unknown:  # there are too many already
            return UNKNOWN
        self._values[path] = position(node.start_mark)
        if len(self._values) > _MOST_VALUES:
            return self._refuse(node, (), f"holds more than {_MOST_VALUES} values, repeated anchors included")
        if node.tag not in {_TEXT, NULL, MERGE, _COLLECTION}:
            return self._refuse(node, path, _TAGS)
        return self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else self._collection(node, path)

    def _collection(self, node: yaml.Node, path: ValuePath) -> Any:
        if id(node) in self._around:
            return self._refuse(node, path, _CIRCLE)
        if len(self._around) >= _DEEPEST:
            return self._refuse(node, path, _TOO_DEEP)
        self._around.add(id(node))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._around.remove(id(node))
        return value

    def _scalar(self, node: yaml.ScalarNode, path: ValuePath) -> str | Unknown | None:
        if node.tag == NULL:
            return None
        if not is_unicode(node.value):
            return self._refuse(node, path, _HALF_A_CHARACTER)
        expansion = self._expand(node.value)
        return self._refuse(node, path, *expansion.problems) if expansion.problems else expansion.text

    def _sequence(self, node: yaml.Node, path: ValuePath) -> list[Any]:
        return [self._value(part, (*path, position)) for position, part in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: ValuePath) -> dict[str, Any]:
        data = {}
        for name, (key, value) in self._members(node, path).items():
            self._keys[*path, name] = position(key.start_mark)
            data[name] = self._value(value, (*path, name))
        return data

    def _members(self, node: yaml.MappingNode, path: ValuePath) -> _Members:
        """A mapping's own members, then merged ones whose names are free. Cached, so that errors are reported once."""
        if id(node) in self._members_of:
            return self._members_of[id(node)]
        members: _Members = {}
        sources: list[yaml.Node] = []
        lines: dict[str, int] = {}
        self._merging.add(id(node))
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in {_TEXT, NULL, MERGE} or not is_unicode(key.value):
                self._add_error(key, path, "a key must be plain text")
            elif key.value in lines:
                self._add_error(key, (*path, key.value), f"is given twice, first in line {lines[key.value]}")
            else:
                lines[key.value] = position(key.start_mark).line
                if key.tag == MERGE:
                    sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                else:
                    members[key.value] = (key, value)
        for source in sources:
            for name, member in self._merged(source, path).items():
                members.setdefault(name, member)
        self._merging.remove(id(node))
        self._members_of[id(node)] = members
        return members

    def _merged(self, source: yaml.Node, path: ValuePath) -> _Members:
        if not isinstance(source, yaml.MappingNode) or source.tag != _COLLECTION:
            self._add_error(source, path, "`<<` merges mappings: write `<<: *anchor` or `<<: [*anchor, *another]`")
        elif id(source) in self._merging:
            self._add_error(source, path, _CIRCLE)
        elif len(self._merging) >= _DEEPEST:
            self._add_error(source, path, _TOO_DEEP)
        else:
            return self._members(source, path)
        return {}
