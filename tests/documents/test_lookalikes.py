from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.documents import lookalikes
from exporter.documents.env_vars import Expansion
from exporter.documents.yaml_reader import Document, read


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("abc，def", "'，' (U+FF0C, full-width comma): write ','"),
        ("a；b", "'；' (U+FF1B, full-width semicolon): write ';'"),
        ("a、b", "'、' (U+3001, ideographic comma): write ','"),
        ("a。b", "'。' (U+3002, ideographic full stop): write '.'"),
        ("a､b", "'､' (U+FF64, halfwidth ideographic comma): write ','"),
        ("“a”", "'“' (U+201C, left double quotation mark): write '\"'"),
        ("（a）", "'（' (U+FF08, full-width left parenthesis): write '('"),
        ("【a】", "'【' (U+3010, left black lenticular bracket): write '['"),
        ("〔a〕", "'〔' (U+3014, left tortoise shell bracket): write '['"),
        ("『a』", "'『' (U+300E, left white corner bracket): write '\"'"),
        ("«a»", "'«' (U+00AB, left-pointing double angle quotation mark): write '\"'"),
        ("a\u201ab", "'\u201a' (U+201A, single low-9 quotation mark): write ','"),
        ("a، b", "'،' (U+060C, arabic comma): write ','"),
        ("a\u00a0b", "(U+00A0, no-break space): write ' '"),
        ("a\u3000b", "(U+3000, ideographic space): write ' '"),
        ("a\u200bb", "(U+200B, zero width space): remove it"),
        ("a\ufeffb", "(U+FEFF, zero width no-break space): remove it"),
        ("9\u0430e2", "'\u0430' (U+0430, cyrillic small letter a), which is not ASCII: write it again"),
        ("\u039fs", "'\u039f' (U+039F, greek capital letter omicron), which is not ASCII: write it again"),
        ("plain, text: 标题", ""),
        ("", ""),
    ],
)
def test_the_first_one_is_named_with_what_to_write_instead(text: str, named: str) -> None:
    assert lookalikes.named(text) == named


def test_of_a_secret_no_letter_and_no_digit_is_named() -> None:
    assert lookalikes.hint("ａ１，b", secret=True) == "; it holds '，' (U+FF0C, full-width comma): write ','"
    assert lookalikes.hint("ａ１", secret=True) == ""


def document(text: str) -> Document:
    return read(text, lambda given_: Expansion(given_, ()))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("queries：\n  - name: a\n", (1, 8)),
        ("queries:\n  - name： a\n    media: all\n", (2, 9)),
        ("queries:\n  - {name: a， media: all}\n", (2, 13)),
        ("queries:\n  • name: a\n    media: all\n", (2, 3)),
        ("queries:\n  -\u3000name: a\n    media: all\n", (2, 4)),
        ("queries:\n\u00a0\u00a0- name: a\n    media: all\n", (2, 1)),
        ('queries:\n  - {name: "首页，"， media: all}\n', (2, 17)),
    ],
)
def test_yaml_that_cannot_be_read_for_one_of_them_says_which(text: str, place: tuple[int, int]) -> None:
    (mistake,) = document(text).errors

    assert mistake.place == place
    assert mistake.message.startswith("not valid YAML: ")
    assert "U+" in mistake.message


@pytest.mark.parametrize("innocent", ["# 注释：不算，（真的）", "x: '引号里：，'", 'x: "引号里：，"', "\n" * 5])
def test_what_is_in_quotes_or_in_a_comment_is_not_blamed(innocent: str) -> None:
    (mistake,) = document(f"a： b\n\n\n\n{innocent}\nc: d: e\n").errors

    assert "U+" not in mistake.message


@given(st.text())
def test_any_text_has_a_hint_or_none(text: str) -> None:
    assert lookalikes.hint(text) == "" or "(U+" in lookalikes.hint(text)
    lookalikes.near(text, 3)
