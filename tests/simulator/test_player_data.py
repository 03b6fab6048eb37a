from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exporter.simulator.calendar import day_at, start_of_day
from exporter.simulator.incidents import parse_incident
from exporter.simulator.media_library import APP_ID
from exporter.simulator.parameters import format_time
from exporter.simulator.variants import parse_variants
from tests.simulator.account_requests import requested
from tests.simulator.clients import NOON, PAGE, Clock, simulator

if TYPE_CHECKING:
    from exporter.simulator.service import Simulator

PLAYER = "DescribeVodPlayerMetricData"
DAY = 86_400


def parameters(start: float, end: float, **more: object) -> dict[str, object]:
    return {
        "AppId": APP_ID,
        "StartTime": format_time(start),
        "EndTime": format_time(end),
        "Interval": "5m",
        "TerminalType": "mobile",
        "Metrics": "Vv,RealVv,PlayFailRate",
        **more,
    }


def with_variants(clock: Clock, *variants: str, **more: Any) -> Simulator:
    return simulator(clock, variants=parse_variants(variants), **more)


async def rows(service: Simulator, clock: Clock, start: float, end: float, **more: object) -> list[dict[str, Any]]:
    document = await requested(service, clock, PLAYER, **parameters(start, end, **more))
    assert "Code" not in document, document
    assert document["TotalCnt"] in {len(document["DataList"]), str(len(document["DataList"]))}
    found: list[dict[str, Any]] = document["DataList"]
    return found


async def plays_of_day(service: Simulator, clock: Clock, days_ago: int, terminal: str) -> int:
    page = {**PAGE, "PlayDate": f"{day_at(clock.now, days_ago):%Y%m%d}", "TerminalType": terminal}
    document = await requested(service, clock, "DescribeVodMediaPlayData", **page)
    return sum(row["PlaySuccessVv"] for row in document["QoeInfoList"])


@pytest.mark.parametrize(("terminal_type", "terminal"), [("mobile", "Native"), ("web", "Web")])
@pytest.mark.parametrize(
    "incidents", [(), ("os:Android:-60%@3",), ("player:-60%@3T12:00..3T14:00", "account:+20%@2T20:00..2T22:00")]
)
async def test_the_started_plays_of_a_day_are_those_of_its_play_data(
    clock: Clock, terminal_type: str, terminal: str, incidents: tuple[str, ...]
) -> None:
    service = simulator(clock, incidents=tuple(parse_incident(text, seed=0, now=NOON) for text in incidents))
    for days_ago in (4, 3, 2):
        start = start_of_day(day_at(NOON, days_ago))
        buckets = await rows(service, clock, start, start + DAY, TerminalType=terminal_type)
        assert len(buckets) == 288
        assert sum(row["RealVv"] for row in buckets) == await plays_of_day(service, clock, days_ago, terminal)
        assert all(row["Vv"] >= row["RealVv"] for row in buckets)


async def test_hours_and_days_are_the_sum_of_their_buckets(clock: Clock) -> None:
    service = simulator(clock)
    start = start_of_day(day_at(NOON, 3))
    buckets = await rows(service, clock, start, start + DAY)
    hours = await rows(service, clock, start, start + DAY, Interval="1h")
    (day,) = await rows(service, clock, start, start + DAY, Interval="1d")
    for name in ("Vv", "RealVv"):
        by_hour = [sum(row[name] for row in buckets[at : at + 12]) for at in range(0, 288, 12)]
        assert [row[name] for row in hours] == by_hour
        assert day[name] == sum(by_hour)
    assert day["TimeStamp"] == format_time(start)


async def test_an_os_is_a_part_of_its_terminal(clock: Clock) -> None:
    service = simulator(clock)
    start = start_of_day(day_at(NOON, 3))
    whole, android, ios, both, harmony = [
        [row["RealVv"] for row in await rows(service, clock, start, start + 3600, **more)]
        for more in ({}, {"Os": "Android"}, {"Os": "iOS"}, {"Os": "Android#_#iOS"}, {"Os": "Harmony"})
    ]
    assert whole == both == [sum(pair) for pair in zip(android, ios, strict=True)]
    assert min(android) > 0
    assert harmony == [0.0] * 12


