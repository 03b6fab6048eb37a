"""Title and length of every media that is shown, as they were last told; only slices that have changed are read."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from exporter.core.publication import PublishedMedia
from exporter.core.sharding import MediaInfoOwnership

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from exporter.core.model import PlayRow
    from exporter.core.publication import PublishedSlice

_ALL: Final = MediaInfoOwnership(all=True)
_NONE: Final = MediaInfoOwnership(all=False)


class MediaInfoIndex:
    """What is said of media whatever the day, and which slices say it.

    `media`: every media that is shown, with title and length as they were last told where they are described here.
    `series`: how many series that is.
    """

    def __init__(self, media_info_ownership: Mapping[str, MediaInfoOwnership] | None = None) -> None:
        self.media_info_ownership = media_info_ownership
        self._slices: tuple[PublishedSlice, ...] = ()
        self._by_account: dict[str, dict[str, PublishedMedia]] = {}
        self.media: tuple[PublishedMedia, ...] = ()
        self.series = 0

    def follow(self, slices: tuple[PublishedSlice, ...]) -> None:
        """These slices are shown now; only media of those that are not the very same as before are looked up."""
        # By what they are and not by what they say: there may be thousands, and few that are not the very same.
        known, staying = set(map(id, self._slices)), set(map(id, slices))
        before = {published.slice: published for published in self._slices if id(published) not in staying}
        doubtful: defaultdict[str, list[str]] = defaultdict(list)
        for published in slices:
            if id(published) not in known:
                was = before.pop(published.slice, None)
                doubtful[published.slice.account].extend(self._doubtful(published, was))
        for gone in before.values():
            doubtful[gone.slice.account].extend(gone.rows)
        if any(doubtful.values()):
            self._look_up(doubtful, _newest_first(slices))
        self._slices = slices

    def _doubtful(self, published: PublishedSlice, was: PublishedSlice | None) -> Iterator[str]:
        """The media of a slice that is new or has changed of which something else may be said now."""
        known = self._by_account.get(published.slice.account, {})
        described = self._describing(published.slice.account)
        # What another slice said before may count again when this one is taken for older than it was.
        older = was is not None and _observed_at(published) < _observed_at(was)
        for media_id, row in published.rows.items():
            said = known.get(media_id)
            if said is None or (
                (older or row is None or row.title != said.title or row.media_duration != said.duration)
                and media_id in described
            ):
                yield media_id
        if was is not None and was.rows is not published.rows:
            yield from (media_id for media_id in was.rows if media_id not in published.rows)

    def _look_up(
        self, media_ids: Mapping[str, Iterable[str]], newest: Mapping[str, Iterable[Mapping[str, PlayRow | None]]]
    ) -> None:
        """Find out what is said of some media of each account now."""
        changed = False
        for account, some in media_ids.items():
            known = self._by_account.setdefault(account, {})
            described = self._describing(account)
            for media_id in dict.fromkeys(some):
                before = known.get(media_id)
                said = _said(account, media_id, newest.get(account, ()), described=media_id in described)
                if said == before:
                    continue
                changed = True
                self.series += media_series(said) - media_series(before)
                if said is None:
                    del known[media_id]
                else:
                    known[media_id] = said
        if changed:
            self.media = tuple(each for media in self._by_account.values() for each in media.values())

    def _describing(self, account: str) -> MediaInfoOwnership:
        return _ALL if self.media_info_ownership is None else self.media_info_ownership.get(account, _NONE)


def _observed_at(published: PublishedSlice) -> tuple[date, float, str, str, str]:
    """Which of two slices knows better what a media is called: that of the later day, then the later told."""
    filters = published.slice.dimensions
    last = published.updated_at or 0.0
    return published.slice.play_date, last, filters.terminal_type or "", filters.os or "", filters.region or ""


def _newest_first(slices: Iterable[PublishedSlice]) -> dict[str, list[Mapping[str, PlayRow | None]]]:
    """The rows of slices by account."""
    newest: defaultdict[str, list[Mapping[str, PlayRow | None]]] = defaultdict(list)
    for published in sorted(slices, key=_observed_at, reverse=True):
        newest[published.slice.account].append(published.rows)
    return newest


def _said(
    account: str, media_id: str, newest: Iterable[Mapping[str, PlayRow | None]], *, described: bool
) -> PublishedMedia | None:
    """What is said of a media: its newest title and length that were told at all; None: it is not shown."""
    shown = False
    title: str | None = None
    duration: int | float | None = None
    for rows in newest:
        if media_id in rows:
            shown = True
            if not described:
                break
            if (row := rows[media_id]) is not None:
                title = title or row.title or None
                duration = row.media_duration if duration is None else duration
                if title is not None and duration is not None:
                    break
    return PublishedMedia(account, media_id, title, duration) if shown else None


def media_series(media: PublishedMedia | None) -> int:
    """How many series are about a media whatever the day."""
    return 0 if media is None else (media.title is not None) + (media.duration is not None)
