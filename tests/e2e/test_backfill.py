"""Backfilled days, imported by promtool into a real Prometheus: the week-over-week rules work with them."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.app import Runtime
from exporter.backfill.collect import fetch
from exporter.backfill.progress import ProgressLines
from exporter.commands import backfill
from exporter.core import play_dates
from exporter.core.model import Dimensions
from exporter.simulator.incidents import collapse
from exporter.simulator.options import SimulatorOptions
from tests.e2e.processes import PATIENCE, exporter, free_port, get, running, until
from tests.harness import NOON, Clock, configuration, simulated

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from exporter.simulator.dataset import Dataset

HOUR, DAY = 3600, 86_400
STEP = 6 * HOUR
# README's own rule, and the same with numbers of a week ago as they were shown then.
WINDOWED = """
(aliyun_vod_media_plays{days_ago="1"} / ignoring(days_ago) aliyun_vod_media_plays{days_ago="8"})
and on (account, terminal_type, os, region) aliyun_vod_slice_settled{days_ago="1"} == 1
"""
OFFSET = 'aliyun_vod_media_plays{days_ago="1"} / (aliyun_vod_media_plays{days_ago="1"} offset 7d)'
KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
QUERY = "[{name: q, media: all}]"
LAST_20_DAYS = range(1, 21)

Ratios = dict[tuple[int, str, str], float]


@pytest.mark.tool("promtool")
@pytest.mark.tool("prometheus")
async def test_the_week_over_week_ratio_of_each_of_the_last_20_days_is_the_truth(tmp_path: Path) -> None:
    clock = Clock()
    dropped = collapse(0, play_dates.play_date(NOON, 3))
    async with simulated(SimulatorOptions(media=5, incidents=(dropped,)), clock) as (simulator, url):
        known = await fetch(
            configuration(url, dimensions="[{}, {terminal_type: [Native]}]", days_ago="[1, 2, 8, 9]"),
            Runtime({}, clock.now, clock.now, clock.sleep),
            30,
            ProgressLines(lambda _: None),
        )
        truth = expected(simulator.dataset)
    views, file = known.views(STEP), tmp_path / "past days.txt"
    with file.open("wb") as written:
        samples = backfill.write(written, views, {"job": "vod"}, ProgressLines(lambda _: None))
    (command,) = (line for line in backfill.describe_output(file, views, samples) if "promtool" in line)

    await asyncio.to_thread(compare, tmp_path, command, truth)


def compare(folder: Path, command: str, truth: Ratios) -> None:
    store = folder / "tsdb"
    made = subprocess.run(
        shlex.split(command.replace("DATA", str(store))), capture_output=True, text=True, check=False, cwd=folder
    )
    assert made.returncode == 0, made.stderr
    with serving_blocks(folder, store) as url:
        assert ratios(url, WINDOWED) == pytest.approx(truth)
        assert ratios(url, OFFSET) == pytest.approx(truth)
        assert {day for day, *_ in truth} == set(LAST_20_DAYS)
        dropped = [key for key, ratio in ratios(url, f"({WINDOWED}) < 0.5").items() if key[0] == 3]
        assert dropped, "the collapse is found on the day it happened"


def expected(catalogue: Dataset) -> Ratios:
    """The simulator's own numbers: ratio by days ago, terminal type and media."""
    found = {}
    for ago in LAST_20_DAYS:
        for terminal_type in (None, "Native"):
            for media_id in catalogue.media_ids:
                now, week_before = (
                    catalogue.counts(media_id, play_dates.play_date(NOON, day), Dimensions(terminal_type), now=NOON)
                    for day in (ago, ago + 7)
                )
                if now and week_before:
                    found[ago, terminal_type or "all", media_id] = now.plays / week_before.plays
    return found


def ratios(url: str, promql: str) -> Ratios:
    """The values for each of the last 20 days at 09:00 UTC+8 of the next day, and 18 h later if that is past."""
    found: list[Ratios] = []
    for later, until_ago in ((0, 1), (18 * HOUR, 2)):
        at = {
            play_dates.start(play_dates.play_date(NOON, ago - 1)) + 9 * HOUR + later: ago
            for ago in range(until_ago, 21)
        }
        span = {"start": min(at), "end": max(at), "step": DAY}
        answer = get(f"{url}/api/v1/query_range", params={"query": promql, **span}).json()
        assert answer["status"] == "success", answer
        found.append(
            {
                (at[when], series["metric"]["terminal_type"], series["metric"]["media_id"]): float(value)
                for series in answer["data"]["result"]
                for when, value in series["values"]
            }
        )
    at_nine, later_on = found
    assert later_on == {key: ratio for key, ratio in at_nine.items() if key[0] > 1}
    return at_nine


@contextlib.contextmanager
def serving_blocks(folder: Path, store: Path) -> Generator[str]:
    """A Prometheus that scrapes nothing and retains old data."""
    url = f"http://127.0.0.1:{free_port()}"
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    with running(
        folder,
        "prometheus",
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={store}",
        "--storage.tsdb.retention.time=50y",
        f"--web.listen-address={url.removeprefix('http://')}",
    ):
        until(lambda: get(f"{url}/-/ready").status_code == httpx.codes.OK, "Prometheus to be ready")
        yield url


@pytest.mark.tool("promtool")
async def test_promtool_accepts_blocks_of_two_hours(tmp_path: Path) -> None:
    clock = Clock()
    async with simulated(SimulatorOptions(media=2), clock) as (_, url):
        runtime = Runtime({}, clock.now, clock.now, clock.sleep)
        known = await fetch(configuration(url), runtime, 3, ProgressLines(lambda _: None))
    with (tmp_path / "out.txt").open("wb") as written:
        backfill.write(written, known.views(HOUR), {}, ProgressLines(lambda _: None))

    made = await asyncio.to_thread(
        subprocess.run,
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "out.txt", "tsdb"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.returncode == 0, made.stderr
    # From 09:00 of the day before yesterday to 09:00 of today, in blocks of two hours, and nothing after.
    assert sum(entry.is_dir() for entry in (tmp_path / "tsdb").iterdir()) == 25


@pytest.mark.tool("promtool")
def test_the_command_writes_what_promtool_accepts_and_nothing_to_stdout(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", "--web.listen-address=127.0.0.1:0", "--media=3") as service:
        (tmp_path / "config.yaml").write_text(
            f"{{accounts: [{{name: a, endpoint: '{service.url()}'}}], queries: {QUERY}}}"
        )
        argv = ("backfill", "--output=out.txt", "--step=12h", "--storage.path=state.db")
        with exporter(tmp_path, *argv, **KEYS) as command:
            assert command.process.wait(PATIENCE) == 0
            received_text = command.logged()
            assert command.out.read_text() == ""
    for word in ("Traceback", "Warning", KEYS["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]):
        assert word not in received_text
    (promtool,) = (line for line in received_text.splitlines() if "promtool" in line)

    made = subprocess.run(
        shlex.split(promtool.replace("DATA", "tsdb")), cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert made.returncode == 0, made.stderr
    assert any(entry.is_dir() for entry in (tmp_path / "tsdb").iterdir())
