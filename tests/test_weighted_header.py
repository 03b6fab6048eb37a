from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.weighted_header import WeightedItem, weighted_items


@pytest.mark.parametrize(
    ("header", "items"),
    [
        (None, [("", {}, 1.0)]),
        ("GZIP", [("gzip", {}, 1.0)]),
        ("zh-CN, en ; Q=0.5", [("zh-cn", {}, 1.0), ("en", {"q": "0.5"}, 0.5)]),
        ('text/plain;version="0.0.4";q=0', [("text/plain", {"version": "0.0.4", "q": "0"}, 0.0)]),
        (
            "a;q=x,b;q=-1,c;q=1.1,d;q=nan",
            [(n, {"q": q}, 0.0) for n, q in {"a": "x", "b": "-1", "c": "1.1", "d": "nan"}.items()],
        ),
    ],
)
def test_elements_with_parameters_and_weights(
    header: str | None, items: list[tuple[str, dict[str, str], float]]
) -> None:
    assert list(weighted_items(header)) == [WeightedItem(*item) for item in items]


@given(st.text())
def test_any_header_has_a_weight_from_0_to_1_for_each_element(header: str) -> None:
    items = list(weighted_items(header))
    assert len(items) == header.count(",") + 1
    assert all(0 <= item.weight <= 1 for item in items)
