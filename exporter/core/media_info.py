"""Keeps the newest title and length of all published media, reading only slices that have changed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from exporter.core.fields import given_title
from exporter.core.publication import PublishedMedia, PublishedSlice
from exporter.core.sharding import MediaInfoOwnership

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from exporter.core.model import PlayRow, Slice
    from exporter.core.publication import SettledDay, SettledPlays

    Titled = PublishedSlice | SettledDay
    TitledRows = Mapping[str, PlayRow | SettledPlays | None]

_ALL: Final = MediaInfoOwnership(all=True)
_NONE: Final = MediaInfoOwnership(all=False)


class MediaInfoIndex:
    """Title and length of media, independent of days, and the slices they come from.

    * `media`: all published media, each with its newest title and length if this replica exports them.
    * `series`: the number of series of `media`.
    """

    def __init__(self, media_info_ownership: Mapping[str, MediaInfoOwnership] | None = None) -> None:
        self.media_info_ownership = media_info_ownership
        self._slices: tuple[Titled, ...] = ()
        self._by_account: dict[str, dict[str, PublishedMedia]] = {}
        self.media: tuple[PublishedMedia, ...] = ()
        self.series = 0

    def update(self, slices: tuple[Titled, ...]) -> None:
        """Update to the slices published now; only media of slices that are new objects are looked up."""
        # Compared by identity, not equality: there are thousands of slices, and nearly all are unchanged objects.
        known, staying = set(map(id, self._slices)), set(map(id, slices))
        before = {_key(published): published for published in self._slices if id(published) not in staying}
        maybe_changed: defaultdict[str, list[str]] = defaultdict(list)
        for published in slices:
            if id(published) not in known:
                previous = before.pop(_key(published), None)
                maybe_changed[published.slice.account].extend(self._maybe_changed(published, previous))
        for removed in before.values():
            maybe_changed[removed.slice.account].extend(removed.rows)
        if any(maybe_changed.values()):
            self._look_up(maybe_changed, _newest_first(slices))
        self._slices = slices

    def _maybe_changed(self, published: Titled, previous: Titled | None) -> Iterator[str]:
        """The media of a new or changed slice whose title or length may be different now."""
        known = self._by_account.get(published.slice.account, {})
        owned = self._ownership(published.slice.account)
        # If this slice ranks older than before, another slice may now have the newest title.
        older = previous is not None and _newness(published) < _newness(previous)
        for media_id, row in published.rows.items():
            info = known.get(media_id)
            if info is None or (
                (older or row is None or row.title != info.title or row.media_duration != info.duration)
                and media_id in owned
            ):
                yield media_id
        if previous is not None and previous.rows is not published.rows:
            yield from (media_id for media_id in previous.rows if media_id not in published.rows)

    def _look_up(self, media_ids: Mapping[str, Iterable[str]], newest: Mapping[str, Iterable[TitledRows]]) -> None:
        """Look up the title and length of some media of each account."""
        changed = False
        for account, ids in media_ids.items():
            known = self._by_account.setdefault(account, {})
            owned = self._ownership(account)
            for media_id in dict.fromkeys(ids):
                before = known.get(media_id)
                info = _newest_info(account, media_id, newest.get(account, ()), owned=media_id in owned)
                if info == before:
                    continue
                changed = True
                self.series += media_series(info) - media_series(before)
                if info is None:
                    del known[media_id]
                else:
                    known[media_id] = info
        if changed:
            self.media = tuple(each for media in self._by_account.values() for each in media.values())

    def _ownership(self, account: str) -> MediaInfoOwnership:
        return _ALL if self.media_info_ownership is None else self.media_info_ownership.get(account, _NONE)


def _key(published: Titled) -> tuple[type[Titled], Slice]:
    """What stays the same as data changes; a day may be published in both ways."""
    return type(published), published.slice


def _newness(published: Titled) -> tuple[date, float, str, str, str]:
    """Sort key of slices by how new their titles are: by day, then by time of the last complete poll."""
    filters = published.slice.dimensions
    last = (published.updated_at if isinstance(published, PublishedSlice) else None) or 0.0
    return published.slice.play_date, last, filters.terminal_type or "", filters.os or "", filters.region or ""


def _newest_first(slices: Iterable[Titled]) -> dict[str, list[TitledRows]]:
    """The rows of slices by account, newest slice first."""
    newest: defaultdict[str, list[TitledRows]] = defaultdict(list)
    for published in sorted(slices, key=_newness, reverse=True):
        newest[published.slice.account].append(published.rows)
    return newest


def _newest_info(account: str, media_id: str, newest: Iterable[TitledRows], *, owned: bool) -> PublishedMedia | None:
    """The newest title and length that are given for a video; None if no slice contains it."""
    shown = False
    title: str | None = None
    duration: int | float | None = None
    for rows in newest:
        if media_id in rows:
            shown = True
            if not owned:
                break
            if (row := rows[media_id]) is not None:
                title = title or given_title(row.title)
                duration = row.media_duration if duration is None else duration
                if title is not None and duration is not None:
                    break
    return PublishedMedia(account, media_id, title, duration) if shown else None


def media_series(media: PublishedMedia | None) -> int:
    """The number of title and length series of a video."""
    return 0 if media is None else (media.title is not None) + (media.duration is not None)
