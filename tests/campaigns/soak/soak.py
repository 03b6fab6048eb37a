"""Runs the daemon against the simulator through the events of a schedule, and checks it all the time."""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Final

from exporter.core import play_dates
from exporter.simulator.dataset import Dataset
from tests.campaigns.faults.scrapes import Scrape
from tests.campaigns.soak import schedule as schedules
from tests.campaigns.soak.daemon import Daemon
from tests.campaigns.soak.invariants import (
    OWED_DAYS,
    FinalNumbers,
    Findings,
    down,
    missing_days,
    scraped,
    stored,
)
from tests.campaigns.soak.observations import Observations
from tests.campaigns.soak.operator import Operator
from tests.campaigns.soak.polling import Polling, reloaded
from tests.campaigns.soak.queries import RETENTION_DAYS
from tests.campaigns.soak.schedule import (
    AUDIT_HOUR,
    CALM_HOUR,
    HOUR,
    End,
    Event,
    InvalidReload,
    Reload,
    Rotation,
    ServiceConditions,
)
from tests.campaigns.soak.service import MEDIA, Service
from tests.storage.stored import read_slices

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.campaigns.soak.clock import Clock

_SCRAPED_EVERY: Final = 1800.0
_FIRST_SKIP: Final = 0.25
_LONGEST_SKIP: Final = 8.0
_GLANCE: Final = 0.001
_PATIENCE: Final = 300.0
_BAD_CONFIGURATION: Final = 2
_FAIR: Final[dict[str, Any]] = {
    "faults": (),
    "rate": 0.0,
    "wait_header": "x-acs-retry-after",
    "clock_offset": 0.0,
    "latency": 0.0,
}
_RETURNED_DAYS: Final = 12
# The first metric about the exporter itself; metrics of play data come before it.
_OWN: Final = "# HELP aliyun_vod_api_requests_total"


@dataclass(frozen=True, slots=True)
class Then:
    """A consequence of an event."""

    what: Callable[[], None]


