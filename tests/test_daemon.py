from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Never

import pytest

from exporter.config.loader import loads
from exporter.core.model import Page, RowProblem
from exporter.core.retry import Retry
from exporter.core.sharding import WHOLE
from exporter.daemon import Daemon
from exporter.discovery.media_discovery import MediaDiscovery
from exporter.exposition.telemetry import Telemetry
from exporter.jobs import poll_id
from exporter.replica import replica_config
from exporter.vod.categories import CategoryPage
from tests.core.fake_service import (
    YESTERDAY,
    FakeService,
    failure,
    row,
    rows,
)
from tests.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config.schema import Config
    from exporter.core.poller import Poller
    from exporter.vod.actions import Action

CONFIG = loads(
    "queries: [{name: q, account: main, media: all, days_ago: 1, expected: false}]\n"
    "accounts: [{name: main}]\nseries_limit: 50",
    file="",
    environ={},
)


(METADATA_ACCOUNT,) = loads(
    "queries: [{name: q, media: all}]\naccounts: [{name: main, metadata: {labels: category}}]", file="", environ={}
).accounts


def exporter(service: FakeService, poll_timeout: float = 60.0, config: Config = CONFIG) -> Daemon:
    def uncalled(account: str) -> Never:
        raise AssertionError(account)

    def now() -> float:
        return service.now

    telemetry = Telemetry(version="1", accounts={"main": {}}, queries=[("main", "q")])
    poller: Poller = service.poller()
    discovery = MediaDiscovery(client=uncalled, limits=uncalled, meter=telemetry, now=now, sleep=asyncio.sleep)
    replica = replica_config(config, WHOLE)
    return Daemon(replica, poller, telemetry, now, discovery=discovery, poll_timeout=poll_timeout)


class Categories:
    """A client that answers GetCategories once its gate is open."""

    max_in_flight = 1

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.gate = asyncio.Event()
        self.calls_remaining = None

    async def call(self, _: Action[Any], __: Mapping[str, str]) -> Any:
        self.requested.set()
        await self.gate.wait()
        return CategoryPage((), frozenset(), 0, listed=0)


async def test_media_that_are_published_during_the_first_refresh_of_metadata_are_looked_up_soon_after() -> None:
    config = CONFIG.model_copy(update={"accounts": (METADATA_ACCOUNT,)})
    service, client = FakeService(), Categories()
    service.put([row("a")])
    telemetry = Telemetry(version="1", accounts={"main": {}}, queries=[("main", "q")])
    discovery = MediaDiscovery(
        client=lambda _: client, limits=lambda _: client, meter=telemetry, now=lambda: service.now, sleep=asyncio.sleep
    )
    polling_daemon = Daemon(
        replica_config(config, WHOLE), service.poller(), telemetry, lambda: service.now, discovery=discovery
    )

    refreshed = asyncio.create_task(polling_daemon.discovery.refresh_metadata("main"))
    await client.requested.wait()
    await polling_daemon.poll(polling_daemon.queries[0])
    assert polling_daemon.pending_queries() == []
    client.gate.set()

    assert await refreshed == Retry(service.now + 5.0)


async def samples(polling_daemon: Daemon, start: str) -> dict[str, float]:
    body = (await polling_daemon.scrape(None, None)).body.decode()
    lines = [line.rpartition(" ") for line in body.splitlines() if line.startswith(start)]
    return {name: float(value) for name, _, value in lines}


def test_a_poll_that_hangs_is_given_up_as_a_failure_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    in_virtual_time(monkeypatch, lambda _: a_poll_that_hangs())


async def a_poll_that_hangs() -> None:
    service = FakeService(gate=asyncio.Event())
    service.put([row("a")])
    assert service.gate
    polling_daemon = exporter(service, poll_timeout=60.0)

    assert await polling_daemon.poll(polling_daemon.queries[0]) == Retry()

    assert (await samples(polling_daemon, "aliyun_vod_query_polls_total"))[
        'aliyun_vod_query_polls_total{account="main",query="q",result="failure"}'
    ] == 1
    assert polling_daemon.pending_queries() == []
    service.gate.set()
    await polling_daemon.poll(polling_daemon.queries[0])
    assert await samples(polling_daemon, "aliyun_vod_query_up") == {'aliyun_vod_query_up{account="main",query="q"}': 1}


