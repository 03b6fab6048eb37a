"""The dashboard *Exporter*: whether it runs, its API calls, and the age of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, FieldColorModeId, Threshold

from deploy.grafana.builder import alerts, frame
from deploy.grafana.builder.panels import NONE_IS_GOOD, ONE_IS_GOOD, About, coloured, dashed, graph, single, stacked
from deploy.grafana.builder.promql import SLICE
from deploy.grafana.builder.queries import now, over_time, per_bar, per_second, rows
from deploy.grafana.builder.state import TARGETS, next_poll, state
from deploy.grafana.builder.tables import Column, Joined, table_of
from exporter.errors import ErrorKind

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
    from grafana_foundation_sdk.models.dashboard import Dashboard

_INSTANCE: Final = 'job=~"$job", instance=~"$instance"'
_ACCOUNT: Final = f'account=~"$account", {_INSTANCE}'
_OURS: Final = f"and on (instance, job) aliyun_vod_exporter_build_info{{{_INSTANCE}}}"
_STALE: Final = (Threshold(color="transparent"), Threshold(21_600, "orange"), Threshold(86_400, "red"))
_REASONS: Final = ("settled", "shared", "sweep")
_RESULTS: Final = {"success": "green", "partial": "orange", "failure": "red", "skipped": "gray"}
# Nothing that failed is green, however many kinds there are.
_FAILURES: Final = board.FieldColor().mode(FieldColorModeId.SHADES).fixed_color("red")
# As the status page calls them.
_KINDS: Final = {
    ErrorKind.PARAMETER: "parameters",
    ErrorKind.AUTH: "permission",
    ErrorKind.NOT_READY: "not ready",
    ErrorKind.SERVER: "service",
    ErrorKind.THROTTLED: "throttled",
    ErrorKind.CLOCK: "clock",
    ErrorKind.TRANSPORT: "network",
    ErrorKind.MALFORMED: "unreadable response",
    ErrorKind.OTHER: "other",
}
_NOT_SCRAPED: Final = "Prometheus scrapes no exporter that runs"
_WHEN: Final = "each 5 minutes are shown once they are over"
_TARGETS: Final = f"{TARGETS} and on (instance, job) up{{{_INSTANCE}}}"


def build() -> Dashboard:
    """The dashboard as Grafana's JSON model."""
    built = frame.dashboard(
        frame.EXPORTER,
        "Alibaba Cloud VOD / Exporter",
        "The exporter itself: API calls and their errors, rate and budget, queries, the age of what is published.",
    ).time("now-6h", "now")
    for variable in _variables():
        built.with_variable(variable)
    built.with_panel(state().span(20).height(3))
    built.with_panel(next_poll().span(4).height(3))
    for number in (
        _down(),
        _queries_failing(),
        _errors_share(),
        _oldest_success(),
        _configuration(),
        _calls_left(),
        _series(),
        _dropped(),
    ):
        built.with_panel(number.span(6).height(3))
    # Side by side, headings and names would be cut on a screen of 1280 pixels.
    built.with_panel(_instances().span(24).height(5))
    built.with_panel(alerts.firing().span(24).height(7))
    built.with_row(board.Row("Calls to the API"))
    # With room for a legend of five lines on a screen of 1280 pixels.
    for graphs in (_calls(), _errors(), _latency(), _rate(), _budget(), _saved()):
        built.with_panel(graphs.span(8).height(9))
    built.with_row(board.Row("Queries and days"))
    built.with_panel(_queries().span(24).height(7))
    built.with_panel(_days().span(24).height(10))
    built.with_row(board.Row("Polls, series and the process"))
    for graphs in (_polls(), _series_over_time(), _storage(), _memory(), _processor(), _files()):
        built.with_panel(graphs.span(8).height(7))
    return frame.numbered(built.build())


def _variables() -> tuple[board.QueryVariable, ...]:
    instance = frame.result_variable(
        "instance",
        "Instance",
        f"query_result(group by (instance) ({TARGETS}))",
        "Exporters that Prometheus scrapes, also those that are down.",
    ).regex('/instance="([^"]+)"/')
    account = frame.label_variable(
        "account", "Account", 'aliyun_vod_api_requests_total{job=~"$job"}', "Accounts of the configuration."
    )
    return frame.several(account).all_value(".*"), frame.several(instance).all_value(".*")


def _down() -> stat.Panel:
    about = About(
        "Exporters down",
        "Exporters that Prometheus could not scrape the last time. What only they publish is missing.",
        "none",
        "none is scraped",
    )
    return single(about, now(f"sum(({_TARGETS}) == bool 0)"), *NONE_IS_GOOD, none_is="red")


