from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.campaigns.mutation.accepted import accepted_on, is_wording
from tests.campaigns.mutation.results import (
    Change,
    Mutant,
    change,
    mutants,
    table,
)
from tests.campaigns.mutation.working_copy import ROOT, modules_of

if TYPE_CHECKING:
    from pathlib import Path

MUTANT = Mutant("core/page_reader", "exporter.core.page_reader.xǁPageReaderǁask__mutmut_12", "survived")
DIFF = """# exporter.core.page_reader.xǁPageReaderǁask__mutmut_12: survived
--- exporter/core/page_reader.py
+++ exporter/core/page_reader.py
@@ -1,3 +1,3 @@
     def ask(self):
-        return 1
+        return 2
"""


def changed(before: str, after: str) -> Change:
    return Change("core/page_reader", "PageReader.ask", before, after)


def test_results_are_read_from_what_mutmut_wrote(tmp_path: Path) -> None:
    meta = tmp_path / "mutants" / "exporter" / "core" / "page_reader.py.meta"
    meta.parent.mkdir(parents=True)
    statuses = {"a": 1, "b": 0, "c": -24, "d": 33, "e": None, "f": 77}
    meta.write_text(json.dumps({"exit_code_by_key": statuses}), "utf-8")

    found = {mutant.name: (mutant.module, mutant.result) for mutant in mutants(tmp_path)}

    results = {"a": "killed", "b": "survived", "c": "timed out", "d": "no test", "e": "unclear", "f": "unclear"}
    assert found == {name: ("core/page_reader", result) for name, result in results.items()}


def test_a_change_is_its_place_and_the_lines_that_differ() -> None:
    assert str(change(MUTANT, DIFF)) == "core/page_reader PageReader.ask: return 1 → return 2"
    assert (
        change(Mutant("core/play_dates", "exporter.core.play_dates.x_today__mutmut_3", "survived"), DIFF).function
        == "today"
    )


def test_a_line_that_is_taken_away_is_listed_without_a_space_at_its_end() -> None:
    assert str(changed("return 1", "")) == "core/page_reader PageReader.ask: return 1 →"


def test_the_page_accepts_only_the_survivors_that_it_lists() -> None:
    page = """Survivors (as core/x y: a → b) are

```text
core/page_reader PageReader.ask: return 1 → return 2
vod/credentials/sdk _outcome: a → b
```
"""

    assert accepted_on(page) == {str(change(MUTANT, DIFF)), "vod/credentials/sdk _outcome: a → b"}


@pytest.mark.parametrize(
    ("before", "after", "wording"),
    [
        ('fail("no end of it", n=1)', 'fail("XXno end of itXX", n=1)', True),
        ('fail("No end of it", n=1)', 'fail("no end of it", n=1)', True),
        ('fail(f"no {n} of it", n=1)', 'fail(f"NO {N} OF IT", n=1)', True),
        ('get("MediaId")', 'get("XXMediaIdXX")', False),
        ('fail("no end of it", "name")', 'fail("no end of it", "NAME")', False),
        ('fail("no end of it", n=1)', 'fail("no end of it", n=2)', False),
        ('fail("no end of it", n=1)', "fail(None, n=1)", False),
        ('fail("no end of it", n=1)', 'fail("no end of it", )', False),
    ],
)
def test_only_changes_of_wording_are_accepted(before: str, after: str, wording: bool) -> None:  # noqa: FBT001 - parametrized
    assert is_wording(changed(before, after)) is wording


def test_the_table_counts_by_module_and_accepted_survivors_do_not_lower_the_share() -> None:
    stays = Mutant("core/page_reader", "b", "survived")
    found = [
        Mutant("core/page_reader", "a", "killed"),
        stays,
        Mutant("vod/auth_breaker", "c", "survived"),
        Mutant("vod/auth_breaker", "d", "timed out"),
    ]

    rows = table(found, {stays}).splitlines()[2:]

    assert rows == [
        "| core/page_reader | 2 | 1 | 0 | 1 | 0 | 0 | 0 | 100.0% |",
        "| vod/auth_breaker | 2 | 0 | 1 | 0 | 1 | 0 | 0 | 50.0% |",
        "| all | 4 | 1 | 1 | 1 | 1 | 0 | 0 | 66.7% |",
    ]


def test_parts_are_packages_or_modules_of_them() -> None:
    assert modules_of(["core/plan", "core/play_dates"]) == ["exporter/core/plan.py", "exporter/core/play_dates.py"]
    assert "exporter/vod/client.py" in modules_of(["vod"])
    assert not [module for module in modules_of(["core", "vod"]) if not (ROOT / module).is_file()]
    with pytest.raises(LookupError, match=r"web: not among core, vod"):
        modules_of(["web"])
