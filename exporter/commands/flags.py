"""Flags that several commands share; imports nothing slow."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from exporter.documents import durations
from exporter.web.listen_addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

EXPORTER_PORT: Final = 9985
SIMULATOR_PORT: Final = 9986
LOG_LEVELS: Final = ("debug", "info", "warn", "error")
LOG_FORMATS: Final = ("logfmt", "json")
_SEGMENT: Final = re.compile(r"[\w.~-]{1,200}", re.ASCII)


class Parser(Protocol):
    """A parser or an argument group of argparse."""

    def add_argument(self, *flags: Any, **settings: Any) -> argparse.Action:
        """Add a flag, as argparse does."""
        ...


def log(parser: Parser, level: str) -> None:
    """Add `--log.level`, with `level` as default, and `--log.format`."""
    parser.add_argument(
        "--log.level",
        dest="log_level",
        type=_level,
        choices=LOG_LEVELS,
        default=level,
        help="minimum level of log lines",
    )
    parser.add_argument(
        "--log.format", dest="log_format", choices=LOG_FORMATS, default="logfmt", help="format of log lines"
    )


def config_file(parser: Parser) -> None:
    """Add `--config.file`."""
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="configuration file (YAML)",
    )


def listen_address(parser: Parser, default: str, flag: str = "--web.listen-address") -> None:
    """Add `--web.listen-address` (repeatable)."""
    parser.add_argument(
        flag,
        dest="listen",
        action=_Each,
        type=checked(_address),
        default=[default],
        metavar="HOST:PORT",
        help="address to listen on: :9985, 127.0.0.1:0 (any free port, logged) or [::1]:9985; repeatable",
    )


def systemd_socket(parser: Parser) -> None:
    """Add `--web.systemd-socket`."""
    parser.add_argument(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="listen on the sockets passed by systemd (.socket unit) instead of --web.listen-address",
    )


def auto_reload(parser: Parser) -> None:
    """Add `--config.enable-auto-reload` and `--config.auto-reload-interval`."""
    parser.add_argument(
        "--config.enable-auto-reload",
        dest="auto_reload",
        action="store_true",
        help="reload the configuration when the content of its file changes",
    )
    parser.add_argument(
        "--config.auto-reload-interval",
        dest="auto_reload_interval",
        type=_interval,
        default="30s",
        metavar="DURATION",
        help="how often to check the file for --config.enable-auto-reload, at least 1s",
    )


def storage_path(parser: Parser) -> None:
    """Add `--storage.path`; an empty value becomes None."""
    parser.add_argument(
        "--storage.path",
        dest="storage_path",
        type=lambda text: Path(text) if text else None,
        default=None,
        metavar="FILE",
        help="SQLite file that keeps the data over restarts; empty: memory only",
    )


def telemetry_path(parser: Parser) -> None:
    """Add `--web.telemetry-path`."""
    parser.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=_path,
        default="/metrics",
        metavar="PATH",
        help="path of the metrics",
    )


def external_url(parser: Parser) -> None:
    """Add `--web.external-url` and `--web.route-prefix`; `parse_prefix` combines them."""
    parser.add_argument(
        "--web.external-url",
        dest="external_url",
        type=_external_url,
        default="",
        metavar="URL",
        help="URL under which a reverse proxy serves the exporter, such as https://monitoring.example.com/vod",
    )
    parser.add_argument(
        "--web.route-prefix",
        dest="route_prefix",
        type=_route_prefix,
        default=None,
        metavar="PATH",
        help="prefix of all paths, such as /vod; / if the proxy strips it; else the path of --web.external-url",
    )


def parse_prefix(arguments: argparse.Namespace) -> str:
    """The prefix of all paths: empty, or such as `/vod`."""
    prefix: str = arguments.external_url if arguments.route_prefix is None else arguments.route_prefix
    return prefix


def web_config_file(parser: Parser) -> None:
    """Add `--web.config.file`; an empty value becomes None."""
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=lambda text: Path(text) if text else None,
        default=None,
        metavar="FILE",
        help="TLS, passwords, headers and rate limit, in the exporter-toolkit's format (YAML); empty: plain HTTP",
    )


def enable_lifecycle(parser: Parser) -> None:
    """Add `--web.enable-lifecycle`."""
    parser.add_argument(
        "--web.enable-lifecycle",
        dest="enable_lifecycle",
        action="store_true",
        help="allow POST /-/reload to reload the configuration; SIGHUP always does so",
    )


def shard(parser: Parser) -> None:
    """Add `--shard` and `--total-shards`."""
    parser.add_argument(
        "--shard", type=non_negative_int, default=0, metavar="N", help="index of this replica, counted from 0"
    )
    parser.add_argument(
        "--total-shards",
        type=non_negative_int,
        default=1,
        metavar="N",
        help="number of replicas that share the polling, 1 to 1000",
    )


def non_negative_int(text: str) -> int:
    """Parse a whole number of at least 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse show the message of a ValueError that `parse` raises; argparse would hide it."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


class _Each(argparse.Action):
    """Appends to an empty list; argparse's own `append` would append to the default."""

    def __call__(self, _parser: Parser, given: argparse.Namespace, value: object, _flag: str | None = None) -> None:
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
    parse_address(text)
    return text


def _external_url(text: str) -> str:
    """The path of an external URL, or of a value that is only a path."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it raises ValueError for an invalid port
    except ValueError:
        parts = urlsplit("?")
    is_url = parts.scheme in {"http", "https"} and parts.hostname
    is_path = not parts.scheme and not parts.netloc and (not text or text.startswith("/"))
    # The message does not repeat the value: it may hold a password.
    if not (is_url or is_path) or "@" in parts.netloc or set(text) & set("?#\\ ") or not text.isprintable():
        raise argparse.ArgumentTypeError(
            "not a URL to be found under: write http:// or https://, host and path,"
            " as in https://monitoring.example.com/vod"
        )
    return _prefix(parts.path)


def _route_prefix(text: str) -> str | None:
    return _prefix(text) if text else None


def _prefix(text: str) -> str:
    segments = text.strip("/").split("/")
    if text.strip("/") and not all(_SEGMENT.fullmatch(each) and each not in {".", ".."} for each in segments):
        raise argparse.ArgumentTypeError(
            f"{text!a} is not a path to begin with: write one like /vod, of letters, digits and - . _ ~"
        )
    return "/" + "/".join(segments) if text.strip("/") else ""


def _level(text: str) -> str:
    """A level as promslog accepts it; `warning`, the name in 0.1, means `warn`."""
    level = text.lower()
    return "warn" if level == "warning" else level


def _path(text: str) -> str:
    if (
        not text.startswith("/")
        or len(text) == 1
        or text.startswith("/-/")
        or not text.isprintable()
        or set(text) & set("{?#")
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is not a path of its own: write one like /metrics")
    return text
