"""Run the simulated API alone: generated data behind the real protocol, for demos and tests."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from exporter.commands.loop_signals import stop_on_signal
from exporter.core import play_dates
from exporter.errors import FlagError
from exporter.simulator.access_keys import Credentials
from exporter.simulator.faults import parse_fault
from exporter.simulator.options import Conditions, SimulatorOptions
from exporter.simulator.service import Simulator
from exporter.web.server import bound, serving, urls

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from exporter.simulator.faults import Fault

_log = structlog.get_logger()


def run(arguments: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT. Raises FlagError and StartError."""
    try:
        options = simulator_options(arguments)
    except ValueError as error:
        raise FlagError(str(error)) from None
    asyncio.run(_serve(Simulator(options), arguments.listen))
    return 0


def simulator_options(arguments: argparse.Namespace) -> SimulatorOptions:
    """The simulator's options from the flags. Raises ValueError that says what is allowed."""
    return SimulatorOptions(
        seed=arguments.seed,
        media=arguments.media,
        collapse_on=None if arguments.collapse is None else play_dates.play_date(time.time(), arguments.collapse),
        admin=arguments.admin,
        conditions=Conditions(
            credentials=Credentials(
                arguments.access_key_id, arguments.access_key_secret, arguments.security_token or None
            ),
            latency=arguments.latency,
            rate=arguments.rate,
            wait_header=arguments.wait_header,
            faults=_faults(arguments.fail),
        ),
    )


async def _serve(simulator: Simulator, listen: list[str]) -> None:
    with bound(listen) as sockets:
        async with stop_on_signal() as stop, serving(simulator.app, sockets, date_header=False):
            _log.info("simulating", urls=",".join(urls(sockets)), media=len(simulator.dataset.media_ids))
            await stop.wait()
            simulator.close()


def _faults(given: list[str]) -> tuple[Fault, ...]:
    try:
        return tuple(map(parse_fault, given))
    except ValueError as error:
        raise FlagError(f"--fail: {error}") from None
