"""docs/operations.md agrees with the program: log lines, metrics, alerts, and complete copies of the storage file."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = (ROOT / "docs" / "operations.md").read_text()


def test_every_log_line_of_the_table_is_one_the_program_writes() -> None:
    _, _, section = PAGE.partition("## Log lines worth knowing")
    cells = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE)
    messages = {message for cell in cells for message in re.findall(r"`([^`]+)`", cell)} - {"msg"}
    source = "\n".join(file.read_text() for file in (ROOT / "exporter").rglob("*.py"))
    assert len(messages) > 10
    assert {message for message in messages if f'"{message}"' not in source} == set()


def test_every_metric_and_alert_exists() -> None:
    metrics = set(re.findall(r"\b(?:aliyun_vod|process)_\w+", PAGE))
    known = (ROOT / "docs" / "metrics.md").read_text()
    assert metrics
    assert {name for name in metrics if name not in known and not name.startswith("process_")} == set()
    alerts = set(re.findall(r"\bAliyunVod\w+", PAGE))
    rules = "".join(file.read_text() for file in (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
    assert {alert for alert in alerts if f"alert: {alert}\n" not in rules} == set()


def test_both_ways_to_copy_a_file_in_use_in_python_take_what_was_written_last(tmp_path: Path) -> None:
    snippets = re.findall(r"python3? -c '(.*?)'", PAGE, re.DOTALL)
    assert len(snippets) == 2
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as in_use:
        in_use.execute("PRAGMA journal_mode = WAL")
        in_use.execute("CREATE TABLE slice (n)")
        in_use.execute("INSERT INTO slice VALUES (1)")
        for snippet in snippets:
            copy = tmp_path / "state-copy.db"
            code = snippet.replace("/data/", "")
            ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
            if ran.stdout:
                copy.write_bytes(ran.stdout)
            with contextlib.closing(sqlite3.connect(copy)) as copied:
                assert copied.execute("SELECT n FROM slice").fetchall() == [(1,)]
            copy.unlink()
