"""The files that a command was given → those that more people may read or change than should."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.config import loader
from exporter.web import in_force

if TYPE_CHECKING:
    import argparse

    from exporter.config.schema import Config
    from exporter.secret_files import Doubt


def doubts(arguments: argparse.Namespace, config: Config) -> tuple[Doubt, ...]:
    """Each doubt once, of `--config.file`, `--web.config.file` and all they name. Raises ConfigError."""
    web = arguments.web_config_file
    found = (*loader.doubts(arguments.config_file, config), *(in_force.doubts(web) if web else ()))
    return tuple(dict.fromkeys(found))
