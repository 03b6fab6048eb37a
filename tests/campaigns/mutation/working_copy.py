"""Prepares a working copy for mutmut: the package, the tests, and settings for fast, deterministic runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.campaigns.mutation.undecorated import undecorated

ROOT = Path(__file__).parents[3]
PACKAGES = ("core", "vod")
# The same few examples for every mutant: results must not depend on chance. Work is not counted: mutmut adds calls.
PROFILE = """
from hypothesis import Phase
from tests import steps
steps.steps = lambda work: (work(), 0)
settings.register_profile("mutants", settings.get_profile("project"), derandomize=True, database=None,
                          max_examples=20, phases=[Phase.explicit, Phase.generate])
settings.load_profile("mutants")
"""
SETTINGS = """
[tool.mutmut]
source_paths = ["exporter"]
only_mutate = {modules}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"]
pytest_add_cli_args_test_selection = {suites}
also_copy = ["exporter"]
track_dependencies = false
use_git_change_detection = false
timeout_multiplier = 4.0
timeout_constant = 4.0
"""


def modules_of(parts: list[str]) -> list[str]:
    """The paths of modules by short name: `core`, `core/plan`; raises LookupError that lists the known names."""
    found = {
        path.relative_to(ROOT).as_posix()
        for part in parts
        for path in (*(ROOT / "exporter" / part).rglob("*.py"), ROOT / "exporter" / f"{part}.py")
        if part.split("/")[0] in PACKAGES and path.is_file() and path.name != "__init__.py"
    }
    if not found:
        raise LookupError(f"{' '.join(parts)}: not among {', '.join(PACKAGES)} and their modules, such as core/plan")
    return sorted(found)


def prepare(work: Path, modules: list[str]) -> None:
    """Create the directory `work` for `mutmut run`; `modules` are paths such as `exporter/core/plan.py`."""
    shutil.rmtree(work, ignore_errors=True)
    for name in ("exporter", "tests"):
        shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    for module in modules:
        path = work / module
        path.write_text(undecorated(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in (work / "tests").rglob("test_*.py"):
        path.write_text(
            re.sub(r"\bmax_examples=\d+", "max_examples=20", path.read_text(encoding="utf-8")), encoding="utf-8"
        )
    with (work / "tests" / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(PROFILE)
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    # Each package is tested by its own tests only: a mutant that only others detect counts as untested.
    suites = sorted({f"tests/{Path(module).parts[1]}" for module in modules})
    settings += SETTINGS.format(modules=modules, suites=suites)
    (work / "pyproject.toml").write_text(settings, encoding="utf-8")
