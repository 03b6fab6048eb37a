"""Reads and writes found media and metadata as sealed blocks of JSON; only changed blocks are written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.core.media_details import (
    AccountMetadata,
    Category,
    CategoryTree,
    FoundMedia,
    MediaDetails,
    Search,
)
from exporter.storage.blocks import CorruptStorage, block, block_count, divided, unpacked
from exporter.storage.json_fields import a_flag, a_text, a_time, a_whole, from_json, to_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

# Seconds after which the result of a search that is no longer configured is deleted.
_SEARCH_RETENTION: Final = 35 * 86_400.0
_SEARCH: Final = "search"
_DETAILS: Final = "details"
_ABOUT: Final = "about"
_TEXTS: Final = ("title", "category", "status", "app_id", "storage_class", "reference_id")
_DAMAGE: Final = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """What searches found, by account and search; and the metadata of accounts."""

    found: Mapping[tuple[str, Search], FoundMedia] = field(default_factory=dict)
    metadata: Mapping[str, AccountMetadata] = field(default_factory=dict)


def write_media(
    connection: sqlite3.Connection,
    found: Mapping[tuple[str, Search], FoundMedia],
    metadata: Mapping[str, AccountMetadata],
) -> None:
    """Write these sets and this metadata; the rest stays. Raises sqlite3.Error."""
    for (account, search), media in found.items():
        content = {"media_ids": sorted(media.media_ids), "refreshed_at": media.refreshed_at}
        _write(connection, account, _SEARCH, _search_name(search), media.refreshed_at, [content])
    if found:
        oldest = max(media.refreshed_at for media in found.values()) - _SEARCH_RETENTION
        connection.execute("DELETE FROM media WHERE kind = ? AND updated_at < ?", [_SEARCH, oldest])
    for account, about in metadata.items():
        _write(connection, account, _ABOUT, "", 0.0, [_about(about)])
        _write(connection, account, _DETAILS, "", 0.0, _blocks(about.details))


def read_media(connection: sqlite3.Connection) -> StoredMedia:
    """Everything that was written. Raises sqlite3.Error, CorruptStorage."""
    found: dict[tuple[str, Search], FoundMedia] = {}
    about: dict[str, Any] = {}
    details: defaultdict[str, dict[str, MediaDetails]] = defaultdict(dict)
    texts: dict[str, str] = {}
    rows = connection.execute("SELECT account, kind, name, number, seal, content FROM media ORDER BY account, number")
    for account, kind, name, number, stored_seal, packed in rows:
        try:
            document = from_json(unpacked((account, kind, name), a_whole(number), stored_seal, packed))
            if kind == _SEARCH:
                media_ids = frozenset(map(a_text, document["media_ids"]))
                found[account, _search(name)] = FoundMedia(media_ids, a_time(document["refreshed_at"]))
            elif kind == _ABOUT:
                about[account] = (frozenset(map(a_text, document["deleted"])), _tree(document["categories"]))
            else:
                details[account].update((each.media_id, each) for each in _details(document, texts))
        except _DAMAGE as error:
            raise CorruptStorage("metadata of media has invalid values") from error
    metadata = {account: AccountMetadata(details[account], *rest) for account, rest in about.items()}
    return StoredMedia(found, metadata)


def _write(
    connection: sqlite3.Connection, account: str, kind: str, name: str, updated_at: float, documents: list[Any]
) -> None:
    where = "account = ? AND kind = ? AND name = ?"
    key = account, kind, name
    before = dict(connection.execute(f"SELECT number, seal FROM media WHERE {where}", key))  # noqa: S608 - a constant
    for number, document in enumerate(documents):
        written = block(key, number, document)
        if before.get(number) != written.seal:
            connection.execute(
                "REPLACE INTO media (account, kind, name, number, updated_at, seal, content)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, number, updated_at, written.seal, written.packed()),
            )
    connection.execute(f"DELETE FROM media WHERE {where} AND number >= ?", (*key, len(documents)))  # noqa: S608


def _search_name(search: Search) -> str:
    conditions = asdict(search)
    del conditions["every"]
    return to_json(conditions)


def _search(name: object) -> Search:
    given = from_json(a_text(name))
    title, within = given["title"], given["created_within"]
    return Search(
        categories=tuple(each if type(each) is int else a_text(each) for each in given["categories"]),
        subcategories=a_flag(given["subcategories"]),
        tags=tuple(map(a_text, given["tags"])),
        title=None if title is None else a_text(title),
        statuses=tuple(map(a_text, given["statuses"])),
        created_within=None if within is None else a_time(within),
    )


def _about(about: AccountMetadata) -> dict[str, object]:
    tree = about.tree
    categories = None if tree is None else [[each.category_id, each.name, each.parent_id, each.level] for each in tree]
    return {"deleted": sorted(about.deleted), "categories": categories}


def _tree(given: Any) -> CategoryTree | None:
    if given is None:
        return None
    return CategoryTree(
        Category(a_whole(id_), a_text(name), None if parent is None else a_whole(parent), a_whole(level))
        for id_, name, parent, level in given
    )


def _blocks(details: Mapping[str, MediaDetails]) -> list[dict[str, list[Any]]]:
    """Columns of some media each; a video stays in its block while others are added."""
    parts = divided(details, block_count(len(details)))
    return [_columns([details[media_id] for media_id in part]) for part in parts]


def _columns(some: list[MediaDetails]) -> dict[str, list[Any]]:
    return {
        "media_id": [each.media_id for each in some],
        "category_id": [each.category_id for each in some],
        "tags": [None if each.tags is None else list(each.tags) for each in some],
        "created_at": [each.created_at for each in some],
        "observed_at": [each.observed_at for each in some],
        **{name: [getattr(each, name) for each in some] for name in _TEXTS},
    }


def _details(given: Any, shared: dict[str, str]) -> Iterator[MediaDetails]:
    """The media of a block; texts that several media have are kept in memory once."""

    def text(value: Any) -> str | None:
        return None if value is None else shared.setdefault(a_text(value), value)

    columns = [given[name] for name in ("media_id", "category_id", "tags", "created_at", "observed_at", *_TEXTS)]
    for media_id, category_id, tags, created_at, observed_at, *texts in zip(*columns, strict=True):
        yield MediaDetails(
            a_text(media_id),
            category_id=None if category_id is None else a_whole(category_id),
            tags=None if tags is None else tuple(shared.setdefault(a_text(tag), tag) for tag in tags),
            created_at=None if created_at is None else a_time(created_at),
            observed_at=a_time(observed_at),
            **dict(zip(_TEXTS, map(text, texts), strict=True)),
        )
