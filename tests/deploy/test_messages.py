"""What groups of DingTalk, Feishu and WeCom receive from a real Alertmanager with the shipped templates."""

from __future__ import annotations

import json
import random
import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.deploy.promtool import newest
from tests.deploy.robots import ADDRESSES, TEMPLATES, Message, Robots, configuration, robots
from tests.deploy.robots import read as read_message
from tests.e2e.processes import Alertmanager, alertmanager, until

if TYPE_CHECKING:
    from collections.abc import Generator

LANGUAGES = ("en", "zh")
OVERVIEW = "https://vod.example.com/d/aliyun-vod-overview?var-account="
RUNBOOKS = "https://vod.example.com/docs/runbooks.md#"
RUNBOOKS_OF = {"en": RUNBOOKS, "zh": "https://vod.example.com/docs/zh-CN/runbooks.md#"}

Alert = dict[str, Any]


def drop(number: int, lost: int, title: str = "", *, gone: bool = False, account: str = "main") -> Alert:
    """An alert of a video, as the rules make it."""
    title = title or f"Media {number}"
    media_id = f"{number:032x}"
    return {
        "labels": {
            "alertname": f"AliyunVodMediaPlays{'Gone' if gone else 'Dropped'}",
            "severity": "critical" if gone else "warning",
            "account": account,
            "media_id": media_id,
            "title": title,
            "most": "Android",
            "peers": "97",
        },
        "annotations": {
            "summary": f"{title}: 3 plays on Sat 2026-11-28, about {lost + 3} expected (1 %)",
            "description": f"Account {account}; the median media of the account had 97 %; most lost on Android. Look.",
            "summary_zh": f"{title}：2026-11-28 播放 3 次，预期约 {lost + 3} 次（1%）",
            "description_zh": f"账号 {account}；账号的中位媒体为 97%；损失最多：Android。先看。",
            "dashboard_url": f"https://vod.example.com/d/aliyun-vod-media?var-account={account}&var-media={media_id}",
            "runbook_url": f"{RUNBOOKS}aliyunvodmediaplays{'gone' if gone else 'dropped'}",
            "lost_plays": str(lost),
        },
    }


def other(name: str, account: str = "main", **annotations: str) -> Alert:
    """An alert without a video."""
    severity = "critical" if name.startswith("Account") else "warning"
    return {
        "labels": {"alertname": f"AliyunVod{name}", "severity": severity, "account": account},
        "annotations": {
            "summary": f"{name} happened",
            "description": "Look there.",
            "summary_zh": f"发生了 {name}",
            "description_zh": "看那里。",
            "dashboard_url": f"{OVERVIEW}{account}",
            "runbook_url": f"{RUNBOOKS}aliyunvod{name.lower()}",
            **annotations,
        },
    }


def fire(server: Alertmanager, *alerts: Alert, ended: bool = False) -> None:
    """In the future: for an alert older than `group_wait`, Alertmanager does not wait for the others of its group."""
    now = datetime.now(UTC)
    starts = now - timedelta(hours=1) if ended else now + timedelta(minutes=1)
    ends = now + timedelta(minutes=-1 if ended else 60)
    server.tell([{**alert, "startsAt": starts.isoformat(), "endsAt": ends.isoformat()} for alert in alerts])


def numbered(message: Message) -> list[str]:
    """The alerts of a message, without links."""
    lines = (re.sub(r"\[(.+?)\]\(https?://\S+\)", r"\1", line) for line in message.lines)
    return [found[1] for line in lines if (found := re.match(r"\d+\. (.+)", line))]


@pytest.fixture(
    scope="module", params=[(robot, language) for robot in ADDRESSES for language in LANGUAGES], ids="-".join
)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[str, str, Robots, Alertmanager]]:
    robot, language = request.param
    folder = tmp_path_factory.mktemp(f"{robot}-{language}")
    program = newest("prometheus-alertmanager", "0.32")
    with (
        robots() as groups,
        alertmanager(folder, configuration(folder, groups, robot, language), program) as server,
    ):
        yield robot, language, groups, server


