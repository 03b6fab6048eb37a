"""Alertmanager's configuration: routing and inhibition, checked with amtool and a real Alertmanager."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from exporter.documents.durations import parse
from tests.e2e.processes import Alertmanager, Webhook, alertmanager, until, webhook
from tests.e2e.shipped import ALERTMANAGER, DEPLOY, PROMETHEUS, RULES, alertmanager_of, read

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

OVERALL = {"media_id": "m", "terminal_type": "all", "os": "all", "region": "all"}
ANDROID = {**OVERALL, "os": "Android"}
IOS = {**OVERALL, "os": "iOS"}
DINGTALK = DEPLOY / "alertmanager" / "dingtalk"
# "description: body 大小不合法;solution:请保持大小在 20000bytes 以内;" (DingTalk's own error).
LONGEST_MESSAGE = 20_000

Labels = dict[str, str]


def amtool(*argv: str) -> str:
    ran = subprocess.run(["amtool", *argv], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def alert_rules() -> list[dict[str, Any]]:
    """Every alert of the rules; two may have one name, and labels that tell them apart."""
    return [
        rule
        for file in sorted(RULES.glob("*.yml"))
        for group in read(file)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


def shipped_alerts() -> set[str]:
    """Their names."""
    return {rule["alert"] for rule in alert_rules()}


def named(matcher: str) -> re.Pattern[str]:
    """What a matcher such as alertname=~"A|B" asks of the alert's name."""
    found = re.fullmatch(r'alertname(=~?)"(.+)"', matcher)
    assert found, matcher
    return re.compile(found[2] if found[1] == "=~" else re.escape(found[2]))


@pytest.mark.tool("amtool")
def test_amtool_accepts_it() -> None:
    assert "SUCCESS" in amtool("check-config", str(ALERTMANAGER))


@pytest.mark.tool("amtool")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=AliyunVodMediaPlaysGone", "account=main", "severity=critical"], "drops-critical"),
        (["alertname=AliyunVodAccountShareDropped", "account=main", "severity=critical"], "drops-critical"),
        (["alertname=AliyunVodExporterDown", "severity=critical"], "critical"),
        (["alertname=AliyunVodExporterDown", "severity=warning"], "warning"),
        (["alertname=AliyunVodMediaPlaysDropped", "account=main", "severity=warning"], "drops"),
        (["alertname=AliyunVodDayNotSettled", "account=main", "severity=warning"], "warning"),
        (["alertname=SomebodyElses", "severity=page"], "warning"),
        (["alertname=WithoutSeverity"], "warning"),
    ],
)
def test_the_severity_decides_the_receiver(labels: list[str], receiver: str) -> None:
    assert amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels).split() == [receiver]


def test_critical_alerts_are_mailed_too_and_only_what_may_end_is_resolved() -> None:
    receivers = {receiver["name"]: receiver for receiver in read(ALERTMANAGER)["receivers"]}
    assert {name for name, receiver in receivers.items() if "email_configs" in receiver} == {
        "critical",
        "drops-critical",
    }
    for name, receiver in receivers.items():
        hooks = [hook.get("send_resolved", True) for hook in receiver["webhook_configs"]]
        mails = [mail.get("send_resolved", False) for mail in receiver.get("email_configs", [])]
        assert {*hooks, *mails} == {not name.startswith("drops")}


def test_a_settled_day_is_told_once() -> None:
    """Neither for what settles a moment later nor because it still is so; Alertmanager remembers 5 days."""
    drops = [route for route in read(ALERTMANAGER)["route"]["routes"] if route["receiver"].startswith("drops")]
    assert len(drops) == 2
    for route in drops:
        assert parse(route["group_interval"]) == 3600
        assert parse("2d") < parse(route["repeat_interval"]) < parse("5d")
    about_plays = {name for name in shipped_alerts() if re.search("Plays|Share|Viewers|WatchTime|DropsMany", name)}
    pattern = named(drops[0]["matchers"][0])
    assert {name for name in shipped_alerts() if pattern.fullmatch(name)} == about_plays


