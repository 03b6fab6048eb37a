"""Player metrics from a simulated service to the exposition, with every form that is not documented."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from exporter.account_credentials import credential_source
from exporter.accounts import Accounts
from exporter.called_actions import called_actions
from exporter.config.loader import loads
from exporter.core.sharding import WHOLE, Shard
from exporter.exposition.negotiation import respond
from exporter.exposition.render import Renderer
from exporter.exposition.telemetry import Telemetry
from exporter.player_polls import PlayerPolls
from exporter.reload import ScheduleChanges, schedule_changes
from exporter.replica import ReplicaConfig, replica_config
from exporter.simulator.faults import Fault
from exporter.simulator.options import Conditions, SimulatorOptions
from exporter.simulator.variants import CHOICES, Variants, parse_variants
from tests.exposition.examples import publication
from tests.harness import Clock, simulated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from exporter.simulator.service import Simulator

TEXT = """
accounts:
  - name: main
    endpoint: ENDPOINT
    credentials: {access_key_id: simulator, access_key_secret: simulator-secret}
    limits: {LIMITS}
queries:
  - {name: q, media: {ids: [m1]}, days_ago: [1], every: 1h, expected: false}
"""
PLAYER = "player: [{name: app, terminal_type: web}]\n"
OF_PLAYERS = (
    "numbers",
    "player_lag",
    "player_growth",
    "empty_buckets",
    "unready_buckets",
    "bucket_gaps",
    "bucket_order",
    "dimension",
    "unasked_metrics",
    "extend",
)


@dataclass
class Setup:
    """What polls players, its exposition, the simulator and their clock."""

    player: PlayerPolls
    telemetry: Telemetry
    replica: ReplicaConfig
    accounts: Accounts
    simulator: Simulator
    clock: Clock

    async def poll(self, times: int = 1, *, apart: float = 300.0) -> None:
        for _ in range(times):
            self.clock.at += apart
            for query in self.replica.player_queries:
                await self.player.poll(query)

    def series(self) -> dict[str, float]:
        body = respond(Renderer().render(publication()), self.telemetry).body.decode()
        lines = [line.rpartition(" ") for line in body.splitlines() if line.startswith("aliyun_vod_player_")]
        return {name.removeprefix("aliyun_vod_player_"): float(value) for name, _, value in lines}

    def value(self, name: str, *, ago: str = "", os: str = "all") -> float | None:
        for series, value in self.series().items():
            labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
            if series.startswith(f"{name}{{") and labels["os"] == os and labels.get("ago", "") == ago:
                return value
        return None


def config_of(url: str, player: str = PLAYER, limits: str = "requests_per_second: 1000") -> ReplicaConfig:
    text = TEXT.replace("ENDPOINT", url).replace("LIMITS", limits) + player
    return replica_config(loads(text, file="config.yaml", environ={}), WHOLE)


@contextlib.asynccontextmanager
async def setup(
    player: str = PLAYER, limits: str = "requests_per_second: 1000", **options: object
) -> AsyncGenerator[Setup]:
    clock = Clock()
    async with simulated(replace(SimulatorOptions(media=100), **options), clock) as (simulator, url):  # type: ignore[arg-type]
        replica = config_of(url, player, limits)
        holder: list[PlayerPolls] = []
        telemetry = Telemetry(
            version="1",
            accounts=called_actions(replica.config),
            queries=[("main", "q")],
            monotonic=clock.now,
            player_views=lambda: holder[0].views() if holder else (),
        )

        async with Accounts(
            lambda account: credential_source(account, {}, not_yet=lambda _: None),
            meter=telemetry,
            now=clock.now,
            monotonic=clock.now,
            sleep=clock.sleep,
        ) as accounts:
            async with accounts.opened(replica.accounts) as opened:
                accounts.adopt(opened)
            polls = PlayerPolls(telemetry, now=clock.now, monotonic=clock.now)
            polls.reconfigure(replica, accounts)
            holder.append(polls)
            yield Setup(polls, telemetry, replica, accounts, simulator, clock)


async def test_the_newest_complete_bucket_and_the_same_earlier_are_exposed() -> None:
    async with setup() as running:
        await running.poll()
        assert running.value("plays") is None
        assert running.value("up") == 1
        await running.poll(2)
        plays, yesterday, week = (running.value("plays", ago=ago) for ago in ("", "1d", "7d"))
        assert plays
        assert yesterday
        assert week
        assert running.value("started_plays") == pytest.approx(plays / 1.025, rel=0.02)
        assert 0 <= (running.value("play_failure_ratio") or 0) < 0.1
        assert 0.1 < (running.value("first_frame_seconds") or 0) < 5
        start = running.value("bucket_timestamp_seconds")
        assert start is not None
        # 10 minutes of lag, and one bucket with later data.
        assert start + 300 + 600 + 300 <= running.clock.at
        assert running.clock.at - start < 1_800
        assert running.value("data_lag_seconds") == pytest.approx(running.clock.at - start - 600, abs=1)


async def test_without_players_nothing_is_called_and_exposed() -> None:
    async with setup(player="") as running:
        body = respond(Renderer().render(publication()), running.telemetry).body.decode()
        assert "player" not in body.lower()
        assert not running.player.jobs(running.replica)
        assert list(called_actions(running.replica.config)["main"]) == ["DescribeVodMediaPlayData"]


async def series_with(variants: Variants) -> tuple[dict[str, float], str]:
    async with setup(conditions=Conditions(variants=variants)) as running:
        await running.poll(3)
        return running.series(), running.player.views()[0].error


async def test_every_undocumented_form_gives_the_same_numbers_or_none() -> None:
    expected, _ = await series_with(Variants())
    assert any(name.startswith("plays") for name in expected)
    for variant in (f"{name}:{value}" for name in OF_PLAYERS for value in CHOICES[name][1:]):
        found, error = await series_with(parse_variants([variant]))
        if variant == "dimension:several":
            assert not any(name.startswith(("plays", "bucket_timestamp")) for name in found)
            assert "cannot be distinguished" in error
        elif variant in {"player_lag:none", "player_lag:6h", "bucket_gaps:some", "player_growth:late"}:
            # Another bucket, of the same kind.
            assert {name.partition("{")[0] for name in found} == {name.partition("{")[0] for name in expected}, variant
        else:
            assert found == expected, variant


async def test_a_lag_of_six_hours_is_measured_and_zeros_until_then_are_no_plays() -> None:
    variants = Variants(player_lag="6h", unready_buckets="zero", extend="absent")
    async with setup(conditions=Conditions(variants=variants)) as running:
        await running.poll(3)
        assert running.value("data_lag_seconds") == pytest.approx(6 * 3_600, abs=600)
        assert running.value("plays")
        lag = running.value("data_lag_seconds")
        running.clock.at += 1_000
        assert lag is not None
        assert running.value("data_lag_seconds") == pytest.approx(lag + 1_000)


async def test_buckets_that_grow_are_published_later_and_never_too_small() -> None:
    async with setup(conditions=Conditions(variants=Variants(player_growth="late"))) as running:
        await running.poll(3)
        start, plays = running.value("bucket_timestamp_seconds"), running.value("plays")
        assert start is not None
        # Half an hour of growth after the lag.
        assert running.clock.at - start >= 600 + 1_800
        running.simulator.change(variants=Variants())
        history = running.player._histories[running.replica.player_queries[0].targets[0]]  # noqa: SLF001
        await running.poll(2)
        later = running.player._histories[running.replica.player_queries[0].targets[0]]  # noqa: SLF001
        assert later.calls[0].confirmed[int(start)][0] == plays == history.calls[0].confirmed[int(start)][0]


async def test_a_refused_permission_ends_the_poll_of_all_targets() -> None:
    async with setup(player="player: [{name: app}]\n") as running:
        await running.poll(3)
        plays = running.value("plays")
        running.simulator.change(faults=(Fault("Forbidden.RAM", when={"Action": "DescribeVodPlayerMetricData"}),))
        running.simulator.request_log.clear()
        await running.poll()
        assert len(running.simulator.request_log.calls) == 1
        assert running.value("plays") == plays
        assert [(view.up, view.error.partition(":")[0]) for view in running.player.views()] == [
            (False, "Forbidden.RAM")
        ] * 2


async def test_play_data_keeps_the_calls_that_it_needs() -> None:
    # 12:00 UTC+8: half of the day is left.
    async with setup(limits="requests_per_second: 1000, calls_per_day: 60") as running:
        await running.poll(40)
        limits = next(iter(running.accounts._in_use.values())).limits  # noqa: SLF001 - what is left
        needed = next(iter(running.accounts._in_use.values())).separate_limits.needed  # noqa: SLF001
        assert needed is not None
        assert limits.calls_remaining == needed
        assert running.value("up") == 0
        assert "kept for play data" in running.player.views()[0].error


async def test_a_clock_that_is_set_gives_no_bucket_before_it_is_over() -> None:
    async with setup(conditions=Conditions(variants=Variants(player_lag="none"))) as running:
        service = running.clock.at
        for step, error in enumerate((0, 600, 600, 600, -600, 600)):
            service += 300
            running.clock.at = service + error
            running.simulator.change(clock_offset=-float(error))
            await running.player.poll(running.replica.player_queries[0])
            start = running.value("bucket_timestamp_seconds")
            assert start is None or start + 300 <= service, step


def test_changed_queries_are_interrupted_and_polled_now() -> None:
    before = config_of(
        "http://127.0.0.1:1", "player: [{name: a, terminal_type: web}, {name: b, terminal_type: mobile}]\n"
    ).player_queries
    after = config_of(
        "http://127.0.0.1:1", "player: [{name: a, terminal_type: web, every: 10m}, {name: c, terminal_type: mobile}]\n"
    ).player_queries
    nothing = ScheduleChanges(frozenset(), frozenset())
    assert schedule_changes(before, before, reconnected=(), due=()) == nothing
    assert schedule_changes(before, after, reconnected=(), due=()) == ScheduleChanges(frozenset("b"), frozenset("c"))
    assert schedule_changes(before, after, reconnected=["main"], due=()).interrupted == {"a", "b"}
    assert schedule_changes(before, after, reconnected=(), due=["main"]).due == {"a", "c"}


def test_each_query_is_polled_by_one_replica() -> None:
    config = config_of(
        "http://127.0.0.1:1", "player: [{name: a, terminal_type: web}, {name: b, terminal_type: mobile}]\n"
    ).config
    names = [query.name for number in range(3) for query in replica_config(config, Shard(number, 3)).player_queries]
    assert sorted(names) == ["a", "b"]
