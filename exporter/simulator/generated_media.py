"""The generated media of an account: titles, popularity and audience; independent of dates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from exporter.core.model import REGIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXAMPLE_MEDIA_ID: Final = "9ae2af636ca6c10412f44891fc000000"
"""The video of the example on Alibaba Cloud's page, with zeros for its masked digits."""

MEDIA_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
REGION_COUNT: Final = len(REGIONS)

# Combinations of terminal type and OS with a player SDK; others (Native on Windows) never have plays.
SEGMENTS: Final = (
    ("Native", "Android"),
    ("Native", "iOS"),
    ("Web", "Android"),
    ("Web", "iOS"),
    ("Web", "Windows"),
    ("Web", "macOS"),
    ("Web", "Linux"),
)


def _cumulative(weights: Sequence[int]) -> tuple[float, ...]:
    """Weights as cumulative shares from 0.0 to exactly 1.0."""
    whole = sum(weights)
    return tuple(part / whole for part in accumulate(weights, initial=0))


@dataclass(frozen=True, slots=True)
class Audience:
    """Cumulative shares of the plays, from 0 to 1: by segment, and within each segment by region."""

    segments: tuple[float, ...]
    regions: tuple[float, ...]


# Weights in the order of SEGMENTS and REGIONS.
_SEGMENT_WEIGHTS: Final = (
    (62, 33, 2, 1, 1, 1, 0),  # an app
    (40, 25, 12, 8, 10, 4, 1),
    (0, 0, 35, 25, 28, 10, 2),  # a web site
    (0, 0, 5, 5, 60, 22, 8),  # an intranet
    (45, 0, 30, 0, 20, 0, 5),
)
_REGION_WEIGHTS: Final = (
    (30, 45, 25, 0, 0, 0, 0),  # mainland China
    (20, 25, 35, 5, 10, 3, 2),
    (2, 3, 3, 60, 20, 2, 10),
    (0, 5, 5, 5, 45, 38, 2),
    (1, 2, 1, 2, 4, 0, 90),
)
AUDIENCES: Final = tuple(
    Audience(_cumulative(segments), _cumulative(regions))
    for segments in _SEGMENT_WEIGHTS
    for regions in _REGION_WEIGHTS
)
APP_AUDIENCE: Final = AUDIENCES[0]

# Titles that need escaping: quotes, backslashes, line ends, four-byte characters, right to left.
_DELICATE_TITLES: Final = (
    'Press "play" again',
    "C:\\videos\\new\\intro.mp4",
    "Line one\nline two",
    "🎬 发布会 🎉 直播回放",
    "𠮷野家𩸽 探店",
    "مقدمة الدورة",
    "שיעור ראשון",
    'both: "back\\slash"\tand a tab',
    '<b>bold</b> & {label="x"}',
    " 两端有空格 ",
)
_SUBJECTS: Final = (
    ("产品发布会", "Product launch"),
    ("新手入门教程", "Getting started"),
    ("数学公开课", "Open course: mathematics"),
    ("周末音乐现场", "Weekend live music"),
    ("城市纪录片", "City documentary"),
    ("家常菜谱", "Home cooking"),
    ("篮球集锦", "Basketball highlights"),
    ("云计算架构解析", "Cloud architecture explained"),
    ("旅行日记", "Travel diary"),
    ("少儿英语", "English for children"),
)


@dataclass(frozen=True, slots=True)
class Media:
    """One video of the account.

    * `duration`: seconds. `watched`: the mean share of it that is played.
    * `popularity`: expected plays on a working day; four times as many on the first full day of a release.
    * `loyalty`: viewers = plays ** loyalty, below 1: some viewers play more than once.
    * `cycle`, `offset`: days; a video with a cycle is released, ages, has no plays, and is released again. 0: none.
    * `quiet`: the number of days in 256 without any plays, while it has few.
    * `key`: 64 bits from which its further traits and the random numbers of each day are derived.
    """

    media_id: str
    title: str
    duration: int
    key: int
    popularity: float
    audience: Audience
    watched: float
    loyalty: float
    cycle: int = 0
    offset: int = 0
    quiet: int = 0


def generate_media(seed: int, count: int) -> Iterator[Media]:
    """The first `count` media of the account of `seed`; always the same ones.

    The first is the example on Alibaba Cloud's page, the second a popular one with app viewers only.
    """
    for index in range(count):
        digest = _digest(seed, index)
        key = int.from_bytes(digest[16:24])
        # Eight numbers from 0 to 65535, one per trait.
        drawn = [int.from_bytes(digest[at : at + 2]) for at in range(24, 40, 2)]
        share = [number / 65536 for number in drawn]
        watched = 0.15 + 0.6 * share[0]
        loyalty = 0.82 + 0.13 * share[1]
        if index == 0:
            yield Media(EXAMPLE_MEDIA_ID, "阿里云VOD视频标题", 246, key, 900.0, AUDIENCES[6], watched, loyalty)
        elif index == 1:
            yield Media(digest[:16].hex(), "旗舰新品 Hero video", 95, key, 20_000.0, APP_AUDIENCE, watched, loyalty)
        else:
            # Most media have tens to hundreds of plays a day, few have tens of thousands.
            popularity = 2 * 10 ** (4.2 * share[2] ** 1.6)
            # Four in ten are releases; not those with a delicate title, which must always have plays.
            release = share[4] < 0.4 and index >= 2 + len(_DELICATE_TITLES)  # noqa: PLR2004 - a share
            if release:
                # In its first days it has a multiple, but fewer plays than the second media.
                popularity = min(popularity, 4_000)
            yield Media(
                media_id=digest[:16].hex(),
                title=_title(index, drawn[5]),
                duration=15 + drawn[6] % 5400,
                key=key,
                popularity=popularity,
                audience=AUDIENCES[drawn[7] % len(AUDIENCES)],
                watched=watched,
                loyalty=loyalty,
                cycle=60 + drawn[3] % 90 if release else 0,
                offset=drawn[4],
                quiet=12 if drawn[7] % 4 == 0 else 0,
            )


def most_played(seed: int) -> str:
    """The ID of the video that has the most plays on most days: the second one."""
    return _digest(seed, 1)[:16].hex()


def _digest(seed: int, index: int) -> bytes:
    return blake2b(f"{seed}:{index}".encode(), digest_size=40).digest()


def _title(index: int, random_bits: int) -> str:
    if index - 2 < len(_DELICATE_TITLES):
        return _DELICATE_TITLES[index - 2]
    chinese, english = _SUBJECTS[random_bits % len(_SUBJECTS)]
    forms = (f"{chinese} 第{index}集", f"{english}, episode {index}", f"{chinese} / {english} #{index}")
    return forms[random_bits // len(_SUBJECTS) % len(forms)]


def segments_of(terminal_type: str | None, os: str | None) -> tuple[int, ...]:
    """The segments that match both filters, as indices into SEGMENTS; None: no filter."""
    return tuple(
        index
        for index, (segment_terminal_type, segment_os) in enumerate(SEGMENTS)
        if terminal_type in (None, segment_terminal_type) and os in (None, segment_os)
    )


def regions_of(region: str | None) -> tuple[int, ...]:
    """The regions that match a filter, as indices into REGIONS; None: no filter."""
    return tuple(index for index, name in enumerate(REGIONS) if region in (None, name))
