from __future__ import annotations

import asyncio
import errno
import threading
import time

import pytest

from exporter import threads
from exporter.threads import DaemonThread, in_time, run_in_daemon_thread


async def test_the_result_and_the_exception_of_the_work_are_those_of_the_call() -> None:
    assert await run_in_daemon_thread(lambda: 42, "work") == 42
    with pytest.raises(ZeroDivisionError):
        await run_in_daemon_thread(lambda: 1 // 0, "work")


async def test_the_thread_is_no_reason_to_wait() -> None:
    assert await run_in_daemon_thread(lambda: threading.current_thread().daemon, "work")
    assert await run_in_daemon_thread(lambda: threading.current_thread().name, "some work") == "some work"


def test_a_loop_ends_while_the_work_goes_on() -> None:
    ended, started, done = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        ended.wait(60)
        done.set()

    async def main() -> None:
        task = asyncio.create_task(run_in_daemon_thread(hang, "hanging"))
        while not started.is_set():
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    assert not done.is_set(), "the loop did not wait for it"
    ended.set()
    assert done.wait(60)


@pytest.mark.parametrize("raised", [StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_whatever_the_work_raises_its_caller_is_not_left_waiting(raised: type[BaseException]) -> None:
    def fail() -> None:
        raise raised

    with pytest.raises(RuntimeError, match=f"^{raised.__name__} in a thread$"):
        await run_in_daemon_thread(fail, "failing")


async def test_without_a_thread_the_caller_gets_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(OSError, match="no thread can be started"):
            await run_in_daemon_thread(lambda: 1, "work")
    assert await run_in_daemon_thread(lambda: 2, "work") == 2


def test_work_that_returns_in_time_is_as_without_a_thread() -> None:
    def late() -> None:
        raise TimeoutError(errno.ETIMEDOUT, "the server's own")

    for _ in range(20):
        assert in_time(lambda: 42, "key") == 42
        with pytest.raises(ZeroDivisionError):
            in_time(lambda: 1 // 0, "key")
        with pytest.raises(TimeoutError, match="the server's own"):
            in_time(late, "key")


def test_work_that_does_not_return_is_an_error_and_takes_a_bounded_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "FILE_SECONDS", 0.01)
    released, before = threading.Event(), threading.active_count()
    for n in range(20):
        with pytest.raises(OSError, match="its file system does not respond") as caught:
            in_time(lambda: released.wait(60), "a file")
        assert (caught.value.errno, ": no response within 0.01 s" in str(caught.value)) == (errno.ETIMEDOUT, n < 6)
    assert threading.active_count() == before + 6
    monkeypatch.undo()
    assert in_time(lambda: 42, "another file") == 42
    released.set()
    while threading.active_count() > before:
        time.sleep(0.001)
    assert in_time(lambda: 42, "a file") == 42


def test_without_a_thread_the_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    for _ in range(10):
        assert in_time(lambda: 42, "key") == 42


def test_a_daemon_thread_runs_functions_one_after_another_and_delays_no_exit() -> None:
    released = threading.Event()
    with DaemonThread("serial") as thread:
        hanging = thread.submit(released.wait, 60)
        cancelled = thread.submit(lambda: pytest.fail("it was cancelled"))
        failing = thread.submit(lambda: 1 // 0)
        name = thread.submit(lambda: threading.current_thread().name)
        assert cancelled.cancel()
    assert not name.done()

    released.set()
    assert hanging.result(60)
    with pytest.raises(ZeroDivisionError):
        failing.result(60)
    assert name.result(60) == "serial"


def test_a_daemon_thread_that_cannot_be_started_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OSError, match="no thread can be started"):
        DaemonThread("serial")
