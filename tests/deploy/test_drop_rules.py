"""The alerts about plays, one value a minute; from minute 11 on the next day is the settled one."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from exporter.core.expectation import DAYS_USED, expected_plays
from tests.deploy import promtool
from tests.deploy.promtool import with_thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MONDAY: Final = 1795363200 - 28800
DAY: Final = 86400
ALL: Final = {"terminal_type": "all", "os": "all", "region": "all"}
DATES: Final = f"{MONDAY}x10 {MONDAY + DAY}x20 {MONDAY + 2 * DAY}x20"
DROPPED: Final = "MediaPlaysDropped account=main media_id={} severity=warning"
GONE: Final = "MediaPlaysGone account=main media_id={} severity=critical"
ACCOUNT: Final = "AccountPlaysDropped account=main severity=critical"
# The rules are evaluated in this order where the interval of a test exceeds the lookback of recorded series.
ORDER: Final = [f"aliyun-vod-{group}" for group in ("thresholds", "plays", "drops")]

check_firing = partial(promtool.check_firing, groups=ORDER)

Series = dict[str, str]


# The newer promtool repeats what the older one finds, unless Prometheus has changed: for the whole suite only.
@pytest.fixture(params=["2", pytest.param("3", marks=pytest.mark.slow)])
def version(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def name(metric: str, labels: dict[str, str], at: str) -> str:
    every = {"instance": at, "job": "aliyun-vod", "account": "main", **labels}
    pairs = ", ".join(f'{label}="{value}"' for label, value in every.items())
    return f"aliyun_vod_{metric}{{{pairs}}}"


def slice_date(values: str = DATES, at: str = "e:9985", **filters: str) -> Series:
    return {name("slice_settled_date_timestamp_seconds", {**ALL, **filters}, at): values}


def media(media_id: str, plays: str, expected: str, at: str = "e:9985", **filters: str) -> Series:
    labels = {"media_id": media_id, **ALL, **filters}
    return {
        name("media_settled_plays", labels, at): plays,
        name("media_settled_plays_expected", labels, at): expected,
    }


def steady(count: int, values: str = "970x50", expected: str = "1000x50", at: str = "e:9985", **filters: str) -> Series:
    return _merged(media(f"s{number}", values, expected, at, **filters) for number in range(count))


def _merged(parts: Iterable[Series]) -> Series:
    return {key: value for part in parts for key, value in part.items()}


def test_a_media_that_drops_fires_on_its_day_only(version: str, tmp_path: Path) -> None:
    """Beside all other rules, none of which fires because of data."""
    series = slice_date() | steady(5) | media("m", "950x10 300x20 950x20", "1000x50")
    drop = [DROPPED.format("m")]
    check_firing(version, tmp_path, series, {"10m": [], "14m": drop, "30m": drop, "35m": []}, groups=())


def test_a_media_that_is_hardly_played_is_gone_and_not_also_dropped(version: str, tmp_path: Path) -> None:
    series = slice_date() | steady(5) | media("m", "950x10 0x40", "1000x50") | media("few", "30x10 1x40", "30x50")
    check_firing(version, tmp_path, series, {"10m": [], "14m": [GONE.format("m"), GONE.format("few")]})


def test_ageing_media_and_small_ones_are_silent(version: str, tmp_path: Path) -> None:
    ageing = [media(f"a{n}", "9000x10 4000x20 1700x20", "9100x10 4300x20 1900x20") for n in range(6)]
    series = (
        slice_date() | _merged(ageing) | media("few", "40x10 4x40", "15x50") | media("some", "90x10 25x40", "90x50")
    )
    check_firing(version, tmp_path, series, {"10m": [], "14m": [], "35m": []})


def test_a_day_bad_for_all_media_is_one_alert_about_the_account(version: str, tmp_path: Path) -> None:
    series = slice_date() | steady(60, "970x10 290x20 970x20") | media("few", "30x10 2x20 30x20", "30x50")
    check_firing(version, tmp_path, series, {"10m": [], "14m": [ACCOUNT], "35m": []})


def test_a_media_that_is_gone_on_a_day_bad_for_all_is_an_alert_besides(version: str, tmp_path: Path) -> None:
    series = slice_date() | steady(60, "970x10 290x20 970x20") | media("m", "950x10 0x40", "1000x50")
    check_firing(version, tmp_path, series, {"10m": [], "14m": [GONE.format("m"), ACCOUNT]})


@pytest.mark.parametrize(("plays", "alerts"), [("400x40", [f"{ACCOUNT} media=few"]), ("600x40", [])])
def test_too_few_media_for_a_median_are_added_up(version: str, plays: str, alerts: list[str], tmp_path: Path) -> None:
    series = slice_date() | steady(2, f"970x10 {plays}")
    check_firing(version, tmp_path, series, {"10m": [], "14m": alerts}, more="media")


def days(changed: dict[int, float], *, late: int | None = None) -> Series:
    """Six media for 36 days, far more played at weekends; some days are changed, a late one settles with the next."""
    weekday = (1, 1, 1, 1, 1.9, 2.6, 2)
    factor = [weekday[day % 7] * changed.get(day, 1) for day in range(36)]
    series = slice_date(" ".join(str(MONDAY + DAY * (day - (day == late))) for day in range(36)))
    for number in range(6):
        plays = [round((1000 + 100 * number) * each) for each in factor]
        slice_days = [day - (day == late) for day in range(36)]
        settled = [(plays[day], _expected(plays, day)) for day in slice_days]
        series |= media(f"s{number}", *(" ".join(map(str, column)) for column in zip(*settled, strict=True)))
    return series


def _expected(plays: list[int], day: int) -> float | str:
    expected = expected_plays({ago: plays[day + 1 - ago] for ago in DAYS_USED if day + 1 >= ago})
    return "_" if expected is None else expected


def check_days(version: str, folder: Path, series: Series, alerts: Iterable[int]) -> None:
    fires = {f"{day}d": [ACCOUNT] if day in alerts else [] for day in range(16, 36)}
    check_firing(version, folder, series, fires, interval="1d", order=ORDER)


def test_a_drop_on_a_day_that_usually_has_more_plays_than_the_day_before(version: str, tmp_path: Path) -> None:
    """A Friday: its expectation is at least the plays of Thursday."""
    check_days(version, tmp_path, days(dict.fromkeys(range(25, 36), 0.7)), [25])


@pytest.mark.parametrize("holiday", [{21: 1.8}, {24: 0.4}], ids=["many plays", "few plays"])
def test_neither_the_day_after_a_holiday_nor_that_of_the_next_week_is_a_drop(
    version: str, holiday: dict[int, float], tmp_path: Path
) -> None:
    check_days(version, tmp_path, days(holiday), [day for day, factor in holiday.items() if factor < 1])


def test_a_holiday_two_weeks_before_hides_no_drop(version: str, tmp_path: Path) -> None:
    check_days(version, tmp_path, days({18: 0.6} | dict.fromkeys(range(32, 36), 0.7)), [18, 32])


def test_steps_over_two_days_are_not_compared_with_steps_over_one(version: str, tmp_path: Path) -> None:
    """Sunday is late: what would be compared with Saturday is Monday, and that has a little less than usual."""
    check_days(version, tmp_path, days({28: 0.85}, late=27), [])


def test_more_than_twenty_drops_are_the_largest_twenty_and_their_number(version: str, tmp_path: Path) -> None:
    small = _merged(media(f"d{n}", "200x10 50x40", f"{200 + n}x50") for n in range(5))
    large = _merged(media(f"l{n}", "2000x10 500x40", "2000x50") for n in range(20))
    drops = [DROPPED.format(f"l{n}") for n in range(20)] + ["MediaDropsMany account=main severity=warning"]
    of_tuesday = [f"{alert} date={MONDAY + DAY + 8 * 3600}" for alert in drops]
    series = slice_date() | steady(30) | small | large
    check_firing(version, tmp_path, series, {"10m": [], "14m": of_tuesday}, more="date")


def of_os(*systems: str) -> Series:
    return _merged(slice_date(os=system) for system in systems)


def test_a_system_that_loses_its_share_is_named(version: str, tmp_path: Path) -> None:
    series = slice_date() | of_os("iOS", "Android") | steady(6, "970x10 700x20 970x20")
    series |= steady(6, "480x10 200x20 480x20", "500x50", os="iOS") | steady(6, "480x50", "500x50", os="Android")
    share = "AccountShareDropped account=main terminal_type=all os=iOS region=all severity=critical"
    check_firing(version, tmp_path, series, {"10m": [], "14m": [share, ACCOUNT], "35m": []})


def test_a_shard_of_its_own_for_a_system_hides_nothing(version: str, tmp_path: Path) -> None:
    series = slice_date() | slice_date(at="f:9985", os="iOS") | steady(6) | media("m", "970x50", "1000x50")
    series |= steady(6, "480x10 200x40", "500x50", "f:9985", os="iOS") | media(
        "m", "480x10 20x40", "500x50", "f:9985", os="iOS"
    )
    share = "AccountShareDropped account=main terminal_type=all os=iOS region=all severity=critical"
    of_one = "MediaShareDropped account=main media_id=m terminal_type=all os=iOS region=all severity=warning"
    check_firing(version, tmp_path, series, {"10m": [], "14m": [share, of_one]})


def test_a_small_region_is_seen_in_the_sums(version: str, tmp_path: Path) -> None:
    series = slice_date() | slice_date(region="small") | steady(20)
    series |= steady(20, "20x10 2x20 20x20", "20x50", region="small")
    share = "AccountShareDropped account=main terminal_type=all os=all region=small severity=critical"
    check_firing(version, tmp_path, series, {"10m": [], "14m": [share], "35m": []})


def test_a_system_that_recovers_takes_no_share_from_the_others(version: str, tmp_path: Path) -> None:
    """After a day without iOS little is expected there, and all of it is far above; Android has what it had."""
    series = slice_date() | of_os("iOS", "Android") | steady(6, "970x50", "520x50")
    series |= steady(6, "480x50", "40x50", os="iOS") | steady(6, "480x50", "480x50", os="Android")
    check_firing(version, tmp_path, series, {"5m": [], "14m": []})


def test_one_media_that_loses_one_system_is_named_with_it(version: str, tmp_path: Path) -> None:
    series = slice_date() | of_os("iOS") | steady(6) | steady(6, "480x50", "500x50", os="iOS")
    series |= media("m", "970x10 700x20 970x20", "1000x50") | media("m", "480x10 20x20 480x20", "500x50", os="iOS")
    share = "MediaShareDropped account=main media_id=m terminal_type=all os=iOS region=all severity=warning"
    check_firing(version, tmp_path, series, {"10m": [], "14m": [share], "35m": []})


WEB: Final = {"terminal_type": "Web"}
WEB_SHARE: Final = "AccountShareDropped account=main terminal_type=Web os=all region=all severity=critical"


def web_broken(left: float) -> Series:
    """Media for the Web and media for both; on the second day the Web has so much of its plays."""
    series = slice_date() | slice_date(**WEB) | slice_date(terminal_type="Native")
    for number in range(40):
        native, web = (4000, 0 if number % 2 else 500) if number < 30 else (0, 800)
        now, usual = round(web * left), native + web
        media_id = f"w{number}"
        series |= media(media_id, f"{usual}x10 {native + now}x40", f"{usual}x50")
        if native:
            series |= media(media_id, f"{native}x50", f"{native}x50", terminal_type="Native")
        if web:
            series |= media(media_id, f"{web}x10 {now}x40", f"{web}x50", **WEB)
    return series


def test_media_that_lost_what_their_account_lost_are_no_alerts_of_their_own(version: str, tmp_path: Path) -> None:
    """Ten media are played in the Web only, so these have hardly any plays left."""
    series = web_broken(0.05)
    check_firing(version, tmp_path, series, {"10m": [], "14m": [WEB_SHARE], "30m": [WEB_SHARE]})


def test_media_that_lost_more_than_their_account_are_alerts_beside_it(version: str, tmp_path: Path) -> None:
    """One is removed, one removed that had been played in the Web only, one lost nearly all of its Web."""
    series = web_broken(0.4)
    series |= media("removed", "1500x10 0x40", "1500x50") | media("removed", "500x10 0x40", "500x50", **WEB)
    series |= media("removed", "1000x10 0x40", "1000x50", terminal_type="Native")
    series |= media("web", "800x10 0x40", "800x50") | media("web", "800x10 0x40", "800x50", **WEB)
    series |= media("both", "1500x10 1010x40", "1500x50") | media("both", "500x10 10x40", "500x50", **WEB)
    share = "MediaShareDropped account=main media_id=both terminal_type=Web os=all region=all severity=warning"
    alerts = [WEB_SHARE, GONE.format("removed"), GONE.format("web"), share]
    check_firing(version, tmp_path, series, {"10m": [], "14m": alerts, "30m": alerts})


def test_settled_plays_without_a_date_are_compared_all_the_same(version: str, tmp_path: Path) -> None:
    series = {key: value for key, value in web_broken(0.05).items() if "settled_date" not in key}
    series |= media("removed", "5000x10 0x40", "5000x50")
    alerts = [WEB_SHARE, GONE.format("removed")]
    check_firing(version, tmp_path, series, {"10m": [], "14m": alerts, "30m": alerts})


def test_rules_in_another_order_are_a_little_later_and_nothing_else_fires(version: str, tmp_path: Path) -> None:
    """Every record is then of the evaluation before; none may explain or deny anything about another day."""
    reversed_rules = []
    for file in promtool.RULES:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in document["groups"]:
            group["rules"].reverse()
        (copy := tmp_path / file.name).write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        reversed_rules.append(copy)
    web: dict[str, list[str]] = {"10m": []} | {f"{minute}m": [WEB_SHARE] for minute in range(13, 25)}
    check_firing(version, tmp_path, web_broken(0.05), web, rules=reversed_rules, order=ORDER)
    storm = slice_date() | of_os("iOS") | steady(30, "970x10 290x20 970x20")
    storm |= steady(30, "480x10 140x20 480x20", "500x50", os="iOS")
    firing: dict[str, list[str]] = {f"{m}m": [] for m in (10, 11, 12, 13)} | {f"{m}m": [ACCOUNT] for m in range(14, 32)}
    check_firing(version, tmp_path, storm, firing | {"32m": [], "33m": []}, rules=reversed_rules, order=ORDER)


def of_account(account: str, series: Series) -> Series:
    return {key.replace('account="main"', f'account="{account}"'): values for key, values in series.items()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_in_any_order_the_same_alerts_fire_and_no_other_one_between_them(seed: int, tmp_path: Path) -> None:
    """A record reads some others as they were one evaluation before, also of the day before."""
    order = random.Random(seed)  # noqa: S311 - an order
    rules = []
    for file in promtool.RULES:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        for group in document["groups"]:
            order.shuffle(group["rules"])
        (copy := tmp_path / file.name).write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        rules.append(copy)
    storm = slice_date() | of_os("iOS") | steady(12, "970x10 290x20 970x20") | media("m", "100x50", "1000x50")
    storm |= steady(12, "480x10 140x20 480x20", "500x50", os="iOS")
    behind = slice_date() | slice_date(f"{MONDAY}x50", os="iOS") | steady(6, "970x10 500x40", "1000x10 505x40")
    behind |= steady(6, "400x50", "400x50", os="iOS")
    twins = slice_date() | slice_date(f"{MONDAY}x50", "f:9985") | steady(6) | steady(6, at="f:9985")
    twins |= media("m", "950x10 300x40", "1000x50") | media("m", "950x50", "1000x50", "f:9985")
    few = slice_date() | steady(2, "970x10 400x20 970x20")
    alerts = [
        WEB_SHARE,
        *(ACCOUNT.replace("main", account) for account in ("storm", "few")),
        *(DROPPED.format("m").replace("main", account) for account in ("storm", "twins")),
    ]
    accounts = {"main": web_broken(0.05), "storm": storm, "behind": behind, "twins": twins, "few": few}
    series = _merged(of_account(account, series) for account, series in accounts.items())
    check_firing("2", tmp_path, series, {"42m": alerts}, rules=rules, order=ORDER, within="41m")


def test_a_media_that_dropped_has_its_category_and_age_where_they_are_known(version: str, tmp_path: Path) -> None:
    created = 12.5 * 86_400
    series = slice_date() | steady(5) | media("m", "300x50", "1000x50") | media("unknown", "300x50", "1000x50")
    series[
        name("media_metadata_info", {"media_id": "m", "category": "Courses/Maths", "status": "Normal"}, "e:9985")
    ] = "1x50"
    series[name("media_created_timestamp_seconds", {"media_id": "m"}, "e:9985")] = f"{MONDAY - created}x50"
    known = DROPPED.format("m") + " category=Courses/Maths age_days=13"
    check_firing(version, tmp_path, series, {"5m": [known, DROPPED.format("unknown")]})


def test_a_breakdown_that_does_not_settle_neither_fires_nor_inhibits(version: str, tmp_path: Path) -> None:
    """Its numbers are those of the day before, which had more plays."""
    behind = slice_date(f"{MONDAY}x50", os="iOS") | steady(6, "100x50", "400x50", os="iOS")
    series = slice_date() | of_os("Android") | behind | steady(6, "970x10 500x40", "1000x10 505x40")
    series |= steady(6, "480x10 250x40", "500x10 252x40", os="Android")
    series |= media("m", "970x10 100x40", "1000x10 505x40")
    # On the day that it is behind with, its share had dropped.
    share = "AccountShareDropped account=main terminal_type=all os=iOS region=all severity=critical"
    check_firing(
        version, tmp_path, series, {"10m": [share], "14m": [DROPPED.format("m")], "30m": [DROPPED.format("m")]}
    )


def test_records_of_the_day_before_that_a_stopped_prometheus_left_are_not_counted_again(
    version: str, tmp_path: Path
) -> None:
    """It is stopped when the day moves on: nothing ends them, so they are read for five more minutes."""
    series = slice_date() | steady(30)
    for number in range(15):
        series |= media(f"m{number}", "950x10 300x40", "1000x50")
        for record, value in (("settled", 300), ("expected", 1000), ("dropped", 700), ("unexplained", 700)):
            left = f'account="main", media_id="m{number}", date="{MONDAY - DAY}"'
            series[f"aliyun_vod:media_plays:{record}{{{left}}}"] = f"_x7 {value}x2"
    drops = [DROPPED.format(f"m{number}") for number in range(15)]
    check_firing(version, tmp_path, series, {f"{minute}m": drops for minute in (13, 14, 17, 20)}, order=ORDER)


def test_a_late_day_changes_nothing_until_it_settles(version: str, tmp_path: Path) -> None:
    series = slice_date(f"{MONDAY}x30 {MONDAY + DAY}x20") | steady(5) | media("m", "300x30 950x20", "1000x50")
    check_firing(version, tmp_path, series, {"5m": [DROPPED.format("m")], "30m": [DROPPED.format("m")], "35m": []})


def test_a_night_changes_nothing(version: str, tmp_path: Path) -> None:
    """From 00:00 to 09:30 `days_ago` has moved by one day; the settled day is still the one before."""
    series = slice_date(f"{MONDAY}x38 {MONDAY + DAY}x20") | steady(5, "970x60", "1000x60")
    series |= media("m", "300x38 950x20", "1000x60") | media("n", "950x60", "1000x60")
    night = {f"{15 * quarter}m": [DROPPED.format("m")] for quarter in range(1, 39)}
    check_firing(version, tmp_path, series, night | {"595m": []}, interval="15m", order=ORDER)


@pytest.mark.parametrize(
    ("media_at_0", "of", "expected"),
    [(6, 6, 6000), (1, 1, 1000), (6, 10, 10000)],
    ids=["everything", "one video", "most"],
)
def test_an_account_without_plays_alerts_with_what_was_expected(
    version: str, media_at_0: int, of: int, expected: int, tmp_path: Path
) -> None:
    series = slice_date()
    for number in range(of):
        series |= media(f"s{number}", "1000x10 0x50" if number < media_at_0 else "1000x60", "1000x60")
    alert = f"{ACCOUNT} expected={expected}"
    check_firing(version, tmp_path, series, {"14m": [alert]}, more="expected", only="AliyunVodAccount.*")


def test_an_exporter_without_data_that_takes_over_tells_no_day_again(version: str, tmp_path: Path) -> None:
    """It begins with the day before the one that the other had reported, and is as far as that 30 minutes later."""
    series = slice_date(f"{MONDAY}x10 {MONDAY + DAY}x18 stale")
    series |= slice_date(f"_x29 {MONDAY}x29 {MONDAY + DAY}x50", "f:9985")
    series |= dict.fromkeys(steady(6), "970x29 stale") | steady(6, "_x29 970x80", "_x29 1000x80", "f:9985")
    series |= media("m", "100x10 970x18 stale", "1000x29 stale")
    series |= media("m", "_x29 100x29 970x50", "_x29 1000x80", "f:9985")
    firing: dict[str, list[str]] = {f"{minute}m": [] for minute in range(14, 90, 5)}
    check_firing(version, tmp_path, series, firing | {"8m": [DROPPED.format("m")]})


def test_a_failed_scrape_and_a_restart_end_no_alert(version: str, tmp_path: Path) -> None:
    gap = {
        key: f"{values.split('x')[0]}x20 stale _x6 {values.split('x')[0]}x20"
        for key, values in (steady(5) | media("m", "300x50", "1000x50")).items()
    }
    series = slice_date(f"{MONDAY}x20 stale _x6 {MONDAY}x20") | gap
    check_firing(version, tmp_path, series, {f"{minute}m": [DROPPED.format("m")] for minute in range(3, 45)})


def test_a_restart_beside_two_exporters_fires_and_inhibits_nothing(version: str, tmp_path: Path) -> None:
    """Prometheus begins with one exporter of half the media; the other half, one of which has dropped, comes later."""
    other = _merged(media(f"o{n}", "_x4 970x40", "_x4 1000x40", "f:9985") for n in range(20))
    series = slice_date() | slice_date("_x4 " + DATES, "f:9985") | steady(20) | other
    series |= media("m", "_x4 300x40", "_x4 1000x40", "f:9985")
    firing = {f"{minute}m": [DROPPED.format("m")] if minute > 4 else [] for minute in (1, 2, 3, 6, 7, 8, 9)}
    check_firing(version, tmp_path, series, firing)


def test_of_two_exporters_the_one_behind_hides_no_drop(version: str, tmp_path: Path) -> None:
    twins = steady(6, at="f:9985") | media("m", "950x50", "1000x50", "f:9985")
    series = slice_date() | slice_date(f"{MONDAY}x50", "f:9985") | steady(6) | twins
    series |= media("m", "950x10 300x40", "1000x50")
    check_firing(version, tmp_path, series, {"10m": [], "14m": [DROPPED.format("m")], "25m": [DROPPED.format("m")]})


def test_one_media_of_two_exporters_is_one_alert(version: str, tmp_path: Path) -> None:
    series = _merged(
        slice_date(at=at) | steady(6, at=at) | media("m", "950x10 300x40", "1000x50", at) for at in ("e:1", "f:1")
    )
    check_firing(version, tmp_path, series, {"10m": [], "14m": [DROPPED.format("m")]})


def test_an_account_that_sinks_for_two_weeks_fires_after_four_days(version: str, tmp_path: Path) -> None:
    """Each day a tenth less, as is expected then."""
    days = [round(1000 * 0.9**day) for day in range(25)]
    values = " ".join(map(str, days))
    series = slice_date("1x24") | steady(6, values, values)
    firing: dict[str, list[str]] = {"14d": [], "17d": [], "19d": ["AccountPlaysSinking account=main severity=warning"]}
    check_firing(version, tmp_path, series, firing, interval="1d", order=ORDER)
    # Two values a day, and an exporter that is down for half a day meanwhile.
    values = " ".join(f"{plays} {plays if day != 16 else 'stale'}" for day, plays in enumerate(days))
    down = slice_date("1x32 stale 1x16") | steady(6, values, values)
    check_firing(version, tmp_path, down, firing, interval="12h", order=ORDER)
    steady_account = slice_date("1x24") | steady(6, "1000x24", "1000x24")
    check_firing(version, tmp_path, steady_account, {"18d": [], "24d": []}, interval="1d", order=ORDER)


def test_the_end_of_a_rise_is_no_sinking(version: str, tmp_path: Path) -> None:
    """Twenty days of three times as many plays."""
    for before, firing in ((1000, []), (None, ["AccountPlaysSinking account=main severity=warning"])):
        values = f"{before}x14 3000x19 1000x14" if before else "_x15 3000x19 1000x14"
        series = slice_date("1x50") | steady(6, values, values)
        check_firing(version, tmp_path, series, {"34d": [], "41d": firing}, interval="1d", order=ORDER)


def test_an_account_does_not_sink_because_media_are_no_longer_requested(version: str, tmp_path: Path) -> None:
    """They had 60 % of the plays."""
    removed = dict.fromkeys(steady(6, at="f:9985"), "1000x20 stale")
    series = slice_date("1x32") | removed
    for number in range(4):
        series |= media(f"kept{number}", "1000x32", "1000x32")
    firing: dict[str, list[str]] = {f"{day}d": [] for day in range(15, 32)}
    check_firing(version, tmp_path, series, firing, interval="1d", order=ORDER)


@pytest.mark.parametrize("days_ago", [1, 2])
@pytest.mark.parametrize(
    ("metric", "values", "week_before", "alert"),
    [
        ("media_plays_per_viewer", "5x20 2x20", "2x50", "MediaViewersDropped"),
        ("media_play_duration_per_viewer_seconds", "20x20 90x20", "90x50", "MediaWatchTimeDropped"),
    ],
)
def test_viewers_and_watch_time_are_watched_where_plays_held_and_once_their_threshold_is_set(
    version: str, metric: str, values: str, week_before: str, alert: str, days_ago: int, tmp_path: Path
) -> None:
    """Of the last settled day, which is yesterday or, at night, the day before; other days say nothing."""
    series = slice_date(f"{-days_ago * DAY - 8 * 3600}x50") | steady(5) | media("m", "950x50", "1000x50")
    series |= media("gone", "0x50", "1000x50")
    known = dict.fromkeys(range(11), "30x50") | {days_ago: values, days_ago + 7: week_before}
    for day, text in known.items():
        series |= {name(metric, {**ALL, "media_id": m, "days_ago": str(day)}, "e:9985"): text for m in ("m", "gone")}
    drops = [GONE.format("gone")]
    check_firing(version, tmp_path, series, {"10m": drops, "35m": drops})
    sized = f"{alert} account=main media_id=m severity=warning"
    rules = with_thresholds(tmp_path, media_viewers_ratio="0.5", media_watch_time_ratio="0.5")
    check_firing(version, tmp_path, series, {"10m": [*drops, sized], "35m": drops}, rules=rules)


def test_viewers_are_of_the_last_settled_day_until_the_first_scrape_after_midnight(
    version: str, tmp_path: Path
) -> None:
    """A scrape every five minutes: until the first one of a day, its series are those of the day before.

    The rules are evaluated at midnight, and after that scrape.
    """
    midnight, scrapes = 16 * 60, range(2, 16 * 60 + 30, 5)

    def scraped(before: float, after: float) -> str:
        values = {minute: before if minute < midnight else after for minute in scrapes}
        return " ".join(str(values.get(minute, "_")) for minute in range(max(scrapes) + 1))

    series = {
        key: scraped(float(value), float(value))
        for key, value in (slice_date(str(-DAY - 8 * 3600)) | media("m", "950", "1000")).items()
    }
    # The day before the last settled day had fewer viewers, and an alert of its own.
    fewer = {2: (5, 2), 3: (2, 5)}
    for day in range(1, 11):
        labels = {**ALL, "media_id": "m", "days_ago": str(day)}
        series |= {name("media_plays_per_viewer", labels, "e:9985"): scraped(*fewer.get(day, (2, 2)))}
    firing: dict[str, list[str]] = {f"{midnight + minute}m": [] for minute in range(-6, 12)}
    rules = with_thresholds(tmp_path, media_viewers_ratio="0.5")
    check_firing(version, tmp_path, series, firing, rules=rules, every="4m", only="AliyunVodMedia.*")
