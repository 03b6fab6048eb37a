"""Runs the cases of the other actions: an exporter with searches, metadata and players, a service on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tempfile
import weakref
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.app import Runtime, assemble
from exporter.config.loader import loads
from exporter.core.sharding import WHOLE
from exporter.exposition.encoded_collectors import SAMPLED_SECONDS
from exporter.reload import Reloader
from exporter.scheduler import Scheduler
from exporter.status.filters import Filters
from exporter.status.summary import summarize
from tests.campaigns.faults.action_cases import Action, ActionCase
from tests.campaigns.faults.action_service import ActionService
from tests.campaigns.faults.case_context import Mark, listed_rows
from tests.campaigns.faults.case_queries import FEW_MEDIA, NOON, SECRET
from tests.campaigns.faults.cases import Moment
from tests.campaigns.faults.evidence import ActionEvidence
from tests.campaigns.faults.leak_watch import Watch, memory_measured, only_new_objects_collected, watched
from tests.campaigns.faults.loop import SkippingLoop
from tests.campaigns.faults.moments import MIDNIGHT, memory
from tests.campaigns.faults.oracle import ZEROS
from tests.campaigns.faults.scrapes import Scrape
from tests.harness import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

    from exporter.accounts import Accounts
    from exporter.config.schema import Config
    from exporter.daemon import Daemon
    from exporter.player_polls import PlayerPolls
    from tests.campaigns.faults.oracle import Call
    from tests.campaigns.faults.service import Service

# Nothing takes this long, not even in skipped time: it only ends a test that hangs.
SAFETY_SECONDS: Final = 3_600.0
# Everything is due again: polls and searches, and what an error has paused.
ROUND_SECONDS: Final = 900.0
_JOB: Final = ContextVar("_JOB", default="")

# Answers about players take long on a loaded machine, and silent peers no time at all.
# Nearly all media are found, so that a search has two pages; what metadata of the others is requested.
_CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: http://127.0.0.1
    credentials: {access_key_id: matrix, access_key_secret: SECRET}
    timeout: 30s
    limits: {requests_per_second: RATE, concurrency: 8}
    metadata: {every: EVERY, labels: [category, status], tags: [promo]}
queries:
  - {name: q, media: all, days_ago: [0, 1], every: 15m, expected: false}
  - name: found
    media:
      search:
        category: [课程, Courses, 直播回放, Live, 音乐, 体育, 纪录片, 旅行, 少儿, 'The "category"']
        status: [Normal]
        every: 5m
    days_ago: [0]
    every: 15m
    expected: false
player: [{name: app, terminal_type: web, compare: [7d]}]
"""


