"""Alertmanager's configuration: routing and inhibition, checked with amtool and a real Alertmanager."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
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
        (["alertname=AliyunVodPlaysGone", "account=main", "severity=critical"], "critical"),
        (["alertname=AliyunVodExporterDown", "severity=critical"], "critical"),
        (["alertname=AliyunVodPlaysDropped", "account=main", "severity=warning"], "warning"),
        (["alertname=SomebodyElses", "severity=page"], "warning"),
        (["alertname=WithoutSeverity"], "warning"),
    ],
)
def test_the_severity_decides_the_receiver(labels: list[str], receiver: str) -> None:
    assert amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels).split() == [receiver]


def test_critical_alerts_are_mailed_too_and_every_receiver_gets_resolved_ones() -> None:
    receivers = {receiver["name"]: receiver for receiver in read(ALERTMANAGER)["receivers"]}
    assert [len(receivers[name].get("email_configs", [])) for name in ("critical", "warning")] == [1, 0]
    mails = [mail for receiver in receivers.values() for mail in receiver.get("email_configs", [])]
    hooks = [hook for receiver in receivers.values() for hook in receiver["webhook_configs"]]
    assert all(mail["send_resolved"] for mail in mails), "mail does not by default"
    assert all(hook.get("send_resolved", True) for hook in hooks), "webhooks do by default"


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


def test_causes_and_what_follows_from_them_have_the_labels_they_are_compared_by() -> None:
    """If both lack a label, Alertmanager treats it as equal, and all accounts are inhibited."""
    labels: dict[str, set[str]] = {}
    for file in (DEPLOY / "prometheus" / "tests").glob("*.yml"):
        for test in read(file)["tests"]:
            for case in test.get("alert_rule_test", []):
                for alert in case.get("exp_alerts") or []:
                    common = labels.setdefault(case["alertname"], set(alert["exp_labels"]))
                    common &= set(alert["exp_labels"])
    for rule in read(ALERTMANAGER)["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            for name in filter(named(rule[side][0]).fullmatch, shipped_alerts()):
                assert labels[name] | {"alertname"} >= set(rule.get("equal", [])), name


def test_every_alert_about_plays_is_silenced_while_the_exporter_is_down_and_no_alert_about_the_exporter_is() -> None:
    down, *_ = read(ALERTMANAGER)["inhibit_rules"]
    silenced = {name for name in shipped_alerts() if named(down["target_matchers"][0]).fullmatch(name)}
    about_plays = {rule["alert"] for rule in alert_rules() if "_media_" in str(rule) or "Plays" in rule["alert"]}
    assert silenced == about_plays
    # That no exporter responds is an alert of its own; otherwise drops would not be inhibited.
    assert down["source_matchers"] == ['alertname="AliyunVodExporterDown"', 'scope="all"']
    (none,) = (rule for rule in alert_rules() if rule["labels"].get("scope") == "all")
    assert none["alert"] == "AliyunVodExporterDown"


def test_the_runbook_of_what_silences_the_drops_of_an_account_says_so() -> None:
    runbooks = (DEPLOY.parent / "docs" / "runbooks.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", runbooks, re.MULTILINE | re.DOTALL))
    account = "AliyunVodAccountPlaysDropped"
    silencing = {
        name
        for rule in read(ALERTMANAGER)["inhibit_rules"]
        if named(rule["target_matchers"][0]).fullmatch(account)
        for name in filter(named(rule["source_matchers"][0]).fullmatch, shipped_alerts())
    }
    assert silencing == {"AliyunVodExporterDown", "AliyunVodDayNotReady"}
    for name in silencing:
        assert re.search(r"Alertmanager\s+sends\s+no\s+notifications\s+about\s", sections[name]), name


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


INHIBITIONS = {
    "gone silences less of the same": Inhibition(
        ("PlaysGone", ANDROID),
        [("PlaysDropped", ANDROID), ("ViewersDropped", ANDROID), ("WatchTimeDropped", ANDROID)],
        [
            ("PlaysDropped", IOS),
            ("PlaysDropped", {**ANDROID, "terminal_type": "Native"}),
            ("ViewersDropped", {**ANDROID, "media_id": "another"}),
            ("AccountPlaysDropped", {}),
        ],
    ),
    "a media that is gone speaks for all its breakdowns": Inhibition(
        ("PlaysGone", OVERALL),
        [("PlaysGone", ANDROID), ("PlaysDropped", IOS), ("PlaysDropped", OVERALL)],
        [("PlaysDropped", {**ANDROID, "media_id": "another"})],
    ),
    "a media speaks for its breakdowns, not for what is worse or something else": Inhibition(
        ("PlaysDropped", OVERALL),
        [("PlaysDropped", ANDROID), ("PlaysDropped", IOS)],
        [("PlaysGone", {**ANDROID, "region": "cn-beijing"}), ("WatchTimeDropped", ANDROID)],
    ),
    "a day that is not there yet": Inhibition(
        ("DayNotReady", {}),
        [("PlaysGone", ANDROID), ("WatchTimeDropped", OVERALL), ("AccountPlaysDropped", {})],
        [("ApiErrors", {}), ("DataStale", {})],
    ),
    "a refused key is why a day does not settle": Inhibition(
        ("AuthFailing", {}), [("DayNotReady", {})], [("ApiErrors", {}), ("Throttled", {})]
    ),
    "no calls left is why a day does not settle": Inhibition(
        ("CallBudgetSpent", {}), [("DayNotReady", {})], [("ApiErrors", {}), ("SeriesDropped", {})]
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
def test_alerts_about_plays_are_inhibited_while_the_exporter_is_down(server: Alertmanager) -> None:
    down = {"alertname": "AliyunVodExporterDown", "severity": "critical", "scope": "all"}
    plays = [f"AliyunVod{what}" for what in ("PlaysDropped", "PlaysGone", "ViewersDropped", "WatchTimeDropped")]
    medias = [
        {"alertname": name, "account": f"a{number}", **OVERALL, "media_id": name} for number, name in enumerate(plays)
    ]
    totals = {"alertname": "AliyunVodAccountPlaysDropped", "account": "a1"}
    other = {"alertname": "AliyunVodApiErrors", "account": "a2"}
    fire(server, *medias, totals, other, down)

    def silent() -> Counter[str]:
        known = [alert for number in range(len(plays)) for alert in server.alerts(f'account="a{number}"')]
        return Counter(alert["labels"]["alertname"] for alert in known if alert["status"]["inhibitedBy"])

    until(lambda: silent() == Counter([*plays, totals["alertname"]]), "all play alerts, and only those, to be silent")
    fire(server, down, for_=timedelta(seconds=-1))
    until(lambda: not silent(), "all of them to be heard again")


@pytest.mark.tool("prometheus-alertmanager")
def test_one_exporter_of_several_that_is_down_silences_no_account_and_none_left_speaks_for_all(
    server: Alertmanager,
) -> None:
    one = {"alertname": "AliyunVodExporterDown", "instance": "e:9985", "job": "aliyun-vod"}
    missing = {"alertname": "AliyunVodExporterDown"}
    drop = {"alertname": "AliyunVodPlaysGone", "account": "of several", **OVERALL}
    # Inhibited by another alert: for comparison, and as proof that the alerts arrived.
    sign = {"alertname": "AliyunVodDayNotReady", "account": "sign"}
    silenced = {"alertname": "AliyunVodPlaysGone", "account": "sign", **OVERALL}
    fire(server, one, missing, drop, sign, silenced)
    until(lambda: inhibited(server, "sign")[key("PlaysGone", OVERALL)], "the sign")
    assert inhibited(server, "of several") == {key("PlaysGone", OVERALL): False}

    def told() -> list[str | None]:
        downs = server.alerts('alertname="AliyunVodExporterDown"')
        return [a["labels"].get("scope", a["labels"].get("instance")) for a in downs if not a["status"]["inhibitedBy"]]

    assert sorted(map(str, told())) == ["None", "e:9985"]
    none = {"alertname": "AliyunVodExporterDown", "scope": "all"}
    fire(server, none)
    until(lambda: told() == ["all"], "only that none answers to be told")
    until(lambda: inhibited(server, "of several")[key("PlaysGone", OVERALL)], "the drop to be silenced")
    fire(server, one, missing, none, for_=timedelta(seconds=-1))


@pytest.mark.tool("prometheus-alertmanager")
def test_a_drop_without_data_is_not_notified_as_resolved(server: Alertmanager, hook: Webhook) -> None:
    account = {"account": "down"}
    drop = {"alertname": "AliyunVodPlaysDropped", **account, **OVERALL}
    down = {"alertname": "AliyunVodExporterDown", "scope": "all"}

    def told() -> list[list[tuple[str, str]]]:
        return [
            [(alert["labels"]["alertname"], alert["status"]) for alert in notification["alerts"]]
            for notification in hook.received
            if notification["groupLabels"] == account
        ]

    fire(server, drop)
    until(told, "the drop to be told")
    fire(server, down)
    until(lambda: all(inhibited(server, "down").values()), "the drop to be silenced")
    fire(server, drop, for_=timedelta(seconds=-1))
    fire(server, {"alertname": "AliyunVodSeriesDropped", **account})
    until(lambda: len(told()) > 1, "what is told next")
    assert told() == [[("AliyunVodPlaysDropped", "firing")], [("AliyunVodSeriesDropped", "firing")]]
    fire(server, down, for_=timedelta(seconds=-1))


@pytest.mark.tool("prometheus-alertmanager")
def test_an_account_is_one_message_for_each_severity(server: Alertmanager, hook: Webhook) -> None:
    media = [
        {"alertname": "AliyunVodPlaysDropped", **OVERALL, "media_id": f"m{n}", "severity": "warning"} for n in (1, 2)
    ]
    gone = {"alertname": "AliyunVodPlaysGone", **OVERALL, "media_id": "m3", "severity": "critical"}
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
    assert sorted(targets) == sorted(name for names in named_.values() for name in names)
    rings = {receiver: targets[name].get("mention") == {"all": True} for receiver, (name,) in named_.items()}
    assert rings == {"warning": False, "critical": True}
    assert all("REPLACE" in target["url"] and "REPLACE" in target["secret"] for target in targets.values())


@pytest.fixture
def rendered(tmp_path: Path) -> Any:
    """The adapter's message for a notification; its function `markdown` is none of Alertmanager's."""
    (tmp_path / "message.tmpl").write_text((DINGTALK / "aliyun-vod.tmpl").read_text().replace("| markdown ", ""))

    def render(part: str, notification: dict[str, Any]) -> str:
        (tmp_path / "data.json").write_text(json.dumps(notification))
        return amtool(
            "template",
            "render",
            f"--template.glob={tmp_path}/message.tmpl",
            f"--template.text={adapter()['default_message'][part]}",
            f"--template.data={tmp_path}/data.json",
        )

    return render


def notification(firing: int, resolved: int, summary: str) -> dict[str, Any]:
    def alert(status: str) -> dict[str, Any]:
        return {
            "status": status,
            "labels": {"severity": "warning"},
            "annotations": {"summary": summary, "runbook_url": "docs/runbooks.md#aliyunvodplaysdropped"},
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
    line = "- 旗舰新品 &lt;b&gt;Hero&lt;/b&gt;: plays fell to 9 % (warning, docs/runbooks.md#aliyunvodplaysdropped)"
    lines = [one for one in rendered("text", told).splitlines() if one]
    assert lines == ["### [FIRING:1] VOD main", line, "**Resolved**", line]


@pytest.mark.tool("amtool")
def test_as_many_alerts_as_are_passed_on_make_a_message_that_dingtalk_takes(rendered: Any) -> None:
    most = {hook["max_alerts"] for receiver in read(ALERTMANAGER)["receivers"] for hook in receiver["webhook_configs"]}
    # A title has at most 128 characters, and a Chinese one has three bytes in each.
    summary = (
        "播" * 128 + " plays of account production on Native, Android, ap-southeast-1 fell to 12.34 % of a week before"
    )
    assert len(rendered("text", notification(max(most), 0, summary)).encode()) < LONGEST_MESSAGE
