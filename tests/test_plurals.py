"""Counts agree with their nouns."""

from __future__ import annotations

import pytest

from exporter.plurals import counted, plural


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "slice", "0 slices"),
        (1, "slice", "1 slice"),
        (1200, "slice", "1,200 slices"),
        (2, "query", "2 queries"),
        (3, "day", "3 days"),
    ],
)
def test_a_noun_agrees_with_its_count(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text
    assert text.endswith(plural(count, noun))
