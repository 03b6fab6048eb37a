"""The panel that says what the numbers are of, or why there are none and when that ends."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import common, stat
from grafana_foundation_sdk.models.dashboard import Threshold, ValueMap, ValueMappingResult

from deploy.grafana.builder.panels import About, single
from deploy.grafana.builder.promql import RULES_ARE_LOADED, SETTLED_DATE, yesterday
from deploy.grafana.builder.queries import now

# Targets of jobs that are, or within the last day were, an exporter of this project.
TARGETS: Final = (
    '(up{job=~"$job"} and on (job) (group by (job) (up{job=~".*aliyun-vod.*"} '
    "or last_over_time(aliyun_vod_exporter_build_info[1d]))))"
)
_READY: Final = 'aliyun_vod_slice_ready{account=~"$account", job=~"$job"}'
_YESTERDAY_READY: Final = 'aliyun_vod_slice_ready{account=~"$account", job=~"$job", days_ago="1"}'
_DATE: Final = f'{SETTLED_DATE}{{account=~"$account", job=~"$job", terminal_type="all", os="all", region="all"}}'
_NOT_YESTERDAY: Final = f"(min(max by (account) ({_DATE})) < {yesterday()})"
# By when yesterday has to be settled: as aliyun_vod:day_settled_time_seconds:threshold.
_LATE: Final = "vector((time() + 28800) % 86400) >= 54000"

# The first that holds is shown. Colour, condition of PromQL, text.
_STATES: Final = (
    ("red", f"unless on () ({TARGETS})", "No exporter: Prometheus scrapes none. Add the job to its configuration."),
    (
        "red",
        f"and on () ({TARGETS} == 0)",
        "An exporter is down: what only it publishes is missing within 5 minutes, and comes back when it runs again.",
    ),
    (
        "blue",
        f"unless on () {_READY}",
        "The first poll has not ended yet: numbers appear when it has, usually within a minute.",
    ),
    (
        "red",
        f"unless on () {RULES_ARE_LOADED}",
        "No recording rules: load aliyun-vod-records.yml in Prometheus. Sums, trend and alerts need them.",
    ),
    (
        "orange",
        f"unless on () {_YESTERDAY_READY}",
        "No query requests yesterday: add 1 to its days_ago. Nothing can be compared until then.",
    ),
    (
        "blue",
        f"unless on () {_DATE}",
        "No day to compare yet: a day is final after three equal polls, about an hour with every: 30m.",
    ),
    (
        "blue",
        f"unless on () ({_DATE} offset 3m)",
        "The first numbers come in: within 3 minutes all of them, lost and gained plays too.",
    ),
    (
        "orange",
        # An exporter that has just started cannot have settled it.
        f"and on () ({_LATE}) and on () ({_YESTERDAY_READY} offset 2h) and on () {_NOT_YESTERDAY}",
        "Late: yesterday is still not final. The numbers are of the last day that is; Exporter shows why.",
    ),
    (
        "blue",
        f"and on () {_NOT_YESTERDAY}",
        "Yesterday is not final yet: that takes three equal polls from 09:00 UTC+8 on. Shown is the last final day.",
    ),
    ("green", "", "The numbers are of yesterday, and final."),
)


def expression() -> str:
    """The number of the state."""
    return "\nor\n".join(f"vector({code}) {condition}".rstrip() for code, (_, condition, _) in enumerate(_STATES))


def state() -> stat.Panel:
    """What the numbers are of; where they are missing, why and until when."""
    about = About(
        "State",
        "Which day the numbers are of. Where there are none: why, and when that ends.",
        "none",
        "Prometheus does not answer",
    )
    panel = single(about, now(expression()), Threshold(color="#44474d"))
    texts = {
        str(code): ValueMappingResult(text=text, color=colour, index=code)
        for code, (colour, _, text) in enumerate(_STATES)
    }
    no_answer = panel.build().field_config.defaults.mappings or []
    return panel.mappings([*no_answer, ValueMap(options=texts)]).text(common.VizTextDisplayOptions().value_size(15))


def next_poll() -> stat.Panel:
    """When numbers change next."""
    about = About(
        "Next poll",
        "When the exporter polls next, in UTC+8: numbers do not change before. They are scraped within a minute after.",
        "time:HH:mm",
        "none is scheduled",
    )
    return single(about, now('1000 * min(aliyun_vod_query_next_poll_timestamp_seconds{job=~"$job"})'))
