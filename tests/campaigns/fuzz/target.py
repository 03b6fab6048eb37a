"""A fuzz target: a name, seeds, and a function to try any bytes; independent of the fuzzer."""

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
    """One input of the program.

    * `about`: the meaning of the bytes.
    * `seeds`: files with valid and invalid examples, as glob patterns by folder.
    * `opened`: a context that yields the function to try one input; it owns files, event loops and the like.
    * `words`: tokens of the input format, for mutations that are unlikely byte by byte.
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
