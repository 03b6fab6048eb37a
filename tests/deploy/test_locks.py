"""The locks install with the oldest supported pip, also when newer releases exist."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from typing import TYPE_CHECKING, Final

import pytest
from packaging.version import Version

from tests.deploy.locks import FOLDER, LINE

if TYPE_CHECKING:
    from pathlib import Path

LOCKS: Final = ("runtime", "roles", "test", "dev", "build")


@pytest.fixture(scope="module")
def oldest_pip() -> Path:
    """The oldest pip to support, as a wheel, which runs without being installed."""
    found = sorted((FOLDER.parent / ".venv" / "oldest-pip").glob("pip-*.whl"))
    if not found:
        missing = "the oldest supported pip is missing: make .venv/.oldest-pip"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return found[0]


def pretend_wheel(folder: Path, name: str, version: str) -> str:
    """Make an empty wheel that needs and offers what the installed distribution does; its SHA-256."""
    try:
        real = metadata.metadata(name)
        needs = [f"{key}: {value}" for key in ("Requires-Dist", "Provides-Extra") for value in real.get_all(key) or ()]
    except metadata.PackageNotFoundError:  # for another platform or Python
        needs = []
    normalized = re.sub(r"[-_.]+", "_", name)
    info = f"{normalized}-{version}.dist-info"
    wheel = folder / f"{normalized}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            f"{info}/METADATA", "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *needs, ""])
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def pretend_release(lock: str, folder: Path) -> str:
    """Release everything that a lock names, and a newer patch of each; the lock with the hashes of these wheels."""
    lines = []
    for locked in LINE.finditer(lock):
        name, version = locked["name"], locked["version"]
        digest = pretend_wheel(folder, name, version)
        pretend_wheel(folder, name, f"{Version(version).base_version}.1")
        lines.append(f"{name}{locked['extras'] or ''}=={version}{locked['marker'] or ''} --hash=sha256:{digest}\n")
    return "".join(lines)


def dry_run(pip: Path, lock: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "lock.txt"
    path.write_text(pretend_release(lock, folder))
    settings = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, f"{pip}/pip", "--isolated", "--disable-pip-version-check", "install", "--dry-run",
         "--ignore-installed", "--no-index", f"--find-links={folder}", "--require-hashes", "-r", str(path)],
        env=settings, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_installs_with_the_oldest_pip_beside_newer_releases(name: str, oldest_pip: Path, tmp_path: Path) -> None:
    lock = (FOLDER / f"{name}.txt").read_text()
    done = dry_run(oldest_pip, lock, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stdout


def test_a_lock_without_its_extras_is_what_the_oldest_pip_refuses(oldest_pip: Path, tmp_path: Path) -> None:
    lock = (FOLDER / "dev.txt").read_text().replace("coverage[toml]==", "coverage==")
    done = dry_run(oldest_pip, lock, tmp_path)
    assert done.returncode != 0
    assert "must have their versions pinned" in done.stderr


def test_every_requirement_of_a_lock_is_one_version_with_hashes_and_names_no_registry() -> None:
    for path in sorted(FOLDER.glob("*.txt")):
        requirements = [
            line for line in path.read_text().splitlines() if line and not line.lstrip().startswith(("#", "--hash"))
        ]
        assert requirements
        for line in requirements:
            assert LINE.match(line), f"{path.name}: {line}"
            assert line.endswith("\\"), f"{path.name}: {line} has no hash"
