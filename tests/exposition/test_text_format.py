from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.text_format import (
    escaped,
    escaped_each,
    lines,
    number,
    utf8,
)


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ("阿里云 VOD", "阿里云 VOD"),
        ('say "hi"', r"say \"hi\""),
        ("a\\b", r"a\\b"),
        ("a\nb", r"a\nb"),
        (r"a\nb", r"a\\nb"),
        ("a\r\tb\x00", "a\r\tb\x00"),
        ("", ""),
    ],
)
def test_a_label_value_is_escaped_in_three_places_and_nowhere_else(value: str, spelled: str) -> None:
    assert escaped(value) == spelled


def test_a_lone_surrogate_is_replaced() -> None:
    assert utf8("a\ud83dz") == "a\ufffdz".encode()


@given(st.text())
def test_text_without_surrogates_is_unchanged(value: str) -> None:
    assert utf8(value) == value.encode()


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (0, "0"),
        (20, "20"),
        (-3, "-3"),
        (4.0, "4.0"),
        (0.1, "0.1"),
        (2**53 + 1, "9007199254740993"),
        (1e22, "1e+22"),
        (10**400, "+Inf"),
        (-(10**400), "-Inf"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_are_formatted_as_prometheus_reads_them(value: float, spelled: str) -> None:
    assert number(value) == spelled


def test_an_integer_too_long_for_python_to_format_is_infinite() -> None:
    assert number(10**5000) == "+Inf"


@given(st.floats(allow_nan=False) | st.integers(-(2**53), 2**53))
def test_a_number_round_trips(value: float) -> None:
    assert float(number(value)) == value


# Lone surrogates, `%` signs that formatting might interpret, and numbers beyond a float are the likeliest to go wrong.
TEXTS = st.text(st.sampled_from('ab%"\\\n{}日\ud83d'), max_size=6)
VALUES = (
    st.integers()
    | st.floats()
    | st.sampled_from([10**400, -(10**400), 2**53 + 1, 1.7976931348623157e308, 1e-4, 2e-5, 1e16])
)


@given(st.lists(TEXTS))
def test_many_values_are_escaped_like_each_one(values: list[str]) -> None:
    assert list(escaped_each(values)) == list(map(escaped, values))


@given(before=TEXTS, after=TEXTS, samples=st.lists(st.tuples(TEXTS, VALUES), max_size=8))
def test_many_lines_are_formatted_like_each_one(before: str, after: str, samples: list[tuple[str, float]]) -> None:
    one_by_one = "".join(f"{before}{middle}{after} {number(value)}\n" for middle, value in samples)
    together = lines(before, [middle for middle, _ in samples], after, [value for _, value in samples])
    # Adjacent text may complete a surrogate pair; here each surrogate is alone, as between quotes.
    assert together == utf8(one_by_one)
