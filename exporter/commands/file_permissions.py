"""Warn about files of a command line that too many users may read or change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.config import loader

if TYPE_CHECKING:
    import argparse

    from exporter.config.schema import Config
    from exporter.secret_files import PermissionWarning


def permission_warnings(arguments: argparse.Namespace, config: Config) -> tuple[PermissionWarning, ...]:
    """Warnings, without repetitions, about both configuration files and the files they name. Raises ConfigError."""
    found = [*loader.permission_warnings(arguments.config_file, config)]
    if arguments.web_config_file:
        from exporter.web.access import live_config  # noqa: PLC0415 - imported only with --web.config.file

        found += live_config.permission_warnings(arguments.web_config_file)
    return tuple(dict.fromkeys(found))
