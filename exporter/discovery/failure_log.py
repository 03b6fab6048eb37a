"""Failures of searches and metadata refreshes, each logged when it begins and when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from exporter.errors import ErrorKind, ErrorScope, QuotaExceeded, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Collection

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DiscoveryProblem:
    """A search or metadata refresh that currently fails, or configured media that do not exist."""

    account: str
    what: str
    code: str = ""
    message: str = ""
    advice: str = ""
    media_ids: tuple[str, ...] = ()


class PermissionMeter(Protocol):
    """Records whether optional actions are permitted."""

    def action_permitted(self, account: str, action: str, *, permitted: bool) -> None:
        """The last call of an optional action was permitted or refused."""
        ...


class FailureLog:
    """The current failures, by account and name: `search QUERY`, `metadata` or `categories`."""

    def __init__(self, meter: PermissionMeter) -> None:
        self._meter = meter
        self.current: dict[tuple[str, str], UpstreamError] = {}
        self._logged: set[tuple[str, str, str]] = set()

    def retain_searches(self, queries: Collection[str]) -> None:
        """Drop the failures of searches that belong to other queries."""
        names = {search_name(query) for query in queries}
        self.current = {
            key: error
            for key, error in self.current.items()
            if not key[1].startswith(search_name("")) or key[1] in names
        }

    def failed(self, account: str, what: str, error: UpstreamError, action: str) -> UpstreamError:
        """Record, log and return a failure; one that persists is logged once."""
        self.current[account, what] = error
        if error.kind is ErrorKind.AUTH and error.scope is ErrorScope.ACTION:
            self._meter.action_permitted(account, action, permitted=False)
        key = account, what, error.code
        if key not in self._logged:
            self._logged.add(key)
            log = _log.info if isinstance(error, QuotaExceeded) else _log.warning
            log(
                "media metadata not refreshed",
                account=account,
                what=what,
                code=error.code,
                kind=error.kind.value,
                request_id=error.request_id,
                error=error.message,
                advice=error.advice,
            )
        return error

    def succeeded(self, account: str, what: str, action: str) -> None:
        """Record that calls of an action have succeeded."""
        self._meter.action_permitted(account, action, permitted=True)
        self._logged = {each for each in self._logged if each[:2] != (account, what)}
        if self.current.pop((account, what), None) is not None:
            _log.info("media metadata refreshed again", account=account, what=what)

    def problems(self) -> tuple[DiscoveryProblem, ...]:
        """The current failures."""
        return tuple(
            DiscoveryProblem(account, what, error.code, error.message, error.advice)
            for (account, what), error in sorted(self.current.items())
        )


def search_name(query: str) -> str:
    """The name of the search of a query."""
    return f"search {query}"
