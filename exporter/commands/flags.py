"""Flags that several commands share; imports nothing slow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final, Protocol

from exporter.commands import flag_values

EXPORTER_PORT: Final = 9985
SIMULATOR_PORT: Final = 9986
LOG_LEVELS: Final = ("debug", "info", "warn", "error")
LOG_FORMATS: Final = ("logfmt", "json")


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
        type=flag_values.log_level,
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
        type=flag_values.file,
        default=Path("config.yaml"),
        metavar="FILE",
        help="configuration file (YAML)",
    )


def listen_address(parser: Parser, default: str) -> None:
    """Add `--web.listen-address` (repeatable)."""
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        action=_Each,
        type=flag_values.listen_address,
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
        type=flag_values.interval,
        default="30s",
        metavar="DURATION",
        help="how often to check the file for --config.enable-auto-reload, at least 1s",
    )


def storage_path(parser: Parser, help_text: str) -> None:
    """Add `--storage.path`, which commands use differently."""
    parser.add_argument(
        "--storage.path",
        dest="storage_path",
        type=flag_values.optional_file,
        metavar="FILE",
        help=help_text,
    )


def telemetry_path(parser: Parser) -> None:
    """Add `--web.telemetry-path`."""
    parser.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=flag_values.telemetry_path,
        default="/metrics",
        metavar="PATH",
        help="path of the metrics",
    )


def external_url(parser: Parser) -> None:
    """Add `--web.external-url` and `--web.route-prefix`; `parse_prefix` combines them."""
    parser.add_argument(
        "--web.external-url",
        dest="external_url",
        type=flag_values.external_url,
        default="",
        metavar="URL",
        help="URL under which a reverse proxy serves the exporter, such as https://monitoring.example.com/vod",
    )
    parser.add_argument(
        "--web.route-prefix",
        dest="route_prefix",
        type=flag_values.route_prefix,
        metavar="PATH",
        help="prefix of all paths, such as /vod; / if the proxy strips it; else the path of --web.external-url",
    )


def parse_prefix(arguments: argparse.Namespace) -> str:
    """The prefix of all paths: empty, or such as `/vod`."""
    prefix: str = arguments.external_url if arguments.route_prefix is None else arguments.route_prefix
    return prefix


def web_config_file(parser: Parser) -> None:
    """Add `--web.config.file`."""
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=flag_values.optional_file,
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
        "--shard",
        type=flag_values.non_negative_int,
        default=0,
        metavar="N",
        help="index of this replica, counted from 0",
    )
    parser.add_argument(
        "--total-shards",
        type=flag_values.non_negative_int,
        default=1,
        metavar="N",
        help="number of replicas that share the polling, 1 to 1000",
    )


class _Each(argparse.Action):
    """Appends to an empty list; argparse's own `append` would append to the default."""

    def __call__(self, _parser: Parser, given: argparse.Namespace, value: object, _flag: str | None = None) -> None:
        before = getattr(given, self.dest)
        setattr(given, self.dest, [value] if before is self.default else [*before, value])
