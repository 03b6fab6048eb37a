"""Fuzzes one target with atheris, guided by coverage, in a process of its own.

`python -m tests.campaigns.fuzz.guided TARGET FOLDER FLAG...`, the flags being libFuzzer's; libFuzzer ends
the process when it is done.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.campaigns.fuzz.target import Try

# The Python code that reads the input: only there coverage is measured.
INSTRUMENTED = ("exporter", "yaml", "h11", "uvicorn.protocols", "starlette")


def main(argv: list[str]) -> None:
    """Fuzz for a time or until a finding, which is written to the folder."""
    # Not available on every platform.
    atheris: Any = importlib.import_module("atheris")

    # Modules imported from here on are instrumented.
    with atheris.instrument_imports(include=list(INSTRUMENTED), enable_loader_override=False):
        from tests.campaigns.fuzz.targets import TARGETS  # noqa: PLC0415

    name, findings, *flags = argv
    target = TARGETS[name]
    with target.opened() as try_one:
        atheris.Setup([name, f"-max_len={target.longest}", *flags], watched(try_one, Path(findings)))
        atheris.Fuzz()


def watched(try_one: Try, findings: Path) -> Try:
    """Save a failing input and end the process: libFuzzer would wait for our threads, and may lose it."""
    executions = 0

    def watch(fuzz_input: bytes) -> None:
        nonlocal executions
        executions += 1
        try:
            try_one(fuzz_input)
        except Exception:  # noqa: BLE001  # any exception is a finding
            traceback.print_exc()
            (findings / f"crash-{sha256(fuzz_input).hexdigest()[:16]}").write_bytes(fuzz_input)
            sys.stderr.write(f"stat::number_of_executed_units: {executions}\n")
            sys.stderr.flush()
            os._exit(1)

    return watch


if __name__ == "__main__":
    main(sys.argv[1:])
