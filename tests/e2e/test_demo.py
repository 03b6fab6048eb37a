from __future__ import annotations

import gzip
import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from exporter.simulator.generated_media import most_played
from tests.e2e.processes import PATIENCE, exporter, get, prometheus, until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


MEDIA_SERIES = re.compile(rb"^aliyun_vod_media.*", re.MULTILINE)


@dataclass(frozen=True)
class Demo:
    """Where the exporter listens, and what the demo prints."""

    url: str
    text: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[Demo]:
    """A demo after its first polls."""
    with exporter(tmp_path_factory.mktemp("demo"), "demo", "--web.listen-address=127.0.0.1:0") as process:
        url = process.url()
        until(lambda: get(f"{url}/-/ready").status_code == httpx.codes.OK, "the demo to be ready")
        yield Demo(url, process.out.read_text())
        assert process.stop() == 0
        assert "Traceback" not in process.logged()
        assert "Warning" not in process.logged()
        assert f"curl {url}/metrics" in process.out.read_text()


def between_polls(demo: Demo, ask: Callable[[], list[Any]]) -> list[Any]:
    """What is answered while no poll changes the numbers: a demo polls all the time."""

    def series() -> list[bytes]:
        return MEDIA_SERIES.findall(get(f"{demo.url}/metrics").content)

    def unchanged() -> list[Any] | None:
        before, answers, after = series(), ask(), series()
        return answers if before == after else None

    answers: list[Any] = until(unchanged, "a moment between two polls")
    return answers


def test_there_are_plays_of_100_media_over_days_and_dimensions_and_both_terminal_types(demo: Demo) -> None:
    values: dict[str, set[str]] = defaultdict(set)
    for family in text(get(f"{demo.url}/metrics").text):
        if family.name == "aliyun_vod_media_plays":
            for sample in family.samples:
                for name, value in sample.labels.items():
                    values[name].add(value)

    assert len(values["media_id"]) >= 100
    assert values["days_ago"] >= {"1", "2", "8", "9"}
    assert values["terminal_type"] == {"all", "Native", "Web"}
    assert values["os"] == {"all", "Android", "iOS", "Windows", "macOS", "Linux"}
    assert len(values["region"]) == 8


def test_media_have_categories_of_three_levels_tags_and_ages_and_a_search_finds_some(demo: Demo) -> None:
    def series(family: str) -> list[dict[str, str]]:
        found = next((each for each in text(get(f"{demo.url}/metrics").text) if each.name == family), None)
        return [sample.labels for sample in found.samples if sample.value] if found is not None else []

    # Those of the search come first.
    until(lambda: len(series("aliyun_vod_media_metadata_info")) >= 100, "metadata of all media")
    described = series("aliyun_vod_media_metadata_info")
    assert {each["category"].count("/") for each in described if each["category"]} == {0, 1, 2}
    tagged = {each["media_id"] for each in series("aliyun_vod_media_tag_info") if each["tag"] == "promo"}
    promoted = {
        each["media_id"] for each in described if each["category"].partition("/")[0] in {"课程", "Courses"}
    } & tagged
    assert promoted
    assert len(series("aliyun_vod_media_created_timestamp_seconds")) == len(described)
    status = get(f"{demo.url}/api/v1/status", params={"query": "promoted-courses"}).json()
    (searched,) = (each for each in status["queries"] if each["media"] == "search")
    assert searched["media_count"] >= len(promoted)
    filtered = get(f"{demo.url}/api/v1/status", params={"category": "课程", "tag": "promo"}).json()["media"]["rows"]
    assert filtered
    assert all(each["category"].startswith("课程") and "promo" in each["tags"] for each in filtered)


@pytest.mark.tool("prometheus")
def test_the_printed_query_by_category_has_an_answer(demo: Demo, tmp_path: Path) -> None:
    (printed,) = re.findall(r"^  (sum by[^\n]+\n    [^\n]+)$", demo.text, re.MULTILINE)
    wanted = {"课程/数学", "Courses/Mathematics"}
    with prometheus(tmp_path, demo.url) as server:
        # Metadata arrives call by call.
        until(
            lambda: wanted <= {labels.get("category", "") for labels, _ in server.query(" ".join(printed.split()))},
            "plays by category",
        )


@pytest.mark.tool("promtool")
@pytest.mark.parametrize("accept", ["text/plain;version=0.0.4", "text/plain;version=1.0.0"])
def test_promtool_finds_nothing_wrong(demo: Demo, accept: str) -> None:
    body = get(f"{demo.url}/metrics", headers={"Accept": accept}).content

    checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_every_format_has_the_same_samples(demo: Demo) -> None:
    def answer(accept: str) -> str:
        response = get(f"{demo.url}/metrics", headers={"Accept": accept})
        assert response.headers["content-type"].startswith(accept.partition(";")[0])
        return response.text

    def plays(answer: str, parse: Any) -> set[tuple[str, float]]:
        (family,) = (family for family in parse(answer) if family.name == "aliyun_vod_media_plays")
        return {(str(sorted(sample.labels.items())), sample.value) for sample in family.samples}

    formats = {
        "text/plain;version=0.0.4": text,
        "text/plain;version=1.0.0": text,
        "application/openmetrics-text;version=1.0.0": openmetrics,
    }
    # Read between two polls, parsed afterwards: that takes longer than the demo waits for the next poll.
    answers = between_polls(demo, lambda: [answer(accept) for accept in formats])
    expected, *others = map(plays, answers, formats.values())
    assert expected
    assert all(each == expected for each in others)


def test_gzip_is_used_only_if_requested(demo: Demo) -> None:
    def both() -> list[bytes]:
        accept = {"Accept-Encoding": "gzip"}
        with httpx.stream("GET", f"{demo.url}/metrics", headers=accept, timeout=PATIENCE) as answer:
            packed = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "gzip"
        plain = get(f"{demo.url}/metrics", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        return [gzip.decompress(packed), plain.content]

    packed, plain = between_polls(demo, both)

    assert MEDIA_SERIES.findall(packed)
    assert MEDIA_SERIES.findall(packed) == MEDIA_SERIES.findall(plain)


@pytest.mark.tool("prometheus")
def test_the_printed_query_finds_the_media_that_dropped_and_not_those_that_age(demo: Demo, tmp_path: Path) -> None:
    printed = re.findall(r"^  (aliyun_vod_[^\n]+\n    [^\n]+)$", demo.text, re.MULTILINE)
    drop, ageing = (" ".join(each.split()) for each in printed)
    with prometheus(tmp_path, demo.url) as server:
        dropped = until(lambda: server.query(drop), "the drop")
        aged = server.query(ageing)

    media = {labels["media_id"] for labels, _ in dropped}
    assert most_played(0) in media
    assert len(media) <= 2
    assert most_played(0) in {labels["media_id"] for labels, _ in aged}
    assert len(aged) >= len(media) + 3
