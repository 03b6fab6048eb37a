"""Run the simulated API alone: generated data behind the real protocol, for demos and tests."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from exporter.commands.loop_signals import stop_on_signal
from exporter.errors import FlagError
from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.faults import parse_fault
from exporter.simulator.incidents import parse_incident
from exporter.simulator.options import Conditions, SimulatorOptions
from exporter.simulator.service import Simulator
from exporter.simulator.variants import Variants, parse_variants
from exporter.web.server import bound, serving, urls

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from exporter.simulator.faults import Fault
    from exporter.simulator.incidents import Incident

_log = structlog.get_logger()


def run(arguments: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT. Raises FlagError and StartError."""
    try:
        simulator = Simulator(_simulator_options(arguments))
    except ValueError as error:
        raise FlagError(str(error)) from None
    asyncio.run(_serve(simulator, arguments.listen))
    return 0


def _simulator_options(arguments: argparse.Namespace) -> SimulatorOptions:
    """The simulator's options from the flags. Raises ValueError that says what is allowed."""
    return SimulatorOptions(
        seed=arguments.seed,
        media=arguments.media,
        incidents=_incidents(arguments.incident, seed=arguments.seed, now=time.time()),
        admin=arguments.admin,
        conditions=Conditions(
            credentials=AccessKeyPair(
                arguments.access_key_id, arguments.access_key_secret, arguments.security_token or None
            ),
            latency=arguments.latency,
            rate=arguments.rate,
            wait_header=arguments.wait_header,
            faults=_faults(arguments.fail),
            variants=_variants(arguments.variant),
        ),
    )


async def _serve(simulator: Simulator, listen: list[str]) -> None:
    with bound(listen) as sockets:
        async with stop_on_signal() as stop, serving(simulator.app, sockets, date_header=False):
            _log.info("simulating", urls=",".join(urls(sockets)), media=len(simulator.dataset.media_ids))
            for incident in simulator.incidents:
                _log.info("incident", **{name: value for name, value in asdict(incident).items() if value is not None})
            await stop.wait()
            simulator.close()


def _incidents(given: list[str], *, seed: int, now: float) -> tuple[Incident, ...]:
    try:
        return tuple(parse_incident(text, seed=seed, now=now) for text in given)
    except ValueError as error:
        raise FlagError(f"--incident: {error}") from None


def _faults(given: list[str]) -> tuple[Fault, ...]:
    try:
        return tuple(map(parse_fault, given))
    except ValueError as error:
        raise FlagError(f"--fail: {error}") from None


def _variants(given: list[str]) -> Variants:
    try:
        return parse_variants(given)
    except ValueError as error:
        raise FlagError(f"--variant: {error}") from None
