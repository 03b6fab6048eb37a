"""A video as SearchMedia and GetVideoInfos write it, and GetVideoInfos itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from exporter.simulator.error_responses import ApiError
from exporter.simulator.parameters import format_time
from exporter.simulator.popularity import mix

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exporter.simulator.categories import CategoryTree
    from exporter.simulator.media_library import MediaLibrary, Video
    from exporter.simulator.variants import Variants

NAMES: Final = ("VideoIds", "ReferenceIds")
MOST_IDS: Final = 20


def search_fields(
    video: Video, fields: Collection[str], categories: CategoryTree, variants: Variants
) -> dict[str, Any]:
    """An element of MediaList: the video's ID and creation time, and what `fields` names."""
    known = _fields(video, categories, variants)
    known |= {
        "MediaSource": "general",
        "PreprocessStatus": "UnPreprocess",
        "TranscodeMode": "FastTranscode",
        "DownloadSwitch": "on",
        "SpriteSnapshots": [],
    }
    chosen = {name: value for name, value in known.items() if name in fields or name in {"VideoId", "CreationTime"}}
    return {
        "MediaId": video.media_id,
        "MediaType": "video",
        "CreationTime": known["CreationTime"],
        "Video": chosen,
    }


def _fields(video: Video, categories: CategoryTree, variants: Variants) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "VideoId": video.media_id,
        "Title": video.title,
        "Description": video.description,
        "Tags": ",".join(video.tags),
        "CateId": video.category_id,
        "CateName": categories.name(video.category_id),
        "Status": video.status,
        "Duration": video.duration,
        "Size": video.size,
        "CreationTime": format_time(video.created),
        "ModificationTime": format_time(video.modified),
        # Such addresses carry a signature.
        "CoverURL": f"https://vod.example/{video.media_id}.jpg?auth_key=1700000000-0-0-{video.media_id}",
        "Snapshots": [f"https://vod.example/{video.media_id}-1.jpg?auth_key=1700000000-0-0-{video.media_id}"],
        "StorageLocation": video.storage_location,
        "StorageClass": "Standard",
        "AppId": video.app_id,
        "ReferenceId": video.reference_id,
    }
    if video.category_id is None and variants.uncategorised == "absent":
        del fields["CateId"], fields["CateName"]
    return fields


def get_video_infos(
    library: MediaLibrary, parameters: Mapping[str, str], now: float, variants: Variants
) -> dict[str, Any]:
    """The response of GetVideoInfos without RequestId; raises ApiError."""
    state = library.at(now, same_second=variants.created == "same_second")
    ids, references = _ids("VideoIds", parameters), _ids("ReferenceIds", parameters)
    if not ids and not references:
        raise ApiError("MissingParameter", "VideoIds")
    by_reference = {video.reference_id: video for video in state.videos} if references else {}
    found = {media_id: state.by_id[media_id] for media_id in ids if media_id in state.by_id}
    found |= {by_reference[each].media_id: by_reference[each] for each in references if each in by_reference}
    missing = [media_id for media_id in ids if media_id not in state.by_id]
    missing_references = [each for each in references if each not in by_reference]
    nothing = not found or (variants.not_found == "any" and (missing or missing_references))
    if nothing and variants.not_found != "never":
        raise ApiError("InvalidVideo.NotFound")
    videos = list(found.values())
    if variants.video_order == "shuffled":
        videos.sort(key=lambda video: mix(int.from_bytes(video.media_id.encode()) & ((1 << 64) - 1)))
    response: dict[str, Any] = {
        "VideoList": [_fields(video, library.categories, variants) for video in videos],
        "NonExistVideoIds": missing,
        "NonExistReferenceIds": missing_references,
    }
    if variants.missing_ids == "text":
        response |= {name: json.dumps(response[name]) for name in ("NonExistVideoIds", "NonExistReferenceIds")}
    return response


def _ids(name: str, parameters: Mapping[str, str]) -> tuple[str, ...]:
    ids = tuple(dict.fromkeys(each for each in parameters.get(name, "").split(",") if each))
    if len(ids) > MOST_IDS:
        raise ApiError("InvalidParameter", f"{name} has more than {MOST_IDS} IDs.")
    return ids
