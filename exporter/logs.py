"""Structured logging: one line per event, logfmt or JSON, whoever says it."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Final, TextIO

import structlog

from exporter.line_writer import LineStream, LineWriter

if TYPE_CHECKING:
    from collections.abc import Generator

    from structlog.typing import EventDict, Processor, WrappedLogger

# As promslog names them, and what Python's logging calls them.
LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_NAMES: Final = {"warning": "warn", "critical": "error"}
# What waits at the end of the process is written, as long as somebody reads it. A whole stop takes less than 5 s.
FLUSH_SECONDS: Final = 1.0
_writers: Final[list[LineWriter]] = []
# What libraries say at `info` is our `debug`: a request per line (httpx), a run per line (APScheduler).
CHATTY: Final = ("httpx", "httpcore", "apscheduler", "uvicorn", "uvicorn.error", "asyncio")


def configure(level: str = "info", format_: str = "logfmt", stream: TextIO | None = None) -> None:
    """Send every log line of this process, ours and the libraries', to one stream (default: stderr) in one shape.

    `level` is one of LEVELS, `format_` logfmt or json.
    """
    threshold = LEVELS[level]
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        _level_as_promslog,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _exception_in_a_line,
        _event_is_msg,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=False)
        if format_ == "json"
        else structlog.processors.LogfmtRenderer(key_order=["ts", "level", "msg"], drop_missing=True)
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _in_order, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    for name in CHATTY:
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
        library.setLevel(threshold if threshold <= logging.DEBUG else max(threshold, logging.WARNING))
    # Debugging ourselves never needs what httpcore says of every header: a signature and a token are among them.
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


@contextlib.contextmanager
def never_blocking(stream: TextIO | None = None) -> Generator[None]:
    """From here to the end of the block nothing that is logged, or printed to stderr, waits for its reader.

    `configure` comes first. What finds no room is dropped and counted; at the end there are FLUSH_SECONDS for the rest.
    """
    root, stderr = logging.getLogger(), sys.stderr
    before = root.handlers
    formatter = before[0].formatter

    def notice(lines: int) -> str:
        message = "log lines dropped"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None)
        record.lines, record.reason = lines, "standard error was not read or could not be written"
        return f"{formatter.format(record) if formatter else message}\n"

    writer = LineWriter(stream or stderr, notice)
    _writers.append(writer)
    handler = _ToWriter(writer)
    handler.setFormatter(formatter)
    root.handlers, sys.stderr = [handler], LineStream(writer.put, stderr)
    try:
        yield
    finally:
        sys.stderr.flush()
        # Where nobody reads, whatever the interpreter has to say at its end is dropped too: it would wait for ever.
        if writer.close(FLUSH_SECONDS):
            root.handlers, sys.stderr = before, stderr
            _writers.remove(writer)


def lines_dropped() -> int:
    """How many lines found no room since `never_blocking` was entered."""
    return sum(writer.dropped for writer in _writers)


class _ToWriter(logging.Handler):
    """Formats where a line comes from, so that it says what was true then; writing is for the writer."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over a line."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as every handler of the standard library: a bad line ends nothing
            self.handleError(record)
        else:
            self._writer.put(f"{line}\n")


def _level_as_promslog(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Levels have the names that the logs of Prometheus and its exporters give them."""
    event["level"] = _NAMES.get(event["level"], event["level"])
    return event


def _logger_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Lines that are not ours say whose they are."""
    event["logger"] = event["_record"].name
    return event


def _event_is_msg(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The field's name is `msg` in the logs of Prometheus and its exporters."""
    event["msg"] = event.pop("event")
    return event


def _exception_in_a_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """An exception is named, not drawn: a traceback over many lines is no log line."""
    exc_info = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(error, BaseException):
        event["error"] = f"{type(error).__name__}: {error}"
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        if last is not None:
            event["at"] = f"{last.tb_frame.f_globals.get('__name__')}:{last.tb_lineno}"
    return event


def _in_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """When, how bad, what; then the rest as it was given."""
    first = {key: event.pop(key) for key in ("ts", "level", "msg") if key in event}
    return {**first, **event}
