"""What searches have found and what is known about media, by account; replaced as a whole and kept in storage."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from exporter.core.media_details import AccountMetadata

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from exporter.core.media_details import CategoryTree, FoundMedia, MediaDetails, Search

# Details of this many media that are no longer published are kept, plus as many as are published.
_SPARE_DETAILS: Final = 2_000


class MediaStore(Protocol):
    """Stores what was found so that it survives a restart."""

    async def save_media(
        self,
        found: Mapping[tuple[str, Search], FoundMedia],
        metadata: Mapping[str, AccountMetadata],
        /,
    ) -> None:
        """Store these sets and this metadata. Handles its own failures and raises none."""
        ...


class KnownMedia:
    """Found media by account and search, and metadata by account; initially the stored ones."""

    def __init__(
        self,
        store: MediaStore | None,
        found: Mapping[tuple[str, Search], FoundMedia] | None,
        metadata: Mapping[str, AccountMetadata] | None,
    ) -> None:
        self._store = store
        self.found: Mapping[tuple[str, Search], FoundMedia] = dict(found or {})
        self.metadata: Mapping[str, AccountMetadata] = MappingProxyType(dict(metadata or {}))

    def about(self, account: str) -> AccountMetadata:
        """What is known about the media of an account."""
        return self.metadata.get(account, AccountMetadata())

    async def replace_found(
        self, account: str, search: Search, media: FoundMedia, details: Mapping[str, MediaDetails]
    ) -> None:
        """Replace the media that a search has found, and add the details that it returned."""
        self.found = {**self.found, (account, search): media}
        self._add(account, details, (), None)
        if self._store is not None:
            await self._store.save_media({(account, search): media}, {account: self.metadata[account]})

    async def describe(
        self,
        account: str,
        *,
        details: Mapping[str, MediaDetails] | None = None,
        missing: Iterable[str] = (),
        tree: CategoryTree | None = None,
    ) -> None:
        """Add details, IDs that do not exist and all categories, as the service returned them."""
        self._add(account, details or {}, missing, tree)
        if self._store is not None:
            await self._store.save_media({}, {account: self.metadata[account]})

    def _add(
        self, account: str, details: Mapping[str, MediaDetails], missing: Iterable[str], tree: CategoryTree | None
    ) -> None:
        about = self.about(account)
        self._set(
            account,
            AccountMetadata(
                MappingProxyType({**about.details, **details}),
                (about.deleted | frozenset(missing)) - details.keys(),
                tree if tree is not None else about.tree,
            ),
        )

    def forget(self, account: str, wanted: Collection[str]) -> None:
        """Delete the metadata of media that no query of the account publishes any more, once there are many."""
        about = self.metadata.get(account)
        if about is None:
            return
        kept = frozenset(wanted).union(*(each.media_ids for (owner, _), each in self.found.items() if owner == account))
        if len(about.details) > 2 * len(kept) + _SPARE_DETAILS:
            details = {media_id: each for media_id, each in about.details.items() if media_id in kept}
            self._set(account, replace(about, details=MappingProxyType(details), deleted=about.deleted & kept))

    def _set(self, account: str, about: AccountMetadata) -> None:
        self.metadata = MappingProxyType({**self.metadata, account: about})