def _instances() -> table.Panel:
    about = About(
        "Exporters",
        "Exporters that Prometheus scrapes: whether each answered the last time, its version, and since when it runs.",
        "none",
        _NOT_SCRAPED,
    )
    version = f"aliyun_vod_exporter_build_info{{{_INSTANCE}}}"
    return table_of(
        about,
        (
            rows(f"max by (job, instance) ({_TARGETS})"),
            rows(f"max by (job, instance, version) ({version})"),
            rows(f"1000 * max by (job, instance) (process_start_time_seconds {_OURS})"),
            rows(
                "1000 * max by (job, instance) "
                f"(aliyun_vod_exporter_config_last_reload_success_timestamp_seconds{{{_INSTANCE}}})"
            ),
        ),
        Joined(by=("job", "instance"), sort_by="instance", descending=False),
        (
            Column("instance", "Instance"),
            Column("job", "Job", width=90),
            Column("Value #A", "State", width=60, steps=ONE_IS_GOOD, mappings=(_words("down", "up"),)),
            Column("version", "Version", width=70),
            Column("Value #C", "Runs since", "time:MM-DD HH:mm", 100),
            Column("Value #D", "Config since", "time:MM-DD HH:mm", 105),
        ),
    )


def _queries_failing() -> stat.Panel:
    about = About(
        "Queries failing",
        "Queries whose last poll did not get an answer for every slice. What was got before stays published.",
        "none",
        "no poll yet, or exporter down",
    )
    return single(about, now(f"sum(aliyun_vod_query_up{{{_INSTANCE}}} == bool 0)"), *NONE_IS_GOOD)


def _errors_share() -> stat.Panel:
    about = About(
        "Failed, last hour",
        "Share of the attempts that failed in the last hour, without those that said a day is not computed yet. Failed "
        "attempts are repeated, so a few do no harm.",
        "percentunit",
        "no attempt in the last hour",
    )
    failed = f'sum(increase(aliyun_vod_api_errors_total{{{_ACCOUNT}, kind!="not_ready"}}[1h]))'
    sent = f"sum(increase(aliyun_vod_api_requests_total{{{_ACCOUNT}}}[1h]))"
    steps = (Threshold(color="green"), Threshold(0.1, "orange"), Threshold(0.5, "red"))
    return single(about, now(f"{failed} / ({sent} > 0)"), *steps).decimals(1)


def _oldest_success() -> stat.Panel:
    about = About(
        "Last success",
        "How long ago the last successful poll ended, of the query for which that is longest ago.",
        "s",
        "none yet, or exporter down",
    )
    steps = (Threshold(color="green"), Threshold(21_600, "orange"), Threshold(86_400, "red"))
    last = f"max by (query) (aliyun_vod_query_last_success_timestamp_seconds{{{_INSTANCE}}})"
    return single(about, now(f"time() - min({last})"), *steps).decimals(0)


def _configuration() -> stat.Panel:
    about = About(
        "Config rejected",
        "Exporters whose last load of the configuration was rejected; they go on with the one before.",
        "none",
        _NOT_SCRAPED,
    )
    rejected = f"sum(aliyun_vod_exporter_config_last_reload_successful{{{_INSTANCE}}} == bool 0)"
    return single(about, now(rejected), *NONE_IS_GOOD)


def _calls_left() -> stat.Panel:
    about = About(
        "Calls left today",
        "Calls until calls_per_day is spent; then polling pauses until 00:00 UTC+8. Of several accounts and exporters, "
        "the one with fewest.",
        "locale",
        "no daily limit, or exporter down",
    )
    steps = (Threshold(color="red"), Threshold(1, "green"))
    return single(about, now(f"min(aliyun_vod_api_calls_remaining_today{{{_ACCOUNT}}})"), *steps)


def _series() -> stat.Panel:
    about = About("Media series", "Media series that the exporters publish.", "locale", _NOT_SCRAPED)
    return single(about, now(f"sum(aliyun_vod_exporter_series{{{_INSTANCE}}})"))


def _dropped() -> stat.Panel:
    about = About(
        "Series left out",
        "Media series beyond series_limit: they are not published, those with the largest plays are.",
        "locale",
        _NOT_SCRAPED,
    )
    return single(about, now(f"sum(aliyun_vod_exporter_series_dropped{{{_INSTANCE}}})"), *NONE_IS_GOOD)


def _calls() -> timeseries.Panel:
    about = About(
        "Attempts",
        "HTTP requests to the API by account and action, repeated ones included; dashed those that repeated a failed "
        "one.",
        "reqps",
        "No exporter has sent a request in this time",
    )
    return graph(
        about,
        per_second(f"aliyun_vod_api_requests_total{{{_ACCOUNT}}}", "{{account}} {{action}}", by="account, action"),
        per_second(
            f"aliyun_vod_api_retries_total{{{_ACCOUNT}}}",
            "{{account}} repeated",
            by="account",
            more="> 0",
        ),
    ).override_by_query("B", dashed("orange"))


