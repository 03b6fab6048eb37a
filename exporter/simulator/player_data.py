"""DescribeVodPlayerMetricData: plays → rows with every metric, in the lag, growth and form of the variants in force."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

from exporter.simulator.calendar import day_at, start_of_day
from exporter.simulator.error_responses import ApiError
from exporter.simulator.media_library import APP_ID
from exporter.simulator.parameters import format_time
from exporter.simulator.player_buckets import Bucket, PlayerBuckets
from exporter.simulator.player_query import METRICS, parse_query
from exporter.simulator.popularity import BUCKET, DAY, mix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.simulator.dataset import Dataset
    from exporter.simulator.player_query import PlayerQuery
    from exporter.simulator.variants import Variants

LAGS: Final = {"none": 0, "10m": 600, "6h": 21_600}
"""Seconds from the end of a bucket until it has data."""

_AT_FIRST: Final = 0.8
_GROWS: Final = 1_800
_ONE_GAP_IN: Final = 40
_EIGHT_HOURS: Final = 8 * 3_600
_DIMENSIONS: Final = {"empty": "", "all": "ALL", "value": "H264_MP4_WIFI"}
_SEVERAL: Final = (("H264_MP4_WIFI", 0.7), ("H265_MP4_4G", 0.3))


class PlayerData:
    """The player statistics of the account's only application."""

    def __init__(self, dataset: Dataset) -> None:
        self._buckets = PlayerBuckets(dataset)

    def respond(self, parameters: Mapping[str, str], now: float, variants: Variants) -> dict[str, Any]:
        """The response without RequestId; raises ApiError."""
        query = parse_query(parameters, now)
        known = query.app_id == APP_ID
        if not known and variants.unknown_app == "error":
            raise ApiError("Meter.ParamError", f"AppId {query.app_id} does not exist")
        starts = list(_starts(query, variants)) if known else []
        with_data = [start for start in starts if _share(start, now, variants)]
        rows = [row for start in _in_order(starts, variants) for row in self._rows(start, query, now, variants)]
        first = (query.page_number - 1) * query.page_size
        response: dict[str, Any] = {
            "PageNumber": query.page_number,
            "PageSize": query.page_size,
            "TotalCnt": len(rows),
        }
        if variants.extend == "present":
            response["Extend"] = {"IntervalSeconds": query.interval}
            if with_data:
                response["Extend"] |= {
                    "ActualStartTime": format_time(with_data[0]),
                    "ActualEndTime": format_time(with_data[-1]),
                }
        response["DataList"] = rows[first : first + query.page_size]
        return response

    def _rows(self, start: int, query: PlayerQuery, now: float, variants: Variants) -> Iterator[dict[str, Any]]:
        if variants.bucket_gaps == "some" and not mix(start) % _ONE_GAP_IN:
            return
        bucket = self._sum(start, query, now, variants)
        if bucket is None:
            form = variants.unready_buckets
        elif not bucket.attempted:
            form = variants.empty_buckets
        else:
            for dimension, share in _dimensions(query, variants):
                yield _row(start, dimension, _values(bucket.part(share), start, query.interval), query, variants)
            return
        if form != "absent":
            nothing = _zeros() if form == "zero" else dict.fromkeys(METRICS)
            for dimension, _ in _dimensions(query, variants):
                yield _row(start, dimension, nothing, query, variants)

    def _sum(self, start: int, query: PlayerQuery, now: float, variants: Variants) -> Bucket | None:
        """All plays from `start` on for an interval as far as there is data; None without any data."""
        ready = [
            (at, share) for at in range(start, start + query.interval, BUCKET) if (share := _share(at, now, variants))
        ]
        total = Bucket()
        for at, share in ready:
            day = day_at(at)
            index = (at - start_of_day(day)) // BUCKET
            for segment in query.segments:
                total += self._buckets.day(day, segment)[index].part(share)
        return total if ready else None


def _starts(query: PlayerQuery, variants: Variants) -> Iterator[int]:
    """The starts of the buckets in a half-open range, from the one that its start is in."""
    offset = _EIGHT_HOURS if query.interval == DAY and variants.day_buckets == "utc8" else 0
    start = (query.start + offset) // query.interval * query.interval - offset
    yield from range(start, query.end, query.interval)


