from __future__ import annotations

from exporter.core.media_details import FoundMedia, MediaDetails, Search
from exporter.discovery.known_media import KnownMedia


async def test_once_there_are_many_the_metadata_of_media_that_are_neither_published_nor_found_is_deleted() -> None:
    known = KnownMedia(None, {("main", Search(tags=("x",))): FoundMedia(frozenset(["found"]), 0.0)}, None)
    known.forget("main", [])
    media_ids = ("found", "published", *map(str, range(2_002)))
    await known.describe("main", details={each: MediaDetails(each) for each in media_ids}, missing=["gone", "listed"])

    known.forget("main", ["published", "listed"])
    assert len(known.about("main").details) == len(media_ids)
    await known.describe("main", details={f"more {each}": MediaDetails("") for each in range(3)})
    known.forget("main", ["published", "listed"])
    assert known.about("main").details.keys() == {"found", "published"}
    assert known.about("main").deleted == {"listed"}