def _errors() -> timeseries.Panel:
    about = About(
        "Attempts failed, by code",
        "Attempts that failed, by the service's own code (Meter.*: of this API; others: of the gateway), and its "
        "kind. Meter.ReadyTsError is no fault: the day is not computed yet.",
        "short",
        f"No attempt has failed in this time since the first scrape; {_WHEN}",
    )
    failed = per_bar(f"aliyun_vod_api_errors_total{{{_ACCOUNT}}}", "{{code}} ({{kind}})", by="code, kind", more="> 0")
    panel = stacked(graph(about, failed)).color_scheme(_FAILURES)
    for kind, words in _KINDS.items():
        in_legend = {"regex": rf"/\b{kind}(?=\W$)/", "renamePattern": words}
        panel.with_transformation(DataTransformerConfig(id_val="renameByRegex", options=in_legend))
    return panel


def _latency() -> timeseries.Panel:
    about = About(
        "How long an attempt takes",
        "Half of the attempts are answered within the median, 99 of 100 within the other.",
        "s",
        f"No exporter has sent a request in this time; {_WHEN}",
    )
    # Where nothing was sent there is no quantile: NaN, which is not >= 0.
    buckets = f"sum by (le) (rate(aliyun_vod_api_request_duration_seconds_bucket{{{_ACCOUNT}}}[$__interval]))"
    panel = graph(
        about,
        over_time(f"histogram_quantile(0.5, {buckets}) >= 0", "median"),
        over_time(f"histogram_quantile(0.99, {buckets}) >= 0", "99 %"),
    )
    return panel.interval("5m").span_nulls(span_nulls=True)


def _rate() -> timeseries.Panel:
    about = About(
        "Rate limit in force",
        "Requests per second that the exporter allows itself now. It is lowered when the service throttles, and "
        "recovers to what is configured; a line below that for long means other programs use up the account's limit.",
        "reqps",
        _NOT_SCRAPED,
    )
    rate = f"min by (account, instance) (aliyun_vod_api_rate_limit_requests_per_second{{{_ACCOUNT}}})"
    return graph(about, over_time(rate, "{{account}} {{instance}}"))


def _budget() -> timeseries.Panel:
    about = About(
        "Calls left today",
        "Calls until calls_per_day is spent. It starts again at 00:00 UTC+8.",
        "short",
        "Unlimited: no account has calls_per_day",
    )
    left = f"min by (account, instance) (aliyun_vod_api_calls_remaining_today{{{_ACCOUNT}}})"
    return graph(about, over_time(left, "{{account}} {{instance}}"))


def _saved() -> timeseries.Panel:
    about = About(
        "Calls saved",
        "Calls that a naive poller would have made: shared between queries, one sweep for many media, or the day is "
        "settled and not requested again.",
        "short",
        f"No call was saved in this time since the first scrape; {_WHEN}",
    )

    def saved(reason: str) -> prometheus.Dataquery:
        calls = f'aliyun_vod_api_calls_saved_total{{{_ACCOUNT}, reason="{reason}"}}'
        return per_bar(calls, reason, by="reason", more="> 0")

    return stacked(graph(about, *map(saved, _REASONS)))


def _queries() -> table.Panel:
    about = About(
        "Queries",
        "Each query's last poll: whether it got an answer for every slice, how long ago one last did, when the next is "
        "due, how long it took; and polls of the last day that were not successful.",
        "none",
        "No query was polled yet, or no exporter runs: see State",
    )

    def each(metric: str) -> str:
        return f"max by (query, instance) ({metric}{{{_INSTANCE}}})"

    result = 'result=~"partial|failure|skipped"'
    unsuccessful = f"sum by (query, instance) (increase(aliyun_vod_query_polls_total{{{_INSTANCE}, {result}}}[1d]))"
    return table_of(
        about,
        (
            # Between the time that it is due and the next scrape it is running.
            rows(f"clamp_min({each('aliyun_vod_query_next_poll_timestamp_seconds')} - time(), 0)"),
            rows(each("aliyun_vod_query_up")),
            rows(f"time() - {each('aliyun_vod_query_last_success_timestamp_seconds')}"),
            rows(each("aliyun_vod_query_poll_duration_seconds")),
            rows(f"{unsuccessful} and {each('aliyun_vod_query_next_poll_timestamp_seconds')}"),
        ),
        Joined(by=("query", "instance"), sort_by="query", descending=False),
        (
            Column("query", "Query"),
            Column("instance", "Instance", width=200),
            Column("Value #B", "Last poll", width=90, steps=ONE_IS_GOOD, mappings=(_words("failed", "ok"),)),
            Column("Value #C", "Success ago", "s", 115, 0, _STALE),
            Column("Value #A", "Next in", "s", 90, 0),
            Column("Value #D", "Took", "s", 90, 1),
            Column("Value #E", "Not ok, 1 d", "short", 110, 0),
        ),
    )


