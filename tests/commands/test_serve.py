from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from exporter.cli import main
from exporter.commands.serve import Hangups

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def hangups_as_before() -> Iterator[None]:
    """The command takes SIGHUP for good; the tests' own process must not."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--shard=3", "--total-shards=3"], "--shard=3: shards are counted from 0, with --total-shards=3 from 0 to 2"),
        (["--shard=1"], "--shard=1: shards are counted from 0, with --total-shards=1 from 0 to 0"),
        (["--total-shards=0"], "--total-shards=0: must be 1 to 1000"),
        (["--total-shards=1001"], "--total-shards=1001: must be 1 to 1000"),
    ],
)
def test_shards_that_there_are_not_are_refused(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *flags], {}) == 2
    assert capsys.readouterr().err == f"aliyun-vod-exporter: {told}\n"


def test_shards_are_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--shard=-1"], {})
    assert "'-1' is not a whole number from 0" in capsys.readouterr().err


async def test_a_hangup_before_there_is_a_loop_is_not_forgotten() -> None:
    early, late = Hangups(), Hangups()
    early.hung_up()

    assert early.told().is_set()
    told = late.told()
    assert not told.is_set()
    late.hung_up()
    await asyncio.wait_for(told.wait(), 300)


def test_a_hangup_after_the_loop_has_ended_is_nothing() -> None:
    hangups = Hangups()

    async def serve() -> None:
        hangups.told()

    asyncio.run(serve())
    hangups.hung_up()
