"""How each slice of a poll ended, in words: what failed and why, what is not computed yet, what nobody played."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from exporter.core import play_dates
from exporter.core.poller import PollResult
from exporter.errors import NotReady, RequestSkipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.core.model import Slice
    from exporter.core.poller import PollReport, SliceOutcome
    from exporter.core.publication import Publication
    from exporter.errors import UpstreamError

# So many slices are named of those that ended alike.
_NAMED: Final = 10


class SliceState(StrEnum):
    """What became of a slice; the `state` of `fetch --output=json`."""

    ROWS = "rows"
    NO_PLAYS = "no_plays"
    NOT_READY = "not_ready"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SliceResult:
    """How one slice ended over all queries that wanted it; `missing` rows were counted and not listed."""

    slice: Slice
    days_ago: int
    state: SliceState
    errors: tuple[UpstreamError, ...] = ()
    missing: int = 0

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        filters = self.slice.dimensions
        return {
            "account": self.slice.account,
            "play_date": self.slice.play_date.isoformat(),
            "days_ago": self.days_ago,
            "terminal_type": filters.terminal_type or "all",
            "os": filters.os or "all",
            "region": filters.region or "all",
            "state": self.state,
            "missing_rows": self.missing,
            "errors": [
                {
                    "code": error.code,
                    "kind": error.kind,
                    "message": error.message,
                    "advice": error.advice,
                    "request_id": error.request_id,
                }
                for error in self.errors
            ],
        }


def results_by_slice(reports: Iterable[PollReport], publication: Publication, now: float) -> tuple[SliceResult, ...]:
    """One for each slice that was polled, in the order of the queries."""
    outcomes: defaultdict[Slice, list[SliceOutcome]] = defaultdict(list)
    for report in reports:
        for outcome in report.outcomes:
            outcomes[outcome.slice].append(outcome)
    played = {
        published.slice
        for published in publication.slices
        if any(row is not None and row.plays != 0 for row in published.rows.values())
    }
    return tuple(
        SliceResult(
            slice_,
            play_dates.days_ago(now, slice_.play_date),
            _state(each, has_plays=slice_ in played),
            tuple(error for outcome in each for error in outcome.errors),
            max(outcome.short_by for outcome in each),
        )
        for slice_, each in outcomes.items()
    )


def _state(outcomes: Sequence[SliceOutcome], *, has_plays: bool) -> SliceState:
    if not any(outcome.answered for outcome in outcomes):
        return SliceState.FAILED
    if not all(outcome.complete for outcome in outcomes):
        return SliceState.INCOMPLETE
    if any(isinstance(error, NotReady) for outcome in outcomes for error in outcome.errors):
        return SliceState.NOT_READY
    return SliceState.ROWS if has_plays else SliceState.NO_PLAYS


def describe_results(
    ended: Sequence[SliceResult], reports: Iterable[PollReport], *, final_after: float, now: float
) -> Iterator[str]:
    """What a table of rows does not say, in lines: causes with advice, and the slices they hold for.

    `final_after`: how many seconds after its start a day is computed.
    """
    for report in reports:
        if not report.outcomes and report.result is not PollResult.SUCCESS:
            yield f"Failed: query {report.query.name} took too long and was given up."
    by_cause: defaultdict[tuple[SliceState, str, str], list[SliceResult]] = defaultdict(list)
    for ending in ended:
        if ending.state is not SliceState.ROWS:
            first = next(_relevant_errors(ending), None)
            by_cause[ending.state, first.code if first else "", first.advice if first else ""].append(ending)
    for (state, *_), alike in sorted(by_cause.items(), key=lambda group: list(SliceState).index(group[0][0])):
        count, cause = f"{len(alike)} of {len(ended)} slices", _cause(alike)
        match state:
            case SliceState.NO_PLAYS:
                yield f"No plays, {count}: the service answered, and counted no play of the media asked for."
            case SliceState.NOT_READY:
                latest = max(play_dates.start(ending.slice.play_date) + final_after for ending in alike)
                yield f"Not computed yet, {count}: {cause} {_retry_hint(latest, now)}"
            case SliceState.INCOMPLETE:
                yield f"Incomplete, {count}: {cause}"
            case _:
                yield f"Failed, {count}: {cause}"
        yield from (f"  {_named(ending.slice)}" for ending in alike[:_NAMED])
        if len(alike) > _NAMED:
            yield f"  and {len(alike) - _NAMED} more"


def _relevant_errors(ending: SliceResult) -> Iterator[UpstreamError]:
    """The errors that its state is about."""
    return (error for error in ending.errors if isinstance(error, NotReady) is (ending.state is SliceState.NOT_READY))


def _cause(alike: Sequence[SliceResult]) -> str:
    """What the service or the network said, rather than why it was not asked any more; and what to do."""
    errors = [error for ending in alike for error in _relevant_errors(ending)]
    error = next((error for error in errors if not isinstance(error, RequestSkipped)), errors[0] if errors else None)
    if error is None:
        return f"{sum(ending.missing for ending in alike)} media were counted and not listed. Ask again."
    request = f" (request ID {error.request_id})" if error.request_id else ""
    return f"{error.code}: {error.message.rstrip('.')}{request}. {error.advice}".rstrip()


def _retry_hint(latest: float, now: float) -> str:
    if now >= latest:
        return "It should be by now: ask again in an hour."
    at = datetime.fromtimestamp(latest, play_dates.PLAY_TIME_ZONE).strftime("%Y-%m-%d %H:%M")
    return f"Ask again in some minutes or hours; by {at} UTC+8 it should be."


def _named(slice_: Slice) -> str:
    filters = slice_.dimensions
    given = (filters.terminal_type, filters.os, filters.region)
    return " ".join((slice_.account, slice_.play_date.isoformat(), *(each for each in given if each)))
