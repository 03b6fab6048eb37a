"""The configurations of deploy/ with the paths and intervals of a test; their rules are unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
RULES: Final = DEPLOY / "prometheus" / "rules"
PROMETHEUS: Final = DEPLOY / "prometheus" / "prometheus.yml"
ALERTMANAGER: Final = DEPLOY / "alertmanager" / "alertmanager.yml"


def read(file: Path) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def prometheus_of(target: str, alertmanager: str, *, folder: Path, interval: int = 1) -> str:
    """Prometheus' configuration, evaluating every `interval` seconds; the rules are copied to `folder`.

    Their expressions and `for` are unchanged; `keep_firing_for` is shortened.
    """
    configuration = read(PROMETHEUS)
    configuration["global"] = {"scrape_interval": f"{2 * interval}s", "evaluation_interval": f"{interval}s"}
    for file in RULES.glob("*.yml"):
        rules = read(file)
        for rule in (rule for group in rules["groups"] for rule in group["rules"] if "keep_firing_for" in rule):
            rule["keep_firing_for"] = "6s"
        (folder / file.name).write_text(yaml.safe_dump(rules, allow_unicode=True), encoding="utf-8")
    configuration["rule_files"] = [str(folder / file.name) for file in RULES.glob("*.yml")]
    (scraped,) = configuration["scrape_configs"]
    # Labels that service discovery adds to targets, and that the metrics have too.
    labels = {"account": "ops", "region": "cn-hangzhou", "os": "linux", "query": "q"}
    scraped["static_configs"] = [{"targets": [_place(target)], "labels": labels}]
    (received_text,) = configuration["alerting"]["alertmanagers"]
    received_text["static_configs"] = [{"targets": [_place(alertmanager)]}]
    return yaml.safe_dump(configuration)


def alertmanager_of(webhook: str, **times: str) -> str:
    """Alertmanager's configuration with `webhook`/RECEIVER for every robot and mail; `times` go for every route."""
    configuration = read(ALERTMANAGER)
    del configuration["templates"]
    for receiver in configuration["receivers"]:
        (channel,) = receiver.pop("webhook_configs", None) or receiver.pop("email_configs")
        hook = {"url": f"{webhook}/{receiver['name']}", "send_resolved": channel.get("send_resolved", True)}
        receiver["webhook_configs"] = [hook]
        assert receiver.keys() == {"name", "webhook_configs"}, "nothing is sent anywhere else"
    for route in (configuration["route"], *configuration["route"]["routes"]):
        route.update(times)
    return yaml.safe_dump(configuration)


def _place(url: str) -> str:
    return url.removeprefix("http://")
