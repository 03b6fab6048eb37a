"""The moments that need only an exporter: polls, midnight, the end of the process."""

from __future__ import annotations

import asyncio
import os
import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.jobs import Job, poll_id
from exporter.scheduler import Scheduler
from tests.campaigns.faults.case_context import CaseRun, Mark, Passed
from tests.campaigns.faults.cases import Moment
from tests.campaigns.faults.fault import ConnectionFault

if TYPE_CHECKING:
    from exporter.daemon import Daemon

MIDNIGHT: Final = datetime.fromisoformat("2024-03-25T00:00:00+08:00").timestamp()


async def while_polling(run: CaseRun) -> Passed:
    """A good poll, unless the first one gets the fault; one that gets it; a good one."""
    case, service, clock = run.case, run.service, run.clock
    at_midnight = case.moment is Moment.MIDNIGHT
    async with run.exporting() as exporter:
        query = exporter.queries[0]
        if case.moment is not Moment.FIRST_POLL:
            clock.at = MIDNIGHT - 900.5 if at_midnight else clock.at
            await exporter.poll(query)
            clock.at += 900
        before = await run.scraped(exporter)
        mark = Mark(service)
        if at_midnight:
            service.on_meeting = lambda: setattr(clock, "at", max(clock.at, MIDNIGHT + 1))
        await run.break_()
        await exporter.poll(query)
        clock.at = max(clock.at, MIDNIGHT + 1) if at_midnight else clock.at
        await service.repair()
        seen = mark.seen()
        after = await run.scraped(exporter)
        clock.at += 3600
        await exporter.poll(query)
        recovered = await run.scraped(exporter)
    return Passed(before, after, recovered, (before, after), **seen, wanted=run.wanted())


async def while_shutting_down(run: CaseRun) -> Passed:
    """A good poll and an end; a poll that is cancelled during the fault; a good one after another start."""
    case, service, clock = run.case, run.service, run.clock
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        storage = Path(folder) / "state.db"
        async with run.exporting(storage) as exporter:
            await exporter.poll(exporter.queries[0])
            before = await run.scraped(exporter)
        clock.at += 900
        mark = Mark(service)
        service.gate.clear()
        await run.break_()
        async with run.exporting(storage, broken=True) as exporter:
            begun = await run.scraped(exporter)
            polls = [Job(poll_id(query.name), query.every, partial(exporter.poll, query)) for query in exporter.queries]
            async with Scheduler(polls, exporter.states):
                if case.fault.connection_fault in (
                    ConnectionFault.NONE,
                    ConnectionFault.CLOSED,
                    ConnectionFault.RESET,
                    ConnectionFault.SILENT,
                ):
                    await service.first_affected.wait()
                else:
                    await _tried(run, exporter)
                ended = await run.scraped(exporter)
                service.gate.set()
        await service.repair()
        seen = mark.seen()
        async with run.exporting(storage) as exporter:
            after = await run.scraped(exporter)
            clock.at += 3600
            await exporter.poll(exporter.queries[0])
            recovered = await run.scraped(exporter)
    return Passed(before, after, recovered, (begun, ended), **seen, wanted=run.wanted(), cut=True)


def memory() -> str | None:
    """A folder in memory, if the system has one: the files need not be durable."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - it gets a name of its own


async def _tried(run: CaseRun, exporter: Daemon) -> None:
    """Wait until a request was sent."""
    while not (await run.scraped(exporter)).total("aliyun_vod_api_requests_total"):
        await asyncio.sleep(0)
