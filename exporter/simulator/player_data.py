"""DescribeVodPlayerMetricData: a placeholder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.simulator.dataset import Dataset
    from exporter.simulator.variants import Variants

NAMES: Final = ("AppId",)


class PlayerData:
    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def answer(self, parameters: Mapping[str, str], now: float, variants: Variants) -> dict[str, Any]:
        return {}
