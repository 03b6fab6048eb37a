"""Searches and metadata against the simulator: what is found, published, kept and logged, in every variant."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
from structlog.testing import capture_logs

from exporter.core import play_dates
from exporter.core.media_details import Search
from exporter.simulator.actions import SimulatedAction
from exporter.simulator.faults import Fault
from exporter.simulator.media_library import Video
from exporter.simulator.media_search import NAMES as SEARCH_NAMES
from exporter.simulator.options import SimulatorOptions
from exporter.simulator.variants import Variants
from exporter.status.filters import Filters
from exporter.status.html_page import Pages
from exporter.status.summary import summarize
from tests.harness import NOON, Harness, running_harness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.core.model import Query
    from exporter.core.poll_report import PollReport

TEXT: Final = """
accounts:
  - name: main
    endpoint: ENDPOINT
    credentials: {access_key_id: simulator, access_key_secret: simulator-secret}
    limits: {requests_per_second: 1000, concurrency: 8}
    METADATA
queries:
  - {name: q, media: MEDIA, dimensions: DIMENSIONS, days_ago: DAYS_AGO, every: 15m, expected: false}
"""
METADATA: Final = "metadata: {every: 6h, labels: [category, status, app_id], tags: [promo, vip]}"
DAY: Final = 86_400


def text(metadata: str = "", calls_per_day: int = 0) -> str:
    limits = f"concurrency: 8, calls_per_day: {calls_per_day}"
    return TEXT.replace("METADATA", metadata).replace("concurrency: 8", limits)


async def search_again(harness: Harness, *, later: float = 3_600) -> None:
    harness.clock.at += later
    for query in harness.exporter.queries:
        await harness.exporter.discovery.refresh_search(query)


def videos(harness: Harness) -> dict[str, Video]:
    return dict(harness.simulator.library.at(harness.clock.at).by_id)


def within(harness: Harness, path: str, *, below: bool = True) -> Callable[[Video], bool]:
    """Whether a video is in a category, or below it, by the simulator's own tree."""
    tree = harness.simulator.library.categories
    ids = {each for each in tree.by_id if tree.path(each) == path}
    if below:
        ids |= {below for each in ids for below in tree.with_descendants(each)}
    return lambda video: video.category_id in ids


def a_path(harness: Harness, level: int = 0) -> str:
    tree = harness.simulator.library.categories
    counts = {
        each: sum(map(within(harness, tree.path(each)), videos(harness).values()))
        for each in tree.by_id
        if tree.path(each).count("/") == level and "'" not in tree.path(each)
    }
    return str(tree.path(max(counts, key=lambda each: counts[each])))


VARIANTS: Final = [
    Variants(),
    Variants(tags="substring", subcategories="included", numbers="strings", uncategorised="null"),
    Variants(created="same_second", root_category="absent", missing_ids="text", video_order="shuffled"),
]


@pytest.mark.parametrize("variants", VARIANTS, ids=["documented", "loose", "same_second"])
@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        ("{tags: [promo]}", lambda video: "promo" in video.tags),
        ('{tags: ["teacher\'s choice", vip]}', lambda video: {"teacher's choice", "vip"} & set(video.tags)),
        ("{status: Blocked}", lambda video: video.status == "Blocked"),
        ("{created_within: 30d}", lambda video: video.created >= NOON - 30 * DAY),
        ("{title: '1', status: Normal}", lambda video: "1" in video.title and video.status == "Normal"),
    ],
)
async def test_what_is_found_is_what_the_catalogue_has(
    search: str, wanted: Callable[[Video], object], variants: Variants
) -> None:
    options = SimulatorOptions(media=600)
    async with running_harness(options, text=text(), media=f"{{search: {search}}}") as harness:
        harness.simulator.change(variants=variants)
        assert await harness.poll() == "success"
        existing = harness.simulator.library.at(
            harness.clock.at, same_second=variants.created == "same_second"
        ).by_id.values()
        truth = {video.media_id for video in existing if wanted(video)}
        plays = harness.truth()
        assert truth
        assert await harness.plays() == {media_id: plays.get(media_id, 0) for media_id in truth}
        assert await harness.series("discovered_media") == {
            'aliyun_vod_query_discovered_media{account="main",query="q"}': len(truth)
        }


