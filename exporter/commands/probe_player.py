"""What `probe` finds out about DescribeVodPlayerMetricData: bucket times, lag, and the form of empty buckets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.probe_requests import Finding, number, order_of, repeated
from exporter.commands.response_fields import type_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from exporter.commands.probe_requests import ProbeResponse, Requester

_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_INTERVALS: Final = {"5m": 300, "1h": 3_600, "1d": 86_400}
_ROWS: Final = "DataList"
_WINDOW: Final = 8 * 3_600
_DAY: Final = 86_400
_MINUTE: Final = 60


def parameters(app_id: str, start: float, end: float, *, interval: str = "5m", **more: str) -> dict[str, str]:
    """The parameters of a request; times are rounded down to whole buckets."""
    size = _INTERVALS[interval]
    times = {"StartTime": start // size * size, "EndTime": end // size * size}
    return {
        "AppId": app_id,
        **{name: datetime.fromtimestamp(at, UTC).strftime(_FORMAT) for name, at in times.items()},
        "Interval": interval,
        "TerminalType": "mobile",
        "Metrics": "Vv,RealVv,PlayFailRate",
        **more,
    }


def first(app_id: str, now: float) -> dict[str, str]:
    """The first request: the last eight hours of mobile players, up to the end of the present bucket."""
    return parameters(app_id, now - _WINDOW, now + _INTERVALS["5m"])


async def findings(request: Requester, response: ProbeResponse, app_id: str, now: float) -> AsyncIterator[Finding]:
    """What the first `response` and further requests show."""
    for each in _buckets("mobile", response, now):
        yield each
    again = await request(first(app_id, now))
    yield Finding("the same request twice", repeated(response.rows(_ROWS), again.rows(_ROWS)))
    web = await request({**first(app_id, now), "TerminalType": "web"})
    if web.error:
        yield Finding("web", web.outcome)
    else:
        for each in _buckets("web", web, now):
            yield each
    for interval, days in (("1h", 2), ("1d", 9)):
        long = await request(parameters(app_id, now - days * _DAY, now, interval=interval))
        yield Finding(f"buckets of {interval} start at", long.or_error(_starts(long.rows(_ROWS))))
    viewers = await request({**first(app_id, now), "Metrics": "Uv,AvgPerVv,StuckCount100s"})
    yield Finding("types of Uv, AvgPerVv, StuckCount100s", _types(viewers))
    total = await request({**first(app_id, now), "Metrics": "TotalPlayDuration"})
    yield Finding("Metrics=TotalPlayDuration", total.outcome)
    for os in ("MacOS", "MacOs"):
        mac = await request({**first(app_id, now), "TerminalType": "web", "Os": os})
        yield Finding(f"Os={os}", mac.outcome)
    for days in (364, 366):
        old = await request(parameters(app_id, now - days * _DAY, now - (days - 3) * _DAY, interval="1d"))
        rows = "" if old.error else f" with {'' if _with_plays(old.rows(_ROWS)) else 'no '}plays"
        yield Finding(f"{days} days ago", old.outcome + rows)
    unknown = await request(first("app-0000000", now))
    yield Finding("an AppId that does not exist", unknown.outcome)


def _buckets(name: str, response: ProbeResponse, now: float) -> list[Finding]:
    rows = response.rows(_ROWS)
    times = [at for row in rows if (at := _time(row.get("TimeStamp"))) is not None]
    played = _with_plays(rows)
    starts = set(times)
    found = [
        Finding(f"{name}: order of rows", order_of(times)),
        Finding(f"{name}: rows of one bucket", "several" if len(starts) < len(times) else "one"),
        Finding(f"{name}: Dimension", _dimension(rows)),
        Finding(f"{name}: Extend", type_of(response.document["Extend"]) if "Extend" in response.document else "absent"),
    ]
    if not played:
        return [*found, Finding(f"{name}: newest bucket with plays", "none in the last 8 hours")]
    size, newest = _INTERVALS["5m"], max(played)
    lag = (now - newest - size) / _MINUTE
    later = [row for row in rows if (_time(row.get("TimeStamp")) or 0) > newest]
    between = set(range(int(min(played)), int(newest), size)) - {int(at) for at in starts}
    actual = response.document.get("Extend")
    end = _time(actual.get("ActualEndTime")) if isinstance(actual, dict) else None
    return [
        *found,
        Finding(f"{name}: newest bucket with plays", f"ended {lag:.0f} min before now, if its time is its start"),
        Finding(f"{name}: ActualEndTime", "absent" if end is None else f"{(now - end) / _MINUTE:.0f} min before now"),
        Finding(f"{name}: rows after that bucket", _forms(later)),
        Finding(f"{name}: rows without plays before it", _forms([row for row in rows if _is_empty(row, newest)])),
        Finding(f"{name}: missing buckets before it", "some" if between else "none"),
    ]


def _with_plays(rows: list[dict[str, Any]]) -> list[float]:
    """The times of the buckets with plays."""
    return [at for row in rows if (number(row.get("Vv")) or 0) > 0 and (at := _time(row.get("TimeStamp"))) is not None]


def _is_empty(row: Mapping[str, Any], newest: float) -> bool:
    return (_time(row.get("TimeStamp")) or newest) < newest and not number(row.get("Vv"))


def _forms(rows: list[dict[str, Any]]) -> str:
    """The forms in which rows report that there are no plays."""
    values = {"no Vv" if "Vv" not in row else "null" if row["Vv"] is None else "0" for row in rows}
    return " or ".join(sorted(values)) or "no such rows"


def _dimension(rows: list[dict[str, Any]]) -> str:
    values = {row["Dimension"] for row in rows if isinstance(row.get("Dimension"), str)}
    if not values:
        return "null" if any("Dimension" in row for row in rows) else "absent"
    known = [each or "empty text" for each in values if each.upper() in {"", "ALL"}]
    return " or ".join(sorted([*known, *(["other text"] if len(known) < len(values) else [])]))


def _starts(rows: list[dict[str, Any]]) -> str:
    times = {at for row in rows if (at := _time(row.get("TimeStamp"))) is not None}
    if not times:
        return "no rows with a time"
    return ", ".join(sorted({datetime.fromtimestamp(at, UTC).strftime("%H:%M:%SZ") for at in times})[:3])


def _types(response: ProbeResponse) -> str:
    rows = response.rows(_ROWS)
    names = ("Uv", "AvgPerVv", "StuckCount100s")
    types = [" or ".join(sorted({type_of(row[name]) for row in rows if name in row})) or "absent" for name in names]
    return response.or_error(", ".join(types))


def _time(value: object) -> float | None:
    try:
        return datetime.strptime(str(value), _FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
