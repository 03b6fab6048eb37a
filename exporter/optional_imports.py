"""Imports libraries without their optional dependencies."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Generator

# 75 modules for tracebacks in colour and the command lines of httpx and uvicorn (click): a daemon needs none of these.
TERMINAL_LIBRARIES: Final = ("rich", "pygments", "httpx._main")
COMMAND_LINES: Final = ("uvicorn.main",)


@contextlib.contextmanager
def without(*names: str, emptied: tuple[str, ...] = ()) -> Generator[None]:
    """Within the block, importing these modules fails as if they were not installed, unless they are already loaded.

    Modules in `emptied` can be imported, for libraries that require them, but all their attributes are None.
    """
    # Importing a module whose entry in sys.modules is None raises ModuleNotFoundError (the language reference).
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
