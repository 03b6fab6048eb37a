from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from exporter.core.model import Dimensions, PlayRow
from exporter.core.publication import PublishedMedia
from exporter.exposition.gzip_segments import GzipPayload, compress_segment
from exporter.exposition.render import Renderer
from tests.exposition.examples import MEDIA, ROW, example, publication, published, settled_day

EXAMPLE = """\
# HELP aliyun_vod_media_plays Number of plays of the media on the play date (PlaySuccessVv).
# TYPE aliyun_vod_media_plays gauge
aliyun_vod_media_plays{account="main",media_id="9ae2af636ca6c10412f44891fc000000",terminal_type="all",os="all",region="all",days_ago="1"} 20
# HELP aliyun_vod_media_viewers Number of unique viewers of the media on the play date (DAU).
# TYPE aliyun_vod_media_viewers gauge
aliyun_vod_media_viewers{account="main",media_id="9ae2af636ca6c10412f44891fc000000",terminal_type="all",os="all",region="all",days_ago="1"} 5
# HELP aliyun_vod_media_plays_per_viewer Number of plays per viewer of the media on the play date (PlayPerVv).
# TYPE aliyun_vod_media_plays_per_viewer gauge
aliyun_vod_media_plays_per_viewer{account="main",media_id="9ae2af636ca6c10412f44891fc000000",terminal_type="all",os="all",region="all",days_ago="1"} 4
# HELP aliyun_vod_media_play_duration_seconds Total time the media was played on the play date, in seconds (PlayDuration).
# TYPE aliyun_vod_media_play_duration_seconds gauge
aliyun_vod_media_play_duration_seconds{account="main",media_id="9ae2af636ca6c10412f44891fc000000",terminal_type="all",os="all",region="all",days_ago="1"} 2400
# HELP aliyun_vod_media_play_duration_per_viewer_seconds Time the media was played per viewer on the play date, in seconds (PlayDurationPerUv).
# TYPE aliyun_vod_media_play_duration_per_viewer_seconds gauge
aliyun_vod_media_play_duration_per_viewer_seconds{account="main",media_id="9ae2af636ca6c10412f44891fc000000",terminal_type="all",os="all",region="all",days_ago="1"} 120
# HELP aliyun_vod_media_settled_plays Number of plays of the media on the last settled day (PlaySuccessVv).
# TYPE aliyun_vod_media_settled_plays gauge
aliyun_vod_media_settled_plays{account="main",media_id="9ae2af636ca6c10412f44891fc000000",terminal_type="all",os="all",region="all"} 20
# HELP aliyun_vod_media_settled_plays_expected Number of plays expected on the last settled day, computed from settled days before it.
# TYPE aliyun_vod_media_settled_plays_expected gauge
aliyun_vod_media_settled_plays_expected{account="main",media_id="9ae2af636ca6c10412f44891fc000000",terminal_type="all",os="all",region="all"} 22.5
# HELP aliyun_vod_media_duration_seconds Length of the media, in seconds (VideoDuration).
# TYPE aliyun_vod_media_duration_seconds gauge
aliyun_vod_media_duration_seconds{account="main",media_id="9ae2af636ca6c10412f44891fc000000"} 246
# HELP aliyun_vod_media_info Always 1; the newest title of the media is in its label (VideoTitle).
# TYPE aliyun_vod_media_info gauge
aliyun_vod_media_info{account="main",media_id="9ae2af636ca6c10412f44891fc000000",title="阿里云VOD视频标题"} 1
# HELP aliyun_vod_slice_media Media with plays in the slice (TotalCount); absent until a listing was read.
# TYPE aliyun_vod_slice_media gauge
aliyun_vod_slice_media{account="main",terminal_type="all",os="all",region="all",days_ago="1"} 1
# HELP aliyun_vod_slice_updated_timestamp_seconds Time of the last successful poll of the slice, in seconds since 1970.
# TYPE aliyun_vod_slice_updated_timestamp_seconds gauge
aliyun_vod_slice_updated_timestamp_seconds{account="main",terminal_type="all",os="all",region="all",days_ago="1"} 1711100000.5
# HELP aliyun_vod_slice_settled Whether the slice is final and no longer polled: 1 or 0.
# TYPE aliyun_vod_slice_settled gauge
aliyun_vod_slice_settled{account="main",terminal_type="all",os="all",region="all",days_ago="1"} 1
# HELP aliyun_vod_slice_ready Whether the service has computed the slice: 0 after Meter.ReadyTsError, else 1.
# TYPE aliyun_vod_slice_ready gauge
aliyun_vod_slice_ready{account="main",terminal_type="all",os="all",region="all",days_ago="1"} 1
# HELP aliyun_vod_slice_settled_date_timestamp_seconds Start of the last settled day that has expected plays (00:00 UTC+8), in seconds since 1970.
# TYPE aliyun_vod_slice_settled_date_timestamp_seconds gauge
aliyun_vod_slice_settled_date_timestamp_seconds{account="main",terminal_type="all",os="all",region="all"} 1711036800.0
# HELP aliyun_vod_play_date_timestamp_seconds Start of the play date of this days_ago (00:00 UTC+8), in seconds since 1970.
# TYPE aliyun_vod_play_date_timestamp_seconds gauge
aliyun_vod_play_date_timestamp_seconds{days_ago="1"} 1711036800.0
"""  # noqa: E501  an exposition has the lines it has