def _share(start: int, now: float, variants: Variants) -> float:
    """The share of five minutes' final numbers that is there at `now`."""
    lag = LAGS[variants.player_lag]
    visible = start + BUCKET + lag if lag else start
    if now <= visible:
        return 0.0
    share = 1.0 if lag else min(1.0, (now - start) / BUCKET)
    if variants.player_growth == "late":
        share *= _AT_FIRST + (1 - _AT_FIRST) * min(1.0, (now - visible) / _GROWS)
    return share


def _in_order(starts: list[int], variants: Variants) -> list[int]:
    match variants.bucket_order:
        case "ascending":
            return starts
        case "descending":
            return starts[::-1]
        case "shuffled":
            return sorted(starts, key=mix)


def _dimensions(query: PlayerQuery, variants: Variants) -> Sequence[tuple[str | None, float]]:
    """The values of Dimension and their share of the plays; None: no such column."""
    if query.filters:
        combinations = ["_".join(each).upper() for each in product(*query.filters)]
        weights = [1 / (index + 1) for index in range(len(combinations))]
        shares = [weight / sum(weights) for weight in weights]
        return list(zip(combinations, shares, strict=True))[: query.top]
    if variants.dimension == "several":
        return list(_SEVERAL)[: query.top]
    return [(_DIMENSIONS.get(variants.dimension), 1.0)]


def _row(
    start: int, dimension: str | None, metrics: Mapping[str, Any], query: PlayerQuery, variants: Variants
) -> dict[str, Any]:
    row: dict[str, Any] = {"TimeStamp": format_time(start)}
    if dimension is not None:
        row["Dimension"] = dimension
    for name in METRICS:
        if name in query.metrics:
            row[name] = metrics[name]
        elif variants.unasked_metrics != "absent":
            row[name] = None if variants.unasked_metrics == "null" else 0.0
    return row


def _zeros() -> dict[str, Any]:
    """What a bucket without plays has; one metric is a string."""
    return {name: "0" if name == "StuckCount100s" else 0.0 for name in METRICS}


def _values(bucket: Bucket, start: int, interval: int) -> dict[str, Any]:
    """The metrics of a bucket with plays. Milliseconds, ratios from 0 to 1, bits per second."""
    bits = mix(start * 31 + interval)
    noise = 0.9 + 0.2 * (bits & 0xFFFF) / 65_535
    started = bucket.started
    first_frame = bucket.first_frame_ms / started if started else 0.0
    viewers = round(started**0.93)
    per_play = 95_000.0 * noise
    completed = round(0.31 * started)
    fail = bucket.failed / bucket.attempted if bucket.attempted else 0.0
    # Slower starts are seldom within a second, and more often at three seconds or later.
    slow = min(1.0, 0.02 * first_frame / 420) if started else 0.0
    return _zeros() | {
        "Vv": float(bucket.attempted),
        "RealVv": float(started),
        "FirstFrame": round(first_frame, 2),
        "SecondPlayRate": round(max(0.0, 1 - 4 * slow), 4) if started else 0.0,
        "SlowPlayRate": round(slow, 4),
        "StuckCountRate": round(0.04 * noise, 4),
        "StuckDuration100s": round(180 * noise, 2),
        "StuckCount100s": f"{0.12 * noise:.4f}",
        "SeekDuration": round(350 * noise, 2),
        "PlayFailRate": round(fail, 6),
        "SeedFailRate": round(0.6 * fail, 6),
        "ErrorCount100s": round(0.1 * noise + fail, 4),
        "AvgPlayBitrate": round(1_450_000 * noise, 1),
        "AvgStartBitrate": round(980_000 * noise, 1),
        "Uv": float(viewers),
        "AvgPerVv": round(started / viewers, 4) if viewers else 0.0,
        "AvgPerPlayDuration": round(per_play * started / viewers, 1) if viewers else 0.0,
        "AvgPerCompletionVv": round(completed / viewers, 4) if viewers else 0.0,
        "AvgVideoDuration": round(310_000 * noise, 1),
        "AvgPlayDuration": round(per_play, 1),
        "CompletionVv": float(completed),
        "CompletionRate": round(completed / started, 4) if started else 0.0,
        "JumpRate5s": round(0.08 * noise, 4),
    }
