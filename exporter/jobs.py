"""What the scheduler repeats: jobs, their IDs, and the events of their schedule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.core.retry import Retry


class JobKind(StrEnum):
    """What a job does."""

    POLL = "poll"
    SEARCH = "search"
    METADATA = "metadata"
    PLAYER = "player"


class JobId(NamedTuple):
    """What a job does, and for which query, player query or (metadata) account."""

    kind: JobKind
    name: str

    def __str__(self) -> str:
        """`poll/headline`, as APScheduler identifies the job."""
        return f"{self.kind}/{self.name}"


def poll_id(query: str) -> JobId:
    """The ID of the job that polls a query."""
    return JobId(JobKind.POLL, query)


def player_poll_id(query: str) -> JobId:
    """The ID of the job that polls a player query."""
    return JobId(JobKind.PLAYER, query)


def parse_job_id(text: str) -> JobId:
    """The ID that `str` has formatted; a name may contain slashes, too."""
    kind, _, name = text.partition("/")
    return JobId(JobKind(kind), name)


@dataclass(frozen=True, slots=True)
class Job:
    """Work to do every `every` seconds.

    `run` handles its own failures and returns when to retry, or None after a success.
    """

    id: JobId
    every: float
    run: Callable[[], Awaitable[Retry | None]]


class ScheduleObserver(Protocol):
    """Receives events of the schedule."""

    def run_skipped(self, job: JobId, /) -> None:
        """A run was due while the previous one had not ended."""
        ...

    def next_run(self, job: JobId, at: float, /) -> None:
        """The next run starts at `at` (seconds since 1970)."""
        ...
