"""The service with its other actions, and a record of the player's numbers that it returned."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from exporter.simulator.actions import actions_of
from exporter.simulator.dataset import Dataset
from exporter.simulator.media_library import MediaLibrary
from exporter.simulator.variants import Variants
from tests.campaigns.faults.oracle import Returned, number
from tests.campaigns.faults.service import Service, request_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.simulator.actions import SimulatedAction
    from tests.campaigns.faults.fault import Payload
    from tests.campaigns.faults.oracle import Call

PLAYER: Final = "DescribeVodPlayerMetricData"
# The player metrics that are exported by default: field of the API, and its units in one of the metric.
PLAYER_FIELDS: Final = {
    "aliyun_vod_player_plays": ("Vv", 1),
    "aliyun_vod_player_started_plays": ("RealVv", 1),
    "aliyun_vod_player_play_failure_ratio": ("PlayFailRate", 1),
    "aliyun_vod_player_seed_failure_ratio": ("SeedFailRate", 1),
    "aliyun_vod_player_first_frame_seconds": ("FirstFrame", 1_000),
    "aliyun_vod_player_stutter_play_ratio": ("StuckCountRate", 1),
}
# Seconds in which a response stays the same: waits are random, but hundreds of cases request it in the same minute.
_STEP: Final = 60
# That a video does not exist is said in the list that is there for it.
_VARIANTS: Final = Variants(not_found="never")
_ZONED: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


# Thousands of responses have the same buckets.
@cache
def _start(timestamp: str) -> int | None:
    return int(datetime.fromisoformat(timestamp).timestamp()) if _ZONED.fullmatch(timestamp) else None


@dataclass
class ReturnedByActions(Returned):
    """`player`: every number of a bucket, by its start and metric."""

    player: defaultdict[tuple[int, str], set[float]] = field(default_factory=lambda: defaultdict(set))

    def record(self, call: Call, payload: Mapping[str, Any]) -> None:
        """Record a response that was sent completely."""
        if not call.action:
            super().record(call, payload)
        elif call.action == PLAYER:
            for row in payload.get("DataList") or ():
                start = _start(str(row.get("TimeStamp"))) if isinstance(row, dict) else None
                if start is None:
                    continue
                for metric, (name, units) in PLAYER_FIELDS.items():
                    value = number(row.get(name))
                    if value is not None:
                        self.player[start, metric].add(value / units)


class ActionService(Service):
    """The service with all actions."""

    def __init__(self, media: int, now: Callable[[], float]) -> None:
        super().__init__(media, now)
        self._clock = now
        self.returned: ReturnedByActions = ReturnedByActions()

    def answer(self, call: Call, head: bytes) -> Payload:
        """The correct response to a request."""
        if not call.action:
            return super().answer(call, head)
        now = self._clock() // _STEP * _STEP
        return {"RequestId": request_id(), **_answer(self._media, call.action, call.query, now)}


@lru_cache(maxsize=1)
def _actions(media: int) -> Mapping[str, SimulatedAction]:
    dataset = Dataset(media=media)
    return actions_of(dataset, MediaLibrary(dataset.media))


@lru_cache(maxsize=500)
def _answer(media: int, action: str, query: str, now: float) -> Payload:
    return _actions(media)[action].respond(dict(parse_qsl(query)), now, _VARIANTS)
