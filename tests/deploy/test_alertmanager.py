"""Alertmanager's configuration: routing and inhibition, checked with amtool and a real Alertmanager."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from exporter.documents.durations import parse
from tests.deploy.promtool import newest
from tests.e2e.processes import Alertmanager, Webhook, alertmanager, until, webhook
from tests.e2e.shipped import ALERTMANAGER, PROMETHEUS, RULES, alertmanager_of, read

if TYPE_CHECKING:
    from collections.abc import Generator

OVERALL = {"media_id": "m", "terminal_type": "all", "os": "all", "region": "all"}
ANDROID = {**OVERALL, "os": "Android"}
IOS = {**OVERALL, "os": "iOS"}

Labels = dict[str, str]


def amtool(*argv: str) -> str:
    """An amtool that knows payloads: since 0.32."""
    ran = subprocess.run([newest("amtool", "0.32"), *argv], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def alert_rules() -> list[dict[str, Any]]:
    """Every alert of the rules; two may have the same name and different labels."""
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
    """The pattern of the alert name in a matcher such as alertname=~"A|B"."""
    found = re.fullmatch(r'alertname(=~?)"(.+)"', matcher)
    assert found, matcher
    return re.compile(found[2] if found[1] == "=~" else re.escape(found[2]))


def test_amtool_accepts_it() -> None:
    assert "SUCCESS" in amtool("check-config", str(ALERTMANAGER))


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=AliyunVodMediaPlaysGone", "account=main", "severity=critical"], "mail-drops,dingtalk-drops"),
        (["alertname=AliyunVodAccountShareDropped", "account=main", "severity=critical"], "mail-drops,dingtalk-drops"),
        (["alertname=AliyunVodAccountPlaysSinking", "account=main", "severity=warning"], "dingtalk-drops"),
        (["alertname=AliyunVodExporterDown", "severity=critical"], "mail,dingtalk"),
        (["alertname=AliyunVodExporterDown", "severity=warning"], "dingtalk"),
        (["alertname=AliyunVodMediaPlaysDropped", "account=main", "severity=warning"], "dingtalk-drops"),
        (["alertname=AliyunVodDayNotSettled", "account=main", "severity=warning"], "dingtalk"),
        (["alertname=SomebodyElses", "severity=page"], "dingtalk"),
        (["alertname=WithoutSeverity"], "dingtalk"),
    ],
)
def test_everything_goes_to_the_robot_and_what_is_critical_is_mailed_too(labels: list[str], receivers: str) -> None:
    assert amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels).strip() == receivers


def test_only_what_may_end_is_resolved() -> None:
    for receiver in read(ALERTMANAGER)["receivers"]:
        (channel,) = receiver.get("webhook_configs") or receiver["email_configs"]
        mail = "email_configs" in receiver
        assert channel.get("send_resolved", not mail) is not receiver["name"].endswith("-drops"), receiver["name"]


def test_a_settled_day_is_notified_once() -> None:
    """Neither again for data that settles a moment later, nor as a reminder; Alertmanager remembers for 5 days."""
    drops = read(ALERTMANAGER)["route"]["routes"][0]
    assert drops["receiver"] == "dingtalk-drops"
    assert parse(drops["group_interval"]) == 3600
    assert parse("2d") < parse(drops["repeat_interval"]) < parse("5d")
    assert not any({"group_interval", "repeat_interval"} & route.keys() for route in drops["routes"])
    # Those of players are about minutes, not about a settled day.
    about_plays = {
        name
        for name in shipped_alerts()
        if re.search("Plays|Share|Viewers|WatchTime|DropsMany", name) and "Player" not in name
    }
    pattern = named(drops["matchers"][0])
    assert {name for name in shipped_alerts() if pattern.fullmatch(name)} == about_plays
    parts = [named(route["matchers"][0]) for route in drops["routes"] if "alertname" in route["matchers"][0]]
    assert all(sum(bool(part.fullmatch(name)) for part in parts) == 1 for name in about_plays)


def test_one_cause_is_waited_for_longer_than_an_evaluation_takes() -> None:
    prometheus, route = read(PROMETHEUS)["global"], read(ALERTMANAGER)["route"]
    assert parse(route["group_wait"]) > parse(prometheus["evaluation_interval"])
    assert "group_wait" not in str(route["routes"])


def test_the_configuration_contains_no_secret() -> None:
    text = ALERTMANAGER.read_text()
    secrets = re.findall(r"^[^#\n]*?(\S*(?:password|secret|token|credentials|url)\w*):", text, re.MULTILINE)
    assert set(secrets) == {"smtp_auth_password_file", "url_file"}


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


def fire(
    server: Alertmanager,
    *alerts: Labels,
    for_: timedelta = timedelta(hours=1),
    since: timedelta = timedelta(minutes=1),
) -> None:
    now = datetime.now(UTC)
    times = {"startsAt": (now - since).isoformat(), "endsAt": (now + for_).isoformat()}
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
    unaffected: list[Alert]


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
def test_a_cause_inhibits_its_consequences_in_its_own_account(server: Alertmanager, case: str) -> None:
    inhibition = INHIBITIONS[case]

    def of(account: str, *alerts: Alert) -> list[Labels]:
        return [{"alertname": f"AliyunVod{name}", "account": account, **labels} for name, labels in alerts]

    fire(server, *of(case, *inhibition.unaffected, *inhibition.silenced, inhibition.cause))
    elsewhere = {f"{case} {number}": of(f"{case} {number}", one) for number, one in enumerate(inhibition.silenced)}
    fire(server, *(alert for alerts in elsewhere.values() for alert in alerts))
    # The cause arrives slightly later than the alerts that it inhibits.
    until(lambda: any(inhibited(server, case).values()), "the cause to arrive")

    found = {account: inhibited(server, account) for account in (case, *elsewhere)}
    expected = {
        key(*one): one in inhibition.silenced
        for one in [inhibition.cause, *inhibition.silenced, *inhibition.unaffected]
    }
    assert found.pop(case) == expected
    assert [list(one.values()) for one in found.values()] == [[False]] * len(elsewhere), (
        "alerts of other accounts are not inhibited"
    )


def notifications(hook: Webhook, alertname: str, **labels: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Receiver, and severity and status of each alert, of every notification about it."""
    wanted = {"alertname": alertname, **labels}.items()
    pairs = zip(hook.paths, hook.received, strict=False)
    found = [
        (path, [(a["labels"]["severity"], a["status"]) for a in sent["alerts"] if wanted <= a["labels"].items()])
        for path, sent in pairs
    ]
    return [(path, alerts) for path, alerts in found if alerts]


