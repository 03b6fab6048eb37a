"""Only the simulated API: a made-up account behind the real protocol, for demos and tests."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING, TypeVar, get_args

import structlog

from exporter.commands import flags as spelt
from exporter.commands.serve import told_to_stop
from exporter.config import durations
from exporter.core import days
from exporter.errors import FlagError
from exporter.simulator.credentials import SIMULATOR_ACCESS_KEY_ID, SIMULATOR_ACCESS_KEY_SECRET, Credentials
from exporter.simulator.faults import parse_fault
from exporter.simulator.service import Simulator
from exporter.simulator.settings import Conditions, Settings
from exporter.simulator.throttle import WaitHeader
from exporter.web.server import bound, serving, urls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
_log = structlog.get_logger()


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    spelt.listen_address(parser, f"127.0.0.1:{spelt.SIMULATOR_PORT}")
    add = parser.add_argument
    add("--seed", type=spelt.counted, default=0, help="which made-up account; the same seed gives the same numbers")
    add("--media", type=spelt.counted, default=120, metavar="N", help="how many media the account has")
    add("--collapse", type=_checked(_days_ago), metavar="DAYS_AGO", help="one media loses its plays from that day on")
    add("--fail", type=_checked(parse_fault), action="append", default=[], metavar="CODE:RATE", help="fail so often")
    add("--rate", type=float, default="0", metavar="PER_SECOND", help="throttle above so many requests; 0 is never")
    add("--wait-header", choices=get_args(WaitHeader), default="x-acs-retry-after", help="how it names the wait then")
    add(
        "--latency",
        type=_checked(durations.parse),
        default="0s",
        metavar="DURATION",
        help="wait so before every answer",
    )
    add("--access-key-id", default=SIMULATOR_ACCESS_KEY_ID, help="whom it answers")
    add("--access-key-secret", default=SIMULATOR_ACCESS_KEY_SECRET, help="what their requests are signed with")
    add("--security-token", help="the token that every request must carry")
    add("--admin", action="store_true", help="serve /_admin/, where tests change all this and read what was asked")


def run(arguments: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT. Raises FlagError and StartError."""
    try:
        settings = settings_of(arguments)
    except ValueError as error:
        raise FlagError(str(error)) from None
    asyncio.run(_serve(Simulator(settings), arguments.listen))
    return 0


def settings_of(arguments: argparse.Namespace) -> Settings:
    """What the flags say. Raises ValueError saying what is allowed."""
    return Settings(
        seed=arguments.seed,
        media=arguments.media,
        collapse_on=None if arguments.collapse is None else days.play_date(time.time(), arguments.collapse),
        admin=arguments.admin,
        conditions=Conditions(
            credentials=Credentials(
                arguments.access_key_id, arguments.access_key_secret, arguments.security_token or None
            ),
            latency=arguments.latency,
            rate=arguments.rate,
            wait_header=arguments.wait_header,
            faults=tuple(arguments.fail),
        ),
    )


async def _serve(simulator: Simulator, listen: list[str]) -> None:
    with bound(listen) as sockets:
        async with told_to_stop() as stop, serving(simulator.app, sockets, date_header=False):
            _log.info("simulating", urls=",".join(urls(sockets)), media=len(simulator.catalogue.media_ids))
            await stop.wait()
            simulator.close()


def _days_ago(text: str) -> int:
    if (number := spelt.counted(text)) > days.OLDEST_DAYS_AGO:
        raise ValueError(f"{number} is more than {days.OLDEST_DAYS_AGO} days ago")
    return number


def _checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse say what was wrong, in the words of the parser."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed
