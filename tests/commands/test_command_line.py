"""Completion by a real bash, and the manual page formatted by `man`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.cli import COMMANDS, main

SCRIPT = Path(sys.executable).with_name("aliyun-vod-exporter")


@pytest.fixture(scope="module")
def script() -> str:
    return subprocess.run(
        [sys.executable, "-m", "exporter", "--completion-script-bash"], check=True, capture_output=True, text=True
    ).stdout


def completed(script: str, folder: Path, *words: str) -> list[str]:
    """The completions that bash offers for the last word of a line."""
    line = words[0] + "".join(word if word == "=" or before == "=" else f" {word}" for before, word in pairwise(words))
    shell_script = f"""{script}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
COMP_LINE='{line}'; COMP_POINT={len(line)}; COMP_TYPE=9
function_of=$(complete -p aliyun-vod-exporter | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function_of aliyun-vod-exporter '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    completions = subprocess.run(
        ["bash", "--norc", "-c", shell_script],
        cwd=folder,
        env={**os.environ, "PATH": f"{SCRIPT.parent}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
    )
    return [word.rstrip() for word in completions.stdout.splitlines() if word]


@pytest.mark.skipif(not SCRIPT.exists() or shutil.which("bash") is None, reason="needs bash and the installed script")
def test_bash_completes_commands_flags_and_values(script: str, tmp_path: Path) -> None:
    (tmp_path / "my-config.yaml").touch()
    assert set(COMMANDS) <= set(completed(script, tmp_path, "aliyun-vod-exporter", ""))
    assert completed(script, tmp_path, "aliyun-vod-exporter", "check-") == ["check-config", "check-healthy"]
    assert completed(script, tmp_path, "aliyun-vod-exporter", "fetch", "--ou") == ["--output"]
    assert completed(script, tmp_path, "aliyun-vod-exporter", "--web.tele") == ["--web.telemetry-path"]
    assert completed(script, tmp_path, "aliyun-vod-exporter", "--log.level", "=", "w") == ["warn"]
    assert completed(script, tmp_path, "aliyun-vod-exporter", "--log.level", "w") == ["warn"]
    assert completed(script, tmp_path, "aliyun-vod-exporter", "check-config", "--config.file", "=", "my") == [
        "my-config.yaml"
    ]


def test_zsh_has_a_script_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion-script-zsh"], {}) == 0
    assert capsys.readouterr().out.startswith("#compdef aliyun-vod-exporter\n")


@pytest.mark.tool("groff")
def test_the_manual_page_is_formatted_without_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help-man"], {}) == 0
    page = tmp_path / "aliyun-vod-exporter.1"
    page.write_text(capsys.readouterr().out)
    completions = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-c", "-P-b", "-P-u", str(page)],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert completions.stderr == ""
    assert "POSITIONAL ARGUMENTS" not in completions.stdout
    for word in (
        "NAME",
        "SYNOPSIS",
        "COMMANDS",
        "ENVIRONMENT",
        "EXIT STATUS",
        *COMMANDS,
        "--web.listen-address",
        "default: :9985",
    ):
        assert word in completions.stdout
