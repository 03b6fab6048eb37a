"""Four days of a soak find no violation, and planted ones in the storage are found."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from exporter.core import play_dates
from exporter.storage.storage import Storage
from tests.campaigns.soak.__main__ import START
from tests.campaigns.soak.clock import Clock
from tests.campaigns.soak.report import Report
from tests.campaigns.soak.soak import Soak
from tests.storage.stored import read_slices

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from exporter.core.model import MediaRecord, SliceData
    from tests.campaigns.soak.observations import Observations

# A schedule with every event: killed during requests and writes, stopped, reloaded with valid and invalid files.
SEED, DAYS = 278, 4
END = START + (DAYS * 24 - 0.5) * 3600.0
NO_DAY_IS_FORGOTTEN = 400 * 86_400.0


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Soak, Observations]:
    folder = tmp_path_factory.mktemp("soak")
    on_day: list[int] = []
    soak = Soak(folder, Clock(folder / "clock", START), seed=SEED, simulated_days=DAYS, on_day=on_day.append)
    seen = soak.run()
    assert on_day == [1, 2, 3, 4]
    return soak, seen


def test_no_data_is_lost_or_wrong(ran: tuple[Soak, Observations]) -> None:
    soak, seen = ran
    report = Report.of(seen, [life.sizes for life in soak.daemon.lives], START)
    assert report.violations() == []
    for happened in ("kill -9, asking", "stop", "reload", "refused reload", "key rotation", "errors", "lies"):
        assert seen.events[happened], happened
    assert len(soak.daemon.lives) > 2
    # Time skipped during a poll would make the poll last for hours.
    assert [life.log.name for life in soak.daemon.lives if "poll skipped" in life.log.read_text()] == []
    assert len(seen.outcomes) > 5
    assert seen.outcomes["OK"] > 200
    assert seen.published.checked > 10_000
    assert seen.settled.missing_days > 10


class IgnoredEvents:
    def storage_failed(self) -> None:
        raise AssertionError("the planted value was not written")


@pytest.fixture
def storage(ran: tuple[Soak, Observations], tmp_path: Path) -> Path:
    """A copy of the storage that the daemon left."""
    copy = tmp_path / "vod.db"
    shutil.copy(ran[0].daemon.storage, copy)
    return copy


def _settled(slices: Iterable[SliceData]) -> tuple[SliceData, str, MediaRecord]:
    """A video with plays on a settled day."""
    return next(
        (data, media_id, record)
        for data in slices
        for media_id, record in data.records.items()
        if record.freshness.settled and record.row and record.row.plays
    )


async def test_a_wrong_value_in_storage_is_found(ran: tuple[Soak, Observations], storage: Path) -> None:
    data, media_id, answer = _settled(read_slices(storage, play_dates.play_date(END, 9)))
    assert answer.row is not None
    assert answer.row.plays is not None
    planted = replace(answer, row=replace(answer.row, plays=answer.row.plays + 1))
    async with Storage.opened(storage, retention=NO_DAY_IS_FORGOTTEN, meter=IgnoredEvents(), now=lambda: END) as opened:
        await opened.save([replace(data, records={**data.records, media_id: planted})])
    found = ran[0].checked(storage, END)
    assert [media_id in violation for violation in found.wrong] == [True]


def test_a_lost_day_is_found(ran: tuple[Soak, Observations], storage: Path) -> None:
    assert ran[0].checked(storage, END).lost == []
    with closing(sqlite3.connect(storage)) as connection, connection:
        connection.execute("DELETE FROM slice WHERE play_date = ?", [play_dates.play_date(START, 0).isoformat()])
    lost = ran[0].checked(storage, END).lost
    assert lost
    assert all("not settled: 2024-02-01" in violation for violation in lost)


def test_a_process_uses_the_skipped_clock(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock", START)
    says = (
        "import sys, time\n"
        "from datetime import UTC, datetime, timedelta\n"
        "assert isinstance(datetime(2024, 1, 1) + timedelta(1), datetime)\n"
        "for _ in range(2):\n"
        "    print(time.time(), datetime.now(UTC).timestamp(), time.monotonic(), flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", says],
        env={**os.environ, **clock.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        before = [float(number) for number in process.stdout.readline().split()]
        clock.skip(86_400.0)
        process.stdin.write("go on\n")
        process.stdin.flush()
        after = [float(number) for number in process.stdout.readline().split()]
        process.stdin.write("go\n")
        process.stdin.flush()
    for earlier, later in zip(before, after, strict=True):
        assert later - earlier >= 86_400.0
    assert START <= before[0] <= before[1] <= clock.now() - 86_400.0
