"""The result of each slice of a poll, in words: failures and their causes, days not computed yet, no plays."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from exporter.core import play_dates
from exporter.core.plan import unpublished_slices
from exporter.core.poll_report import PollResult
from exporter.errors import NotReady, RequestSkipped
from exporter.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.core.model import Dimensions, Slice
    from exporter.core.poll_report import PollReport, SliceOutcome
    from exporter.core.publication import Publication
    from exporter.discovery.failure_log import DiscoveryProblem
    from exporter.errors import UpstreamError

# How many slices are named for each cause.
_NAMED: Final = 10


class SliceState(StrEnum):
    """The result of a slice; `state` in `fetch --output=json`."""

    ROWS = "rows"
    NO_PLAYS = "no_plays"
    NOT_READY = "not_ready"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The result of one slice over all queries that cover it.

    `missing`: rows that the service counted and did not list.
    """

    slice: Slice
    days_ago: int
    state: SliceState
    errors: tuple[UpstreamError, ...]
    missing: int

    def document(self) -> dict[str, Any]:
        """The result as plain data, for JSON."""
        return {
            "account": self.slice.account,
            "play_date": self.slice.play_date.isoformat(),
            "days_ago": self.days_ago,
            **filter_labels(self.slice.dimensions),
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


def filter_labels(dimensions: Dimensions) -> dict[str, str]:
    """The filters as label values, by name."""
    return {field.name: label for field, label in zip(fields(dimensions), dimensions.labels, strict=True)}


def results_by_slice(reports: Iterable[PollReport], publication: Publication, now: float) -> tuple[SliceResult, ...]:
    """The result of each slice that was polled, in the order of the queries.

    Days that only expected plays need are left out unless they failed, because nothing else is shown of them.
    """
    outcomes: defaultdict[Slice, list[SliceOutcome]] = defaultdict(list)
    for report in reports:
        unpublished = unpublished_slices(report.query, report.started_at)
        for outcome in report.outcomes:
            if outcome.slice not in unpublished or not outcome.complete or outcome.errors:
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
    results: Sequence[SliceResult], reports: Iterable[PollReport], *, final_after: float, now: float
) -> Iterator[str]:
    """Lines that complete a table of rows: causes with advice, and the slices concerned.

    `final_after`: seconds after its start until a day is computed.
    """
    for report in reports:
        if not report.outcomes and report.result is not PollResult.SUCCESS:
            yield f"Failed: query {report.query.name} timed out."
    by_cause: defaultdict[tuple[SliceState, str, str], list[SliceResult]] = defaultdict(list)
    for result in results:
        if result.state is not SliceState.ROWS:
            first = next(_relevant_errors(result), None)
            by_cause[result.state, first.code if first else "", first.advice if first else ""].append(result)
    for (state, *_), group in sorted(by_cause.items(), key=lambda item: list(SliceState).index(item[0][0])):
        count, cause = f"{len(group)} of {counted(len(results), 'slice')}", _cause(group)
        match state:
            case SliceState.NO_PLAYS:
                yield f"No plays, {count}: the service responded, and counted no plays of the requested media."
            case SliceState.NOT_READY:
                latest = max(play_dates.start(result.slice.play_date) + final_after for result in group)
                yield f"Not computed yet, {count}: {cause} {_retry_hint(latest, now)}"
            case SliceState.INCOMPLETE:
                yield f"Incomplete, {count}: {cause}"
            case _:
                yield f"Failed, {count}: {cause}"
        yield from (f"  {_slice_name(result.slice)}" for result in group[:_NAMED])
        if len(group) > _NAMED:
            yield f"  and {len(group) - _NAMED} more"


def describe_error(error: UpstreamError) -> str:
    """Code, message and advice as sentences."""
    request = f" (request ID {error.request_id})" if error.request_id else ""
    return f"{error.code}: {error.message.rstrip('.')}{request}. {error.advice}".rstrip()


def describe_problem(problem: DiscoveryProblem) -> str:
    """A line for a search or metadata that failed, or for media that do not exist."""
    if problem.media_ids:
        return f"Media of account {problem.account} that do not exist: {named(problem.media_ids)}"
    text = f"Failed: {problem.what} of account {problem.account}: {problem.code}: {problem.message.rstrip('.')}."
    return f"{text} {problem.advice}".rstrip()


def named(media_ids: Sequence[str]) -> str:
    """The first of these IDs, and how many more there are."""
    more = len(media_ids) - _NAMED
    return ", ".join(media_ids[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _relevant_errors(result: SliceResult) -> Iterator[UpstreamError]:
    """The errors that explain the state."""
    return (error for error in result.errors if isinstance(error, NotReady) is (result.state is SliceState.NOT_READY))


def _cause(group: Sequence[SliceResult]) -> str:
    """The cause and advice: prefer an error of the service or network to the reason for a skipped request."""
    errors = [error for result in group for error in _relevant_errors(result)]
    error = next((error for error in errors if not isinstance(error, RequestSkipped)), errors[0] if errors else None)
    if error is None:
        return f"The service counted {sum(result.missing for result in group)} media more than it listed. Try again."
    return describe_error(error)


def _retry_hint(latest: float, now: float) -> str:
    if now >= latest:
        return "It should be by now: try again in an hour."
    at = datetime.fromtimestamp(latest, play_dates.PLAY_TIME_ZONE).strftime("%Y-%m-%d %H:%M")
    return f"Try again in some minutes or hours; by {at} UTC+8 it should be."


def _slice_name(slice_: Slice) -> str:
    filters = slice_.dimensions
    values = (filters.terminal_type, filters.os, filters.region)
    return " ".join((slice_.account, slice_.play_date.isoformat(), *(value for value in values if value)))
