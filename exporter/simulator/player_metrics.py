"""Attempted, started and failed plays → every metric of DescribeVodPlayerMetricData, in its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.simulator.player_query import METRICS
from exporter.simulator.popularity import mix

if TYPE_CHECKING:
    from exporter.simulator.player_buckets import Bucket


def zeros() -> dict[str, Any]:
    """What a bucket without plays has; one metric is a string."""
    return {name: "0" if name == "StuckCount100s" else 0.0 for name in METRICS}


def values(bucket: Bucket, start: int, interval: int) -> dict[str, Any]:
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
    return zeros() | {
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
