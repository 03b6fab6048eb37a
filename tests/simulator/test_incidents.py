from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.model import Dimensions
from exporter.simulator.calendar import start_of_day
from exporter.simulator.dataset import Dataset
from exporter.simulator.generated_media import EXAMPLE_MEDIA_ID, most_played
from exporter.simulator.incidents import Incident, collapse, last_settled_days_ago, parse_incident
from exporter.simulator.popularity import played_before

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = date(2026, 3, 16)
NOON = start_of_day(DAY) + 12 * 3600
HOUR = 3600.0
ALL = Dimensions()
IOS = Dimensions(os="iOS")
SHANGHAI = Dimensions(region="cn-shanghai")


def parsed(text: str) -> Incident:
    return parse_incident(text, seed=0, now=NOON)


def plays(dataset: Dataset, what: Dimensions, day: date = DAY, only: Callable[[str], bool] = bool) -> int:
    """The final plays of a day, of all media or of those."""
    result = dataset.result_set(day, what, now=start_of_day(day) + 40 * HOUR)
    return sum(counts.plays for counts in result if only(counts.media.media_id))


def ratio(text: str, what: Dimensions, only: Callable[[str], bool] = bool) -> float:
    """The plays of the day of an incident, as a share of those without it."""
    return plays(Dataset(media=80, incidents=(parsed(text),)), what, only=only) / plays(
        Dataset(media=80), what, only=only
    )


@pytest.mark.parametrize(
    ("text", "lost", "kept", "left"),
    [
        ("os:iOS@0", IOS, Dimensions(os="Android"), 0.05),
        ("os:iOS:-40%@0", IOS, Dimensions(os="Windows"), 0.6),
        ("terminal:Native@0", Dimensions("Native"), Dimensions("Web"), 0.05),
        ("region:cn-shanghai:-90%@0", SHANGHAI, Dimensions(region="eu-central-1"), 0.1),
    ],
)
def test_only_the_plays_of_the_filter_are_lost(text: str, lost: Dimensions, kept: Dimensions, left: float) -> None:
    assert ratio(text, lost) == pytest.approx(left, abs=0.01)
    assert ratio(text, kept) == pytest.approx(1, abs=1e-3)
    everything, part = plays(Dataset(media=80), ALL), plays(Dataset(media=80), lost)
    assert ratio(text, ALL) == pytest.approx(1 - part / everything * (1 - left), abs=0.01)


@pytest.mark.parametrize("what", [ALL, IOS, SHANGHAI])
@pytest.mark.parametrize(("text", "left"), [("account@0", 0.7), ("account:-12.5%@0", 0.875), ("account:+40%@0", 1.4)])
def test_all_media_of_the_account_lose_or_gain_by_the_same_factor(text: str, left: float, what: Dimensions) -> None:
    assert ratio(text, what) == pytest.approx(left, abs=0.01)


@pytest.mark.parametrize(
    ("text", "media_id", "left"),
    [
        ("removal@0", most_played(0), 0),
        (f"removal:{EXAMPLE_MEDIA_ID}@0", EXAMPLE_MEDIA_ID, 0),
        ("media@0", most_played(0), 0.2),
        (f"media:{EXAMPLE_MEDIA_ID}:-60%@0", EXAMPLE_MEDIA_ID, 0.4),
        ("collapse@0", most_played(0), 0.1),
    ],
)
def test_one_media_loses_plays_and_no_other(text: str, media_id: str, left: float) -> None:
    assert ratio(text, ALL, media_id.__eq__) == pytest.approx(left, abs=0.02)
    assert ratio(text, ALL, media_id.__ne__) == 1


def test_a_collapse_leaves_the_web() -> None:
    assert ratio("collapse@0", Dimensions("Native"), most_played(0).__eq__) == pytest.approx(0.05, abs=0.01)
    assert ratio("collapse@0", Dimensions("Web"), most_played(0).__eq__) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("text", ["account:-50%@0T20:00", "player:-50%@0T20:00", "account:-50%@1T20:00..0T00:00"])
def test_an_incident_of_some_hours_takes_their_part_of_the_day(text: str) -> None:
    evening = 1 - played_before(20 * 3600)
    assert 0.2 < evening < 0.4
    assert ratio(text, ALL) == pytest.approx(1 - 0.5 * evening if "@0" in text else 1, abs=0.005)


def test_parts_of_a_day_that_follow_each_other_are_the_day() -> None:
    parts = (parsed("account:-50%@0T00:00..0T09:10"), parsed("account:-50%@0T09:10"))
    both = plays(Dataset(media=80, incidents=parts), ALL) / plays(Dataset(media=80), ALL)
    first = 0.5 * played_before(9 * 3600 + 600)
    assert both == pytest.approx((1 - first) * (1 - (0.5 - first)), abs=0.005)


def test_slow_players_lose_no_plays() -> None:
    assert ratio("first-frame:+300%@0", ALL) == 1


