"""Detects polls and reloads from the log and from scrapes; much time is skipped only while nothing is polled."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.campaigns.faults.scrapes import Scrape

_LINE: Final = re.compile(r"^\S+ \S+ msg=(polling|polled) query=(\S+)")


class Polling:
    """The state of polling in one process of the daemon; `ended`: polls so far, `next_at`: start of the next."""

    def __init__(self) -> None:
        self.next_at: float = 0.0
        self.ended: float = 0.0
        self._running: set[str] = set()

    def __bool__(self) -> bool:
        """Whether a poll is running."""
        return bool(self._running)

    def read(self, lines: Iterable[str]) -> None:
        """Update the state from lines of the log. A poll that a reload interrupts begins again, so it goes on here."""
        for line in lines:
            if found := _LINE.match(line):
                (self._running.add if found[1] == "polling" else self._running.discard)(found[2])

    def see(self, scrape: Scrape) -> None:
        """Update the state from a scrape."""
        self.ended = math.fsum(
            sample.value
            for sample in scrape.samples
            if sample.name == "aliyun_vod_query_polls_total" and sample.labels["result"] != "skipped"
        )
        self.next_at = min(scrape.of("aliyun_vod_query_next_poll_timestamp_seconds").values(), default=0.0)


def reloaded(scrape: Scrape, since: float) -> bool | None:
    """Whether the configuration was reloaded since then; None: neither accepted nor rejected so far."""
    if not scrape.one("aliyun_vod_exporter_config_last_reload_successful"):
        return False
    at = scrape.one("aliyun_vod_exporter_config_last_reload_success_timestamp_seconds") or 0.0
    return True if at >= since else None
