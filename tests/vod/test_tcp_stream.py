"""What asyncio calls of a stream; connections are in test_network_route.py and test_transport.py."""

from __future__ import annotations

import asyncio

from exporter.vod.tcp_stream import Stream

BUFFER = 256 * 1024


class Transport(asyncio.Transport):
    """Records when reading is paused and resumed."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.closed = False

    def pause_reading(self) -> None:
        self.events.append("pause")

    def resume_reading(self) -> None:
        if self.closed:
            raise RuntimeError
        self.events.append("resume")


def opened() -> tuple[Stream, Transport]:
    stream, transport = Stream(), Transport()
    stream.connection_made(transport)
    return stream, transport


async def test_reading_pauses_while_the_buffer_is_full() -> None:
    stream, transport = opened()
    stream.data_received(b"x" * BUFFER)
    assert transport.events == []
    stream.data_received(b"y")
    assert transport.events == ["pause"]

    full = asyncio.ensure_future(stream.more())
    await asyncio.sleep(0)
    assert transport.events == ["pause"]
    stream.data_received(b"z")  # was on its way
    assert await full
    assert transport.events == ["pause", "pause"]

    stream.received.clear()
    for number in range(2):
        emptied = asyncio.ensure_future(stream.more())
        await asyncio.sleep(0)
        assert transport.events == ["pause", "pause", "resume"]
        stream.data_received(b"%d" % number)
        assert await emptied
    assert stream.received == b"01"


async def test_the_end_of_a_connection_that_is_paused_is_no_error() -> None:
    stream, transport = opened()
    stream.data_received(b"x" * (BUFFER + 1))
    stream.received.clear()
    transport.closed = True
    stream.connection_lost(None)

    assert not await stream.more()
