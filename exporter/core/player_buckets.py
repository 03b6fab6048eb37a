"""Buckets of player metrics: which to read, when one is complete and confirmed, and what to publish of them.

The service does not document how late a bucket is, whether it grows, or how it returns one without plays. So a value
is used only once two polls have read it unchanged, the second of them together with data of a later bucket: whatever
the local clock shows, the bucket was over by then.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter.core.player_fields import Kind
from exporter.core.player_intervals import CONFIRMING_READS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.core.player_fields import PlayerField
    from exporter.core.player_intervals import Interval

Values = tuple[float | None, ...]
"""The values of a bucket, in the order of the fields of the call."""

CONFIRM_SECONDS: Final = 30.0
"""Two reads that are less apart count as one: a poll may read a bucket twice, and a reload may repeat a poll."""
# A chunk whose values change with every read is not read forever.
_MOST_READS: Final = 6


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range to request, in seconds since 1970, without its end."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of one response: rows by start of the bucket, and the newest bucket with data (None: not given).

    `at`: when the poll began, on the monotonic clock.
    """

    range: TimeRange
    at: float
    rows: Mapping[int, Values]
    data_until: int | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    values: Values
    since: float


@dataclass(frozen=True, slots=True)
class _Reads:
    times: int
    last: float


@dataclass(frozen=True, slots=True)
class CallHistory:
    """What the responses to one call contained: the last values of each bucket, and those that were confirmed."""

    fields: tuple[PlayerField, ...]
    seen: Mapping[int, _Seen] = field(default_factory=dict)
    confirmed: Mapping[int, Values] = field(default_factory=dict)
    chunks: Mapping[int, _Reads] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublishedBuckets:
    """The newest confirmed bucket: its start, and by age in seconds (0: its own) the values, by name of the metric."""

    start: int
    values: Mapping[int, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class TargetHistory:
    """Everything known of one target; plays are the first value of the first call.

    * `newest`: the newest bucket for which the service has shown data.
    * `revisions`: how many confirmed buckets have changed.
    """

    interval: Interval
    calls: tuple[CallHistory, ...]
    newest: int | None = None
    revisions: int = 0

    @classmethod
    def empty(cls, interval: Interval, calls: Iterable[tuple[PlayerField, ...]]) -> TargetHistory:
        """The history of a target before its first poll, by the fields of each call."""
        return cls(interval, tuple(map(CallHistory, calls)))

    def recorded(self, readings: Iterable[tuple[int, Reading]]) -> TargetHistory:
        """This history with the responses of one poll, each with the number of its call, those with plays first."""
        history, revised = self, set[int]()
        for number, reading in readings:
            history = history._with_reading(number, reading, revised)
        return replace(history, revisions=history.revisions + len(revised))

    def _with_reading(self, number: int, reading: Reading, revised: set[int]) -> TargetHistory:
        rows = {at: values for at, values in reading.rows.items() if self._is_usable(at, reading.range)}
        newest = self.newest
        if number == 0:
            rows = {at: values for at, values in rows.items() if values[0] is not None}
            newest = max((at for at in (newest, *_with_data(rows, reading)) if at is not None), default=None)
        call = self.calls[number]
        seen, confirmed = dict(call.seen), dict(call.confirmed)
        for at, values in rows.items():
            before = seen.get(at)
            if not any(values) and (newest is None or at > newest):
                continue  # zeros after the newest data may not be computed yet: this does not count as a first reading
            if before is None or before.values != values:
                seen[at] = _Seen(values, reading.at)
            elif newest is not None and at < newest and reading.at - before.since >= CONFIRM_SECONDS:
                if confirmed.get(at, values) != values:
                    revised.add(at)
                confirmed[at] = values
        calls = list(self.calls)
        calls[number] = CallHistory(call.fields, seen, confirmed, self._chunks_read(call, reading))
        return replace(self, newest=newest, calls=tuple(calls))

    def _is_usable(self, at: int, requested: TimeRange) -> bool:
        """Whether a bucket lies completely within the range and is not its first, which may be cut off."""
        length = self.interval.seconds
        return self.interval.is_start(at) and requested.start + length <= at <= requested.end - length

    def _chunks_read(self, call: CallHistory, reading: Reading) -> dict[int, _Reads]:
        chunks, size = dict(call.chunks), self.interval.chunk
        first = -(-(reading.range.start + self.interval.seconds) // size) * size
        for start in range(first, reading.range.end - self.interval.seconds - size + 1, size):
            before = chunks.get(start)
            if before is None or reading.at - before.last >= CONFIRM_SECONDS:
                chunks[start] = _Reads((before.times if before else 0) + 1, reading.at)
        return chunks

    def recent(self, now: float) -> TimeRange:
        """The range that each poll reads."""
        end = int(now // self.interval.grid * self.interval.grid)
        return TimeRange(end - self.interval.window - self.interval.seconds, end)

    def earlier(self, number: int, compare: Sequence[int], now: float) -> tuple[TimeRange, ...]:
        """The ranges of earlier buckets that a call has yet to read, for comparison with the newest ones."""
        length = self.interval.seconds
        ranges: list[TimeRange] = []
        for start in sorted(self._needed(compare, now)):
            if self._is_read(self.calls[number], start):
                continue
            end = start + self.interval.chunk + length
            if ranges and ranges[-1].end - length == start:
                ranges[-1] = TimeRange(ranges[-1].start, end)
            else:
                ranges.append(TimeRange(start - length, end))
        return tuple(ranges)

    def _needed(self, compare: Sequence[int], now: float) -> frozenset[int]:
        """The starts of the chunks of earlier buckets that are not part of the range that each poll reads."""
        if self.newest is None:
            return frozenset()
        size, margin = self.interval.chunk, self.interval.margin
        recent = self.recent(now).start + self.interval.seconds
        return frozenset(
            start
            for ago in compare
            if self.newest - ago - margin < recent
            for start in range(
                (self.newest - ago - margin) // size * size, self.newest - ago + margin + self.interval.seconds, size
            )
        )

    def _is_read(self, call: CallHistory, start: int) -> bool:
        reads = call.chunks.get(start)
        if reads is None or reads.times < CONFIRMING_READS:
            return False
        return reads.times >= _MOST_READS or all(
            call.confirmed.get(at) == seen.values
            for at, seen in call.seen.items()
            if start <= at < start + self.interval.chunk
        )

    def pruned(self, compare: Sequence[int], now: float) -> TargetHistory:
        """This history without buckets that are neither read again nor needed for comparison."""
        size, needed, recent = self.interval.chunk, self._needed(compare, now), self.recent(now).start
        # From the newest data too: a clock that is set ahead for a while loses nothing.
        oldest = min(recent, recent if self.newest is None else self.newest) - 2 * size

        def keep(at: int) -> bool:
            return at >= oldest or at // size * size in needed

        calls = tuple(
            CallHistory(
                call.fields,
                {at: seen for at, seen in call.seen.items() if keep(at)},
                {at: values for at, values in call.confirmed.items() if keep(at)},
                {at: reads for at, reads in call.chunks.items() if keep(at)},
            )
            for call in self.calls
        )
        return replace(self, calls=calls)

    def published(self, compare: Sequence[int], now: float) -> PublishedBuckets | None:
        """The newest confirmed bucket and those to compare it with; None if there is none, or it is too old."""
        start = max(self.calls[0].confirmed, default=None)
        if start is None or now - (start + self.interval.seconds) > self.interval.window:
            return None
        return PublishedBuckets(start, {ago: self._values(start - ago) for ago in (0, *compare)})

    def _values(self, at: int) -> dict[str, float]:
        """The values of a bucket from all calls; without plays, an average or a ratio means nothing."""
        plays = self.calls[0].confirmed.get(at)
        if plays is None:
            return {}
        return {
            each.name: value
            for call in self.calls
            for each, value in zip(call.fields, call.confirmed.get(at, ()), strict=False)
            if value is not None and (plays[0] or each.kind is Kind.COUNT)
        }

    def lag(self, now: float) -> float | None:
        """Seconds since the end of the newest bucket that has data; None before there was any."""
        return None if self.newest is None else now - (self.newest + self.interval.seconds)


def _with_data(rows: Mapping[int, Values], reading: Reading) -> list[int]:
    """The buckets that have data: a row of zeros may be one that the service has not computed yet."""
    found = [at for at, values in rows.items() if values[0]]
    # A service that repeats the end of the range reports nothing: no bucket begins there.
    if reading.data_until is not None and reading.data_until in rows:
        found.append(reading.data_until)
    return found
