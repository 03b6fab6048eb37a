"""The Compose stack for real: podman in place of Docker, Debian's programs in place of images that cannot be pulled."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from tests.deploy.containers import PATIENCE, ROOT, TAG, Engine, libraries
from tests.e2e.processes import running, until

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

COMPOSE: Final = Path(sys.executable).with_name("docker-compose")
NETWORK_PROGRAMS: Final = ("netavark", "aardvark-dns")
"""With them containers find each other by name; Debian keeps them beside the path."""
_UNPRIVILEGED: Final = "65534:65534"
_LIMITS: Final = '[containers]\ndefault_ulimits=["nofile=1024:1024","nproc=1024:1024"]\nlog_driver="k8s-file"\n'
_ENGINE: Final = '[engine]\nruntime="runc"\ncgroup_manager="cgroupfs"\nevents_logger="file"\n'


@dataclass(frozen=True)
class Stack:
    """Services of a Compose file that run."""

    engine: Engine
    argv: tuple[str, ...]
    environ: dict[str, str]

    @property
    def project(self) -> str:
        """Its networks have this name, and every engine of the machine sees them."""
        return self.engine.folder.name

    def compose(self, *argv: str) -> str:
        """Run a command of Compose; returns its stdout."""
        done = subprocess.run(
            [*self.argv, f"--project-name={self.project}", *argv],
            env=self.environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, service: str, code: str, *argv: str) -> str:
        """Run a program in the container of a service that has Python; empty when it fails."""
        return self.engine.tried("exec", f"{self.project}-{service}-1", "python", "-c", code, *argv)[1]

    def logged(self, service: str) -> str:
        """Both streams of a service."""
        return "".join(self.engine.tried("logs", f"{self.project}-{service}-1")[1:])


def network_programs_are_missing() -> list[str]:
    """The programs of Debian's packages of these names that are not installed."""
    return [name for name in NETWORK_PROGRAMS if not Path("/usr/lib/podman", name).exists()]


def make_stand_in(engine: Engine, image: str, programs: dict[str, Path], *more: tuple[Path, str]) -> None:
    """Tag an image with programs of this machine, their libraries, and more files or folders.

    Its first program is the entry point; it has no privileges and may write to /NAME.
    """
    rootfs = engine.folder / "stand-in"
    name = next(iter(programs))
    for there, here in {**{f"bin/{each}": path for each, path in programs.items()}, **_libraries(programs)}.items():
        (rootfs / there).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(here, rootfs / there)
    for source, target in more:
        (shutil.copytree if source.is_dir() else shutil.copy)(source, rootfs / target)
    container = engine.buildah("from", "scratch").strip()
    engine.buildah("add", "--quiet", container, str(rootfs), "/")
    (rootfs / "empty").mkdir()
    engine.buildah("add", "--quiet", f"--chown={_UNPRIVILEGED}", container, str(rootfs / "empty"), f"/{name}")
    settings = (f'--entrypoint=["/bin/{name}"]', f"--user={_UNPRIVILEGED}", "--env=PATH=/bin", f"--volume=/{name}")
    engine.buildah("config", *settings, f"--workingdir=/{name}", container)
    engine.buildah("commit", "--quiet", "--rm", container, f"docker.io/{image}")
    shutil.rmtree(rootfs)


def _libraries(programs: dict[str, Path]) -> dict[str, Path]:
    return {str(path.relative_to("/")): path for path in libraries(programs.values())}


@contextlib.contextmanager
def stack(engine: Engine, files: Iterable[Path], services: Iterable[str]) -> Generator[Stack]:
    """Start services of Compose files, each when those that it waits for are healthy; removes everything at the end."""
    socket, settings = engine.folder / "api", engine.folder / "containers.conf"
    settings.write_text(_LIMITS + _ENGINE)
    service = (*engine.argv(), "system", "service", "--time=0", f"unix://{socket}")
    environ = {
        **{name: value for name, value in os.environ.items() if name != "COMPOSE_PROFILES"},
        "CONTAINERS_CONF": str(settings),
        "DOCKER_HOST": f"unix://{socket}",
        "COMPOSE_PROFILES": "simulator",
    }
    engine.podman("tag", TAG, "aliyun-vod-exporter:0.1.0")
    found = Stack(engine, (str(COMPOSE), *(f"--file={file}" for file in files)), environ)
    with running(engine.folder, "service", *service, CONTAINERS_CONF=str(settings)), _health_checks(engine):
        until(socket.exists, "the API of podman")
        try:
            found.compose("up", "--detach", "--pull=never", "--no-build", *services)
            yield found
        finally:
            found.compose("down", "--volumes", "--timeout=10")


@contextlib.contextmanager
def _health_checks(engine: Engine) -> Generator[None]:
    """What a timer of systemd does elsewhere."""
    ended = Event()

    def check() -> None:
        while not ended.wait(1):
            for container in engine.tried("ps", "--quiet")[1].split():
                engine.tried("healthcheck", "run", container)

    thread = Thread(target=check)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def deploy_copy(folder: Path) -> Path:
    """`deploy/` as a folder of a test, whose files may be changed, readable for everybody."""
    copy = folder / "deploy"
    shutil.copytree(ROOT / "deploy", copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return copy
