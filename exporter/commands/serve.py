"""The daemon: polls the configured queries and serves their numbers to Prometheus (also without any command)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from exporter import app
from exporter.commands import flags as spelt
from exporter.config.loader import load

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, Mapping


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    spelt.config_file(parser)
    spelt.listen_address(parser, f":{spelt.EXPORTER_PORT}")
    spelt.telemetry_path(parser)
    spelt.storage_path(parser)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT. Raises ConfigError and StartError."""
    config = load(arguments.config_file, environ)

    async def serve() -> None:
        async with told_to_stop() as stop:
            await app.serve(
                config,
                app.Surroundings(environ),
                listen=arguments.listen,
                telemetry_path=arguments.telemetry_path,
                storage_path=arguments.storage_path,
                stop=stop,
            )

    asyncio.run(serve())
    return 0


@contextlib.asynccontextmanager
async def told_to_stop() -> AsyncGenerator[asyncio.Event]:
    """Give an event that SIGTERM and SIGINT set, in place of ending the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
