"""Reads mutmut's results: a table per module, and the survivors without a result."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from pathlib import Path

# mutmut writes the exit status of the tests: pytest's, a signal that ended them, or its own numbers.
KILLED = {1, 3, -11, 245}
TIMED_OUT = {-24, 24, 36, 152, 255}
SURVIVED = {0}
NO_TEST = {5, 33}


@dataclass(frozen=True)
class Mutant:
    """One change of the code and the result of the tests: `killed`, `survived`, `no test`, `timed out` or `unclear`."""

    module: str  # core/plan
    name: str  # mutmut's, for `mutmut show`
    result: str


@dataclass(frozen=True)
class Change:
    """A mutant in a short form that outlives the numbering of mutants."""

    module: str
    function: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.module} {self.function}: {self.before} → {self.after}".rstrip()


def mutants(work: Path) -> Iterator[Mutant]:
    """Every mutant of the working copy, with its result."""
    root = work / "mutants" / "exporter"
    for meta in sorted(root.rglob("*.py.meta")):
        module = meta.relative_to(root).as_posix().removesuffix(".py.meta")
        for name, status in json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"].items():
            yield Mutant(module, name, result_of(status))


def result_of(status: int | None) -> str:
    """The result on a mutant by the exit status of the tests."""
    for result, statuses in (
        ("killed", KILLED),
        ("timed out", TIMED_OUT),
        ("survived", SURVIVED),
        ("no test", NO_TEST),
    ):
        if status in statuses:
            return result
    return "unclear"


def change(mutant: Mutant, diff: str) -> Change:
    """The lines that differ, without their indentation, out of a unified diff as `mutmut show` prints it."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]

    def side(sign: str) -> str:
        return " ⏎ ".join(line[1:].strip() for line in lines if line.startswith(sign))

    function = mutant.name.rpartition("__mutmut_")[0].rpartition(".")[2]
    return Change(mutant.module, function.removeprefix("xǁ").removeprefix("x_").replace("ǁ", "."), side("-"), side("+"))


def table(found: Iterable[Mutant], stays: Container[Mutant]) -> str:
    """Per module and in total: mutants by result, and the share killed of those not accepted."""
    counts: dict[str, Counter[str]] = {}
    for mutant in found:
        result = "accepted" if mutant.result in {"survived", "no test"} and mutant in stays else mutant.result
        for place in (mutant.module, "all"):
            counts.setdefault(place, Counter())[result] += 1
    columns = ("killed", "timed out", "accepted", "survived", "no test", "unclear")
    lines = [
        "| module | mutants | " + " | ".join(columns) + " | noticed |",
        "|---|" + "---:|" * (len(columns) + 2),
    ]
    for module, row in sorted(counts.items(), key=lambda item: (item[0] == "all", item[0])):
        noticed = (row["killed"] + row["timed out"]) / max(1, row.total() - row["accepted"])
        cells = [module, str(row.total()), *(str(row[column]) for column in columns), f"{noticed:.1%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
