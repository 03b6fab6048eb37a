from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.gzip_segments import DeflateSegment, GzipAssembler, GzipPayload, compress_segment

PIECES = st.lists(st.binary(max_size=300), max_size=6)


def one_member(packed: GzipPayload, more: bytes = b"") -> bytes:
    """Decompress like a strict reader: stop at the end of the first member, and check its checksum and length."""
    reader = zlib.decompressobj(wbits=31)
    text = reader.decompress(b"".join(packed.gzip_with(compress_segment(more))))
    assert reader.eof
    assert reader.unused_data == b""
    return text


@pytest.mark.parametrize("pieces", [[], [b""], [b"a 1\n"], [b"0123456789 \n" * 100_000], [b"x\n"] * 1_000])
@pytest.mark.parametrize("more", [b"", b"b 2\n", b"more\n" * 50_000])
def test_the_payload_is_one_gzip_member_with_all_text(pieces: list[bytes], more: bytes) -> None:
    packed = GzipAssembler().assemble([pieces])
    for _scrape in range(2):
        assert one_member(packed, more) == b"".join(pieces) + more


@given(generations=st.lists(st.lists(PIECES, max_size=5), min_size=1, max_size=4), more=st.binary(max_size=50))
def test_after_any_change_the_next_payload_is_correct(generations: list[list[list[bytes]]], more: bytes) -> None:
    packer = GzipAssembler()
    for runs in generations:
        text = b"".join(piece for run in runs for piece in run)
        assert one_member(packer.assemble(runs), more) == text + more


def test_unchanged_segments_may_be_reordered() -> None:
    packer = GzipAssembler()
    first, second, third = ([letter * 100] for letter in (b"a", b"b", b"c"))
    packer.assemble([first, second, third])
    assert one_member(packer.assemble([third, first])) == third[0] + first[0]


def test_a_new_piece_with_the_id_of_a_freed_one_is_compressed() -> None:
    packer = GzipAssembler()
    for number in range(3_000):
        text = b"%032d" % number
        assert one_member(packer.assemble([[text]])) == text
        del text


def test_the_repr_of_a_payload_is_short() -> None:
    assert len(repr(GzipAssembler().assemble([[bytes(100_000)]]))) < 200


def test_unchanged_segments_are_neither_compressed_nor_copied_again() -> None:
    packer = GzipAssembler()
    runs = [compress_segment(b"%064d" % number * 1_000) for number in range(400)]
    pieces = [b"a 1\n", b"b 2\n"]
    before = packer.assemble([*runs, pieces])

    after = packer.assemble([*runs[:-1], compress_segment(b"another"), pieces])

    assert after.segments[:399] == before.segments[:399]
    assert after.segments[-1] is before.segments[-1]
    assert [one is two for one, two in zip(before.chunks, after.chunks, strict=True)].count(False) == 1


def test_clients_share_all_bytes_but_the_end() -> None:
    packed = GzipAssembler().assemble([[b"a 1\n" * 100_000], [b"b 2\n"]])
    first, second = packed.gzip_with(compress_segment(b"c 3\n")), packed.gzip_with(compress_segment(b"d 4\n"))
    assert all(one is two for one, two in zip(first[:-1], second[:-1], strict=True))
    assert first[-1] != second[-1]


def test_the_text_can_be_read_any_number_of_times() -> None:
    texts = GzipAssembler().assemble([[b"a 1\n"], compress_segment(b"b 2\n")]).plain_with(compress_segment(b"c 3\n"))
    assert list(texts) == list(texts) == [b"a 1\n", b"b 2\n", b"c 3\n"]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[DeflateSegment]:
    """Record the segments that are decompressed from now on."""
    unpacked: list[DeflateSegment] = []
    original = DeflateSegment.text

    def text(run: DeflateSegment) -> bytes:
        unpacked.append(run)
        return original(run)

    monkeypatch.setattr(DeflateSegment, "text", text)
    return unpacked


def test_a_hundred_concurrent_readers_decompress_each_segment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = counted(monkeypatch)
    packed = GzipAssembler().assemble([compress_segment(f"run {number}\n".encode()) for number in range(50)])

    readers = [iter(packed.plain_with(compress_segment(b"own\n"))) for _ in range(100)]
    for _ in range(50):
        assert len({id(next(reader)) for reader in readers}) == 1
    assert len(unpacked) == 50


def test_a_slow_reader_keeps_only_its_own_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = counted(monkeypatch)
    packed = GzipAssembler().assemble([compress_segment(f"run {number}\n".encode()) for number in range(50)])

    late = iter(packed.plain_with())
    assert next(late) == b"run 0\n"
    assert packed.plain.startswith(b"run 0\n")
    assert len(unpacked) == 50
    assert [next(late) for _ in range(2)] == [b"run 1\n", b"run 2\n"]
    assert len(unpacked) == 52, "segments without readers are dropped"
