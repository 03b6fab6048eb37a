from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.simulator.media_library import Video
from exporter.simulator.variants import parse_variants
from tests.simulator.account_requests import requested
from tests.simulator.clients import Clock, simulator

if TYPE_CHECKING:
    from exporter.simulator.service import Simulator

INFOS = "GetVideoInfos"
IDS = [f"{number:032x}" for number in range(25)]
GONE = "f" * 32


def account(clock: Clock, *variants: str) -> Simulator:
    service = simulator(clock, media=0, variants=parse_variants(variants))
    service.library.put(
        *(Video(id_, f"Title {n}", 60.0, 0, 0, reference_id=f"ref-{n:06}") for n, id_ in enumerate(IDS))
    )
    return service


async def test_known_and_missing_media(clock: Clock) -> None:
    document = await requested(account(clock), clock, INFOS, VideoIds=f"{IDS[3]},{GONE},{IDS[1]},{IDS[3]}")
    assert [row["VideoId"] for row in document["VideoList"]] == [IDS[3], IDS[1]]
    assert document["NonExistVideoIds"] == [GONE]
    row = document["VideoList"][0]
    assert (row["Title"], row["Duration"], row["CreationTime"]) == ("Title 3", 60.0, "1970-01-01T00:00:00Z")
    assert "auth_key=" in row["CoverURL"]


async def test_by_reference(clock: Clock) -> None:
    document = await requested(account(clock), clock, INFOS, ReferenceIds="ref-000002,ref-none00")
    assert [row["VideoId"] for row in document["VideoList"]] == [IDS[2]]
    assert document["NonExistReferenceIds"] == ["ref-none00"]


@pytest.mark.parametrize(
    ("variant", "some", "all_"),
    [
        ("not_found:all", None, "InvalidVideo.NotFound"),
        ("not_found:any", "InvalidVideo.NotFound", "InvalidVideo.NotFound"),
        ("not_found:never", None, None),
    ],
)
async def test_missing_media_are_404_as_the_variant_says(
    clock: Clock, variant: str, some: str | None, all_: str | None
) -> None:
    service = account(clock, variant)
    assert (await requested(service, clock, INFOS, VideoIds=f"{IDS[0]},{GONE}")).get("Code") == some
    assert (await requested(service, clock, INFOS, VideoIds=GONE)).get("Code") == all_
    assert "Code" not in await requested(service, clock, INFOS, VideoIds=IDS[0])


async def test_variants_of_the_form(clock: Clock) -> None:
    service = account(clock, "missing_ids:text", "numbers:strings", "video_order:shuffled")
    document = await requested(service, clock, INFOS, VideoIds=",".join([GONE, *IDS[:10]]))
    assert document["NonExistVideoIds"] == f'["{GONE}"]'
    assert {row["Duration"] for row in document["VideoList"]} == {"60.0"}
    found = [row["VideoId"] for row in document["VideoList"]]
    assert found != IDS[:10]
    assert sorted(found) == IDS[:10]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "MissingParameter"),
        ({"VideoIds": ""}, "MissingParameter"),
        ({"VideoIds": ",".join(IDS[:21])}, "InvalidParameter"),
    ],
)
async def test_wrong_parameters(clock: Clock, parameters: dict[str, object], code: str) -> None:
    assert (await requested(account(clock), clock, INFOS, **parameters))["Code"] == code
