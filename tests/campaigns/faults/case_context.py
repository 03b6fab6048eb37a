"""The run of one case: what all moments have in common."""

from __future__ import annotations

import contextlib
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from exporter.app import Runtime, assemble_daemon
from exporter.core import play_dates
from tests.campaigns.faults.case_queries import (
    TOP,
    configuration,
    meeting,
    wanted_ids,
)
from tests.campaigns.faults.cases import Case, Selection
from tests.campaigns.faults.fault import ConnectionFault
from tests.campaigns.faults.scrapes import Scrape

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from exporter.config.schema import Config
    from exporter.daemon import Daemon
    from tests.campaigns.faults.oracle import Call
    from tests.campaigns.faults.service import Service
    from tests.harness import Clock


@dataclass
class CaseRun:
    """The run of one case: what all moments have in common."""

    case: Case
    service: Service
    clock: Clock
    exporters: list[weakref.ref[Daemon]] = field(default_factory=list)

    @property
    def environment(self) -> Runtime:
        return Runtime({}, self.clock.now, self.clock.now, self.clock.sleep)

    def config(self, *, turned: bool = False, rate: int = 1000, broken: bool = False) -> Config:
        """`broken`: with an endpoint whose name does not resolve, if that is the fault."""
        unknown = broken and self.case.fault.connection_fault is ConnectionFault.UNKNOWN_NAME
        # Too long for a DNS query.
        endpoint = self.service.endpoint_at(".".join(["a" * 60] * 5)) if unknown else self.service.endpoint
        return configuration(self.case.selection, endpoint, turned=turned, rate=rate)

    async def scraped(self, exporter: Daemon) -> Scrape:
        """A scrape, as Prometheus would get it now."""
        return Scrape(self.clock.at, (await exporter.scrape(None, None)).body.decode())

    async def break_(self) -> None:
        await self.service.break_(self.case.fault, meeting(self.case))

    def wanted(self) -> frozenset[tuple[str, str]]:
        """The places that must be known after everything has been polled again."""
        if self.case.selection is Selection.IDS:
            return frozenset((date, media_id) for date in recent_dates(self.clock.at) for media_id in wanted_ids())
        return listed_rows(self.service, self.clock.at, TOP if self.case.selection is Selection.TOP else None)

    @contextlib.asynccontextmanager
    async def exporting(self, storage: Path | None = None, *, broken: bool = False) -> AsyncGenerator[Daemon]:
        async with assemble_daemon(self.config(broken=broken), self.environment, storage) as exporter:
            self.exporters.append(weakref.ref(exporter))
            yield exporter


def recent_dates(now: float) -> list[str]:
    """The play dates of the queries, in the service's format."""
    return [f"{play_dates.play_date(now, ago):%Y%m%d}" for ago in (0, 1)]


def listed_rows(service: Service, now: float, n: int | None = None) -> frozenset[tuple[str, str]]:
    """The places of the media with plays, or the first `n` of them, on each of these dates."""
    return frozenset((date, row["MediaId"]) for date in recent_dates(now) for row in service.listed(date)[:n])


@dataclass(frozen=True, slots=True)
class Passed:
    """The results of a moment: see Evidence."""

    before: Scrape
    after: Scrape
    recovered: Scrape
    counters: tuple[Scrape, Scrape]
    returned_before: dict[tuple[str, str], int]
    affected: tuple[Call, ...]
    received: tuple[Call, ...]
    good: int
    wanted: frozenset[tuple[str, str]]
    cut: bool = False


class Mark:
    """A point in the service's log."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._returned_before = {row_key: len(rows) for row_key, rows in service.returned.rows.items()}
        self._affected, self._received, self._good = len(service.affected), len(service.calls), service.good

    def seen(self) -> dict[str, Any]:
        """The requests that the service received since."""
        return {
            "returned_before": self._returned_before,
            "affected": tuple(self._service.affected[self._affected :]),
            "received": tuple(self._service.calls[self._received :]),
            "good": self._service.good - self._good,
        }