async def test_a_broken_player_fails_and_a_missing_one_is_not_tried(clock: Clock) -> None:
    noon = start_of_day(day_at(NOON, 3)) + 12 * 3600
    usual = await rows(simulator(clock, media=200), clock, noon - 3600, noon + 3600)
    found = {}
    for kind in ("player", "account", "first-frame"):
        incident = parse_incident(f"{kind}:{'+300%' if kind == 'first-frame' else '-80%'}@3T12:00", seed=0, now=NOON)
        service = simulator(clock, media=200, incidents=(incident,))
        found[kind] = await rows(service, clock, noon - 3600, noon + 3600, Metrics="Vv,PlayFailRate,FirstFrame")

    def mean(kind: str, name: str, hour: int) -> float:
        return float(sum(row[name] for row in found[kind][12 * hour : 12 * hour + 12]) / 12)

    before = sum(row["Vv"] for row in usual[12:]) / 12
    assert mean("player", "Vv", 1) == pytest.approx(before, rel=0.05)
    assert mean("account", "Vv", 1) == pytest.approx(before / 5, rel=0.1)
    assert mean("first-frame", "Vv", 1) == pytest.approx(before, rel=0.01)
    assert mean("player", "PlayFailRate", 0) < 0.05
    assert mean("player", "PlayFailRate", 1) > 0.7
    assert mean("account", "PlayFailRate", 1) < 0.05
    assert mean("first-frame", "FirstFrame", 1) == pytest.approx(4 * mean("first-frame", "FirstFrame", 0), rel=0.1)


@pytest.mark.parametrize(("lag", "seconds"), [("none", 0), ("10m", 600), ("6h", 21_600)])
async def test_buckets_have_data_after_the_lag(clock: Clock, lag: str, seconds: int) -> None:
    service = with_variants(clock, f"player_lag:{lag}")
    clock.now = NOON + 60
    document = await requested(service, clock, PLAYER, **parameters(NOON - 8 * 3600, NOON + 600))
    newest = NOON - 300 - seconds if seconds else NOON
    assert document["DataList"][-1]["TimeStamp"] == document["Extend"]["ActualEndTime"] == format_time(newest)
    assert document["Extend"]["ActualStartTime"] == format_time(NOON - 8 * 3600)


async def test_without_a_lag_the_present_bucket_grows(clock: Clock) -> None:
    service = with_variants(clock, "player_lag:none", media=200)
    plays = []
    for after in (60, 150, 300, 600):
        clock.now = NOON + after
        plays.append((await rows(service, clock, NOON, NOON + 300))[0]["RealVv"])
    assert plays[0] < plays[1] < plays[2] == plays[3]


async def test_late_growth(clock: Clock) -> None:
    service = with_variants(clock, "player_growth:late", media=200)
    start = NOON - 7200
    ready = start + 300 + 600
    plays = []
    for after in (1, 900, 1800, 7200):
        clock.now = ready + after
        plays.append((await rows(service, clock, start, start + 300))[0]["RealVv"])
    assert plays[0] == int(0.8 * plays[3])
    assert plays[0] < plays[1] < plays[2] == plays[3]


@pytest.mark.parametrize(("form", "values"), [("absent", []), ("zero", [0.0, 0.0]), ("null", [None, None])])
async def test_empty_and_unready_buckets(clock: Clock, form: str, values: list[float | None]) -> None:
    gone = parse_incident("account:-100%@0T08:00", seed=0, now=NOON)
    service = with_variants(clock, f"empty_buckets:{form}", incidents=(gone,))
    start = NOON - 2 * 3600
    assert [row["Vv"] for row in await rows(service, clock, start, start + 600)] == values
    service = with_variants(clock, f"unready_buckets:{form}")
    assert [row["Vv"] for row in await rows(service, clock, NOON, NOON + 600)] == values


