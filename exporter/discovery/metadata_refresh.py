"""Refreshes categories and the metadata of published media, and reports configured media that do not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from exporter.core.media_details import MEDIA_PER_CALL
from exporter.core.metadata import due_media
from exporter.discovery.failure_log import first_of
from exporter.errors import UpstreamError
from exporter.vod.categories import CATEGORIES
from exporter.vod.video_infos import VIDEO_INFOS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from exporter.core.media_details import CategoryTree, MediaDetails, MetadataRules
    from exporter.discovery.failure_log import FailureLog
    from exporter.discovery.known_media import KnownMedia
    from exporter.vod.media_source import MediaSource

# Details of this many media are requested before they are published and stored.
_MEDIA_PER_ROUND: Final = 2_000
# What is refreshed, as failures name it.
_METADATA: Final = "metadata"
_CATEGORIES: Final = "categories"

_log = structlog.get_logger()


class CategoryTrees:
    """Reads the categories of an account again once they are old, and keeps them in `known`."""

    def __init__(self, known: KnownMedia, now: Callable[[], float]) -> None:
        self._known = known
        self._now = now
        self._read_at: dict[str, float] = {}

    async def current(self, account: str, source: MediaSource, every: float) -> CategoryTree:
        """The categories, requested again once they are older than half of `every` (seconds). Raises UpstreamError."""
        known, now = self._known.about(account).tree, self._now()
        if known is not None and 0 <= now - self._read_at.get(account, -every) < every / 2:
            return known
        tree = await source.categories(known)
        self._read_at[account] = self._now()
        if tree != known:
            await self._known.describe(account, tree=tree)
        return tree


class MetadataRefresh:
    """Requests what is missing or old, and adds it to `known`; failures go to `failures`."""

    def __init__(self, known: KnownMedia, trees: CategoryTrees, failures: FailureLog, now: Callable[[], float]) -> None:
        self._known = known
        self._trees = trees
        self._failures = failures
        self._now = now
        self._deleted_checked_at: dict[str, float] = {}
        self._logged_deleted: set[tuple[str, str]] = set()

    async def run(
        self,
        account: str,
        source: MediaSource,
        rules: MetadataRules,
        wanted: Collection[str],
        configured: Collection[str],
        *,
        needs_categories: bool,
    ) -> UpstreamError | None:
        """Request metadata of these media that is missing or older than the rules allow, and the categories if needed.

        Returns the last failure.
        """
        failed = None
        if needs_categories and _CATEGORIES in refreshed(rules):
            try:
                await self._trees.current(account, source, rules.every)
                self._failures.succeeded(account, _CATEGORIES)
            except UpstreamError as error:
                failed = self._failures.failed(account, _CATEGORIES, error, CATEGORIES.name)
        try:
            await self._refresh_details(account, source, rules, wanted)
            self._failures.succeeded(account, _METADATA)
        except UpstreamError as error:
            failed = self._failures.failed(account, _METADATA, error, VIDEO_INFOS.name)
        self._known.forget(account, wanted)
        self._log_deleted(account, configured)
        return failed

    async def _refresh_details(
        self, account: str, source: MediaSource, rules: MetadataRules, wanted: Collection[str]
    ) -> None:
        now = self._now()
        due, gone = due_media(wanted, self._known.metadata.get(account), rules.every, now)
        checks_deleted = not 0 <= now - self._deleted_checked_at.get(account, -rules.every) < rules.every
        if checks_deleted:
            due += gone
        for begin in range(0, len(due), _MEDIA_PER_ROUND):
            details: dict[str, MediaDetails] = {}
            missing: set[str] = set()
            try:
                for media_ids in _batches(due[begin : begin + _MEDIA_PER_ROUND], set(gone)):
                    infos = await source.details(media_ids)
                    details |= {each.media_id: each for each in infos.details}
                    missing |= infos.missing
            finally:
                if details or missing:
                    await self._known.describe(account, details=details, missing=missing)
        if checks_deleted:
            self._deleted_checked_at[account] = now

    def _log_deleted(self, account: str, configured: Collection[str]) -> None:
        deleted = self._known.about(account).deleted.intersection(configured)
        new = {(account, each) for each in deleted} - self._logged_deleted
        if new:
            self._logged_deleted |= new
            _log.warning(
                "media do not exist",
                account=account,
                media_ids=len(new),
                first=first_of(media_id for _, media_id in new),
                advice="Remove these IDs from the configuration, or correct them: the service knows no such media.",
            )


def refreshed(rules: MetadataRules) -> tuple[str, ...]:
    """What is refreshed of an account with these rules, as failures name it."""
    return (_METADATA, _CATEGORIES) if "category" in rules.labels else (_METADATA,)


def _batches(media_ids: list[str], gone: Collection[str]) -> Iterator[list[str]]:
    """Batches of at most 20; media reported as deleted are batched together: one response confirms all of them."""
    for some in ([each for each in media_ids if each not in gone], [each for each in media_ids if each in gone]):
        for begin in range(0, len(some), MEDIA_PER_CALL):
            yield some[begin : begin + MEDIA_PER_CALL]
