"""Turns: one client per iteration of the event loop, by step, the newest and the oldest alternately."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from exporter.web.client_groups import ClientGroup
from exporter.web.turns import Step, Turns

ORDER = (
    Step.PLAIN_RESPONSE,
    Step.HANDSHAKE,
    Step.COMPRESSED_RESPONSE,
    Step.PLAIN_REQUEST,
    Step.OPENING_FOR_SCRAPE,
    Step.REPEATED_RESPONSE,
    Step.OPENING,
)


@dataclass
class Queue:
    """Clients that wait, and those that got their turn, by iteration of the event loop."""

    turns: Turns = field(default_factory=Turns)
    iteration: int = 0
    taken: list[tuple[int, str]] = field(default_factory=list)

    def join(self, client: str, step: Step, network: str = "", kind: int = 0) -> asyncio.Task[None]:
        async def wait() -> None:
            await self.turns.wait(client, step, ClientGroup(network, kind))
            self.taken.append((self.iteration, client))

        return asyncio.create_task(wait())

    async def run(self, iterations: int = 40) -> list[str]:
        for _ in range(iterations):
            self.iteration += 1
            await asyncio.sleep(0)
        return [client for _, client in self.taken]


async def test_a_single_client_does_not_wait() -> None:
    turns = Turns()
    async with asyncio.timeout(0):
        await turns.wait("only", Step.PLAIN_RESPONSE)


async def test_the_turn_of_an_iteration_is_taken_once() -> None:
    turns = Turns()
    assert [turns.take(), turns.take()] == [True, False]
    await asyncio.sleep(0)
    assert [turns.take(), turns.take()] == [True, False]


async def test_compressed_responses_come_first_and_new_connections_before_plain_text() -> None:
    queue = Queue()
    waiting = [queue.join(f"{step.name} {number}", step) for number in range(2) for step in ORDER]
    assert queue.turns.take(), "the turn is taken, so all clients wait"
    assert await queue.run() == [
        "REPEATED_RESPONSE 1",
        "REPEATED_RESPONSE 0",
        "COMPRESSED_RESPONSE 1",
        "COMPRESSED_RESPONSE 0",
        "OPENING_FOR_SCRAPE 1",
        "OPENING_FOR_SCRAPE 0",
        "HANDSHAKE 1",
        "HANDSHAKE 0",
        "OPENING 1",
        "OPENING 0",
        "PLAIN_REQUEST 1",
        "PLAIN_REQUEST 0",
        "PLAIN_RESPONSE 1",
        "PLAIN_RESPONSE 0",
    ]
    assert all(each.done() for each in waiting)


async def test_no_iteration_has_two_turns() -> None:
    queue = Queue()
    waiting = [queue.join(str(number), Step.OPENING) for number in range(20)]
    assert len(await queue.run()) == len(waiting)
    assert len({iteration for iteration, _ in queue.taken}) == len(waiting)


async def test_a_newcomer_is_served_before_waiting_clients() -> None:
    queue = Queue()
    waiting = [queue.join(str(number), Step.OPENING) for number in range(10)]
    before = len(await queue.run(4))
    waiting.append(queue.join("newcomer", Step.OPENING))
    assert "newcomer" in (await queue.run())[before : before + 3]
    assert all(each.done() for each in waiting)


async def test_the_oldest_client_does_not_wait_for_ever_for_newer_ones() -> None:
    queue = Queue()
    waiting = [queue.join(str(number), Step.OPENING) for number in range(10)]
    while "0" not in await queue.run(1):
        waiting.append(queue.join(str(len(waiting)), Step.OPENING))
        assert len(waiting) < 20
    await queue.run(60)
    assert all(each.done() for each in waiting)


async def test_a_client_of_another_network_does_not_wait_for_a_crowd() -> None:
    queue = Queue()
    waiting = [queue.join(str(number), Step.OPENING, "crowd") for number in range(20)]
    before = len(await queue.run(4))
    waiting.append(queue.join("other", Step.OPENING, "other"))
    waiting += [queue.join(f"late {number}", Step.OPENING, "crowd") for number in range(20)]
    assert "other" in (await queue.run(60))[before : before + 4]
    assert all(each.done() for each in waiting)


async def test_a_client_of_another_kind_does_not_wait_for_the_crowd_of_its_network() -> None:
    queue = Queue()
    waiting = [queue.join(str(number), Step.OPENING, "a", kind=1) for number in range(20)]
    before = len(await queue.run(4))
    waiting.append(queue.join("other", Step.OPENING, "a", kind=2))
    waiting += [queue.join(f"late {number}", Step.OPENING, "a", kind=1) for number in range(20)]
    assert "other" in (await queue.run(60))[before : before + 4]
    assert all(each.done() for each in waiting)


async def test_a_network_with_clients_of_many_kinds_has_no_more_turns_than_another() -> None:
    queue = Queue()
    waiting = [queue.join(f"many {number}", Step.OPENING, "a", kind=number) for number in range(20)]
    waiting += [queue.join(f"one {number}", Step.OPENING, "b") for number in range(20)]
    assert queue.turns.take(), "so that all wait"
    taken = await queue.run(60)
    assert 8 <= sum(client.startswith("one") for client in taken[:20]) <= 12
    assert all(each.done() for each in waiting)


async def test_a_kind_that_received_a_response_has_every_other_turn_among_kinds_that_never_come_again() -> None:
    queue = Queue()
    queue.turns.readers.finished(ClientGroup("a", 1_000))
    waiting = [queue.join(str(number), Step.OPENING, "a", kind=number) for number in range(20)]
    assert queue.turns.take(), "so that all wait"
    waiting += [queue.join(f"scraper {number}", Step.OPENING, "a", kind=1_000) for number in range(3)]
    taken = await queue.run(60)
    assert sum(client.startswith("scraper") for client in taken[:6]) == 3
    assert sum(client.startswith("scraper") for client in taken[:2]) <= 2
    assert all(each.done() for each in waiting)


async def test_of_two_crowds_each_has_the_turns_of_its_newest_and_its_oldest() -> None:
    queue = Queue()
    waiting = [queue.join(f"{network}{number}", Step.OPENING, network) for number in range(9) for network in "ab"]
    assert queue.turns.take(), "so that all wait"
    taken = await queue.run(60)
    assert [client for client in taken if client[0] == "a"][:4] == ["a8", "a0", "a7", "a1"]
    assert [client for client in taken if client[0] == "b"][:4] == ["b8", "b0", "b7", "b1"]
    assert all(each.done() for each in waiting)


async def test_clients_that_leave_or_are_cancelled_take_no_turn() -> None:
    queue = Queue()
    left, cancelled, stays, both = (queue.join(name, Step.OPENING) for name in ("left", "cancelled", "stays", "both"))
    assert queue.turns.take(), "the turn is taken, so all clients wait"
    await asyncio.sleep(0)
    cancelled.cancel()
    both.cancel()
    queue.turns.leave("both")
    queue.turns.leave("left")
    queue.turns.leave("unknown")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(left, stays)
    assert sorted(await queue.run()) == ["left", "stays"], "a client that leaves is woken so that it notices"
    assert cancelled.cancelled()
    assert both.cancelled()
    assert queue.turns.take(), "the turn is free again"
