"""Hostile text of the service stays data: it controls no terminal, adds no series or log line, and runs on no page."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import PATIENCE, exporter, get, until
from tests.security import hostile

if TYPE_CHECKING:
    from pathlib import Path

FETCH = (sys.executable, "-m", "exporter", "fetch")


def fetched(folder: Path, url: str, *flags: str, media: str = "{ids: [a]}") -> tuple[int, str, str]:
    """Status, stdout and stderr of a poll."""
    (folder / "config.yaml").write_text(hostile.configuration(url, media))
    done = subprocess.run([*FETCH, *flags], cwd=folder, capture_output=True, check=False, timeout=PATIENCE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def controls(text: str) -> list[str]:
    return [control for control in hostile.CONTROLS if control in text]


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_title_cannot_control_the_terminal(output: str, tmp_path: Path) -> None:
    with hostile.service(200, hostile.rows("a")) as url:
        status, out, err = fetched(tmp_path, url, f"--output={output}")
    assert status == 0
    assert "owned" in out
    assert controls(out + err) == []
    if output == "json":
        # Nothing is lost by that but control characters and half a character, which no output can hold.
        text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+", " ", hostile.TEXT).replace("\ud800", "\ufffd")
        assert json.loads(out)["rows"][0]["title"] == text


def test_a_title_adds_no_series_and_is_exact_in_a_pipe_and_escaped_on_a_terminal(tmp_path: Path) -> None:
    with hostile.service(200, hostile.rows("a")) as url:
        _, piped, _ = fetched(tmp_path, url, "--output=prom")
        master, slave = pty.openpty()
        with (
            os.fdopen(master, "rb", buffering=0) as terminal,
            subprocess.Popen(
                [*FETCH, "--output=prom", "--log.level=error"], cwd=tmp_path, stdout=slave, stderr=subprocess.DEVNULL
            ),
        ):
            os.close(slave)
            seen = b""
            try:
                while piece := terminal.read(65_536):
                    seen += piece
            except OSError:
                pass  # EIO: on Linux the other end is closed
    shown = seen.decode().replace("\r\n", "\n")
    assert " ]0;owned" in piped
    assert "\x1b" not in piped
    assert [line for line in piped.split("\n") if not line.startswith(("#", "aliyun_", "process_", "python_"))] == [""]
    assert piped.count("\naliyun_vod_media_info{") == 1
    assert "owned" in shown
    assert controls(shown) == []


@pytest.mark.parametrize("format_", ["logfmt", "json"])
def test_an_error_adds_no_log_line_and_no_field(format_: str, tmp_path: Path) -> None:
    with hostile.service(400, hostile.refusal()) as url:
        status, out, err = fetched(tmp_path, url, f"--log.format={format_}")
    assert status == 1
    assert controls(out + err) == []
    started, warning, progress = err.splitlines()
    assert started == "polling 1 query"
    assert progress.startswith("polled q: failure")
    if format_ == "json":
        assert json.loads(warning)["level"] == "warn"
    else:
        outside_quotes = re.sub(r'"(?:\\.|[^"\\])*"', "", warning)
        assert re.findall(r"\blevel=(\w+)", outside_quotes) == ["warn"]
        assert "owned" not in outside_quotes


def test_page_and_metrics_contain_hostile_text_escaped(tmp_path: Path) -> None:
    with hostile.service(200, hostile.rows("a")) as url:
        (tmp_path / "config.yaml").write_text(hostile.configuration(url, "{ids: [a]}"))
        with exporter(tmp_path, "serve", "--web.listen-address=127.0.0.1:0") as daemon:
            home = daemon.url()
            until(lambda: get(f"{home}/-/ready").is_success, "the first poll")
            page = get(home).text
            assert "owned" in page
            assert "<script" not in page
            assert controls(page) == []
            answer = get(f"{home}/api/v1/status")
            assert answer.headers["content-type"].startswith("application/json")
            assert "owned" in answer.text
            assert daemon.stop() == 0
            assert controls(daemon.logged()) == []
