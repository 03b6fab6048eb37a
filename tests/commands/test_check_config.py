from __future__ import annotations

import asyncio
import io
import json
import threading
from math import ceil
from typing import TYPE_CHECKING

import pytest

from exporter.cli import main
from exporter.commands.config_costs import Known, config_costs, cost_table, cost_warnings
from exporter.config.loader import loads
from exporter.simulator.options import SimulatorOptions
from exporter.storage.read_only import Examined
from tests.harness import CONFIGURATION, running_harness

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from exporter.config.schema import Config


KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "c2VjcmV0"}
TWO_ACCOUNTS = """
accounts: [{name: main}, {name: second}]
queries:
  - {name: headline, account: main, media: {ids: [a, b, c]}, days_ago: [1], dimensions: [{}, {os: [Android, iOS]}]}
  - {name: popular, account: main, media: {top: 250}, days_ago: 8, every: 1d}
  - {name: catalogue, account: second, media: all, days_ago: 8, every: 1d}
"""


def config(text: str) -> Config:
    return loads(text, file="config.yaml", environ={})


def table(text: str) -> str:
    return cost_table(config_costs(config(text), Known()))


def warnings(text: str) -> list[str]:
    return list(cost_warnings(config(text), config_costs(config(text), Known())))


def test_the_costs_are_a_table_by_query_with_the_totals_of_each_account() -> None:
    assert table(TWO_ACCOUNTS) == (
        "account  query      slices  calls, first poll  calls, steady day  series\n"
        "main     headline   18      18 to 72           114 to 456         69\n"
        "main     popular    1       1 to 3             1 to 3             0 to 1750\n"
        "main     (total)    19      19 to 75           115 to 459         69 to 1819\n"
        "second   catalogue  1       at least 1         at least 1         at least 0\n"
        "second   (total)    1       at least 1         at least 1         at least 0"
    )


def test_columns_are_aligned_below_chinese_names() -> None:
    heading, query, total = table("queries: [{name: 头条视频, media: {ids: [a]}}]\n").splitlines()

    assert total.index("6 ") == heading.index("slices")
    # Each of these four characters is two columns wide.
    assert query.index("6 ") == heading.index("slices") - 4


def test_columns_are_aligned_below_names_that_the_terminal_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr("sys.stdout", stdout)
    costs = table("queries: [{name: 头条视频, media: {ids: [a]}}]\n")
    stdout.write(costs)
    stdout.flush()

    heading, query, total = stdout.buffer.getvalue().decode().splitlines()

    assert r"\u5934\u6761\u89c6\u9891" in query
    assert query.index("6 ") == total.index("6 ") == heading.index("slices")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("", []),
        (
            "limits: {calls_per_day: 458}",
            [
                (
                    "account main: a steady day takes 115 to 459 calls, calls_per_day is 458: polling will pause. Poll"
                    " less often, or fewer dimensions or days."
                )
            ],
        ),
        ("limits: {calls_per_day: 459}", []),
        (
            "limits: {requests_per_second: 0.003}",
            [
                (
                    "account main: a steady day takes 115 to 459 calls, requests_per_second allows 259: polls will be"
                    " skipped. Poll less often, or fewer dimensions or days."
                )
            ],
        ),
    ],
)
def test_what_will_not_go_well_is_a_warning(changed: str, expected: list[str]) -> None:
    text = TWO_ACCOUNTS.replace("{name: main}", f"{{name: main, {changed}}}" if changed else "{name: main}")

    assert warnings(text) == expected


def test_an_account_without_a_query_and_too_many_series_are_warnings() -> None:
    text = TWO_ACCOUNTS.replace("{name: second}", "{name: second}, {name: third}") + "series_limit: 50\n"

    assert warnings(text) == [
        "account third is not used by any query",
        "at least 69 series, series_limit is 50: media with the fewest plays will be left out",
    ]


def test_the_command_prints_the_costs_and_warns_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(TWO_ACCOUNTS + "series_limit: 50\n")

    assert main(["check-config", f"--config.file={file}"], KEYS) == 0

    printed = capsys.readouterr()
    assert printed.out == f"{file}: valid\n\n{table(TWO_ACCOUNTS)}\n"
    assert printed.err.startswith("warning: at least 69 series")


def test_the_command_warns_of_settings_that_are_valid_and_hardly_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "accounts: [{name: main, endpoint: 'https://vod.cn-hangzhou.aliyuncs.com'}]\n"
        "queries: [{name: headline, media: {ids: [your-media-id]}}]\n"
    )

    assert main(["check-config", f"--config.file={file}"], KEYS) == 0

    warned = capsys.readouterr().err
    assert "your-media-id" in warned
    assert "vod.cn-hangzhou.aliyuncs.com" in warned


async def test_what_storage_knows_makes_the_costs_exact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CONFIGURATION + "  - {name: some, media: {top: 250}, days_ago: 2}\n"
    async with running_harness(
        SimulatorOptions(media=500), storage=tmp_path / "vod.db", text=text, days_ago="[1, 2]"
    ) as harness:
        await harness.poll()
        rows = len(harness.truth(1))
    file = tmp_path / "config.yaml"
    file.write_text(
        text.replace("ENDPOINT", "http://127.0.0.1:1")
        .replace("TIMEOUT", "1s")
        .replace("MEDIA", "all")
        .replace("DIMENSIONS", "[{}]")
        .replace("DAYS_AGO", "[1, 2]")
    )

    argv = ["check-config", f"--config.file={file}", f"--storage.path={tmp_path}/vod.db"]
    assert await asyncio.to_thread(main, argv, {}) == 0

    pages = ceil(rows / 100)
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["main", "q", "2", str(2 * pages)] in [line[:4] for line in printed]
    assert ["main", "some", "1", "3"] in [line[:4] for line in printed]


def test_a_storage_file_that_does_not_respond_can_be_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def examine(_path: Path, _today: date) -> Examined:
        threads.append(threading.current_thread())
        return Examined()

    monkeypatch.setattr("exporter.storage.read_only.examine", examine)
    file = tmp_path / "config.yaml"
    file.write_text(TWO_ACCOUNTS)
    assert main(["check-config", f"--config.file={file}", "--storage.path=vod.db", "--syntax-only"], {}) == 0
    assert [thread.daemon for thread in threads] == [True]


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--schema"], {}) == 0

    assert set(json.loads(capsys.readouterr().out)["properties"]) >= {"accounts", "queries", "stale_after"}


def test_players_have_their_place_in_the_budget() -> None:
    text = TWO_ACCOUNTS.replace("{name: second}", "{name: second, limits: {calls_per_day: 1000}}")
    text += "player: [{name: app, account: second, terminal_type: web, compare: 1d}]\n"
    assert table(text).splitlines()[-3:] == [
        "second   catalogue    1       at least 1         at least 1         at least 0",
        "second   player: app  1       4                  584                16",
        "second   (total)      2       at least 5         at least 585       at least 16",
    ]
    assert warnings(text) == []
    assert warnings(text.replace("1000", "584")) == [
        (
            "account second: a steady day takes 585 calls with those of players, calls_per_day is 584: players get"
            " what play data leaves, and will pause. Poll fewer targets or metrics, or less often."
        )
    ]


def test_an_account_that_only_players_use_is_used() -> None:
    text = "accounts: [{name: main}, {name: second}]\nqueries: [{name: q, account: main, media: all}]\n"
    assert warnings(text) == ["account second is not used by any query"]
    assert warnings(text + "player: [{name: app, account: second}]\n") == []
