"""In any locale: no command fails because of a title, a name or a path; UTF-8 output stays UTF-8."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import PATIENCE, exporter, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LISTEN = "--web.listen-address=127.0.0.1:0"
KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
# With PYTHONIOENCODING: what LANG=zh_CN.GBK, en_US.ISO-8859-1 and POSIX do, on machines without those locales too.
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose first media have titles that are hard to write."""
    with exporter(tmp_path_factory.mktemp("service"), "simulate", LISTEN, "--media=12") as simulator:
        yield simulator.url()


def configure(folder: Path, endpoint: str) -> None:
    (folder / "config.yaml").write_text(
        f"accounts: [{{name: 主账号, endpoint: '{endpoint}'}}]\n"
        "queries: [{name: 头条 🎬, media: {top: 12}, days_ago: [2]}]\n",
        encoding="utf-8",
    )


@pytest.mark.parametrize(
    ("output", "encoding"), [("table", "gbk"), ("table", "ascii"), ("json", "latin-1"), ("prom", "gbk")]
)
def test_what_is_fetched_is_printed_in_any_locale(tmp_path: Path, service: str, encoding: str, output: str) -> None:
    configure(tmp_path, service)
    with exporter(tmp_path, "fetch", f"--output={output}", **KEYS, **PLAIN, PYTHONIOENCODING=encoding) as fetch:
        assert fetch.process.wait(PATIENCE) == 0
        assert "Traceback" not in fetch.err.read_text(encoding, "backslashreplace")
        printed = fetch.out.read_bytes()
    if output == "json":
        titles = [row["title"] for row in json.loads(printed.decode("utf-8"))["rows"]]
        assert any(letter >= "\N{HIBISCUS}" for title in titles for letter in title)
    elif output == "prom":
        assert 'account="主账号"' in printed.decode("utf-8")
    else:
        heading, *rows = printed.decode(encoding).splitlines()
        assert len(rows) == 12
        assert r"\U0001f" in "".join(rows)
        assert ("主账号" in rows[0]) is (encoding == "gbk")
        # Escaped before the layout: the columns after a title are still aligned.
        at = heading.index("plays") + len("plays")
        assert encoding == "gbk" or all(row[at - 1].isdigit() and row[at] == " " for row in rows)


def test_logs_as_json_are_utf_8_in_any_locale(tmp_path: Path, service: str) -> None:
    configure(tmp_path, service)
    argv = ("--log.format=json", "--log.level=info")
    with exporter(tmp_path, "fetch", *argv, **KEYS, **PLAIN, PYTHONIOENCODING="gbk") as fetch:
        assert fetch.process.wait(PATIENCE) == 0
        lines = fetch.err.read_bytes().decode("utf-8").splitlines()
    polled = [json.loads(line) for line in lines if line.startswith("{")]
    assert [line["query"] for line in polled if line["msg"] == "polled"] == ["头条 🎬"]


@pytest.mark.parametrize("encoding", ["gbk", "ascii"])
def test_check_config_prints_costs_and_errors_in_any_locale(tmp_path: Path, encoding: str) -> None:
    configure(tmp_path, "http://127.0.0.1:1")
    environ = {**KEYS, **PLAIN, "PYTHONIOENCODING": encoding}
    with exporter(tmp_path, "check-config", **environ) as check:
        assert check.process.wait(PATIENCE) == 0
        assert r"\U0001f3ac" in check.out.read_text(encoding)
    file = tmp_path / "config.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("top: 12", "top: 十二 🎬"), encoding="utf-8")
    with exporter(tmp_path, "check-config", **environ) as check:
        assert check.process.wait(PATIENCE) == 2
        log_text = check.err.read_text(encoding)
    assert log_text.startswith("config.yaml:2:")
    assert "Traceback" not in log_text


@pytest.mark.parametrize("command", ["check-config", "backfill"])
def test_a_path_and_a_variable_that_are_not_text_are_reported(tmp_path: Path, command: str) -> None:
    half = os.fsdecode(b"\xff")
    (tmp_path / f"{half}.yaml").write_text("queries: [{name: '${NAME}', media: all}]\n")
    argv = (f"--config.file={half}.yaml", *(["--output=-"] if command == "backfill" else []))
    with exporter(tmp_path, command, *argv, **KEYS, NAME=half) as process:
        assert process.process.wait(PATIENCE) == 2
        assert process.logged().startswith(
            r"'\udcff.yaml':1:18: queries[0].name: the environment variable NAME is not UTF-8"
        )
        assert process.logged().count("\n") == 1


def test_a_label_that_is_not_text_is_rejected(tmp_path: Path) -> None:
    label = f"--label=job={os.fsdecode(bytes([0xFF]))}"
    with exporter(tmp_path, "backfill", "--output=-", label, **KEYS) as backfill:
        assert backfill.process.wait(PATIENCE) == 2
        assert "the value is not text in this locale" in backfill.logged()


def test_the_demo_prints_in_any_locale(tmp_path: Path) -> None:
    with exporter(tmp_path, "demo", LISTEN, PYTHONIOENCODING="ascii") as demo:
        until(demo.out.read_bytes, "what to open")
        assert demo.stop() == 0
        assert r"\u65d7\u8230\u65b0\u54c1 Hero video" in demo.out.read_text("ascii")
