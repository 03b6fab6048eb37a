"""Counts the calls of searches and of polling what they find, and the memory of metadata.

`python -m tests.campaigns.searches`; docs/design/searches.md has the output.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import tracemalloc
from math import ceil
from typing import Final

from exporter.core.media_details import MediaDetails
from exporter.core.media_search import SearchConditions
from tests.core.fake_search import FakeSearch
from tests.core.fake_service import FakeService, ids, query, rows
from tests.core.test_media_search import walked

MEDIA: Final = (100, 5_000, 20_000)
PER_SECOND: Final = (1, 10, 150)
FOUND: Final = (20, 200, 2_000)
PLAYED: Final = 20_000


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def refreshes() -> None:
    _line("| media | created in one second | lower bound | calls |\n|---|---|---|---|")
    for media in MEDIA:
        for per_second in PER_SECOND:
            catalogue = {
                media_id: MediaDetails(media_id, created_at=1e9 + n // per_second)
                for n, media_id in enumerate(f"m{n:05}" for n in range(media))
            }
            service = FakeSearch(catalogue, page_size=100, ceiling=5_000)
            assert len(walked(service, SearchConditions()).hits) == media
            _line(f"| {media:,} | {per_second} | {ceil(media / 100)} | {len(service.requests)} |")


def polls() -> None:
    _line("\n| found | where they rank | one by one | calls |\n|---|---|---|---|")
    listed = rows(PLAYED)
    for found in FOUND:
        for name, some in (
            ("anywhere", random.Random(1).sample(listed, found)),  # noqa: S311 - no secret
            ("most played", listed[:found]),
        ):
            service = FakeService()
            service.put(listed)
            wanted = query(ids(*(row.media_id for row in some)))
            poller = service.poller(queries=[wanted])
            asyncio.run(poller.poll(wanted))
            _line(f"| {found:,} | {name} | {found:,} | {len(service.calls):,} |")


def memory() -> None:
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tags = tuple(map(sys.intern, ("promo", "vip")))
    details = {
        media_id: MediaDetails(
            media_id, f"A title of media {media_id}", 12, "Maths", tags, "Normal", 1e9, "app-1000000", observed_at=2e9
        )
        for media_id in (f"{n:032x}" for n in range(PLAYED))
    }
    described, _ = tracemalloc.get_traced_memory()
    found = frozenset(details)
    in_sets, _ = tracemalloc.get_traced_memory()
    _line(f"\n{(described - before) / len(details):.0f} bytes a video for its details, with ID and title")
    _line(f"{(in_sets - described) / len(found):.0f} bytes a video for the set of those found")


if __name__ == "__main__":
    refreshes()
    polls()
    memory()