def about(groups: Robots, account: str) -> list[Message]:
    return [message for message in groups.shown if message.lines[0] == f"**VOD {account}**"]


def test_twenty_drops_are_one_message_by_lost_plays_that_says_how_many_are_not_shown(
    running: tuple[str, str, Robots, Alertmanager],
) -> None:
    robot, language, groups, server = running
    losses = [9, 10, 99, 100, 1000, 25000, *range(2000, 16000, 1000)]
    alerts = [drop(number, lost, gone=number in (4, 11)) for number, lost in enumerate(losses, 1)]
    random.Random(robot).shuffle(alerts)  # noqa: S311 - an order
    fire(server, other("MediaDropsMany", dropped_media="38"), *alerts)
    until(lambda: groups.shown or groups.refused, "the message")
    assert groups.refused == []
    (message,) = groups.shown

    order = sorted(alerts, key=lambda alert: -int(alert["annotations"]["lost_plays"]))
    summaries = [alert["annotations"]["summary" if language == "en" else "summary_zh"] for alert in order]
    most = "; most lost on Android" if language == "en" else "；损失最多：Android"
    marks = ["🔴 " if alert["labels"]["severity"] == "critical" else "" for alert in order]
    assert numbered(message) == [f"{mark}{text}{most}" for mark, text in zip(marks, summaries, strict=True)]

    hidden, median, overview = {
        "en": ("Dropped media not shown: 18.", "had 97 %", "[All media, sorted by lost plays]"),
        "zh": ("另有 18 个掉量的媒体未显示。", "为预期的 97%", "[全部媒体，按损失的播放数排序]"),
    }[language]
    assert hidden in message.lines
    assert median in message.text
    assert f"{overview}({OVERVIEW}main)" in message.lines
    assert [found for found in re.findall(r"\((\S+)\)", message.text) if "runbooks" in found] == [
        f"{RUNBOOKS_OF[language]}aliyunvodmedia{name}" for name in ("dropsmany", "playsdropped", "playsgone")
    ]
    title = {"en": "VOD main 38 media dropped", "zh": "VOD main 38 个媒体掉量"}[language]
    assert message.title == ("" if robot == "wecom" else title)
    assert message.everybody is (robot != "wecom"), "two of them are gone"
    assert message.color == ("red" if robot == "feishu" else "")

    # The same alerts again, as Prometheus sends them all day, and their end.
    fire(server, *alerts)
    fire(server, *alerts, ended=True)
    until(lambda: not server.alerts('account="main"', 'alertname="AliyunVodMediaPlaysDropped"'), "the end of the day")
    fire(server, other("AccountShareDropped", account="last"))
    until(lambda: about(groups, "last"), "another message")
    assert about(groups, "main") == [message]


# A title, and how a message shows it.
HOSTILE = {
    "### heading": "### heading",
    "- item": "- item",
    "key: value": "key: value",
    "true": "true",
    "3": "3",
    '{{ .Status }} {{ template "x" }}': '{{ .Status }} {{ template "x" }}',
    "<at id=all></at><@all>": "at id=all /at @all",
    "[x](http://example.com) ![y](z)": "x (http://example.com) ! y (z)",
    'a "quoted" \\ title': 'a "quoted" \\ title',
    "line\nbreak: \t\x07\u2028next\x85line": "line break: next line",
    "\u202edrawkcab\u2066 \U0001f468\u200d\U0001f469": "drawkcab \U0001f468\u200d\U0001f469",
    "**bold** `code` ~~gone~~ & more": "bold code ~~gone~~ more",
    "播" * 128: "播" * 128,
    "#1 hit": "#1 hit",
}


