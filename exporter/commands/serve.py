"""The daemon: polls the configured queries and serves their numbers to Prometheus (also without any command)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from functools import partial
from typing import TYPE_CHECKING

import structlog

from exporter import app
from exporter.commands import flags as spelt
from exporter.commands.privacy import doubts
from exporter.config.loader import load
from exporter.config.watched import WatchedFile

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, Callable, Mapping

_log = structlog.get_logger()


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    spelt.config_file(parser)
    spelt.auto_reload(parser)
    spelt.listen_address(parser, f":{spelt.EXPORTER_PORT}")
    spelt.systemd_socket(parser)
    spelt.telemetry_path(parser)
    spelt.web_config_file(parser)
    spelt.enable_lifecycle(parser)
    spelt.storage_path(parser)
    spelt.shard(parser)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads. Raises ConfigError, FlagError and StartError."""
    hangups = Hangups()
    # Before anything slow, because by default SIGHUP ends the process.
    signal.signal(signal.SIGHUP, hangups.hung_up)
    try:
        return _serve(arguments, environ, hangups)
    finally:
        # For good: at its end the interpreter gives handlers up for the default, but leaves alone what is ignored.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _serve(arguments: argparse.Namespace, environ: Mapping[str, str], hangups: Hangups) -> int:
    shard = spelt.the_shard(arguments)
    file = WatchedFile(arguments.config_file, partial(load, environ=environ))
    config = file.read()
    for doubt in doubts(arguments, config):
        _log.warning("file is not private", file=str(doubt.path), error=doubt.what, advice=doubt.advice)

    async def serve() -> None:
        async with told_to_stop() as stop:
            asked = hangups.told()
            watch = partial(file.watch, asked, arguments.auto_reload_interval) if arguments.auto_reload else None
            await app.serve(
                config,
                app.Surroundings(environ),
                listen=None if arguments.systemd_socket else arguments.listen,
                telemetry_path=arguments.telemetry_path,
                storage_path=arguments.storage_path,
                shard=shard,
                web_config=arguments.web_config_file,
                reloads=app.Reloads(file.read, asked, over_http=arguments.enable_lifecycle, watch=watch),
                stop=stop,
            )

    asyncio.run(serve())
    return 0


class Hangups:
    """Remembers a SIGHUP from the first moment on, and tells an event loop once there is one."""

    def __init__(self) -> None:
        self._came = False
        self._tell: Callable[[], object] = lambda: None

    def hung_up(self, *_: object) -> None:
        """Handle the signal."""
        self._came = True
        self._tell()

    def told(self) -> asyncio.Event:
        """Give an event of the running loop that every SIGHUP sets; set already if one came before."""
        asked, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell() -> None:
            # Whoever is late to a loop that has ended has nothing to reload.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(asked.set)

        self._tell = tell
        if self._came:
            asked.set()
        return asked


@contextlib.asynccontextmanager
async def told_to_stop() -> AsyncGenerator[asyncio.Event]:
    """Give an event that SIGTERM and SIGINT set, in place of ending the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # So many signals that they fill what wakes the loop are nothing to complain of: it is awake then.
    signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