@pytest.mark.tool("prometheus-alertmanager")
@pytest.mark.parametrize("name", ["AliyunVodExporterDown", "AliyunVodAuthFailing"])
def test_what_can_wait_is_a_warning_and_after_half_a_day_critical_and_mailed(
    server: Alertmanager, hook: Webhook, name: str
) -> None:
    account = {"account": f"half a day of {name}"}
    alert = {"alertname": name, "instance": name, **account}
    other = {"alertname": name, "instance": "f:9985", **account, "severity": "warning"}
    warning, critical = {**alert, "severity": "warning"}, {**alert, "severity": "critical"}
    drop = {"alertname": "AliyunVodMediaPlaysGone", "severity": "critical", **account, **OVERALL}

    def sent() -> list[tuple[str, list[tuple[str, str]]]]:
        return notifications(hook, name, instance=name, **account)

    fire(server, warning)
    until(sent, "the warning")
    assert sent() == [("/dingtalk", [("warning", "firing")])]
    fire(server, warning, critical, other, drop)
    until(lambda: len(sent()) == 3, "the critical alert")
    assert sorted(sent()[1:]) == [("/dingtalk", [("critical", "firing")]), ("/mail", [("critical", "firing")])]
    assert {a["labels"]["severity"] for a in server.alerts(f'instance="{name}"') if a["status"]["inhibitedBy"]} == {
        "warning"
    }
    until(lambda: notifications(hook, name, instance="f:9985", **account), "another exporter, which is only a warning")
    until(lambda: notifications(hook, drop["alertname"], **account), "a drop meanwhile, which nothing mutes")

    fire(server, warning, critical, for_=timedelta(seconds=-1))
    ended = {("/dingtalk", "critical"), ("/mail", "critical"), ("/dingtalk", "warning")}
    until(
        lambda: ended == {(path, of) for path, alerts in sent() for of, how in alerts if how == "resolved"}, "the end"
    )


@pytest.mark.tool("prometheus-alertmanager")
def test_the_end_of_a_day_sends_no_message(server: Alertmanager, hook: Webhook) -> None:
    account = {"account": "next day"}

    def drop(day: str) -> Labels:
        return {"alertname": "AliyunVodMediaPlaysDropped", "date": day, "severity": "warning", **account, **OVERALL}

    def messages() -> list[list[tuple[str, str]]]:
        return [
            [(alert["labels"]["date"], alert["status"]) for alert in notification["alerts"]]
            for notification in hook.received
            if notification["groupLabels"] == account
        ]

    fire(server, drop("1"))
    until(messages, "the drop to be notified")
    fire(server, drop("1"), for_=timedelta(seconds=-1))
    until(lambda: not inhibited(server, "next day"), "the day to be over")
    fire(server, drop("2"))
    until(lambda: len(messages()) > 1, "the next message")
    assert messages() == [[("1", "firing")], [("2", "firing")]]


@pytest.mark.tool("prometheus-alertmanager")
def test_the_media_of_an_account_are_one_message_and_the_account_is_another(
    server: Alertmanager, hook: Webhook
) -> None:
    media = [
        {"alertname": "AliyunVodMediaPlaysDropped", **OVERALL, "media_id": f"m{n}", "severity": "warning"}
        for n in (1, 2)
    ]
    gone = {"alertname": "AliyunVodMediaPlaysGone", **OVERALL, "media_id": "m3", "severity": "critical"}
    whole = {"alertname": "AliyunVodAccountShareDropped", "os": "iOS", "severity": "critical"}
    accounts = ("grouped-1", "grouped-2")
    alerts = [{**labels, "account": account} for labels in (*media, gone, whole) for account in accounts]
    # In the future: for an alert older than `group_wait`, Alertmanager does not wait for the others of its group.
    fire(server, *alerts, since=timedelta(minutes=-1))

    def last_messages() -> list[tuple[str, str, list[str]]]:
        """The last message of each group: on a busy machine, the first one may come before all its alerts have."""
        last = {
            (path, sent["groupKey"]): (
                path,
                sent["groupLabels"]["account"],
                sorted(a["labels"].get("media_id", "all") for a in sent["alerts"]),
            )
            for path, sent in zip(hook.paths, hook.received, strict=False)
            if sent["groupLabels"].get("account") in accounts
        }
        return sorted(last.values())

    team = [("/dingtalk-drops", account, ids) for account in accounts for ids in (["all"], ["m1", "m2", "m3"])]
    mail = [("/mail-drops", account, ["all", "m3"]) for account in accounts]
    until(lambda: last_messages() == sorted(team + mail), "a message for each account and for its media")
