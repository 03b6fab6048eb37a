"""Applies what searches and metadata refreshes find: to the queries that are polled, and to what is published."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from exporter.core.retry import Retry
from exporter.core.unknown_media import listed_ids
from exporter.jobs import Job, JobId, JobKind
from exporter.replica import replica_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.core.model import Query
    from exporter.core.poller import Poller
    from exporter.discovery.failure_log import DiscoveryProblem
    from exporter.discovery.media_discovery import MediaDiscovery
    from exporter.errors import UpstreamError
    from exporter.exposition.cache import ExpositionCache
    from exporter.exposition.gzip_segments import GzipPayload
    from exporter.exposition.telemetry import Telemetry
    from exporter.query_states import QueryStates
    from exporter.replica import Found, ReplicaConfig

NEW_MEDIA_SECONDS: Final = 900.0
"""Seconds between two checks for media without metadata."""
# How soon metadata is requested again while the first polls have not ended.
_FIRST_POLLS_SECONDS: Final = 5.0


class DiscoveryUpdates:
    """Runs searches and metadata refreshes, and applies their results.

    `replica`: the configuration of this replica, with the media that searches have found so far.
    """

    def __init__(
        self,
        replica: ReplicaConfig,
        discovery: MediaDiscovery,
        *,
        poller: Poller,
        exposition: ExpositionCache[GzipPayload],
        states: QueryStates,
        telemetry: Telemetry,
        now: Callable[[], float],
    ) -> None:
        self._discovery = discovery
        self._poller = poller
        self._exposition = exposition
        self._states = states
        self._telemetry = telemetry
        self._now = now
        self.reconfigure(replica)

    def reconfigure(self, replica: ReplicaConfig) -> None:
        """Apply a new configuration and keep the results."""
        self.replica = replica
        searches = {(query.account, query.name): query.search for query in replica.queries if query.search is not None}
        self._telemetry.set_discovery(searches=searches, metadata=replica.rules.metadata)
        calls_per_day = {each.name: each.limits.calls_per_day for each in replica.accounts}
        self._discovery.reconfigure(searches, replica.rules.metadata, calls_per_day)
        self._apply()

    def jobs(self, replica: ReplicaConfig) -> tuple[Job, ...]:
        """The jobs that repeat the searches of a replica and refresh metadata."""
        searches = ((query, query.search) for query in replica.queries if _uses_searches(replica, query.account))
        return (
            *(
                Job(JobId(JobKind.SEARCH, query.name), search.every, partial(self.refresh_search, query))
                for query, search in searches
                if search is not None
            ),
            *(
                # More often than metadata becomes outdated: media that are published for the first time have none.
                Job(
                    JobId(JobKind.METADATA, account),
                    min(rules.every, NEW_MEDIA_SECONDS),
                    partial(self.refresh_metadata, account),
                )
                for account, rules in replica.rules.metadata.items()
            ),
        )

    @property
    def found(self) -> Found:
        """What searches have found so far."""
        return self._discovery.found

    @property
    def metadata_failures(self) -> Mapping[tuple[str, str], UpstreamError]:
        """By account and what was requested, the errors of the last searches and metadata refreshes."""
        return dict(self._discovery.failures)

    def problems(self) -> tuple[DiscoveryProblem, ...]:
        """Searches and metadata refreshes whose last run failed, and configured media that do not exist."""
        return self._discovery.problems({account.name: self._listed(account.name) for account in self.replica.accounts})

    async def with_media(self, query: Query) -> Query | UpstreamError:
        """The query with the media of its search, which runs now if it has no result yet; or the error of that."""
        if query.search is None or not _uses_searches(self.replica, query.account):
            return query
        failure = await self._discovery.ensure(query.account, query.name, query.search)
        if failure is not None:
            return failure
        self._apply()
        return next((each for each in self.replica.queries if each.name == query.name), query)

    async def refresh_search(self, query: Query) -> Retry | None:
        """Search for the media of a query again, and return when to retry; None after a success."""
        if query.search is None:
            return None
        retry = await self._discovery.refresh_search(query.account, query.name, query.search)
        self._apply()
        return retry

    async def refresh_metadata(self, account: str) -> Retry | None:
        """Refresh the metadata of the published media, and return when to retry; None after a success."""
        rules = self.replica.rules.metadata.get(account)
        if rules is None:
            return None
        # Media that the first polls publish meanwhile have no metadata yet.
        more_to_come = bool(self._states.pending())
        media_ids = await self._media_with_metadata(account)
        # A replica without media to describe needs no categories, unless it exports them.
        needs_categories = bool(media_ids) or self.replica.rules.owns_categories(account)
        retry = await self._discovery.refresh_metadata(
            account, rules, media_ids, self._listed(account), needs_categories=needs_categories
        )
        self._apply()
        return retry or (Retry(self._now() + _FIRST_POLLS_SECONDS) if more_to_come else None)

    async def refresh_all_metadata(self) -> None:
        """Refresh the metadata of every account that is configured to have it, once."""
        for account in self.replica.rules.metadata:
            await self.refresh_metadata(account)

    def _listed(self, account: str) -> frozenset[str]:
        """The media IDs that queries of an account list."""
        queries = (query for query in self.replica.queries if query.account == account)
        return frozenset(media_id for query in queries for media_id in listed_ids(query))

    async def _media_with_metadata(self, account: str) -> frozenset[str]:
        """The published media of an account that this replica exports metadata of, and those listed by ID."""
        _, rules, publication = await self._exposition.source()
        published = {media.media_id for media in publication.media if media.account == account}
        return frozenset(each for each in published | self._listed(account) if rules.owns(account, each))

    def _apply(self) -> None:
        """Poll and publish the media that searches have found, and publish metadata."""
        if self._poller.snapshot.metadata is not self._discovery.metadata:
            self._poller.set_metadata(self._discovery.metadata)
        replica = replica_config(self.replica.config, self.replica.shard, self._discovery.found)
        if replica.queries != self.replica.queries:
            self.replica = replica
            self._poller.set_queries(replica.queries)
            self._exposition.reconfigure(replica.rules)


def _uses_searches(replica: ReplicaConfig, account: str) -> bool:
    """Whether a replica searches for the media of an account: if it polls any slice of it.

    Also for queries that others poll: which replica exports the title of a video depends on the queries that find it.
    """
    return any(query.dimensions for query in replica.queries if query.account == account)
