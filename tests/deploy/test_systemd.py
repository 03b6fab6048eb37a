"""The unit: accepted by systemd, with low exposure, and with a valid command line."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from exporter.cli import main
from exporter.commands.flags import EXPORTER_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIT: Final = Path(__file__).parent.parent.parent / "deploy" / "systemd" / "aliyun-vod-exporter.service"
TEXT: Final = UNIT.read_text(encoding="utf-8")
SETTINGS: Final[Mapping[str, str]] = dict(re.findall(r"^(\w+)=(.*)$", TEXT, re.MULTILINE))


def analyzed(*argv: str | Path) -> tuple[int, str, str]:
    done = subprocess.run(["systemd-analyze", *argv], check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def verified(text: str, folder: Path) -> str:
    """The findings of systemd for a unit whose programs exist."""
    unit = folder / UNIT.name
    unit.write_text(re.sub(r"^(ExecStart)=\S+", r"\1=/bin/true", text, flags=re.MULTILINE))
    return "".join(analyzed("verify", "--man=no", unit)[1:])


@pytest.mark.tool("systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    assert verified(TEXT, tmp_path) == ""
    assert "ProtectHoem" in verified(TEXT.replace("ProtectHome", "ProtectHoem"), tmp_path)


@pytest.mark.tool("systemd-analyze")
def test_the_socket_belongs_to_the_service_and_listens_on_the_exporter_s_port(tmp_path: Path) -> None:
    socket = tmp_path / UNIT.with_suffix(".socket").name
    socket.write_text(UNIT.with_suffix(".socket").read_text(encoding="utf-8"))
    assert verified(TEXT, tmp_path) == ""
    assert "".join(analyzed("verify", "--man=no", socket)[1:]) == ""
    assert f"\nListenStream={EXPORTER_PORT}\n" in socket.read_text()


@pytest.mark.tool("systemd-analyze")
def test_its_exposure_is_at_most_2(tmp_path: Path) -> None:
    status, output, _ = analyzed("security", "--offline=true", "--threshold=20", UNIT)
    assert status == 0, output
    bare = tmp_path / UNIT.name
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    assert analyzed("security", "--offline=true", "--threshold=20", bare)[0] != 0


def test_the_program_understands_how_it_is_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = SETTINGS["ExecStart"].replace("${STATE_DIRECTORY}", str(tmp_path)).replace("$ARGS", "--log.format=json")
    program, *argv = shlex.split(start)
    assert program == "/opt/aliyun-vod-exporter/bin/aliyun-vod-exporter"
    # The file does not exist on a test machine: this error shows that every flag was accepted.
    elsewhere = [word.replace("/etc/aliyun-vod-exporter", str(tmp_path)) for word in argv]
    assert main(elsewhere, {}) == 2
    assert capsys.readouterr().err == f"{tmp_path}/config.yaml: there is no such file; name one with --config.file\n"


def test_a_wrong_configuration_is_not_tried_again_and_again() -> None:
    assert SETTINGS["Restart"] == "on-failure"
    assert SETTINGS["RestartPreventExitStatus"] == "2"


def test_the_secret_and_the_state_belong_to_the_unit_alone() -> None:
    assert SETTINGS["DynamicUser"] == "yes"
    assert SETTINGS["LoadCredential"] == "access_key_secret:/etc/aliyun-vod-exporter/access_key_secret"
    assert (SETTINGS["StateDirectory"], SETTINGS["StateDirectoryMode"]) == ("aliyun-vod-exporter", "0700")
