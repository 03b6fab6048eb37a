from __future__ import annotations

import asyncio
import gc
import ssl
from typing import TYPE_CHECKING

import pytest

from exporter.accounts import Accounts
from exporter.config.loader import loads
from exporter.errors import StartError
from exporter.vod.credentials.sources import EnvCredentials
from tests.harness import CONFIGURATION, Clock, running_harness
from tests.vod.fakes import FakeMeter

if TYPE_CHECKING:
    from exporter.config.accounts import AccountSettings
    from exporter.vod.credentials.sources import CredentialSource

BAD = """  - name: bad
    endpoint: ENDPOINT
    credentials: {access_key_id: simulator, access_key_secret: wrong}
    limits: {requests_per_second: 1000, concurrency: 8}
queries:
  - {name: theirs, account: bad, media: all, days_ago: [0, 1, 2], every: 15m, expected: false}
"""


def settings(*texts: str) -> tuple[AccountSettings, ...]:
    accounts = "".join(f"  - {{{text}}}\n" for text in texts)
    text = f"accounts:\n{accounts}queries: [{{name: q, media: all, account: a}}]"
    return loads(text, file="", environ={}).accounts


async def keys(account: AccountSettings) -> CredentialSource:
    if account.credentials.access_key_id is not None:
        raise StartError(f"account {account.name}: no")
    return EnvCredentials({})


async def test_the_calls_left_are_those_of_the_new_day_from_midnight_on() -> None:
    text = CONFIGURATION.replace("concurrency: 8", "concurrency: 8, calls_per_day: 5")
    async with running_harness(text=text) as harness:
        await harness.poll()
        assert list((await harness.series("calls_remaining")).values()) == [4]

        harness.clock.at += 12 * 3600
        assert list((await harness.series("calls_remaining")).values()) == [5]


async def test_one_account_with_a_wrong_key_neither_slows_nor_stops_another() -> None:
    calls: dict[str, int] = {}
    both = CONFIGURATION.replace("queries:\n", BAD).replace("name: q,", "name: q, account: main,")
    for name, text in (("alone", CONFIGURATION), ("both", both)):
        clock = Clock()
        async with running_harness(text=text, clock=clock, days_ago="[0, 1, 2]") as harness:
            for poll in range(10):
                clock.at += 900
                await asyncio.gather(*map(harness.exporter.poll, harness.exporter.queries))
                good = await harness.series('polls_total{.*query="q",result="success"')
                assert list(good.values()) == [poll + 1]
            calls[name] = sum(call.outcome == "OK" for call in harness.simulator.request_log.calls)
            if name == "both":
                results = {report.query.name: report.result for report in harness.exporter.reports()}
                assert results["q"] == "success"
                assert results["theirs"] != "success"
                failed = await harness.series('errors_total.*account="(bad|main)".*kind="auth"')
                assert sum(value for series, value in failed.items() if "bad" in series) == 3 + 9, (
                    "once for each slice, then a probe for each poll"
                )
                assert sum(value for series, value in failed.items() if "main" in series) == 0
                assert not await harness.series('^aliyun_vod_media.*account="bad"')

    assert calls["both"] == calls["alone"] > 0


async def test_the_keys_of_all_accounts_are_read_at_the_same_time() -> None:
    """Files on a file system that does not respond take ten seconds each."""
    reading = asyncio.Barrier(3)

    async def wait(account: AccountSettings) -> CredentialSource:
        del account
        await reading.wait()
        return EnvCredentials({})

    async with (
        asyncio.timeout(60),
        Accounts(wait, meter=FakeMeter()) as accounts,
        accounts.opened(settings("name: a", "name: b", "name: c")) as opened,
    ):
        assert list(opened) == ["a", "b", "c"]


async def test_what_stays_the_same_is_the_same_object() -> None:
    async with Accounts(keys, meter=FakeMeter()) as accounts:
        async with accounts.opened(settings("name: a", "name: b", "name: c")) as first:
            accounts.adopt(first)
        before = accounts.sources

        changed = settings("name: a, limits: {concurrency: 9}", "name: b, timeout: 3s", "name: d")
        async with accounts.opened(changed) as second:
            accounts.adopt(second)

        assert accounts.settings == changed
        assert accounts.sources.keys() == {"a", "b", "d"}
        assert accounts.sources["a"] is before["a"]
        assert accounts.sources["b"] is not before["b"]


async def test_what_was_opened_in_vain_leaves_no_trace() -> None:
    meter = FakeMeter()
    async with Accounts(keys, meter=meter) as accounts:
        async with accounts.opened(settings("name: a")) as first:
            accounts.adopt(first)
        before, rates_before = accounts.sources, list(meter.rates)
        assert rates_before == [5.0]

        refused = settings(
            "name: a, limits: {requests_per_second: 1}",
            "name: b",
            "name: c, credentials: {access_key_id: k, access_key_secret: s}",
        )
        with pytest.raises(StartError, match="account c: no"):
            async with accounts.opened(refused):
                pass
        async with accounts.opened(settings("name: a", "name: b")):
            pass  # not adopted

        assert accounts.sources == before
        assert meter.rates == rates_before
        assert meter.accounts == {"a"}


def contexts() -> list[ssl.SSLContext]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, ssl.SSLContext)]


async def test_certificate_authorities_are_loaded_once_for_all_accounts() -> None:
    before = contexts()  # kept, so that those of other tests do not disappear meanwhile
    async with Accounts(keys, meter=FakeMeter()) as accounts:
        async with accounts.opened(settings("name: a", "name: b", "name: c")) as wanted:
            accounts.adopt(wanted)
        assert len(contexts()) == len(before) + 1
