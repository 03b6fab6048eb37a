"""The image, built from the Dockerfile and run as documented: its content, rights and exit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from exporter import __version__
from tests.deploy.containers import ROOT, TAG, Engine
from tests.deploy.locks import locked
from tests.e2e.processes import until

if TYPE_CHECKING:
    from collections.abc import Callable

DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
UID: Final = 65532
CONFIGURATION: Final = """
accounts:
  - name: simulated
    endpoint: http://127.0.0.1:9986
    credentials: {access_key_id: simulator, access_key_secret_file: access_key_secret}
    limits: {requests_per_second: 100}
queries: [{name: popular, media: {top: 20, by: plays}, days_ago: 1}]
"""
BILL: Final = "/usr/share/doc/aliyun-vod-exporter/sbom.cdx.json"
# Programs for the Python of the image: the image has no other tool to inspect it.
GET: Final = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
FACTS: Final = """
import json, os, pathlib, sys
from importlib import metadata
def why_not(path):
    try: path.write_text("")
    except OSError as error: return error.strerror
venv = pathlib.Path(sys.prefix)
files = [path for top in ("/opt", "/data", "/src", "/dist") for path in pathlib.Path(top).rglob("*")]
print(json.dumps({
    "status": dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines()),
    "outside": [str(path) for path in files if not path.is_relative_to(venv)],
    "writable": [str(path) for path in files if not path.is_symlink() and path.stat().st_mode & 0o022
                 or path.lstat().st_uid],
    "bytes": sum(path.lstat().st_size for path in files),
    "uncompiled": [str(path) for path in venv.rglob("*.py") if not os.path.exists(
                   path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc")],
    "stdlib_compiled": os.path.exists(json.__cached__),
    "packages": [path.name.lower() for path in venv.glob("lib/python*/site-packages/*")],
    "programs": [path.name for top in ("/bin", "/usr/bin", "/opt/aliyun-vod-exporter/bin")
                 for path in pathlib.Path(top).glob("*")],
    "data_uid": os.stat("/data").st_uid,
    "root": why_not(pathlib.Path("/new")),
    "installed": sorted([dist.name.lower().replace("_", "-"), dist.version] for dist in metadata.distributions()),
}))
"""


def in_containers(test: Callable[..., None]) -> Callable[..., None]:
    """Skip the test where the engine is not installed."""
    for mark in map(pytest.mark.tool, ("buildah", "podman", "runc")):
        test = mark(test)
    return test


def facts(engine: Engine, *flags: str) -> dict[str, Any]:
    return dict(json.loads(engine.run(*flags, "--entrypoint=python", TAG, "-c", FACTS)))


@pytest.fixture
def mounted(image: Engine) -> Path:
    """The folder mounted at /etc/aliyun-vod-exporter, readable for the uid of the image."""
    folder = image.folder / "mounted"
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(CONFIGURATION)
    (folder / "access_key_secret").write_text("simulator-secret\n")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture
def simulator(image: Engine) -> str:
    """A container with a loopback of its own that the exporter's shares, so that no port of this machine is used."""
    return image.start(TAG, "simulate")


def scraped(engine: Engine, container: str, path: str) -> str:
    """A response of the exporter in a container; empty while requests fail."""
    status, out, _ = engine.tried("exec", container, "python", "-c", GET, f"http://127.0.0.1:9985{path}")
    return "" if status else out


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], check=False, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_base_is_one_version() -> None:
    assert re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE, re.MULTILINE) == [
        "docker.io/library/python:3.13.14-slim-trixie"
    ]
    stages = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) - set(stages) == {"${PYTHON_IMAGE}"}


def test_no_step_needs_a_shell() -> None:
    steps = re.findall(r"^(?:RUN|CMD|ENTRYPOINT|HEALTHCHECK.* CMD) (.*)$", DOCKERFILE, re.MULTILINE)
    assert steps
    for step in steps:
        assert isinstance(json.loads(step), list)


def test_the_version_is_ours() -> None:
    assert f"\nARG VERSION={__version__}\n" in DOCKERFILE


def test_what_builds_packages_is_locked_as_for_development() -> None:
    build_lock, dev_lock = locked("build"), locked("dev")
    assert {"hatchling", "setuptools"} <= build_lock.keys()
    assert {name: version for name, version in build_lock.items() if dev_lock.get(name, version) != version} == {}


@in_containers
def test_nothing_reaches_the_builder_but_what_is_built(engine: Engine, tmp_path: Path) -> None:
    probe = tmp_path / "Dockerfile"
    probe.write_text("FROM scratch\nCOPY . /\n")
    engine.buildah("bud", f"--ignorefile={ROOT}/.dockerignore", f"--file={probe}", "--tag=probe", str(ROOT))
    sent = Path(engine.podman("image", "mount", "probe").strip())

    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    names = {name for line in copied for name in line.split() if (ROOT / name).exists() and not name.endswith("/")}
    files = {str(path.relative_to(sent)) for path in sent.rglob("*") if path.is_file()}
    assert {name for name in files if not name.startswith("exporter/")} | {"exporter"} == names
    assert {path.suffix for path in (sent / "exporter").rglob("*") if path.is_file()} <= {
        ".py",
        ".typed",
        ".html",
        ".css",
        ".toml",
    }
    engine.podman("image", "unmount", "probe")


