"""Fuzzes a target for some time in a process of its own, from its seeds and the corpus of earlier campaigns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.campaigns.fuzz.target import Target

# An input that takes longer, or more memory, is a finding.
_INPUT_SECONDS: Final = 20
_MEGABYTES: Final = 2048
_EXECUTED: Final = re.compile(rb"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result: inputs tried, inputs kept, files with findings, and the log."""

    name: str
    seconds: int
    executions: int
    corpus: int
    findings: tuple[Path, ...]
    log: Path
    ended_well: bool


def campaign(target: Target, *, seconds: int, folder: Path) -> Outcome:
    """Fuzz one target; below the folder are `corpus/TARGET`, `findings/TARGET` and `TARGET.log`."""
    corpus, found = folder / "corpus" / target.name, folder / "findings" / target.name
    log = folder / f"{target.name}.log"
    for place in (corpus, found):
        place.mkdir(parents=True, exist_ok=True)
    for seed in target.corpus():
        (corpus / sha256(seed).hexdigest()).write_bytes(seed)
    with tempfile.TemporaryDirectory() as scratch, log.open("wb") as log_file:
        words = Path(scratch) / "words"
        words.write_text("".join(f'"{_as_literal(word)}"\n' for word in target.words))
        flags = [
            f"-max_total_time={seconds}",
            f"-timeout={_INPUT_SECONDS}",
            f"-rss_limit_mb={_MEGABYTES}",
            f"-dict={words}",
            f"-artifact_prefix={found}{os.sep}",
            "-print_final_stats=1",
            "-verbosity=1",
            str(corpus),
        ]
        ended = subprocess.run(
            [sys.executable, "-m", "tests.campaigns.fuzz.guided", target.name, str(found), *flags],
            stdout=log_file,
            stderr=subprocess.STDOUT,
            # libFuzzer ends the process without leaving contexts: its leftovers are removed with the scratch folder.
            env={**os.environ, "TMPDIR": scratch},
            check=False,
        )
    executed = _EXECUTED.findall(log.read_bytes())
    return Outcome(
        target.name,
        seconds,
        int(executed[-1]) if executed else 0,
        len(list(corpus.iterdir())),
        tuple(sorted(found.iterdir())),
        log,
        ended.returncode == 0,
    )


def _as_literal(word: bytes) -> str:
    """In the syntax of libFuzzer's dictionaries."""
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word)
