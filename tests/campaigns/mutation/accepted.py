"""Accepted survivors: changes of wording, and those that docs/design/mutation.md lists with a reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.campaigns.mutation.results import Change

# A survivor on the page, alone on its line: `core/page_reader PageReader.__init__: before → after`.
_LISTED = re.compile(r"^(?:core|vod)/[\w/]+ \S+: .*→.*$", re.MULTILINE)
_STRING = re.compile(r'"([^"]*)"')


def accepted_on(page: str) -> frozenset[str]:
    """The survivors that a page lists as accepted."""
    return frozenset(match.group().strip() for match in _LISTED.finditer(page))


def is_wording(change: Change) -> bool:
    """Whether only a sentence changed; a string without a space is a name: a field, code or header."""
    before, after = _STRING.findall(change.before), _STRING.findall(change.after)
    changed = [old for old, new in zip(before, after, strict=False) if old != new]
    return bool(changed) and _around(change.before) == _around(change.after) and all(" " in old for old in changed)


def _around(line: str) -> str:
    return _STRING.sub('""', line)
