"""A fake service for tests: its rows by slice, the calls it received, and the errors it returns."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from exporter.core.model import ByIds, Dimensions, Everything, Measure, Page, PlayRow, Query, Slice, Top
from exporter.core.play_dates import Settlement
from exporter.core.poller import Poller
from exporter.errors import ErrorKind, NotReady, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.core.model import Media

NOON = datetime.fromisoformat("2024-03-24T12:00:00+08:00").timestamp()
TODAY = date(2024, 3, 24)
YESTERDAY = date(2024, 3, 23)
ALL = Dimensions()


def row(media_id: str, plays: float = 10, **fields: float | str) -> PlayRow:
    return PlayRow(media_id, **{"title": f"title of {media_id}", "viewers": 5, "plays": plays, **fields})  # type: ignore[arg-type]


def rows(n: int, *, start: int = 0) -> list[PlayRow]:
    """Media m0000, m0001, ... in descending order of plays."""
    return [row(f"m{i:04}", plays=100_000 - i) for i in range(start, start + n)]


def query(media: Media, name: str = "q", **changed: object) -> Query:
    given = {"account": "main", "every": 900.0, "dimensions": (ALL,), "days_ago": (1,)}
    return Query(name, media=media, **{**given, **changed})  # type: ignore[arg-type]


def ids(*media_ids: str) -> ByIds:
    return ByIds(frozenset(media_ids))


def top(n: int, by: Measure = Measure.PLAYS) -> Top:
    return Top(n, by)


everything = Everything()


def failure(kind: ErrorKind = ErrorKind.SERVER, code: str = "Meter.ServerInternalError") -> UpstreamError:
    return UpstreamError("it failed", code=code, kind=kind, request_id="R-1")


def not_ready() -> NotReady:
    return NotReady("not ready", code="Meter.ReadyTsError", kind=ErrorKind.NOT_READY, request_id="R-2")


@dataclass
class FakeService:
    """Responds like the service; `refuse` may return an error for a call, `pages` other rows for a page."""

    now: float = NOON
    rows: dict[Slice, list[PlayRow]] = field(default_factory=dict)
    totals: dict[Slice, int | None] = field(default_factory=dict)
    refuse: Callable[[Slice, str | None, int], UpstreamError | None] = lambda *_: None
    pages: Callable[[Slice, int], list[PlayRow] | None] = lambda *_: None
    calls: list[tuple[Slice, str | None, Measure | None, int]] = field(default_factory=list)
    saved: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Event | None = None
    max_in_flight: int = 4

    def poller(self, **changed: object) -> Poller:
        given = {"settlement": Settlement(), "savings": self, "now": lambda: self.now}
        return Poller({"main": self, "other": self}, **{**given, **changed})  # type: ignore[arg-type]

    def put(self, found: list[PlayRow], play_date: date = YESTERDAY, dimensions: Dimensions = ALL) -> Slice:
        slice_ = Slice("main", dimensions, play_date)
        self.rows[slice_] = found
        return slice_

    def calls_saved(self, account: str, reason: str, calls: int) -> None:
        assert account
        self.saved[reason] += calls

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        self.calls.append((slice_, media_id, order_by, page))
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        error = self.refuse(slice_, media_id, page)
        if error is not None:
            raise error
        found = self.rows.get(slice_, [])
        if media_id is not None:
            found = [r for r in found if r.media_id == media_id]
        if order_by is not None:
            found = sorted(found, key=lambda r: -(getattr(r, order_by.value) or 0))
        given = self.pages(slice_, page) if media_id is None else None
        shown = found[(page - 1) * page_size : page * page_size] if given is None else given
        return Page(tuple(shown), self.totals.get(slice_, len(found)), f"R-{len(self.calls)}")


def known_plays(poller: Poller, slice_: Slice) -> Mapping[str, float | None]:
    """Plays by media in the published snapshot; None for a zero."""
    data = poller.snapshot.slices[slice_]
    return {m: a.row.plays if a.row else None for m, a in data.records.items()}
