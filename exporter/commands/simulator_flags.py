"""The flags of `simulate`: the simulated account, its incidents, its faults and its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from exporter.commands import flag_values, flags
from exporter.simulator.access_keys import SIMULATOR_ACCESS_KEY_ID, SIMULATOR_ACCESS_KEY_SECRET
from exporter.simulator.throttle import WaitHeader

if TYPE_CHECKING:
    from exporter.commands.flags import Parser


def add(parser: Parser) -> None:
    """Add the flags."""
    flags.listen_address(parser, f"127.0.0.1:{flags.SIMULATOR_PORT}")
    argument = parser.add_argument
    argument(
        "--seed",
        type=flag_values.non_negative_int,
        default=0,
        help="seed of the simulated data; the same seed gives the same data",
    )
    media(parser)
    argument(
        "--incident",
        action="append",
        default=[],
        metavar="KIND@DAYS_AGO",
        help="plays that are lost since that day: os:Android@1, terminal:Web@1, region:cn-beijing@1, account@1,"
        " media@1, removal@1, collapse@1, player@0T12:00; a wrong one lists all forms; repeatable",
    )
    argument(
        "--collapse",
        dest="incident",
        action="append",
        type=flag_values.collapse,
        metavar="DAYS_AGO",
        help="the incident collapse since that day: the most played video has lost nearly all plays in the app",
    )
    argument(
        "--fail",
        action="append",
        default=[],
        metavar="[ACTION/]CODE:RATE",
        help="share of requests, of all actions or one, that fail with an error code, 0 to 1; an unknown code lists"
        " all; repeatable",
    )
    argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="what the service does where its documentation is silent, such as tags:substring; a wrong one lists all;"
        " repeatable",
    )
    argument(
        "--rate",
        type=flag_values.rate,
        default="0",
        metavar="PER_SECOND",
        help="throttle above this request rate; 0: never",
    )
    argument(
        "--wait-header",
        choices=get_args(WaitHeader),
        default="x-acs-retry-after",
        help="response header that names the wait when throttled",
    )
    argument(
        "--latency",
        type=flag_values.duration,
        default="0s",
        metavar="DURATION",
        help="delay before each response",
    )
    argument("--access-key-id", default=SIMULATOR_ACCESS_KEY_ID, help="accepted AccessKey ID")
    argument(
        "--access-key-secret",
        default=SIMULATOR_ACCESS_KEY_SECRET,
        help="AccessKey secret that requests must be signed with",
    )
    argument("--security-token", help="security token that requests must carry")
    argument(
        "--admin",
        action="store_true",
        help="serve /_admin/ (no password), where tests change these conditions and read the requests",
    )


def media(parser: Parser) -> None:
    """Add `--media`, which `demo` has too."""
    parser.add_argument(
        "--media",
        type=flag_values.media_number,
        default=120,
        metavar="N",
        help=f"number of media in the simulated account, at most {flag_values.MOST_MEDIA}",
    )
