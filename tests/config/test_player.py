"""The settings of players: what is allowed by the service, with the place of every mistake."""

from __future__ import annotations

import pytest

from exporter.config.loader import loads
from exporter.core.player_query import PlayerQuery, PlayerTarget, calls_per_day, first_poll_calls, series
from exporter.errors import ConfigError

DAY = 86_400
QUERIES = "queries: [{name: q, media: all, account: main}]\naccounts: [{name: main}]\n"


def player(text: str, before: str = QUERIES) -> tuple[PlayerQuery, ...]:
    return loads(f"{before}{text}", file="config.yaml", environ={}).player_queries()


def test_nothing_is_polled_by_default() -> None:
    assert player("") == ()
    assert player("player:\n") == ()


def test_the_defaults() -> None:
    (query,) = player("player: [{name: app}]\n")
    assert query == PlayerQuery(
        name="app",
        account="main",
        targets=(PlayerTarget("main", "app-1000000", "web"), PlayerTarget("main", "app-1000000", "mobile")),
        every=300,
        interval="5m",
        metrics=(
            "plays",
            "started_plays",
            "play_failure_ratio",
            "seed_failure_ratio",
            "first_frame_seconds",
            "stutter_play_ratio",
        ),
        compare=(DAY, 7 * DAY),
    )


def test_each_operating_system_is_a_target() -> None:
    (query,) = player(
        "player: [{name: app, terminal_type: mobile, os: [Android, iOS], compare: 14d, app_id: app-ab1}]\n"
    )
    assert query.targets == (
        PlayerTarget("main", "app-ab1", "mobile", "Android"),
        PlayerTarget("main", "app-ab1", "mobile", "iOS"),
    )
    assert query.compare == (14 * DAY,)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("name: a, terminal_type: native", "player[0].terminal_type: 'native' is not one of web, mobile"),
        ("name: a, os: [Windows]", "player[0].os[0]: 'Windows' is not an operating system of terminal type mobile"),
        ("name: a, os: Linux", "player[0].os: 'Linux' is not an operating system of terminal type mobile"),
        ("name: a, os: [android]", "player[0].os[0]: 'android' is not one of Android, iOS"),
        ("name: a, interval: 10m", "player[0].interval: '10m' is not one of 5m, 1h, 1d"),
        ("name: a, every: 10s", "player[0].every: '10s' must be between 1m and 1d"),
        ("name: a, compare: [36h]", "player[0].compare[0]: '36h' must be whole days"),
        ("name: a, compare: [40d]", "player[0].compare[0]: '40d' must be between 1d and 31d"),
        ("name: a, compare: [7d, 1w]", "player[0].compare[1]: '604800' is listed already"),
        ("name: a, metrics: [Vv]", "player[0].metrics[0]: 'Vv' is not one of plays, started_plays"),
        ("name: a, metrics: []", "player[0].metrics: needs at least one entry"),
        ("name: a, app_id: '1000000'", "player[0].app_id: must be the ID of an application"),
        ("name: a, account: other", "player[0].account: 'other' is not one of the accounts: main"),
        ("name: a, filters: x", "player[0].filters: "),
        ("terminal_type: web", "player[0].name: is required"),
        ("name: a}, {name: a, terminal_type: web, app_id: app-2", "player[1].name: 'a' is already player[0]"),
        (
            "name: a}, {name: b, account: main, terminal_type: web",
            "player[1]: web of this application is already in player[0]",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(entry: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        player(f"player: [{{{entry}}}]\n")
    assert problem in str(caught.value)
    assert "config.yaml:3:" in str(caught.value)


def test_the_same_target_of_two_accounts_is_two() -> None:
    accounts = "accounts: [{name: a}, {name: b}]\nqueries: [{name: q, media: all, account: a}]\n"
    assert len(player("player: [{name: x, account: a}, {name: y, account: b}]\n", accounts)) == 2


def test_what_it_costs() -> None:
    (query,) = player(
        "player: [{name: app, metrics: [plays, started_plays, stutters_per_100s, seek_seconds, viewers]}]\n"
    )
    # Two calls of at most three, and one for the viewers; for two targets.
    assert len(query.calls) == 3
    assert first_poll_calls(query) == 2 * 3 * 3
    # 288 polls, and half days of both ages twice.
    assert calls_per_day(query) == 2 * 3 * (288 + 2 * 4)
    assert series(query) == 2 * (5 * 3 + 4)
