"""Incidents on demand: from a play date on, some of the plays are lost; each is a label for tests of alerts.

`KIND[:VALUE][:CHANGE]@DAYS_AGO[..DAYS_AGO]`, such as `os:Android@1` or `account:-30%@3..2`; each day may have a time in
UTC+8, as in `player:Android@0T12:00..0T13:30`.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES
from exporter.simulator.calendar import OLDEST_DAYS_AGO, day_at, start_of_day
from exporter.simulator.generated_media import MEDIA_ID, REGION_COUNT, SEGMENTS, most_played
from exporter.simulator.popularity import BUCKET, DAY, played_before

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

SETTLED: Final = "settled"
"""Instead of DAYS_AGO: the last day whose numbers are final."""

# What a kind changes if no change is given.
_CHANGES: Final = {
    "os": -0.95,
    "terminal": -0.95,
    "region": -0.95,
    "account": -0.30,
    "media": -0.80,
    "removal": -1.0,
    "collapse": -0.95,
    "player": -0.9,
    "first-frame": 3.0,
}
PLAYER: Final = "player"
"""The kind whose plays are attempted and fail; those of others are not attempted."""

FIRST_FRAME: Final = "first-frame"
"""The kind that loses no plays, but changes the time to the first frame."""

_VALUES: Final = {"os": OPERATING_SYSTEMS, "terminal": TERMINAL_TYPES, "region": REGIONS}
_OF_PLAYERS: Final = (PLAYER, FIRST_FRAME)
_OF_ONE_MEDIA: Final = ("media", "removal")
_FORM: Final = "KIND[:VALUE][:CHANGE]@DAYS_AGO[Thh:mm][..DAYS_AGO[Thh:mm]]"
_EXAMPLES: Final = (
    "os:Android@1, os:iOS:-40%@3..2, terminal:Web@1, region:cn-beijing@1, account:-30%@1, media:-60%@1, media:ID@1,"
    " removal@1, removal:ID@1, collapse@settled, player@0T12:00, player:Android:-60%@0T12:00..0T13:30,"
    " player:Web@1, first-frame:iOS:+300%@0T12:00"
)
_CHANGE: Final = re.compile(r"[+-](\d{1,3}(?:\.\d{1,3})?)%", re.ASCII)
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_MOST: Final = 9.0


@dataclass(frozen=True, slots=True)
class Incident:
    """From the play date `first` on, plays that match the filters are 1 + `change` of what they would be.

    `last`: the last play date; None: it does not end. `media_id`: None for all media. `kind`: the label.
    `since`, `until`: the second of the first day at which it begins, and the second of the last day at which it ends.
    """

    kind: str
    change: float
    first: date
    last: date | None = None
    media_id: str | None = None
    terminal_type: str | None = None
    os: str | None = None
    region: str | None = None
    since: int = 0
    until: int = DAY

    @property
    def of_whole_account(self) -> bool:
        """Whether it is the same for all media and regions."""
        return self.media_id is None and self.region is None

    def affects(self, play_date: date) -> bool:
        """Whether it changes plays of that date."""
        return self.first <= play_date and (self.last is None or play_date <= self.last)

    def hits(self, segment: int) -> bool:
        """Whether it concerns a segment, an index into SEGMENTS."""
        terminal_type, os = SEGMENTS[segment]
        return self.terminal_type in (None, terminal_type) and self.os in (None, os)

    def change_on(self, play_date: date) -> float:
        """The change of all plays of an affected date: less if it lasts only a part of that day."""
        begin, end = self._seconds(play_date)
        return self.change * (played_before(end) - played_before(begin))

    def part_of_bucket(self, play_date: date, bucket: int) -> float:
        """The part of a five-minute bucket of an affected date during which it is active, 0 to 1."""
        begin, end = self._seconds(play_date)
        start = bucket * BUCKET
        return max(0, min(end, start + BUCKET) - max(begin, start)) / BUCKET

    def _seconds(self, play_date: date) -> tuple[int, int]:
        return (self.since if play_date == self.first else 0, self.until if play_date == self.last else DAY)


@dataclass(frozen=True, slots=True)
class Effect:
    """What incidents leave of the plays of a video on a date: a factor for each segment, and for each region."""

    segments: tuple[float, ...]
    regions: tuple[float, ...]


def effect_of(incidents: Iterable[Incident], media_id: str, play_date: date) -> Effect | None:
    """The combined effect on a video of these incidents, which affect that date; None: no effect."""
    hit = [each for each in incidents if each.media_id in (None, media_id) and each.kind != FIRST_FRAME]
    if not hit:
        return None
    segments, regions = [1.0] * len(SEGMENTS), [1.0] * REGION_COUNT
    for each in hit:
        change = each.change_on(play_date)
        if each.region is not None:
            regions[REGIONS.index(each.region)] *= 1 + change
            continue
        for index in range(len(SEGMENTS)):
            if each.hits(index):
                segments[index] *= 1 + change
    return Effect(tuple(segments), tuple(regions))


def collapse(seed: int, first: date) -> Incident:
    """The most played video loses nearly all plays in the app, as by a broken release."""
    return Incident(
        "collapse", _CHANGES["collapse"], first, media_id=most_played(seed), terminal_type=TERMINAL_TYPES[0]
    )


def parse_incident(text: str, *, seed: int, now: float) -> Incident:
    """An incident of the account of `seed`, days counted from `now`. Raises ValueError that says what is allowed."""
    subject, at, days = text.rpartition("@")
    kind, *rest = subject.split(":")
    if not at or kind not in _CHANGES:
        problem = f"{kind!r} is not one of {', '.join(_CHANGES)}" if at else f"it is not {_FORM}"
        raise ValueError(f"{text!r}: {problem}; examples: {_EXAMPLES}")
    try:
        period = _period(days, now)
        value, change = _value_and_change(kind, rest)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if kind == "collapse":
        return replace(collapse(seed, period.first), **asdict(period))
    of_player = kind in _OF_PLAYERS
    return Incident(
        kind,
        change,
        **asdict(period),
        media_id=(value or most_played(seed)) if kind in _OF_ONE_MEDIA else None,
        terminal_type=value if kind == "terminal" or (of_player and value in TERMINAL_TYPES) else None,
        os=value if kind == "os" or (of_player and value in OPERATING_SYSTEMS) else None,
        region=value if kind == "region" else None,
    )


def last_settled_days_ago(now: float) -> int:
    """The newest day whose numbers are final: yesterday from 09:00 UTC+8 on, until then the day before."""
    return 1 if now >= start_of_day(day_at(now)) + 9 * 3_600 else 2


@dataclass(frozen=True, slots=True)
class _Period:
    """The time span of an incident; the fields are those of Incident."""

    first: date
    since: int
    last: date | None
    until: int


def _period(text: str, now: float) -> _Period:
    start, dots, end = text.partition("..")
    (first, since), (last, until) = _instant(start, now, 0), _instant(end, now, DAY) if dots else (None, DAY)
    if last is not None and (last, until) <= (first, since):
        raise ValueError("it ends before it begins; write the earlier day first, as in @3..2")
    return _Period(first, since, last, until)


def _instant(text: str, now: float, without: int) -> tuple[date, int]:
    """A day and the second of it; `without` if no time is given."""
    day, at, clock = text.partition("T")
    if not at:
        return _day(day, now), without
    found = _TIME.fullmatch(clock)
    if found is None:
        raise ValueError(f"{clock!r} is not a time of UTC+8 from 00:00 to 23:59")
    return _day(day, now), int(found[1]) * 3_600 + int(found[2]) * 60


def _day(text: str, now: float) -> date:
    if text == SETTLED:
        return day_at(now, last_settled_days_ago(now))
    if not (text.isascii() and text.isdecimal() and len(text) <= 2 and int(text) <= OLDEST_DAYS_AGO):  # noqa: PLR2004
        raise ValueError(f"{text!r} is neither a number of days ago, 0 to {OLDEST_DAYS_AGO}, nor {SETTLED}")
    return day_at(now, int(text))


def _value_and_change(kind: str, given: Sequence[str]) -> tuple[str | None, float]:
    rest = list(given)
    change = _CHANGES[kind]
    if rest and rest[-1].endswith("%"):
        change = _parse_change(kind, rest.pop())
    allowed = _VALUES.get(kind)
    if kind in _OF_PLAYERS and rest:
        allowed = (*TERMINAL_TYPES, *OPERATING_SYSTEMS)
    if allowed:
        if len(rest) != 1 or rest[0] not in allowed:
            raise ValueError(f"{':'.join(rest)!r} is not one of {', '.join(allowed)}")
    elif rest and kind not in _OF_ONE_MEDIA:
        raise ValueError(f"{kind} has no value {':'.join(rest)!r}; a change is written as in -30%")
    elif rest and not (len(rest) == 1 and MEDIA_ID.fullmatch(rest[0])):
        raise ValueError(f"{':'.join(rest)!r} is not the ID of a video, 32 hexadecimal digits")
    return (rest[0] if rest else None), change


def _parse_change(kind: str, text: str) -> float:
    if kind in {"removal", "collapse"}:
        raise ValueError(f"{kind} has no change; use media:{text} for a part of the plays of a video")
    found = _CHANGE.fullmatch(text)
    change = float(text[:-1]) / 100 if found else 0.0
    if not change or not -1 <= change <= _MOST:
        raise ValueError(f"the change {text!r} is not from -100% to +900% with its sign, such as -30%")
    return change
