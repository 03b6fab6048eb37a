"""What is fuzzed: a name, the seeds it begins with, and a way to be tried with any bytes; knows no fuzzer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

SEEDS: Final = Path(__file__).parent / "seeds"

Try = Callable[[bytes], None]
"""Raises for whatever must not happen, AssertionError or any other; input that is refused as it should be is fine."""


@dataclass(frozen=True, slots=True)
class Target:
    """One way in from outside.

    * `about`: what the bytes are.
    * `seeds`: where files with good and bad examples are, as glob patterns by folder.
    * `opened`: a context with what tries one input; a file, an event loop or the like is held while it is entered.
    * `words`: what inputs are made of, for mutations that would be unlikely letter by letter.
    * `longest`: bytes of an input.
    """

    name: str
    about: str
    seeds: Iterable[tuple[Path, str]]
    opened: Callable[[], AbstractContextManager[Try]] = field(repr=False)
    words: tuple[bytes, ...] = ()
    longest: int = 4096

    def corpus(self) -> list[bytes]:
        """Every seed, in the order of their names."""
        paths = sorted(path for folder, pattern in self.seeds for path in folder.glob(pattern))
        return [path.read_bytes() for path in paths]
