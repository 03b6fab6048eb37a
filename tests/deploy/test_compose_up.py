"""The Compose stack, started by Compose: services find each other, and an alert reaches the robot.

Grafana is left out: no image of it can be made from a package.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.deploy.compose_stack import deploy_copy, make_stand_in, network_programs_are_missing, stack
from tests.deploy.promtool import FOLDER, newest
from tests.e2e.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deploy.compose_stack import Stack
    from tests.deploy.containers import Engine

pytestmark = [pytest.mark.tool(tool) for tool in ("buildah", "podman", "runc", "busybox", "iptables")]

SERVICES: Final = ("simulator", "exporter", "prometheus", "alertmanager")
RECEIVER: Final = """
import http.server
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"errcode": 0}')
http.server.HTTPServer(("", 8080), Receiver).serve_forever()
"""
# In the container of the exporter.
GET: Final = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
RIGHTS: Final = """
import os
def why_not(path):
    try: open(path, "w")
    except OSError as error: return error.strerror
print(os.getuid(), why_not("/new"))
"""
FASTER: Final = {
    "compose/simulator/config.yaml": {"every: 1m": "every: 15s"},
    "prometheus/prometheus.yml": {"_interval: 30s": "_interval: 2s", "scrape_timeout: 10s": "scrape_timeout: 2s"},
    "alertmanager/alertmanager.yml": {"group_wait: 1m ": "group_wait: 5s "},
}


@pytest.fixture(scope="module")
def up(image: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if missing := network_programs_are_missing():
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(f"needs {missing}")
        pytest.skip(f"needs {missing} (Debian packages)")
    folder = tmp_path_factory.mktemp("compose")
    prometheus = {name: _newest(name, "3") for name in ("prometheus", "promtool")}
    make_stand_in(image, "prom/prometheus:v3.13.3", prometheus)
    alertmanager = {"alertmanager": _newest("prometheus-alertmanager", "0.32")}
    templates = "usr/share/prometheus/alertmanager"
    wget = (Path(shutil.which("busybox") or "busybox"), "bin/wget")
    make_stand_in(image, "prom/alertmanager:v0.34.1", alertmanager, (FOLDER / templates, templates), wget)
    with stack(image, _files(folder), (*SERVICES, "receiver")) as found:
        yield found


def _newest(name: str, version: str) -> Path:
    return FOLDER / "usr" / "bin" / name if newest(name, version) else FOLDER


def _files(folder: Path) -> tuple[Path, Path]:
    """The Compose file in a copy whose intervals are shorter, and another that adds a robot and publishes no port."""
    deploy = deploy_copy(folder)
    for name, changes in FASTER.items():
        text = (deploy / name).read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text, (name, old)
            text = text.replace(old, new)
        (deploy / name).write_text(text, encoding="utf-8")
    (deploy / "alertmanager" / "secrets").mkdir(exist_ok=True)
    (deploy / "alertmanager" / "secrets" / "dingtalk").write_text("http://receiver:8080/robot")
    added: dict[str, Any] = {
        "receiver": {
            "image": "aliyun-vod-exporter:0.1.0",
            "entrypoint": ["python", "-c", RECEIVER],
            "healthcheck": {"disable": True},
        }
    }
    services = "".join(f"  {name}: {{ports: !reset []}}\n" for name in SERVICES[1:])
    (other := folder / "other.yml").write_text(f"services:\n{services}  receiver: {json.dumps(added['receiver'])}\n")
    return deploy / "docker-compose.yml", other


def test_every_service_becomes_healthy(up: Stack) -> None:
    seen: set[str] = set()  # at one time each: a check that takes 5 s on a loaded machine counts as failed

    def have_been() -> bool:
        ran = up.engine.podman("ps", "--all", "--format={{.Names}} {{.Status}}").splitlines()
        seen.update(name for name in SERVICES for line in ran if f"-{name}-1 Up" in line and "(healthy)" in line)
        return seen == {*SERVICES}

    until(have_been, "all services to be healthy")


def test_the_exporter_runs_with_the_rights_of_the_file(up: Stack) -> None:
    assert up.python("exporter", RIGHTS) == "65532 Read-only file system\n"


def test_prometheus_scrapes_the_exporter_and_has_its_rules(up: Stack) -> None:
    def answer(path: str) -> Any:
        return json.loads(up.python("exporter", GET, f"http://prometheus:9090/api/v1/{path}") or "{}").get("data")

    until(lambda: [each["health"] for each in (answer("targets") or {}).get("activeTargets", ())] == ["up"], "a scrape")
    names = {group["name"] for group in answer("rules")["groups"]}
    assert {"aliyun-vod-drops", "aliyun-vod-plays", "aliyun-vod-dashboards"} <= names


def test_the_alert_of_the_lost_plays_reaches_the_robot(up: Stack) -> None:
    text = until(lambda: [line for line in up.logged("receiver").splitlines() if "markdown" in line], "the message")[0]

    message = json.loads(text[text.index("{") :])
    assert message["msgtype"] == "markdown"
    assert "VOD" in message["markdown"]["title"]
    assert "旗舰新品" in message["markdown"]["text"] or "Hero video" in message["markdown"]["text"]
