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
    """A collector that counts its collections."""

    def __init__(self) -> None:
        self.collections = 0

    def collect(self) -> Iterator[Metric]:
        self.collections += 1
        yield GaugeMetricFamily("sampled", "The number of collections.", self.collections)


class Environment:
    def __init__(self) -> None:
        self.now = 100.0
        self.first = Counter("first", "The first.", registry=None)
        self.second = Counter("second", "The second.", registry=None)
        self.sampled = Sampled()
        self.encoded: list[str] = []
        self.collectors = EncodedCollectors([self.first, self.second], [self.sampled], monotonic=lambda: self.now)

    def encode(self, collector: Collector) -> bytes:
        self.encoded += [metric.name for metric in collector.collect() if metric.name != "sampled"]
        return generate_latest(collector)

    def lines(self, content_type: str = "text", encode: Callable[[Collector], bytes] | None = None) -> list[str]:
        text = self.collectors.encode(content_type, encode or self.encode).text().decode()
        return [line for line in text.splitlines() if not line.startswith("#") or line == "# EOF"]


def test_own_collectors_are_encoded_first_and_without_created_samples() -> None:
    assert Environment().lines() == ["first_total 0.0", "second_total 0.0", "sampled 2.0"]


def test_only_changed_families_are_encoded_again() -> None:
    environment = Environment()
    environment.lines()
    environment.encoded.clear()

    environment.second.inc()
    environment.collectors.invalidate(environment.second)

    assert environment.lines()[:2] == ["first_total 0.0", "second_total 1.0"]
    assert environment.encoded == ["second"]


def test_without_a_change_the_same_object_is_returned() -> None:
    environment = Environment()
    assert environment.collectors.encode("text", environment.encode) is environment.collectors.encode(
        "text", environment.encode
    )


@pytest.mark.parametrize(("passed", "again"), [(SAMPLED_SECONDS - 0.01, False), (SAMPLED_SECONDS, True), (-1.0, True)])
def test_the_process_is_collected_at_most_once_a_second(passed: float, *, again: bool) -> None:
    environment = Environment()
    environment.lines()
    collections = environment.sampled.collections

    environment.now += passed
    environment.lines()

    assert (environment.sampled.collections > collections) is again


def test_a_change_is_encoded_immediately_without_collecting_the_process_again() -> None:
    environment = Environment()
    environment.lines()
    collections = environment.sampled.collections

    environment.first.inc()
    environment.collectors.invalidate(environment.first)

    assert "first_total 1.0" in environment.lines()
    assert environment.sampled.collections == collections


def test_every_format_has_its_own_encoding_and_one_end() -> None:
    environment = Environment()
    assert "# EOF" not in environment.lines()
    assert environment.lines("open", generate_openmetrics).count("# EOF") == 1
    assert environment.lines("open", generate_openmetrics)[-1] == "# EOF"

    environment.first.inc()
    environment.collectors.invalidate(environment.first)

    for content_type, encode in (("text", generate_latest), ("open", generate_openmetrics)):
        assert "first_total 1.0" in environment.lines(content_type, encode)