def samples(rendered: GzipPayload) -> list[str]:
    return [line for line in rendered.plain.decode().split("\n") if line and not line.startswith("#")]


def test_the_example_of_the_page() -> None:
    assert Renderer().render(example()).plain.decode() == EXAMPLE


def test_an_empty_publication_is_an_empty_text() -> None:
    assert Renderer().render(publication()).plain == b""


def test_a_media_without_plays_has_three_zeros_and_no_series_per_viewer() -> None:
    labels = '{account="main",media_id="m1",terminal_type="all",os="all",region="all",days_ago="1"}'
    assert [line for line in samples(Renderer().render(publication(published({"m1": None})))) if "_media_" in line] == [
        f"aliyun_vod_media_plays{labels} 0",
        f"aliyun_vod_media_viewers{labels} 0",
        f"aliyun_vod_media_play_duration_seconds{labels} 0",
    ]


def test_a_missing_field_has_no_series() -> None:
    rendered = Renderer().render(publication(published({"m1": PlayRow("m1", plays=7)})))
    assert [line for line in samples(rendered) if "_media_" in line] == [
        'aliyun_vod_media_plays{account="main",media_id="m1",terminal_type="all",os="all",region="all",days_ago="1"} 7'
    ]


def test_a_slice_that_is_not_ready_has_its_slice_series() -> None:
    assert samples(Renderer().render(publication(published(days_ago=0, ready=False)))) == [
        'aliyun_vod_slice_settled{account="main",terminal_type="all",os="all",region="all",days_ago="0"} 0',
        'aliyun_vod_slice_ready{account="main",terminal_type="all",os="all",region="all",days_ago="0"} 0',
    ]


@pytest.mark.parametrize(
    ("title", "duration", "expected"),
    [
        (None, None, []),
        ("t", None, ['aliyun_vod_media_info{account="main",media_id="m1",title="t"} 1']),
        ("", None, ['aliyun_vod_media_info{account="main",media_id="m1",title=""} 1']),
        (None, 0, ['aliyun_vod_media_duration_seconds{account="main",media_id="m1"} 0']),
    ],
)
def test_title_and_duration_are_exposed_when_known(
    title: str | None, duration: int | None, expected: list[str]
) -> None:
    media = [PublishedMedia("main", "m1", title, duration)]
    assert samples(Renderer().render(publication(media=media))) == expected


