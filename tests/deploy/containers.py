"""Images and containers without a daemon or registry: buildah, podman and a base image of this machine's Python."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.environment import STARTED_WITH

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parent.parent.parent
TAG: Final = "aliyun-vod-exporter:test"
BASE: Final = "localhost/python-stand-in"
# Only ends a test that hangs.
PATIENCE: Final = 300.0
# Those of a machine without systemd. By default some releases of buildah and podman raise them, which takes a
# capability that the root of a container may not have.
_LIMITS: Final = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
# As documented for operators.
_HARDENED: Final = (
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *_LIMITS,
)
# Not in the real base image either, or not needed here.
_LEFT_OUT: Final = {
    *("__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip"),
    *("site-packages", "dist-packages", "EXTERNALLY-MANAGED"),
}


_WAY_TO_THE_INDEX: Final = {"index-url", "trusted-host", "cert", "proxy", "timeout", "default-timeout", "retries"}


class CannotRunError(Exception):
    """A command of the engine failed; the message is its output."""


@dataclass(frozen=True)
class Engine:
    """A store of images and containers in its own folder."""

    folder: Path

    def buildah(self, *argv: str) -> str:
        return self._run("buildah", *self._store(), *argv)

    def podman(self, *argv: str) -> str:
        return self._run(*self.argv(), *argv)

    def tried(self, *argv: str) -> tuple[int, str, str]:
        """Status, stdout and stderr of a command of podman that may fail."""
        done = subprocess.run([*self.argv(), *argv], check=False, capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout, done.stderr

    def start(self, *argv: str, network: str = "none") -> str:
        """Start a hardened container with its own loopback or that of another; returns its ID."""
        return self.podman("run", "--detach", "--no-healthcheck", f"--network={network}", *_HARDENED, *argv).strip()

    def run(self, *argv: str) -> str:
        """Run a container to its end; returns its output."""
        return self.podman("run", "--rm", "--no-healthcheck", "--network=none", *_HARDENED, *argv)

    def inspect(self, what: str) -> dict[str, Any]:
        (found,) = json.loads(self.podman("inspect", what))
        return dict(found)

    def remove(self) -> None:
        """Containers and images first: their mounts would keep the folder."""
        for argv in ("rm --all --force --time=1", "rmi --all --force", "volume rm --all"):
            self.tried(*argv.split())
        shutil.rmtree(self.folder, ignore_errors=True)

    def argv(self) -> tuple[str, ...]:
        """How podman is called for this store."""
        # Without systemd there are neither its cgroups nor its journal; crun refuses what runc takes.
        return "podman", *self._store(), "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=runc"

    def _store(self) -> tuple[str, ...]:
        return f"--root={self.folder}/images", f"--runroot={self.folder}/run", "--storage-driver=overlay"

    def _run(self, *argv: str) -> str:
        environ = {**STARTED_WITH, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self.folder)}
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=PATIENCE, env=environ)
        if done.returncode:
            raise CannotRunError(f"{' '.join(argv)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout


def make_base(engine: Engine) -> None:
    """Tag a base image of this machine's Python, pip and the libraries they load, at the same paths; no shell.

    As in the base that the Dockerfile names, nothing of it is compiled to bytecode.
    """
    rootfs = engine.folder / "rootfs"
    python = Path(sys.base_prefix, "bin", f"python{sysconfig.get_python_version()}")
    stdlib = Path(os.__file__).parent
    pip = Path(sysconfig.get_path("purelib"), "pip")
    (site_packages,) = _output(str(python), "-c", "import site; print(site.getsitepackages()[0])").splitlines()

    shutil.copytree(stdlib, _in(rootfs, stdlib), ignore=_not_needed, ignore_dangling_symlinks=True)
    shutil.copytree(pip, _in(rootfs, Path(site_packages, "pip")), ignore=shutil.ignore_patterns("__pycache__"))
    for file in (python, *libraries([python, *stdlib.glob("lib-dynload/*.so")])):
        _in(rootfs, file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, _in(rootfs, file))
    (_in(rootfs, python).parent / "python").symlink_to(python.name)
    (rootfs / "tmp").mkdir()
    (rootfs / "tmp").chmod(0o1777)

    container = engine.buildah("from", "scratch").strip()
    engine.buildah("add", "--quiet", container, str(rootfs), "/")
    engine.buildah("config", f"--env=PATH={python.parent}:/usr/bin:/bin", "--env=LANG=C.UTF-8", container)
    engine.buildah("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(rootfs)


def build(engine: Engine, *flags: str) -> None:
    """Build the Dockerfile on the stand-in, with this machine's way to the package index."""
    settings = _pip_settings()
    config = engine.folder / "pip.conf"
    config.write_text("".join(["[global]\n", *(f"{key} = {value}\n" for key, value in settings.items())]))
    mounts = {config: "/etc/pip.conf", **{Path(settings[key]): settings[key] for key in ("cert",) if key in settings}}
    engine.buildah(
        "bud",
        "--network=host",
        *_LIMITS,
        "--pull-never",
        "--format=docker",
        f"--build-arg=PYTHON_IMAGE={BASE}",
        *(f"--volume={here.resolve()}:{there}:ro" for here, there in mounts.items()),
        *flags,
        f"--tag={TAG}",
        str(ROOT),
    )


def _pip_settings() -> dict[str, str]:
    """How pip reaches the package index on this machine; its folders and constraints stay out of the build."""
    listed = (line.partition("=") for line in _output(sys.executable, "-m", "pip", "config", "list").splitlines())
    settings = {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, _, value in listed}
    return {key: " ".join(value.split()) for key, value in settings.items() if key in _WAY_TO_THE_INDEX}


def libraries(programs: Iterable[Path]) -> set[Path]:
    """The shared libraries that programs load, with the loader, and those that wheels may take for granted."""
    words = _output("ldd", *map(str, programs)).split()
    found = {Path(word) for word in words if word.startswith("/") and ".so" in word and not word.endswith(":")}
    beside = next(path.parent for path in found if path.name == "libc.so.6")
    common = ("libgcc_s.so.1", "libstdc++.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1")
    return {path for path in (*found, *(beside / name for name in common)) if path.exists()}


def _not_needed(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name in _LEFT_OUT or name.startswith("config-")}


def _in(rootfs: Path, place: Path) -> Path:
    return rootfs / place.relative_to("/")


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
