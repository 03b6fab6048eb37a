"""The table of the exporter's own metrics: name, type, help and labels; and which error codes are label values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.exposition.catalog import Metric, MetricType
from exporter.safe_text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

SELF_METRICS: Final[tuple[Metric, ...]] = (
    Metric(
        "aliyun_vod_api_requests_total",
        MetricType.COUNTER,
        "Number of requests sent to the API, retries included.",
        ("account", "action"),
    ),
    Metric(
        "aliyun_vod_api_errors_total",
        MetricType.COUNTER,
        "Number of API requests that failed, by error code and kind of error.",
        ("account", "action", "code", "kind"),
    ),
    Metric(
        "aliyun_vod_api_request_duration_seconds",
        MetricType.HISTOGRAM,
        "Duration of API requests, in seconds.",
        ("account", "action"),
    ),
    Metric(
        "aliyun_vod_api_retries_total",
        MetricType.COUNTER,
        "Number of API requests that repeated a failed one.",
        ("account", "action"),
    ),
    Metric(
        "aliyun_vod_api_rate_limit_requests_per_second",
        MetricType.GAUGE,
        "Current rate limit, in requests per second; below the configured one after throttling.",
        ("account",),
    ),
    Metric(
        "aliyun_vod_api_calls_remaining_today",
        MetricType.GAUGE,
        "Number of API calls left of calls_per_day until 00:00 UTC+8.",
        ("account",),
    ),
    Metric(
        "aliyun_vod_api_calls_saved_total",
        MetricType.COUNTER,
        "Number of API calls avoided, compared with a poller that saves none, by reason.",
        ("account", "reason"),
    ),
    Metric(
        "aliyun_vod_api_invalid_values_total",
        MetricType.COUNTER,
        "Number of invalid values in API responses, which are omitted or truncated, by field.",
        ("account", "field"),
    ),
    Metric(
        "aliyun_vod_query_up",
        MetricType.GAUGE,
        "Whether the last poll of the query got a response for every slice: 1 or 0.",
        ("account", "query"),
    ),
    Metric(
        "aliyun_vod_query_polls_total",
        MetricType.COUNTER,
        "Number of polls of the query, by result.",
        ("account", "query", "result"),
    ),
    Metric(
        "aliyun_vod_query_poll_duration_seconds",
        MetricType.GAUGE,
        "Duration of the last poll of the query, in seconds.",
        ("account", "query"),
    ),
    Metric(
        "aliyun_vod_query_last_success_timestamp_seconds",
        MetricType.GAUGE,
        "End time of the last successful poll of the query, in seconds since 1970.",
        ("account", "query"),
    ),
    Metric(
        "aliyun_vod_query_next_poll_timestamp_seconds",
        MetricType.GAUGE,
        "Time of the next poll of the query, in seconds since 1970.",
        ("account", "query"),
    ),
    Metric(
        "aliyun_vod_query_unknown_media",
        MetricType.GAUGE,
        "Number of media IDs listed in the query that no API response has ever contained: mistyped, or not played yet.",
        ("account", "query"),
    ),
    Metric(
        "aliyun_vod_query_discovered_media",
        MetricType.GAUGE,
        "Number of media that the search of the query has found.",
        ("account", "query"),
    ),
    Metric(
        "aliyun_vod_query_discovery_changes_total",
        MetricType.COUNTER,
        "Number of media that a search found for the first time or no longer, by change: new or gone.",
        ("account", "query", "change"),
    ),
    Metric(
        "aliyun_vod_query_discovery_last_success_timestamp_seconds",
        MetricType.GAUGE,
        "End time of the last complete search of the query, in seconds since 1970.",
        ("account", "query"),
    ),
    Metric(
        "aliyun_vod_metadata_last_success_timestamp_seconds",
        MetricType.GAUGE,
        "Time of the last refresh of metadata that left nothing out, in seconds since 1970.",
        ("account",),
    ),
    Metric(
        "aliyun_vod_api_action_permitted",
        MetricType.GAUGE,
        "Whether the last call of the optional action was permitted: 0 if a RAM permission is missing, else 1.",
        ("account", "action"),
    ),
    Metric(
        "aliyun_vod_exporter_series",
        MetricType.GAUGE,
        "Number of media series published.",
    ),
    Metric(
        "aliyun_vod_exporter_series_dropped",
        MetricType.GAUGE,
        "Number of media series not published because of series_limit.",
    ),
    Metric(
        "aliyun_vod_exporter_storage_errors_total",
        MetricType.COUNTER,
        "Number of failed writes to storage; the data stays in memory and is written later.",
    ),
    Metric(
        "aliyun_vod_exporter_log_lines_dropped_total",
        MetricType.COUNTER,
        "Number of log lines dropped because standard error was read too slowly or could not be written.",
    ),
    Metric(
        "aliyun_vod_exporter_config_last_reload_successful",
        MetricType.GAUGE,
        "Whether the last load of the configuration succeeded: 1 or 0.",
    ),
    Metric(
        "aliyun_vod_exporter_config_last_reload_success_timestamp_seconds",
        MetricType.GAUGE,
        "Time of the last successful load of the configuration, in seconds since 1970.",
    ),
    Metric(
        "aliyun_vod_exporter_build_info",
        MetricType.GAUGE,
        "Always 1; the labels hold the versions of the exporter and of Python.",
        ("version", "python_version"),
    ),
)


# How many other error codes get their own label value, so that unknown codes cannot add series without limit.
MOST_CODES: Final = 50
_LONGEST_CODE: Final = 64


class ErrorCodeLabels:
    """Documented codes are label values as they are; of others the first MOST_CODES, and `other` for the rest."""

    def __init__(self) -> None:
        self._documented: set[str] = set()
        self._others: set[str] = set()

    def document(self, codes: Iterable[str]) -> None:
        """Add codes of an action's documentation."""
        self._documented.update(codes)

    def label(self, code: str) -> str:
        """The label value for a code; any text may be one."""
        if code in self._documented:
            return code
        safe = printable(code[:_LONGEST_CODE])
        if safe not in self._others:
            if not safe or len(self._others) >= MOST_CODES:
                return "other"
            self._others.add(safe)
        return safe
