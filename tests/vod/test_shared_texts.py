from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.vod import shared_texts
from exporter.vod.shared_texts import SharedTexts

if TYPE_CHECKING:
    import pytest


@dataclass
class Row:
    media_id: str
    title: str | None = None


def row(number: int, title: str | None = None) -> Row:
    """A row whose texts are objects of its own."""
    return Row(f"media {number}", title and f"{title}{number}")


def test_a_title_may_be_absent() -> None:
    texts, untitled = SharedTexts(), row(1)
    texts.share([row(1, "title"), untitled])
    assert untitled == row(1)


def test_only_so_many_texts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_texts, "MOST", 4)
    texts, first, again, late = SharedTexts(), row(0, "title"), row(0, "title"), row(0, "title")
    texts.share([first])
    texts.share([row(1, "title"), again])
    assert again.title is first.title
    texts.share([row(2, "title")])
    texts.share([late])
    assert late == first
    assert texts.shared(row(0).media_id) is late.media_id
    assert late.title is not first.title
    assert late.media_id is not first.media_id
    texts.share([row(3, "title"), row(4, "title")])
    assert texts.shared(row(0).media_id) is not late.media_id