async def test_a_poll_that_was_due_while_the_last_one_ran_is_counted_as_skipped() -> None:
    polling_daemon = exporter(FakeService())

    polling_daemon.states.run_skipped(poll_id("q"))
    polling_daemon.states.next_run(poll_id("q"), 1234.0)

    assert (await samples(polling_daemon, "aliyun_vod_query_polls_total"))[
        'aliyun_vod_query_polls_total{account="main",query="q",result="skipped"}'
    ] == 1
    assert list((await samples(polling_daemon, "aliyun_vod_query_next_poll")).values()) == [1234]


async def test_series_beyond_the_limit_are_logged_once_and_counted_always(capsys: pytest.CaptureFixture[str]) -> None:
    service = FakeService()
    service.put(rows(30), YESTERDAY)
    polling_daemon = exporter(service)

    for _ in range(3):
        await polling_daemon.poll(polling_daemon.queries[0])
        service.now += 900

    assert capsys.readouterr().out.count("series limit exceeded") == 1
    counted = await samples(polling_daemon, "aliyun_vod_exporter_series")
    assert counted == {"aliyun_vod_exporter_series": 48, "aliyun_vod_exporter_series_dropped": 42}


async def test_rows_that_the_service_counts_but_does_not_list_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    service = FakeService()
    service.totals[service.put(rows(3))] = 5
    polling_daemon = exporter(service)

    await polling_daemon.poll(polling_daemon.queries[0])

    assert "incomplete listing" in capsys.readouterr().out


async def test_values_that_cannot_be_used_are_counted_by_field_and_logged_once_a_poll(
    capsys: pytest.CaptureFixture[str],
) -> None:
    service = FakeService()
    service.put([row("a", 50), row("a", 27), row("b", 5)])
    page = service.page

    async def odd(*args: Any, **kwargs: Any) -> Page:
        problems = (RowProblem("PlaySuccessVv", "missing", "b", 2), RowProblem("DAU", "negative", "a"))
        return replace(await page(*args, **kwargs), problems=problems)

    service.page = odd  # type: ignore[method-assign]
    polling_daemon = exporter(service)

    for _ in range(2):
        await polling_daemon.poll(polling_daemon.queries[0])
        service.now += 900

    counted = {
        name: value for name, value in (await samples(polling_daemon, "aliyun_vod_api_invalid_values")).items() if value
    }
    assert counted == {
        'aliyun_vod_api_invalid_values_total{account="main",field="MediaId"}': 2,
        'aliyun_vod_api_invalid_values_total{account="main",field="DAU"}': 2,
        'aliyun_vod_api_invalid_values_total{account="main",field="PlaySuccessVv"}': 4,
    }
    (line, _) = [line for line in capsys.readouterr().out.splitlines() if "invalid values" in line]
    assert "PlaySuccessVv: missing (2, first of media b); DAU: negative (1, first of media a);" in line
    assert "MediaId: several rows with different numbers" in line


async def test_the_status_contains_the_configuration_and_the_data() -> None:
    service = FakeService()
    service.put([row("a")])
    polling_daemon = exporter(service)
    before = await polling_daemon.status()
    polling_daemon.states.next_run(poll_id("q"), 1234.0)
    await polling_daemon.poll(polling_daemon.queries[0])

    after = await polling_daemon.status()

    assert (before.pending_queries, before.reports, before.next_polls) == (("q",), (), {})
    assert (after.pending_queries, after.next_polls) == ((), {"q": 1234.0})
    assert [report.query.name for report in after.reports] == ["q"]
    assert [published.slice.account for published in after.publication.slices] == ["main"]
    assert after.snapshot is polling_daemon.poller.snapshot
    assert [(account.name, account.credentials) for account in after.accounts] == [("main", "default")]
    assert (after.settings.series_limit, after.settings.storage_retention) == (50, None)
    assert "aliyun_vod_query_polls_total" in {number.name for number in after.numbers}


@pytest.mark.parametrize(("calls_per_day", "wait"), [(0, 0), (1_000, 4 * 86_400 / 100)])
async def test_a_failed_poll_is_to_be_repeated_within_a_share_of_the_calls_of_the_day(
    calls_per_day: int, wait: float
) -> None:
    service = FakeService(refuse=lambda *_: failure())
    text = "queries: [{name: q, media: all, days_ago: 1, expected: false}]\n"
    text += f"accounts: [{{name: main, limits: {{calls_per_day: {calls_per_day}}}}}]\n"
    polling_daemon = exporter(service, config=loads(text, file="", environ={}))

    assert await polling_daemon.poll(polling_daemon.queries[0]) == Retry(service.now + wait if wait else 0.0)
    assert [query.name for query in polling_daemon.states.failed()] == ["q"]

    service.refuse = lambda *_: None
    assert await polling_daemon.poll(polling_daemon.queries[0]) is None
    assert polling_daemon.states.failed() == ()
