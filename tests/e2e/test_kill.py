"""The daemon is killed at any moment: after a restart it serves exactly the data that was committed last.

Two simulated accounts alternate, so that each process of the daemon observes other numbers for every row.
Only final days are polled: their numbers are known without requests. The wall clock is moved between two processes, so
that the next one does not take the data for fresh and polls again.
"""

from __future__ import annotations

import contextlib
import random
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.config.loader import loads
from exporter.core import play_dates
from exporter.core.model import Snapshot
from exporter.core.publication import PublicationRules
from exporter.core.publication_builder import publish
from exporter.exposition.render import Renderer
from exporter.simulator.dataset import Dataset
from tests.e2e.processes import Running, exporter, get, until
from tests.e2e.test_clock import wall_clock
from tests.storage.stored import read_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from exporter.core.model import SliceData
    from tests.e2e.test_clock import WallClock

CONFIGURATION = """
accounts:
  - name: main
    endpoint: {endpoint}
    timeout: 5m
    limits: {{requests_per_second: 1000}}
queries:
  - {{name: q, media: all, days_ago: [2, 3, 4, 5, 6], every: 10s}}
settle: {{after: 30d}}
"""
KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
LISTEN = "--web.listen-address=127.0.0.1:0"
MEDIA = 1000
CALLS_OF_A_POLL = 5 * 5  # at least: pages of 100 of each day

Committed = tuple["SliceData", ...]


class Account:
    """A simulated account and its numbers of final days."""

    def __init__(self, running: Running, seed: int, now: Callable[[], float]) -> None:
        self.running = running
        self.url = running.url()
        self.dataset = Dataset(seed, MEDIA)
        self.now = now

    def stop(self) -> None:
        """Suspend the account: requests wait for their response until it continues."""
        self.running.process.send_signal(signal.SIGSTOP)

    def continue_(self) -> None:
        self.running.process.send_signal(signal.SIGCONT)

    def answered(self) -> int:
        calls = get(f"{self.url}/_admin/calls").json()["counts"].get("DescribeVodMediaPlayData", {})
        return int(calls.get("OK", 0))

    def forget(self) -> None:
        httpx.delete(f"{self.url}/_admin/calls").raise_for_status()

    def has_numbers(self, committed: Committed) -> bool:
        """Whether the committed slices are complete and have this account's numbers."""
        return len(committed) == 5 and all(
            {m: record.row for m, record in data.records.items()}
            == {c.media.media_id: c.row() for c in self.dataset.result_set(data.slice.play_date, now=self.now())}
            for data in committed
        )


class CrashEnvironment:
    """The folder, wall clock and accounts of the consecutive processes of the daemon."""

    def __init__(self, folder: Path, clock: WallClock) -> None:
        self.folder = folder
        self.clock = clock
        self.storage = folder / "vod.db"

    def committed(self) -> Committed:
        return read_slices(self.storage, play_dates.play_date(self.clock.now(), play_dates.OLDEST_DAYS_AGO))

    def published(self, slices: Committed) -> set[str]:
        """The series of committed slices."""
        config = loads(CONFIGURATION.format(endpoint="http://127.0.0.1:1"), file="config.yaml", environ={})
        rules = PublicationRules(config.core_queries(), config.stale_after, config.series_limit)
        publication = publish(Snapshot().updated(slices), rules, self.clock.now())
        return play_series(Renderer().render(publication).plain.decode())

    @contextlib.contextmanager
    def accounts(self) -> Generator[tuple[Account, Account]]:
        with contextlib.ExitStack() as stack:
            started = []
            for seed in (1, 2):
                home = self.folder / f"account{seed}"
                home.mkdir()
                argv = ["simulate", LISTEN, "--admin", f"--seed={seed}", f"--media={MEDIA}", "--latency=10ms"]
                started.append(stack.enter_context(exporter(home, *argv, **self.clock.fixed)))
            first, second = (Account(each, seed, self.clock.now) for seed, each in enumerate(started, 1))
            yield first, second
            assert not any("Traceback" in simulator.logged() for simulator in started)

    @contextlib.contextmanager
    def life(self, account: Account) -> Generator[Daemon]:
        """Start the daemon, which polls that account."""
        self.clock.jump(20)
        (self.folder / "config.yaml").write_text(CONFIGURATION.format(endpoint=account.url))
        argv = ["serve", LISTEN, f"--storage.path={self.storage}"]
        with exporter(self.folder, *argv, **KEYS, **self.clock.fixed) as running:
            yield Daemon(running)


class Daemon:
    """One process of the daemon."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.url = running.url()

    def exposed(self) -> set[str]:
        return play_series(get(f"{self.url}/metrics").text)

    def kill(self) -> None:
        assert self.running.process.poll() is None, self.running.logged()
        assert self.running.stop(signal.SIGKILL) == -signal.SIGKILL
        assert "Traceback" not in self.running.logged()


def play_series(text: str) -> set[str]:
    return {line for line in text.splitlines() if line.startswith(("aliyun_vod_media_", "aliyun_vod_slice_"))}


@pytest.mark.tool("faketime")
def test_after_every_kill_it_serves_exactly_what_was_committed(tmp_path: Path) -> None:
    chance = random.Random(20240324)  # noqa: S311 - moments, not secrets
    with wall_clock(tmp_path, "24T12:00:00") as clock, CrashEnvironment(tmp_path, clock).accounts() as (first, second):
        environment = CrashEnvironment(tmp_path, clock)
        with environment.life(first) as daemon:
            until(lambda: first.has_numbers(environment.committed()), "the first poll to be written")
            daemon.kill()
        last = first
        # During requests; after publishing, while data is being written; after the write.
        for moment in ("requested", "published", "written", "published") * 2:
            account = first if last is second else second
            account.forget()
            account.stop()
            before = environment.committed()
            with environment.life(account) as daemon:
                # The account is suspended: the daemon can only serve the stored data.
                assert get(f"{daemon.url}/-/ready").status_code == httpx.codes.OK
                restored = daemon.exposed()
                assert restored == environment.published(before)
                account.continue_()
                if moment == "requested":
                    calls = chance.randrange(CALLS_OF_A_POLL)
                    until(lambda: account.answered() >= calls, f"{calls} answers")  # noqa: B023 - called here
                elif moment == "published":
                    until(lambda: daemon.exposed() != restored, "new numbers")  # noqa: B023 - called here
                else:
                    until(lambda: account.has_numbers(environment.committed()), "new numbers to be written")  # noqa: B023 - likewise
                daemon.kill()

            after = environment.committed()
            # A write is atomic per poll: the last published poll may be lost, but never partly, and no earlier one.
            if account.has_numbers(after):
                last = account
            else:
                assert after == before, "neither what was written before nor all of what is new"
                assert moment != "written", "what was written is gone"

        with environment.life(last) as daemon:
            assert daemon.exposed() >= {s for s in environment.published(environment.committed()) if "updated" not in s}
            assert daemon.running.stop() == 0
            assert "Traceback" not in daemon.running.logged()
        assert last.has_numbers(environment.committed())
