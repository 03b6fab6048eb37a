"""Inputs similar to the seeds: a fixed number, the same ones every time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.campaigns.fuzz.target import Target

_MOST_CHANGES: Final = 4
_ODD_BYTES: Final = b"\x00\x1b\n\r\t \"'\\{}[]:,;%$&*!|>-#=0919\x7f\x80\xc3\xed\xf0\xff"


def mutations(target: Target, count: int, seed: int = 1) -> Iterator[bytes]:
    """`count` inputs, each made of a seed by up to four changes."""
    chance = random.Random(f"{target.name} {seed}")  # noqa: S311  # repeatable is what is wanted
    corpus = target.corpus()
    for _ in range(count):
        fuzz_input = bytearray(chance.choice(corpus))
        for _ in range(chance.randint(1, _MOST_CHANGES)):
            _change(fuzz_input, target, corpus, chance)
        yield bytes(fuzz_input[: target.longest])


def _change(fuzz_input: bytearray, target: Target, corpus: list[bytes], chance: random.Random) -> None:
    """Change the input in place: insert a word; drop, repeat, swap or overwrite a part; or splice in another seed."""
    begin, end = sorted(chance.randrange(len(fuzz_input) + 1) for _ in range(2))
    match chance.randrange(6):
        case 0:
            fuzz_input[begin:begin] = chance.choice(target.words)
        case 1:
            fuzz_input[begin:end] = chance.choice(target.words)
        case 2:
            del fuzz_input[begin : min(end, begin + chance.randrange(40))]
        case 3:
            fuzz_input[end:end] = fuzz_input[begin:end]
        case 4:
            fuzz_input[begin : begin + 1] = bytes([chance.choice(_ODD_BYTES)])
        case _:
            other = chance.choice(corpus)
            where = chance.randrange(len(other) + 1)
            fuzz_input[begin:end] = other[where : where + chance.randrange(1, 60)]