@pytest.mark.parametrize("variants", VARIANTS, ids=["documented", "loose", "same_second"])
@pytest.mark.parametrize("subcategories", [True, False])
@pytest.mark.parametrize("level", [0, 1])
async def test_categories_by_path_with_and_without_those_below(
    level: int, variants: Variants, *, subcategories: bool
) -> None:
    options = SimulatorOptions(media=600)
    async with running_harness(options, text=text()) as probe:
        path = a_path(probe, level)
    media = f"{{search: {{category: [{path!r}], subcategories: {str(subcategories).lower()}}}}}"
    async with running_harness(options, text=text(), media=media) as harness:
        harness.simulator.change(variants=variants)
        assert await harness.poll() == "success"
        wanted = within(harness, path, below=subcategories)
        truth = {each for each, video in videos(harness).items() if wanted(video)}
        assert set(await harness.plays()) == truth
        assert truth or not subcategories


async def test_a_category_that_does_not_exist_is_named_and_polls_nothing() -> None:
    async with running_harness(text=text(), media="{search: {category: Nowhere/Maths}}") as harness:
        with capture_logs() as logs:
            assert await harness.poll() == "failure"
        (line,) = [line for line in logs if line["log_level"] == "warning"]
        assert "there is no category Nowhere/Maths" in line["error"]
        assert await harness.plays() == {}


async def test_new_and_gone_media_are_polled_logged_and_counted() -> None:
    async with running_harness(text=text(), media="{search: {tags: [mine]}}", days_ago="[1]") as harness:
        some = sorted(videos(harness))[:3]
        library = harness.simulator.library
        for each in some[:2]:
            library.put(tagged(videos(harness)[each]))
        await harness.poll()
        assert set(await harness.plays()) == set(some[:2])
        library.put(tagged(videos(harness)[some[2]]))
        library.delete(some[0])
        with capture_logs() as logs:
            await search_again(harness)
        events = {line["event"]: line.get("first") for line in logs}
        assert (events["media new"], events["media gone"]) == (some[2], some[0])
        await harness.poll()
        assert set(await harness.plays()) == set(some[1:])
        changes = await harness.series("discovery_changes_total")
        assert changes == {
            'aliyun_vod_query_discovery_changes_total{account="main",change="gone",query="q"}': 1,
            'aliyun_vod_query_discovery_changes_total{account="main",change="new",query="q"}': 3,
        }


def tagged(video: Video, *tags: str) -> Video:
    return Video(
        video.media_id,
        video.title,
        video.duration,
        video.created,
        video.modified,
        video.category_id,
        tags or ("mine",),
        video.status,
    )


async def test_repeats_of_a_first_search_that_fails_spend_a_tenth_of_calls_per_day_at_most() -> None:
    async with running_harness(text=text(calls_per_day=100), media="{search: {tags: [promo]}}") as harness:
        harness.simulator.change(faults=(Fault("ServiceUnavailable", when={"Action": "SearchMedia"}),))
        (query,) = harness.exporter.queries

        retry = await harness.exporter.poll(query)
        assert retry is not None
        assert retry.not_before - harness.clock.at == pytest.approx(DAY * 4 / 10)  # 4 attempts of 10 a day
        # The poll, which needs its media, repeats the first search; the job of the search repeats later ones only.
        assert await harness.exporter.discovery.refresh_search(query) is None
        assert len(harness.simulator.request_log.calls) == 4


@pytest.mark.parametrize("code", ["Forbidden.RAM", "ServiceUnavailable", "ErrorMatchSyntax", "html"])
async def test_a_failed_refresh_keeps_what_is_known(code: str) -> None:
    async with running_harness(text=text(), media="{search: {tags: [promo]}}") as harness:
        await harness.poll()
        known = await harness.plays()
        assert known
        harness.simulator.change(faults=(Fault(code, when={"Action": "SearchMedia"}),))
        await search_again(harness)
        assert await harness.poll() == "success"
        assert (await harness.plays()).keys() == known.keys()


async def test_an_empty_answer_empties_the_set_only_if_the_service_counted_0() -> None:
    async with running_harness(text=text(), media="{search: {tags: [mine]}}") as harness:
        first, *_ = videos(harness)
        harness.simulator.library.put(tagged(videos(harness)[first]))
        await harness.poll()
        assert set(await harness.plays()) == {first}
        harness.simulator.library.delete(first)
        await search_again(harness)
        await harness.poll()
        assert await harness.plays() == {}