def test_whatever_a_title_contains_it_is_text(running: tuple[str, str, Robots, Alertmanager]) -> None:
    robot, language, groups, server = running
    groups.requests.clear()
    before = len(groups.shown)
    fire(server, *(drop(number, 50, title, account=f"a{number}") for number, title in enumerate(HOSTILE)))
    until(lambda: len(groups.shown) + len(groups.refused) == before + len(HOSTILE), "all messages")
    assert groups.refused == []
    for number, shown in enumerate(HOSTILE.values()):
        (message,) = about(groups, f"a{number}")
        assert not message.everybody
        (text,) = numbered(message)
        assert text.startswith(shown.rstrip()), text
        assert "<" not in message.text
        # The median, what to do, the media and the runbook.
        assert ("97 %" if language == "en" else "97%") in message.text
        assert f"({drop(number, 50, account=f'a{number}')['annotations']['dashboard_url']})" in message.text
        assert f"({RUNBOOKS_OF[language]}aliyunvodmediaplaysdropped)" in message.text
        if robot != "wecom":
            assert message.title.startswith(f"VOD a{number} ")
            assert not re.search("[\x80-\x9f\u2028-\u202e\u2066-\u2069]", message.title)


def test_what_concerns_the_exporter_recovers(running: tuple[str, str, Robots, Alertmanager]) -> None:
    robot, language, groups, server = running
    groups.requests.clear()
    late = other("DayNotSettled", account="late")
    fire(server, late)
    until(lambda: about(groups, "late"), "the alert")
    fire(server, late, ended=True)
    until(lambda: len(about(groups, "late")) == 2, "the end")
    assert groups.refused == []
    first, second = about(groups, "late")
    texts = {
        "en": ("DayNotSettled happened", "Look there.", "Resolved"),
        "zh": ("发生了 DayNotSettled", "看那里。", "已恢复"),
    }
    summary, description, resolved = texts[language]
    assert numbered(first) == [summary]
    assert description in first.lines
    assert second.lines == ["**VOD late**", f"**{resolved}**", f"- {summary}"]
    assert first.title == ("" if robot == "wecom" else f"VOD late {summary}")
    assert [first.color, second.color] == (["orange", "green"] if robot == "feishu" else ["", ""])


