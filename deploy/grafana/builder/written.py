"""The dashboards as file contents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.builder import exporter, media, overview

FOLDER: Final = Path(__file__).parent.parent / "dashboards"


def texts() -> dict[str, str]:
    """File name → JSON, the same at every call: a difference in version control is a difference in what is shown."""
    return {
        f"{built.uid}.json": json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for built in (overview.build(), media.build(), exporter.build())
    }
