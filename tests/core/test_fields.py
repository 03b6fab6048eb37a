"""Every field of a row is handled everywhere: a module that lacks one fails here."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from datetime import date
from typing import Any, Final

import pytest

from exporter.core.fields import (
    FIELDS,
    MEDIA_NUMBERS,
    NUMBERS,
    PLAY_NUMBERS,
    TEXTS,
    Field,
    preferred_row,
    same_number,
    same_row,
    zero_row,
)
from exporter.core.model import (
    ByIds,
    Dimensions,
    Freshness,
    Measure,
    MediaRecord,
    PlayRow,
    Query,
    Slice,
    SliceData,
    Snapshot,
)
from exporter.core.play_dates import start
from exporter.core.publication import Publication, PublicationRules
from exporter.core.publication_builder import publish
from exporter.exposition import catalog
from exporter.exposition.negotiation import respond
from exporter.exposition.render import Renderer
from exporter.storage import codec
from exporter.vod.play_data import ORDER_NAMES
from tests.exposition.examples import new_telemetry, read_text, series
from tests.vod.pages import decode

TODAY: Final = date(2024, 3, 24)
YESTERDAY: Final = Slice("main", Dimensions(), date(2024, 3, 23))
NOON: Final = start(TODAY) + 12 * 3600.0
# All values differ, so that mixed-up fields are detected.
ROW: Final = PlayRow("m1", "Title", **{field.attribute: 10 + place for place, field in enumerate(NUMBERS)})

every_field: Final = pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.attribute)
every_number: Final = pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.attribute)


def with_field(field: Field, value: Any) -> PlayRow:
    return replace(ROW, **{field.attribute: value})


def changed(field: Field) -> PlayRow:
    return with_field(field, "other" if field in TEXTS else 1000)


def body(*rows: PlayRow) -> bytes:
    """A response with these rows; a field that is None is left out."""
    listed = [
        {field.wire_name: value for field in FIELDS if (value := getattr(row, field.attribute)) is not None}
        for row in rows
    ]
    return json.dumps({"RequestId": "r", "TotalCount": len(rows), "QoeInfoList": listed}).encode()


def published(row: PlayRow | None) -> Publication:
    query = Query("q", "main", 900.0, ByIds(frozenset({"m1"})), (Dimensions(),), (1,))
    data = SliceData(YESTERDAY, {"m1": MediaRecord(row, Freshness(NOON))}, updated_at=NOON)
    rules = PublicationRules((query,), stale_after=3600.0, series_limit=100)
    return publish(Snapshot({YESTERDAY: data}), rules, NOON)


def media_series(publication: Publication) -> dict[Any, float]:
    exposed = series(read_text(respond(Renderer().render(publication), new_telemetry()).body))
    return {key: value for key, value in exposed.items() if key[0].startswith("aliyun_vod_media_")}


def test_the_table_has_the_fields_of_a_row_in_their_order() -> None:
    assert [field.attribute for field in FIELDS] == [field.name for field in dataclasses.fields(PlayRow)]


def test_the_api_sorts_by_the_fields_that_have_a_measure() -> None:
    sortable = {field.attribute: field.wire_name for field in FIELDS if field.sortable}
    assert {measure.value: name for measure, name in ORDER_NAMES.items()} == sortable
    assert sortable.keys() == set(Measure)


@every_field
def test_both_decoders_read_the_field(field: Field) -> None:
    row = changed(field)
    # With a requested media ID the decoder uses its slow path.
    assert decode(body(row)).rows == decode(body(row), media_id=row.media_id).rows == (row,)


@every_number
def test_both_decoders_read_a_missing_field_as_none(field: Field) -> None:
    row = with_field(field, None)
    assert decode(body(row)).rows == decode(body(row), media_id="m1").rows == (row,)


@every_number
def test_a_missing_field_is_a_problem_only_where_every_row_has_it(field: Field) -> None:
    problems = decode(body(with_field(field, None))).problems
    assert [each.field for each in problems] == ([field.wire_name] if field.zero_when_unplayed else [])


@every_field
def test_a_changed_field_of_plays_is_a_changed_row(field: Field) -> None:
    assert same_row(ROW, changed(field)) is (field not in PLAY_NUMBERS)
    assert same_row(changed(field), ROW) is (field not in PLAY_NUMBERS)


@every_number
def test_of_two_rows_the_larger_value_counts(field: Field) -> None:
    larger = changed(field)
    assert preferred_row(ROW, larger) == preferred_row(larger, ROW) == larger


@every_field
def test_storage_keeps_the_field(field: Field) -> None:
    row = changed(field)
    header = codec.header_of(SliceData(YESTERDAY, {row.media_id: MediaRecord(row, Freshness(NOON))}))
    blocks = {number: (block.seal, block.packed()) for number, block in enumerate(codec.encode_blocks(header))}
    assert codec.Reader().slice(header, blocks).records[row.media_id].row == row


@every_number
def test_the_field_is_one_series_which_is_counted(field: Field) -> None:
    whole, without = published(ROW), published(with_field(field, None))
    assert len(media_series(whole)) == whole.series
    assert len(media_series(without)) == without.series == whole.series - 1


@every_number
def test_the_value_of_the_field_is_that_of_its_metric(field: Field) -> None:
    before, after = media_series(published(ROW)), media_series(published(changed(field)))
    (metric,) = (name for (name, _), value in after.items() - before.items() if value == 1000)
    assert metric.endswith("_seconds") is field.seconds
    described = {each.name: each.help for each in catalog.PLAY_METRICS}
    assert f"({field.wire_name})" in described[metric]


@every_number
def test_a_video_without_plays_has_zeros_where_zero_is_a_fact(field: Field) -> None:
    assert getattr(zero_row("m1"), field.attribute) == (0 if field.zero_when_unplayed else None)


def test_the_zeros_of_a_video_are_those_of_that_video() -> None:
    assert (zero_row("m1").media_id, zero_row("m1").title) == ("m1", None)


def test_the_series_of_a_video_without_plays_are_counted() -> None:
    exposed, zeros = published(None), [field for field in NUMBERS if field.zero_when_unplayed]
    assert len(media_series(exposed)) == exposed.series == len(zeros)
    assert set(media_series(exposed).values()) == {0}


def test_each_field_of_plays_has_one_metric() -> None:
    assert catalog.PLAY_BY_FIELD.keys() == {field.attribute for field in PLAY_NUMBERS}
    assert set(MEDIA_NUMBERS).isdisjoint(PLAY_NUMBERS)


PLAYED = PlayRow("m1", "title", plays=10, viewers=5, play_duration=100.5, plays_per_viewer=2, media_duration=60)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (10, 10, True),
        (10, 11, False),
        (10, 10.01, True),  # one of them is a fraction
        (0.5, 0.51, True),
        (0.5, 0.52, False),
        (10**10, 10**10 + 1, False),  # counts are exact, however large
        (1e9 + 0.5, 1e9 + 1.25, True),  # a float has no more digits for it
        (1e9 + 0.5, 1e9 + 1.75, False),
        (None, None, True),
        (None, 0, False),
        (0.5, None, False),
    ],
)
def test_fractions_may_differ_in_the_last_decimal(one: float | None, other: float | None, *, same: bool) -> None:
    assert same_number(one, other) is same
    assert same_number(other, one) is same


def test_a_row_equals_no_missing_row() -> None:
    assert same_row(None, None)
    assert not same_row(PLAYED, None)
    assert not same_row(None, PLAYED)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"plays": None}, {"plays": 0}),
        ({"plays": None, "viewers": 5}, {"plays": 1, "viewers": 1}),
        ({"media_duration": None}, {"media_duration": 0.5}),
        ({"title": None}, {"title": "A"}),
        ({"title": "A"}, {"title": "B"}),
    ],
)
def test_of_two_rows_the_one_with_more_is_preferred_in_any_order(
    less: dict[str, object], more: dict[str, object]
) -> None:
    fewer, preferred = (replace(PLAYED, **fields) for fields in (less, more))  # type: ignore[arg-type]

    assert preferred_row(fewer, preferred) is preferred
    assert preferred_row(preferred, fewer) is preferred
