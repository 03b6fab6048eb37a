"""Incidents on demand: from a play date on, some of the plays are lost; each is a label for tests of alerts.

`KIND[:VALUE][:CHANGE]@DAYS_AGO[..DAYS_AGO]`, such as `os:Android@1` or `account:-30%@3..2`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES
from exporter.simulator.calendar import OLDEST_DAYS_AGO, day_at, start_of_day
from exporter.simulator.generated_media import MEDIA_ID, REGION_COUNT, SEGMENTS, most_played

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
}
_VALUES: Final = {"os": OPERATING_SYSTEMS, "terminal": TERMINAL_TYPES, "region": REGIONS}
_OF_ONE_MEDIA: Final = ("media", "removal")
_FORM: Final = "KIND[:VALUE][:CHANGE]@DAYS_AGO[..DAYS_AGO]"
_EXAMPLES: Final = (
    "os:Android@1, os:iOS:-40%@3..2, terminal:Web@1, region:cn-beijing@1, account:-30%@1, media:-60%@1, media:ID@1,"
    " removal@1, removal:ID@1, collapse@settled"
)
_CHANGE: Final = re.compile(r"[+-](\d{1,3}(?:\.\d{1,3})?)%", re.ASCII)
_MOST: Final = 9.0


@dataclass(frozen=True, slots=True)
class Incident:
    """From the play date `first` on, plays that match the filters are 1 + `change` of what they would be.

    `last`: the last play date; None: it does not end. `media_id`: None for all media. `kind`: the label.
    """

    kind: str
    change: float
    first: date
    last: date | None = None
    media_id: str | None = None
    terminal_type: str | None = None
    os: str | None = None
    region: str | None = None

    def affects(self, play_date: date) -> bool:
        """Whether it changes plays of that date."""
        return self.first <= play_date and (self.last is None or play_date <= self.last)


@dataclass(frozen=True, slots=True)
class Effect:
    """What incidents leave of the plays of a media on a date: a factor for each segment, and for each region."""

    segments: tuple[float, ...]
    regions: tuple[float, ...]


def effect_of(incidents: Iterable[Incident], media_id: str) -> Effect | None:
    """What those incidents together do to a media; None: nothing."""
    hit = [each for each in incidents if each.media_id in (None, media_id)]
    if not hit:
        return None
    segments, regions = [1.0] * len(SEGMENTS), [1.0] * REGION_COUNT
    for each in hit:
        if each.region is not None:
            regions[REGIONS.index(each.region)] *= 1 + each.change
            continue
        for index, (terminal_type, os) in enumerate(SEGMENTS):
            if each.terminal_type in (None, terminal_type) and each.os in (None, os):
                segments[index] *= 1 + each.change
    return Effect(tuple(segments), tuple(regions))


def collapse(seed: int, first: date, last: date | None = None) -> Incident:
    """The media of the most plays loses nearly all those of the app: a broken release."""
    return Incident(
        "collapse", _CHANGES["collapse"], first, last, media_id=most_played(seed), terminal_type=TERMINAL_TYPES[0]
    )


def parse_incident(text: str, *, seed: int, now: float) -> Incident:
    """An incident of the account of `seed`, days counted from `now`. Raises ValueError that says what is allowed."""
    subject, at, days = text.rpartition("@")
    kind, *rest = subject.split(":")
    if not at or kind not in _CHANGES:
        problem = f"{kind!r} is not one of {', '.join(_CHANGES)}" if at else f"it is not {_FORM}"
        raise ValueError(f"{text!r}: {problem}; examples: {_EXAMPLES}")
    try:
        first, last = _days(days, now)
        value, change = _value_and_change(kind, rest)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if kind == "collapse":
        return collapse(seed, first, last)
    return Incident(
        kind,
        change,
        first,
        last,
        media_id=(value or most_played(seed)) if kind in _OF_ONE_MEDIA else None,
        terminal_type=value if kind == "terminal" else None,
        os=value if kind == "os" else None,
        region=value if kind == "region" else None,
    )


def last_settled_days_ago(now: float) -> int:
    """The newest day whose numbers are final: yesterday from 09:00 UTC+8 on, until then the day before."""
    return 1 if now >= start_of_day(day_at(now)) + 9 * 3_600 else 2


def _days(text: str, now: float) -> tuple[date, date | None]:
    since, dots, until = text.partition("..")
    first = _day(since, now)
    last = _day(until, now) if dots else None
    if last is not None and last < first:
        raise ValueError(f"it ends {until} days ago, before it begins; write the earlier day first, as in @3..2")
    return first, last


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
    if allowed:
        if len(rest) != 1 or rest[0] not in allowed:
            raise ValueError(f"{':'.join(rest)!r} is not one of {', '.join(allowed)}")
    elif rest and kind not in _OF_ONE_MEDIA:
        raise ValueError(f"{kind} has no value {':'.join(rest)!r}; a change is written as in -30%")
    elif rest and not (len(rest) == 1 and MEDIA_ID.fullmatch(rest[0])):
        raise ValueError(f"{':'.join(rest)!r} is not the ID of a media, 32 hexadecimal digits")
    return (rest[0] if rest else None), change


def _parse_change(kind: str, text: str) -> float:
    if kind in {"removal", "collapse"}:
        raise ValueError(f"{kind} has no change; use media:{text} for a part of the plays of a media")
    found = _CHANGE.fullmatch(text)
    change = float(text[:-1]) / 100 if found else 0.0
    if not change or not -1 <= change <= _MOST:
        raise ValueError(f"the change {text!r} is not from -100% to +900% with its sign, such as -30%")
    return change
