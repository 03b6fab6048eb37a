from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from exporter.commands.loop_signals import reload_on_hangup, run_interruptible, stop_on_signal
from exporter.signals import PROCESS, STOP

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """The test process has its signal handlers back after each test."""
    before = [signal.getsignal(number) for number in (*STOP, signal.SIGHUP)]
    yield
    assert [signal.getsignal(number) for number in (*STOP, signal.SIGHUP)] == before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("number", STOP)
def test_a_signal_sets_the_event_of_a_loop_that_waits_for_nothing_else(number: int) -> None:
    async def stopped() -> None:
        async with stop_on_signal() as stop:
            os.kill(os.getpid(), number)
            await stop.wait()

    asyncio.run(stopped())


def test_more_signals_than_the_loop_can_be_woken_by_are_one() -> None:
    async def stopped() -> bool:
        async with stop_on_signal() as stop:
            for _ in range(2000):
                os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
        return stop.is_set()

    assert asyncio.run(stopped())


def test_every_hangup_sets_the_event_again() -> None:
    async def hung_up() -> None:
        async with stop_on_signal():
            with reload_on_hangup() as reload_requested:
                assert not reload_requested.is_set()
                for _ in range(2):
                    os.kill(os.getpid(), signal.SIGHUP)
                    await reload_requested.wait()
                    reload_requested.clear()

    asyncio.run(hung_up())


def test_a_hangup_before_there_is_a_loop_is_not_forgotten() -> None:
    PROCESS.hang_up()

    async def requested_at_start() -> bool:
        with reload_on_hangup() as reload_requested:
            return reload_requested.is_set()

    assert asyncio.run(requested_at_start())
    assert not asyncio.run(requested_at_start())


def test_a_signal_after_the_loop_has_ended_is_nothing() -> None:
    async def handlers_restored() -> None:
        with reload_on_hangup():
            kept_for_later.append(PROCESS.on_hangup)

    kept_for_later: list[object] = []
    asyncio.run(handlers_restored())
    (late,) = kept_for_later
    assert callable(late)
    late()


def test_a_signal_during_the_creation_of_the_loop_ends_the_command_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    create = asyncio.events.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        os.kill(os.getpid(), signal.SIGINT)
        loops.append(create())
        return loops[0]

    monkeypatch.setattr(asyncio.events, "new_event_loop", new_event_loop)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_interruptible(asyncio.sleep(60))
    finally:
        signal.signal(signal.SIGINT, before)
    assert [loop.is_closed() for loop in loops] == [True]
