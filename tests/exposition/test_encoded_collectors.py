from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.exposition.encoded_collectors import SAMPLED_SECONDS, EncodedCollectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric
    from prometheus_client.registry import Collector


class Sampled:
    """Tells how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def collect(self) -> Iterator[Metric]:
        self.asked += 1
        yield GaugeMetricFamily("sampled", "How often it was asked.", self.asked)


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.first = Counter("first", "The first.", registry=None)
        self.second = Counter("second", "The second.", registry=None)
        self.sampled = Sampled()
        self.encoded: list[str] = []
        self.spelling = EncodedCollectors([self.first, self.second], [self.sampled], monotonic=lambda: self.now)

    def encode(self, collector: Collector) -> bytes:
        self.encoded += [metric.name for metric in collector.collect() if metric.name != "sampled"]
        return generate_latest(collector)

    def lines(self, content_type: str = "text", encode: Callable[[Collector], bytes] | None = None) -> list[str]:
        text = self.spelling.encode(content_type, encode or self.encode).text().decode()
        return [line for line in text.splitlines() if not line.startswith("#") or line == "# EOF"]


def test_everything_is_told_ours_first_and_without_created_samples() -> None:
    assert World().lines() == ["first_total 0.0", "second_total 0.0", "sampled 2.0"]


def test_only_what_has_changed_is_encoded_again() -> None:
    world = World()
    world.lines()
    world.encoded.clear()

    world.second.inc()
    world.spelling.invalidate(world.second)

    assert world.lines()[:2] == ["first_total 0.0", "second_total 1.0"]
    assert world.encoded == ["second"]


def test_who_asks_when_nothing_has_changed_gets_the_very_same() -> None:
    world = World()
    assert world.spelling.encode("text", world.encode) is world.spelling.encode("text", world.encode)


@pytest.mark.parametrize(("passed", "again"), [(SAMPLED_SECONDS - 0.01, False), (SAMPLED_SECONDS, True), (-1.0, True)])
def test_the_process_is_asked_once_a_second_at_the_most(passed: float, *, again: bool) -> None:
    world = World()
    world.lines()
    asked = world.sampled.asked

    world.now += passed
    world.lines()

    assert (world.sampled.asked > asked) is again


def test_a_change_is_told_at_once_though_the_process_is_not_asked_again() -> None:
    world = World()
    world.lines()
    asked = world.sampled.asked

    world.first.inc()
    world.spelling.invalidate(world.first)

    assert "first_total 1.0" in world.lines()
    assert world.sampled.asked == asked


def test_every_format_has_its_own_spelling_and_one_end() -> None:
    world = World()
    assert "# EOF" not in world.lines()
    assert world.lines("open", generate_openmetrics).count("# EOF") == 1
    assert world.lines("open", generate_openmetrics)[-1] == "# EOF"

    world.first.inc()
    world.spelling.invalidate(world.first)

    for content_type, encode in (("text", generate_latest), ("open", generate_openmetrics)):
        assert "first_total 1.0" in world.lines(content_type, encode)