def test_filters_are_labels_and_series_are_sorted() -> None:
    native = Dimensions(terminal_type="Native", os="iOS", region="cn-beijing")
    given = publication(
        published({"b": PlayRow("b", plays=1), "a": PlayRow("a", plays=2)}, days_ago=10),
        published({"a": PlayRow("a", plays=3)}, dimensions=native),
        published({"a": PlayRow("a", plays=4)}, days_ago=2),
        published({"a": PlayRow("a", plays=5)}, account="aux"),
    )
    plays = [line for line in samples(Renderer().render(given)) if line.startswith("aliyun_vod_media_plays{")]
    assert [line.removeprefix("aliyun_vod_media_plays") for line in plays] == [
        '{account="aux",media_id="a",terminal_type="all",os="all",region="all",days_ago="1"} 5',
        '{account="main",media_id="a",terminal_type="Native",os="iOS",region="cn-beijing",days_ago="1"} 3',
        '{account="main",media_id="a",terminal_type="all",os="all",region="all",days_ago="2"} 4',
        '{account="main",media_id="a",terminal_type="all",os="all",region="all",days_ago="10"} 2',
        '{account="main",media_id="b",terminal_type="all",os="all",region="all",days_ago="10"} 1',
    ]


def test_the_order_of_the_data_does_not_change_the_text() -> None:
    one, two = published({"a": ROW, "b": None}), published({"b": ROW}, days_ago=2)
    turned = published({"b": None, "a": ROW})
    media = [PublishedMedia("main", "a", "t", 1), PublishedMedia("main", "b", "u", 2)]
    first = publication(one, two, media=media, days={1: 86400.0, 2: 0.0})
    second = publication(two, turned, media=reversed(media), days={2: 0.0, 1: 86400.0})
    assert Renderer().render(first).plain == Renderer().render(second).plain


class Watched(int):
    """A number that counts how often it is formatted: by itself, as it seems to be infinite."""

    written = 0

    def __abs__(self) -> int:
        return 10**400

    def __repr__(self) -> str:
        self.written += 1
        return super().__repr__()


def test_only_slices_with_new_rows_are_rendered_again() -> None:
    renderer = Renderer()
    plays, other = Watched(20), Watched(30)
    same = published({"a": PlayRow("a", plays=plays)})
    renderer.render(publication(same, published({"a": PlayRow("a", plays=other)}, days_ago=2)))
    assert (plays.written, other.written) == (1, 1)

    later = replace(same, rows={"a": PlayRow("a", plays=plays)}, updated_at=5.0, settled=True)
    changed = published({"a": PlayRow("a", plays=other), "b": None}, days_ago=2)
    rendered = renderer.render(publication(later, changed))
    assert (plays.written, other.written) == (1, 2)
    assert rendered.plain == Renderer().render(publication(later, changed)).plain


def test_only_settled_days_with_new_rows_are_rendered_again() -> None:
    renderer = Renderer()
    plays, other = Watched(20), Watched(30)
    web = Dimensions(terminal_type="Web")
    first = settled_day({"a": (plays, 10)}), settled_day({"a": (other, None)}, dimensions=web)
    renderer.render(publication(settled_days=first))
    assert (plays.written, other.written) == (1, 1)

    later = publication(settled_days=(replace(first[0]), settled_day({"b": (other, 1)}, dimensions=web)))
    rendered = renderer.render(later)
    assert (plays.written, other.written) == (1, 2)
    assert rendered.plain == Renderer().render(later).plain


