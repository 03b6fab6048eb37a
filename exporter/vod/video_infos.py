"""GetVideoInfos: details of up to 20 media by their IDs, and which of these do not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.vod import metadata_values as values
from exporter.vod.actions import Action
from exporter.vod.error_bodies import malformed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.core.media_details import MediaDetails

NOT_FOUND: Final = "InvalidVideo.NotFound"
"""The error code if none of the media exists; whether it is also sent if only some are missing is not documented."""


@dataclass(frozen=True, slots=True)
class VideoInfos:
    """One response: details, and the IDs of media that do not exist."""

    details: tuple[MediaDetails, ...]
    missing: frozenset[str]


def _decode(body: bytes, parameters: Mapping[str, str]) -> VideoInfos:
    document, body = values.parsed(body, "GetVideoInfos", ("VideoList", "NonExistVideoIds"))
    requested = frozenset(parameters["VideoIds"].split(","))
    found = {}
    for each in values.objects(document, "VideoList", "Video"):
        media_id = values.media_id(each.get("VideoId"))
        if media_id in requested:
            found[media_id] = values.details(each, media_id)
    values.check_success(body, ("VideoList",), has_rows=bool(found))
    missing = requested.intersection(values.texts(document.get("NonExistVideoIds"))) - found.keys()
    if not found and not missing:
        raise malformed("the response contains none of the requested media")
    return VideoInfos(tuple(found.values()), missing)


# Name, version, permission and error codes: Alibaba Cloud's pages of 2021 to 2026.
VIDEO_INFOS: Final = Action("GetVideoInfos", "2017-03-21", "vod:GetVideoInfos", _decode, (NOT_FOUND,))


def parameters(media_ids: Sequence[str]) -> dict[str, str]:
    """The parameters of a call for at most MEDIA_PER_CALL media."""
    return {"VideoIds": ",".join(media_ids)}