def _days() -> table.Panel:
    about = About(
        "Days",
        "Per account and play date: how many of its slices are settled (final, not requested again), how many the "
        "service has not computed yet, how long ago the oldest that may still change was polled, and media with plays.",
        "none",
        "Nothing is published yet, or no exporter runs: see State",
    )

    def per_day(how: str, expr: str) -> str:
        return f"{how} by (account, days_ago) ({expr})"

    def per_slice(metric: str) -> str:
        return f"max by ({SLICE}, days_ago) ({metric}{{{_ACCOUNT}}})"

    settled = per_slice("aliyun_vod_slice_settled")
    ready = per_slice("aliyun_vod_slice_ready")
    updated = per_slice("aliyun_vod_slice_updated_timestamp_seconds")
    date = "1000 * max by (days_ago) (aliyun_vod_play_date_timestamp_seconds)"
    every_day = per_day("count", ready)
    return table_of(
        about,
        (
            rows(f"0 * {every_day} + on (days_ago) group_left () {date}"),
            rows(every_day),
            rows(per_day("avg", settled)),
            rows(per_day("sum", f"{ready} == bool 0")),
            rows(per_day("max", f"time() - ({updated} unless {settled} == 1)")),
            rows(per_day("max", per_slice("aliyun_vod_slice_media"))),
        ),
        Joined(by=("account", "days_ago"), sort_by="days_ago", descending=False, numbers=("days_ago",)),
        (
            Column("account", "Account"),
            Column("days_ago", "Days ago", width=100),
            Column("Value #A", "Date", "time:ddd MM-DD", 110),
            Column("Value #B", "Slices", "none", 90),
            Column(
                "Value #C", "Settled", "percentunit", 90, 0, (Threshold(color="transparent"), Threshold(1, "green"))
            ),
            Column(
                "Value #D", "Not ready", "none", 100, steps=(Threshold(color="transparent"), Threshold(1, "orange"))
            ),
            Column("Value #E", "Polled ago", "s", 110, 0, _STALE),
            Column("Value #F", "Media", "locale", 90),
        ),
    )


def _polls() -> timeseries.Panel:
    about = About(
        "Polls, by result",
        "Polls that ended: with an answer for every slice, for some (partial), for none (failure), or skipped.",
        "short",
        f"No poll has ended in this time since the first scrape; {_WHEN}",
    )

    def ended(result: str) -> prometheus.Dataquery:
        polls = f'aliyun_vod_query_polls_total{{{_INSTANCE}, result="{result}"}}'
        return per_bar(polls, result, by="result", more="> 0")

    panel = stacked(graph(about, *map(ended, _RESULTS)))
    for target, name in zip("ABCD", _RESULTS.values(), strict=True):
        panel.override_by_query(target, coloured(name))
    return panel


def _series_over_time() -> timeseries.Panel:
    about = About(
        "Media series",
        "Media series published; dashed those left out because of series_limit.",
        "short",
        _NOT_SCRAPED,
    )
    return graph(
        about,
        over_time(f"aliyun_vod_exporter_series{{{_INSTANCE}}}", "{{instance}}"),
        over_time(f"aliyun_vod_exporter_series_dropped{{{_INSTANCE}}}", "{{instance}} left out"),
    ).override_by_query("B", dashed("red"))


def _storage() -> timeseries.Panel:
    about = About(
        "Storage errors",
        "Times that storage could not be written. What is known is kept in memory and written later; a restart before "
        "that requests it again.",
        "short",
        f"{_NOT_SCRAPED}; {_WHEN}",
    )
    errors = per_bar(f"aliyun_vod_exporter_storage_errors_total{{{_INSTANCE}}}", "{{instance}}", by="instance")
    return stacked(graph(about, errors)).color_scheme(_FAILURES)


def _memory() -> timeseries.Panel:
    about = About("Memory", "Resident memory of the process.", "bytes", _NOT_SCRAPED)
    return graph(about, over_time(f"process_resident_memory_bytes {_OURS}", "{{instance}}"))


def _processor() -> timeseries.Panel:
    about = About("Processor", "Processor time used: 100 % is one core.", "percentunit", _NOT_SCRAPED)
    return graph(about, per_second("process_cpu_seconds_total", "{{instance}}", more=_OURS))


def _files() -> timeseries.Panel:
    about = About("Open file descriptors", "Files and connections that are open.", "short", _NOT_SCRAPED)
    return graph(about, over_time(f"process_open_fds {_OURS}", "{{instance}}"))


def _words(zero: str, one: str) -> dict[str, object]:
    return {"type": "value", "options": {"0": {"text": zero, "index": 0}, "1": {"text": one, "index": 1}}}
