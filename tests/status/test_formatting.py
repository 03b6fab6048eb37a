from __future__ import annotations

import pytest

from exporter.status import formatting
from exporter.status.languages import LANGUAGES, words


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (0, "0"),
        (1234567, "1,234,567"),
        (1234567.0, "1,234,567"),
        (0.25, "0.25"),
        (1234.5678, "1,234.57"),
        (10**15, "1e+15"),
        (10**400, "1.8e+308"),
        (-(10**400), "-1.8e+308"),
        (float("inf"), "1.8e+308"),
    ],
)
def test_numbers(value: float | None, expected: str) -> None:
    assert formatting.number(value) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (None, "–"),
        (0.0, "±0\u202f%"),
        (0.124, "+12\u202f%"),
        (-0.5, "−50\u202f%"),
        (-1.0, "−100\u202f%"),
        (9.0, "+900\u202f%"),
        (249.0, "×250"),
        (1e300, "×1e+300"),
    ],
)
def test_changes(change: float | None, expected: str) -> None:
    assert formatting.percent(change) == expected


@pytest.mark.parametrize(
    ("at", "english", "chinese"),
    [
        (None, "never", "从未"),
        (1000.2, "now", "刚刚"),
        (988, "12 s ago", "12 秒前"),
        (820, "3 min ago", "3 分钟前"),
        (1000 + 7200, "in 2 h", "2 小时后"),
        (1000 - 3 * 86_400, "3 d ago", "3 天前"),
    ],
)
def test_ages(at: float | None, english: str, chinese: str) -> None:
    assert formatting.ago(at, 1000, words("en")) == english
    assert formatting.ago(at, 1000, words("zh")) == chinese


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.000155, "0 s|0 秒"),
        (0.00199, "0.002 s|0.002 秒"),
        (0.25, "0.25 s|0.25 秒"),
        (1.5, "1.5 s|1.5 秒"),
        (30, "30 s|30 秒"),
        (900, "15 min|15 分钟"),
        (118_800, "1 d 9 h|1 天 9 小时"),
        (0, "0 s|0 秒"),
        (61.4, "1 min 1 s|1 分钟 1 秒"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert "|".join(formatting.duration(seconds, words(language)) for language in LANGUAGES) == expected


@pytest.mark.parametrize(
    ("numbers", "expected"), [((), ""), ((1,), "1"), ((1, 2, 8, 9), "1, 2, 8, 9"), ((0, 1, 2, 7), "0-2, 7")]
)
def test_runs_of_numbers(numbers: tuple[int, ...], expected: str) -> None:
    assert formatting.spans(numbers, words("en")) == expected
    assert formatting.spans(numbers, words("zh")) == expected.replace(", ", "、")


def test_instants_use_the_time_zone_of_the_language() -> None:
    assert formatting.clock(1_711_000_000.9, words("en")) == "2024-03-21 05:46:40 UTC"
    assert formatting.clock(1_711_000_000.9, words("zh")) == "2024-03-21 13:46:40（UTC+8）"


@pytest.mark.parametrize(
    ("count", "expected"), [(None, "–"), (0, "±0"), (1200, "+1,200"), (-16_761, "−16,761"), (-(10**400), "−1.8e+308")]
)
def test_differences(count: float | None, expected: str) -> None:
    assert formatting.difference(count) == expected


def test_instants_are_utc() -> None:
    assert formatting.instant(1_711_000_000.9) == "2024-03-21T05:46:40Z"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("旗舰新品 Hero", "旗舰新品 Hero"),
        ("a\u202eb\u2066c", "a\ufffdb\ufffdc"),
        ("a\x00\x1b[31m\nb", "a\ufffd\ufffd[31m\ufffdb"),
        ("\ud800", "\ufffd"),
        ("课程\u3000数学\u00a01\u2028", "课程\u3000数学\u00a01\ufffd"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("x" * 1000, "x" * 299 + "…"),
    ],
)
def test_invisible_characters_are_replaced(text: str, seen: str) -> None:
    assert formatting.visible(text) == seen
