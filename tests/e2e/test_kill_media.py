"""The daemon is killed, and the service then refuses searches and metadata: all of it is still published.

The wall clock is moved between two processes, so that the next one searches and refreshes metadata again.
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Final

import pytest

from exporter.core import play_dates
from exporter.storage.read_only import examine
from tests.e2e.processes import exporter, get, patch, until
from tests.e2e.test_clock import wall_clock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.test_clock import WallClock

CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: {endpoint}
    limits: {{requests_per_second: 1000}}
    metadata: {{every: 5m, labels: [category, status], tags: [promo]}}
queries:
  - {{name: courses, media: {{search: {{category: [课程, Courses], every: 5m}}}}, days_ago: [2, 3], expected: false}}
  - {{name: promoted, media: {{search: {{tags: promo, every: 5m}}}}, days_ago: [2, 3], expected: false}}
  - {{name: listed, media: {{ids: [{media_id}]}}, days_ago: [2, 3], expected: false}}
"""
KEYS: Final = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
LISTEN: Final = "--web.listen-address=127.0.0.1:0"
ACTIONS: Final = ("SearchMedia", "GetVideoInfos", "GetCategories")
MISSING: Final = "0" * 32
# What must be there before the first kill, lest nothing is compared.
FAMILIES: Final = (
    "aliyun_vod_media_plays",
    "aliyun_vod_media_info",
    "aliyun_vod_media_metadata_info",
    "aliyun_vod_media_created_timestamp_seconds",
    "aliyun_vod_media_tag_info",
    "aliyun_vod_media_deleted",
    "aliyun_vod_category_info",
    "aliyun_vod_query_discovered_media",
    "aliyun_vod_query_discovery_last_success_timestamp_seconds",
)


def series(url: str) -> set[str]:
    lines = get(f"{url}/metrics").text.splitlines()
    return {line for line in lines if line.startswith(tuple(f"{each}{{" for each in FAMILIES))}


def failed(url: str, code: str) -> set[str]:
    """The actions that have failed with this code."""
    pattern = rf'^aliyun_vod_api_errors_total{{account="main",action="(\w+)",code="{code}",.*}} [1-9]'
    return set(re.findall(pattern, get(f"{url}/metrics").text, re.MULTILINE))


def values(found: set[str], family: str) -> list[float]:
    return [float(line.rpartition(" ")[2]) for line in found if line.startswith(f"{family}{{")]


def is_stored(storage: Path, clock: WallClock) -> bool:
    """Whether the search, the metadata of all media and the categories are in storage."""
    media = examine(storage, play_dates.today(clock.now())).media
    about = media.metadata.get("main")
    found = frozenset[str]().union(*(each.media_ids for each in media.found.values()))
    return (
        about is not None and about.tree is not None and bool(found) and found <= about.details.keys() | about.deleted
    )


@pytest.mark.tool("faketime")
def test_after_a_kill_media_metadata_and_categories_are_published_from_storage(tmp_path: Path) -> None:
    storage = tmp_path / "vod.db"
    serve = ("serve", LISTEN, f"--storage.path={storage}")
    with wall_clock(tmp_path, "24T12:00:00") as clock:
        simulate = ("simulate", LISTEN, "--admin", "--media=600")
        with exporter(tmp_path, *simulate, **clock.fixed) as simulator:
            service = simulator.url()
            (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=service, media_id=MISSING))
            with exporter(tmp_path, *serve, **KEYS, **clock.fixed) as daemon:
                url = daemon.url()
                until(lambda: get(f"{url}/-/ready").is_success, "the first polls")
                until(lambda: all(values(series(url), each) for each in FAMILIES), "metadata")
                until(lambda: is_stored(storage, clock), "metadata in storage")
                before = series(url)
                assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
            plays = values(before, "aliyun_vod_media_plays")
            assert 0.0 in plays
            assert any(plays)
            for code in ("InternalError", "Forbidden.RAM"):
                faults = [{"code": code, "when": {"Action": action}} for action in ACTIONS]
                patch(f"{service}/_admin/conditions", json={"faults": faults}).raise_for_status()
                clock.jump(310)  # two of them are below the 15 minutes by which the clocks may differ
                with exporter(tmp_path, *serve, **KEYS, **clock.fixed) as daemon:
                    url = daemon.url()
                    assert get(f"{url}/-/ready").is_success
                    assert series(url) == before
                    until(lambda: failed(url, code) == set(ACTIONS), f"{ACTIONS} to fail")  # noqa: B023 - called here
                    assert series(url) == before
                    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
                    assert "Traceback" not in daemon.logged()