@pytest.mark.parametrize(
    ("form", "dimensions"),
    [
        ("absent", {None}),
        ("empty", {""}),
        ("all", {"ALL"}),
        ("value", {"H264_MP4_WIFI"}),
        ("several", {"H264_MP4_WIFI", "H265_MP4_4G"}),
    ],
)
async def test_a_dimension_that_was_not_requested(clock: Clock, form: str, dimensions: set[str | None]) -> None:
    service = with_variants(clock, f"dimension:{form}")
    found = await rows(service, clock, NOON - 3600, NOON - 3000)
    assert {row.get("Dimension") for row in found} == dimensions
    assert len(found) == 2 * len(dimensions)


async def test_filters_have_a_row_for_each_combination(clock: Clock) -> None:
    filters = (
        '[{"Field":"codec","Op":"=","Value":"h265#_#h264"},{"Field":"os","Op":"=","Value":"Android#_#iOS"},'
        '{"Field":"Isp","Op":"!=","Value":"x"}]'
    )
    found = await rows(simulator(clock), clock, NOON - 3600, NOON - 3300, Filters=filters)
    assert [row["Dimension"] for row in found] == ["H265_ANDROID", "H265_IOS", "H264_ANDROID", "H264_IOS"]
    assert len(await rows(simulator(clock), clock, NOON - 3600, NOON - 3300, Filters=filters, Top=2)) == 2
    ignored = await rows(simulator(clock), clock, NOON - 3600, NOON - 3300, Filters=filters, Metrics="Uv")
    assert len(ignored) == 1


async def test_order_gaps_and_other_metrics(clock: Clock) -> None:
    times = {}
    for order in ("ascending", "descending", "shuffled"):
        service = with_variants(clock, f"bucket_order:{order}", "bucket_gaps:some", "unasked_metrics:null")
        found = await rows(service, clock, NOON - DAY, NOON - 3600)
        times[order] = [row["TimeStamp"] for row in found]
        assert {row["Uv"] for row in found} == {None}
    assert times["ascending"] == sorted(times["ascending"]) == times["descending"][::-1] == sorted(times["shuffled"])
    assert times["shuffled"] not in (times["ascending"], times["descending"])
    assert 265 < len(times["ascending"]) < 276
    service = with_variants(clock, "unasked_metrics:zero", "extend:absent", "numbers:strings")
    document = await requested(service, clock, PLAYER, **parameters(NOON - 3600, NOON - 3000))
    assert "Extend" not in document
    assert document["DataList"][0]["Uv"] == "0.0"


async def test_days_start_as_the_variant_says(clock: Clock) -> None:
    for form, hour in (("utc8", "16"), ("utc", "00")):
        found = await rows(with_variants(clock, f"day_buckets:{form}"), clock, NOON - 5 * DAY, NOON, Interval="1d")
        assert {row["TimeStamp"][11:13] for row in found} == {hour}


async def test_an_unknown_application(clock: Clock) -> None:
    request = parameters(NOON - 3600, NOON, AppId="app-7654321")
    assert (await requested(simulator(clock), clock, PLAYER, **request))["Code"] == "Meter.ParamError"
    assert (await requested(with_variants(clock, "unknown_app:empty"), clock, PLAYER, **request))["DataList"] == []


async def test_pages(clock: Clock) -> None:
    whole = await rows(simulator(clock), clock, NOON - DAY, NOON - 3600)
    request = parameters(NOON - DAY, NOON - 3600, PageSize=200)
    pages = [await requested(simulator(clock), clock, PLAYER, **request, PageNumber=page) for page in (1, 2, 3)]
    assert [row for page in pages for row in page["DataList"]] == whole
    assert {page["TotalCnt"] for page in pages} == {len(whole)}
