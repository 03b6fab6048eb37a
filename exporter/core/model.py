"""The core's data types: queries, the service's rows and pages, and what is known of each slice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from exporter.core.media_details import AccountMetadata, FoundMedia, Search

# The values that the service accepts for each filter (Alibaba Cloud's page of DescribeVodMediaPlayData).
TERMINAL_TYPES: Final = ("Native", "Web")
OPERATING_SYSTEMS: Final = ("Android", "iOS", "Windows", "macOS", "Linux")
REGIONS: Final = (
    "cn-beijing",
    "cn-shanghai",
    "cn-shenzhen",
    "ap-northeast-1",
    "ap-southeast-1",
    "ap-southeast-5",
    "eu-central-1",
)


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The filters of a slice; None means no filter, the label value `all`."""

    terminal_type: str | None = None
    os: str | None = None
    region: str | None = None

    @property
    def labels(self) -> tuple[str, str, str]:
        """The values of the labels terminal_type, os and region."""
        return self.terminal_type or "all", self.os or "all", self.region or "all"


@dataclass(frozen=True, slots=True)
class Slice:
    """One result set of the API: an account, its filters and a play date (a day of UTC+8)."""

    account: str
    dimensions: Dimensions
    play_date: date


class Measure(StrEnum):
    """The measures by which the service can order rows."""

    PLAYS = "plays"
    PLAYS_PER_VIEWER = "plays_per_viewer"
    PLAY_DURATION = "play_duration"
    PLAY_DURATION_PER_VIEWER = "play_duration_per_viewer"


@dataclass(frozen=True, slots=True)
class ByIds:
    """These media, by their IDs; a video without plays is a zero."""

    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Top:
    """The `n` media that rank first by a measure."""

    n: int
    by: Measure


@dataclass(frozen=True, slots=True)
class Everything:
    """Every video with plays on that day."""


Media = ByIds | Top | Everything


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the configuration, without secrets.

    `credentials` is `key` for a key in the configuration or in files, else the provider.
    `requests_per_second`, `concurrency` and `calls_per_day` (0: unlimited) are those of all replicas together.
    """

    name: str
    endpoint: str
    credentials: str
    timeout: float
    requests_per_second: float
    concurrency: int
    calls_per_day: int


@dataclass(frozen=True, slots=True)
class Query:
    """An entry of `queries`: its account, media, dimensions and days, and how often it is polled.

    `every` is in seconds; `days_ago` counts back from today in UTC+8; 0 is today. `expected`: also poll the days that
    yesterday's expected plays need. `search`: the search that finds the media; `media` are then those found so far.
    """

    name: str
    account: str
    every: float
    media: Media
    dimensions: tuple[Dimensions, ...]
    days_ago: tuple[int, ...]
    expected: bool = False
    search: Search | None = None

    @property
    def finds_nothing(self) -> bool:
        """Whether its search has found no media, or has not run yet."""
        return self.search is not None and self.media == ByIds(frozenset())

    def with_found(self, found: Mapping[tuple[str, Search], FoundMedia]) -> Query:
        """The query with the media that its search has found, by account and search, if it has one."""
        known = None if self.search is None else found.get((self.account, self.search))
        return self if known is None else replace(self, media=ByIds(known.media_ids))


@dataclass(frozen=True, slots=True)
class PlayRow:
    """What the service returned for one video in one slice. None is "not given", never 0.

    `media_duration`, `play_duration` and `play_duration_per_viewer` are seconds.
    """

    media_id: str
    title: str | None = None
    media_duration: int | float | None = None
    viewers: int | float | None = None
    plays: int | float | None = None
    plays_per_viewer: int | float | None = None
    play_duration: int | float | None = None
    play_duration_per_viewer: int | float | None = None


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a field of rows was not used or was corrected, how often, and the first media concerned.

    `field` is the service's name of it.
    """

    field: str
    reason: str
    media_id: str
    times: int = 1

    def __str__(self) -> str:
        """`VideoTitle: longer than 128 characters (3, first of media m1)`."""
        return f"{self.field}: {self.reason} ({self.times}{f', first of media {self.media_id}' * bool(self.media_id)})"


