"""The release: one version everywhere, and workflows that pin what they run and may do little."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from exporter import __version__
from tests.deploy.release import ROOT, problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FILES: Final = ("CHANGELOG.md", "Dockerfile", "deploy/helm/aliyun-vod-exporter/Chart.yaml")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_program_chart_image_and_changelog_have_one_version() -> None:
    assert problems(f"v{__version__}") == []


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (FILES[0], f"## [{__version__}] - ", "## [9.9.9] - ", "CHANGELOG.md has no line: ## [{}] - YYYY-MM-DD"),
        (FILES[1], f"ARG VERSION={__version__}", "ARG VERSION=9.9.9", "VERSION in the Dockerfile is 9.9.9, not {}"),
        (FILES[2], f"\nversion: {__version__}", "\nversion: 9.9.9", "version in Chart.yaml is 9.9.9, not {}"),
        (FILES[2], f"appVersion: {__version__}", "appVersion: 9.9.9", "appVersion in Chart.yaml is 9.9.9, not {}"),
    ],
)
def test_another_version_is_found(tree: Path, file: str, old: str, new: str, problem: str) -> None:
    text = (tree / file).read_text()
    assert old in text
    (tree / file).write_text(text.replace(old, new))
    assert problems(f"v{__version__}", tree) == [problem.format(__version__)]


@pytest.mark.parametrize("tag", ["", __version__, f"v{__version__}-rc1", "main"])
def test_what_is_no_release_tag_is_refused(tag: str) -> None:
    assert problems(tag) == [f"{tag!r} is not a tag like v1.2.3"]


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_pins_what_it_runs_and_may_do_nothing_by_default(file: Path) -> None:
    text = file.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for right, access in job["permissions"].items():
            assert access == "read" or right != "contents" or "contents: write # " in text
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
            assert re.search(rf"{re.escape(step['uses'])} # v\d+\.\d+\.\d+\n", text)
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        # What a stranger chooses, as the name of a branch, never becomes a part of a script.
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_the_tests_can_run_in_a_container(file: Path) -> None:
    """Two tests ask git, which refuses a checkout of another user, here that of the machine."""
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        runs = [step.get("run", "") for step in job["steps"]]
        assert (".ci/run" in runs) == ("container" in job)
        if "container" in job:
            (trusting,) = (n for n, run in enumerate(runs) if "--add safe.directory" in run)
            assert trusting < runs.index(".ci/run")
            assert job["container"]["options"] == "--privileged"


@pytest.mark.parametrize("url", ["", "https://github.com/owner/repository"])
def test_chart_and_image_of_a_release_name_their_repository(url: str) -> None:
    ran = subprocess.run(
        ["make", "--dry-run", "dist", f"SOURCE_URL={url}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ("sources:" in ran.stdout, f"\"%s\"]\\n' '{url}' >>" in ran.stdout) == (bool(url), bool(url))
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert "make dist sbom SOURCE_URL=" in workflow
    assert "org.opencontainers.image.source=" in workflow


def test_every_target_that_a_workflow_makes_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {
        word
        for file in WORKFLOWS
        for step in steps(yaml.safe_load(file.read_text()))
        for call in re.findall(r"^make (.+)$", step.get("run", ""), re.MULTILINE)
        for word in call.split()
        if "=" not in word
    }
    assert made == {"dist", "release-version", "sbom"}
    assert made <= targets
