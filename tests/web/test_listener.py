"""Connections are accepted even without free file descriptors, which a fake socket simulates."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from exporter.web.connection_limits import ConnectionLimits
from exporter.web.connection_tracker import ConnectionTracker
from exporter.web.listener import Listener, count_exhaustion
from tests.web.harness import served
from tests.web.test_connection_tracker import FakeClient


@dataclass
class Accepted:
    is_closed: bool = False

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeSocket:
    """Returns the given connections or raises the given errors, in order."""

    outcomes: deque[int | Accepted] = field(default_factory=deque)
    is_closed: bool = False

    def accept(self) -> tuple[Any, tuple[str, int]]:
        outcome = self.outcomes.popleft()
        if isinstance(outcome, int):
            raise OSError(outcome, os.strerror(outcome))
        return outcome, ("127.0.0.1", 1)

    def close(self) -> None:
        self.is_closed = True


def listening(tracker: ConnectionTracker, *outcomes: int | Accepted) -> Listener:
    return Listener(cast("Any", FakeSocket(deque(outcomes))), tracker)


EXHAUSTED = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]


@pytest.mark.parametrize("number", EXHAUSTED)
def test_reserved_descriptors_are_used_for_new_connections(number: int) -> None:
    tracker, idle, scraper = ConnectionTracker(ConnectionLimits()), FakeClient(idle_since=1), Accepted()
    tracker.add(idle)
    door = listening(tracker, number, number, scraper)
    assert door.accept()[0] is cast("Any", scraper)
    assert idle.happened == []
    door.close()


@pytest.mark.parametrize("number", EXHAUSTED)
def test_a_waiting_connection_is_evicted_and_the_new_one_accepted_in_the_next_iteration(number: int) -> None:
    tracker, idle, scraper = ConnectionTracker(ConnectionLimits()), FakeClient(idle_since=1), Accepted()
    tracker.add(idle)
    door = listening(tracker, number, number, number, scraper)

    with pytest.raises(BlockingIOError):
        door.accept()
    assert idle.happened == ["ended"]
    assert door.accept()[0] is cast("Any", scraper)
    door.close()


async def test_a_burst_of_connections_needs_few_descriptors_beyond_the_limit() -> None:
    """Otherwise none is left for the API, whose request would fail and be counted as a failure of the network."""

    def descriptors() -> int:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - the names are only counted

    limits = ConnectionLimits(connections=4, accepted_at_once=1)
    accepted_at_once = limits.accepted_at_once + (sys.version_info >= (3, 14))  # asyncio accepts one more since then
    async with served(None, limits=limits) as (port, _):
        with contextlib.ExitStack() as clients:
            for _ in range(40):
                clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            before, most = descriptors(), 0
            for _ in range(200):
                await asyncio.sleep(0)
                most = max(most, descriptors())
    assert limits.connections <= most - before <= limits.connections + 3 * accepted_at_once


def test_if_nothing_can_be_evicted_asyncio_waits_before_it_tries_again() -> None:
    scraper = Accepted()
    door = listening(ConnectionTracker(ConnectionLimits()), *[errno.ENFILE] * 15, scraper)
    for _ in range(2):
        with pytest.raises(BlockingIOError):  # a connection accepted just now may be evictable in the next iteration
            door.accept()
        with pytest.raises(OSError, match="Too many open files in system"):
            door.accept()
    with pytest.raises(BlockingIOError):  # asyncio tries again before it waits
        door.accept()
    assert door.accept()[0] is cast("Any", scraper)
    door.close()


async def test_only_the_message_that_asyncio_repeats_each_second_is_suppressed() -> None:
    loop, messages = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: messages.append(context["message"]))
    with count_exhaustion(loop):
        loop.call_exception_handler({"message": "socket.accept() out of system resource"})
        loop.call_exception_handler({"message": "else"})
    loop.set_exception_handler(None)
    assert messages == ["else"]


def test_other_errors_are_raised_and_all_descriptors_are_closed() -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    door = listening(ConnectionTracker(ConnectionLimits()), errno.EAGAIN)
    with pytest.raises(BlockingIOError):
        door.accept()
    door.close()
    door.close()
    assert door.is_closed
    assert len(list(Path("/dev/fd").iterdir())) == before
