from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.packing import Packer

PIECES = st.lists(st.binary(max_size=300), max_size=6)


def one_member(packed: bytes) -> bytes:
    """What a strict reader finds, who stops at the end of the first member and checks its sum and length."""
    reader = zlib.decompressobj(wbits=31)
    text = reader.decompress(packed)
    assert reader.eof
    assert reader.unused_data == b""
    return text


@pytest.mark.parametrize("pieces", [[], [b""], [b"a 1\n"], [b"0123456789 \n" * 100_000], [b"x\n"] * 1_000])
@pytest.mark.parametrize("more", [b"", b"b 2\n", b"more\n" * 50_000])
def test_it_is_one_member_with_everything_in_it(pieces: list[bytes], more: bytes) -> None:
    packed = Packer().pack([pieces])
    for _scrape in range(2):
        assert one_member(packed.followed_by(more)) == b"".join(pieces) + more


@given(generations=st.lists(st.lists(PIECES, max_size=5), min_size=1, max_size=4), more=st.binary(max_size=50))
def test_whatever_changes_between_two_scrapes_the_second_is_right(
    generations: list[list[list[bytes]]], more: bytes
) -> None:
    packer = Packer()
    for runs in generations:
        text = b"".join(piece for run in runs for piece in run)
        assert gzip.decompress(packer.pack(runs).followed_by(more)) == text + more


def test_runs_that_stay_may_change_places() -> None:
    packer = Packer()
    first, second, third = ([letter * 100] for letter in (b"a", b"b", b"c"))
    packer.pack([first, second, third])
    assert one_member(packer.pack([third, first]).followed_by(b"")) == third[0] + first[0]


def test_a_new_piece_at_the_address_of_one_that_is_gone_is_not_taken_for_it() -> None:
    packer = Packer()
    for number in range(3_000):
        text = b"%032d" % number
        assert one_member(packer.pack([[text]]).followed_by(b"")) == text
        del text


def test_what_is_packed_does_not_fill_a_log() -> None:
    assert len(repr(Packer().pack([[bytes(100_000)]]))) < 200
