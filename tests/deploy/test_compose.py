"""The Compose file as Compose itself resolves it: services, order, images and rights."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter import __version__
from exporter.config.loader import load

DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"
COMPOSE: Final = Path(sys.executable).with_name("docker-compose")
PROFILES: Final = ("simulator", "account")


def composed(folder: Path = DEPLOY, **environ: str) -> dict[str, Any]:
    """The resolved Compose file; without warnings or unset variables on stderr."""
    kept = {name: value for name, value in os.environ.items() if name != "COMPOSE_PROFILES"}
    done = subprocess.run(
        [COMPOSE, "-f", DEPLOY / "docker-compose.yml", "config", "--format=json"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**kept, **environ},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(composed()["services"])


@pytest.mark.parametrize("place", [DEPLOY, DEPLOY.parent])
def test_the_simulated_service_is_polled_wherever_it_is_started(place: Path) -> None:
    services = composed(place)["services"]
    assert services.keys() == {"simulator", "exporter", "prometheus", "alertmanager", "grafana"}
    assert configuration(services) == DEPLOY / "compose" / "simulator"


def test_one_variable_switches_to_the_real_account() -> None:
    services = composed(COMPOSE_PROFILES="account")["services"]
    assert "simulator" not in services
    assert configuration(services) == DEPLOY / "compose" / "account"


def configuration(services: dict[str, Any]) -> Path:
    """The folder of the exporter's configuration."""
    (mount,) = (m for m in services["exporter"]["volumes"] if m["target"] == "/etc/aliyun-vod-exporter")
    return Path(mount["source"])


def test_every_container_has_no_more_rights_than_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys(), name
        assert {"mem_limit", "pids_limit", "logging"} <= service.keys(), name
        assert all(mount["type"] == "volume" or mount["read_only"] for mount in service.get("volumes", ())), name


def test_nothing_is_published_beyond_loopback(services: dict[str, Any]) -> None:
    published = {name: [port["published"] for port in service.get("ports", ())] for name, service in services.items()}
    assert published == {
        "simulator": [],
        "exporter": ["9985"],
        "prometheus": ["9090"],
        "alertmanager": ["9093"],
        "grafana": ["3000"],
    }
    assert {port["host_ip"] for service in services.values() for port in service.get("ports", ())} == {"127.0.0.1"}


def test_every_image_is_one_version(services: dict[str, Any]) -> None:
    for service in services.values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
    assert services["exporter"]["image"] == services["simulator"]["image"] == f"aliyun-vod-exporter:{__version__}"
    assert services["exporter"]["build"]["context"] == str(DEPLOY.parent)


def test_each_service_waits_until_those_that_it_calls_are_healthy(services: dict[str, Any]) -> None:
    waits = {name: service.get("depends_on", {}) for name, service in services.items()}
    assert {name: set(on) for name, on in waits.items()} == {
        "simulator": set(),
        "exporter": {"simulator"},
        "prometheus": {"exporter"},
        "alertmanager": set(),
        "grafana": {"prometheus"},
    }
    assert {how["condition"] for on in waits.values() for how in on.values()} == {"service_healthy"}
    # The exporter's is in its image.
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"exporter"}


def test_what_changes_is_kept_in_named_volumes() -> None:
    whole = composed()
    kept = {
        name: [m["source"] for m in service.get("volumes", ()) if m["type"] == "volume"]
        for name, service in whole["services"].items()
    }
    named = ("exporter", "prometheus", "alertmanager", "grafana")
    assert kept == {"simulator": [], **{name: [name] for name in named}}
    assert whole["volumes"].keys() == set(named)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_mounted_is_there(profile: str) -> None:
    services = composed(COMPOSE_PROFILES=profile)["services"].values()
    mounted = [m["source"] for service in services for m in service.get("volumes", ()) if m["type"] == "bind"]
    assert [source for source in mounted if not Path(source).exists()] == []


def test_a_mistyped_profile_does_not_become_an_empty_folder() -> None:
    (mount,) = (m for m in composed()["services"]["exporter"]["volumes"] if m["type"] == "bind")
    assert mount["bind"]["create_host_path"] is False


@pytest.mark.parametrize("profile", PROFILES)
def test_the_configuration_is_valid_without_any_variable(profile: str) -> None:
    assert load(DEPLOY / "compose" / profile / "config.yaml", {}).queries


def test_prometheus_finds_the_others_by_their_names(services: dict[str, Any]) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    scraped = [target for of in config["scrape_configs"] for s in of["static_configs"] for target in s["targets"]]
    alertmanagers = [
        target for of in config["alerting"]["alertmanagers"] for s in of["static_configs"] for target in s["targets"]
    ]
    for target in scraped + alertmanagers:
        name, _, port = target.partition(":")
        assert int(port) in {published["target"] for published in services[name]["ports"]}
    targets = {m["target"] for m in services["prometheus"]["volumes"]}
    assert all(str(Path(files).parent) in targets for files in config["rule_files"])


def test_grafana_finds_prometheus_and_the_dashboards(services: dict[str, Any]) -> None:
    mounted = {m["target"]: Path(m["source"]) for m in services["grafana"]["volumes"] if m["type"] == "bind"}
    provisioning = mounted["/etc/grafana/provisioning"]
    sources = [
        s for file in provisioning.glob("datasources/*.y*ml") for s in yaml.safe_load(file.read_text())["datasources"]
    ]
    assert "http://prometheus:9090" in [source["url"] for source in sources]
    providers = [
        p for file in provisioning.glob("dashboards/*.y*ml") for p in yaml.safe_load(file.read_text())["providers"]
    ]
    places = [mounted[provider["options"]["path"]] for provider in providers]
    assert places
    assert all([*place.rglob("*.json")] for place in places)


@pytest.mark.tool("git")
def test_the_key_of_an_account_stays_out_of_git() -> None:
    command = ["git", "check-ignore", "compose/account/access_key_id", "compose/account/access_key_secret"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=DEPLOY)
    if done.returncode == 128:
        pytest.skip("not a git checkout")
    assert len(done.stdout.split()) == 2
