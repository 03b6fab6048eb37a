"""A further field of the response needs only the changes that modules.md names."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent

# The module, an existing line, and the line that is added after it.
PLACES: Final = (
    (
        "exporter/core/fields.py",
        '    Field("play_duration_per_viewer", "PlayDurationPerUv", sortable=True, seconds=True),\n',
        '    Field("likes", "LikeCount"),\n',
    ),
    (
        "exporter/core/fields.py",
        "        and same_number(one.play_duration_per_viewer, other.play_duration_per_viewer)\n",
        "        and one.likes == other.likes\n",
    ),
    # Of rows that are otherwise equal, the larger value is used.
    ("exporter/core/fields.py", "        row.play_duration_per_viewer,\n", "        row.likes,\n"),
    (
        "exporter/core/model.py",
        "    play_duration_per_viewer: int | float | None = None\n",
        "    likes: int | float | None = None\n",
    ),
    ("exporter/core/publication.py", "    fields = (row.plays, row.viewers,", " row.likes,"),
    (
        "exporter/vod/play_data.py",
        "    play_duration_per_viewer: _Plain | None = None\n",
        "    likes: _Plain | None = None\n",
    ),
    (
        "exporter/exposition/catalog.py",
        '            "Time the media was played per viewer on the play date, in seconds",\n        ),\n',
        '        _play("likes", "aliyun_vod_media_likes", "Number of likes of the media on the play date"),\n',
    ),
)
TESTS: Final = ("core/test_fields.py", "exposition/examples.py", "vod/pages.py")


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the exporter and of the tests that every field must pass."""
    copy = tmp_path_factory.mktemp("exporter")
    shutil.copytree(ROOT / "exporter", copy / "exporter", ignore=shutil.ignore_patterns("__pycache__"))
    for test in TESTS:
        target = copy / "tests" / test
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / test, target)
        for package in (target.parent, copy / "tests"):
            (package / "__init__.py").touch()
    return copy


def change(copy: Path, *, without: int | None = None) -> None:
    for path in {path for path, *_ in PLACES}:
        shutil.copy(ROOT / path, copy / path)
    for number, (path, after, added) in enumerate(PLACES):
        text = (copy / path).read_text()
        assert text.count(after) == 1, f"{path}: {after}"
        if number != without:
            (copy / path).write_text(text.replace(after, after + added))


def run_field_tests(copy: Path) -> str:
    """The output of the tests that every field must pass; they read the table of fields."""
    options = ("-c", "/dev/null", "--rootdir", str(copy), "-q", "-x", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *options, "tests"]
    ran = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    return ran.stdout


@pytest.mark.slow
def test_with_all_places_changed_the_field_is_everywhere(as_it_is: Path) -> None:
    change(as_it_is)
    printed = run_field_tests(as_it_is)
    assert re.search(r"^\d+ passed in ", printed, re.MULTILINE), printed


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PLACES)))
def test_a_place_that_is_left_out_is_noticed(number: int, as_it_is: Path) -> None:
    change(as_it_is, without=number)
    assert not re.search(r"^\d+ passed in ", run_field_tests(as_it_is), re.MULTILINE)


def test_modules_md_names_the_places() -> None:
    text = (ROOT / "docs" / "design" / "modules.md").read_text()
    (item,) = re.findall(r"^\* A new field of the response: (.*?)^\* ", text, re.MULTILINE | re.DOTALL)
    places = {f"exporter/{path}" for path in re.findall(r"`([a-z_/]+\.py)`", item) if not path.startswith("tests/")}
    assert places == {path for path, *_ in PLACES}
