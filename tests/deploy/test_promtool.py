from __future__ import annotations

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
