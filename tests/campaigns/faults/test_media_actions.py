"""Every fault of the three actions about media: plays go on, nothing known is lost, and it recovers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from exporter.simulator.broken_responses import BROKEN_RESPONSES
from exporter.simulator.error_responses import API_ERRORS
from exporter.simulator.faults import Fault
from tests.discovery.test_media_discovery import METADATA, text
from tests.harness import running_harness

if TYPE_CHECKING:
    from tests.harness import Harness

ACTIONS: Final = ("SearchMedia", "GetVideoInfos", "GetCategories")
# These take real time, which tests/campaigns/faults/network.py gives them for the same client.
REAL_TIME: Final = frozenset({"stall", "trickle", "slow"})
# Valid answers: there are no such media, or the fields are not given.
VALID: Final = frozenset({"nulls", "missing", "null_list", "no_list", "strings", "InvalidVideo.NotFound"})
FAULTS: Final = sorted({*API_ERRORS, *BROKEN_RESPONSES} - REAL_TIME - VALID)
QUERIES: Final = "  - {name: top, media: {top: 5}, days_ago: [1], expected: false}\n"
SERIES: Final = "^aliyun_vod_(media_(plays|metadata|created|tag|deleted)|category_info)"
HOURS: Final = 8 * 3_600


async def refresh(harness: Harness) -> str:
    """Everything is due: searches, metadata and categories, then the polls."""
    harness.clock.at += 60
    for query in harness.exporter.queries:
        await harness.exporter.refresh_search(query)
    await harness.exporter.refresh_metadata("main")
    return await harness.poll()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("part", range(6))
async def test_a_fault_of_an_action_costs_no_plays_and_nothing_known(action: str, part: int) -> None:
    media = "{search: {category: 课程, tags: [promo]}}"
    metadata = METADATA.replace("every: 6h", "every: 5m")
    async with running_harness(text=text(metadata) + QUERIES, media=media) as harness:
        assert await refresh(harness) == "success,success"
        await refresh(harness)
        known = (await harness.series(SERIES)).keys()
        assert len(known) > 30
        for code in FAULTS[part::6]:
            harness.clock.at += 3_600
            harness.simulator.change(faults=(Fault(code, when={"Action": action}),))
            await refresh(harness)
            assert (await harness.series(SERIES)).keys() == known, code
            harness.simulator.change(faults=())
            harness.clock.at += 600
            assert await refresh(harness) == "success,success", code
            assert (await harness.series(SERIES)).keys() == known, code
            assert harness.exporter.discovery_problems() == (), code


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("code", ["nulls", "strings", "missing"])
async def test_fields_that_are_not_given_are_no_reason_to_lose_media(action: str, code: str) -> None:
    async with running_harness(text=text(METADATA) + QUERIES, media="{search: {tags: [promo]}}") as harness:
        await refresh(harness)
        plays = await harness.plays()
        harness.clock.at += HOURS
        harness.simulator.change(faults=(Fault(code, when={"Action": action}),))
        assert await refresh(harness) == "success,success"
        assert (await harness.plays()).keys() == plays.keys()
