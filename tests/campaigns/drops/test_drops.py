from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from exporter.core.expectation import expected_plays
from exporter.core.model import Dimensions
from exporter.simulator.generated_media import most_played
from exporter.simulator.incidents import Incident, collapse
from tests.campaigns.drops import page
from tests.campaigns.drops.__main__ import main, scored_by
from tests.campaigns.drops.accounts import FILTERS, Account, account_wide, healthy, of_media
from tests.campaigns.drops.cost import Cost
from tests.campaigns.drops.evaluation import Alert, evaluate
from tests.campaigns.drops.scoring import Score, names, score
from tests.deploy.promtool import RULES, newest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MEDIA: Final = 60
START: Final = date(2026, 3, 2)
ANDROID: Final = Dimensions(os="Android")
ONE_OF_EACH: Final = (
    account_wide("os", 1, -0.95, ANDROID, media=MEDIA),
    account_wide("terminal", 2, -0.95, Dimensions("Web"), media=MEDIA),
    account_wide("region", 3, -0.95, Dimensions(region="cn-shanghai"), media=MEDIA),
    account_wide("account", 4, -0.4, media=MEDIA),
    of_media("removal", 5, -1.0, media=MEDIA, count=1),
    of_media("media", 6, -0.85, media=MEDIA, count=1),
    Account("collapse", 0, MEDIA, START, 6, incidents=(collapse(0, START + timedelta(days=3)),)),
)


def evaluated(accounts: Sequence[Account], folder: Path) -> dict[str, list[set[Alert]]]:
    return evaluate(accounts, folder, newest("promtool", "3"))


def test_an_incident_of_each_kind_is_found_on_its_first_settled_day(tmp_path: Path) -> None:
    firing = evaluated(ONE_OF_EACH, tmp_path)
    for account in ONE_OF_EACH:
        found = score(account, firing[account.name])
        assert (found.incidents, found.first_day) == (1, 1), (account.name, firing[account.name])
        assert found.false == 0, (account.name, firing[account.name])


@pytest.mark.parametrize("seed", [0, 7])
def test_a_healthy_fortnight_has_no_alert(seed: int, tmp_path: Path) -> None:
    account = healthy(seed, media=MEDIA, days=14)
    assert evaluated([account], tmp_path)[account.name][account.warm_up :] == [set()] * 14


def test_expected_plays_are_of_days_before_and_media_without_plays_are_shown_while_some_are_expected() -> None:
    removed = of_media("removal", 5, -1.0, media=MEDIA, count=1)
    (incident,) = removed.incidents
    day = (incident.first - removed.first).days
    without = replace(removed, incidents=())

    def line(account: Account) -> list[tuple[int | None, float | None]]:
        settled = account.settled()
        (found,) = (
            line for dimensions, media_id, line in settled if (dimensions, media_id) == (FILTERS[0], incident.media_id)
        )
        return [(each.plays, each.expected) for each in found]

    usual, lost = line(without), line(removed)
    assert lost[:day] == usual[:day]
    plays, expected = lost[day]
    assert (plays, expected) == (0, usual[day][1])
    assert expected
    assert expected > 50
    assert lost[day + 2] == (None, None)


def incident(kind: str, **filters: Any) -> Incident:
    return replace(Incident(kind, -0.9, START + timedelta(days=2)), **filters)


def of(*incidents: Incident) -> Account:
    return Account("a", 0, 5, START, 5, warm_up=1, incidents=incidents)


@pytest.mark.parametrize(
    ("alert", "what", "expected"),
    [
        (Alert("MediaPlaysGone", "m"), incident("removal", media_id="m"), True),
        (Alert("MediaPlaysGone", "n"), incident("removal", media_id="m"), False),
        (Alert("AccountPlaysDropped"), incident("removal", media_id="m"), False),
        (Alert("AccountPlaysDropped"), incident("account"), True),
        (Alert("AccountShareDropped", "", "all", "iOS", "all"), incident("account"), False),
        (Alert("AccountShareDropped", "", "all", "iOS", "all"), incident("os", os="iOS"), True),
        (Alert("AccountShareDropped", "", "all", "Android", "all"), incident("os", os="iOS"), False),
        (Alert("AccountPlaysDropped"), incident("os", os="iOS"), False),
        (Alert("MediaShareDropped", "m", "all", "iOS", "all"), incident("os", os="iOS"), False),
        (Alert("AccountShareDropped", "", "Web", "all", "all"), incident("terminal", terminal_type="Web"), True),
        (Alert("AccountShareDropped", "", "all", "all", "r"), incident("region", region="r"), True),
    ],
)
def test_an_alert_finds_an_incident_if_it_names_what_is_broken(alert: Alert, what: Incident, *, expected: bool) -> None:
    assert names(alert, what) == expected


