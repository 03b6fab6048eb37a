"""The alerts about the exporter and the API, one value every one or five minutes; a single failure fires none."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from tests.deploy import promtool
from tests.deploy.promtool import with_thresholds

if TYPE_CHECKING:
    from pathlib import Path

AT: Final = 'instance="e:9985", job="aliyun-vod"'
Series = dict[str, str]
Firing = dict[str, list[str]]
WARNING: Final = "ExporterDown instance=e:9985 severity=warning"
FAILING: Final = "QueryFailing account=main instance=e:9985 query=q severity=warning"
REFUSED: Final = "AuthFailing account=main instance=e:9985 severity={}"
# The rules are evaluated in this order where the interval of a test exceeds the lookback of recorded series.
ORDER: Final = [f"aliyun-vod-{group}" for group in ("thresholds", "health", "exporter")]

check_firing = partial(promtool.check_firing, groups=ORDER)


@pytest.fixture(params=promtool.VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def own(metric: str, values: str, **labels: str) -> Series:
    pairs = "".join(f', {label}="{value}"' for label, value in labels.items())
    return {f"aliyun_vod_{metric}{{{AT}{pairs}}}": values}


def up(values: str, instance: str = "e:9985", job: str = "aliyun-vod") -> Series:
    return {f'up{{instance="{instance}", job="{job}"}}': values}


def requests(total: str, auth: str, action: str = "", account: str = "main") -> Series:
    """The counters of an account; with the label `action` where one is given."""
    more = {"account": account} | ({"action": action} if action else {})
    return own("api_requests_total", total, **more) | own(
        "api_errors_total", auth, code="Forbidden.RAM", kind="auth", **more
    )


LOADED: Final = own("exporter_config_last_reload_success_timestamp_seconds", "0x1000")


@pytest.mark.parametrize(
    ("series", "firing"),
    [
        (up("1x5 0x5 1x60"), {"14m": [], "40m": []}),
        (up("1x5 0x30 1x20"), {"14m": [], "17m": [WARNING], "40m": []}),
        (up("1x60") | up("0x60", "n:9100", "node"), {"30m": []}),
        (up("1x5 stale _x30 1x20"), {"14m": [], "25m": ["ExporterDown severity=warning"], "40m": []}),
        (
            up("_x60") | up("1x60", job="vod") | own("exporter_build_info", "1x60", version="1"),
            {"30m": []},
        ),
    ],
    ids=["a restart", "down", "another job", "no target", "another name"],
)
def test_an_exporter_that_is_down(version: str, series: Series, firing: Firing, tmp_path: Path) -> None:
    """Beside all other rules, none of which fires for an exporter without data."""
    check_firing(version, tmp_path, series, firing, groups=())


def test_an_exporter_that_starts_again_and_again_is_down(version: str, tmp_path: Path) -> None:
    """It answers one scrape of six."""
    starts = " ".join(f"{1000 + 360 * number} stale _x3" for number in range(30))
    series = up("1 0x4 " * 30) | {f"process_start_time_seconds{{{AT}}}": starts}
    check_firing(version, tmp_path, series, {"15m": [], "1h": [WARNING], "2h30m": [WARNING]})


def test_an_exporter_that_is_restarted_three_times_in_an_hour_is_not_down(version: str, tmp_path: Path) -> None:
    """As while its configuration is changed."""
    series = up("1x200") | {f"process_start_time_seconds{{{AT}}}": "1000x60 5000x9 6000x9 7000x100"}
    check_firing(version, tmp_path, series, {f"{minute}m": [] for minute in range(60, 160, 5)})


def test_an_exporter_that_is_down_for_half_a_day_is_critical(version: str, tmp_path: Path) -> None:
    critical = "ExporterDown instance=e:9985 severity=critical"
    firing: Firing = {"11h": [WARNING], "12h30m": [WARNING, critical], "14h": []}
    check_firing(version, tmp_path, up("1x1 0x155 1x30"), firing, interval="5m", order=ORDER)


def test_a_lost_one_of_two_exporters_is_missed(version: str, tmp_path: Path) -> None:
    rules = with_thresholds(tmp_path, exporters="2")
    series = up("1x60") | up("1x5 stale _x30 1x20", "f:9985")
    firing: Firing = {"5m": [], "30m": ["ExporterDown severity=warning"], "45m": []}
    check_firing(version, tmp_path, series, firing, rules=rules)


@pytest.mark.parametrize("action", ["", "DescribeVodMediaPlayData"])
@pytest.mark.parametrize(
    ("total", "auth", "up_", "firing"),
    [
        # Polls every 5 minutes: the first ones succeed, then all are refused, then the key is replaced.
        (
            "10+1x200",
            "0x20 0+1x24 24x160",
            "1x20 0x25 1x160",
            {"1h30m": [], "3h5m": [REFUSED.format("warning")], "4h30m": []},
        ),
        # From the first poll on.
        ("0+1x200", "0+1x200", "0x200", {"5m": [], "30m": [REFUSED.format("warning")]}),
        # One refused request between the two changes of a rotated key.
        ("10+1x200", "0x20 1x180", "1x20 0x1 1x180", {"1h45m": [], "2h": [], "3h": []}),
        # Another account's query fails for another reason.
        ("10+1x200", "3x200", "0x200", {"1h30m": [], "3h": []}),
    ],
    ids=["after success", "from the start", "rotated", "another reason"],
)
def test_refused_credentials(
    version: str, action: str, total: str, auth: str, up_: str, firing: Firing, tmp_path: Path
) -> None:
    series = requests(total, auth, action) | requests("10+1x200", "0x200", action, "other")
    series |= own("query_up", up_, account="main", query="q") | LOADED
    check_firing(version, tmp_path, series, firing, interval="5m", order=ORDER)


def test_credentials_that_were_refused_do_not_fire_while_only_another_account_has_a_query_that_fails(
    version: str, tmp_path: Path
) -> None:
    series = requests("0+1x200", "0+1x200") | LOADED
    for account, up_ in (("main", "1x200"), ("other", "0x200")):
        series |= own("query_up", up_, account=account, query=f"q of {account}")
    series |= own("query_last_success_timestamp_seconds", "0+300x200", account="other", query="q of other")
    series |= own("query_last_success_timestamp_seconds", "0+300x200", account="main", query="q of main")
    check_firing(version, tmp_path, series, {"1h": [], "5h": []}, interval="5m", order=ORDER)


def test_credentials_refused_for_half_a_day_are_critical(version: str, tmp_path: Path) -> None:
    series = requests("0+1x200", "0+1x200") | own("query_up", "0x200", account="main", query="q") | LOADED
    warning = [REFUSED.format("warning"), FAILING]
    firing = {"11h30m": warning, "12h30m": [*warning, REFUSED.format("critical")]}
    check_firing(version, tmp_path, series, firing, interval="5m", order=ORDER)


@pytest.mark.parametrize(
    ("last", "up_", "following", "firing"),
    [
        # One poll an hour, of which one fails.
        ("0x12 3600x24 10800x36", "1x24 0x12 1x60", "3600x12 7200x12 10800x12 14400x36", {"2h30m": [], "3h30m": []}),
        ("0x12 3600x60", "1x24 0x60", "999999x100", {"4h": [], "4h30m": [FAILING]}),
        # Once a day.
        ("0x100", "1x100", "86400x100", {"5h": [], "8h": []}),
        ("0x100", "1x100", "3600x100", {"2h": [], "3h30m": [FAILING]}),
    ],
    ids=["one lost try", "failing", "rare", "overdue"],
)
def test_a_query_that_fails(version: str, last: str, up_: str, following: str, firing: Firing, tmp_path: Path) -> None:
    series = (
        own("query_last_success_timestamp_seconds", last, account="main", query="q")
        | own("query_up", up_, account="main", query="q")
        | LOADED
    )
    series |= own("query_next_poll_timestamp_seconds", following, account="main", query="q")
    check_firing(version, tmp_path, series, firing, interval="5m", order=ORDER)


def test_a_day_that_is_late_fires_from_the_afternoon_on_and_mutes_nothing(version: str, tmp_path: Path) -> None:
    """The clock begins at 08:00 UTC+8; one slice settles at 18:00."""
    filters = {"account": "main", "terminal_type": "all", "os": "all", "region": "all"}
    series = own("slice_settled", "0x120 1x50", **filters, days_ago="1") | LOADED
    series |= own("slice_settled", "1x170", **filters, days_ago="2")
    late = ["DayNotSettled account=main severity=warning"]
    check_firing(version, tmp_path, series, {"6h55m": [], "7h15m": late, "10h30m": []}, interval="5m", order=ORDER)


def test_a_reload_while_a_day_is_late_ends_no_alert(version: str, tmp_path: Path) -> None:
    """At 17:00, and again at midnight, when the day becomes the one before yesterday; it settles at 05:00."""
    series = own("slice_settled", "0x94 0x193 0x100", **FILTERS, days_ago="1")
    series |= own("slice_settled", "1x191 0x59 1x200", **FILTERS, days_ago="2")
    loaded = f"0x107 {9 * 3600}x83 {16 * 3600}x200"
    series |= own("exporter_config_last_reload_success_timestamp_seconds", loaded)
    late = ["DayNotSettled account=main severity=warning"]
    firing: Firing = {f"{hour}h": late for hour in range(8, 21)}
    firing = {"6h55m": [], **firing, "21h30m": []}
    check_firing(version, tmp_path, series, firing, interval="5m", order=ORDER)
    # An account that the first reload adds has its two hours.
    series |= own("slice_settled", "_x108 0x19 1x64 0x193", **(FILTERS | {"account": "new"}), days_ago="1")
    check_firing(version, tmp_path, series, firing, interval="5m", order=ORDER)


def test_days_settle_some_polls_after_a_start(version: str, tmp_path: Path) -> None:
    filters = {"account": "main", "terminal_type": "all", "os": "all", "region": "all"}
    series = own("slice_settled", "0x170", **filters, days_ago="1")
    series |= own("exporter_config_last_reload_success_timestamp_seconds", f"{7 * 3600}x170")
    late = ["DayNotSettled account=main severity=warning"]
    check_firing(version, tmp_path, series, {"8h55m": [], "9h15m": late}, interval="5m", order=ORDER)


@pytest.mark.parametrize(
    ("series", "firing"),
    [
        (
            own("api_calls_remaining_today", "9x10 0x20 9x20", account="main"),
            {"10m": [], "15m": ["BudgetSpent account=main instance=e:9985 severity=warning"], "45m": []},
        ),
        (
            own("exporter_series_dropped", "0x10 7x20 0x20"),
            {"10m": [], "25m": ["SeriesDropped instance=e:9985 severity=warning"], "45m": []},
        ),
        (own("exporter_storage_errors_total", "0x10 1x200"), {"15m": [], "1h": [], "3h": []}),
        (
            own("exporter_storage_errors_total", "0x10 1x10 2x300"),
            {"15m": [], "25m": ["StorageFailing instance=e:9985 severity=warning"], "4h": []},
        ),
        # Nothing to subtract from three hours after a failed scrape.
        (own("exporter_storage_errors_total", "0x5 5x200 stale 5x400"), {"3h20m": [], "6h26m": [], "6h30m": []}),
        (
            own("exporter_storage_errors_total", "50x200 0 1 2 3x100"),
            {"3h20m": [], "3h25m": ["StorageFailing instance=e:9985 severity=warning"]},
        ),
        (
            own("exporter_config_last_reload_successful", "1x10 0x20 1x20"),
            {"12m": [], "20m": ["ConfigReloadFailed instance=e:9985 severity=warning"], "45m": []},
        ),
        (
            own("slice_ready", "1x30 stale", account="ops", exported_account="main", days_ago="1"),
            {"5m": [], "20m": ["LabelsShadowed instance=e:9985 severity=warning"], "50m": []},
        ),
        (
            own("query_up", "1x30 stale", account="main", query="q", exported_query="main"),
            {"5m": [], "20m": ["LabelsShadowed instance=e:9985 severity=warning"], "50m": []},
        ),
        (
            own("api_errors_total", "0x30 stale", kind="vm", exported_kind="auth", account="main"),
            {"5m": [], "20m": ["LabelsShadowed instance=e:9985 severity=warning"], "50m": []},
        ),
        (
            own("slice_ready", "1x30", account="main", days_ago="1")
            | own("query_up", "1x30", account="main", query="q"),
            {"20m": []},
        ),
    ],
    ids=[
        "budget",
        "series",
        "one failed write",
        "writes fail",
        "old errors",
        "fails after a restart",
        "reload",
        "account",
        "query",
        "kind",
        "honored",
    ],
)
def test_what_is_wrong_with_the_exporter(version: str, series: Series, firing: Firing, tmp_path: Path) -> None:
    check_firing(version, tmp_path, series, firing)


FILTERS: Final = {"account": "main", "terminal_type": "all", "os": "all", "region": "all"}


def test_a_failed_scrape_ends_no_alert(version: str, tmp_path: Path) -> None:
    """Its end would be sent, and the alert again."""
    query = {"account": "main", "query": "q"}
    one_value = (
        own("query_last_success_timestamp_seconds", "0", **query)
        | own("query_up", "0", **query)
        | own("query_next_poll_timestamp_seconds", "99999", **query)
        | own("exporter_storage_errors_total", "0 5")
        | own("slice_settled", "0", **FILTERS, days_ago="2")
        | own("api_calls_remaining_today", "0", account="main")
        | own("exporter_series_dropped", "7")
        | own("exporter_config_last_reload_successful", "0")
        | own("slice_ready", "1", exported_account="main", days_ago="1")
    )
    series = {
        name: f"{values.split()[0]}x199 {values.split()[-1]}x50 stale {values.split()[-1]}x60"
        for name, values in one_value.items()
    }
    alerts = [FAILING, "DayNotSettled account=main severity=warning"]
    alerts += ["BudgetSpent account=main instance=e:9985 severity=warning"]
    own_state = ("StorageFailing", "SeriesDropped", "ConfigReloadFailed", "LabelsShadowed")
    alerts += [f"{alert} instance=e:9985 severity=warning" for alert in own_state]
    check_firing(
        version, tmp_path, LOADED | series, {f"{minute}m": alerts for minute in (250, 251, 252, 256, 262, 290)}
    )


def test_a_day_that_is_polled_once_a_day_is_not_late_until_its_threshold(version: str, tmp_path: Path) -> None:
    """Until 10:00 the last settled day is the one before the day before yesterday; the clock begins at 08:00 UTC+8."""
    rules = with_thresholds(tmp_path, day_settled_time_seconds="36 * 3600")
    series = LOADED | own("slice_settled", "0x290", **FILTERS, days_ago="1")
    series |= own("slice_settled", "1x190 0x120 1x100", **FILTERS, days_ago="2")
    late: Firing = {"20h": [], "25h40m": []}
    check_firing(version, tmp_path, series, late, rules=rules, interval="5m", order=ORDER)
    late = {"20h": ["DayNotSettled account=main severity=warning"]}
    check_firing(version, tmp_path, series, late, interval="5m", order=ORDER)
