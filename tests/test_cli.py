from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from exporter import __version__
from exporter.cli import COMMANDS, main

if TYPE_CHECKING:
    from pathlib import Path


VALID = "queries: [{name: q, media: all}]"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(VALID)
    return file


def status_of(*argv: str) -> int:
    """The exit status, however the command line ends."""
    try:
        return main(list(argv), {})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"aliyun-vod-exporter {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_flags_and_their_defaults(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(command, "--help") == 0
    told = capsys.readouterr().out
    assert "--log.level" in told
    assert f"(default: {'warning' if command in {'fetch', 'backfill'} else 'info'})" in told


@pytest.mark.parametrize(
    "argv",
    [
        ["check-config", "--syntax-only", "--config.file=FILE"],
        ["--config.file=FILE", "check-config", "--syntax-only"],
        ["--config.file", "FILE", "check-config", "--syntax-only"],
        ["check-config", "--config.file", "FILE", "--syntax-only", "--log.format=json"],
    ],
)
def test_a_command_may_stand_anywhere(argv: list[str], config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*(word.replace("FILE", str(config)) for word in argv)) == 0
    assert f"{config}: valid" in capsys.readouterr().out


def test_a_file_named_like_a_command_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text(VALID)

    assert status_of("check-config", "--syntax-only", "--config.file", "demo") == 0


@pytest.mark.parametrize("argv", [[], ["serve"], ["check-config"], ["fetch"], ["--log.level=debug"]])
def test_a_configuration_that_is_not_there_is_told(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert status_of(*argv) == 2
    assert capsys.readouterr().err == "config.yaml: there is no such file; name one with --config.file\n"


def test_every_problem_of_a_configuration_is_told_with_its_place(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("queries:\n  - name: q\n    media: all\n    dimensions: [{os: android}]\n    evry: 5m\n")

    assert status_of(f"--config.file={config}") == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(
        f"{config}:4:23: queries[0].dimensions[0].os: 'android' is not one of Android, iOS, Windows"
    )
    assert second.startswith(f"{config}:5:5: queries[0].evry: ")


def test_without_keys_it_cannot_start(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(f"--config.file={config}", "--web.listen-address=127.0.0.1:0") == 1
    told = capsys.readouterr().err
    assert told.startswith("aliyun-vod-exporter: account default: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["nonsense"], "unrecognized arguments: nonsense"),
        (["--log.level=loud"], "invalid choice: 'loud'"),
        (["--web.listen-address=9985"], "'9985' is not an address: write HOST:PORT, :PORT or [IPv6]:PORT"),
        (["--web.telemetry-path=metrics"], "'metrics' is not a path of its own: write one like /metrics"),
        (["--web.telemetry-path=/-/ready"], "'/-/ready' is not a path of its own"),
        (["fetch", "--output=xml"], "invalid choice: 'xml'"),
        (["demo", "--media=-1"], "'-1' is not a whole number from 0"),
        (["simulate", "--fail=Nonsense:1"], "'Nonsense' is not one of Meter.ParamError"),
        (["simulate", "--fail=Meter.AuthError"], "is not CODE:RATE"),
        (["simulate", "--latency=soon"], "argument --latency: "),
        (["simulate", "--collapse=31"], "31 is more than 30 days ago"),
        (["simulate", "--rate=-1"], "rate must be a number from 0, not -1.0"),
        (["simulate", "--access-key-id="], "access_key_id and access_key_secret must not be empty"),
    ],
)
def test_a_wrong_flag_is_refused_with_what_is_right(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*argv) == 2
    assert told in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_failure_to_complain_of() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "check-config", "--schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as asked:
        assert asked.stdout
        assert asked.stderr
        asked.stdout.close()
        assert asked.stderr.read() == b""
