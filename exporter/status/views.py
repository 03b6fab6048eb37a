"""The types of what the page and `/api/v1/status` show; the fields are those of the JSON, see docs/status.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from exporter.status.expected_views import ExpectationView, Expected, LossView
    from exporter.status.filters import Filters
    from exporter.status.model import Problem, State, StatusSettings
    from exporter.status.player import PlayerTargetView

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attention:
    """A reported problem: `subject` is a query, an account or empty; `count` is the number of affected objects.

    `advice` is what the operator can do, if the problem has no other place on the page.
    """

    trouble: Problem
    subject: str = ""
    detail: str = ""
    count: int = 0
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """The errors of one code in the last poll of a query; `message`, `advice` and `request_id` are of the first."""

    code: str
    kind: str
    times: int
    message: str
    advice: str
    request_id: str


@dataclass(frozen=True, slots=True)
class QueryView:
    """One query. Times are in seconds since 1970, durations in seconds; None: not yet.

    `media` is `ids`, `top`, `search` or `all`; `media_count` is the number of IDs or of media found, or the limit of
    `top`, None for `all`.
    `result` is the result of the last poll.
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
    expected: Expected
    settled_days: tuple[ExpectationView, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """The number of attempts that failed with a code since the start."""

    code: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account. Counts are since the start; `rate_limit` is the current limit in requests per second.

    `state` is `ok`, `refused`, `paused`, `budget_spent` or `no_credentials`, by the errors of its last poll.
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
    """One slice; a filter that is not set is `all`. Times are in seconds since 1970.

    `rows` is the number of published media, `total` the number of media with plays, None until a listing was read.
    `error` is the error code of the last poll.
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
    """One play date: the number of its requested slices, in total and by state."""

    days_ago: int
    play_date: date
    slices: int
    states: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """The media of an account, compared with a week before in the combination with the fewest filters.

    `play_date` is None if no two settled days a week apart are known. `media` is the number of media that can be
    compared; of these, `dropped` lost more than half of at least 100 plays.
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
    """One video of an account in one combination of filters.

    `plays` are the plays on `play_date`. `lost` is `expected` less `plays`; None without an expectation: then
    `missing_days` are the days whose settled plays it needs. `difference` is the difference to `plays_week_before`, and
    `change` the relative one: -0.5 is half as many. Both are None if one of the two days is not known or not settled;
    `change` also if there were no plays a week before. `history` is the plays of the 30 days before today, the oldest
    first, None: not known. `unknown`: the video was requested by ID, and no response has ever contained it.
    `category` is a path; it, `tags` and `created_at` (seconds since 1970) are known from a search or metadata only.
    `deleted`: the service reported that there is no such media.
    """

    account: str
    media_id: str
    title: str | None
    terminal_type: str
    os: str
    region: str
    play_date: date | None
    plays: int | float | None
    expected: int | float | None
    lost: int | float | None
    plays_week_before: int | float | None
    difference: int | float | None
    change: float | None
    missing_days: tuple[date, ...] = ()
    history: tuple[int | float | None, ...] = ()
    unknown: bool = False
    category: str | None = None
    tags: tuple[str, ...] = ()
    created_at: float | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class ViewPage(Generic[T]):
    """Page `number` of `pages`, both from 1, of the `total` rows that match the filters."""

    rows: tuple[T, ...]
    number: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class StatusView:
    """Everything that the page shows; times are in seconds since 1970.

    `has_metadata`: whether categories, tags and ages of any media are known.
    """

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
    losses: tuple[LossView, ...]
    comparisons: tuple[ComparisonView, ...]
    media: ViewPage[MediaView]
    slices: ViewPage[SliceView]
    has_metadata: bool
    player: tuple[PlayerTargetView, ...]
