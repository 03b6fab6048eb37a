"""The dashboards as file contents, in English and in Chinese."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.builder import exporter, frame, languages, media, overview, player

if TYPE_CHECKING:
    from collections.abc import Callable

    from grafana_foundation_sdk.models.dashboard import Dashboard

FOLDER: Final = Path(__file__).parent.parent / "dashboards"
# A dashboard of one's own is one more line here, and its texts in texts.py.
DASHBOARDS: Final[tuple[Callable[[], Dashboard], ...]] = (overview.build, media.build, exporter.build, player.build)


def texts() -> dict[str, str]:
    """File name → JSON, the same at every call: a difference in version control is a difference in what is shown."""
    english = [frame.completed(json.loads(JSONEncoder().encode(build()))) for build in DASHBOARDS]
    every = [*english, *map(languages.chinese, english)]
    return {f"{dashboard['uid']}.json": _text(dashboard) for dashboard in every}


def _text(dashboard: dict[str, Any]) -> str:
    return json.dumps(dashboard, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
