"""Imports libraries without the parts, and without the environment variables, that the exporter does not use."""

from __future__ import annotations

import contextlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Generator

# Optional dependencies that libraries work without: tracebacks in colour and the command line of httpx (75 modules),
# greenlets (structlog), and PyYAML's parser in C, which `documents/yaml_reader.py` does not use.
ABSENT: Final = ("rich", "pygments", "httpx._main", "greenlet", "yaml._yaml")
# What libraries always import and use only on request: the command line of uvicorn (click), its types and its
# configuration of logging; pools of threads or processes and the machine's time zone (APScheduler); descriptions of
# types (msgspec).
UNUSED: Final = (
    *("uvicorn.main", "uvicorn._types", "logging.config", "configparser"),
    *("apscheduler.executors.pool", "tzlocal"),
    *("msgspec.inspect", "msgspec._json_schema"),
)
# Environment variables that keep pydantic from looking for plugins in every installed package; one would see secrets.
_WITHOUT_PLUGINS: Final = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}

# Environment variables with which prometheus_client keeps values in files that other programs add up. This process is
# one, and would begin with the values of an earlier one.
_MULTIPROCESS: Final = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")


def adjust_environment() -> None:
    """Set and remove the environment variables that libraries read when they are imported."""
    os.environ |= _WITHOUT_PLUGINS
    for variable in _MULTIPROCESS:
        os.environ.pop(variable, None)


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
