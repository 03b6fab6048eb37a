"""The actions of the simulated service: the parameters of each, and what it responds at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.simulator import categories, media_search, player_query, request_parsing, video_fields
from exporter.simulator.error_responses import ApiError
from exporter.simulator.media_search import MediaSearch
from exporter.simulator.player_data import PlayerData

if TYPE_CHECKING:
    from exporter.core.model import PlayRow
    from exporter.simulator.dataset import Dataset
    from exporter.simulator.media_library import MediaLibrary
    from exporter.simulator.variants import Variants

VERSION: Final = "2017-03-21"
PLAY_DATA: Final = "DescribeVodMediaPlayData"
PLAYER_DATA: Final = "DescribeVodPlayerMetricData"
ACTIONS: Final = (PLAY_DATA, "SearchMedia", "GetVideoInfos", "GetCategories", PLAYER_DATA)

Respond = Callable[[Mapping[str, str], float, "Variants"], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SimulatedAction:
    """The names of its parameters, and the response to them at a time without RequestId, which may raise ApiError."""

    names: tuple[str, ...]
    respond: Respond


def actions_of(dataset: Dataset, library: MediaLibrary) -> dict[str, SimulatedAction]:
    """Every action by name, for one account."""
    search, player = MediaSearch(library), PlayerData(dataset)
    return {
        PLAY_DATA: SimulatedAction(request_parsing.NAMES, lambda given, now, _: _play_data(dataset, given, now)),
        "SearchMedia": SimulatedAction(media_search.NAMES, search.respond),
        "GetVideoInfos": SimulatedAction(
            video_fields.NAMES,
            lambda given, now, variants: video_fields.get_video_infos(library, given, now, variants),
        ),
        "GetCategories": SimulatedAction(
            categories.NAMES,
            lambda given, _, variants: categories.get_categories(library.categories, given, variants),
        ),
        PLAYER_DATA: SimulatedAction(player_query.NAMES, player.respond),
    }


def check_action(action: str, version: str, known: Mapping[str, SimulatedAction]) -> None:
    """Raises ApiError for an action or a version that the service does not have."""
    if not action:
        raise ApiError("MissingAction")
    if not version:
        raise ApiError("MissingVersion")
    if version != VERSION:
        raise ApiError("InvalidApi.NotFound")
    if action not in known:
        raise ApiError("InvalidAction.NotFound", action)


def in_service_format(response: dict[str, Any], action: str, variants: Variants) -> dict[str, Any]:
    """The response with numbers in the format of the variants; those of play data are always numbers."""
    if action == PLAY_DATA or variants.numbers == "numbers":
        return response
    return {name: _as_strings(value) for name, value in response.items()}


def _as_strings(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_strings(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_strings(each) for each in value]
    return str(value) if isinstance(value, int | float) else value


def _play_data(dataset: Dataset, parameters: Mapping[str, str], now: float) -> dict[str, Any]:
    query = request_parsing.parse_query(parameters, now)
    if query.media_id is None:
        result = dataset.result_set(query.play_date, query.dimensions, query.order, now=now)
    else:
        counts = dataset.counts(query.media_id, query.play_date, query.dimensions, now=now)
        result = [counts] if counts else []
    first = (query.page_no - 1) * query.page_size
    return {
        "TotalCount": len(result),
        "PageNo": query.page_no,
        "PageSize": query.page_size,
        "QoeInfoList": [to_json_row(counts.row()) for counts in result[first : first + query.page_size]],
    }


def to_json_row(row: PlayRow) -> dict[str, Any]:
    """A row of play data as the service writes it."""
    return {
        "MediaId": row.media_id,
        "VideoTitle": row.title,
        "VideoDuration": row.media_duration,
        "DAU": row.viewers,
        "PlaySuccessVv": row.plays,
        "PlayPerVv": row.plays_per_viewer,
        "PlayDuration": row.play_duration,
        "PlayDurationPerUv": row.play_duration_per_viewer,
    }
