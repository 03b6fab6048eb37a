from __future__ import annotations

import asyncio
import threading

import pytest

from exporter.single_flight import SharedRun, SharedThreads


class Work:
    """Work that ends when the test releases it, and returns its number or raises `error`."""

    def __init__(self) -> None:
        self.started = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.started += 1
        number = self.started
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return number

    async def until(self, started: int) -> None:
        while self.started < started:
            await asyncio.sleep(0)


async def test_callers_share_a_run_that_began_after_their_calls() -> None:
    work = Work()
    shared = SharedRun(work)
    first = asyncio.create_task(shared())
    await work.until(1)
    late = [asyncio.create_task(shared()) for _ in range(10)]
    await asyncio.sleep(0)
    work.go.set()

    assert await first == 1
    assert await asyncio.gather(*late) == [2] * 10
    assert await shared() == 3


async def test_after_a_cancelled_or_failed_run_the_next_caller_runs_it_again() -> None:
    work = Work()
    shared = SharedRun(work)
    cancelled = asyncio.create_task(shared())
    await work.until(1)
    late = asyncio.create_task(shared())
    await asyncio.sleep(0)
    cancelled.cancel()
    await work.until(2)
    work.error = ValueError()
    work.go.set()
    with pytest.raises(ValueError, match=r"^$"):
        await late

    work.error = None
    assert await shared() == 3


async def test_concurrent_callers_share_one_run_and_its_result() -> None:
    shared: SharedThreads[int] = SharedThreads(most=1, kept=0.0)
    go, runs = threading.Event(), 0

    def work() -> int:
        nonlocal runs
        runs += 1
        go.wait(60)
        return runs

    calls = [asyncio.create_task(shared.run("key", work, "work")) for _ in range(20)]
    other = asyncio.create_task(shared.run("other", lambda: 7, "other"))
    assert await other == 7, "another key does not wait"
    calls[0].cancel()
    await asyncio.sleep(0)
    late = asyncio.create_task(shared.run("key", work, "work"))
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*calls[1:], late) == [1] * 20
    assert await shared.run("key", work, "work") == 2, "what has ended is run again"


async def test_a_failure_without_waiting_callers_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    shared: SharedThreads[None] = SharedThreads(most=1, kept=0.0)
    go = threading.Event()

    def fail() -> None:
        go.wait(60)
        raise ValueError

    call = asyncio.create_task(shared.run("key", fail, "failing"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    go.set()
    with pytest.raises(ValueError, match=r"^$"):
        await shared.run("key", fail, "failing")
    assert caplog.text == ""


async def test_callers_that_wait_do_not_continue_one_after_another() -> None:
    work = Work()
    shared = SharedRun(work)
    callers = [asyncio.create_task(shared()) for _ in range(100)]
    await work.until(1)
    work.go.set()
    await callers[0]
    for _ in range(5):  # enough for the second run, which all others share
        await asyncio.sleep(0)
    assert all(caller.done() for caller in callers)
    assert work.started <= 2


async def test_work_that_never_ends_is_started_again_ever_more_rarely_and_not_without_limit() -> None:
    loop, shared = asyncio.get_running_loop(), SharedThreads[str](most=3, kept=0.0)
    go, elapsed = threading.Event(), 0.0

    def hang() -> str:
        go.wait(60)
        return "late"

    async def threads(later: float) -> int:
        """How many there are after a call in vain."""
        nonlocal elapsed
        elapsed += later
        call = asyncio.create_task(shared.run("key", hang, "hanging"))
        for _ in range(3):
            await asyncio.sleep(0)
        call.cancel()
        return [thread.name for thread in threading.enumerate()].count("hanging")

    with pytest.MonkeyPatch.context() as patched:
        now = loop.time
        patched.setattr(loop, "time", lambda: now() + elapsed)
        try:
            assert [await threads(later) for later in (0, 50, 20, 100, 30, 300, 1e6)] == [1, 1, 2, 2, 3, 3, 3]
        finally:
            go.set()
        while await shared.run("key", lambda: "on time", "prompt") == "late":
            pass


@pytest.mark.parametrize(("later", "result"), [(0.0, "late"), (299.0, "late"), (301.0, "anew")])
async def test_a_late_result_is_the_next_callers(later: float, result: str) -> None:
    loop, shared = asyncio.get_running_loop(), SharedThreads[str](most=1, kept=300.0)
    go = threading.Event()

    def slow() -> str:
        go.wait(60)
        return "late"

    call = asyncio.create_task(shared.run("key", slow, "slow"))
    await asyncio.sleep(0)
    call.cancel()
    go.set()
    await shared.run("other", lambda: "other", "other")
    while any(thread.name == "slow" for thread in threading.enumerate()):
        await asyncio.sleep(0)
    for _ in range(10):  # enough for the result to arrive
        await asyncio.sleep(0)
    with pytest.MonkeyPatch.context() as patched:
        now = loop.time
        patched.setattr(loop, "time", lambda: now() + later)
        assert await shared.run("key", lambda: "anew", "anew") == result
        assert await shared.run("key", lambda: "third", "third") == "third", "each result is used once"
        assert await shared.run("other", lambda: "again", "again") == "again", "a result in time is not kept"
