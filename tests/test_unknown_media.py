"""Media IDs that no response has contained: a zero is published, with a warning that the ID may be mistyped."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from exporter import app
from exporter.cli import main
from exporter.simulator.dataset import Dataset
from exporter.simulator.faults import Fault
from exporter.status.filters import Filters
from exporter.status.html_page import Pages
from exporter.status.summary import summarize
from tests.harness import (
    CONFIGURATION,
    NOON,
    Clock,
    Harness,
    running_harness,
    simulated,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PLAYED = Dataset().media_ids[0]
MISTYPED = "your-media-id"
IDS = f"{{ids: [{PLAYED}, {MISTYPED}]}}"
UNKNOWN = "^aliyun_vod_query_unknown_media"
SERIES = 'aliyun_vod_query_unknown_media{account="main",query="q"}'


async def polled(harness: Harness, **later: float) -> list[str]:
    """The IDs that a poll logs."""
    with structlog.testing.capture_logs() as logs:
        await harness.poll(**later)
    return [line["first"] for line in logs if line["event"] == "unknown media"]


async def test_a_mistyped_id_is_counted_logged_once_and_stays_a_zero() -> None:
    async with running_harness(media=IDS) as harness:
        assert await harness.series(UNKNOWN) == {SERIES: 0}
        assert await polled(harness) == [MISTYPED]
        assert await harness.series(UNKNOWN) == {SERIES: 1}
        assert (await harness.plays())[MISTYPED] == 0
        assert await polled(harness, later=900) == []
        assert harness.exporter.unknown_media() == {("main", MISTYPED)}


async def test_what_failed_is_not_taken_for_unknown() -> None:
    async with running_harness(media=IDS) as harness:
        harness.simulator.change(faults=(Fault("Meter.ParamError"),))
        assert await polled(harness) == []
        assert await harness.series(UNKNOWN) == {SERIES: 0}


async def test_an_id_that_is_named_later_is_unknown_no_more() -> None:
    """It has no plays today yet: until then, no response can contain it."""
    at_midnight = Clock(NOON - 12 * 3600 + 1)
    async with running_harness(clock=at_midnight, media=f"{{ids: {PLAYED}}}", days_ago="[0]") as harness:
        await harness.poll()
        before = await harness.series(UNKNOWN)
        await harness.poll(later=12 * 3600)
        assert await harness.series(UNKNOWN) == {SERIES: 0}
    assert before == {SERIES: 1}


async def test_after_a_restart_it_is_known_without_a_poll(tmp_path: Path) -> None:
    async with running_harness(storage=tmp_path / "vod.db", media=IDS) as harness:
        await harness.poll()
    async with running_harness(storage=tmp_path / "vod.db", media=IDS) as harness:
        assert await harness.series(UNKNOWN) == {SERIES: 1}
        assert not harness.simulator.request_log.calls


async def test_queries_that_list_no_ids_have_no_such_series() -> None:
    async with running_harness(media="all") as harness:
        await harness.poll()
        assert await harness.series(UNKNOWN) == {}


async def test_the_page_says_so_in_place_of_the_title() -> None:
    async with running_harness(media=IDS) as harness:
        await harness.poll()
        observed = await harness.exporter.status()
    view = summarize(observed, Filters())
    assert {row.media_id: row.unknown for row in view.media.rows} == {PLAYED: False, MISTYPED: True}
    for language, words in (("en", "never seen: no title known"), ("zh", "从未出现：标题未知")):
        assert Pages("/metrics").render(view, language).decode().count(words) == 1


async def test_fetch_says_so_in_place_of_the_title(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(app, "Runtime", partial(app.Runtime, now=clock.now))
    async with simulated(clock=clock) as (_, url):
        text = CONFIGURATION
        for name, value in {
            "ENDPOINT": url,
            "TIMEOUT": "10s",
            "MEDIA": IDS,
            "DIMENSIONS": "[{}]",
            "DAYS_AGO": "[1]",
        }.items():
            text = text.replace(name, value)
        (tmp_path / "config.yaml").write_text(text)
        assert await asyncio.to_thread(main, ["fetch", f"--config.file={tmp_path / 'config.yaml'}"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert "title" in heading
    assert len(rows) == 2
    assert [MISTYPED in row for row in rows] == ["never seen: no title known" in row for row in rows]