@in_containers
def test_its_labels_describe_it_and_its_use(image: Engine) -> None:
    config = image.inspect(TAG)["Config"]
    assert config["User"] == f"{UID}:{UID}"
    assert config["Entrypoint"] == ["aliyun-vod-exporter"]
    assert config["Cmd"] == ["serve", "--config.file=/etc/aliyun-vod-exporter/config.yaml"]
    assert config["ExposedPorts"] == {"9985/tcp": {}}
    assert image.inspect(TAG)["Healthcheck"]["Test"] == ["CMD", "aliyun-vod-exporter", "check-healthy"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert {"title", "description", "created", "base.name"} <= labels.keys()
    assert labels["licenses"] == "Apache-2.0"
    assert (labels["version"], labels["revision"]) == (__version__, "0123abc")


@in_containers
def test_it_holds_the_program_compiled_and_nothing_else(image: Engine) -> None:
    found = facts(image)
    assert found["outside"] == []
    assert found["uncompiled"] == []
    assert found["stdlib_compiled"]
    assert found["programs"].count("aliyun-vod-exporter") == 1
    assert not {"sh", "bash", "dash", "busybox", "pip"} & set(found["programs"])
    assert not {"pip", "setuptools", "hatchling", "pytest", "tests"} & set(found["packages"])
    assert "exporter" in found["packages"]
    # What we add to the base; 80 MB when this was written.
    assert found["bytes"] < 100e6


@in_containers
@pytest.mark.package("cyclonedx")
def test_its_bill_of_materials_is_valid_and_names_what_is_in_it(image: Engine) -> None:
    # Importing them takes seconds, which would delay every other test.
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    bill = image.run("--entrypoint=python", TAG, "-c", f"print(open({BILL!r}).read(), end='')")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    document = json.loads(bill)
    named = sorted([part["name"].lower().replace("_", "-"), part["version"]] for part in document["components"])
    assert named == facts(image)["installed"]
    assert ["aliyun-vod-exporter", __version__] in named
    # All of it locked, in these versions.
    allowed = {**locked("roles"), "aliyun-vod-exporter": __version__}
    assert [[name, version] for name, version in named if allowed.get(name) != version] == []
    # Nothing that differs between builds: no time, random number or path of the build.
    assert "timestamp" not in document["metadata"]
    assert "serialNumber" not in document
    assert "file:" not in bill


@in_containers
def test_it_runs_without_privileges_on_a_root_that_it_cannot_write(image: Engine) -> None:
    found = facts(image)
    status = {key: value.split() for key, value in found["status"].items()}
    assert set(status["Uid"] + status["Gid"]) == {str(UID)}
    assert {int(status[kind][0], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == ["1"]
    assert found["root"] == "Read-only file system"
    assert found["writable"] == []
    assert found["data_uid"] == UID


@in_containers
def test_it_serves_the_simulator_s_numbers_reports_its_health_and_ends_on_sigterm(
    image: Engine, simulator: str, mounted: Path
) -> None:
    mount = f"--volume={mounted}:/etc/aliyun-vod-exporter:ro"
    container = image.start(mount, TAG, network=f"container:{simulator}")
    until(lambda: scraped(image, container, "/-/ready"), "the first poll")

    metrics = scraped(image, container, "/metrics")
    assert len(re.findall(r'^aliyun_vod_media_plays\{account="simulated"', metrics, re.MULTILINE)) == 20
    check = image.inspect(TAG)["Healthcheck"]["Test"][1:]
    assert image.tried("exec", container, *check)[:2] == (
        0,
        "http://127.0.0.1:9985/-/healthy: aliyun-vod-exporter is healthy.\n",
    )

    # It is process 1, for which the kernel ignores every signal it does not handle itself; then podman kills: 137.
    image.podman("stop", "--time=60", container)
    assert image.inspect(container)["State"]["ExitCode"] == 0
    assert "msg=stopped" in "".join(image.tried("logs", container)[1:])
    # On the shared loopback nothing listens any more.
    assert image.tried("exec", simulator, *check)[0] == 1


@in_containers
def test_a_mounted_configuration_is_found_by_its_default_name(image: Engine, mounted: Path) -> None:
    printed = image.run(f"--volume={mounted}:/etc/aliyun-vod-exporter:ro", TAG, "check-config")
    assert "config.yaml: valid" in printed


def test_program_and_dependencies_are_layers_of_their_own(image: Engine) -> None:
    steps = [each.get("created_by", "") for each in image.inspect(TAG)["History"]]
    assert len([step for step in steps if "COPY" in step and "/opt/aliyun-vod-exporter" in step]) == 2


def test_a_volume_for_its_state_needs_no_preparation(image: Engine, simulator: str, mounted: Path) -> None:
    container = image.start(
        f"--volume={mounted}:/etc/aliyun-vod-exporter:ro",
        "--volume=state:/data",
        TAG,
        *("--config.file=/etc/aliyun-vod-exporter/config.yaml", "--storage.path=/data/state.db"),
        network=f"container:{simulator}",
    )
    until(lambda: scraped(image, container, "/-/ready"), "the first poll")
    image.podman("stop", "--time=60", container)

    assert image.inspect(container)["State"]["ExitCode"] == 0
    assert facts(image, "--volume=state:/data")["outside"] == ["/data/state.db"]
