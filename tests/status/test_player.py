"""Players on the page and in its JSON, and no trace of them without."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from exporter.core.player_buckets import PublishedBuckets
from exporter.core.player_query import PlayerQuery, PlayerTarget, PlayerView
from exporter.status.filters import Filters
from exporter.status.html_page import Pages
from exporter.status.languages import LANGUAGES
from exporter.status.responses import document
from exporter.status.summary import summarize
from tests.status.examples import NOW, observed

DAY = 86_400
TARGET = PlayerTarget("main", "app-1000000", "web")
QUERY = PlayerQuery("<app>", "main", (TARGET,), 300, "5m", ("plays",), (DAY, 7 * DAY))
VALUES = {
    0: {"plays": 321.0, "play_failure_ratio": 0.0123, "first_frame_seconds": 0.987},
    DAY: {"plays": 654.0},
    7 * DAY: {},
}
KNOWN = PlayerView(QUERY, TARGET, up=True, published=PublishedBuckets(int(NOW) - 1_500, VALUES), lag=900.0, revisions=2)
WAITING = PlayerView(
    QUERY,
    PlayerTarget("main", "app-1000000", "mobile", "iOS"),
    error="Forbidden.RAM: no <permission>",
    advice="Ask <her>.",
)


def page(*players: PlayerView, language: str = "en") -> str:
    view = summarize(replace(observed(), player=players), Filters())
    return Pages("/metrics").render(view, language).decode()


def test_the_json_has_each_target() -> None:
    view = summarize(replace(observed(), player=(KNOWN, WAITING)), Filters())
    known, waiting = json.loads(document(view))["player"]
    assert known == {
        "query": "<app>",
        "account": "main",
        "app_id": "app-1000000",
        "terminal_type": "web",
        "os": "all",
        "interval": "5m",
        "up": True,
        "error": "",
        "advice": "",
        "bucket": NOW - 1_500,
        "lag": 900,
        "revisions": 2,
        "plays": 321,
        "earlier": [{"ago": "1d", "plays": 654}, {"ago": "7d", "plays": None}],
        "play_failure_ratio": 0.0123,
        "first_frame_seconds": 0.987,
        "stutter_play_ratio": None,
    }
    assert (waiting["up"], waiting["error"], waiting["advice"], waiting["bucket"], waiting["os"]) == (
        False,
        "Forbidden.RAM: no <permission>",
        "Ask <her>.",
        None,
        "iOS",
    )


def test_the_page_shows_the_newest_bucket_and_what_is_not_known() -> None:
    html = page(KNOWN, WAITING)
    for text in (
        "Players (experimental)",
        "321",
        "654, 1d before",
        "1.2 %",
        "0.99 s",
        "<bdi>Forbidden.RAM</bdi>: <bdi>no &lt;permission&gt;</bdi>",
        "Ask &lt;her&gt;.",
    ):
        assert text in html
    assert "The service documents no delay" in html
    assert "none confirmed yet" in html


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_players_there_is_no_section_and_no_field(language: str) -> None:
    assert "layer" not in page(language=language).replace("display", "")
    assert "播放器" not in page(language=language)
    assert "player" not in json.loads(document(summarize(observed(), Filters())))


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        (
            "connect",
            "no response from h: the connection timed out",
            "Check the endpoint, name resolution, proxy and firewall.",
        ),
        (
            "calls_per_day",
            "account main: the calls left of calls_per_day (1 of 9) are kept for play data",
            "Raise limits.calls_per_day of the account, or poll players less often or with fewer targets.",
        ),
    ],
)
def test_errors_and_advice_of_the_exporter_are_chinese_on_the_chinese_page(
    code: str, message: str, advice: str
) -> None:
    failed = replace(WAITING, error=f"{code}: {message}", advice=advice)
    assert message in page(failed)
    html = page(failed, language="zh")
    assert code in html
    assert message not in html
    assert advice not in html


@pytest.mark.parametrize(
    ("language", "waiting", "down"),
    [("en", "waiting for the first poll", "no response"), ("zh", "等待首次轮询", "无响应")],
)
def test_a_target_before_its_first_poll_waits(language: str, waiting: str, down: str) -> None:
    first = page(replace(WAITING, error="", advice=""), language=language)
    assert waiting in first[first.index('id="player"') :]
    assert f"> {down}<" not in first
    assert f"> {down}<" in page(WAITING, language=language)


@pytest.mark.parametrize(("language", "shown"), [("en", "0.99 s"), ("zh", "0.99 秒")])
def test_the_unit_of_the_first_frame_is_in_the_language_of_the_page(language: str, shown: str) -> None:
    assert f">{shown}<" in page(KNOWN, language=language)


def test_a_message_of_the_service_stays_as_it_is_and_is_marked_as_english() -> None:
    assert '<bdi lang="en">no &lt;permission&gt;</bdi>' in page(WAITING, language="zh")
