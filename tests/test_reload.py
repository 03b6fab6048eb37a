"""A running exporter with a changing configuration file: in this process, over HTTP, with a fake clock."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
from structlog.testing import capture_logs

from exporter import app
from exporter.accounts import Accounts
from exporter.app import ReloadOptions, Runtime
from exporter.config.loader import load
from exporter.errors import ConfigError
from exporter.player_polls import PlayerPolls
from exporter.reload import Reloader
from exporter.simulator.faults import Fault
from exporter.simulator.options import Conditions, SimulatorOptions
from exporter.vod.credentials.sources import EnvCredentials
from tests.harness import Clock, configuration, running_harness, simulated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterable
    from pathlib import Path

    from exporter.config.accounts import AccountSettings
    from exporter.config.schema import Config
    from exporter.jobs import Job, JobId
    from exporter.simulator.service import Simulator
    from exporter.vod.credentials.sources import CredentialSource

KEYS = "{access_key_id: simulator, access_key_secret: simulator-secret}"
STALL = Fault("stall")
# Play dates, as request parameters, by days ago at `NOON`.
DAY = [f"202403{24 - ago}" for ago in range(5)]


def account(name: str = "main", keys: str = KEYS, limits: str = "{requests_per_second: 1000}", more: str = "") -> str:
    return f"  - {{name: {name}, endpoint: ENDPOINT, credentials: {keys}, limits: {limits}{more}}}\n"


def query(name: str = "q", days: str = "[1]", media: str = "all", of: str = "main", every: str = "15m") -> str:
    return f"  - {{name: {name}, account: {of}, media: {media}, days_ago: {days}, every: {every}, expected: false}}\n"


@dataclass
class Daemon:
    """A served exporter, its configuration file, and the service that it polls."""

    http: httpx.AsyncClient
    simulator: Simulator
    clock: Clock
    file: Path
    endpoint: str
    hangup: asyncio.Event = field(default_factory=asyncio.Event)
    defect: Exception | None = None

    def read(self) -> Config:
        if self.defect:
            raise self.defect
        return load(self.file, {"KEY": "simulator"})

    def write(self, accounts: str, queries: str, more: str = "") -> None:
        text = f"accounts:\n{accounts}queries:\n{queries}{more}"
        self.file.write_text(text.replace("ENDPOINT", self.endpoint))

    async def reload(self) -> httpx.Response:
        return await self.http.post("/-/reload")

    async def reloaded(self, accounts: str, queries: str, more: str = "") -> None:
        """Write another file and reload it successfully."""
        self.write(accounts, queries, more)
        answer = await self.reload()
        assert answer.status_code == 200, answer.text

    async def series(self, pattern: str) -> dict[str, float]:
        body = (await self.http.get("/metrics")).text
        lines = [line.rpartition(" ") for line in body.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines if re.search(pattern, name)}

    async def polls(self, name: str, result: str = "success") -> float:
        found = await self.series(f'^aliyun_vod_query_polls_total{{.*query="{name}",result="{result}"}}')
        return found.popitem()[1] if found else -1.0

    async def polled(self, name: str, times: float = 1, result: str = "success") -> None:
        while await self.polls(name, result) < times:
            await asyncio.sleep(0.005)

    async def wait_for_requests(self, calls: int) -> None:
        """Wait for this number of requests, stalled ones included."""
        while sum((await self.series("^aliyun_vod_api_requests_total")).values()) < calls:
            await asyncio.sleep(0.005)

    async def ready(self) -> bool:
        return (await self.http.get("/-/ready")).status_code == 200

    def days(self) -> list[str]:
        """The requested play dates, as request parameters."""
        return [call.parameters["PlayDate"] for call in self.simulator.request_log.calls]


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    accounts: str,
    queries: str,
    more: str = "",
    *,
    settings: SimulatorOptions | None = None,
    watch: Callable[[Daemon], Coroutine[None, None, None]] | None = None,
) -> AsyncGenerator[Daemon]:
    clock, stop = Clock(), asyncio.Event()
    places: asyncio.Queue[list[str]] = asyncio.Queue()
    async with simulated(settings or SimulatorOptions(media=20), clock) as (simulator, endpoint):
        file = folder / "config.yaml"
        daemon = Daemon(httpx.AsyncClient(timeout=300), simulator, clock, file, endpoint)
        daemon.write(accounts, queries, more)
        serving = asyncio.create_task(
            app.serve(
                daemon.read(),
                Runtime({}, clock.now, clock.now, clock.sleep),
                listen=["127.0.0.1:0"],
                telemetry_path="/metrics",
                stop=stop,
                reloads=ReloadOptions(
                    daemon.read, daemon.hangup, via_http=True, watch=watch and partial(watch, daemon)
                ),
                listening=places.put_nowait,
            )
        )
        try:
            # Only ends a test that waits for something that never happens.
            async with asyncio.timeout(300):
                daemon.http.base_url = httpx.URL((await places.get())[0])
                yield daemon
        finally:
            stop.set()
            await daemon.http.aclose()
            await serving


async def test_what_did_not_change_is_neither_polled_nor_moved_and_keeps_its_numbers(tmp_path: Path) -> None:
    async with served(tmp_path, account(), query()) as daemon:
        await daemon.polled("q")
        due = await daemon.series("next_poll")
        plays = await daemon.series("^aliyun_vod_media_plays")
        daemon.clock.at += 60

        await daemon.reloaded(account(), query() + query("new", "[2]"))
        await daemon.polled("new")

        assert await daemon.polls("q") == 1
        assert len(daemon.days()) == 2
        assert (await daemon.series("next_poll")).items() >= due.items()
        assert plays
        assert (await daemon.series("^aliyun_vod_media_plays")).items() > plays.items()
        loaded = await daemon.series("config_last_reload")
        assert list(loaded.values()) == [1, daemon.clock.at]


async def test_removed_parts_lose_their_series_and_the_others_continue(tmp_path: Path) -> None:
    accounts = account() + account("other")
    async with served(tmp_path, accounts, query() + query("far", "[3]") + query("p", "[2]", of="other")) as daemon:
        for name in ("q", "p", "far"):
            await daemon.polled(name)
        before = await daemon.series('account="main"')

        await daemon.reloaded(account(), query())

        assert not await daemon.series('account="other"')
        assert not await daemon.series('query="(p|far)"')
        assert not await daemon.series('days_ago="[23]"')
        after = await daemon.series('account="main"')
        gone = 'days_ago="3"', 'query="far"'
        assert after == {name: value for name, value in before.items() if not any(label in name for label in gone)}
        assert await daemon.polls("q") == 1

        await daemon.reloaded(accounts, query() + query("p", "[2]", of="other"))
        assert await daemon.series('media_plays{account="other"'), "what was known is shown again at once"
        await daemon.polled("p")


async def test_a_query_that_moves_to_another_account_takes_its_series_there(tmp_path: Path) -> None:
    accounts = account() + account("other")
    async with served(tmp_path, accounts, query() + query("p", "[2]", of="other")) as daemon:
        await daemon.polled("p")
        await daemon.reloaded(accounts, query() + query("p", "[2]"))
        await daemon.polled("p")

        assert not await daemon.series('account="other",query="p"')
        assert len(await daemon.series('next_poll_timestamp_seconds{account="main",query="p"}')) == 1


async def test_a_query_that_needs_more_is_polled_now_for_the_missing_data_only(tmp_path: Path) -> None:
    async with served(tmp_path, account(), query()) as daemon:
        await daemon.polled("q")
        daemon.clock.at += 60
        daemon.simulator.change(faults=(STALL,))

        await daemon.reloaded(account(), query(days="[1, 2]"))

        assert await daemon.series('media_plays.*days_ago="1"'), "nothing is missing while it is polled"
        daemon.simulator.change(faults=())
        await daemon.reloaded(account(), query(days="[1, 2, 3]"))
        await daemon.polled("q", 2)
        assert set(daemon.days()) == {DAY[1], DAY[2], DAY[3]}
        assert daemon.days().count(DAY[1]) == 1, "yesterday was known"


async def test_another_interval_moves_the_next_poll_without_a_request(tmp_path: Path) -> None:
    async with served(tmp_path, account(), query(every="1d")) as daemon:
        await daemon.polled("q")
        (before,) = (await daemon.series("next_poll")).values()

        await daemon.reloaded(account(), query(every="1h"))

        (after,) = (await daemon.series("next_poll")).values()
        assert 86_400 - 3600 - 120 < before - after < 86_400 - 3600 + 120
        assert await daemon.polls("q") == 1


@pytest.mark.parametrize(
    ("text", "expected_words"),
    [
        ("queries: [{name: q, media: all, evry: 1m}, {name: p}]", ["evry", "queries[1].media"]),
        ("queries: [", ["config.yaml:"]),
        ("accounts: [{name: main, endpoint: 'ftp://x'}]\nqueries: [{name: q, media: all}]", ["endpoint"]),
        ("queries: [{name: q, media: all}]", ["ALIBABA_CLOUD_ACCESS_KEY_ID is not set"]),
        ("queries: [{name: '${NOT_SET}', media: all}]", ["NOT_SET"]),
        (None, ["there is no such file"]),
    ],
)
async def test_a_file_that_cannot_be_used_changes_nothing_but_says_why(
    tmp_path: Path, text: str | None, expected_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(tmp_path, account(), query()) as daemon:
        await daemon.polled("q")
        before = await daemon.series("^aliyun_vod")
        daemon.clock.at += 60
        if text is None:
            daemon.file.unlink()
        else:
            daemon.file.write_text(text)

        answer = await daemon.reload()

        assert answer.status_code == 500
        after = await daemon.series("^aliyun_vod")
        assert after == {**before, "aliyun_vod_exporter_config_last_reload_successful": 0}
        (line,) = (line for line in capsys.readouterr().out.splitlines() if "configuration not reloaded" in line)
        assert "Correct the file, and reload again." in line
        for words in expected_words:
            assert words in answer.text
            assert words in line

        await daemon.reloaded(account(), query())
        assert (await daemon.series("reload_successful")).popitem()[1] == 1


async def test_one_account_that_cannot_be_opened_keeps_all_others_from_changing(tmp_path: Path) -> None:
    async with served(tmp_path, account(), query()) as daemon:
        await daemon.polled("q")
        before = await daemon.series("^aliyun_vod")
        new = account(limits="{requests_per_second: 7}") + account("first") + account("second", "{provider: env}")
        daemon.write(new, query() + query("p", of="first"))

        assert (await daemon.reload()).status_code == 500

        after = await daemon.series("^aliyun_vod")
        assert after == {**before, "aliyun_vod_exporter_config_last_reload_successful": 0}


async def test_a_running_poll_is_cancelled_when_its_query_changes_and_its_data_is_kept(tmp_path: Path) -> None:
    stalling = Conditions(faults=(Fault("stall", when={"PlayDate": DAY[2]}),))
    async with served(
        tmp_path, account(), query(days="[1, 2]"), settings=SimulatorOptions(media=100, conditions=stalling)
    ) as daemon:
        await daemon.wait_for_requests(2)
        while DAY[1] not in daemon.days():
            await asyncio.sleep(0.005)

        await daemon.reloaded(account(), query(days="[1, 3]"))

        await daemon.polled("q")
        assert daemon.days().count(DAY[1]) == 1
        assert set(await daemon.series("media_plays")) == set(await daemon.series('media_plays.*days_ago="[13]"'))
        assert await daemon.polls("q", "skipped") == 0


async def test_a_poll_over_an_account_that_is_reached_in_another_way_begins_again(tmp_path: Path) -> None:
    async with served(
        tmp_path, account(), query(), settings=SimulatorOptions(conditions=Conditions(faults=(STALL,)))
    ) as daemon:
        await daemon.wait_for_requests(1)
        daemon.simulator.change(faults=())

        await daemon.reloaded(account(more=", timeout: 9s"), query())

        await daemon.polled("q")
        assert await daemon.polls("q", "failure") == 0


async def test_a_poll_under_way_goes_on_when_something_else_changes(tmp_path: Path) -> None:
    async with served(tmp_path, account(), query()) as daemon:
        await daemon.polled("q")
        daemon.simulator.change(faults=(STALL,))
        await daemon.reloaded(account(), query() + query("slow", "[2]"))
        await daemon.wait_for_requests(2)

        daemon.simulator.change(faults=(Fault("stall", when={"PlayDate": DAY[2]}),))
        await daemon.reloaded(account(), query(days="[3]") + query("slow", "[2]") + query("p", "[4]"))
        await daemon.polled("p")

        assert await daemon.polls("slow") == 0, "it still waits for its answer"
        assert sum((await daemon.series("^aliyun_vod_api_requests_total")).values()) == 4


async def test_a_poll_under_way_goes_on_when_metadata_is_configured(tmp_path: Path) -> None:
    play_data = Fault("stall", when={"Action": "DescribeVodMediaPlayData"})
    settings = SimulatorOptions(conditions=Conditions(faults=(play_data,)))
    async with served(tmp_path, account(), query(media=f"{{ids: [{'a' * 32}]}}"), settings=settings) as daemon:
        await daemon.wait_for_requests(1)

        await daemon.reloaded(account(more=", metadata: {}"), query(media=f"{{ids: [{'a' * 32}]}}"))
        while not await daemon.series("metadata_last_success"):
            await asyncio.sleep(0.005)

        sent = await daemon.series('^aliyun_vod_api_requests_total{.*"DescribeVodMediaPlayData"')
        assert list(sent.values()) == [1], "it still waits for its response"


async def test_the_key_of_an_account_is_corrected_and_tried_at_once(tmp_path: Path) -> None:
    wrong = "{access_key_id: simulator, access_key_secret: wrong}"
    async with served(tmp_path, account(keys=wrong), query()) as daemon:
        await daemon.polled("q", result="failure")

        await daemon.reloaded(account(), query())

        await daemon.polled("q")


async def test_a_key_file_that_changed_is_tried_at_once_although_no_setting_did(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("wrong")
    keys = "{access_key_id: '${KEY}', access_key_secret_file: secret}"
    async with served(tmp_path, account(keys=keys), query()) as daemon:
        await daemon.polled("q", result="failure")
        await daemon.reloaded(account(keys=keys), query())
        await daemon.polled("q", result="skipped")
        assert len(daemon.simulator.request_log.calls) == 1, "the key that was refused is not tried again"

        (tmp_path / "secret").write_text("simulator-secret")
        await daemon.reloaded(account(keys=keys), query())

        await daemon.polled("q")


async def test_the_rate_in_force_and_the_calls_of_the_day_outlive_a_change(tmp_path: Path) -> None:
    def limits(rate: int, calls: int, more: str = "") -> str:
        return account(limits=f"{{requests_per_second: {rate}, calls_per_day: {calls}}}", more=more)

    throttling = SimulatorOptions(conditions=Conditions(faults=(Fault("Throttling.User"),)))
    async with served(tmp_path, limits(1000, 10), query(), settings=throttling) as daemon:
        await daemon.polled("q", result="failure")
        (slowed,) = (await daemon.series("rate_limit")).values()
        (left,) = (await daemon.series("calls_remaining")).values()
        assert (slowed, left) == (1000 / 2**4, 10 - 4)

        await daemon.reloaded(limits(1000, 20, ", timeout: 9s"), query())
        assert list((await daemon.series("rate_limit")).values()) == [slowed]
        assert list((await daemon.series("calls_remaining")).values()) == [left + 10]

        await daemon.reloaded(limits(1, 0), query())
        assert list((await daemon.series("rate_limit")).values()) == [1]
        assert not await daemon.series("calls_remaining")


async def test_calls_made_today_count_after_an_account_was_removed_and_added_again(tmp_path: Path) -> None:
    accounts = account() + account("other", limits="{calls_per_day: 5}")
    both = query() + query("p", "[1, 2]", of="other")
    async with served(tmp_path, accounts, both) as daemon:
        await daemon.polled("p")
        left = await daemon.series("calls_remaining_today")
        assert list(left.values()) == [3]

        await daemon.reloaded(account(), query())
        assert not await daemon.series("calls_remaining_today")
        await daemon.reloaded(accounts, both)

        assert await daemon.series("calls_remaining_today") == left


async def test_another_number_of_calls_a_day_is_used_at_once_by_what_was_short_of_them(tmp_path: Path) -> None:
    def limits(calls: int) -> str:
        return account(limits=f"{{requests_per_second: 1000, calls_per_day: {calls}}}")

    queries = query("q", every="12h"), query("other", days="[2]", every="12h")
    async with served(tmp_path, limits(1), *queries) as daemon:
        await daemon.polled("q")
        await daemon.polled("other", result="skipped")

        await daemon.reloaded(limits(2), *queries)

        await daemon.polled("other")
        assert await daemon.polls("q") == 1


async def test_the_limits_of_what_is_published_hold_at_the_next_scrape(tmp_path: Path) -> None:
    async with served(tmp_path, account(), query()) as daemon:
        await daemon.polled("q")
        series_before = len(await daemon.series("^aliyun_vod_media_"))

        await daemon.reloaded(account(), query(), "series_limit: 50\n")
        assert len(await daemon.series("^aliyun_vod_media_")) <= 50 < series_before
        assert (await daemon.series("series_dropped")).popitem()[1] > 0

        daemon.clock.at += 600
        await daemon.reloaded(account(), query(every="1m"), "stale_after: 5m\n")
        assert not await daemon.series("^aliyun_vod_media_")
        assert await daemon.polls("q") == 1


async def test_ready_once_is_ready_for_ever(tmp_path: Path) -> None:
    async with served(tmp_path, account(), query()) as daemon:
        while not await daemon.ready():
            await asyncio.sleep(0.005)
        daemon.simulator.change(faults=(STALL,))

        await daemon.reloaded(account(), query("another", "[2]"))

        assert await daemon.ready()


async def test_before_it_was_ready_new_queries_are_awaited_too(tmp_path: Path) -> None:
    stalling = SimulatorOptions(conditions=Conditions(faults=(STALL,)))
    async with served(tmp_path, account(), query() + query("gone", "[3]"), settings=stalling) as daemon:
        await daemon.reloaded(account(), query() + query("new", "[2]"))

        assert (await daemon.http.get("/-/ready")).text == "Not ready: waiting for the first poll of q, new.\n"


async def test_two_reloads_at_once_come_one_after_the_other(tmp_path: Path) -> None:
    async with served(tmp_path, account(), query()) as daemon:
        await daemon.polled("q")
        daemon.write(account(), query() + query("new", "[2]"))

        answers = await asyncio.gather(*(daemon.reload() for _ in range(5)))

        assert [answer.status_code for answer in answers] == [200] * 5
        await daemon.polled("new")
        assert await daemon.polls("new", "skipped") == 0


@dataclass
class Reading:
    """A configuration file whose reading takes until the test ends it."""

    config: Config
    problem: ConfigError | None = None
    times: int = 0
    ending: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self) -> Config:
        self.times += 1
        # Only ends the thread of a failed test.
        self.ending.acquire(timeout=300)
        if self.problem:
            raise self.problem
        return self.config

    async def started(self, times: int) -> None:
        while self.times < times:
            await asyncio.sleep(0.001)


class ImmediateScheduler:
    """A scheduler without polls: it swaps immediately."""

    async def reconfigure(
        self,
        jobs: Iterable[Job],  # noqa: ARG002 - nothing is polled
        *,
        interrupted: Collection[JobId],  # noqa: ARG002 - nothing is polled
        due: Collection[JobId],  # noqa: ARG002 - nothing is polled
        swap: Callable[[], None],
    ) -> None:
        swap()


@contextlib.asynccontextmanager
async def reloading(problem: ConfigError | None = None) -> AsyncGenerator[tuple[Reading, Reloader]]:
    async def keys(account: AccountSettings) -> CredentialSource:  # noqa: ARG001 - all have the same
        return EnvCredentials({})

    async with (
        running_harness() as harness,
        Accounts(keys, meter=harness.exporter.telemetry) as accounts,
        asyncio.timeout(300),
    ):
        reading, daemon = Reading(configuration("http://127.0.0.1:9"), problem), harness.exporter
        player = PlayerPolls(daemon.telemetry, now=time.time, monotonic=time.monotonic)
        yield reading, Reloader(reading, daemon=daemon, accounts=accounts, polling=ImmediateScheduler(), player=player)


@pytest.mark.parametrize(
    ("problem", "event"),
    [(None, "configuration reloaded"), (ConfigError(), "configuration not reloaded")],
)
async def test_all_who_wait_share_one_reload_and_what_comes_of_it(problem: ConfigError | None, event: str) -> None:
    async with reloading(problem) as (reading, reloader):
        with capture_logs() as logs:
            reload_tasks = [asyncio.create_task(reloader.reload())]
            await reading.started(1)
            reload_tasks += [asyncio.create_task(reloader.reload()) for _ in range(500)]
            await asyncio.sleep(0)
            reading.ending.release(1000)
            ended = await asyncio.gather(*reload_tasks, return_exceptions=True)
            with contextlib.suppress(ConfigError):
                await reloader.reload()

    assert ended == [problem] * 501
    assert [entry["event"] for entry in logs] == [event] * 3
    assert reading.times == 3


async def test_a_reload_that_was_given_up_is_begun_anew_for_those_who_wait() -> None:
    async with reloading() as (reading, reloader):
        first, second, third, *others = [asyncio.create_task(reloader.reload()) for _ in range(9)]
        await reading.started(1)
        first.cancel()
        await reading.started(2)
        second.cancel()
        await reading.started(3)
        reading.ending.release(3)
        await asyncio.gather(third, *others)

        assert reading.times == 3
        assert first.cancelled()
        assert second.cancelled()


async def test_a_hangup_reloads_and_a_defect_does_not_end_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(tmp_path, account(), query()) as daemon:
        daemon.defect = RuntimeError("not foreseen")
        daemon.hangup.set()
        while (await daemon.series("reload_successful")).popitem()[1]:
            await asyncio.sleep(0.005)
        assert "reload failed unexpectedly" in capsys.readouterr().out

        answer = await daemon.reload()
        assert answer.status_code == 500
        assert "the reload failed unexpectedly: see the log" in answer.text
        assert "not foreseen" not in answer.text

        daemon.defect = None
        daemon.write(account(), query() + query("new", "[2]"))
        daemon.hangup.set()
        await daemon.polled("new")


async def test_a_watch_that_fails_is_started_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failures = [RuntimeError("can't start new thread")]

    async def watch(daemon: Daemon) -> None:
        if failures:
            raise failures.pop()
        daemon.write(account(), query() + query("new", "[2]"))
        daemon.hangup.set()

    async with served(tmp_path, account(), query(), watch=watch) as daemon:
        await daemon.polled("new")

    assert "background task failed" in capsys.readouterr().out


async def test_a_query_that_loses_its_search_keeps_its_other_numbers(tmp_path: Path) -> None:
    async with served(tmp_path, account(), query(media="{search: {status: [Normal]}}")) as daemon:
        await daemon.polled("q")
        assert await daemon.series("discover")
        before = await daemon.series("^aliyun_vod_query_(up|polls_total|last_success|poll_duration)")
        daemon.simulator.change(faults=(STALL,))

        await daemon.reloaded(account(), query(media="{top: 5}"))

        assert not await daemon.series("discover")
        assert await daemon.series("^aliyun_vod_query_(up|polls_total|last_success|poll_duration)") == before
        assert await daemon.series("next_poll")


async def test_failures_of_what_is_no_longer_requested_are_forgotten(tmp_path: Path) -> None:
    forbidden = tuple(
        Fault("Forbidden.RAM", when={"Action": each}) for each in ("SearchMedia", "GetVideoInfos", "GetCategories")
    )
    settings = SimulatorOptions(media=20, conditions=Conditions(faults=forbidden))
    accounts = account(more=", metadata: {labels: [category]}") + account("other")
    queries = query() + query("moved", media="{search: {status: [Normal]}}")

    async def failures(daemon: Daemon) -> list[str]:
        attention = (await daemon.http.get("/api/v1/status")).json()["attention"]
        return [f"{each['subject']}: {each['detail']}" for each in attention if each["trouble"] == "metadata"]

    async with served(tmp_path, accounts, queries, settings=settings) as daemon:
        await daemon.polled("q")
        await daemon.polled("moved", result="failure")
        while len(await failures(daemon)) < 2:
            await asyncio.sleep(0.005)
        daemon.simulator.change(faults=())

        await daemon.reloaded(
            account() + account("other"), query() + query("moved", media="{search: {status: [Normal]}}", of="other")
        )
        await daemon.polled("moved")

        assert await failures(daemon) == []