class Soak:
    """One run; `start` is 00:00 UTC+8 of its first day, and now."""

    def __init__(
        self, folder: Path, clock: Clock, *, seed: int, simulated_days: int, on_day: Callable[[int], object]
    ) -> None:
        self._on_day = on_day
        self.seen = Observations(simulated_days, seed)
        self.service = Service(seed, clock.now)
        self.daemon = Daemon(folder, clock.environ)
        self.final = FinalNumbers(Dataset(seed, MEDIA))
        self._clock = clock
        self._chance = Random(seed)  # noqa: S311 - events, not secrets
        self.operator = Operator(folder, self._chance, self.service.dataset.media_ids)
        self._start = clock.now()
        self._end = self._start + simulated_days * 24 * HOUR
        self._numbers = count()
        self._ahead: list[tuple[float, int, Event | Then]] = []
        self._polling = Polling()
        self._doom: End | None = None
        self._at_publication = False
        self._shown = ""
        self._scrape: Scrape | None = None
        self._requests_before = 0
        self._skip = _FIRST_SKIP
        self._starting = False

    def run(self) -> Observations:
        """Run from the first day to the end of the last."""
        began = time.monotonic()
        with self.service.serving():
            try:
                for event in schedules.schedule(self.seen.seed, self._start, self.seen.days):
                    self._at(event.at, event)
                for number in range(self.seen.days):
                    self._at(self._start + (24 * number + AUDIT_HOUR) * HOUR, Then(self._check_day))
                self.service.change(credentials=self.operator.new_key())
                self.operator.write_key_id()
                self.operator.write_secret()
                self._configure()
                self._start_daemon()
                while self._clock.now() < self._end:
                    self._continue()
                self._finish()
            finally:
                self.daemon.close()
        self.seen.outcomes = self.service.outcomes
        self.seen.seconds = time.monotonic() - began
        return self.seen

    # Time.

    def _at(self, at: float, what: Event | Then) -> None:
        heapq.heappush(self._ahead, (at, next(self._numbers), what))

    def _continue(self) -> None:
        while self._ahead and self._ahead[0][0] <= self._clock.now():
            self._handle(heapq.heappop(self._ahead)[2])
        self._check_scrape()
        self._settle()
        until = min(self._ahead[0][0] if self._ahead else math.inf, self._end)
        self._advance_to(until)

    def _advance_to(self, until: float) -> None:
        """Skip idle time: while something is polled, only its waits."""
        now = self._clock.now()
        if self.daemon.is_running and self._polling:
            if self.service.requests != self._requests_before:
                self._requests_before, self._skip = self.service.requests, _FIRST_SKIP
            self._skip_by(min(self._skip, until - now))
            self._skip = min(2 * self._skip, _LONGEST_SKIP)
            return
        next_poll = self._polling.next_at if self.daemon.is_running else math.inf
        # Slightly later than it is due, to be safe.
        self._skip_by(min(until, next_poll + 0.01, now + _SCRAPED_EVERY) - now)
        self._skip = _FIRST_SKIP

    def _skip_by(self, seconds: float) -> None:
        self._clock.skip(max(0.0, seconds) + 0.001)

    def _settle(self) -> None:
        """Wait until nothing happens unless time passes, and read what the daemon has logged until then."""
        end = time.monotonic() + _PATIENCE
        while self.daemon.is_running:
            before = self.daemon.life.waits()
            if before and self.service.is_waiting() and self.daemon.life.waits() == before:
                self._polling.read(self.daemon.life.new_log_lines())
                break
            assert time.monotonic() < end, "it computes without end"
            time.sleep(_GLANCE)

    # Looking.

    def _check_scrape(self) -> None:
        """One scrape, checked if it differs."""
        before = self._clock.now()
        text = self.daemon.scrape() if self.daemon.is_running else None
        if text is None:
            if not self.daemon.is_running and not self._starting:
                self._restart_after_exit()
            return
        self.seen.scrapes += 1
        plays, own = _parted(text)
        scrape = Scrape(before, own)
        polls_before = self._polling.ended
        self._polling.see(scrape)
        self._scrape = scrape
        self.seen.polls += max(0.0, self._polling.ended - polls_before)
        if self._at_publication and self._polling.ended > polls_before:
            self._at_publication = False
            self.daemon.kill()
        if plays != self._shown and play_dates.today(before) == play_dates.today(self._clock.now()):
            self._shown = plays
            self.seen.published += scraped(Scrape(before, text), self.service.returned, self.final)
        life = self.daemon.life
        if not self._polling and not (life.sizes and before - life.sizes[-1].at < HOUR):
            life.measure(before)

    def _check_day(self) -> None:
        """The check at the end of a day, after calm hours."""
        now = self._clock.now()
        self.seen.settled += self.checked(self.daemon.storage, now)
        self.seen.stored.append(self.daemon.stored())
        self.service.returned.forget(play_dates.play_date(now, _RETURNED_DAYS))
        self._recovered()
        self._on_day(len(self.seen.stored))

    def checked(self, storage: Path, now: float) -> Findings:
        """Check a storage file against what must be settled at `now` and the final numbers."""
        kept = [play_dates.play_date(now, ago) for ago in range(OWED_DAYS, RETENTION_DAYS)]
        wants = {slice_: media for day in kept for slice_, media in missing_days(self.operator.history, day).items()}
        return stored(read_slices(storage, kept[-1]), wants, self.final, now)

    def _recovered(self) -> None:
        scrape = self._scrape
        if not self.daemon.is_running or scrape is None:
            self.seen.defects.append(f"{self._when()}: it is not running at the end of a calm evening")
            return
        self.seen.defects += [f"{self._when()}: {query} is not up after a calm evening" for query in down(scrape)]

    def _when(self) -> str:
        now = self._clock.now()
        hours, seconds = divmod(int(now - play_dates.start(play_dates.today(now))), 3600)
        return f"{play_dates.today(now)} {hours:02}:{seconds // 60:02}"

    # What happens.

    def _handle(self, event: Event | Then) -> None:
        match event:
            case Then(what):
                what()
            case ServiceConditions(until=until, name=name, conditions=conditions):
                self.seen.events[name] += 1
                self.service.change(**conditions)
                self._at(until, Then(lambda: self.service.change(**_FAIR)))
            case Reload():
                self.operator.change()
                self._configure()
                self._reload("reload", works=True)
            case InvalidReload(until=until) if self.daemon.is_running and not self.operator.broken:
                self.operator.configure_invalid()
                self._reload("refused reload", works=False)
                self._at(until, Then(self._restore_configuration))
            case Rotation(at=at, id_after=id_after, secret_after=secret_after):
                self.seen.events["key rotation"] += 1
                self.service.change(credentials=self.operator.new_key())
                self._at(at + id_after, Then(self.operator.write_key_id))
                self._at(at + secret_after, Then(self.operator.write_secret))
            case End() if self.daemon.is_running and self._doom is None:
                self._end_daemon(event)
            case _:
                self.seen.events["not possible then"] += 1

    def _configure(self) -> None:
        self.operator.configure(self.service.url, self._clock.now())

    def _restore_configuration(self) -> None:
        if self.operator.broken:
            self._configure()
            self._reload("reload", works=True)

    def _reload(self, name: str, *, works: bool) -> None:
        """Send SIGHUP, and wait for its result."""
        if not self.daemon.is_running:
            return
        at = self._clock.now()
        self.daemon.send_sighup()
        end = time.monotonic() + _PATIENCE
        while self.daemon.is_running:
            self._check_scrape()
            if self._scrape and reloaded(self._scrape, at) is works:
                self.seen.events[name] += 1
                break
            if time.monotonic() > end:
                self.seen.defects.append(f"{self._when()}: {name} did not come about")
                break
            # An interrupted poll may wait for a response that never arrives.
            self._settle()
            self._skip_by(_FIRST_SKIP)

    # Lives.

    def _start_daemon(self) -> None:
        if self.operator.broken:
            status = self.daemon.fails_to_start()
            if status != _BAD_CONFIGURATION:
                self.seen.defects.append(f"{self._when()}: started with a broken configuration, it ended with {status}")
            self.seen.events["start refused"] += 1
            self._configure()
        self.daemon.start()
        self._polling = Polling()
        self._scrape = None
        self._shown = ""
        self._doom, self._at_publication, self._starting = None, False, False

    def _end_daemon(self, end: End) -> None:
        self._doom = end
        match end.how:
            case "idle":
                self.daemon.kill()
                self.daemon.ended()
            case "asking":
                self.service.at_request(self._chance.randint(1, 15), self.daemon.kill)
            case "published":
                self._at_publication = True
            case "stopped":
                status = self.daemon.stop()
                if status:
                    self.seen.defects.append(f"{self._when()}: stopped, it ended with {status}")
                self._restart_after_exit()

    def _restart_after_exit(self) -> None:
        """The process has ended; start it again."""
        status = self.daemon.ended()
        doom, self._doom = self._doom, None
        self.service.disarm()
        if doom is None:
            self.seen.defects.append(f"{self._when()}: it ended by itself with {status}")
        else:
            self.seen.events["stop" if doom.how == "stopped" else f"kill -9, {doom.how}"] += 1
        down = doom.down if doom else 0.0
        calm = play_dates.next_midnight(self._clock.now()) - (24 - CALM_HOUR) * HOUR
        self._starting = True
        self._at(min(self._clock.now() + down, max(calm, self._clock.now())), Then(self._start_daemon))

    def _finish(self) -> None:
        """Stop the last process, and check its logs."""
        if self.daemon.is_running and self.daemon.stop():
            self.seen.defects.append("stopped at the end, it did not exit with 0")
        self.seen.defects += self.daemon.log_violations(self.operator.secrets)
        if not self.seen.published.checked:
            self.seen.defects.append("no scrape has shown anything")


def _parted(text: str) -> tuple[str, str]:
    """The text about play data, and the text about the exporter."""
    at = max(text.find(_OWN), 0)
    return text[:at], text[at:]
