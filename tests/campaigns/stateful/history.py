"""Histories of an exporter: time passes, numbers change, polls fail, it is reloaded, restarted and killed."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exporter.core.model import ByIds, Dimensions, Everything, Measure, PlayRow, Query, Slice, Snapshot, Top
from exporter.core.play_dates import Settlement
from exporter.core.publication import PublicationRules
from exporter.core.publication_builder import PublicationBuilder, publish
from exporter.errors import ErrorKind, UpstreamError
from exporter.exposition.render import Renderer
from exporter.storage.storage import Storage
from tests.campaigns.stateful.invariants import check_publication, check_series_limit
from tests.campaigns.stateful.model import (
    HOUR,
    SETTLES_AFTER,
    UNCHANGED,
    Model,
    start,
    today,
)
from tests.campaigns.stateful.service import Service
from tests.core.fake_service import ALL, NOON, failure, not_ready
from tests.storage.examples import RETENTION, Meter

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from exporter.core.poll_report import PollReport
    from exporter.core.publication import Publication, PublishedMedia

T = TypeVar("T")

NATIVE: Final = Dimensions(terminal_type="Native")
MEDIA: Final = tuple("abcdef")
NO_LIMIT: Final = 200_000

_ids = st.sets(st.sampled_from(MEDIA), min_size=1, max_size=4).map(lambda ids: ByIds(frozenset(ids)))
_media = _ids | st.just(Everything()) | st.builds(Top, st.integers(1, 3), st.sampled_from(Measure))
_queries = st.lists(
    st.tuples(
        _media,
        st.sampled_from([(ALL,), (ALL, NATIVE)]),
        st.sampled_from([(1,), (0, 1), (1, 2, 8)]),
        st.sampled_from([900.0, 6 * HOUR]),
    ),
    min_size=1,
    max_size=3,
).map(
    lambda given: tuple(
        Query(f"q{number}", "main", every, media, dimensions, days_ago)
        for number, (media, dimensions, days_ago, every) in enumerate(given)
    )
)
_numbers = st.none() | st.integers(0, 9) | st.sampled_from([0.5, 10**20])
_rows = st.builds(
    PlayRow,
    media_id=st.sampled_from(MEDIA),
    title=st.none() | st.sampled_from(["", "one", "two\n"]),
    plays=st.none() | st.integers(1, 9),
    viewers=_numbers,
    plays_per_viewer=_numbers,
    play_duration=_numbers,
)
_listings: st.SearchStrategy[list[PlayRow]] = st.just([]) | st.lists(
    _rows, min_size=1, max_size=6, unique_by=lambda row: row.media_id
)
# An index into the published slices.
_places = st.integers(0, 11)
# Which call fails: one video, one page (1 or 2), or every call.
_where = st.sampled_from([1, 2]) | st.sampled_from(MEDIA) | st.none()
_errors = st.sampled_from(
    [
        failure(),
        failure(ErrorKind.THROTTLED, "Throttling.User"),
        failure(ErrorKind.AUTH, "Meter.AuthError"),
        failure(ErrorKind.PARAMETER, "Meter.ParamError"),
        not_ready(),
    ]
)


class History(RuleBasedStateMachine):
    """The real poller, publication builder, renderer and storage; the publication is checked after every step."""

    @initialize(queries=_queries, largest_page=st.sampled_from([2, 100]))
    def begin(self, queries: tuple[Query, ...], largest_page: int) -> None:
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.opened = 0
        self.service = Service(NOON, largest_page=largest_page, max_in_flight=2)
        self.model = Model(queries, frozenset(MEDIA))
        self.publication_rules = PublicationRules(queries, 48 * HOUR, NO_LIMIT)
        self.path = self.folder / "0.db"
        self.stack = AsyncExitStack()
        self._start()

    # Time passes.

    @rule(minutes=st.integers(1, 90))
    def some_minutes_pass(self, minutes: int) -> None:
        self.service.now += minutes * 60.0

    @rule(hours=st.integers(2, 60))
    def some_hours_pass(self, hours: int) -> None:
        self.service.now += hours * HOUR

    @rule(seconds=st.sampled_from([-1, 0, 1]))
    def midnight_comes(self, seconds: int) -> None:
        self.service.now = max(self.service.now, start(today(self.service.now)) + 24 * HOUR + seconds)

    # The service computes.

    @rule(place=_places, listing=_listings)
    def numbers_change(self, place: int, listing: list[PlayRow]) -> None:
        self.service.rows[self._slice(place)] = listing

    @rule(place=_places, listing=_listings, minutes=st.integers(16, 60))
    def numbers_change_and_are_polled(self, place: int, listing: list[PlayRow], minutes: int) -> None:
        self.service.rows[self._slice(place)] = listing
        self.service.now += minutes * 60.0
        for number in range(len(self.publication_rules.queries)):
            self._save(self._poll(number))

    # The exporter polls.

    @rule(number=st.integers(0, 2))
    def a_poll_succeeds(self, number: int) -> None:
        self._save(self._poll(number))

    @rule(number=st.integers(0, 2), where=_where, error=_errors)
    def a_poll_meets_errors(self, number: int, where: str | int | None, error: UpstreamError) -> None:
        self.service.refuse = lambda _, media_id, page: (
            error if where is None or media_id == where or (media_id is None and page == where) else None
        )
        self._save(self._poll(number))
        self.service.refuse = lambda *_: None

    @rule(number=st.integers(0, 2), place=_places)
    def a_day_is_not_ready(self, number: int, place: int) -> None:
        self.service.refuse = lambda slice_, *_: not_ready() if slice_ == self._slice(place) else None
        self._save(self._poll(number))
        self.service.refuse = lambda *_: None

    @rule()
    def everything_stays_as_it_is_and_days_settle(self) -> None:
        began, polled = self.service.now, self.model.wanted(self.service.now)
        for _ in range(UNCHANGED + 2):
            self.service.now += max(query.every for query in self.publication_rules.queries)
            polled &= self.model.wanted(self.service.now)
            for number in range(len(self.publication_rules.queries)):
                self._save(self._poll(number))
        for published in self._unlimited().slices:
            if published.slice in polled and began >= start(published.slice.play_date) + SETTLES_AFTER:
                assert published.settled, f"it is never final: {published}"

    # It is reloaded, stopped and killed.

    @rule(queries=_queries, stale_hours=st.sampled_from([6, 48]), limit=st.sampled_from([NO_LIMIT, NO_LIMIT, 8, 20]))
    def the_configuration_is_reloaded(self, queries: tuple[Query, ...], stale_hours: int, limit: int) -> None:
        self.model.queries = queries
        self.publication_rules = PublicationRules(queries, stale_hours * HOUR, limit)
        self.poller.reconfigure(queries, {"main": self.service}, Settlement())

    @rule()
    def the_daemon_is_restarted(self) -> None:
        before = self._publication()
        self._run(self.stack.aclose())
        self._start()
        assert _ordered(self._publication()) == _ordered(before), "a restart has changed what is shown"

    @rule()
    def the_daemon_is_killed(self) -> None:
        before = self._publication()
        self._kill()
        assert _ordered(self._publication()) == _ordered(before), "a kill has changed what is shown"

    @rule(number=st.integers(0, 2))
    def the_daemon_is_killed_before_a_poll_is_written(self, number: int) -> None:
        self._poll(number)
        self._kill()
        self.model.restore()

    # What is shown.

    @invariant()
    def published_data_was_returned(self) -> None:
        current, now = self._publication(), self.service.now
        whole = self._unlimited()
        check_publication(whole, self.model, stale_after=self.publication_rules.stale_after, now=now)
        if self.publication_rules.series_limit == NO_LIMIT:
            assert _ordered(current) == _ordered(whole)
        check_series_limit(current, whole, self.publication_rules.series_limit)
        for published in whole.slices:
            self.model.settle(published, now)
        rebuilt = publish(self.poller.snapshot, self.publication_rules, now)
        assert _ordered(current) == _ordered(rebuilt), "it depends on what was shown before"
        assert self.renderer.render(current).plain == Renderer().render(current).plain

    @invariant()
    def publications_hold_as_long_as_they_say(self) -> None:
        current = self._publication()
        later = publish(
            self.poller.snapshot, self.publication_rules, min(current.valid_until - 1.0, self.service.now + 9 * HOUR)
        )
        if self.service.now < current.valid_until - 1.0:
            assert (later.slices, _media_of(later), later.days) == (current.slices, _media_of(current), current.days)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self._run(self.stack.aclose())
            self.runner.close()
            shutil.rmtree(self.folder)

    def _slice(self, place: int) -> Slice:
        """A slice that is polled: histories are short, and other slices make no difference."""
        slices = sorted(self.model.wanted(self.service.now), key=repr)
        return slices[place % len(slices)]

    def _publication(self) -> Publication:
        return self.publishing.publish(self.poller.snapshot, self.publication_rules, self.service.now)

    def _unlimited(self) -> Publication:
        rules = PublicationRules(self.publication_rules.queries, self.publication_rules.stale_after, NO_LIMIT)
        return publish(self.poller.snapshot, rules, self.service.now)

    def _poll(self, number: int) -> PollReport:
        """Poll a query, and pass the service's responses to the model."""
        query = self.publication_rules.queries[number % len(self.publication_rules.queries)]
        final = {published.slice for published in self._unlimited().slices if published.settled}
        self.service.responses.clear()
        self.service.calls.clear()
        report = self._run(self.poller.poll(query))
        now = self.service.now
        requested = {slice_ for slice_, *_ in self.service.calls}
        assert not requested & final, "what is final was requested again"
        assert {outcome.slice for outcome in report.outcomes} == {
            slice_ for slice_ in self.model.wanted(now) if query.media in self._wants_of(query, slice_)
        }
        for outcome in report.outcomes:
            responses = [call for call in self.service.responses if call.slice == outcome.slice]
            self.model.polled(query, outcome, responses, now)
        return report

    def _wants_of(self, query: Query, slice_: Slice) -> Iterable[object]:
        return Model((query,), frozenset(MEDIA)).wants(slice_, self.service.now)

    def _save(self, report: PollReport) -> None:
        """As the daemon does after a poll."""
        known = self.poller.snapshot.slices
        polled = [outcome.slice for outcome in report.outcomes if outcome.slice in known]
        self._run(self.storage.save([known[slice_] for slice_ in polled]))
        for published in self._unlimited().slices:
            self.model.settle(published, self.service.now)
        self.model.save(polled)

    def _kill(self) -> None:
        """Copy the files as a killed process leaves them; then start a new one."""
        self.opened += 1
        left = self.folder / f"{self.opened}.db"
        for suffix in ("", "-wal"):
            file = self.path.with_name(self.path.name + suffix)
            if file.exists():
                shutil.copy(file, left.with_name(left.name + suffix))
        self._run(self.stack.aclose())
        self.path = left
        self._start()

    def _start(self) -> None:
        """As the program does."""
        self.stack = AsyncExitStack()
        opened = Storage.opened(self.path, retention=RETENTION, meter=Meter(), now=lambda: self.service.now)
        self.storage = self._run(self.stack.enter_async_context(opened))
        oldest = today(self.service.now - 31 * 24 * HOUR)
        snapshot = Snapshot().updated(self._run(self.storage.load(oldest)))
        self.poller = self.service.poller(queries=self.publication_rules.queries, snapshot=snapshot)
        self.publishing = PublicationBuilder()
        self.renderer = Renderer()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


def _media_of(publication: Publication) -> frozenset[PublishedMedia]:
    return frozenset(publication.media)


def _ordered(publication: Publication) -> Publication:
    """The order of media makes no difference."""
    return replace(publication, media=tuple(sorted(publication.media, key=lambda each: (each.account, each.media_id))))
