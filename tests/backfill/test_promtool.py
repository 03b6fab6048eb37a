from __future__ import annotations

from pathlib import Path

import pytest

from exporter.backfill import promtool
from exporter.errors import FlagError


def test_a_directory_that_cannot_be_looked_at_is_refused() -> None:
    # As below the home of another user (EACCES), which a test that runs as root may enter.
    with pytest.raises(FlagError, match="a is not a directory that can be written to"):
        promtool.check_directory(Path("/", "a" * 300, "a"))