GONE: Final = Alert("MediaPlaysGone", "m")
OTHER: Final = Alert("MediaPlaysGone", "n")


@pytest.mark.parametrize(
    ("firing", "expected"),
    [
        ([set(), set(), {GONE}, {GONE}, set()], Score(1, 1, 1, 0, 1, 0, 4)),
        ([set(), set(), set(), {GONE}, set()], Score(1, 1, 0, 1, 0, 0, 4)),
        ([set(), set(), set(), set(), set()], Score(1, 0, 0, 0, 0, 0, 4)),
        ([{OTHER}, {OTHER}, {OTHER, GONE}, {GONE}, {OTHER}], Score(1, 1, 1, 0, 1, 1, 4)),
        ([set(), {OTHER}, {GONE}, set(), {GONE}], Score(1, 1, 1, 0, 1, 1, 4)),
    ],
)
def test_alerts_about_one_video_are_scored(firing: list[set[Alert]], expected: Score) -> None:
    assert score(of(incident("removal", media_id="m")), firing) == expected


def test_an_account_that_loses_a_large_media_may_alert_too_but_on_that_day_only() -> None:
    drop = Alert("AccountPlaysDropped")
    removal = of(incident("removal", media_id="m"))
    assert score(removal, [set(), set(), {GONE, drop}, set(), {drop}]) == Score(1, 1, 1, 0, 2, 1, 4)


def test_after_an_incident_of_the_whole_account_nothing_is_false() -> None:
    drop = Alert("AccountPlaysDropped")
    assert score(of(incident("account")), [set(), {OTHER}, {drop, GONE}, {OTHER}, {drop}]) == Score(1, 1, 1, 0, 2, 1, 1)


def test_precision_weighs_false_alerts_by_how_often_there_is_an_incident() -> None:
    assert Score(incidents=10, found=5, false=1, days=60).precision(30) == pytest.approx(0.5)
    assert Score().precision(30) == 1


def test_the_most_played_media_is_one_of_the_account_that_collapses() -> None:
    assert {each.media_id for each in ONE_OF_EACH[-1].incidents} == {most_played(0)}


def test_only_the_measured_sections_of_the_page_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "page.md"
    copy.write_text(page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", copy)
    before = copy.read_text(encoding="utf-8")
    table = page.cost({100: (Cost(0.01, 0), Cost(0.02, 1))})
    page.write({"cost": table})
    after = copy.read_text(encoding="utf-8")
    assert f"<!-- make drops: cost -->\n{table}\n<!-- end of cost -->" in after
    begin, end = (after.index(mark) for mark in ("<!-- make drops: cost -->", "<!-- end of cost -->"))
    assert before.startswith(after[:begin])
    assert before.endswith(after[end:])
    with pytest.raises(ValueError, match="has no <!-- make drops: speed -->"):
        page.write({"speed": table})


def test_a_scoring_program_gets_the_shipped_rules_and_the_formula(tmp_path: Path) -> None:
    tool = tmp_path / "score.py"
    tool.write_text(
        "import importlib, os, sys\n"
        "module, function = sys.argv[sys.argv.index('--expected') + 1].split(':')\n"
        "sys.path.insert(0, os.getcwd())\n"
        "formula = getattr(importlib.import_module(module), function)\n"
        "alerts, incidents = open(sys.argv[1]).read().count('alert: AliyunVod'), '--natural' not in sys.argv\n"
        "print(alerts, formula({2: 5, 8: 4, 9: 4}), incidents, sys.argv[1])\n"
    )
    shipped = sum(file.read_text(encoding="utf-8").count("alert: AliyunVod") for file in RULES)
    alerts, expected, incidents, *_ = scored_by(tool).split()
    assert (int(alerts), float(expected), incidents) == (shipped, expected_plays({2: 5, 8: 4, 9: 4}), "True")
    tool.write_text("raise SystemExit('no data here')")
    with pytest.raises(SystemExit, match=r"score\.py: no data here"):
        scored_by(tool)


def test_without_promtool_the_benchmark_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert main([]) == 2
    assert "drops: needs promtool" in capsys.readouterr().err


def test_the_table_has_a_row_for_each_kind_and_the_false_alerts_of_all_healthy_days() -> None:
    table = page.accuracy(
        {"none": Score(days=90, false=2), page.LARGE: Score(days=70, false=1), "iOS gone": Score(4, 3, 2, 1, 8, 1, 10)}
    )
    assert table.splitlines()[2:] == [
        "| iOS gone | 4 | 50 % | 75 % | 0.3 d | 2.0 | 45 % |",
        "",
        "False alerts on 100 healthy days of accounts: 3, 0.030 a day; on 70 days of accounts of 1,000 media: 1.",
    ]
