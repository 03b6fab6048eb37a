from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from exporter.web.connection_limits import ConnectionLimits
from exporter.web.connection_tracker import ConnectionTracker


@dataclass
class Clock:
    at: float = 1_000.0

    def __call__(self) -> float:
        return self.at


@dataclass(eq=False)
class FakeClient:
    request_started_at: float | None = None
    response_started_at: float | None = None
    last_progress_at: float = 0.0
    idle_since: float | None = None
    buffered: int = 0
    happened: list[str] = field(default_factory=list)

    def drop_response(self) -> int:
        self.happened.append("released")
        return self.buffered

    def end(self) -> None:
        self.happened.append("ended")


def tracker(clock: Clock, *clients: FakeClient, **limits: float) -> ConnectionTracker:
    made = ConnectionTracker(ConnectionLimits(**limits), clock)  # type: ignore[arg-type]  # whole numbers where they are wanted
    for client in clients:
        made.add(client)
    return made


@pytest.mark.parametrize(
    ("client", "seconds", "ended"),
    [
        (FakeClient(request_started_at=1_000), 10, False),
        (FakeClient(request_started_at=1_000), 10.1, True),
        (FakeClient(response_started_at=1_000), 30, False),
        (FakeClient(response_started_at=1_000), 30.1, True),
        (FakeClient(idle_since=1_000), 1_000, False),
        (FakeClient(), 1_000, False),
    ],
)
def test_a_connection_that_takes_too_long_is_closed(client: FakeClient, seconds: float, *, ended: bool) -> None:
    clock = Clock()
    connections = tracker(clock, client)
    clock.at += seconds

    connections.sweep()

    assert client.happened == ["ended"] * ended
    assert len(connections) == 1 - ended


def test_above_the_limit_incomplete_requests_are_closed_before_responses_and_idle_connections() -> None:
    incomplete, earlier, reading, idle, busy = (
        FakeClient(request_started_at=20),
        FakeClient(request_started_at=15),
        FakeClient(response_started_at=10),
        FakeClient(idle_since=1),
        FakeClient(),
    )
    connections = tracker(Clock(), busy, earlier, incomplete, reading, idle, connections=5)
    gone = []
    for _ in range(5):
        connections.add(FakeClient())
        gone.append([bool(each.happened) for each in (earlier, incomplete, reading, idle, busy)])

    assert [sum(each) for each in gone] == [1, 2, 3, 4, 4]
    assert gone[-1] == [True, True, True, True, False]
    assert all(each == sorted(each, reverse=True) for each in gone), "in this order"
    assert len(connections) == 5


def test_a_response_survives_any_number_of_new_connections() -> None:
    reading = FakeClient(response_started_at=1)
    connections = tracker(Clock(), reading, connections=8)
    for second in range(100):
        connections.add(FakeClient(request_started_at=10.0 + second))
    assert reading.happened == []


def test_idle_connections_are_closed_next_and_the_new_one_if_all_others_are_being_answered() -> None:
    idle, busy, newcomer = FakeClient(idle_since=1), FakeClient(), FakeClient(request_started_at=30)
    connections = tracker(Clock(), idle, busy, connections=2)

    connections.add(newcomer)
    newcomer.request_started_at = None
    connections.update(newcomer)
    another = FakeClient(request_started_at=40)
    connections.add(another)

    assert (idle.happened, another.happened, newcomer.happened, busy.happened) == (["ended"], ["ended"], [], [])


def test_above_the_buffer_limit_the_largest_and_slowest_responses_are_dropped_first() -> None:
    small, stuck, moving, newcomer = (FakeClient(last_progress_at=at) for at in (900, 980, 999, 1_000))
    connections = tracker(Clock(), small, stuck, moving, newcomer, max_buffered_bytes=1_000)

    for client, size in ((small, 10), (stuck, 400), (moving, 400), (newcomer, 400)):
        connections.set_buffered(client, size)

    assert [client.happened for client in (small, stuck, moving, newcomer)] == [[], ["released"], [], []]
    assert connections.buffered_bytes == 810


