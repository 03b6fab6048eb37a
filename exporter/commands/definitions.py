"""Every command: its description, its flags, and the module that runs it, imported only to run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.commands import flag_values, flags, simulator_flags
from exporter.core.play_dates import OLDEST_DAYS_AGO

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.commands.flags import Parser


@dataclass(frozen=True, slots=True)
class Command:
    """A command. `uses_terminal`: needs the libraries for tables and progress bars; `logs`: writes log lines."""

    name: str
    sentence: str
    add_flags: Callable[[Parser], None]
    log_level: str = "info"
    uses_terminal: bool = False
    logs: bool = True

    @property
    def module(self) -> str:
        """The module with `run(arguments, environ)`, which returns the exit status and may raise ExporterError."""
        return f"exporter.commands.{self.name.replace('-', '_')}"

    def flags(self, parser: Parser) -> None:
        """Add all flags of the command."""
        flags.log(parser, self.log_level)
        self.add_flags(parser)


def _serve(parser: Parser) -> None:
    flags.config_file(parser)
    flags.auto_reload(parser)
    flags.listen_address(parser, f":{flags.EXPORTER_PORT}")
    flags.systemd_socket(parser)
    flags.telemetry_path(parser)
    flags.external_url(parser)
    flags.web_config_file(parser)
    flags.enable_lifecycle(parser)
    flags.storage_path(parser, "SQLite file that keeps the data across restarts; empty: memory only")
    flags.shard(parser)


def _check_config(parser: Parser) -> None:
    flags.config_file(parser)
    flags.storage_path(parser, "storage file of an exporter, even a running one, for exact numbers; it is only read")
    flags.web_config_file(parser)
    parser.add_argument(
        "--syntax-only",
        action="store_true",
        help="check only the files, not whether serve would start here; for CI, which has no keys",
    )
    parser.add_argument(
        "--online",
        action="store_true",
        help="also make a few calls for each account: whether the service permits the actions that the configuration"
        " needs, and knows its media and categories",
    )
    parser.add_argument(
        "--online.timeout",
        dest="online_timeout",
        type=flag_values.interval,
        default="1m",
        metavar="DURATION",
        help="time limit of all calls of --online, at least 1s",
    )
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON schema of the configuration file, for editors"
    )


def _check_healthy(parser: Parser) -> None:
    add = parser.add_argument
    where = "base URL of the exporter: https:// if it serves TLS, with the path of its --web.route-prefix"
    add("--url", type=flag_values.base_url, default=f"http://127.0.0.1:{flags.EXPORTER_PORT}", help=where)
    add(
        "--timeout",
        type=flag_values.timeout,
        default="4",
        metavar="SECONDS",
        help="timeout of the connection, and then of the response, at most 3600",
    )
    for name, what in (
        ("ca", "CAs to trust instead of the system's (PEM)"),
        ("cert", "client certificate, if required (PEM)"),
        ("key", "key of the client certificate (PEM)"),
    ):
        add(f"--tls.{name}-file", dest=f"{name}_file", type=flag_values.file, metavar="FILE", help=what)
    add(
        "--tls.insecure-skip-verify",
        dest="insecure",
        action="store_true",
        help="accept any certificate; only for a self-signed one on loopback, where nothing secret is sent",
    )


def _fetch(parser: Parser) -> None:
    flags.config_file(parser)
    parser.add_argument("--output", choices=("table", "json", "prom"), default="table", help="output format")


def _backfill(parser: Parser) -> None:
    flags.config_file(parser)
    parser.add_argument(
        "--days",
        type=flag_values.days,
        default=OLDEST_DAYS_AGO,
        metavar="N",
        help=f"number of past days to write, 1 to {OLDEST_DAYS_AGO}: the API has no older ones",
    )
    parser.add_argument(
        "--step",
        type=flag_values.step,
        metavar="DURATION",
        help="interval between the samples of a series, 15s to 1d; without it 5m, or longer above ten million samples;"
        " above 5m, Prometheus' lookback, graphs have gaps",
    )
    parser.add_argument(
        "--query",
        dest="queries",
        action="append",
        default=[],
        metavar="NAME",
        help="only this query of the configuration; repeatable",
    )
    parser.add_argument(
        "--output",
        type=flag_values.file,
        metavar="FILE",
        help="output file, which appears when it is complete; - is standard output",
    )
    parser.add_argument(
        "--blocks",
        type=flag_values.file,
        metavar="DIRECTORY",
        help="instead of a file: blocks for Prometheus in this directory, made by promtool, which has to be installed",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output file")
    parser.add_argument(
        "--label",
        dest="labels",
        action="append",
        type=flag_values.label,
        default=[],
        metavar="NAME=VALUE",
        help="label for every series, such as job=vod, so that scraped samples continue the same series; repeatable",
    )
    flags.storage_path(
        parser,
        "storage file: settled days in it are not fetched again, and fetched days are kept in it; stop its exporter"
        " first",
    )


def _probe(parser: Parser) -> None:
    flags.config_file(parser)
    parser.add_argument(
        "--account", metavar="NAME", help="account whose key is used; may be left out if the configuration has one"
    )
    parser.add_argument(
        "--app-id", default="app-1000000", metavar="ID", help="application whose player statistics are requested"
    )
    parser.add_argument(
        "--values",
        action="store_true",
        help="also print a value of each field (titles, IDs, numbers), and the messages of errors; never secrets",
    )


def _demo(parser: Parser) -> None:
    flags.listen_address(parser, f"127.0.0.1:{flags.EXPORTER_PORT}")
    flags.telemetry_path(parser)
    simulator_flags.media(parser)


DEFINITIONS: Final = {
    command.name: command
    for command in (
        Command(
            "serve",
            "Run the exporter (the default command): poll the configured queries and serve their data to Prometheus.",
            _serve,
        ),
        Command(
            "check-config",
            "Check whether serve would start with this configuration; print slices, API calls and series per query.",
            _check_config,
            logs=False,
        ),
        Command(
            "check-healthy",
            "Check whether a running exporter is healthy, as the health check of the image does.",
            _check_healthy,
            logs=False,
        ),
        Command(
            "fetch",
            "Poll every query once, now, and print the result as a table, JSON or Prometheus text.",
            _fetch,
            log_level="warn",
            uses_terminal=True,
        ),
        Command(
            "backfill",
            "Write past days to an OpenMetrics file, from which promtool creates blocks for Prometheus.",
            _backfill,
            log_level="warn",
            uses_terminal=True,
        ),
        Command(
            "probe",
            "Request each action of the API once or a few times; print how it responds, without values, for a bug"
            " report.",
            _probe,
            log_level="warn",
        ),
        Command(
            "simulate",
            "Run only the simulated API: a made-up account behind the real protocol, for demos and tests.",
            simulator_flags.add,
        ),
        Command(
            "demo", "Run simulator and exporter on loopback with a ready configuration; print what to open.", _demo
        ),
    )
}