def test_one_cause_is_waited_for_longer_than_an_evaluation_takes() -> None:
    prometheus, route = read(PROMETHEUS)["global"], read(ALERTMANAGER)["route"]
    assert parse(route["group_wait"]) > parse(prometheus["evaluation_interval"])
    assert all("group_wait" not in child for child in route["routes"])


def test_the_configuration_contains_no_secret() -> None:
    secrets = re.findall(
        r"^\s*(?!#)\S*(?:password|secret|token|credentials)\w*:.*", ALERTMANAGER.read_text(), re.MULTILINE
    )
    assert [secret.split(":")[0].strip() for secret in secrets] == ["smtp_auth_password_file"]


def test_every_named_alert_is_shipped() -> None:
    alerts = shipped_alerts()
    assert alerts
    for rule in read(ALERTMANAGER)["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            pattern = named(rule[side][0])
            assert any(pattern.fullmatch(name) for name in alerts), f"{pattern.pattern} fits no alert"


def test_nothing_mutes_a_drop() -> None:
    drops = {name for name in shipped_alerts() if re.fullmatch("AliyunVod(Account|Media).+", name)}
    assert len(drops) == 9
    for rule in read(ALERTMANAGER)["inhibit_rules"]:
        assert not any(named(rule["target_matchers"][0]).fullmatch(name) for name in drops)


@pytest.fixture(scope="module")
def hook() -> Generator[Webhook]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, hook: Webhook) -> Generator[Alertmanager]:
    configuration = alertmanager_of(hook.url, group_wait="1s", group_interval="1s")
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), configuration) as running:
        yield running


def fire(server: Alertmanager, *alerts: Labels, for_: timedelta = timedelta(hours=1)) -> None:
    now = datetime.now(UTC)
    times = {"startsAt": (now - timedelta(minutes=1)).isoformat(), "endsAt": (now + for_).isoformat()}
    server.tell([{"labels": labels, "annotations": {}, **times} for labels in alerts])


def key(name: str, labels: Labels) -> tuple[str, ...]:
    return (name.removeprefix("AliyunVod"), *(labels.get(label, "") for label in OVERALL))


def inhibited(server: Alertmanager, account: str) -> dict[tuple[str, ...], bool]:
    """Whether each alert of an account is inhibited."""
    return {
        key(alert["labels"]["alertname"], alert["labels"]): bool(alert["status"]["inhibitedBy"])
        for alert in server.alerts(f'account="{account}"')
    }


Alert = tuple[str, Labels]


@dataclass(frozen=True)
class Inhibition:
    """Alerts of one account: causes, the alerts that they inhibit, and those that they do not."""

    cause: Alert
    silenced: list[Alert]
    heard: list[Alert]


CRITICAL = {"severity": "critical", "instance": "e:9985"}
WARNING = {"severity": "warning", "instance": "e:9985"}
INHIBITIONS = {
    "half a day": Inhibition(
        ("AuthFailing", CRITICAL),
        [("AuthFailing", WARNING), ("DayNotSettled", {"severity": "warning"})],
        [("AuthFailing", {**WARNING, "instance": "f:9985"}), ("MediaPlaysGone", OVERALL), ("QueryFailing", WARNING)],
    ),
    "no calls left is why a day does not settle": Inhibition(
        ("BudgetSpent", WARNING),
        [("DayNotSettled", {})],
        [("MediaPlaysDropped", OVERALL), ("AccountPlaysDropped", {}), ("SeriesDropped", {})],
    ),
    "a day that is late": Inhibition(
        ("BudgetSpent", WARNING), [("DayNotSettled", {})], [("AccountShareDropped", {"os": "iOS"})]
    ),
}


