"""Run the daemon: poll the configured queries and serve the metrics to Prometheus."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from exporter import app
from exporter.commands.flags import parse_prefix
from exporter.commands.loop_signals import reload_on_hangup, stop_on_signal
from exporter.commands.setting_warnings import permission_warnings
from exporter.config.loader import WatchedFile
from exporter.core.sharding import Shard
from exporter.errors import FlagError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

MOST_SHARDS: Final = 1000
_log = structlog.get_logger()


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads. Raises ConfigError, FlagError and StartError."""
    shard = _shard(arguments.shard, arguments.total_shards)
    file = WatchedFile(arguments.config_file, environ)
    config = file.read()
    for warning in permission_warnings(arguments, config):
        _log.warning("file is not private", file=str(warning.path), error=warning.what, advice=warning.advice)

    async def serve() -> None:
        async with stop_on_signal() as stop:
            with reload_on_hangup() as hangup:
                watch = partial(file.watch, hangup, arguments.auto_reload_interval) if arguments.auto_reload else None
                await app.serve(
                    config,
                    app.Runtime(environ),
                    listen=None if arguments.systemd_socket else arguments.listen,
                    telemetry_path=arguments.telemetry_path,
                    prefix=parse_prefix(arguments),
                    storage_path=arguments.storage_path,
                    shard=shard,
                    web_config=arguments.web_config_file,
                    reloads=app.ReloadOptions(file.read, hangup, via_http=arguments.enable_lifecycle, watch=watch),
                    stop=stop,
                )

    asyncio.run(serve())
    return 0


def _shard(number: int, total: int) -> Shard:
    """The shard that `--shard` and `--total-shards` select. Raises FlagError."""
    if not 1 <= total <= MOST_SHARDS:
        raise FlagError(f"--total-shards={total}: must be 1 to {MOST_SHARDS}")
    if number >= total:
        raise FlagError(
            f"--shard={number}: shards are counted from 0, with --total-shards={total} from 0 to {total - 1}"
        )
    return Shard(number, total)
