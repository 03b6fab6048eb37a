"""The moments that need no more than an exporter: polls, midnight, the end of the process."""

from __future__ import annotations

import asyncio
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.scheduler import Scheduler
from tests.campaigns.faults.case_context import Course, Mark, Passed
from tests.campaigns.faults.cases import Moment
from tests.campaigns.faults.fault import Trouble

if TYPE_CHECKING:
    from exporter.daemon import Daemon

MIDNIGHT: Final = datetime.fromisoformat("2024-03-25T00:00:00+08:00").timestamp()


async def while_polling(course: Course) -> Passed:
    """A good poll, unless the fault meets the first; one that meets it; a good one."""
    case, service, clock = course.case, course.service, course.clock
    at_midnight = case.moment is Moment.MIDNIGHT
    async with course.exporting() as exporter:
        query = exporter.queries[0]
        if case.moment is not Moment.FIRST_POLL:
            clock.at = MIDNIGHT - 900.5 if at_midnight else clock.at
            await exporter.poll(query)
            clock.at += 900
        before = await course.scraped(exporter)
        mark = Mark(service)
        if at_midnight:
            service.on_meeting = lambda: setattr(clock, "at", max(clock.at, MIDNIGHT + 1))
        await course.break_()
        await exporter.poll(query)
        clock.at = max(clock.at, MIDNIGHT + 1) if at_midnight else clock.at
        await service.mend()
        seen = mark.seen()
        after = await course.scraped(exporter)
        clock.at += 3600
        await exporter.poll(query)
        recovered = await course.scraped(exporter)
    return Passed(before, after, recovered, (before, after), **seen, wanted=course.wanted())


async def while_shutting_down(course: Course) -> Passed:
    """A good poll and an end; a poll that is ended while it meets the fault; a good one after another start."""
    case, service, clock = course.case, course.service, course.clock
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        storage = Path(folder) / "state.db"
        async with course.exporting(storage) as exporter:
            await exporter.poll(exporter.queries[0])
            before = await course.scraped(exporter)
        clock.at += 900
        mark = Mark(service)
        service.gate.clear()
        await course.break_()
        async with course.exporting(storage, broken=True) as exporter:
            begun = await course.scraped(exporter)
            async with Scheduler(exporter.queries, exporter.poll, exporter):
                if case.fault.trouble in (Trouble.NONE, Trouble.CLOSED, Trouble.RESET, Trouble.SILENT):
                    await service.first_met.wait()
                else:
                    await _tried(course, exporter)
                ended = await course.scraped(exporter)
                service.gate.set()
        await service.mend()
        seen = mark.seen()
        async with course.exporting(storage) as exporter:
            after = await course.scraped(exporter)
            clock.at += 3600
            await exporter.poll(exporter.queries[0])
            recovered = await course.scraped(exporter)
    return Passed(before, after, recovered, (begun, ended), **seen, wanted=course.wanted(), cut=True)


def _memory() -> str | None:
    """A folder in memory, where the system has one: what is written here need not survive the machine."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - it gets a name of its own


async def _tried(course: Course, exporter: Daemon) -> None:
    """Wait until something was sent."""
    while not (await course.scraped(exporter)).total("aliyun_vod_api_requests_total"):
        await asyncio.sleep(0)
