from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.error_responses import ApiError
from exporter.simulator.match_syntax import Bounds, Condition, parse_match

JANUARY = 1_514_764_800


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", ()),
        (" ", ()),
        ("CateId = 781111", ((Condition("CateId", "number", ("781111",)),),)),
        ("VideoId='a'", ((Condition("VideoId", "id", ("a",)),),)),
        ("VideoId in ('a', 'b')", ((Condition("VideoId", "id", ("a", "b")),),)),
        ("Title='VOD' AND Status='Normal'", (
            (Condition("Title", "contains", ("VOD",)),),
            (Condition("Status", "choice", ("Normal",)),),
        )),
        ("Tags in ('a and b','(')", ((Condition("Tags", "contains", ("a and b", "(")),),)),
        ("(CateId = 1 or CateId = 2)", ((
            Condition("CateId", "number", ("1",)),
            Condition("CateId", "number", ("2",)),
        ),)),
        ("CreationTime = ['2018-01-01T00:00:00Z',)", (
            (Condition(
                "CreationTime", "time", range=Bounds(JANUARY, None, includes_lower=True, includes_upper=False),
            ),),
        )),
        ("Duration = (1,2.5]", (
            (Condition("Duration", "range", range=Bounds(1, 2.5, includes_lower=False, includes_upper=True)),),
        )),
    ],
)  # fmt: skip
def test_documented_forms(text: str, clauses: object) -> None:
    assert parse_match(text) == clauses


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("Nothing = 'a'", "Nothing"),
        ("CateId = '1'", "CateId"),
        ("CateId = 1.5", "CateId"),
        ("CateId in (1,2)", "CateId"),
        ("CateId > 1", ">"),
        ("Title != 'a'", "!"),
        ("Title = 'a''b'", "b"),
        ("Title = 'a", "'"),
        ('Title = "a"', '"'),
        ("Title = \uff07a\uff07", "\uff07"),
        ("Title", "Title"),
        ("Title in ()", "Title"),
        ("Title in ('a'", "a"),
        ("Title = 'a' or Title = 'b'", "or"),
        ("(Title = 'a' and Title = 'b')", "and"),
        ("(Title = 'a'", "a"),
        ("Title = 'a' Title = 'b'", "Title"),
        ("Duration = 5", "Duration"),
        ("Duration = (,)", "Duration"),
        ("Duration = ('1','2')", "Duration"),
        ("CreationTime = ('yesterday',)", "CreationTime"),
        ("CreationTime = '2018-01-01T00:00:00Z'", "CreationTime"),
        (f"VideoId in ({','.join(repr(str(number)) for number in range(101))})", "VideoId"),
        ("and", "and"),
        ("= 1", "="),
    ],
)
def test_other_forms_are_errors_that_name_what_is_wrong(text: str, field: str) -> None:
    with pytest.raises(ApiError) as raised:
        parse_match(text)
    assert (raised.value.code, raised.value.status) == ("ErrorMatchSyntax", 400)
    assert raised.value.message == f"The parameter Match.{field} has an error syntax, please check it."


@given(st.text(st.sampled_from("TitleCaId =in()[],'1ao rd<\"\u6807"), max_size=40))
def test_any_text_is_a_filter_or_an_error(text: str) -> None:
    with suppress(ApiError):
        assert all(parse_match(text))


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_ranges(lower: float, upper: float, value: float) -> None:
    def holds(*, lowest: bool, highest: bool) -> bool:
        return Bounds(lower, upper, includes_lower=lowest, includes_upper=highest).holds(value)

    assert holds(lowest=True, highest=True) == (lower <= value <= upper)
    assert holds(lowest=False, highest=False) == (lower < value < upper)
    assert holds(lowest=True, highest=False) == (lower <= value < upper)
    assert Bounds(None, None, includes_lower=False, includes_upper=False).holds(value)
