from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from exporter.core.model import SliceData
from exporter.storage import blocks, codec
from tests.storage.examples import TODAY, any_slice, by_slice, some

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = some(rows=2)
KEY = codec.key(DATA.slice)


def decoded(data: SliceData) -> SliceData:
    given_ = codec.header_of(data)
    text, sealed = codec.encode_header(given_)
    decoded_header = codec.decode_header(codec.key(data.slice), sealed, text)
    parts = {number: (part.seal, part.packed()) for number, part in enumerate(codec.encode_blocks(given_))}
    return codec.Reader().slice(decoded_header, parts)


@given(any_slice)
def test_a_slice_round_trips_with_its_types(data: SliceData) -> None:
    assert decoded(data) == data
    assert by_slice([decoded(data)]) == by_slice([data])


@given(any_slice)
def test_blocks_do_not_depend_on_the_order_of_records(data: SliceData) -> None:
    turned = replace(data, records=dict(reversed(list(data.records.items()))))

    assert list(codec.encode_blocks(codec.header_of(turned))) == list(codec.encode_blocks(codec.header_of(data)))


def test_a_later_poll_with_the_same_numbers_gives_the_same_blocks() -> None:
    first, later = (codec.header_of(some(rows=2_000, at=at)) for at in (1.0, 2.0))

    assert list(codec.encode_blocks(first)) == list(codec.encode_blocks(later))
    assert codec.encode_header(first) != codec.encode_header(later)


def test_a_new_media_changes_one_block() -> None:
    few, more = (list(codec.encode_blocks(codec.header_of(some(rows=rows)))) for rows in (3_000, 3_001))

    assert len(few) == len(more) == 8
    assert sum(one != other for one, other in zip(few, more, strict=True)) == 1


def test_lone_surrogates_round_trip() -> None:
    assert decoded(SliceData(DATA.slice, {"\ud800": DATA.records["none"]})).records.keys() == {"\ud800"}


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda decoded_header: decoded_header.pop(name)


def with_(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda decoded_header: decoded_header.update({name: value})


@pytest.mark.parametrize(
    "forge",
    [
        *map(without, ["heard", "swept", "rankings", "total", "ready", "parts"]),
        with_("heard", [[1.0, 0]]),
        with_("heard", [["1", 0, False]]),
        with_("heard", [[float("nan"), 0, False]]),
        with_("heard", [[1.0, -1, False]]),
        with_("heard", [[1.0, True, False]]),
        with_("heard", [[1.0, 0, 1]]),
        with_("heard", 5),
        with_("heard", []),
        with_("swept", 1),
        with_("swept", -1),
        with_("rankings", {"fame": [1, 0, []]}),
        with_("rankings", {"plays": [1, 0, [5]]}),
        with_("rankings", {"plays": [1, 0]}),
        with_("rankings", []),
        with_("total", 1.5),
        with_("total", -1),
        with_("total_at", None),
        with_("updated_at", "now"),
        with_("asked_at", 10**400),
        with_("ready", "yes"),
    ],
)
def test_a_header_with_invalid_values_is_corrupt_despite_its_seal(forge: Callable[[dict[str, Any]], object]) -> None:
    decoded_header = json.loads(codec.encode_header(codec.header_of(DATA))[0])
    forge(decoded_header)
    text = json.dumps(decoded_header)

    with pytest.raises(blocks.CorruptStorage, match="invalid values"):
        codec.decode_header(KEY, blocks.seal(KEY, None, text.encode()), text)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", "[" * 100_000])
def test_a_header_that_is_no_object_is_corrupt(text: str) -> None:
    with pytest.raises(blocks.CorruptStorage):
        codec.decode_header(KEY, blocks.seal(KEY, None, text.encode()), text)


@pytest.mark.parametrize(
    "forge",
    [
        *map(without, ["rows", "zeros", "title", "rows_heard"]),
        with_("rows", ["a"]),
        with_("rows", ["a", 5]),
        with_("rows", "ab"),
        with_("rows_heard", [0]),
        with_("rows_heard", [0, 7]),
        with_("rows_heard", [0, -1]),
        with_("rows_heard", [0, True]),
        with_("zeros_heard", []),
        with_("zeros", [None]),
        with_("title", ["a", 5]),
        with_("plays", [1, "2"]),
        with_("plays", [1, True]),
        with_("plays", [1, float("inf")]),
        with_("plays", [1, float("nan")]),
        with_("plays", [1]),
        with_("plays", None),
    ],
)
def test_a_block_with_invalid_values_is_corrupt_despite_its_seal(forge: Callable[[dict[str, Any]], object]) -> None:
    given_ = codec.header_of(DATA)
    decoded_header = json.loads(next(codec.encode_blocks(given_)).content)
    forge(decoded_header)
    payload = json.dumps(decoded_header).encode()

    with pytest.raises(blocks.CorruptStorage, match="invalid values"):
        codec.Reader().slice(given_, {0: (blocks.seal(KEY, 0, payload), zlib.compress(payload))})


def test_a_number_beyond_the_range_of_floats_is_corrupt() -> None:
    given_ = codec.header_of(DATA)
    payload = next(codec.encode_blocks(given_)).content.replace(b'"plays":[1,1]', b'"plays":[1,1e999]')

    with pytest.raises(blocks.CorruptStorage, match="invalid values"):
        codec.Reader().slice(given_, {0: (blocks.seal(KEY, 0, payload), zlib.compress(payload))})


@pytest.mark.parametrize("columns", [("main",), (None, None, None, None, "2024-03-23"), (*KEY[:4], "20240323")])
def test_a_slice_without_its_columns_is_corrupt(columns: tuple[object, ...]) -> None:
    text, sealed = codec.encode_header(codec.header_of(DATA))

    with pytest.raises(blocks.CorruptStorage, match="no account, filters and play date"):
        codec.decode_header(columns, sealed, text)


def test_a_count_of_calls_round_trips() -> None:
    assert codec.decode_calls(*codec.encode_calls("main", TODAY, 5)) == ("main", TODAY, 5)
