from __future__ import annotations

import resource
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from exporter.web.limits import Bucket, Crowd, Limits, fitting

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Clock:
    at: float = 1_000.0

    def __call__(self) -> float:
        return self.at


@dataclass(eq=False)
class FakeClient:
    asking_since: float | None = None
    reading_since: float | None = None
    moved_at: float = 0.0
    idle_since: float | None = None
    held: int = 0
    happened: list[str] = field(default_factory=list)

    def release(self) -> None:
        self.held = 0
        self.happened.append("released")

    def end(self) -> None:
        self.happened.append("ended")


def crowd(clock: Clock, *clients: FakeClient, **limits: float) -> Crowd:
    made = Crowd(Limits(**limits), clock)  # type: ignore[arg-type]  # whole numbers where they are wanted
    for client in clients:
        made.came(client)
    return made


@pytest.mark.parametrize(
    ("client", "seconds", "ended"),
    [
        (FakeClient(asking_since=1_000), 10, False),
        (FakeClient(asking_since=1_000), 10.1, True),
        (FakeClient(reading_since=1_000), 30, False),
        (FakeClient(reading_since=1_000), 30.1, True),
        (FakeClient(idle_since=1_000), 1_000, False),
        (FakeClient(), 1_000, False),
    ],
)
def test_who_takes_too_long_is_ended(client: FakeClient, seconds: float, *, ended: bool) -> None:
    clock = Clock()
    everybody = crowd(clock, client)
    clock.at += seconds

    everybody.sweep()

    assert client.happened == ["ended"] * ended
    assert len(everybody) == 1 - ended


def test_when_there_are_too_many_who_has_not_asked_goes_before_who_is_reading_and_who_is_idle() -> None:
    asking, earlier, reading, idle, busy = (
        FakeClient(asking_since=20),
        FakeClient(asking_since=15),
        FakeClient(reading_since=10),
        FakeClient(idle_since=1),
        FakeClient(),
    )
    everybody = crowd(Clock(), busy, asking, earlier, reading, idle, connections=5)
    gone = []
    for _ in range(5):
        everybody.came(FakeClient())
        gone.append([bool(each.happened) for each in (earlier, asking, reading, idle, busy)])

    assert [sum(each) for each in gone] == [1, 2, 3, 4, 4]
    assert gone[-1] == [True, True, True, True, False]
    assert all(each == sorted(each, reverse=True) for each in gone), "in this order"
    assert len(everybody) == 5


def test_however_many_strangers_come_a_reader_keeps_its_answer() -> None:
    reading = FakeClient(reading_since=1)
    everybody = crowd(Clock(), reading, connections=8)
    for second in range(100):
        everybody.came(FakeClient(asking_since=10.0 + second))
    assert reading.happened == []


def test_idle_ones_go_when_nobody_waits_and_the_newcomer_when_all_are_being_answered() -> None:
    idle, busy, newcomer = FakeClient(idle_since=1), FakeClient(), FakeClient(asking_since=30)
    everybody = crowd(Clock(), idle, busy, connections=2)

    everybody.came(newcomer)
    newcomer.asking_since = None
    another = FakeClient(asking_since=40)
    everybody.came(another)

    assert (idle.happened, another.happened, newcomer.happened, busy.happened) == (["ended"], ["ended"], [], [])


def test_when_too_much_is_held_those_get_no_more_who_hold_most_for_longest() -> None:
    small = FakeClient(moved_at=900, held=10)
    stuck = FakeClient(moved_at=980, held=400)
    moving = FakeClient(moved_at=999, held=400)
    newcomer = FakeClient(moved_at=1_000, held=400)
    everybody = crowd(Clock(), small, stuck, moving, newcomer, held_bytes=1_000)

    for client in (small, stuck, moving, newcomer):
        everybody.takes(client)

    assert [client.happened for client in (small, stuck, moving, newcomer)] == [[], ["released"], [], []]


def test_one_answer_larger_than_all_may_be_is_still_given() -> None:
    client = FakeClient(held=5_000)
    crowd(Clock(), client, held_bytes=1_000).takes(client)
    assert client.happened == []


def test_what_was_ended_is_told_once_a_minute_with_how_many() -> None:
    clock = Clock()
    everybody = crowd(clock)
    told = []
    with capture_logs() as logs:
        for _ in range(130):
            everybody.came(FakeClient(asking_since=clock.at - 11))
            everybody.sweep()
            clock.at += 1
        told = [entry["slow_requests"] for entry in logs]
    assert told == [1, 60, 60]


def test_who_sends_too_much_goes_and_is_counted() -> None:
    client = FakeClient()
    everybody = crowd(Clock(), client)
    everybody.exceeds(client)
    with capture_logs() as logs:
        everybody.sweep()
    assert client.happened == ["ended"]
    assert (len(everybody), logs[0]["too_much_sent"]) == (0, 1)


def test_at_the_end_those_go_that_have_not_asked_yet() -> None:
    asking, idle, busy = FakeClient(asking_since=1), FakeClient(idle_since=1), FakeClient()
    crowd(Clock(), asking, idle, busy).end_askers()
    assert (asking.happened, idle.happened, busy.happened) == (["ended"], [], [])


def test_a_bucket_gives_a_burst_and_then_one_each_interval() -> None:
    clock = Clock()
    bucket = Bucket(2.0, 3, clock)

    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.at += 1.9
    assert not bucket.take()
    clock.at += 0.2
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.at += 1_000
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


@pytest.fixture
def descriptors() -> Iterator[int]:
    """The hard limit; whatever a test does to the soft one is undone."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_descriptors_are_made_to_suffice_for_connections(descriptors: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, descriptors))

    limits = fitting()

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft >= 2 * limits.connections
    assert limits.connections == min(Limits().connections, descriptors // 2)