async def test_without_the_permission_other_queries_keep_their_plays() -> None:
    both = text(METADATA) + "  - {name: top, media: {top: 5}, days_ago: [1], expected: false}\n"
    async with running_harness(text=both, media="{search: {tags: [promo]}}") as harness:
        actions = ("SearchMedia", "GetVideoInfos", "GetCategories")
        harness.simulator.change(faults=tuple(Fault("Forbidden.RAM", when={"Action": each}) for each in actions))
        with capture_logs() as logs:
            for _ in range(3):
                assert await harness.poll(later=400) == "failure,success"
                await harness.exporter.discovery.refresh_metadata("main")
        assert len(await harness.plays()) == 5
        warnings = [line for line in logs if line["log_level"] == "warning"]
        assert [line["event"] for line in warnings] == ["media metadata not refreshed"] * 3
        assert {line["advice"] for line in warnings} == {
            f"Allow the RAM action vod:{each} on resource * to the user or role of these credentials."
            for each in actions
        }
        assert await harness.series("action_permitted") == {
            f'aliyun_vod_api_action_permitted{{account="main",action="{each}"}}': 0 for each in actions
        }
        harness.simulator.change(faults=())
        assert await harness.poll(later=400) == "success,success"
        await harness.exporter.discovery.refresh_metadata("main")
        assert set((await harness.series("action_permitted")).values()) == {1}


async def test_a_refused_action_is_one_failure_for_all_that_needs_it_and_stays_refused() -> None:
    async with running_harness(text=text(METADATA), media="{search: {category: 课程, every: 5m}}") as harness:
        await harness.poll()
        await harness.exporter.discovery.refresh_metadata("main")
        harness.simulator.change(faults=(Fault("Forbidden.RAM", when={"Action": "GetCategories"}),))
        with capture_logs() as logs:
            # The search needs the categories again, metadata only in hours.
            for later in (600, 600, 4 * 3_600):
                await search_again(harness, later=later)
                await harness.exporter.discovery.refresh_metadata("main")
                assert (await harness.series("action_permitted.*GetCategories")).popitem()[1] == 0
        assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["media metadata not refreshed"]
        view = summarize(await harness.exporter.status(), Filters())
        (line,) = [each.detail for each in view.attention if each.trouble == "metadata"]
        assert line.startswith("categories, search q: Forbidden.RAM")
        assert [each.what for each in harness.exporter.discovery.problems()] == ["categories", "search q"]


async def test_a_hit_that_cannot_be_compared_is_not_gone() -> None:
    async with running_harness(text=text(), media="{search: {status: Normal}}") as harness:
        await harness.poll()
        found = await harness.series("discovered_media")
        ((search, known),) = harness.exporter.discovery.found.items()
        assert len(known.media_ids) > 50
        answer = harness.simulator.actions["SearchMedia"].respond

        def without_a_status(*given: Any) -> dict[str, Any]:
            page = answer(*given)
            page["MediaList"][0]["Video"]["Status"] = None
            return page

        changed = {"SearchMedia": SimulatedAction(SEARCH_NAMES, without_a_status)}
        harness.simulator.actions |= changed
        await search_again(harness)
        assert await harness.series("discovered_media") == found
        assert harness.exporter.discovery.found[search].refreshed_at > known.refreshed_at


async def metadata(harness: Harness) -> dict[str, float]:
    assert await harness.exporter.discovery.refresh_metadata("main") is None
    return await harness.series("^aliyun_vod_(media_(metadata|created|tag|deleted)|category_info)")


@pytest.mark.parametrize("variants", VARIANTS, ids=["documented", "loose", "same_second"])
async def test_metadata_of_published_media(variants: Variants) -> None:
    async with running_harness(text=text(METADATA), media="{top: 30}") as harness:
        harness.simulator.change(variants=variants)
        await harness.poll()
        published = sorted(await harness.plays())
        found = await metadata(harness)
        tree = harness.simulator.library.categories
        expected: dict[str, float] = {}
        known = harness.simulator.library.at(harness.clock.at, same_second=variants.created == "same_second").by_id
        for each in published:
            if (video := known.get(each)) is None:
                expected[f'aliyun_vod_media_deleted{{account="main",media_id="{each}"}}'] = 1
                continue
            category_id = video.category_id or ""
            category = "" if video.category_id is None else tree.path(video.category_id).replace('"', r"\"")
            expected[
                f'aliyun_vod_media_metadata_info{{account="main",media_id="{each}",category_id="{category_id}"'
                f',category="{category}",status="{video.status}",app_id="{video.app_id}"}}'
            ] = 1
            expected[f'aliyun_vod_media_created_timestamp_seconds{{account="main",media_id="{each}"}}'] = video.created
            for tag in {"promo", "vip"} & set(video.tags):
                expected[f'aliyun_vod_media_tag_info{{account="main",media_id="{each}",tag="{tag}"}}'] = 1
        assert {name: value for name, value in found.items() if "category_info" not in name} == expected
        assert len([name for name in found if "category_info" in name]) == len(tree.by_id)
        sent = harness.simulator.request_log
        assert sent is not None