@pytest.mark.tool("prometheus-alertmanager")
@pytest.mark.parametrize("case", INHIBITIONS)
def test_a_cause_silences_what_follows_from_it_in_its_own_account(server: Alertmanager, case: str) -> None:
    inhibition = INHIBITIONS[case]

    def of(account: str, *alerts: Alert) -> list[Labels]:
        return [{"alertname": f"AliyunVod{name}", "account": account, **labels} for name, labels in alerts]

    fire(server, *of(case, *inhibition.heard, *inhibition.silenced, inhibition.cause))
    elsewhere = {f"{case} {number}": of(f"{case} {number}", one) for number, one in enumerate(inhibition.silenced)}
    fire(server, *(alert for alerts in elsewhere.values() for alert in alerts))
    # The cause arrives slightly later than the alerts that it inhibits.
    until(lambda: any(inhibited(server, case).values()), "the cause to be heard of")

    told = {account: inhibited(server, account) for account in (case, *elsewhere)}
    expected = {
        key(*one): one in inhibition.silenced for one in [inhibition.cause, *inhibition.silenced, *inhibition.heard]
    }
    assert told.pop(case) == expected
    assert [list(one.values()) for one in told.values()] == [[False]] * len(elsewhere), "other accounts hear of it"


@pytest.mark.tool("prometheus-alertmanager")
def test_an_exporter_that_is_down_for_half_a_day_is_told_once_and_mutes_no_drop(server: Alertmanager) -> None:
    def down(**labels: str) -> Labels:
        return {"alertname": "AliyunVodExporterDown", "job": "aliyun-vod", **labels}

    drop = {"alertname": "AliyunVodMediaPlaysGone", "account": "of several", **OVERALL}
    fire(server, drop, down(**WARNING), down(**CRITICAL), down(**{**WARNING, "instance": "f:9985"}))

    def told() -> set[tuple[str, str]]:
        downs = server.alerts('alertname="AliyunVodExporterDown"')
        return {(a["labels"]["instance"], a["labels"]["severity"]) for a in downs if not a["status"]["inhibitedBy"]}

    until(lambda: told() == {("e:9985", "critical"), ("f:9985", "warning")}, "the critical one to speak for itself")
    assert inhibited(server, "of several") == {key("MediaPlaysGone", OVERALL): False}


@pytest.mark.tool("prometheus-alertmanager")
def test_that_a_day_has_passed_is_no_message(server: Alertmanager, hook: Webhook) -> None:
    account = {"account": "next day"}

    def drop(day: str) -> Labels:
        return {"alertname": "AliyunVodMediaPlaysDropped", "date": day, "severity": "warning", **account, **OVERALL}

    def told() -> list[list[tuple[str, str]]]:
        return [
            [(alert["labels"]["date"], alert["status"]) for alert in notification["alerts"]]
            for notification in hook.received
            if notification["groupLabels"] == account
        ]

    fire(server, drop("1"))
    until(told, "the drop to be told")
    fire(server, drop("1"), for_=timedelta(seconds=-1))
    until(lambda: not inhibited(server, "next day"), "the day to be over")
    fire(server, drop("2"))
    until(lambda: len(told()) > 1, "what is told next")
    assert told() == [[("1", "firing")], [("2", "firing")]]


@pytest.mark.tool("prometheus-alertmanager")
def test_an_account_is_one_message_for_each_severity(server: Alertmanager, hook: Webhook) -> None:
    media = [
        {"alertname": "AliyunVodMediaPlaysDropped", **OVERALL, "media_id": f"m{n}", "severity": "warning"}
        for n in (1, 2)
    ]
    gone = {"alertname": "AliyunVodMediaPlaysGone", **OVERALL, "media_id": "m3", "severity": "critical"}
    accounts = ("grouped-1", "grouped-2")
    fire(server, *({**labels, "account": account} for labels in (*media, gone) for account in accounts))

    def told() -> dict[tuple[str, str], list[str]]:
        pairs = list(zip(hook.paths, hook.received, strict=False))
        return {
            (path, notification["groupLabels"]["account"]): sorted(
                alert["labels"]["media_id"] for alert in notification["alerts"]
            )
            for path, notification in pairs
            if notification["groupLabels"].get("account") in accounts
        }

    team, everybody = "/dingtalk/webhook1/send", "/dingtalk/webhook_mention_all/send"
    wanted = {(team, account): ["m1", "m2"] for account in accounts} | {
        (everybody, account): ["m3"] for account in accounts
    }
    until(lambda: told() == wanted, "a message for each account and severity")


