"""The exporter's own metrics: counters and gauges that other modules report to through its methods."""

from __future__ import annotations

import platform
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from exporter.core.fields import WIRE_NAMES
from exporter.core.poll_report import PollResult
from exporter.exposition.metric_families import MetricFamilies
from exporter.exposition.player_catalog import PlayerCollector
from exporter.exposition.process_collectors import process_collectors
from exporter.exposition.self_metrics import ErrorCodeLabels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.core.player_query import PlayerView
    from exporter.errors import ErrorKind

RESULTS: Final = tuple(PollResult)
SAVINGS: Final = ("shared", "sweep", "settled")
DISCOVERY_CHANGES: Final = ("new", "gone")
FIELDS: Final = tuple(WIRE_NAMES.values())
# Actions of the API, each with its own error codes and their kinds.
Actions: TypeAlias = "Mapping[str, Mapping[str, ErrorKind]]"
# From a response within the same region to one that reached the timeout.
_REQUEST_SECONDS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Telemetry:
    """The exporter's own metrics; every series that is known in advance exists from the start.

    * `version`: the version of the exporter.
    * `accounts`: the actions that each configured account calls, with their error codes, which all start at 0.
    * `queries`: account and name of each configured one. `set_targets` replaces both.
    * `monotonic`: a clock in seconds; `process_*`, `python_info` and `python_gc_*` are collected at most once a second.
    * `log_lines_dropped`: returns the log lines dropped since the start; called equally often.
    * `player_views`: returns the state of players; called equally often.

    `families` has them all.
    """

    def __init__(
        self,
        *,
        version: str,
        accounts: Mapping[str, Actions],
        queries: Iterable[tuple[str, str]],
        monotonic: Callable[[], float] = time.monotonic,
        log_lines_dropped: Callable[[], int] = lambda: 0,
        player_views: Callable[[], Sequence[PlayerView]] = tuple,
    ) -> None:
        registry = CollectorRegistry()
        self.families = families = MetricFamilies(registry, monotonic)
        self._codes = ErrorCodeLabels()
        self._accounts: frozenset[str] = frozenset()
        self._actions: frozenset[tuple[str, str]] = frozenset()
        self._queries: frozenset[tuple[str, str]] = frozenset()
        self._searches: Mapping[tuple[str, str], object] = {}
        self._metadata_accounts: frozenset[str] = frozenset()

        self._requests = families.add(Counter, "aliyun_vod_api_requests_total")
        self._errors = families.add(Counter, "aliyun_vod_api_errors_total")
        self._request_seconds = families.add(
            partial(Histogram, buckets=_REQUEST_SECONDS), "aliyun_vod_api_request_duration_seconds"
        )
        self._retries = families.add(Counter, "aliyun_vod_api_retries_total")
        self._rate_limit = families.add(Gauge, "aliyun_vod_api_rate_limit_requests_per_second")
        self._calls_remaining = families.add(Gauge, "aliyun_vod_api_calls_remaining_today")
        self._calls_saved = families.add(Counter, "aliyun_vod_api_calls_saved_total")
        self._invalid_values = families.add(Counter, "aliyun_vod_api_invalid_values_total")

        self._up = families.add(Gauge, "aliyun_vod_query_up")
        self._polls = families.add(Counter, "aliyun_vod_query_polls_total")
        self._poll_seconds = families.add(Gauge, "aliyun_vod_query_poll_duration_seconds")
        self._last_success = families.add(Gauge, "aliyun_vod_query_last_success_timestamp_seconds")
        self._next_poll = families.add(Gauge, "aliyun_vod_query_next_poll_timestamp_seconds")

        self._unknown_media = families.add(Gauge, "aliyun_vod_query_unknown_media")

        # Without searches and metadata these have no series.
        optional = partial(families.add, optional=True)
        self._discovered_media = optional(Gauge, "aliyun_vod_query_discovered_media")
        self._discovery_changes = optional(Counter, "aliyun_vod_query_discovery_changes_total")
        self._discovery_success = optional(Gauge, "aliyun_vod_query_discovery_last_success_timestamp_seconds")
        self._metadata_success = optional(Gauge, "aliyun_vod_metadata_last_success_timestamp_seconds")
        self._action_permitted = optional(Gauge, "aliyun_vod_api_action_permitted")

        self._series = families.add(Gauge, "aliyun_vod_exporter_series")
        self._series_dropped = families.add(Gauge, "aliyun_vod_exporter_series_dropped")
        self._storage_errors = families.add(Counter, "aliyun_vod_exporter_storage_errors_total")
        self._reload_successful = families.add(Gauge, "aliyun_vod_exporter_config_last_reload_successful")
        self._reload_success = families.add(Gauge, "aliyun_vod_exporter_config_last_reload_success_timestamp_seconds")
        build = families.add(Gauge, "aliyun_vod_exporter_build_info")
        build.labels(version, platform.python_version()).set(1)

        families.add_sampled(PlayerCollector(player_views, registry), *process_collectors(registry, log_lines_dropped))
        self.set_targets(accounts=accounts, queries=queries)

    def set_targets(self, *, accounts: Mapping[str, Actions], queries: Iterable[tuple[str, str]]) -> None:
        """Apply changed names: new ones start at 0, removed ones lose their series, others keep their values.

        Call it after the polls of removed names have ended: a late report would create their series again.
        """
        names, queries = frozenset(accounts), frozenset(queries)
        actions = frozenset((account, action) for account in accounts for action in accounts[account])
        for account, action in self._actions - actions:
            self.families.remove_everywhere(account=account, action=action)
        for account in self._accounts - names:
            self.families.remove_everywhere(account=account)
        for account, query in self._queries - queries:
            self.families.remove_everywhere(account=account, query=query)
        for account, action in sorted(actions - self._actions):
            self._start_action(account, action, accounts[account][action])
        for account in sorted(names - self._accounts):
            self._start_account(account)
        for account, query in sorted(queries - self._queries):
            self._start_query(account, query)
        self._accounts, self._actions, self._queries = names, actions, queries

    def set_discovery(self, *, searches: Mapping[tuple[str, str], object], metadata: Iterable[str]) -> None:
        """Apply the search of each account and query, and the accounts that export metadata; others lose series.

        What a search has found is not what another one of the same query will find.
        """
        searches, metadata = dict(searches), frozenset(metadata)
        for account, query in self._searches.keys() - searches.keys():
            # The query may go on without its search: its other series stay.
            for family in (self._discovered_media, self._discovery_changes, self._discovery_success):
                self.families.remove(family, account=account, query=query)
        for (account, query), search in self._searches.items():
            if searches.get((account, query), search) != search:
                for family in (self._discovered_media, self._discovery_success):
                    self.families.remove(family, account=account, query=query)
        for account, query in sorted(searches.keys() - self._searches.keys()):
            for change in DISCOVERY_CHANGES:
                self.families.series(self._discovery_changes, account, query, change)
        for account in self._metadata_accounts - metadata:
            self.families.remove(self._metadata_success, account=account)
        self._searches, self._metadata_accounts = searches, metadata

    def discovered(self, account: str, query: str, media: int, at: float, *, complete: bool) -> None:
        """A search has found `media` media, as of `at` (seconds since 1970)."""
        self.families.series(self._discovered_media, account, query).set(media)
        if complete:
            self.families.series(self._discovery_success, account, query).set(at)

    def discovery_changed(self, account: str, query: str, change: str, media: int) -> None:
        """A search has found `media` new media (`new`), or no longer found that many known ones (`gone`)."""
        self.families.series(self._discovery_changes, account, query, change).inc(media)

    def metadata_refreshed(self, account: str, at: float) -> None:
        """All metadata of an account was refreshed at `at` (seconds since 1970)."""
        self.families.series(self._metadata_success, account).set(at)

    def action_permitted(self, account: str, action: str, *, permitted: bool) -> None:
        """The last call of an optional action was permitted or refused."""
        self.families.series(self._action_permitted, account, action).set(int(permitted))

    def request_sent(self, account: str, action: str) -> None:
        """An attempt was sent to the API."""
        self.families.series(self._requests, account, action).inc()

    def request_failed(self, account: str, action: str, code: str, kind: ErrorKind) -> None:
        """An attempt failed with an error code of the API, or with one of ours where the API returned none."""
        self.families.series(self._errors, account, action, self._codes.label(code), kind).inc()

    def request_took(self, account: str, action: str, seconds: float) -> None:
        """An attempt ended after this many seconds, successful or not."""
        self.families.series(self._request_seconds, account, action).observe(seconds)

    def retried(self, account: str, action: str) -> None:
        """A failed attempt is retried."""
        self.families.series(self._retries, account, action).inc()

    def rate_changed(self, account: str, per_second: float) -> None:
        """The current rate limit has changed, in requests per second."""
        self.families.series(self._rate_limit, account).set(per_second)

    def calls_remaining(self, account: str, calls: int | None) -> None:
        """This many calls are left today; None: the account has no daily quota, and so no series."""
        if calls is None:
            self.families.remove(self._calls_remaining, account=account)
        else:
            self.families.series(self._calls_remaining, account).set(calls)

    def calls_saved(self, account: str, reason: str, calls: int) -> None:
        """This many calls were avoided, for a reason of `SAVINGS`."""
        self.families.series(self._calls_saved, account, reason).inc(calls)

    def invalid_values(self, account: str, field: str, times: int) -> None:
        """A response had `times` invalid values of a field (`FIELDS`)."""
        self.families.series(self._invalid_values, account, field).inc(times)

    def poll_ended(self, account: str, query: str, result: str, *, seconds: float, ended_at: float, up: bool) -> None:
        """A poll ended at `ended_at` (seconds since 1970) after `seconds`, with a result of `RESULTS`."""
        self.families.series(self._polls, account, query, result).inc()
        self.families.series(self._poll_seconds, account, query).set(seconds)
        self.families.series(self._up, account, query).set(int(up))
        if result == "success":
            self.families.series(self._last_success, account, query).set(ended_at)

    def poll_skipped(self, account: str, query: str, *, overlapped: bool) -> None:
        """A due poll was skipped: the query is down, unless the poll only overlapped with the previous one."""
        self.families.series(self._polls, account, query, "skipped").inc()
        if not overlapped:
            self.families.series(self._up, account, query).set(0)

    def next_poll(self, account: str, query: str, at: float) -> None:
        """The next poll of the query starts at `at` (seconds since 1970)."""
        self.families.series(self._next_poll, account, query).set(at)

    def unknown_media(self, account: str, query: str, media: int | None) -> None:
        """This many media IDs of the query were in no response so far; None: it lists no IDs, and so has no series."""
        if media is None:
            self.families.remove(self._unknown_media, account=account, query=query)
        else:
            self.families.series(self._unknown_media, account, query).set(media)

    def published(self, series: int, dropped: int) -> None:
        """The number of media series that are exposed, and of those dropped because of `series_limit`."""
        self.families.series(self._series).set(series)
        self.families.series(self._series_dropped).set(dropped)

    def storage_failed(self) -> None:
        """A write to storage failed."""
        self.families.series(self._storage_errors).inc()

    def config_loaded(self, at: float) -> None:
        """A configuration was loaded at `at` (seconds since 1970) and is in use."""
        self.families.series(self._reload_successful).set(1)
        self.families.series(self._reload_success).set(at)

    def config_rejected(self) -> None:
        """A configuration was rejected; the previous one stays in use."""
        self.families.series(self._reload_successful).set(0)

    def _start_action(self, account: str, action: str, codes: Mapping[str, ErrorKind]) -> None:
        for metric in (self._requests, self._request_seconds, self._retries):
            self.families.series(metric, account, action)
        for code, kind in codes.items():
            self.families.series(self._errors, account, action, code, kind)
        self._codes.document(codes)

    def _start_account(self, account: str) -> None:
        for reason in SAVINGS:
            self.families.series(self._calls_saved, account, reason)
        for field in FIELDS:
            self.families.series(self._invalid_values, account, field)

    def _start_query(self, account: str, query: str) -> None:
        self.families.series(self._up, account, query)
        for result in RESULTS:
            self.families.series(self._polls, account, query, result)
