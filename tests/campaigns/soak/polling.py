"""Detects polls and reloads from scrapes; time is skipped only while nothing is polled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.campaigns.faults.scrapes import Scrape


class Polling:
    """The state of polling in one process of the daemon."""

    def __init__(self) -> None:
        self.next_at: float = 0.0
        self.ended: float = 0.0
        self._ended: dict[str, float] = {}
        self._next: dict[str, float] = {}
        self._pending: set[str] = set()

    def __bool__(self) -> bool:
        """Whether a poll is due or running."""
        return bool(self._pending)

    def see(self, scrape: Scrape) -> None:
        """Update the state from a scrape."""
        ended: dict[str, float] = {}
        for sample in scrape.samples:
            # A skipped poll means that the previous one still runs.
            if sample.name == "aliyun_vod_query_polls_total" and sample.labels["result"] != "skipped":
                query = sample.labels["query"]
                ended[query] = ended.get(query, 0.0) + sample.value
            elif sample.name == "aliyun_vod_query_next_poll_timestamp_seconds":
                self._next[sample.labels["query"]] = sample.value
        for query, times in ended.items():
            if times > self._ended.get(query, 0.0):
                self._pending.discard(query)
            elif query not in self._ended:
                self._pending.add(query)
        self._ended = ended
        self.ended = math.fsum(ended.values())
        self.passed(scrape.at)

    def passed(self, now: float) -> None:
        """The time is `now`: queries that are due will be polled."""
        self._pending |= {query for query, at in self._next.items() if at <= now}
        self.next_at = min(self._next.values(), default=0.0)

    def interrupted(self) -> None:
        """The configuration changed: any query may be polled again."""
        self._pending |= self._ended.keys()

    def waited_enough(self) -> None:
        """No request for so long that none can be pending."""
        self._pending.clear()


def reloaded(scrape: Scrape, since: float) -> bool | None:
    """Whether the configuration was reloaded since then; None: neither accepted nor rejected so far."""
    if not scrape.one("aliyun_vod_exporter_config_last_reload_successful"):
        return False
    at = scrape.one("aliyun_vod_exporter_config_last_reload_success_timestamp_seconds") or 0.0
    return True if at >= since else None