async def test_metadata_is_requested_once_in_its_interval_and_for_new_media_sooner() -> None:
    async with running_harness(text=text(METADATA), media="{top: 30}") as harness:
        await harness.poll()
        await metadata(harness)
        calls = await harness.series("requests_total.*GetVideoInfos")
        assert set(calls.values()) == {2}
        harness.clock.at += 3_600
        await metadata(harness)
        assert await harness.series("requests_total.*GetVideoInfos") == calls
        harness.clock.at += 6 * 3_600
        await metadata(harness)
        assert set((await harness.series("requests_total.*GetVideoInfos")).values()) == {4}


async def test_what_a_search_returned_is_not_requested_again() -> None:
    async with running_harness(text=text(METADATA), media="{search: {tags: [promo]}}") as harness:
        await harness.poll()
        found = await metadata(harness)
        assert len([name for name in found if "metadata_info" in name]) == len(await harness.plays())
        assert set((await harness.series("requests_total.*GetVideoInfos")).values()) == {0}


async def test_a_rename_replaces_the_series() -> None:
    async with running_harness(text=text("metadata: {labels: [status]}"), media="{top: 3}") as harness:
        await harness.poll()
        first = min(await harness.plays())
        before = await metadata(harness)
        video = videos(harness)[first]
        harness.simulator.library.put(
            Video(first, video.title, video.duration, video.created, video.modified, video.category_id, (), "Blocked")
        )
        harness.clock.at += 6 * 3_600
        await harness.poll()
        after = await metadata(harness)
        assert len([name for name in after if f'metadata_info{{account="main",media_id="{first}"' in name]) == 1
        assert any('status="Blocked"' in name and first in name for name in after)
        assert before != after


@pytest.mark.parametrize("not_found", ["all", "any", "never"])
async def test_media_that_do_not_exist_are_named(not_found: Any) -> None:
    missing = ["f" * 32, "e" * 32]
    async with running_harness(text=text(METADATA)) as probe:
        existing = sorted(videos(probe))[:25]
    ids = ",".join([*missing, *existing])
    async with running_harness(text=text(METADATA), media=f"{{ids: [{ids}]}}") as harness:
        harness.simulator.change(variants=Variants(not_found=not_found, missing_ids="text"))
        await harness.poll()
        with capture_logs() as logs:
            found = await metadata(harness)
        deleted = {f'aliyun_vod_media_deleted{{account="main",media_id="{each}"}}' for each in missing}
        assert {name for name in found if "deleted" in name} == deleted
        assert len([name for name in found if "metadata_info" in name]) == 25
        (line,) = [line for line in logs if line["event"] == "media do not exist"]
        assert (line["media_ids"], line["first"]) == (2, ",".join(sorted(missing)))
        harness.clock.at += 6 * 3_600
        with capture_logs() as logs:
            assert {name for name in await metadata(harness) if "deleted" in name} == deleted
        assert [line for line in logs if line["event"] == "media do not exist"] == []


async def test_deleted_media_are_checked_again_once_a_refresh_succeeds() -> None:
    async with running_harness(text=text(METADATA)) as probe:
        media_id, video = next(iter(videos(probe).items()))
    async with running_harness(text=text(METADATA), media=f"{{ids: [{media_id}]}}") as harness:
        harness.simulator.library.delete(media_id)
        await harness.poll()
        assert any("deleted" in name for name in await metadata(harness))

        harness.clock.at += 6 * 3_600
        harness.simulator.library.put(video)
        harness.simulator.change(faults=(Fault("ServiceUnavailable", when={"Action": "GetVideoInfos"}),))
        assert await harness.exporter.discovery.refresh_metadata("main") is not None
        harness.clock.at += 300
        harness.simulator.change(faults=())
        assert not any("deleted" in name for name in await metadata(harness))


async def test_the_calls_of_the_day_are_left_to_plays() -> None:
    limited = text(METADATA, calls_per_day=100)
    async with running_harness(SimulatorOptions(media=2_000), text=limited, media="{top: 900}") as harness:
        for _ in range(9):
            await harness.poll(later=900)
        with capture_logs() as logs:
            assert await harness.exporter.discovery.refresh_metadata("main") is not None
        assert {line["code"] for line in logs if "code" in line} == {"calls_per_day"}
        (remaining,) = (await harness.series("calls_remaining_today")).values()
        rest = play_dates.rest_of_day(harness.clock.at)
        assert remaining >= int(100 * rest * 0.9)
        assert await harness.poll(later=900) == "success"


