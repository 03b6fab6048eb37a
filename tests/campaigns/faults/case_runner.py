"""Runs cases: the real exporter in this process, the service on loopback, a clock that the case moves."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.campaigns.faults import certificates
from tests.campaigns.faults.case_context import CaseRun, Passed
from tests.campaigns.faults.case_queries import NOON, SECRET, media_count
from tests.campaigns.faults.cases import Case, Moment, Selection
from tests.campaigns.faults.evidence import Evidence
from tests.campaigns.faults.leak_watch import Watch, memory_measured, only_new_objects_collected, watched
from tests.campaigns.faults.loop import SkippingLoop
from tests.campaigns.faults.moments import while_polling, while_shutting_down
from tests.campaigns.faults.reloading import serving, while_reloading
from tests.campaigns.faults.service import Service
from tests.harness import Clock

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Iterable

    from exporter.daemon import Daemon

# Nothing takes this long, not even in skipped time: it only ends a test that hangs.
SAFETY_SECONDS: Final = 600.0


def run_cases(cases: Iterable[Case], check: Callable[[Evidence], None]) -> int:
    """Run every case and pass its evidence to `check`; returns how many exporters are still in memory."""
    given = list(cases)
    silent: list[Service] = []
    exporters: list[weakref.ref[Daemon]] = []
    with only_new_objects_collected():
        with (
            certificates.trusting(),
            asyncio.Runner(loop_factory=lambda: SkippingLoop(lambda: any(each.silent for each in silent))) as runner,
        ):
            runner.run(_all(given, check, silent, exporters))
        gc.collect()
        return sum(exporter() is not None for exporter in exporters)


async def _all(
    cases: list[Case],
    check: Callable[[Evidence], None],
    silent: list[Service],
    exporters: list[weakref.ref[Daemon]],
) -> None:
    for case in cases:
        if case.moment is not Moment.RELOAD:
            exporters += await _run_alone(case, check, silent)
    for tls in (False, True):
        for selection in Selection:
            reloaded = [c for c in cases if (c.moment, c.selection, c.fault.tls) == (Moment.RELOAD, selection, tls)]
            if reloaded:
                await _run_together(reloaded, check)


async def _run_alone(case: Case, check: Callable[[Evidence], None], silent: list[Service]) -> list[weakref.ref[Daemon]]:
    """A case with its own exporters; returns weak references to them."""
    clock = Clock(NOON)
    with watched() as watch:
        async with (
            asyncio.timeout(SAFETY_SECONDS),
            Service(media_count(case.selection), clock.now, tls=case.fault.tls) as service,
        ):
            silent[:] = [service]
            run = CaseRun(case, service, clock)
            with memory_measured(large=case.fault.large) as memory_use:
                walk = while_shutting_down if case.moment is Moment.SHUTDOWN else while_polling
                passed = await walk(run)
        await watch.settle()
    check(_evidence(run, passed, watch, memory_use.peak, watch.left()))
    return run.exporters


async def _run_together(cases: list[Case], check: Callable[[Evidence], None]) -> None:
    """Cases one after the other with the same daemon, which is reloaded; its leaks are reported with the last."""
    clock = Clock(NOON)
    held: Evidence | None = None
    first = cases[0]
    with watched() as whole:
        async with (
            Service(media_count(first.selection), clock.now, tls=first.fault.tls) as service,
            serving(CaseRun(first, service, clock), whole) as daemon,
        ):
            await daemon.polled()
            for case in cases:
                if held is not None:
                    check(held)
                run = daemon.run = CaseRun(case, service, clock)
                whole.events.clear()
                clock.waits.clear()
                with memory_measured(large=case.fault.large) as memory_use:
                    async with asyncio.timeout(SAFETY_SECONDS):
                        passed = await while_reloading(run, daemon)
                held = _evidence(run, passed, whole, memory_use.peak, ((), ()))
        await whole.settle()
    if held is not None:
        tasks, descriptors = whole.left()
        check(replace(held, breaks=tuple(whole.breaks), tasks=tasks, descriptors=descriptors))


def _evidence(
    run: CaseRun, passed: Passed, watch: Watch, peak: int, left: tuple[tuple[str, ...], tuple[str, ...]]
) -> Evidence:
    return Evidence(
        case=run.case,
        before=passed.before,
        after=passed.after,
        recovered=passed.recovered,
        counters=passed.counters,
        returned=run.service.returned,
        returned_before=passed.returned_before,
        affected=passed.affected,
        received=passed.received,
        good=passed.good,
        cut=passed.cut,
        wanted=passed.wanted,
        waits=tuple(run.clock.waits),
        events=tuple(watch.events),
        breaks=tuple(watch.breaks),
        tasks=left[0],
        descriptors=left[1],
        peak=peak,
        secret=SECRET,
    )