def test_a_settled_day_has_no_days_ago_and_no_series_of_what_is_not_known() -> None:
    ios = Dimensions(os="iOS")
    days = settled_day({"a": (7, None), "b": (0, 1.5)}), settled_day({"b": (1, 2)}, days_ago=2, dimensions=ios)
    labels = 'terminal_type="all",os="{}",region="all"}}'.format
    assert samples(Renderer().render(publication(settled_days=days))) == [
        f'aliyun_vod_media_settled_plays{{account="main",media_id="a",{labels("all")} 7',
        f'aliyun_vod_media_settled_plays{{account="main",media_id="b",{labels("all")} 0',
        f'aliyun_vod_media_settled_plays{{account="main",media_id="b",{labels("iOS")} 1',
        f'aliyun_vod_media_settled_plays_expected{{account="main",media_id="b",{labels("all")} 1.5',
        f'aliyun_vod_media_settled_plays_expected{{account="main",media_id="b",{labels("iOS")} 2',
        f'aliyun_vod_slice_settled_date_timestamp_seconds{{account="main",{labels("all")} 1711036800.0',
        f'aliyun_vod_slice_settled_date_timestamp_seconds{{account="main",{labels("iOS")} 1710950400.0',
    ]


def test_a_slice_with_another_days_ago_is_rendered_again() -> None:
    renderer = Renderer()
    today = published({"a": ROW}, days_ago=0)
    renderer.render(publication(today))
    tomorrow = publication(replace(today, days_ago=1))
    assert renderer.render(tomorrow).plain == Renderer().render(tomorrow).plain


def test_titles_are_rendered_again_when_they_change() -> None:
    renderer = Renderer()
    duration = Watched(246)
    media = PublishedMedia("main", MEDIA, "old", duration)
    renderer.render(publication(media=[media]))
    renderer.render(publication(media=[replace(media)]))
    assert duration.written == 1
    changed = renderer.render(publication(media=[replace(media, title="new")]))
    assert b'title="new"' in changed.plain
    assert b"old" not in changed.plain


def test_a_removed_slice_is_not_exposed() -> None:
    renderer = Renderer()
    renderer.render(example())
    assert renderer.render(publication()).plain == b""


@pytest.mark.parametrize("more", [b"", b"b 2\n"])
def test_gzip_and_plain_have_the_same_text(more: bytes) -> None:
    rendered = Renderer().render(example())
    member = b"".join(rendered.gzip_with(compress_segment(more)))
    assert gzip.decompress(member) == b"".join(rendered.plain_with(compress_segment(more))) == rendered.plain + more


def test_gzip_follows_every_change() -> None:
    renderer = Renderer()
    many = {f"{number:032x}": replace(ROW, media_id=f"{number:032x}") for number in range(900)}
    for changed in range(0, 900, 100):
        key = f"{changed:032x}"
        many = {**many, key: replace(many[key], plays=changed + 7)}
        published_media = publication(*(published(rows=many if ago else {}, days_ago=ago) for ago in range(3)))
        member = b"".join(renderer.render(published_media).gzip_with(compress_segment(b"")))
        assert gzip.decompress(member) == Renderer().render(published_media).plain


def test_the_repr_of_a_rendered_publication_is_short() -> None:
    assert len(repr(Renderer().render(example()))) < 200


def test_a_slice_of_many_segments_is_complete_and_in_order() -> None:
    many = {f"{number * 7919 % 9000:04}": PlayRow("", plays=number) for number in range(9_000)}
    lines = samples(Renderer().render(publication(published(many))))
    published_media = [line.split('"')[3] for line in lines if line.startswith("aliyun_vod_media_plays{")]
    assert published_media == sorted(many)


def test_media_of_many_segments_are_complete_and_in_order_and_only_changed_ones_are_rendered_again() -> None:
    renderer = Renderer()
    first, last = Watched(60), Watched(60)
    media = [PublishedMedia("main", f"{number:05}", "t", 60) for number in range(1, 9_000)]
    media = [PublishedMedia("main", "00000", "t", first), *media, PublishedMedia("main", "99999", "t", last)]
    renderer.render(publication(media=reversed(media)))

    rendered = renderer.render(publication(media=[*media[:-1], replace(media[-1], title="new")]))

    assert [line.split('"')[3] for line in samples(rendered)] == [each.media_id for each in media] * 2
    assert (first.written, last.written) == (1, 2)
