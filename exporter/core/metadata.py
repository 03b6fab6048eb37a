"""What is published of the metadata of media, and which media metadata has to be requested for."""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING

from exporter.core.publication import PublishedCategory, PublishedMetadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.media_details import AccountMetadata, CategoryTree, MediaDetails, MetadataRules
    from exporter.core.publication import PublicationRules, PublishedMedia


def category_path(details: MediaDetails, tree: CategoryTree | None) -> str | None:
    """The path of a video's category; its name alone while the tree is not known."""
    path = tree.path(details.category_id) if tree is not None and details.category_id is not None else None
    return path if path is not None else details.category


class MetadataPublisher:
    """Builds what is published of metadata; nothing is built again while media and metadata are the same objects."""

    def __init__(self) -> None:
        self._source: tuple[object, ...] = (None, None, None)
        self.media: tuple[PublishedMetadata, ...] = ()
        self.categories: tuple[PublishedCategory, ...] = ()
        self.series = 0

    def update(
        self, media: tuple[PublishedMedia, ...], metadata: Mapping[str, AccountMetadata], rules: PublicationRules
    ) -> None:
        """Publish the metadata of these media, for accounts that have rules, as far as this replica owns it."""
        source = media, metadata, rules
        if all(map(is_, source, self._source)):
            return
        self._source = source
        known = {account: (metadata[account], each) for account, each in rules.metadata.items() if account in metadata}
        self.media = tuple(
            published
            for each in media
            if each.account in known
            and rules.owns(each.account, each.media_id)
            and (published := _published(each, *known[each.account])) is not None
        )
        self.categories = tuple(
            PublishedCategory(account, category, about.tree.path(category.category_id) or category.name)
            for account, (about, _) in known.items()
            if about.tree is not None and rules.owns_categories(account)
            for category in about.tree
        )
        self.series = sum(each.series for each in self.media)


def _published(media: PublishedMedia, about: AccountMetadata, rules: MetadataRules) -> PublishedMetadata | None:
    details, deleted = about.details.get(media.media_id), media.media_id in about.deleted
    if details is None:
        return PublishedMetadata(media.account, media.media_id, deleted=True) if deleted else None
    labels: list[tuple[str, str]] = []
    for name in rules.labels:
        if name == "category":
            labels += [
                ("category_id", "" if details.category_id is None else str(details.category_id)),
                ("category", category_path(details, about.tree) or ""),
            ]
        else:
            labels.append((name, getattr(details, name) or ""))
    tags = tuple(tag for tag in rules.tags if tag in (details.tags or ()))
    return PublishedMetadata(media.account, media.media_id, tuple(labels), tags, details.created_at, deleted)


def due_media(
    wanted: Iterable[str], about: AccountMetadata | None, every: float, now: float
) -> tuple[list[str], list[str]]:
    """The IDs to request metadata of, oldest metadata first, and those of them that are thought to be deleted.

    Nothing that a search has returned within `every` seconds is among them. A time after `now` is ignored: the clock
    was set back.
    """
    details = {} if about is None else about.details
    deleted = frozenset() if about is None else about.deleted
    due: list[tuple[float, str]] = []
    gone: list[str] = []
    for media_id in wanted:
        known = details.get(media_id)
        at = known.observed_at if known is not None and known.observed_at <= now else 0.0
        if media_id in deleted:
            gone.append(media_id)
        elif at <= now - every:
            due.append((at, media_id))
    return [media_id for _, media_id in sorted(due)], sorted(gone)
