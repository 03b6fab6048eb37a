"""Records logs, errors, descriptors, tasks and memory while a block runs, to find leaks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Generator, MutableMapping


@dataclass
class Watch(logging.Handler):
    """The logs and errors, and the tasks and descriptors at the start."""

    events: list[MutableMapping[str, Any]] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)
    polls: int = 0
    tasks: set[asyncio.Task[Any]] = field(default_factory=asyncio.all_tasks)
    descriptors: frozenset[str] = field(default_factory=lambda: _descriptors())  # noqa: PLW0108 - it is defined below

    def __post_init__(self) -> None:
        super().__init__(logging.WARNING)

    __hash__ = logging.Handler.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        """Record an error that a library logs."""
        self.breaks.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}")

    def note(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Record a log event of the exporter."""
        self.events.append(dict(event))
        self.polls += event["event"] == "polled"
        if "exc_info" in event:
            self.breaks.append(str(event))
        raise structlog.DropEvent

    async def settle(self) -> None:
        """Wait for everything that is about to end."""
        for _ in range(1000):
            if not any(self.left()):
                return
            await asyncio.sleep(0)

    def left(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Tasks and descriptors that did not exist at the start."""
        return (
            tuple(str(task) for task in asyncio.all_tasks() - self.tasks),
            tuple(sorted(_descriptors() - self.descriptors)),
        )


@contextlib.contextmanager
def watched() -> Generator[Watch]:
    """Watch this loop and its process while the block runs."""
    watch = Watch()
    loop, root = asyncio.get_running_loop(), logging.getLogger()
    handler, before = loop.get_exception_handler(), structlog.get_config()
    loop.set_exception_handler(lambda _, context: watch.breaks.append(str(context)))
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, watch.note])
    root.addHandler(watch)
    try:
        yield watch
    finally:
        root.removeHandler(watch)
        structlog.configure(**before)
        loop.set_exception_handler(handler)


@contextlib.contextmanager
def only_new_objects_collected() -> Generator[None]:
    """Leave everything older out of garbage collections: in a run of all tests that is half a million objects."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _descriptors() -> frozenset[str]:
    """The descriptors of this process and their targets."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor that listed them is closed by now
            found.add(f"{descriptor.name} {descriptor.readlink()}")
    return frozenset(found)


@dataclass
class MemoryUse:
    """The peak of memory above its level at the start."""

    peak: int = 0


@contextlib.contextmanager
def memory_measured(*, large: bool) -> Generator[MemoryUse]:
    """Measure memory while the block runs, if `large`: it makes everything slow."""
    memory_use = MemoryUse()
    if not large:
        yield memory_use
        return
    tracemalloc.start()
    try:
        yield memory_use
    finally:
        memory_use.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
