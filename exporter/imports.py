"""Imports libraries without what they would like to have, and can do without."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import ModuleType


@contextlib.contextmanager
def without(*names: str) -> Generator[None]:
    """Inside the block these modules are not installed, as far as an import can tell, unless they are loaded already.

    structlog and httpx load rich and pygments only because they are there: 75 modules for tracebacks in colour and a
    command line of httpx, neither of which a daemon has.
    """
    hidden = [name for name in names if name not in sys.modules]
    # An import of what is None in sys.modules raises ModuleNotFoundError; that is the language's own rule.
    sys.modules.update(dict.fromkeys(hidden, cast("ModuleType", None)))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
