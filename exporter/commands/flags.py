"""Flags that several commands have, spelt once; imports nothing that takes time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from exporter.web.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

EXPORTER_PORT: Final = 9985
SIMULATOR_PORT: Final = 9986
LOG_LEVELS: Final = ("debug", "info", "warn", "error")
LOG_FORMATS: Final = ("logfmt", "json")


class Parser(Protocol):
    """What takes flags: a parser of argparse, or a group of one."""

    def add_argument(self, *flags: Any, **settings: Any) -> argparse.Action:
        """Take one more."""
        ...


def log(parser: Parser, level: str) -> None:
    """Add `--log.level`, which is `level` where it is not given, and `--log.format`."""
    parser.add_argument(
        "--log.level",
        dest="log_level",
        type=_level,
        choices=LOG_LEVELS,
        default=level,
        help="log lines of this level and above",
    )
    parser.add_argument(
        "--log.format", dest="log_format", choices=LOG_FORMATS, default="logfmt", help="format of a log line"
    )


def config_file(parser: Parser) -> None:
    """Add `--config.file`."""
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="configuration (YAML)",
    )


def listen_address(parser: Parser, default: str, flag: str = "--web.listen-address") -> None:
    """Add `--web.listen-address`; given several times, it listens on each."""
    parser.add_argument(
        flag,
        dest="listen",
        action=_Each,
        type=checked(_address),
        default=[default],
        metavar="HOST:PORT",
        help="where to listen, as in :9985, 127.0.0.1:0 (a free port, logged) or [::1]:9985; repeatable",
    )


def storage_path(parser: Parser) -> None:
    """Add `--storage.path`; None for an empty one."""
    parser.add_argument(
        "--storage.path",
        dest="storage_path",
        type=lambda text: Path(text) if text else None,
        default=None,
        metavar="FILE",
        help="SQLite file that keeps what is known over a restart; empty: memory only",
    )


def telemetry_path(parser: Parser) -> None:
    """Add `--web.telemetry-path`."""
    parser.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=_path,
        default="/metrics",
        metavar="PATH",
        help="where the metrics are",
    )


def web_config_file(parser: Parser) -> None:
    """Add `--web.config.file`; None for an empty one."""
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=lambda text: Path(text) if text else None,
        default=None,
        metavar="FILE",
        help="TLS, passwords and more for the web server, in the exporter-toolkit's format (YAML); empty: plain HTTP",
    )


def enable_lifecycle(parser: Parser) -> None:
    """Add `--web.enable-lifecycle`."""
    parser.add_argument(
        "--web.enable-lifecycle",
        dest="enable_lifecycle",
        action="store_true",
        help="allow POST /-/reload, which reads the configuration again",
    )


def shard(parser: Parser) -> None:
    """Add `--shard` and `--total-shards`; `the_shard` makes one of them."""
    parser.add_argument(
        "--shard", type=counted, default=0, metavar="N", help="which of several replicas this is, counted from 0"
    )
    parser.add_argument(
        "--total-shards", type=counted, default=1, metavar="N", help="how many replicas divide the polling, 1 to 1000"
    )


def counted(text: str) -> int:
    """A whole number from 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser that raises ValueError with a sentence, for argparse, which would hide the sentence."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


class _Each(argparse.Action):
    """Appends, but to an empty list: argparse's own `append` adds to the default."""

    def __call__(
        self, _parser: argparse.ArgumentParser, given: argparse.Namespace, value: object, _flag: str | None = None
    ) -> None:
        before = getattr(given, self.dest)
        setattr(given, self.dest, [value] if before is self.default else [*before, value])


def _address(text: str) -> str:
    parse_address(text)
    return text


def _level(text: str) -> str:
    """As promslog reads it; `warning` is what it was called in 0.1."""
    level = text.lower()
    return "warn" if level == "warning" else level


def _path(text: str) -> str:
    if not text.startswith("/") or len(text) == 1 or text.startswith("/-/") or not text.isprintable() or "{" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a path of its own: write one like /metrics")
    return text
