from __future__ import annotations

import fcntl
import io
import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TextIO

import pytest

from exporter.line_writer import LineStream, LineWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 300.0
PIPE = 4096


def notice(lines: int) -> str:
    return f"dropped {lines}\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Both ends of a pipe that holds one page."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    os.close(reading)


def read_until(reading: int, end: bytes) -> str:
    """Read up to a line with this end."""
    text = b""
    while not text.endswith(end):
        text += os.read(reading, 65536)
    return text.decode()


def test_lines_arrive_whole_and_in_order_from_any_number_of_threads(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, notice)

    def put(name: str) -> None:
        for number in range(200):
            writer.put(f"{name} {number}\n")

    def end() -> None:
        for thread in threads:
            thread.join()
        writer.put("end\n")

    threads = [threading.Thread(target=put, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    ended = threading.Thread(target=end)
    ended.start()
    lines = read_until(reading, b"end\n").splitlines()
    ended.join()
    writer.close(PATIENCE)
    assert writer.dropped == 0
    for name in "abc":
        assert [line for line in lines if line[0] == name] == [f"{name} {number}" for number in range(200)]


def test_a_reader_that_pauses_does_not_block_and_gets_the_number_of_dropped_lines(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, notice, most_bytes=20_000)
    sent = 0
    while writer.dropped < 1000:
        writer.put(f"line {sent:06}\n")
        sent += 1
    *lines, last = read_until(reading, b"dropped %d\n" % writer.dropped).splitlines()
    assert lines == [f"line {number:06}" for number in range(sent - writer.dropped)]
    assert last == "dropped 1000"
    writer.put("again\n")
    assert read_until(reading, b"again\n") == "again\n"
    writer.close(PATIENCE)


def test_a_second_gap_is_reported_separately(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, notice, most_bytes=5_000)
    for gap in (10, 25):
        before = writer.dropped
        while writer.dropped < before + gap:
            writer.put("x" * 99 + "\n")
        assert read_until(reading, b"dropped %d\n" % gap)
    assert writer.dropped == 35
    writer.close(PATIENCE)


def test_close_does_not_wait_for_a_stalled_reader(pipe: tuple[int, TextIO]) -> None:
    _, stream = pipe
    writer = LineWriter(stream, notice)
    for _ in range(10 * PIPE // 100):
        writer.put("x" * 99 + "\n")
    assert not writer.close(0)  # a real wait would never end: there is no reader
    writer.put("late\n")
    assert writer.dropped == 1


def test_close_writes_pending_lines(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, notice)
    for number in range(1000):
        writer.put(f"{number:03} {'x' * 95}\n")
    closed = threading.Thread(target=writer.close, args=(PATIENCE,))
    closed.start()
    assert len(read_until(reading, b"999 " + b"x" * 95 + b"\n").splitlines()) == 1000
    closed.join()


def test_a_closed_pipe_raises_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream, notice)
        writer.put("one\ntwo\n")
        writer.put("three\n")
        writer.close(PATIENCE)
    assert writer.dropped == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_raises_nothing() -> None:
    with Path("/dev/full").open("w") as stream:
        writer = LineWriter(stream, notice)
        writer.put("one\n")
        writer.close(PATIENCE)
    assert writer.dropped == 1


def test_no_failure_ends_the_thread() -> None:
    class Broken(io.StringIO):
        failures: ClassVar = [MemoryError(), RuntimeError()]

        def write(self, text: str) -> int:
            if self.failures:
                raise self.failures.pop()
            return super().write(text)

    stream = Broken()
    writer = LineWriter(stream, notice)
    for dropped in (1, 2):
        writer.put("lost\n")
        while writer.dropped < dropped:
            pass
    writer.put("found\n")
    assert writer.close(PATIENCE)
    assert stream.getvalue() == "dropped 2\nfound\n"


def test_lines_that_could_not_be_written_are_reported_before_the_next_one() -> None:
    class Disk(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                tried.set()
                raise OSError(28, "No space left on device")
            return super().write(text)

    disk, tried = Disk(), threading.Event()
    writer = LineWriter(disk, notice)
    writer.put("lost\n")
    assert tried.wait(PATIENCE)
    while not writer.dropped:
        pass
    disk.full = False
    writer.put("found\n")
    writer.close(PATIENCE)
    assert disk.getvalue() == "dropped 1\nfound\n"


def test_a_descriptor_made_non_blocking_by_another_process_is_waited_for(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    writer = LineWriter(stream, notice)
    for number in range(1000):
        writer.put(f"{number:03} {'x' * 95}\n")
    assert len(read_until(reading, b"999 " + b"x" * 95 + b"\n").splitlines()) == 1000
    assert writer.dropped == 0
    writer.close(PATIENCE)


def test_lone_surrogates_are_escaped(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LineWriter(stream, notice)
    writer.put("标题 \ud800\n")
    assert read_until(reading, b"\n") == "标题 \\ud800\n"
    writer.close(PATIENCE)


def test_printed_text_becomes_whole_lines_per_thread() -> None:
    taken: list[str] = []
    stream = LineStream(taken.append, sys.__stderr__ or io.StringIO())
    print("one", 1, file=stream)
    print("two", end="", file=stream)
    other = threading.Thread(target=print, args=("another thread",), kwargs={"file": stream})
    other.start()
    other.join()
    print(" and more", "\nthree", file=stream)
    print("no end", end="", file=stream)
    stream.flush()
    assert taken == ["one 1\n", "another thread\n", "two and more \n", "three\n", "no end\n"]
    assert re.fullmatch("utf-8", stream.encoding)
