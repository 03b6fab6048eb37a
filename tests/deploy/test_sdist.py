"""The source archive: all files of git, so that it builds and passes its tests after unpacking."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from exporter import __version__

ROOT: Final = Path(__file__).parents[2]
LINKS: Final = ("deploy/helm/aliyun-vod-exporter/files/dashboards", "deploy/helm/aliyun-vod-exporter/files/rules")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the archive by their path in the tree."""
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (path,) = folder.glob("*.tar.gz")
    with tarfile.open(path) as tar:
        members = [(member, tar.extractfile(member)) for member in tar.getmembers()]
        return {str(PurePosixPath(*PurePosixPath(m.name).parts[1:])): file.read() for m, file in members if file}


@pytest.mark.tool("git")
def test_it_holds_all_that_git_does_not_ignore(archive: dict[str, bytes]) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this tree is no checkout")
    git = shutil.which("git") or "git"
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    known = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    assert known - archive.keys() == set()
    assert {name for name in archive.keys() - known if not name.startswith(LINKS)} == {"PKG-INFO"}


def test_the_charts_links_are_copies_of_what_they_lead_to(archive: dict[str, bytes]) -> None:
    for link in LINKS:
        files = [path for path in (ROOT / link).iterdir() if path.is_file()]
        assert files
        for path in files:
            assert archive[f"{link}/{path.name}"] == path.read_bytes()


def test_its_metadata_says_what_an_index_shows(archive: dict[str, bytes]) -> None:
    fields = HeaderParser().parsestr(archive["PKG-INFO"].decode())
    assert (fields["Name"], fields["Version"]) == ("aliyun-vod-exporter", __version__)
    assert fields["Requires-Python"] == ">=3.11"
    assert fields["License-Expression"] == "Apache-2.0"
    urls = dict(url.split(", ", 1) for url in fields.get_all("Project-URL") or ())
    assert urls
    assert all(url.startswith("https://") for url in urls.values())
    assert "Programming Language :: Python :: 3.11" in (fields.get_all("Classifier") or ())