def merged_problems(problems: Iterable[RowProblem]) -> tuple[RowProblem, ...]:
    """One problem for each field and reason, with how often it occurred in all, and the first media concerned."""
    merged: dict[tuple[str, str], RowProblem] = {}
    for problem in problems:
        first = merged.get((problem.field, problem.reason))
        merged[problem.field, problem.reason] = replace(first, times=first.times + problem.times) if first else problem
    return tuple(merged.values())


@dataclass(frozen=True, slots=True)
class Page:
    """One response of the service: rows in its order.

    * `total_count`: rows in the whole result set; None if not given.
    * `skipped`: rows left out because they have no usable media ID.
    * `problems`: of all rows, those left out included.
    """

    rows: tuple[PlayRow, ...]
    total_count: int | None
    request_id: str
    skipped: int = 0
    problems: tuple[RowProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Freshness:
    """When something was last observed (`observed_at`, seconds since 1970), and whether it is final.

    * `confirmations`: how many polls in a row, since the day could be final, found the numbers unchanged.
    * `settled`: there were enough confirmations; it is not requested again.
    """

    observed_at: float
    confirmations: int = 0
    settled: bool = False


@dataclass(frozen=True, slots=True)
class MediaRecord:
    """What was last observed of one video in a slice; a `row` of None means that it was requested and has no plays."""

    row: PlayRow | None
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class Ranking:
    """The top `n` media of a slice by a measure, best first, as the service ordered them."""

    n: int
    media_ids: tuple[str, ...]
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class SliceData:
    """Everything known of one slice. Times are seconds since 1970.

    * `records`: the records, by media ID.
    * `listed`: when a listing was last read to the end, with as many rows as the service counted; media without a
      record had no plays then. None: never.
    * `rankings`: by measure, for `top` queries.
    * `total`: how many media have plays, as observed at `total_at`; None until a listing was read.
    * `updated_at`: the last poll that got everything it needed. None: never.
    * `last_response_at`: the last response of any kind, "not ready" included.
    * `ready`: False while the service reports that the day is not computed.
    * `unattributed_rows`: rows of the last listing without a usable media ID; any media without a record may
      be one of them.
    """

    slice: Slice
    records: Mapping[str, MediaRecord] = field(default_factory=dict)
    listed: Freshness | None = None
    rankings: Mapping[Measure, Ranking] = field(default_factory=dict)
    total: int | None = None
    total_at: float = 0.0
    updated_at: float | None = None
    last_response_at: float = 0.0
    ready: bool = True
    unattributed_rows: int = 0

    def record(self, media_id: str) -> MediaRecord | None:
        """The record of a video: with a row, or a zero; None if nothing is known."""
        return self.records.get(media_id) or self.unlisted_record

    @property
    def unlisted_record(self) -> MediaRecord | None:
        """The record of every video without one in `records`: a zero after a listing; None if nothing is known."""
        return MediaRecord(None, self.listed) if self.listed is not None and not self.unattributed_rows else None

    def ranking(self, top: Top) -> Ranking | None:
        """The top media by a measure: of the stored ranking or the last listing, whichever is newer; None: unknown."""
        stored = self.rankings.get(top.by)
        if stored is not None and stored.n < top.n:
            stored = None
        if self.listed is None or (stored is not None and stored.freshness.observed_at > self.listed.observed_at):
            return replace(stored, n=top.n, media_ids=stored.media_ids[: top.n]) if stored else None
        rows = [(record.row, media_id) for media_id, record in self.records.items() if record.row is not None]
        rows.sort(key=lambda entry: (-(getattr(entry[0], top.by.value) or 0), entry[1]))
        return Ranking(top.n, tuple(media_id for _, media_id in rows[: top.n]), self.listed)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known at one instant, by slice; metadata by account."""

    slices: Mapping[Slice, SliceData] = field(default_factory=lambda: MappingProxyType({}))
    metadata: Mapping[str, AccountMetadata] = field(default_factory=lambda: MappingProxyType({}))

    def updated(self, changed: Iterable[SliceData]) -> Snapshot:
        """This snapshot with some slices replaced."""
        return replace(self, slices=MappingProxyType({**self.slices, **{data.slice: data for data in changed}}))

    def since(self, oldest: date) -> Snapshot:
        """This snapshot without the days before `oldest`."""
        return replace(
            self, slices=MappingProxyType({s: data for s, data in self.slices.items() if s.play_date >= oldest})
        )
