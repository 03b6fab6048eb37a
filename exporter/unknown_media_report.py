"""Reports media IDs in the configuration that no response has ever contained, as a metric and in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter.core.poll_report import PollResult
from exporter.core.unknown_media import UnknownMedia, listed_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.core.model import Query, SliceData
    from exporter.core.poll_report import PollReport

_NAMED_IN_LOG: Final = 5

_log = structlog.get_logger()


class UnknownMediaMeter(Protocol):
    """Receives numbers of unknown media."""

    def unknown_media(self, account: str, query: str, media: int | None) -> None:
        """Record how many media of a query are unknown; None: it lists none by ID."""
        ...


class UnknownMediaReport:
    """Counts the unknown media of each query after every poll, and logs each of them once."""

    def __init__(self, meter: UnknownMediaMeter) -> None:
        self._meter = meter
        self._unknown_media = UnknownMedia()
        self._queries: Sequence[Query] = ()
        self._logged: set[tuple[str, str]] = set()

    def set_queries(self, queries: Sequence[Query], known: Iterable[SliceData]) -> None:
        """Report on these queries from now on; `known` is all data restored or polled so far."""
        self._queries = queries
        self._unknown_media.set_queries(queries, known)
        for query in queries:
            self._count(query)

    def update(self, report: PollReport, polled: Iterable[SliceData]) -> None:
        """Update the numbers from the slices that a poll has changed."""
        self._unknown_media.update(polled)
        polled_query = report.query
        for query in self._queries:
            if query.account == polled_query.account:
                self._count(query)
        media_ids = {(polled_query.account, each) for each in self._unknown_media.of(polled_query)} - self._logged
        if media_ids and report.result is PollResult.SUCCESS:
            self._logged |= media_ids
            _log.warning(
                "unknown media",
                query=polled_query.name,
                account=polled_query.account,
                media_ids=len(media_ids),
                first=",".join(sorted(media_id for _, media_id in media_ids)[:_NAMED_IN_LOG]),
                advice="Check these IDs: no response has contained them yet. They may be mistyped, or never played.",
            )

    def current(self) -> frozenset[tuple[str, str]]:
        """Account and ID of the media that queries list by ID and that no response has ever contained."""
        return frozenset((query.account, each) for query in self._queries for each in self._unknown_media.of(query))

    def _count(self, query: Query) -> None:
        self._meter.unknown_media(
            query.account, query.name, len(self._unknown_media.of(query)) if listed_ids(query) else None
        )
