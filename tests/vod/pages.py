"""Decode pages of play data with the parameters that a test cares about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.vod import play_data

if TYPE_CHECKING:
    from exporter.core.model import Page


def decode(
    body: bytes, *, page: int = 1, page_size: int = 100, media_id: str | None = None, play_date: str = "20240322"
) -> Page:
    """The page, as the response to a request with these parameters."""
    parameters = {"PageNo": str(page), "PageSize": str(page_size), "PlayDate": play_date}
    if media_id is not None:
        parameters["MediaId"] = media_id
    return play_data.decode(body, parameters)
