"""The parts of `probe` accept any JSON object as a response, and any failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.commands import probe_media, probe_play_data, probe_player
from exporter.commands.probe_requests import ProbeResponse, number, order_of, raw_action, repeated
from exporter.errors import ErrorKind, UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from exporter.commands.probe_requests import Finding

NOW = 1_773_806_400.0
NAMES = st.sampled_from(
    [
        *("QoeInfoList", "MediaId", "PlaySuccessVv", "TotalCount", "MediaList", "Video", "VideoId", "Tags", "Title"),
        *("CateId", "CreationTime", "ScrollToken", "Total", "VideoList", "NonExistVideoIds", "SubCategories"),
        *("Category", "SubTotal", "ParentId", "DataList", "TimeStamp", "Vv", "Dimension", "Extend", "ActualEndTime"),
    ]
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["2026-03-18T04:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "a,bcd,ef", "nan", "1e999"]
    )
)
JSON = st.recursive(
    VALUES,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(NAMES, below, max_size=6),
    max_leaves=12,
)
RESPONSES = st.builds(ProbeResponse, st.dictionaries(NAMES, JSON, max_size=8)) | st.just(
    ProbeResponse(error=UpstreamError("no", code="Throttling", kind=ErrorKind.THROTTLED))
)


async def _all(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


@settings(max_examples=60)
@given(responses=st.lists(RESPONSES, min_size=3, max_size=4))
async def test_any_response_is_a_result(responses: list[ProbeResponse]) -> None:
    waiting = iter(responses * 20)

    async def request(parameters: Mapping[str, str]) -> ProbeResponse:
        assert all(isinstance(value, str) for value in parameters.values())
        return next(waiting)

    first, known = responses[0], responses[1]
    requested = probe_media.first_infos(first, known)
    for findings in (
        probe_play_data.findings(request, first, NOW),
        probe_media.categories(request, first),
        probe_media.search(request, first, known),
        probe_media.infos(request, first, requested),
        probe_player.findings(request, first, "app-1000000", NOW),
    ):
        assert all(finding.text for finding in await _all(findings))


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ([1, 2, 2.5], "ascending"),
        (["b", "a"], "descending"),
        ([1, 3, 2], "not sorted"),
        ([1, 1], "fewer than two different values"),
        ([], "fewer than two different values"),
        ([1, None], "not comparable"),
        ([1, "2"], "not comparable"),
        ([True, False], "not comparable"),
    ],
)
def test_orders(values: list[Any], order: str) -> None:
    assert order_of(values) == order


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}], "the same rows in the same order"),
        ([{"a": 1}, {"a": 2}], [{"a": 2}, {"a": 1}], "the same rows in another order"),
        ([{"a": 1}], [{"a": 2}], "other rows or values"),
        ([], [], "no rows twice"),
    ],
)
def test_the_same_request_twice(first: list[Any], second: list[Any], text: str) -> None:
    assert repeated(first, second) == text


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 1.0), ("2.5", 2.5), ("", None), (None, None), (True, None), ([1], None)]
)
def test_numbers(value: object, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"Code":"Throttling","Message":"no"}', b"[" * 100_000])
def test_what_is_no_data_is_an_error(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        raw_action("SearchMedia").decode(body, {})


def test_an_action_names_its_permission() -> None:
    action = raw_action("SearchMedia")
    assert (action.ram_action, action.decode(b'{"Total":0}', {})) == ("vod:SearchMedia", {"Total": 0})
