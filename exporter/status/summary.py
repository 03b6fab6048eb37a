"""Build the whole status view from the input; pure, and slow enough to run in a thread."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.core.unknown_media import listed_ids
from exporter.errors import ErrorKind
from exporter.status import media as media_
from exporter.status import queries as queries_
from exporter.status import slices as slices_
from exporter.status.expectations import Expectations, account_losses
from exporter.status.filters import check
from exporter.status.model import Problem, State
from exporter.status.player import target_view
from exporter.status.views import Attention, StatusView, ViewPage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.status.expected_views import LossView
    from exporter.status.filters import Filters
    from exporter.status.model import StatusInput
    from exporter.status.queries import Numbers
    from exporter.status.views import AccountView, QueryView, SliceView

    T = TypeVar("T")


_NAMED: Final = 5


def summarize(observed: StatusInput, filters: Filters) -> StatusView:
    """Return the status view with these filters. Raises FilterError if they name what is not configured."""
    check(
        filters,
        accounts={account.name for account in observed.accounts},
        queries={query.name for query in observed.queries},
    )
    numbers = queries_.Numbers(observed.numbers)
    expectations = Expectations(observed)
    queries, accounts = queries_.queries(observed, numbers, expectations), queries_.accounts(observed, numbers)
    slices = slices_.slices(observed)
    losses = account_losses(observed, expectations)
    media = _page(media_.media(observed, filters, expectations), filters.media_page, filters.per_page)
    return StatusView(
        version=observed.version,
        now=observed.now,
        started_at=observed.started_at,
        ready=not observed.pending_queries,
        series=observed.publication.series,
        series_dropped=observed.publication.dropped,
        storage_errors=numbers.sum("aliyun_vod_exporter_storage_errors_total"),
        settings=observed.settings,
        filters=filters,
        attention=tuple(_attention(observed, numbers, queries, accounts, slices, losses)),
        queries=queries,
        accounts=accounts,
        losses=losses,
        comparisons=media_.comparisons(observed),
        days=slices_.days_of(slices, observed.publication.valid_from),
        media=replace(media, rows=tuple(media_.with_details(observed, row, expectations) for row in media.rows)),
        slices=_page(slices_.filtered(slices, filters), filters.page, filters.per_page),
        has_metadata=any(about.details for about in observed.snapshot.metadata.values()),
        player=tuple(map(target_view, observed.player)),
    )


def _attention(
    observed: StatusInput,
    numbers: Numbers,
    queries: Iterable[QueryView],
    accounts: Iterable[AccountView],
    slices: Iterable[SliceView],
    losses: Iterable[LossView],
) -> Iterator[Attention]:
    """Yield what needs the operator's attention, the most urgent first."""
    yield from _polling(queries, accounts)
    for account in losses:
        if account.dropped:
            yield Attention(Problem.PLAYS_DROPPED, account.account, str(account.play_date), account.dropped)
    yield from _metadata(observed)
    if numbers.one("aliyun_vod_exporter_config_last_reload_successful") == 0:
        yield Attention(Problem.CONFIG_REJECTED)
    if observed.publication.dropped:
        yield Attention(Problem.SERIES_DROPPED, count=observed.publication.dropped)
    states = Counter(
        view.state for view in slices if any(name not in observed.pending_queries for name in view.queries)
    )
    for state, problem in ((State.STALE, Problem.STALE), (State.UNANSWERED, Problem.UNANSWERED)):
        if states[state]:
            yield Attention(problem, count=states[state])
    for name in observed.pending_queries:
        yield Attention(Problem.WAITING, name)


def _metadata(observed: StatusInput) -> Iterator[Attention]:
    """Yield searches and refreshes of metadata that failed, and configured media that do not exist."""
    for (name, what), error in sorted(observed.metadata_failures.items()):
        yield Attention(Problem.METADATA, name, f"{what}: {error.code}: {error.message}", advice=error.advice)
    configured = {(query.account, each) for query in observed.queries for each in listed_ids(query)}
    for name, about in sorted(observed.snapshot.metadata.items()):
        if deleted := [each for each in sorted(about.deleted) if (name, each) in configured]:
            yield Attention(Problem.DELETED, name, ", ".join(deleted[:_NAMED]), len(deleted))


def _polling(queries: Iterable[QueryView], accounts: Iterable[AccountView]) -> Iterator[Attention]:
    """Yield the problems of the last polls."""
    for account in accounts:
        if account.state != "ok":
            yield Attention(Problem(account.state), account.name)
    for query in queries:
        if query.result not in {None, "success"}:
            codes = ", ".join(failure.code for failure in query.failures if failure.kind != ErrorKind.NOT_READY)
            yield Attention(Problem.QUERY, query.name, f"{query.result}: {codes}" if codes else str(query.result))


def _page(rows: Sequence[T], number: int, size: int) -> ViewPage[T]:
    """Return page `number` of the rows, or the last page if there are fewer."""
    pages = max(1, ceil(len(rows) / size))
    number = min(number, pages)
    return ViewPage(tuple(rows[(number - 1) * size : number * size]), number, pages, len(rows))
