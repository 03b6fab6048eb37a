"""Expositions parsed by the Prometheus client library and by promtool."""

from __future__ import annotations

import subprocess
from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.model import Dimensions, PlayRow, Slice
from exporter.core.publication import Publication, PublishedMedia, PublishedSlice
from exporter.exposition.negotiation import respond
from exporter.exposition.render import Renderer
from tests.exposition.examples import (
    OPENMETRICS,
    example,
    full_telemetry,
    publication,
    published,
    read_openmetrics,
    read_text,
    series,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import Metric

numbers = st.none() | st.integers(0, 10**20) | st.floats(allow_nan=False)
media_rows = st.builds(
    PlayRow,
    media_id=st.just(""),
    viewers=numbers,
    plays=numbers,
    plays_per_viewer=numbers,
    play_duration=numbers,
    play_duration_per_viewer=numbers,
)
filters = st.none() | st.sampled_from(["Native", "Web", "Android", "cn-beijing"])
slices = st.builds(
    PublishedSlice,
    slice=st.builds(
        Slice,
        account=st.text(),
        dimensions=st.builds(Dimensions, terminal_type=filters, os=filters, region=filters),
        play_date=st.just(date(2024, 3, 22)),
    ),
    days_ago=st.integers(0, 30),
    rows=st.dictionaries(st.text(), st.none() | media_rows, max_size=5),
    total=st.none() | st.integers(0, 10**9),
    updated_at=st.none() | st.floats(0, 1e10),
    settled=st.booleans(),
    ready=st.booleans(),
)
media = st.builds(PublishedMedia, account=st.text(), media_id=st.text(), title=st.none() | st.text(), duration=numbers)
publications = st.builds(
    Publication,
    slices=st.lists(slices, max_size=4, unique_by=lambda published: published.slice).map(tuple),
    media=st.lists(media, max_size=4, unique_by=lambda what: (what.account, what.media_id)).map(tuple),
    days=st.dictionaries(st.integers(0, 30), st.floats(0, 1e10), max_size=3),
    series=st.just(0),
    dropped=st.just(0),
    valid_from=st.just(0.0),
    valid_until=st.just(0.0),
)


def expected(given: Publication) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The contract, written a second time: every series that a publication must have."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float | None] = {}

    def add(name: str, value: float | None, **labels: str) -> None:
        found[f"aliyun_vod_{name}", frozenset(labels.items())] = value

    for one in given.slices:
        dimensions = one.slice.dimensions
        place = {
            "account": one.slice.account,
            "terminal_type": dimensions.terminal_type or "all",
            "os": dimensions.os or "all",
            "region": dimensions.region or "all",
            "days_ago": str(one.days_ago),
        }
        for media_id, row in one.rows.items():
            add("media_plays", row.plays if row else 0, media_id=media_id, **place)
            add("media_viewers", row.viewers if row else 0, media_id=media_id, **place)
            add("media_plays_per_viewer", row.plays_per_viewer if row else None, media_id=media_id, **place)
            add("media_play_duration_seconds", row.play_duration if row else 0, media_id=media_id, **place)
            per_viewer = row.play_duration_per_viewer if row else None
            add("media_play_duration_per_viewer_seconds", per_viewer, media_id=media_id, **place)
        add("slice_media", one.total, **place)
        add("slice_updated_timestamp_seconds", one.updated_at, **place)
        add("slice_settled", 1 if one.settled else 0, **place)
        add("slice_ready", 1 if one.ready else 0, **place)
    for what in given.media:
        add("media_duration_seconds", what.duration, account=what.account, media_id=what.media_id)
        if what.title is not None:
            add("media_info", 1, account=what.account, media_id=what.media_id, title=what.title)
    for days_ago, start in given.days.items():
        add("play_date_timestamp_seconds", start, days_ago=str(days_ago))
    return {key: value for key, value in found.items() if value is not None}


@pytest.mark.parametrize("read", [read_text, read_openmetrics])
@given(given_=publications)
def test_every_series_reads_back_as_it_was(read: Callable[[bytes], list[Metric]], given_: Publication) -> None:
    assert series(read(Renderer().render(given_).plain)) == expected(given_)


@pytest.mark.parametrize("read", [read_text, read_openmetrics])
def test_a_lone_surrogate_in_a_title_becomes_the_replacement_character(read: Callable[[bytes], list[Metric]]) -> None:
    rendered = Renderer().render(publication(media=[PublishedMedia("main", "m1", "a\ud83d", None)]))
    ((_name, labels),) = series(read(rendered.plain))
    assert dict(labels)["title"] == "a\ufffd"


@pytest.mark.parametrize(("accept", "read"), [(None, read_text), (OPENMETRICS, read_openmetrics)])
def test_a_whole_scrape_has_every_family_once(accept: str | None, read: Callable[[bytes], list[Metric]]) -> None:
    answer = respond(Renderer().render(example()), full_telemetry(), accept=accept)
    metrics = read(answer.body)
    names = [metric.name for metric in metrics]
    assert len(names) == len(set(names))
    assert all(metric.type != "unknown" and metric.documentation for metric in metrics)
    assert len(series(metrics)) > 50


@pytest.mark.tool("promtool")
def test_promtool_accepts_the_exposition() -> None:
    odd = 'quote " backslash \\ newline \n return \r NUL \0 escape \x1b line \u2028 surrogate \ud800 emoji \U0001f3ac'
    given = publication(
        *example().slices,
        published({odd: None, "m2": PlayRow("m2", plays=10**20, plays_per_viewer=0.1)}, days_ago=0, ready=False),
        media=[*example().media, PublishedMedia("main", "m2", odd, 1.5)],
        days={0: 86400.0, 1: 0.0},
    )
    answer = respond(Renderer().render(given), full_telemetry())
    checked = subprocess.run(["promtool", "check", "metrics"], input=answer.body, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