def adapter() -> dict[str, Any]:
    settings: dict[str, Any] = read(DINGTALK / "config.example.yml")
    return settings


def test_the_adapter_has_a_target_for_every_url_and_only_what_is_critical_rings() -> None:
    named_: dict[str, list[str]] = {
        receiver["name"]: [re.findall(r"^http://dingtalk:8060/dingtalk/(\w+)/send$", hook["url"])[0]]
        for receiver in read(ALERTMANAGER)["receivers"]
        for hook in receiver["webhook_configs"]
    }
    targets = adapter()["targets"]
    assert set(targets) == {name for names in named_.values() for name in names}
    rings = {receiver: targets[name].get("mention") == {"all": True} for receiver, (name,) in named_.items()}
    assert rings == {"drops": False, "drops-critical": True, "warning": False, "critical": True}
    assert all("REPLACE" in target["url"] and "REPLACE" in target["secret"] for target in targets.values())


@pytest.fixture
def rendered(tmp_path: Path) -> Any:
    """The adapter's message for a notification; its function `markdown` is none of Alertmanager's."""
    (tmp_path / "message.tmpl").write_text((DINGTALK / "aliyun-vod.tmpl").read_text().replace("| markdown ", ""))

    def render(part: str, notification: dict[str, Any], template: str = "aliyun-vod.text") -> str:
        (tmp_path / "data.json").write_text(json.dumps(notification))
        return amtool(
            "template",
            "render",
            f"--template.glob={tmp_path}/message.tmpl",
            f"--template.text={adapter()['default_message'][part].replace('aliyun-vod.text', template)}",
            f"--template.data={tmp_path}/data.json",
        )

    return render


def notification(firing: int, resolved: int, summary: str) -> dict[str, Any]:
    def alert(status: str) -> dict[str, Any]:
        return {
            "status": status,
            "labels": {"severity": "warning"},
            "annotations": {
                "summary": summary,
                "summary_zh": summary,
                "dashboard_url": "https://vod.example.com/d/aliyun-vod-media?var-account=production&var-media="
                + "0" * 32,
                "runbook_url": "https://vod.example.com/docs/runbooks.md#aliyunvodmediaplaysdropped",
            },
        }

    return {
        "status": "firing" if firing else "resolved",
        "groupLabels": {"account": "main"},
        "alerts": [alert("firing")] * firing + [alert("resolved")] * resolved,
    }


@pytest.mark.tool("amtool")
def test_a_message_names_the_media_and_where_to_read_on(rendered: Any) -> None:
    told = notification(1, 1, "旗舰新品 <b>Hero</b>: plays fell to 9 %")
    assert rendered("title", told).strip() == "[FIRING:1] VOD main"
    assert rendered("title", notification(0, 1, "")).strip() == "[RESOLVED] VOD main"
    links = told["alerts"][0]["annotations"]
    line = (
        "- 旗舰新品 &lt;b&gt;Hero&lt;/b&gt;: plays fell to 9 % "
        f"(warning, [dashboard]({links['dashboard_url']}), [runbook]({links['runbook_url']}))"
    )
    lines = [one for one in rendered("text", told).splitlines() if one]
    assert lines == ["### [FIRING:1] VOD main", line, "**Resolved**", line]
    chinese = rendered("text", told, "aliyun-vod.text.zh")
    assert [one for one in chinese.splitlines() if one] == ["### [FIRING:1] VOD main", line, "**已恢复**", line]


@pytest.mark.tool("amtool")
def test_as_many_alerts_as_are_passed_on_make_a_message_that_dingtalk_takes(rendered: Any) -> None:
    most = {hook["max_alerts"] for receiver in read(ALERTMANAGER)["receivers"] for hook in receiver["webhook_configs"]}
    # A title has at most 128 characters, and a Chinese one has three bytes in each.
    summary = "播" * 128 + " is hardly played any more: 123456 plays on Tue 2026-11-24, about 1234567 expected (10 %)"
    assert len(rendered("text", notification(max(most), 0, summary)).encode()) < LONGEST_MESSAGE
