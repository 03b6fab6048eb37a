"""What the page and `/api/v1/status` say; the field names are those of the JSON, see docs/status.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from exporter.status.filters import Filters
    from exporter.status.model import StatusSettings

T = TypeVar("T")


class State(StrEnum):
    """How it stands with a slice, the worst first."""

    STALE = "stale"  # was known, and is not published any more
    UNANSWERED = "unanswered"  # nothing was ever heard of it
    NOT_READY = "not_ready"  # the service has not computed that day
    UNSETTLED = "unsettled"  # may change
    SETTLED = "settled"  # final


class Problem(StrEnum):
    """What somebody should look at."""

    NO_CREDENTIALS = "no_credentials"
    REFUSED = "refused"
    PAUSED = "paused"
    BUDGET_SPENT = "budget_spent"
    QUERY = "query"
    WAITING = "waiting"
    PLAYS_DROPPED = "plays_dropped"
    STALE = "stale"
    UNANSWERED = "unanswered"
    SERIES_DROPPED = "series_dropped"
    CONFIG_REJECTED = "config_rejected"


@dataclass(frozen=True, slots=True)
class Attention:
    """Something to look at: `subject` is a query or an account, or empty; `count` is how many of what it tells of."""

    trouble: Problem
    subject: str = ""
    detail: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed in the last poll of a query, by code; `request_id`, `message` and `advice` are of the first."""

    code: str
    kind: str
    times: int
    message: str
    advice: str
    request_id: str


@dataclass(frozen=True, slots=True)
class QueryView:
    """One query. Times are seconds since 1970, durations seconds; None: not yet.

    `media` is `ids`, `top` or `all`; `media_count` how many are named or the most wanted, None for `all`.
    `result` is that of the last poll.
    """

    name: str
    account: str
    every: float
    media: str
    media_count: int | None
    media_by: str | None
    dimensions: int
    days_ago: tuple[int, ...]
    slices: int
    result: str | None
    ended_at: float | None
    duration: float | None
    last_success_at: float | None
    next_poll_at: float | None
    polls: Mapping[str, int]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How many attempts failed with a code since the start."""

    code: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account. Counts are since the start; `rate_limit` is in force now, in requests per second.

    `state` is `ok`, `refused`, `paused`, `budget_spent` or `no_credentials`, as its last poll met it.
    `calls_remaining` is None without `calls_per_day` (0).
    """

    name: str
    state: str
    endpoint: str
    credentials: str
    timeout: float
    concurrency: int
    requests_per_second: float
    rate_limit: float | None
    calls_per_day: int
    calls_remaining: int | None
    requests: int
    retries: int
    calls_saved: int
    errors: tuple[ErrorCount, ...]


@dataclass(frozen=True, slots=True)
class SliceView:
    """One slice; filters that do not filter are `all`. Times are seconds since 1970.

    `rows` is how many media are published of it, `total` how many have plays, where a sweep told. `error` is the code
    that the last poll met there.
    """

    account: str
    terminal_type: str
    os: str
    region: str
    days_ago: int
    play_date: date
    state: State
    updated_at: float | None
    rows: int
    total: int | None
    error: str | None
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DayView:
    """One play date: how many slices are asked for, and how it stands with them."""

    days_ago: int
    play_date: date
    slices: int
    states: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """The media of an account, compared with a week before in the combination that filters least.

    `play_date` is None where no two final days a week apart are known. Of `media` that can be compared, `dropped` lost
    more than half of at least 100 plays.
    """

    account: str
    terminal_type: str
    os: str
    region: str
    play_date: date | None
    week_before: date | None
    media: int
    dropped: int


@dataclass(frozen=True, slots=True)
class MediaView:
    """One media of an account in one combination of filters.

    `plays` are those of `play_date`; `difference` is how many more than `plays_week_before`, and `change` the share:
    -0.5 is half as many. None: one of the two is not known, or not settled, or, for the share, there were none.
    `history` is the plays of the 30 days before today, the oldest first, None: not known. `unknown`: it was asked for
    by ID, and no answer has ever named it.
    """

    account: str
    media_id: str
    title: str | None
    terminal_type: str
    os: str
    region: str
    play_date: date | None
    plays: int | float | None
    plays_week_before: int | float | None
    difference: int | float | None
    change: float | None
    history: tuple[int | float | None, ...]
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of `total` rows that fit the filters: page `number` of `pages`, both from 1."""

    rows: tuple[T, ...]
    number: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class StatusView:
    """Everything that is said; times are seconds since 1970."""

    version: str
    now: float
    started_at: float
    ready: bool
    series: int
    series_dropped: int
    storage_errors: int
    settings: StatusSettings
    filters: Filters
    attention: tuple[Attention, ...]
    queries: tuple[QueryView, ...]
    accounts: tuple[AccountView, ...]
    days: tuple[DayView, ...]
    comparisons: tuple[ComparisonView, ...]
    media: Page[MediaView]
    slices: Page[SliceView]
