"""The positions of a secret in a YAML text, by PyYAML alone: a secret in any other setting may be quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator


_DEEPEST: Final = 20
_NULL: Final = "tag:yaml.org,2002:null"

ANY: Final = "*"
"""Stands in a place for any name."""


def is_only_below(text: str, secret: str, *places: tuple[str, ...]) -> bool:
    """Whether a secret occurs only in these settings or below them, as a value or part of one; also in invalid YAML.

    A setting is the names on its path, without list positions. In `name:value`, which is one long key, the value counts
    as a value.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return True
    # A comment or the name of an anchor may contain it too; messages never quote these.
    return root is None or all(
        any(_is_below(path, place) for place in places) for path in _paths(root, secret, (), frozenset())
    )


def _is_below(path: tuple[str, ...], place: tuple[str, ...]) -> bool:
    return len(path) >= len(place) and all(part in {ANY, name} for part, name in zip(place, path, strict=False))


def _paths(node: yaml.Node, secret: str, path: tuple[str, ...], around: frozenset[int]) -> Iterator[tuple[str, ...]]:
    """The path of each scalar that contains the secret; of a key, the path of its mapping."""
    if id(node) in around or len(around) > _DEEPEST:
        yield ()
    elif isinstance(node, yaml.ScalarNode):
        if secret in node.value:
            yield path
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _paths(part, secret, path, around | {id(node)})
    else:
        for key, value in node.value:
            before, colon, behind = key.value.partition(":") if isinstance(key, yaml.ScalarNode) else ("", "", "")
            if colon and secret in behind and secret not in before and value.tag == _NULL:
                yield (*path, before)
            else:
                yield from _paths(key, secret, path, around | {id(node)})
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            yield from _paths(value, secret, (*path, name), around | {id(node)})
