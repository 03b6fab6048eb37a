"""What is logged, complained of, opened, begun and kept while something is watched."""

from __future__ import annotations

import asyncio
import contextlib
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
    """What is logged and complained of, and what there was at the beginning."""

    events: list[MutableMapping[str, Any]] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)
    polls: int = 0
    tasks: set[asyncio.Task[Any]] = field(default_factory=asyncio.all_tasks)
    descriptors: frozenset[str] = field(default_factory=lambda: _descriptors())  # noqa: PLW0108 - it is defined below

    def __post_init__(self) -> None:
        super().__init__(logging.WARNING)

    __hash__ = logging.Handler.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        """Whatever a library has to complain of."""
        self.breaks.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}")

    def note(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Whatever the exporter says."""
        self.events.append(dict(event))
        self.polls += event["event"] == "polled"
        if "exc_info" in event:
            self.breaks.append(str(event))
        raise structlog.DropEvent

    async def settle(self) -> None:
        """Let everything end that is about to."""
        for _ in range(1000):
            if not any(self.left()):
                return
            await asyncio.sleep(0)

    def left(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Tasks and descriptors there were not at the beginning."""
        return (
            tuple(str(task) for task in asyncio.all_tasks() - self.tasks),
            tuple(sorted(_descriptors() - self.descriptors)),
        )


@contextlib.contextmanager
def watched() -> Generator[Watch]:
    """Watch this loop and its process while this is entered."""
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


def _descriptors() -> frozenset[str]:
    """What every descriptor of this process is, by its number."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them is gone by now
            found.add(f"{descriptor.name} {descriptor.readlink()}")
    return frozenset(found)


@dataclass
class Weight:
    """The most memory that was in use beyond what was before."""

    peak: int = 0


@contextlib.contextmanager
def weighed(*, large: bool) -> Generator[Weight]:
    """Watch memory while this is entered, where it may get large: that makes everything slow."""
    weight = Weight()
    if not large:
        yield weight
        return
    tracemalloc.start()
    try:
        yield weight
    finally:
        weight.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
