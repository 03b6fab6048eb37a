"""Parse the values of flags, or raise an error that says what is allowed; imports nothing slow."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from exporter.core.play_dates import OLDEST_DAYS_AGO
from exporter.documents import durations
from exporter.web.listen_addresses import parse_address

MOST_MEDIA: Final = 10_000_000
"""Media of the simulator, which then takes 5 GB."""
_LONGEST_TIMEOUT: Final = 3600
_SHORTEST_STEP: Final = 15
_MOST_DIGITS: Final = 640
_LONGEST_STEP: Final = 86_400
_LABEL_NAME: Final = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_PATH: Final = re.compile(r"(/[\w.~:@+-]+)+/?", re.ASCII)
# Clients remove these segments before they send a request.
_DOTS: Final = re.compile(r"/\.{1,2}(/|$)")
_STATUS_PATH: Final = "/api/v1/status"
_SEGMENT: Final = re.compile(r"[\w.~-]{1,200}", re.ASCII)


def non_negative_int(text: str) -> int:
    """Parse a whole number of at least 0, for argparse."""
    if not _is_digits(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _is_digits(text: str) -> bool:
    # Python refuses to convert more than 640 digits, depending on PYTHONINTMAXSTRDIGITS.
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def rate(text: str) -> float:
    """A number of at least 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return number


def media_number(text: str) -> int:
    """Parse a number of simulated media, which take memory."""
    number = non_negative_int(text)
    if number > MOST_MEDIA:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {MOST_MEDIA}")
    return number


def file(text: str) -> Path:
    """The path of a file; empty is an error, as of a variable that is not set.

    So is `~`: shells replace it at the beginning of a word, but not in `--storage.path=~/state.db`.
    """
    if not text:
        raise argparse.ArgumentTypeError("is empty: name a file")
    if text.split("/", 1)[0] == "~":
        raise argparse.ArgumentTypeError(f"{text!r}: ~ is not replaced here: write the whole path")
    return Path(text)


def optional_file(text: str) -> Path | None:
    """Like `file`; None if it is empty."""
    return file(text) if text else None


def interval(text: str) -> float:
    """Seconds of a duration of at least 1s."""
    seconds = duration(text)
    if seconds < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 1s")
    return seconds


def duration(text: str) -> float:
    """Seconds of a duration."""
    try:
        return durations.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def listen_address(text: str) -> str:
    """The text of an address to listen on."""
    try:
        parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def external_url(text: str) -> str:
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


def route_prefix(text: str) -> str | None:
    """The path before all paths; None: as in the external URL."""
    return _prefix(text) if text else None


def _prefix(text: str) -> str:
    segments = text.strip("/").split("/")
    if text.strip("/") and not all(_SEGMENT.fullmatch(each) and each not in {".", ".."} for each in segments):
        raise argparse.ArgumentTypeError(
            f"{text!a} is not a path to begin with: write one like /vod, of letters, digits and - . _ ~"
        )
    return "/" + "/".join(segments) if text.strip("/") else ""


def log_level(text: str) -> str:
    """A level as promslog accepts it; `warning`, the name in 0.1.0, means `warn`."""
    level = text.lower()
    return "warn" if level == "warning" else level


def telemetry_path(text: str) -> str:
    """The path of the metrics."""
    if not _PATH.fullmatch(text) or _DOTS.search(text) or text.startswith(("/-/", "/static/")) or text == _STATUS_PATH:
        raise argparse.ArgumentTypeError(
            f"{text!a} is not a path of its own: write one like /metrics, of letters, digits and - . _ ~ : @ / +"
        )
    return text


def base_url(text: str) -> SplitResult:
    """Parse a base URL. Raises ArgumentTypeError whose message never repeats a password."""
    try:
        parts = urlsplit(text.rstrip("/"))
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), 0
    more = parts.query or parts.fragment or "@" in parts.netloc or " " in text
    is_plain = text.isprintable() and parts.path.isascii()
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or more or not is_plain:
        raise argparse.ArgumentTypeError("write http:// or https://, host and port, as in http://127.0.0.1:9985")
    return parts


def timeout(text: str) -> float:
    """Seconds above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, at most {_LONGEST_TIMEOUT}")
    return seconds


def days(text: str) -> int:
    """A number of past days."""
    if not _is_digits(text) or not 1 <= int(text) <= OLDEST_DAYS_AGO:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {OLDEST_DAYS_AGO}")
    return int(text)


def collapse(text: str) -> str:
    """The incident of that many days before today."""
    if (number := non_negative_int(text)) > OLDEST_DAYS_AGO:
        raise argparse.ArgumentTypeError(f"{number} is more than {OLDEST_DAYS_AGO} days ago")
    return f"collapse@{number}"


def step(text: str) -> int:
    """Whole seconds between two samples of a series."""
    seconds = duration(text)
    if not _SHORTEST_STEP <= seconds <= _LONGEST_STEP or seconds % 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 15s to 1d, in whole seconds")
    return int(seconds)


def label(text: str) -> tuple[str, str]:
    """The name and the value of a label."""
    name, equals, value = text.partition("=")
    if not (_LABEL_NAME.fullmatch(name) and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE with the name of a label, as in job=vod")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r}: the value is not text in this locale") from None
    from exporter.exposition.catalog import PLAY_METRICS  # noqa: PLC0415 - takes a third of the import time of all flags

    if any(name in metric.labels for metric in PLAY_METRICS):
        raise argparse.ArgumentTypeError(f"{text!r}: the series have a label {name} already")
    return name, value
