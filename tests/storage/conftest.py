from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.storage.examples import StorageFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def storage_file(tmp_path: Path) -> StorageFile:
    return StorageFile(tmp_path / "state.db")
