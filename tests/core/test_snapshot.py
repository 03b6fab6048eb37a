from __future__ import annotations

from datetime import date

import pytest

from exporter.core.model import Slice, SliceData, Snapshot
from tests.core.fake_service import ALL, TODAY, YESTERDAY

OLD, NEW = SliceData(Slice("main", ALL, YESTERDAY)), SliceData(Slice("main", ALL, TODAY))


def test_a_snapshot_never_changes() -> None:
    before = Snapshot().updated([OLD])

    after = before.updated([NEW, SliceData(OLD.slice, ready=False)])

    assert dict(before.slices) == {OLD.slice: OLD}
    assert [data.ready for data in after.slices.values()] == [False, True]
    with pytest.raises(TypeError):
        after.slices[OLD.slice] = OLD  # type: ignore[index]


def test_days_before_the_oldest_are_removed() -> None:
    assert set(Snapshot().updated([OLD, NEW]).since(TODAY).slices) == {NEW.slice}
    assert not Snapshot().updated([OLD, NEW]).since(date(2025, 1, 1)).slices