def render(template: str, *alerts: Alert, account: str = "main") -> str:
    """A text of the templates."""
    full = [{"status": "firing", "fingerprint": f"{number:016x}", **alert} for number, alert in enumerate(alerts)]
    data = {"status": "firing", "groupLabels": {"account": account}, "alerts": full}
    text = f'{{{{ template "aliyun-vod.{template}" . }}}}'
    argv = [f"--template.glob={TEMPLATES}", f"--template.text={text}", "--template.data=/dev/stdin"]
    ran = subprocess.run(
        [newest("amtool", "0.32"), "template", "render", *argv],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.removesuffix("\n")


def test_a_text_of_a_few_alerts_says_what_to_do_and_accounts_come_first() -> None:
    gone, sinking = drop(1, 1177, "Spring gala", gone=True), other("AccountPlaysSinking")
    assert render("wecom", gone, sinking).split("\n") == [
        "**VOD main**",
        f"1. 🔴 [AccountPlaysSinking happened]({OVERVIEW}main)",
        "Look there.",
        f"2. 🔴 [{gone['annotations']['summary']}]({gone['annotations']['dashboard_url']})",
        "Account main; the median media of the account had 97 %; most lost on Android. Look.",
        f"[Runbook AccountPlaysSinking]({RUNBOOKS}aliyunvodaccountplayssinking)",
        f"[Runbook MediaPlaysGone]({RUNBOOKS}aliyunvodmediaplaysgone)",
    ]


def test_what_has_no_account_is_of_the_exporter_that_its_text_names() -> None:
    down = other("ExporterDown", summary="The exporter at e:9985 does not answer Prometheus", dashboard_url="")
    assert render("title", down, account="") == "VOD The exporter at e:9985 does not answer Prometheus"
    assert render("wecom.zh", down, account="").split("\n") == [
        "**VOD**",
        "1. 发生了 ExporterDown",
        "看那里。",
        f"[处理办法 ExporterDown]({RUNBOOKS_OF['zh']}aliyunvodexporterdown)",
    ]


def test_a_mail_has_the_same_lines() -> None:
    lines = render("mail.zh", *(drop(number, number) for number in range(1, 5))).split("\n")
    assert lines[:3] == [
        "**VOD main**",
        "1. Media 4：2026-11-28 播放 3 次，预期约 7 次（1%）；损失最多：Android",
        f"   https://vod.example.com/d/aliyun-vod-media?var-account=main&var-media={4:032x}",
    ]
    assert lines[-1] == f"   {RUNBOOKS_OF['zh']}aliyunvodmediaplaysdropped"


def test_more_than_twenty_alerts_and_long_titles_are_counted() -> None:
    shares = [other("MediaShareDropped") for _ in range(5)]
    short = render("dingtalk", *(drop(number, number) for number in range(1, 20)), *shares)
    assert "Alerts not shown: 4.  " in short.split("\n")
    assert "media not shown" not in short
    long = render("wecom", *(drop(number, number, "播" * 128) for number in range(1, 21)), *shares)
    count = len(re.findall(r"^\d+\. ", long, re.MULTILINE))
    assert 5 < count < 20
    assert f"\nDropped media not shown: {20 - count}.\nAlerts not shown: 5.\n" in long


def _alerts() -> st.SearchStrategy[Alert]:
    text = st.text(max_size=128)
    drops = st.builds(
        drop,
        st.integers(1, 10**6),
        st.integers(0, 10**9),
        st.one_of(text, st.sampled_from(list(HOSTILE))),
        gone=st.booleans(),
    )
    names = st.sampled_from(["MediaDropsMany", "MediaShareDropped", "AccountShareDropped", "QueryFailing", "(["])
    others = st.builds(
        other, names, summary=st.text(max_size=3000), dropped_media=st.sampled_from(["", "21", "5000", "x"])
    )
    foreign = st.builds(
        lambda name, notes: {"labels": {"alertname": name}, "annotations": notes},
        text,
        st.dictionaries(
            st.sampled_from(["summary", "dashboard_url", "runbook_url", "lost_plays"]), st.text(max_size=5000)
        ),
    )
    return st.one_of(drops, drops, others, foreign)


LONG = [drop(number, number, "播" * (20 + 2 * number), gone=number % 2 == 0) for number in range(1, 26)]
QUOTED = [drop(number, number, '"\\' * 64) for number in range(1, 26)]


@settings(max_examples=30)
@given(
    alerts=st.one_of(
        st.lists(_alerts(), min_size=1, max_size=45),
        st.lists(st.builds(drop, st.integers(1, 99), st.integers(0, 10**9), st.text(min_size=50)), min_size=15),
    ),
    account=st.text(min_size=1, max_size=70),
    suffix=st.sampled_from(["", ".zh"]),
)
@example(LONG, "main", "")
@example(LONG, "main", ".zh")
@example(LONG[:12], "main", ".zh")
@example(QUOTED, "main", "")
@example([other("DayNotSettled", summary="播" * number) for number in range(700, 1700, 250)], "播" * 70, ".zh")
@example(
    [other("QueryFailing", summary="s", runbook_url=f"https://e/{number * 'r'}") for number in range(900)], "a", ""
)
def test_every_message_is_within_the_limits_of_its_robot(alerts: list[Alert], account: str, suffix: str) -> None:
    title = render(f"title{suffix}", *alerts, account=account)
    assert isinstance(yaml_or_text(title), str)
    for robot in ADDRESSES:
        text = render(f"{robot}{suffix}", *alerts, account=account)
        assert isinstance(yaml_or_text(text), str), "Alertmanager would send something else than text"
        bodies: dict[str, dict[str, Any]] = {
            "dingtalk": {"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": {"isAtAll": True}},
            "wecom": {"msgtype": "markdown", "markdown": {"content": text}},
            "feishu": {
                "msg_type": "interactive",
                "card": {
                    "config": {"wide_screen_mode": True},
                    "header": {"title": {"tag": "plain_text", "content": title}, "template": "red"},
                    "elements": [{"tag": "markdown", "content": text}],
                },
            },
        }
        read_message(robot, go_json(bodies[robot]))


def yaml_or_text(text: str) -> object:
    """What Alertmanager makes of a rendered text."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def go_json(document: object) -> bytes:
    """JSON as Go writes it: no characters but <, >, & and line separators are escaped beyond what JSON requires."""
    text = json.dumps(document, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text).encode()