def test_a_player_is_of_a_terminal_type_or_an_os() -> None:
    assert ratio("player:Android@0", Dimensions(os="Android")) == pytest.approx(0.1, abs=0.01)
    assert ratio("player:Android@0", IOS) == pytest.approx(1, abs=1e-3)
    assert ratio("player:Web@0", Dimensions("Native")) == pytest.approx(1, abs=1e-3)


def test_incidents_on_the_same_plays_are_multiplied() -> None:
    both = Dataset(media=80, incidents=(parsed("account:-50%@0"), parsed("region:cn-shanghai:-50%@0")))
    assert plays(both, SHANGHAI) / plays(Dataset(media=80), SHANGHAI) == pytest.approx(0.25, abs=0.01)


@given(st.sampled_from(["os:Android@3..1", "region:cn-beijing@3..1", "account:-70%@3..1", "removal@3..1"]))
def test_parts_still_add_up_and_other_days_are_unchanged(text: str) -> None:
    usual, dataset = Dataset(media=30), Dataset(media=30, incidents=(parsed(text),))
    for ago in (5, 4, 3, 2, 1, 0):
        day = DAY - timedelta(days=ago)
        whole = plays(dataset, ALL, day)
        assert sum(plays(dataset, Dimensions(terminal_type=each), day) for each in ("Native", "Web")) == whole
        assert (whole == plays(usual, ALL, day)) == (ago not in {3, 2, 1})


def test_without_an_end_an_incident_continues() -> None:
    dataset = Dataset(media=30, incidents=(parsed("account@3"),))
    after = DAY + timedelta(days=60)
    assert plays(dataset, ALL, after) < 0.75 * plays(Dataset(media=30), ALL, after)


@pytest.mark.parametrize(("hour", "ago"), [(0, 2), (8.99, 2), (9, 1), (23.9, 1)])
def test_the_last_settled_day_is_yesterday_from_nine_on(hour: float, ago: int) -> None:
    now = start_of_day(DAY) + hour * HOUR
    assert last_settled_days_ago(now) == ago
    assert parse_incident("collapse@settled", seed=0, now=now) == collapse(0, DAY - timedelta(days=ago))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not KIND[:VALUE][:CHANGE]@DAYS_AGO[Thh:mm][..DAYS_AGO[Thh:mm]]; examples: os:Android@1"),
        ("os:iOS", "it is not KIND"),
        ("@1", "'' is not one of os, terminal, region, account, media, removal, collapse"),
        ("OS:iOS@1", "'OS' is not one of os,"),
        ("os@1", "'' is not one of Android, iOS, Windows, macOS, Linux"),
        ("os:android@1", "'android' is not one of Android, iOS"),
        ("os:iOS:Android@1", "'iOS:Android' is not one of Android, iOS"),
        ("terminal:App@1", "'App' is not one of Native, Web"),
        ("region:cn-hangzhou@1", "'cn-hangzhou' is not one of cn-beijing,"),
        ("account:main@1", "account has no value 'main'; a change is written as in -30%"),
        ("account:30%@1", "the change '30%' is not from -100% to +900% with its sign"),
        ("account:-0%@1", "the change '-0%' is not from"),
        ("account:-101%@1", "the change '-101%' is not from"),
        ("account:+901%@1", "the change '+901%' is not from"),
        ("account:-٣٠%@1", "is not from -100%"),
        ("removal:-50%@1", "removal has no change; use media:-50%"),
        ("collapse:-50%@1", "collapse has no change"),
        ("removal:hero@1", "'hero' is not the ID of a video, 32 hexadecimal digits"),
        ("os:iOS@31", "'31' is neither a number of days ago, 0 to 30, nor settled"),
        ("os:iOS@-1", "'-1' is neither"),
        ("os:iOS@²", "'²' is neither"),
        ("os:iOS@", "'' is neither"),
        ("os:iOS@1..", "'' is neither"),
        ("os:iOS@1T24:00", "'24:00' is not a time of UTC+8 from 00:00 to 23:59"),
        ("os:iOS@1T", "'' is not a time"),
        ("os:iOS@1T12:00..1T12:00", "it ends before it begins"),
        ("player:App@1", "'App' is not one of Native, Web, Android, iOS, Windows, macOS, Linux"),
        ("os:iOS@1..3", "it ends before it begins; write the earlier day first, as in @3..2"),
    ],
)
def test_an_invalid_incident_is_rejected_with_the_allowed_values(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parsed(text)
    assert str(raised.value).startswith(repr(text))
    assert message in str(raised.value)


def test_a_media_that_the_account_does_not_have_is_rejected() -> None:
    unknown = 32 * "a"
    with pytest.raises(ValueError, match=f"incident 'removal': the account has no video {unknown}"):
        Dataset(media=5, incidents=(parsed(f"removal:{unknown}@1"),))


@given(st.text(max_size=30))
def test_any_other_text_is_a_value_error(text: str) -> None:
    try:
        incident = parsed(text)
    except ValueError:
        return
    assert -1 <= incident.change <= 9
