"""Failures of searches and metadata refreshes, each logged when it begins and when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter.errors import ErrorKind, ErrorScope, QuotaExceeded, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_NAMED_IN_LOG: Final = 5

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
    """The current failures, by account and name: `search QUERY`, `metadata` or `categories`.

    A missing permission is one failure of its action, whatever needs the action.
    """

    def __init__(self, meter: PermissionMeter) -> None:
        self._meter = meter
        self._failed: dict[tuple[str, str], tuple[UpstreamError, str]] = {}
        self._logged: set[tuple[str, str, str]] = set()

    @property
    def current(self) -> dict[tuple[str, str], UpstreamError]:
        """The failures by account and name; those for the same missing permission are one, with all their names."""
        names: dict[tuple[str, str], list[str]] = {}
        for (account, what), (error, action) in sorted(self._failed.items(), key=lambda each: each[0]):
            names.setdefault((account, _cause(what, error, action)), []).append(what)
        return {(account, ", ".join(some)): self._failed[account, some[0]][0] for (account, _), some in names.items()}

    def retain(self, requested: Collection[tuple[str, str]]) -> None:
        """Drop all failures but those of these accounts and names; what is requested again later is logged again."""
        before, self._failed = self._failed, {key: each for key, each in self._failed.items() if key in requested}
        dropped = _causes(before) - _causes(self._failed)
        self._logged = {each for each in self._logged if each[:2] not in dropped}

    def failed(self, account: str, what: str, error: UpstreamError, action: str) -> UpstreamError:
        """Record, log and return the failure of a call of an action; one that persists is logged once."""
        self._failed[account, what] = error, action
        if _is_permission(error):
            self._meter.action_permitted(account, action, permitted=False)
        key = account, _cause(what, error, action), error.code
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

    def permitted(self, account: str, action: str) -> None:
        """Record that a call of an action has succeeded."""
        self._meter.action_permitted(account, action, permitted=True)
        self._logged = {each for each in self._logged if each[:2] != (account, action)}

    def succeeded(self, account: str, what: str) -> None:
        """Record that a search or a refresh has succeeded."""
        self._logged = {each for each in self._logged if each[:2] != (account, what)}
        if self._failed.pop((account, what), None) is not None:
            _log.info("media metadata refreshed again", account=account, what=what)

    def problems(self) -> tuple[DiscoveryProblem, ...]:
        """The current failures."""
        return tuple(
            DiscoveryProblem(account, what, error.code, error.message, error.advice)
            for (account, what), (error, _) in sorted(self._failed.items(), key=lambda each: each[0])
        )


def _is_permission(error: UpstreamError) -> bool:
    return error.kind is ErrorKind.AUTH and error.scope is ErrorScope.ACTION


def _cause(what: str, error: UpstreamError, action: str) -> str:
    return action if _is_permission(error) else what


def _causes(failed: Mapping[tuple[str, str], tuple[UpstreamError, str]]) -> set[tuple[str, str]]:
    return {(account, _cause(what, error, action)) for (account, what), (error, action) in failed.items()}


def search_name(query: str) -> str:
    """The name of the search of a query."""
    return f"search {query}"


def first_of(media_ids: Iterable[str]) -> str:
    """The first of these IDs, for a line of the log."""
    return ",".join(sorted(media_ids)[:_NAMED_IN_LOG])