def test_what_stays_buffered_of_a_dropped_response_counts_until_the_connection_is_closed() -> None:
    stuck, newcomer = FakeClient(buffered=300), FakeClient(last_progress_at=1_000)
    connections = tracker(Clock(), stuck, newcomer, max_buffered_bytes=1_000)
    connections.set_buffered(stuck, 900)
    connections.set_buffered(newcomer, 600)
    assert (stuck.happened, connections.buffered_bytes) == (["released"], 900)

    connections.set_buffered(newcomer, 800)
    assert (stuck.happened, connections.buffered_bytes) == (["released", "ended"], 800)

    connections.set_buffered(stuck, 300)
    assert connections.buffered_bytes == 800, "a closed connection buffers nothing"


def test_bytes_that_several_responses_share_count_once() -> None:
    part, other = bytes(500), bytes(200)
    clients = [FakeClient() for _ in range(100)]
    connections = tracker(Clock(), *clients)
    for client in clients:
        connections.set_buffered(client, 10, part)
    assert connections.buffered_bytes == 1_500

    for client in clients[1:]:
        connections.set_buffered(client, 10, other)
    assert connections.buffered_bytes == 1_700
    connections.remove(clients[0])
    assert connections.buffered_bytes == 1_190
    for client in clients[1:]:
        connections.set_buffered(client, 0)
    assert connections.buffered_bytes == 0


def test_a_single_response_above_the_buffer_limit_is_still_sent() -> None:
    client = FakeClient()
    tracker(Clock(), client, max_buffered_bytes=1_000).set_buffered(client, 5_000)
    assert client.happened == []


class CountingClient(FakeClient):
    """Counts how often its times are read."""

    times = 0

    def __getattribute__(self, name: str) -> object:
        if name.endswith(("_since", "_at")):
            CountingClient.times += 1
        return super().__getattribute__(name)


@pytest.mark.parametrize("begins", ["request_started_at", "response_started_at", "idle_since"])
def test_the_cost_of_a_connection_does_not_depend_on_their_number(begins: str) -> None:
    costs = []
    for size in (10, 1_000):
        waiting = [CountingClient() for _ in range(size)]
        for each in waiting:
            setattr(each, begins, 1.0)
        connections = tracker(Clock(), *waiting, connections=size)
        CountingClient.times = 0
        for second in range(20):
            connections.add(CountingClient(request_started_at=10.0 + second))
        costs.append(CountingClient.times)
    assert costs[0] == costs[1]


def test_connections_are_not_sorted_at_every_chunk() -> None:
    clients = [CountingClient(buffered=0) for _ in range(1_000)]
    connections = tracker(Clock(), *clients, max_buffered_bytes=100_000)
    CountingClient.times = 0
    for client in clients * 5:
        connections.set_buffered(client, 1_000)
    assert CountingClient.times <= 10 * 5 * len(clients)
    assert connections.buffered_bytes <= 100_000


def test_waiting_connections_are_evicted_for_a_descriptor_until_none_is_left() -> None:
    idle, incomplete = FakeClient(idle_since=1), FakeClient(request_started_at=2)
    connections = tracker(Clock(), idle, incomplete, FakeClient())
    assert [connections.evict_one() for _ in range(3)] == [True, True, False]
    assert (incomplete.happened, idle.happened, len(connections)) == (["ended"], ["ended"], 1)
    with capture_logs() as logs:
        connections.sweep()
    assert logs[0]["too_few_descriptors"] == 3
    assert "ulimit -n" in logs[0]["advice"]


def test_closed_connections_are_logged_once_a_minute_with_their_number() -> None:
    clock = Clock()
    connections = tracker(clock)
    counts = []
    with capture_logs() as logs:
        for _ in range(130):
            connections.add(FakeClient(request_started_at=clock.at - 11))
            connections.sweep()
            clock.at += 1
        counts = [entry["slow_requests"] for entry in logs]
    assert counts == [1, 60, 60]


def test_a_connection_that_sends_too_much_is_closed_and_counted() -> None:
    client = FakeClient()
    connections = tracker(Clock(), client)
    connections.evict_oversized(client)
    with capture_logs() as logs:
        connections.sweep()
    assert client.happened == ["ended"]
    assert (len(connections), logs[0]["too_much_sent"]) == (0, 1)
    assert "ulimit" not in logs[0]["advice"]


def test_abort_pending_closes_only_connections_without_a_complete_request() -> None:
    incomplete, idle, busy = FakeClient(request_started_at=1), FakeClient(idle_since=1), FakeClient()
    tracker(Clock(), incomplete, idle, busy).abort_pending()
    assert (incomplete.happened, idle.happened, busy.happened) == (["ended"], [], [])
