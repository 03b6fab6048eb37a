import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.documents import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("15m", 900.0),
        ("1h30m", 5_400.0),
        ("1d", 86_400.0),
        ("2w", 1_209_600.0),
        ("1y", 31_536_000.0),
        ("1y2w3d4h5m6s7ms", 31_536_000 + 2 * 604_800 + 3 * 86_400 + 4 * 3_600 + 5 * 60 + 6.007),
        ("0090s", 90.0),
    ],
)
def test_durations_are_read_as_prometheus_reads_them(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "-1s", "1.5h", "1m1h", "1s1s", " 1s", "1s\n", "1S", "1 h", "s", "٣s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a duration such as 30s, 15m, 1h30m or 2d$"):
        durations.parse(text)


@pytest.mark.parametrize("text", ["293y", "292y52w", "9" * 5_000 + "ms"])
def test_what_prometheus_could_not_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than a duration can be"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.5, "500ms"), (90, "1m30s"), (5_400, "1h30m"), (118_800, "33h"), (172_800, "2d"), (604_800, "1w")],
)
def test_durations_are_written_as_prometheus_writes_them(seconds: float, text: str) -> None:
    assert durations.to_text(seconds) == text


@given(st.integers(min_value=0, max_value=2**63 // 1_000_000 - 1))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    seconds = milliseconds / 1_000

    assert durations.parse(durations.to_text(seconds)) == seconds


@given(st.from_regex(durations.PATTERN, fullmatch=True) | st.text(alphabet="0123456789ywdhms", max_size=9))
def test_the_pattern_for_editors_agrees(text: str) -> None:
    try:
        durations.parse(text)
        reason = ""
    except ValueError as error:
        reason = str(error)

    assert bool(re.fullmatch(durations.PATTERN, text, re.ASCII)) is not reason.startswith("must be a duration")
