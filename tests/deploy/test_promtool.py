from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.deploy import promtool

if TYPE_CHECKING:
    from pathlib import Path

LISTS = 'case "$*" in *indextargets*) echo http://127.0.0.1:9/debian;; *) exit 100;; esac'


@pytest.mark.parametrize(("apt", "reason"), [("exit 0", "put another one on the path"), (LISTS, "exit status 100")])
def test_without_packages_the_reason_is_printed_and_the_command_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], apt: str, reason: str
) -> None:
    (program := tmp_path / "apt-get").write_text(f"#!/bin/sh\n{apt}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    promtool.get(tmp_path / "prometheus3")

    assert reason in capsys.readouterr().out
    assert not (tmp_path / "prometheus3").exists()


def path_with(folder: Path, script: str) -> str:
    """A PATH with a promtool that adds a line to `runs` and then does what the script says."""
    (program := folder / "promtool").write_text(f'#!/bin/sh\necho "$@" >>{folder}/runs\n{script}\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_a_test_of_promtool_2_fails_when_it_failed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path_with(tmp_path, f"test $(wc -l <{tmp_path}/runs) -gt 1"))
    promtool.promtool("2", "test", "rules", "a.yml")
    assert (tmp_path / "runs").read_text() == "test rules a.yml\n" * 2
    monkeypatch.setenv("PATH", path_with(tmp_path, "echo wrong; exit 1"))
    with pytest.raises(pytest.fail.Exception, match="wrong"):
        promtool.promtool("2", "test", "rules", "a.yml")


def test_a_check_of_rules_fails_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path_with(tmp_path, "exit 1"))
    with pytest.raises(pytest.fail.Exception):
        promtool.promtool("2", "check", "rules", "a.yml")
    assert (tmp_path / "runs").read_text() == "check rules a.yml\n"
