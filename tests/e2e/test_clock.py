"""The daemon over midnight and over 09:00 UTC+8, as a process whose wall clock the test sets; it runs on from there."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import exporter, get, until

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.tool("faketime")

CHINA = timezone(timedelta(hours=8))
KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
LISTEN = "--web.listen-address=127.0.0.1:0"
CONFIGURATION = """
accounts: [{{name: main, endpoint: {endpoint}}}]
queries: [{{name: q, media: all, days_ago: [0, 1], every: {every}, expected: false}}]
"""
START_OF_24TH = datetime(2024, 3, 24, tzinfo=CHINA).timestamp()


@dataclass
class WallClock:
    """The wall clock of processes started with its `environ`; their monotonic clock is real."""

    file: Path
    ahead: float = 0.0

    def set(self, text: str) -> None:
        """Set it to a time in March 2024, UTC+8, such as `23T23:59:57`."""
        self.jump(datetime.fromisoformat(f"2024-03-{text}+08:00").timestamp() - self.now())

    def jump(self, seconds: float) -> None:
        """Move it forward, or back."""
        self.ahead += seconds
        new = self.file.with_suffix(".new")
        new.write_text(f"{self.ahead:+.6f}\n")
        new.replace(self.file)

    def now(self) -> float:
        return time.time() + self.ahead

    @property
    def fixed(self) -> dict[str, str]:
        """`environ` for a process that uses this clock but is not affected when it is set later: that is cheaper."""
        return {**self.environ, "FAKETIME": f"{self.ahead:+.6f}", "FAKETIME_NO_CACHE": "0"}

    @property
    def environ(self) -> dict[str, str]:
        """With a time zone far from UTC+8: play dates must not depend on it."""
        received_text = subprocess.run(
            ["faketime", "-m", "-f", "+0", "env"], check=True, capture_output=True, text=True
        ).stdout
        return {
            "LD_PRELOAD": re.findall(r"^LD_PRELOAD=(.+)$", received_text, re.MULTILINE)[0],
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            # asyncio uses it, and setting the wall clock does not change it.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "TZ": "America/Los_Angeles",
        }


@contextlib.contextmanager
def wall_clock(folder: Path, text: str) -> Generator[WallClock]:
    """A wall clock that can be set; its processes must end before this context does."""
    clock = WallClock(folder / "clock")
    clock.set(text)
    yield clock
    # A killed process leaves libfaketime's shared memory behind, by its ID, which a later process may get.
    for left in Path("/dev/shm").glob("*faketime_s??_*"):  # noqa: S108 - where Linux keeps it
        if not Path("/proc", left.name.rpartition("_")[2]).exists():
            left.unlink(missing_ok=True)


@dataclass(frozen=True)
class Scrape:
    """One scrape of the daemon."""

    text: str

    @classmethod
    def of(cls, url: str) -> Scrape:
        return cls(get(f"{url}/metrics").text)

    def plays(self, days_ago: int) -> dict[str, float]:
        found = re.findall(
            rf'^aliyun_vod_media_plays{{.*media_id="(\w+)".*days_ago="{days_ago}"}} (\S+)$', self.text, re.MULTILINE
        )
        return {media_id: float(value) for media_id, value in found}

    def value(self, name: str, days_ago: int) -> float | None:
        found = re.search(rf'^aliyun_vod_{name}{{.*days_ago="{days_ago}"}} (\S+)$', self.text, re.MULTILINE)
        return float(found[1]) if found else None

    def polls(self) -> float:
        return sum(map(float, re.findall(r"^aliyun_vod_query_polls_total{.*} (\S+)$", self.text, re.MULTILINE)))

    def is_rejected(self) -> bool:
        return re.search(r'^aliyun_vod_api_errors_total{.*kind="clock".*} [1-9]', self.text, re.MULTILINE) is not None

    def today(self) -> date:
        start = self.value("play_date_timestamp_seconds", 0)
        assert start is not None
        return datetime.fromtimestamp(start, CHINA).date()


def test_today_becomes_yesterday_at_midnight_without_a_poll(tmp_path: Path) -> None:
    with (
        wall_clock(tmp_path, "23T23:58:00") as clock,
        exporter(tmp_path, "simulate", LISTEN, **clock.environ) as simulator,
    ):
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url(), every="1h"))
        with exporter(tmp_path, "serve", LISTEN, **KEYS, **clock.environ) as daemon:
            url = daemon.url()
            before = until(lambda: (s := Scrape.of(url)).polls() == 1 and s, "the first poll")
            assert before.today() == date(2024, 3, 23)
            assert before.value("play_date_timestamp_seconds", 1) == START_OF_24TH - 2 * 86_400
            assert len(before.plays(0)) > 50 < len(before.plays(1)), "there is something to move"
            assert before.plays(0) != before.plays(1)

            clock.set("23T23:59:58")

            def midnight() -> Scrape | None:
                scrape = Scrape.of(url)
                if scrape.today() == date(2024, 3, 24):
                    return scrape
                assert (scrape.plays(0), scrape.plays(1)) == (before.plays(0), before.plays(1))
                return None

            after = until(midnight, "midnight")
            assert after.value("play_date_timestamp_seconds", 1) == START_OF_24TH - 86_400
            assert (after.plays(0), after.plays(1)) == ({}, before.plays(0))
            assert after.polls() == 1
            for name in ("slice_settled", "slice_updated_timestamp_seconds", "slice_media"):
                assert (after.value(name, 0), after.value(name, 1)) == (None, before.value(name, 0))
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged() + simulator.logged()


def test_yesterday_settles_at_the_second_further_poll_after_nine(tmp_path: Path) -> None:
    nine = START_OF_24TH + 9 * 3600
    with (
        wall_clock(tmp_path, "24T08:50:00") as clock,
        exporter(tmp_path, "simulate", LISTEN, **clock.environ) as simulator,
    ):
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url(), every="10s"))
        with exporter(tmp_path, "serve", LISTEN, **KEYS, **clock.environ) as daemon:
            url = daemon.url()
            provisional = until(lambda: (s := Scrape.of(url)).plays(1) and s, "the first poll")
            assert provisional.value("slice_settled", 1) == 0
            # The next poll is ten seconds from now: five seconds after nine.
            clock.set("24T08:59:55")

            seen: dict[float, Scrape] = {}

            def settled() -> bool:
                scrape = Scrape.of(url)
                updated = scrape.value("slice_updated_timestamp_seconds", 1)
                assert updated is not None
                # The scrape after the poll already shows it as settled.
                assert seen.setdefault(updated, scrape).value("slice_settled", 1) == scrape.value("slice_settled", 1)
                return scrape.value("slice_settled", 1) == 1

            until(settled, "yesterday to settle")
            # Numbers changed since then; two further polls found no change.
            after_nine = [seen[at] for at in sorted(seen) if at >= nine]
            assert [s.value("slice_settled", 1) for s in after_nine] == [0, 0, 1]
            assert [s.plays(1) == after_nine[0].plays(1) != provisional.plays(1) for s in after_nine] == [True] * 3
            assert all(s.value("slice_settled", 1) == 0 for at, s in seen.items() if at < nine)
            assert all(s.value("slice_settled", 0) == 0 for s in seen.values())
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged() + simulator.logged()


def test_polling_continues_after_the_clock_was_set_back(tmp_path: Path) -> None:
    """By an hour, and the interval is ten seconds: the next poll is not an hour away."""
    with (
        wall_clock(tmp_path, "24T12:00:00") as clock,
        exporter(tmp_path, "simulate", LISTEN, **clock.environ) as simulator,
    ):
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url(), every="10s"))
        with exporter(tmp_path, "serve", LISTEN, **KEYS, **clock.environ) as daemon:
            url = daemon.url()
            until(lambda: Scrape.of(url).polls() == 1, "the first poll")
            clock.set("24T11:00:00")
            until(lambda: Scrape.of(url).polls() > 1, "a poll by the clock that was set back")
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged() + simulator.logged()


def test_after_a_leap_of_twenty_years_it_polls_once_and_serves(tmp_path: Path) -> None:
    with (
        wall_clock(tmp_path, "24T12:00:00") as clock,
        exporter(tmp_path, "simulate", LISTEN, **clock.environ) as simulator,
    ):
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url(), every="1h"))
        with exporter(tmp_path, "serve", LISTEN, **KEYS, **clock.environ) as daemon:
            url = daemon.url()
            until(lambda: Scrape.of(url).polls() == 1, "the first poll")
            clock.jump(20 * 365 * 86_400)
            after = until(lambda: (s := Scrape.of(url)).polls() > 1 and s, "a poll by the clock that leapt ahead")
            assert after.today().year == 2044
            assert after.polls() == 2
            (due,) = re.findall(r"^aliyun_vod_query_next_poll_timestamp_seconds{.*} (\S+)$", after.text, re.MULTILINE)
            assert 0 < float(due) - clock.now() < 3700
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged() + simulator.logged()


@pytest.mark.parametrize("days", [31, -2])
def test_a_clock_that_is_wrong_for_a_while_costs_no_value(tmp_path: Path, days: int) -> None:
    """The service rejects what is signed with it; once it is right, all values are there before the next poll."""
    with (
        wall_clock(tmp_path, "24T12:00:00") as clock,
        exporter(tmp_path, "simulate", LISTEN, **clock.fixed) as simulator,
    ):
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url(), every="10s"))
        with exporter(tmp_path, "serve", LISTEN, "--storage.path=state.db", **KEYS, **clock.environ) as daemon:
            url = daemon.url()
            before = until(lambda: (s := Scrape.of(url)).plays(1) and s, "the first poll")
            clock.jump(days * 86_400)
            failed = until(lambda: (s := Scrape.of(url)).is_rejected() and s, "a rejection")
            assert failed.plays(1) == {}, "of another day, nothing is known"
            clock.jump(-days * 86_400)
            after = Scrape.of(url)
            assert (after.plays(0), after.plays(1)) == (before.plays(0), before.plays(1))
            since = after.polls()
            until(lambda: (s := Scrape.of(url)).polls() > since and s.value("slice_settled", 1) is not None, "a poll")
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged() + simulator.logged()
