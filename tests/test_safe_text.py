from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.safe_text import SPACES, printable, replace_surrogates, shortened


def test_a_lone_surrogate_is_replaced() -> None:
    assert replace_surrogates("a\ud83dz\udc00") == "a\ufffdz\ufffd"


@given(st.text())
def test_text_without_surrogates_is_unchanged(text: str) -> None:
    assert replace_surrogates(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("阿里云 VOD 🎬", "阿里云 VOD 🎬"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("a\nb\rc\td", "a\ufffdb\ufffdc\ufffdd"),
        ("\u202eright to left", "\ufffdright to left"),
        ("\ud83d", "\ufffd"),
    ],
)
def test_what_is_not_printable_is_replaced(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_some_characters_are_kept_and_others_replaced_as_wanted() -> None:
    assert printable("a\nb\rc", keep="\n", instead=" ") == "a\nb c"


def test_spaces_are_all_space_separators_but_the_ascii_one() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    assert [letter for letter in every if unicodedata.category(letter) == "Zs"] == [" ", *SPACES]


@pytest.mark.parametrize(("longest", "expected"), [(3, "abc"), (2, "a…"), (1, "…")])
def test_a_long_text_is_cut(longest: int, expected: str) -> None:
    assert shortened("abc", longest) == expected
