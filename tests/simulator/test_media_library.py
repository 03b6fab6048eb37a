"""What is known of media through time agrees with their plays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exporter.simulator.calendar import day_at, start_of_day
from exporter.simulator.dataset import Dataset
from exporter.simulator.generated_media import generate_media
from exporter.simulator.media_library import TRANSCODING, MediaLibrary, Video
from tests.simulator.clients import NOON, TODAY

MEDIA = tuple(generate_media(0, 400))
DAY = 86_400
RELEASES = {media.media_id for media in MEDIA if media.cycle}


@pytest.fixture(scope="module")
def library() -> MediaLibrary:
    return MediaLibrary(MEDIA)


def test_titles_and_lengths_are_those_of_the_play_data(library: MediaLibrary) -> None:
    dataset = Dataset(0, 400)
    for video in library.at(NOON).videos:
        row = dataset.row(video.media_id, TODAY - timedelta(days=2), now=NOON)
        assert row is None or (row.title, row.media_duration) == (video.title, video.duration)


def test_a_new_media_has_plays_from_the_day_of_its_creation_on(library: MediaLibrary) -> None:
    dataset = Dataset(0, 400)
    new = [video for video in library.at(NOON).videos if NOON - 20 * DAY < video.created < NOON - 3 * DAY]
    assert len(new) > 10
    for video in new:
        created = day_at(video.created)
        first, full = (dataset.counts(video.media_id, created + timedelta(days=days), now=NOON) for days in (0, 1))
        assert full is not None
        assert full.plays > 3
        # Less on its first day, the later it was created.
        remaining = 1 - (video.created - start_of_day(created)) / DAY
        assert first is None or first.plays <= full.plays * remaining * 2
        for days in (1, 2, 5):
            before = dataset.counts(video.media_id, created - timedelta(days=days), now=NOON)
            assert before is None or before.plays < full.plays / 20


def test_releases_come_and_go_and_keep_their_creation_time_while_they_exist(library: MediaLibrary) -> None:
    seen: dict[str, set[int]] = {}
    gone, new = set(), set()
    before = set(library.at(NOON).by_id)
    for day in range(1, 40):
        now = library.at(NOON + day * DAY).by_id
        gone |= before - set(now)
        new |= set(now) - before
        assert all(video.created <= NOON + day * DAY for video in now.values())
        for media_id in set(now) & before:
            seen.setdefault(media_id, set()).add(now[media_id].created)
        for media_id in before - set(now):
            seen.pop(media_id, None)
        before = set(now)
    assert gone
    assert new
    assert gone | new <= RELEASES
    assert all(len(created) == 1 for created in seen.values())


def test_some_media_move_between_two_categories_and_others_have_none(library: MediaLibrary) -> None:
    homes: dict[str, set[int | None]] = {}
    for day in range(0, 40, 2):
        for video in library.at(NOON + day * DAY).videos:
            homes.setdefault(video.media_id, set()).add(video.category_id)
    moving = [media_id for media_id, categories in homes.items() if len(categories) == 2]
    assert max(map(len, homes.values())) == 2
    assert len(homes) / 16 < len(moving) < len(homes) / 4
    without = [media_id for media_id, categories in homes.items() if None in categories]
    assert len(homes) / 20 < len(without) < len(homes) / 5
    known = set(library.categories.by_id)
    assert set().union(*homes.values()) - {None} <= known


def test_a_move_is_a_modification(library: MediaLibrary) -> None:
    before = library.at(NOON).by_id
    for video in library.at(NOON + 5 * DAY).videos:
        if video.media_id in before and video.category_id != before[video.media_id].category_id:
            assert NOON < video.modified <= NOON + 5 * DAY
            break
    else:
        pytest.fail("no media has moved")


def test_a_release_is_transcoded_first(library: MediaLibrary) -> None:
    created = max(video.created for video in library.at(NOON).videos)
    (new,) = (video for video in library.at(created).videos if video.created == created)
    assert new.status == "Transcoding"
    assert library.at(created - 1).by_id.get(new.media_id) is None
    assert library.at(created + TRANSCODING).by_id[new.media_id].status in {"Normal", "Blocked"}


def test_the_order_of_questions_does_not_matter(library: MediaLibrary) -> None:
    times = [NOON, NOON + 3 * DAY, NOON - 50 * DAY, NOON + 1, NOON]
    assert [library.at(now).videos for now in times] == [MediaLibrary(MEDIA).at(now).videos for now in times]


def test_bulk_imports_have_one_creation_time(library: MediaLibrary) -> None:
    state = library.at(NOON, same_second=True)
    assert len({video.created for video in state.videos if video.media_id not in RELEASES}) == 1
    assert len({video.created for video in library.at(NOON).videos}) > 300


def test_media_can_be_put_and_deleted() -> None:
    library = MediaLibrary(MEDIA[:3])
    first = library.at(NOON).videos[0]
    library.put(Video("new", "New", 1.0, 1, 1))
    library.delete(first.media_id)
    assert "new" in library.at(NOON).by_id
    assert first.media_id not in library.at(NOON).by_id
    library.put(first)
    library.delete("new")
    assert library.at(NOON).videos[0].media_id == first.media_id
    assert "new" not in library.at(NOON).by_id
