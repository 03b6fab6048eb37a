from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.commands.response_fields import field_lines, shown_value, type_of
from exporter.safe_text import SPACES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "integer"),
        (1.5, "number with decimals"),
        ("", "empty text"),
        ("-1.5", "numeric text"),
        ("0" * 32, "text of 32 hexadecimal digits"),
        ("2026-03-18T04:00:00Z", "text yyyy-MM-ddTHH:mm:ssZ"),
        ("2026-03-18 04:00", "text of another time format"),
        ("https://a/b", "URL"),
        ('["a"]', "JSON text"),
        ("[a", "text"),
        ("title", "text"),
        ([], "empty list"),
        ([1], "list"),
        ({}, "object"),
    ],
)
def test_types(value: object, type_: str) -> None:
    assert type_of(value) == type_


def test_fields_that_differ_between_rows() -> None:
    rows = [{"CateId": 1, "Tags": "a"}, {"CateId": "1", "Tags": None}, {"Tags": "b"}]
    assert dict(field_lines({"List": rows, "Names": ["x", 1]})) == {
        "List": "list",
        "List[].CateId": "integer or numeric text, not always there",
        "List[].Tags": "null or text",
        "Names": "list",
        "Names[]": "integer or text",
    }


def test_names_that_may_be_data_are_left_out() -> None:
    document = {"0123456789abcdef0123456789abcdef": 1, "a title": 2, "\x1b[31m": 3, "Name": 4}
    assert [path for path, _ in field_lines(document)] == ["<a name of another form>", "Name"]


def test_values_are_one_printable_line_without_secrets_and_signatures() -> None:
    assert shown_value("https://host/a.jpg?auth_key=1-2-3") == '"https://host/a.jpg"'
    assert shown_value("a\x1b[31m\nb") == json.dumps("a\ufffd[31m\ufffdb", ensure_ascii=False)
    assert shown_value("课程\u3000数学") == '"课程\u3000数学"'
    assert shown_value("x" * 55 + "the-secret", ["the-secret"]) == f'"{"x" * 55}***"'
    assert len(shown_value("x" * 1000)) == 62


@given(st.dictionaries(st.text(), JSON))
def test_any_document_has_lines_of_bounded_number(document: dict[str, Any]) -> None:
    lines = list(field_lines(document, values=True))
    assert len(lines) <= 151
    assert all(letter.isprintable() or letter in SPACES for line in lines for text in line for letter in text)


def test_a_large_document_has_few_lines() -> None:
    document: dict[str, Any] = {f"Name{number}": {"a": {"b": number}} for number in range(1000)}
    assert len(list(field_lines(document))) <= 151
