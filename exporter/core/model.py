"""The nouns: what is asked for, what the service says, and what is known of one slice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

# The values the service knows for each filter (Alibaba Cloud's page of DescribeVodMediaPlayData).
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
    """The filters of one question; None means no filter, the label value `all`."""

    terminal_type: str | None = None
    os: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """One result set of the API: an account, its filters and a play date (a day of UTC+8)."""

    account: str
    dimensions: Dimensions
    play_date: date


class Measure(StrEnum):
    """What the service can order rows by."""

    PLAYS = "plays"
    PLAYS_PER_VIEWER = "plays_per_viewer"
    PLAY_DURATION = "play_duration"
    PLAY_DURATION_PER_VIEWER = "play_duration_per_viewer"


@dataclass(frozen=True, slots=True)
class ByIds:
    """These media, each one known by its ID; a media without plays is a zero."""

    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Top:
    """The `n` media with the most of `by`."""

    n: int
    by: Measure


@dataclass(frozen=True, slots=True)
class Everything:
    """Every media with plays on that day."""


Media = ByIds | Top | Everything


@dataclass(frozen=True, slots=True)
class Query:
    """A configured question: which media of which account, by which dimensions, on which days, how often.

    `every` is in seconds; `days_ago` counts back from today in UTC+8, 0 is today.
    """

    name: str
    account: str
    every: float
    media: Media
    dimensions: tuple[Dimensions, ...]
    days_ago: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlayRow:
    """What the service says of one media in one slice. None is "not given", never 0.

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
    """Why something in rows of an answer was not used as it stands, how often, and the first media that had it.

    `field` is the service's name.
    """

    field: str
    reason: str
    media_id: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the service: rows in its order; `total_count` rows in the whole result set (None: not said).

    `skipped` rows were left out because nobody can tell whose they are; `problems` are of all rows.
    """

    rows: tuple[PlayRow, ...]
    total_count: int | None
    request_id: str
    skipped: int = 0
    problems: tuple[RowProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Freshness:
    """When the service said something (seconds since 1970), and for how good it stands.

    `confirmations` polls since the day could be final found the numbers as they were; `settled` when those are enough:
    it will not change any more.
    """

    at: float
    confirmations: int = 0
    settled: bool = False


@dataclass(frozen=True, slots=True)
class MediaRecord:
    """What the service last said of one media in a slice; a `row` of None: asked, and nobody played that media."""

    row: PlayRow | None
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class Ranking:
    """The first `n` media of a slice by some measure, best first, as the service ordered them."""

    n: int
    media_ids: tuple[str, ...]
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class SliceData:
    """Everything known of one slice. Times are seconds since 1970.

    * `answers`: by media ID.
    * `listed`: when a sweep last reached the end with as many rows as the service counted; media without an answer had
      no plays then. None: never.
    * `rankings`: by measure, where a `top` query asked.
    * `total`: how many media have plays, where a sweep told, at `total_at`.
    * `updated_at`: the last poll that got everything it wanted. None: never.
    * `last_response_at`: the last answer of any sort, "not ready" included.
    * `ready`: False while the service says that the day is not computed.
    * `unattributed_rows`: rows of the last listing without a usable media ID; an unknown media may be one.
    """

    slice: Slice
    answers: Mapping[str, MediaRecord] = field(default_factory=dict)
    listed: Freshness | None = None
    rankings: Mapping[Measure, Ranking] = field(default_factory=dict)
    total: int | None = None
    total_at: float = 0.0
    updated_at: float | None = None
    last_response_at: float = 0.0
    ready: bool = True
    unattributed_rows: int = 0

    def answer(self, media_id: str) -> MediaRecord | None:
        """What is known of a media: a row, a zero, or (None) nothing."""
        known = self.answers.get(media_id)
        if known is None and self.listed is not None and not self.unattributed_rows:
            return MediaRecord(None, self.listed)
        return known

    def ranking(self, top: Top) -> Ranking | None:
        """The wanted number of media by a measure, best first, from whichever knew last: the whole or a ranking."""
        told = self.rankings.get(top.by)
        if told is not None and told.n < top.n:
            told = None
        if self.listed is None or (told is not None and told.freshness.at > self.listed.at):
            return replace(told, n=top.n, media_ids=told.media_ids[: top.n]) if told else None
        rows = [(answer.row, media_id) for media_id, answer in self.answers.items() if answer.row is not None]
        rows.sort(key=lambda known: (-(getattr(known[0], top.by.value) or 0), known[1]))
        return Ranking(top.n, tuple(media_id for _, media_id in rows[: top.n]), self.listed)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known, by slice."""

    slices: Mapping[Slice, SliceData] = field(default_factory=lambda: MappingProxyType({}))

    def updated(self, changed: Iterable[SliceData]) -> Snapshot:
        """This snapshot with some slices replaced; all of them at once."""
        return Snapshot(MappingProxyType({**self.slices, **{data.slice: data for data in changed}}))

    def since(self, oldest: date) -> Snapshot:
        """This snapshot without the days before `oldest`, which nobody can ask for any more."""
        return Snapshot(MappingProxyType({s: data for s, data in self.slices.items() if s.play_date >= oldest}))
