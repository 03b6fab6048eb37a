"""The media of the account at any time: creation, category, tags, status; media are released and deleted.

A release is created at the hour from which the popularity model plays it, and deleted when nine tenths of its cycle are
over; at its next release the ID is used again. Media that are no releases were created before 2023. Some media move
between two categories every ten days. Tests may put and delete media on top of that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.simulator.calendar import day_at, start_of_day
from exporter.simulator.categories import CategoryTree
from exporter.simulator.popularity import first_day_share, mix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.simulator.generated_media import Media

APP_ID: Final = "app-1000000"
STORAGE_LOCATION: Final = "outin-simulator.oss-cn-shanghai.aliyuncs.com"
TRANSCODING: Final = 600
"""Seconds after its creation in which a release is being transcoded."""

_DAY: Final = 86_400
_LIFE: Final = 0.9
_MOVES: Final = 10 * _DAY
# 2018-01-01 and 2023-01-01, UTC.
_OLDEST, _NEWEST = 1_514_764_800, 1_672_531_200
# Some are part of others; one has a space, one a quote.
_TAGS: Final = (
    *("promo", "promo-2026", "live", "live-replay", "课程"),
    *("精品课程", "vip", "free", "summer sale", "teacher's choice"),
)


@dataclass(frozen=True, slots=True)
class Video:
    """What SearchMedia and GetVideoInfos return about one video; times in seconds since 1970."""

    media_id: str
    title: str
    duration: float
    created: int
    modified: int
    category_id: int | None = None
    tags: tuple[str, ...] = ()
    status: str = "Normal"
    size: int = 0
    description: str = ""
    reference_id: str = ""
    app_id: str = APP_ID
    storage_location: str = STORAGE_LOCATION


@dataclass(frozen=True, slots=True, eq=False)
class LibraryState:
    """The media that exist from `since` until `until`; in the order of the account, and by ID."""

    since: float
    until: float
    videos: tuple[Video, ...]
    by_id: Mapping[str, Video]


class MediaLibrary:
    """The generated media and those that tests have put there."""

    def __init__(self, media: Iterable[Media]) -> None:
        self.categories = CategoryTree()
        self._given: dict[str, Video | None] = {}
        self._states: dict[bool, LibraryState] = {}
        leaves = tuple(self.categories.by_id)
        self._generated = tuple(_Generated(each, leaves) for each in media)

    def put(self, *videos: Video) -> None:
        """Create media, or replace those with the same ID."""
        self._given.update((video.media_id, video) for video in videos)
        self._states.clear()

    def delete(self, *media_ids: str) -> None:
        """Delete media."""
        self._given.update((media_id, None) for media_id in media_ids)
        self._states.clear()

    def at(self, now: float, *, same_second: bool = False) -> LibraryState:
        """The media that exist at `now`; `same_second`: those that are no releases were all created then."""
        found = self._states.get(same_second)
        if found is None or not found.since <= now < found.until:
            found = self._states[same_second] = self._build(now, same_second=same_second)
        return found

    def _build(self, now: float, *, same_second: bool) -> LibraryState:
        videos: dict[str, Video] = {}
        until = math.inf
        for each in self._generated:
            video, changes_at = each.at(now)
            until = min(until, changes_at)
            if video is not None:
                if same_second and not each.media.cycle:
                    video = replace(video, created=_NEWEST, modified=max(_NEWEST, video.modified))
                videos[video.media_id] = video
        for media_id, given in self._given.items():
            if given is None:
                videos.pop(media_id, None)
            else:
                videos[media_id] = given
        return LibraryState(now, until, tuple(videos.values()), videos)


class _Generated:
    """One generated media through time; the last state is kept until it changes."""

    def __init__(self, media: Media, categories: tuple[int, ...]) -> None:
        self.media = media
        bits = mix(media.key ^ 0xC0FFEE)
        # One in ten has no category, one in eight moves.
        self._homes = [None if not bits % 10 else categories[(bits >> 4) % len(categories)]]
        if bits >> 12 & 7 == 0:
            self._homes.append(categories[(bits >> 16) % len(categories)])
        self._phase = (bits >> 24) % _MOVES
        self._tags = tuple(tag for index, tag in enumerate(_TAGS) if not bits >> (28 + 2 * index) & 3)
        self._blocked = bits >> 50 & 63 == 0
        self._since, self._until = 1.0, 0.0
        self._video: Video | None = None

    def at(self, now: float) -> tuple[Video | None, float]:
        """The video at `now`, None while it is deleted; and the time until which that holds."""
        if not self._since <= now < self._until:
            self._since = now
            self._video, self._until = self._state(now)
        return self._video, self._until

    def _state(self, now: float) -> tuple[Video | None, float]:
        created = self._created(now)
        until = math.inf
        status = "Blocked" if self._blocked else "Normal"
        if self.media.cycle:
            until = created + int(_LIFE * self.media.cycle * _DAY)
            if now >= until:
                return None, created + self.media.cycle * _DAY
            if now < created + TRANSCODING:
                status, until = "Transcoding", created + TRANSCODING
        modified, home = created, self._homes[0]
        if len(self._homes) > 1:
            moves, _ = divmod(int(now) + self._phase, _MOVES)
            modified, home = max(created, moves * _MOVES - self._phase), self._homes[moves % 2]
            until = min(until, (moves + 1) * _MOVES - self._phase)
        return self._describe(created, modified, home, status), until

    def _created(self, now: float) -> int:
        media = self.media
        if not media.cycle:
            return _OLDEST + media.key % (_NEWEST - _OLDEST)
        today = day_at(now)
        released = start_of_day(today) - (today.toordinal() + media.offset) % media.cycle * _DAY
        created = released + int((1 - first_day_share(media)) * _DAY)
        return created if created <= now else created - media.cycle * _DAY

    def _describe(self, created: int, modified: int, home: int | None, status: str) -> Video:
        media = self.media
        return Video(
            media.media_id,
            media.title,
            float(media.duration),
            created,
            modified,
            home,
            self._tags,
            status,
            size=media.duration * 250_000,
            description="" if media.key & 1 else f"{media.title} (description)",
            reference_id=f"ref-{media.media_id[:12]}",
        )