@cache
def _configured(every: str, rate: int) -> Config:
    text = _CONFIGURATION.replace("SECRET", SECRET).replace("EVERY", every).replace("RATE", str(rate))
    return loads(text, file="config.yaml", environ={})


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs in a case."""

    daemon: Daemon
    accounts: Accounts
    player: PlayerPolls


@dataclass
class ActionRun:
    """The run of one case: `sleeps` of each job in seconds, `rounds` in which everything was due during the fault."""

    case: ActionCase
    service: ActionService
    clock: Clock
    watch: Watch
    sleeps: list[tuple[str, float]] = field(default_factory=list)
    rounds: int = 0
    exporters: list[weakref.ref[Daemon]] = field(default_factory=list)

    def config(self, rate: int = 1000) -> Config:
        """Details are requested in each round only if that is the point: else the categories would be as old."""
        config = _configured("5m" if self.case.action is Action.DETAILS else "1h", rate)
        accounts = [account.model_copy(update={"endpoint": self.service.endpoint}) for account in config.accounts]
        return config.model_copy(update={"accounts": accounts})

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append((_JOB.get(), seconds))
        await self.clock.sleep(seconds)

    @contextlib.asynccontextmanager
    async def exporting(self, storage: Path | None = None) -> AsyncGenerator[Parts]:
        runtime = Runtime({}, self.clock.now, self.clock.now, self.sleep)
        async with assemble(self.config(), runtime, storage, WHOLE) as parts:
            self.exporters.append(weakref.ref(parts[0]))
            yield Parts(*parts)

    async def scraped(self, parts: Parts) -> Scrape:
        self.clock.at += SAMPLED_SECONDS
        return Scrape(self.clock.at, (await parts.daemon.scrape(None, None)).body.decode())

    async def all_due(self, parts: Parts) -> None:
        """Everything runs once, beside each other."""

        async def catalogue() -> None:
            await parts.daemon.discovery.with_media(parts.daemon.queries[1])  # the first search, which its poll awaits
            await parts.daemon.discovery.refresh_search(parts.daemon.queries[1])
            await parts.daemon.discovery.refresh_metadata("main")

        async def named(name: str, work: Awaitable[object]) -> None:
            _JOB.set(name)
            try:
                await work
            except Exception as error:  # noqa: BLE001 - nothing may be raised
                self.watch.breaks.append(f"{name} raised {error!r}")

        await asyncio.gather(
            named("play data", parts.daemon.poll(parts.daemon.queries[0])),
            named("found", parts.daemon.poll(parts.daemon.queries[1])),
            named("catalogue", catalogue()),
            named("player", parts.player.poll(parts.daemon.replica.player_queries[0])),
        )

    async def broken_round(self, parts: Parts) -> None:
        self.rounds += 1
        await self.all_due(parts)

    async def break_(self) -> None:
        await self.service.break_(self.case.fault, self._meets())

    def _meets(self) -> Callable[[Call], bool]:
        action, moment, first = self.case.action, self.case.moment, list[str]()

        def meets(call: Call) -> bool:
            if call.action != action:
                return False
            first[:] = first or [call.query]
            if moment is Moment.PAGE_1:
                return call.query == first[0]
            return moment is not Moment.LAST_PAGE or call.query != first[0]

        return meets

    async def run(self) -> ActionEvidence:
        match self.case.moment:
            case Moment.SHUTDOWN:
                return await self._while_shutting_down()
            case Moment.RELOAD:
                async with self.exporting() as parts:
                    return await self._in_one_process(parts, reloads=True)
            case _:
                async with self.exporting() as parts:
                    return await self._in_one_process(parts)

    async def _in_one_process(self, parts: Parts, *, reloads: bool = False) -> ActionEvidence:
        """Two good rounds unless the first gets the fault; broken ones; a good one."""
        clock, service, moment = self.clock, self.service, self.case.moment
        if moment is Moment.MIDNIGHT:
            clock.at = MIDNIGHT - 2 * ROUND_SECONDS + 10
        for _ in range(0 if moment is Moment.FIRST_POLL else 2):
            await self.all_due(parts)
            clock.at += ROUND_SECONDS
        before, mark = await self.scraped(parts), Mark(service)
        self.watch.events.clear()
        self.sleeps.clear()
        if moment is Moment.MIDNIGHT:
            service.on_meeting = lambda: setattr(clock, "at", max(clock.at, MIDNIGHT + 1))
        await self.break_()
        if reloads:
            await self._reload_meanwhile(parts)
            clock.at += ROUND_SECONDS
        await self.broken_round(parts)
        if moment is Moment.LATER_POLL:
            clock.at += ROUND_SECONDS
            await self.broken_round(parts)
        after, problems = await self.scraped(parts), await self._problems(parts)
        events = tuple(self.watch.events)
        await service.repair()
        seen = mark.seen()
        clock.at += ROUND_SECONDS
        await self.all_due(parts)
        recovered = await self.scraped(parts)
        return self._evidence(before, after, recovered, (before, after), seen, problems, events, cut=reloads)

    async def _reload_meanwhile(self, parts: Parts) -> None:
        """A reload that changes the account, while the action waits for its response."""
        self.service.gate.clear()
        all_jobs = (*parts.daemon.jobs(parts.daemon.replica), *parts.player.jobs(parts.daemon.replica))
        async with Scheduler(all_jobs, parts.daemon.states) as scheduler:
            await self.service.first_affected.wait()
            reloader = Reloader(
                lambda: self.config(rate=999),
                daemon=parts.daemon,
                accounts=parts.accounts,
                polling=scheduler,
                player=parts.player,
            )
            await reloader.reload()
            self.service.gate.set()

    async def _while_shutting_down(self) -> ActionEvidence:
        """Two good rounds and an end; another process is ended during the fault; a third one finds what was stored."""
        clock, service = self.clock, self.service
        with tempfile.TemporaryDirectory(dir=memory()) as folder:
            storage = Path(folder) / "state.db"
            async with self.exporting(storage) as parts:
                for _ in range(2):
                    await self.all_due(parts)
                    clock.at += ROUND_SECONDS
                before, mark = await self.scraped(parts), Mark(service)
            self.watch.events.clear()
            self.sleeps.clear()
            service.gate.clear()
            await self.break_()
            async with self.exporting(storage) as parts:
                begun = await self.scraped(parts)
                all_jobs = (*parts.daemon.jobs(parts.daemon.replica), *parts.player.jobs(parts.daemon.replica))
                async with Scheduler(all_jobs, parts.daemon.states):
                    await service.first_affected.wait()
                    ended = await self.scraped(parts)
                    service.gate.set()
            events = tuple(self.watch.events)
            await service.repair()
            seen = mark.seen()
            async with self.exporting(storage) as parts:
                after = await self.scraped(parts)
                clock.at += ROUND_SECONDS
                await self.all_due(parts)
                recovered = await self.scraped(parts)
        return self._evidence(before, after, recovered, (begun, ended), seen, (), events, cut=True)

    async def _problems(self, parts: Parts) -> tuple[str, ...]:
        """The lines of the page about searches, metadata and players."""
        view = summarize(await parts.daemon.status(), Filters())
        return (
            *(f"{each.detail} {each.advice}" for each in view.attention if each.trouble == "metadata"),
            *(f"{each.error} {each.advice}" for each in view.player if each.error),
        )

    def _evidence(
        self,
        before: Scrape,
        after: Scrape,
        recovered: Scrape,
        counters: tuple[Scrape, Scrape],
        seen: dict[str, Any],
        problems: tuple[str, ...],
        events: tuple[Mapping[str, Any], ...],
        *,
        cut: bool,
    ) -> ActionEvidence:
        return ActionEvidence(
            case=self.case,
            before=before,
            after=after,
            recovered=recovered,
            counters=counters,
            returned=self.service.returned,
            cut=cut,
            # Media that are found and not played are shown as 0.
            wanted=listed_rows(self.service, self.clock.at)
            | {k for k, each in recovered.plays.items() if each == ZEROS},
            waits=tuple(seconds for _, seconds in self.sleeps),
            play_data_waits=tuple(seconds for job, seconds in self.sleeps if job == "play data"),
            rounds=self.rounds,
            problems=problems,
            events=events,
            breaks=tuple(self.watch.breaks),
            secret=SECRET,
            **seen,
        )


def run_cases(cases: Iterable[ActionCase], check: Callable[[ActionEvidence], None]) -> int:
    """Run every case and pass its evidence to `check`; returns how many exporters are still in memory."""
    silent: list[Service] = []
    exporters: list[weakref.ref[Daemon]] = []

    async def all_of_them() -> None:
        for case in cases:
            exporters.extend(await _run(case, check, silent))

    def loop() -> SkippingLoop:
        return SkippingLoop(lambda: any(service.silent for service in silent))

    with only_new_objects_collected():
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(all_of_them())
        gc.collect()
        return sum(exporter() is not None for exporter in exporters)


async def _run(
    case: ActionCase, check: Callable[[ActionEvidence], None], silent: list[Service]
) -> list[weakref.ref[Daemon]]:
    clock = Clock(NOON)
    with watched() as watch:
        async with asyncio.timeout(SAFETY_SECONDS), ActionService(FEW_MEDIA, clock.now) as service:
            silent[:] = [service]
            with memory_measured(large=case.fault.large) as memory_use:
                run = ActionRun(case, service, clock, watch)
                evidence = await run.run()
        await watch.settle()
    tasks, descriptors = watch.left()
    check(replace(evidence, tasks=tasks, descriptors=descriptors, peak=memory_use.peak))
    return run.exporters
