"""Flags that several commands have, spelt once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from exporter.config import durations
from exporter.core.shard import Shard
from exporter.errors import FlagError
from exporter.web.server import parse_address

EXPORTER_PORT: Final = 9985
SIMULATOR_PORT: Final = 9986
MOST_SHARDS: Final = 1000


def config_file(parser: argparse.ArgumentParser) -> None:
    """Add `--config.file`."""
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="configuration (YAML)",
    )


def listen_address(parser: argparse.ArgumentParser, default: str, flag: str = "--web.listen-address") -> None:
    """Add `--web.listen-address`; given several times, it listens on each."""
    parser.add_argument(
        flag,
        dest="listen",
        action=_Each,
        type=_address,
        default=[default],
        metavar="HOST:PORT",
        help="where to listen, as in :9985, 127.0.0.1:0 (a free port, logged) or [::1]:9985; repeatable",
    )


def systemd_socket(parser: argparse.ArgumentParser) -> None:
    """Add `--web.systemd-socket`."""
    parser.add_argument(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="listen on the sockets that systemd passes (a .socket unit), and not on --web.listen-address",
    )


def auto_reload(parser: argparse.ArgumentParser) -> None:
    """Add `--config.enable-auto-reload` and `--config.auto-reload-interval`."""
    parser.add_argument(
        "--config.enable-auto-reload",
        dest="auto_reload",
        action="store_true",
        help="read the configuration again whenever its file holds something else",
    )
    parser.add_argument(
        "--config.auto-reload-interval",
        dest="auto_reload_interval",
        type=_interval,
        default="30s",
        metavar="DURATION",
        help="how often to look at the file then, from 1s",
    )


def storage_path(parser: argparse.ArgumentParser) -> None:
    """Add `--storage.path`; None for an empty one."""
    parser.add_argument(
        "--storage.path",
        dest="storage_path",
        type=lambda text: Path(text) if text else None,
        default=None,
        metavar="FILE",
        help="SQLite file that keeps what is known over a restart; empty: memory only",
    )


def telemetry_path(parser: argparse.ArgumentParser) -> None:
    """Add `--web.telemetry-path`."""
    parser.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=_path,
        default="/metrics",
        metavar="PATH",
        help="where the metrics are",
    )


def web_config_file(parser: argparse.ArgumentParser) -> None:
    """Add `--web.config.file`; None for an empty one."""
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=lambda text: Path(text) if text else None,
        default=None,
        metavar="FILE",
        help="TLS, passwords and more for the web server, in the exporter-toolkit's format (YAML); empty: plain HTTP",
    )


def enable_lifecycle(parser: argparse.ArgumentParser) -> None:
    """Add `--web.enable-lifecycle`."""
    parser.add_argument(
        "--web.enable-lifecycle",
        dest="enable_lifecycle",
        action="store_true",
        help="allow POST /-/reload, which reads the configuration again",
    )


def shard(parser: argparse.ArgumentParser) -> None:
    """Add `--shard` and `--total-shards`; `the_shard` makes one of them."""
    parser.add_argument(
        "--shard", type=counted, default=0, metavar="N", help="which of several replicas this is, counted from 0"
    )
    parser.add_argument(
        "--total-shards", type=counted, default=1, metavar="N", help="how many replicas divide the polling, 1 to 1000"
    )


def the_shard(arguments: argparse.Namespace) -> Shard:
    """What `--shard` and `--total-shards` say together. Raises FlagError."""
    number, total = arguments.shard, arguments.total_shards
    if not 1 <= total <= MOST_SHARDS:
        raise FlagError(f"--total-shards={total}: must be 1 to {MOST_SHARDS}")
    if number >= total:
        raise FlagError(
            f"--shard={number}: shards are counted from 0, with --total-shards={total} from 0 to {total - 1}"
        )
    return Shard(number, total)


def counted(text: str) -> int:
    """A whole number from 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


class _Each(argparse.Action):
    """Appends, but to an empty list: argparse's own `append` adds to the default."""

    def __call__(
        self, _parser: argparse.ArgumentParser, given: argparse.Namespace, value: object, _flag: str | None = None
    ) -> None:
        before = getattr(given, self.dest)
        setattr(given, self.dest, [value] if before is self.default else [*before, value])


def _interval(text: str) -> float:
    try:
        seconds = durations.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
    if seconds < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 1s")
    return seconds


def _address(text: str) -> str:
    try:
        parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or len(text) == 1 or text.startswith("/-/") or not text.isprintable() or "{" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a path of its own: write one like /metrics")
    return text
