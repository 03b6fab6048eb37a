from __future__ import annotations

import asyncio
import threading

import pytest

from exporter.threads import SharedThreads, run_in_daemon_thread


async def test_the_result_and_the_exception_of_the_work_are_those_of_the_call() -> None:
    assert await run_in_daemon_thread(lambda: 42, "work") == 42
    with pytest.raises(ZeroDivisionError):
        await run_in_daemon_thread(lambda: 1 // 0, "work")


async def test_the_thread_is_no_reason_to_wait() -> None:
    assert await run_in_daemon_thread(lambda: threading.current_thread().daemon, "work")
    assert await run_in_daemon_thread(lambda: threading.current_thread().name, "some work") == "some work"


def test_a_loop_ends_while_the_work_goes_on() -> None:
    ended, begun, done = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        ended.wait(60)
        done.set()

    async def main() -> None:
        task = asyncio.create_task(run_in_daemon_thread(hang, "hanging"))
        while not begun.is_set():
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    assert not done.is_set(), "the loop did not wait for it"
    ended.set()
    assert done.wait(60)


async def test_whoever_asks_meanwhile_gets_the_same_result_and_nothing_runs_twice() -> None:
    shared: SharedThreads[int] = SharedThreads()
    go, runs = threading.Event(), 0

    def work() -> int:
        nonlocal runs
        runs += 1
        go.wait(60)
        return runs

    calls = [asyncio.create_task(shared.run("key", work, "work")) for _ in range(20)]
    other = asyncio.create_task(shared.run("other", lambda: 7, "other"))
    assert await other == 7, "another key waits for nobody"
    calls[0].cancel()
    await asyncio.sleep(0)
    late = asyncio.create_task(shared.run("key", work, "work"))
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*calls[1:], late) == [1] * 20
    assert await shared.run("key", work, "work") == 2, "what has ended is run again"


async def test_a_failure_that_nobody_waits_for_any_more_is_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    shared: SharedThreads[None] = SharedThreads()
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


@pytest.mark.parametrize("raised", [StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_whatever_the_work_raises_its_caller_is_not_left_waiting(raised: type[BaseException]) -> None:
    shared: SharedThreads[None] = SharedThreads()

    def fail() -> None:
        raise raised

    with pytest.raises(RuntimeError, match=f"^{raised.__name__} in a thread$"):
        await shared.run("key", fail, "failing")


async def test_without_a_thread_the_caller_gets_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    shared: SharedThreads[int] = SharedThreads()

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(OSError, match="no thread can be started"):
            await shared.run("key", lambda: 1, "work")
    assert await shared.run("key", lambda: 2, "work") == 2
