"""Publications to render, and expositions read back by the Prometheus client library's parsers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from exporter.core.media_details import Category
from exporter.core.model import Dimensions, PlayRow, Slice
from exporter.core.publication import (
    Publication,
    PublishedCategory,
    PublishedMedia,
    PublishedMetadata,
    PublishedSlice,
    SettledDay,
    SettledPlays,
)
from exporter.errors import ErrorKind
from exporter.exposition.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client import Metric

# The example of Alibaba Cloud's page, on its example's date.
MEDIA: Final = "9ae2af636ca6c10412f44891fc000000"
TITLE: Final = "阿里云VOD视频标题"
ROW: Final = PlayRow(
    media_id=MEDIA,
    title=TITLE,
    media_duration=246,
    viewers=5,
    plays=20,
    plays_per_viewer=4,
    play_duration=2400,
    play_duration_per_viewer=120,
)
TODAY: Final = date(2024, 3, 23)
# 00:00 UTC+8 of 2024-03-22.
YESTERDAY_STARTS: Final = 1711036800.0
METADATA: Final = PublishedMetadata(
    "main",
    MEDIA,
    labels=(
        ("category_id", "12"),
        ("category", "课程/数学"),
        ("status", "Normal"),
        ("app_id", "app-1000000"),
        ("storage_class", "Standard"),
        ("reference_id", "lesson_1"),
    ),
    tags=("promo",),
    created_at=1711000000.0,
    deleted=True,
)
OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0"
METER_CODES: Final = {
    "Meter.ParamError": ErrorKind.PARAMETER,
    "Meter.ServerInternalError": ErrorKind.SERVER,
    "Meter.DataSourceQueryError": ErrorKind.SERVER,
    "Meter.AuthError": ErrorKind.AUTH,
    "Meter.ReadyTsError": ErrorKind.NOT_READY,
}
ACTION: Final = "Ask"
CALLS: Final = {ACTION: METER_CODES}
"""What an account calls: the action with its error codes."""


def published(
    rows: Mapping[str, PlayRow | None] | None = None,
    *,
    days_ago: int = 1,
    account: str = "main",
    dimensions: Dimensions = Dimensions(),  # noqa: B008  frozen
    total: int | None = None,
    updated_at: float | None = None,
    settled: bool = False,
    ready: bool = True,
) -> PublishedSlice:
    slice_ = Slice(account, dimensions, TODAY - timedelta(days=days_ago))
    return PublishedSlice(slice_, days_ago, rows or {}, total, updated_at, settled, ready)


def publication(
    *slices: PublishedSlice,
    media: Iterable[PublishedMedia] = (),
    days: Mapping[int, float] | None = None,
    settled_days: Iterable[SettledDay] = (),
    metadata: Iterable[PublishedMetadata] = (),
    categories: Iterable[PublishedCategory] = (),
) -> Publication:
    return Publication(
        slices,
        tuple(media),
        days or {},
        0,
        0,
        0.0,
        0.0,
        tuple(settled_days),
        tuple(metadata),
        tuple(categories),
    )


def settled_day(
    plays: Mapping[str, tuple[float, float | None]],
    *,
    days_ago: int = 1,
    account: str = "main",
    dimensions: Dimensions = Dimensions(),  # noqa: B008  frozen
) -> SettledDay:
    slice_ = Slice(account, dimensions, TODAY - timedelta(days=days_ago))
    return SettledDay(slice_, {media_id: SettledPlays(*numbers, None, None) for media_id, numbers in plays.items()})


def example() -> Publication:
    """A publication of one row with all its values known."""
    return publication(
        published({MEDIA: ROW}, total=1, updated_at=1711100000.5, settled=True),
        media=[PublishedMedia("main", MEDIA, TITLE, 246)],
        days={1: YESTERDAY_STARTS},
        settled_days=[settled_day({MEDIA: (20, 22.5)})],
    )


def full_example() -> Publication:
    """The example with metadata."""
    categories = (PublishedCategory("main", Category(12, "数学", 1, 1), "课程/数学"),)
    return replace(example(), metadata=(METADATA,), categories=categories)


def new_telemetry() -> Telemetry:
    return Telemetry(version="1.2.3", accounts={"main": CALLS}, queries=[("main", "headline")])


def full_telemetry() -> Telemetry:
    """Telemetry with every metric set."""
    telemetry = new_telemetry()
    telemetry.request_sent("main", ACTION)
    telemetry.request_failed("main", ACTION, "Throttling.User", ErrorKind.THROTTLED)
    telemetry.request_took("main", ACTION, 0.03)
    telemetry.retried("main", ACTION)
    telemetry.rate_changed("main", 2.5)
    telemetry.calls_remaining("main", 100)
    telemetry.calls_saved("main", "sweep", 99)
    telemetry.invalid_values("main", "PlaySuccessVv", 3)
    telemetry.poll_ended("main", "headline", "success", seconds=1.5, ended_at=1711100000.5, up=True)
    telemetry.next_poll("main", "headline", 1711100900.0)
    telemetry.unknown_media("main", "headline", 2)
    telemetry.set_discovery(searches={("main", "headline"): "a search"}, metadata=["main"])
    telemetry.discovered("main", "headline", 20, 1711100000.5, complete=True)
    telemetry.discovery_changed("main", "headline", "new", 20)
    telemetry.metadata_refreshed("main", 1711100000.5)
    telemetry.action_permitted("main", ACTION, permitted=True)
    telemetry.published(series=5, dropped=0)
    telemetry.config_loaded(1711090000.0)
    return telemetry


def read_text(exposition: bytes) -> list[Metric]:
    return list(parser.text_string_to_metric_families(exposition.decode()))


def read_openmetrics(exposition: bytes) -> list[Metric]:
    """Parse OpenMetrics; `# EOF` is added if it is missing, as after play metrics."""
    text = exposition.decode()
    whole = text if text.endswith("# EOF\n") else f"{text}# EOF\n"
    return list(openmetrics_parser.text_string_to_metric_families(whole))  # type: ignore[no-untyped-call]  # it has no types


def series(metrics: Iterable[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels; fails for a repeated series."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for metric in metrics:
        for sample in metric.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found
