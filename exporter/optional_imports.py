"""Imports libraries without what they would like to have, and can do without."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Generator

# 75 modules for tracebacks in colour and the command lines of httpx and uvicorn (click): a daemon has none of these.
TERMINAL_LIBRARIES: Final = ("rich", "pygments", "httpx._main")
COMMAND_LINES: Final = ("uvicorn.main",)


@contextlib.contextmanager
def without(*names: str, emptied: tuple[str, ...] = ()) -> Generator[None]:
    """Inside the block these modules are not installed, as far as an import can tell, unless they are loaded already.

    Those in `emptied` can be imported, for a library that insists, but all that they hold is None.
    """
    # An import of what is None in sys.modules raises ModuleNotFoundError; that is the language's own rule.
    hidden = dict.fromkeys(names, cast("ModuleType", None)) | {name: _Empty(name) for name in emptied}
    hidden = {name: module for name, module in hidden.items() if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


class _Empty(ModuleType):
    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