async def test_calls_for_metadata_wait_while_plays_are_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_harness(text=text(METADATA), media="{top: 30}") as harness:
        await harness.poll()
        harness.clock.waits.clear()
        await metadata(harness)
        assert sum(harness.clock.waits) < 0.5
        harness.clock.at += 7 * 3_600
        poll = harness.exporter.poller.poll

        async def poll_and_refresh(query: Query) -> PollReport:
            await harness.exporter.discovery.refresh_metadata("main")
            assert sum(harness.clock.waits) >= 5.0
            return await poll(query)

        monkeypatch.setattr(harness.exporter.poller, "poll", poll_and_refresh)
        assert await harness.poll() == "success"


async def test_sets_and_metadata_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    options = {"text": text(METADATA), "storage": path}
    options["media"] = "{search: {tags: [promo]}}"
    async with running_harness(**options) as harness:  # type: ignore[arg-type]
        await harness.poll()
        before = await metadata(harness)
        plays = await harness.plays()
    async with running_harness(**options) as harness:  # type: ignore[arg-type]
        assert await harness.plays() == plays
        assert await harness.series("^aliyun_vod_(media_(metadata|created|tag|deleted)|category_info)") == before
        await harness.poll()
        assert set((await harness.series("requests_total.*SearchMedia")).values()) == {0}
        (found,) = (await harness.series("discovered_media")).values()
        assert found == len(plays)


async def test_without_search_and_metadata_there_is_no_series_and_no_call() -> None:
    async with running_harness(text=text(), media="{top: 30}") as harness:
        await harness.poll()
        await harness.exporter.discovery.refresh_metadata("main")
        exposition = await harness.metrics()
        for word in ("metadata", "discover", "category", "permitted", "SearchMedia", "GetVideoInfos", "GetCategories"):
            assert word not in exposition


async def test_two_queries_share_a_search() -> None:
    both = text() + "  - {name: other, media: {search: {tags: [promo]}}, days_ago: [2], expected: false}\n"
    async with running_harness(text=both, media="{search: {tags: [promo]}}") as harness:
        async with asyncio.TaskGroup() as group:
            for query in harness.exporter.queries:
                group.create_task(harness.exporter.poll(query))
        assert set((await harness.series("requests_total.*SearchMedia")).values()) == {1}
        assert len(await harness.series("discovered_media")) == 2


def test_the_order_of_entries_makes_no_other_search() -> None:
    assert Search(tags=("a", "b"), every=5) == Search(tags=("a", "b"), every=6)


async def test_the_page_shows_and_filters_by_category_tag_and_age() -> None:
    async with running_harness(text=text(METADATA), media="{search: {created_within: 3650d}}") as harness:
        await harness.poll()
        await metadata(harness)
        observed = await harness.exporter.status()
        known = videos(harness)
        path = a_path(harness)
        for given, wanted in (
            ({"category": path}, within(harness, path)),
            ({"tag": "promo"}, lambda video: "promo" in video.tags),
            ({"created_within": 30}, lambda video: harness.clock.at - video.created <= 30 * DAY),
        ):
            view = summarize(observed, Filters(per_page=1000, **given))
            published = await harness.plays()
            assert {row.media_id for row in view.media.rows} == {
                each for each, video in known.items() if wanted(video) and each in published
            }
        html = Pages("/metrics").render(summarize(observed, Filters(tag="promo")), "en").decode()
        assert 'name="category"' in html
        assert "tag=promo" in html
        assert f"{len(known)} found by search" in html


async def test_the_page_names_the_missing_permission_and_media_that_do_not_exist() -> None:
    missing = "f" * 32
    async with running_harness(text=text(METADATA), media=f"{{ids: [{missing}]}}") as harness:
        await harness.poll()
        await metadata(harness)
        harness.simulator.change(faults=(Fault("Forbidden.RAM", when={"Action": "GetCategories"}),))
        harness.clock.at += 7 * 3_600
        await harness.exporter.discovery.refresh_metadata("main")
        view = summarize(await harness.exporter.status(), Filters())
        html = Pages("/metrics").render(view, "en").decode()
        assert "Allow the RAM action vod:GetCategories" in html
        assert "lists media that do not exist (1): " in html
        assert "does not exist" in html
        zh = Pages("/metrics").render(view, "zh").decode()
        assert "授予 vod:GetCategories 权限" in zh


async def test_the_page_without_metadata_has_no_such_filters() -> None:
    async with running_harness(text=text(), media="{top: 3}") as harness:
        await harness.poll()
        html = Pages("/metrics").render(summarize(await harness.exporter.status(), Filters()), "en").decode()
        assert 'name="category"' not in html
