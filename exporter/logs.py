"""Structured logging of the exporter and its libraries: one line per event, logfmt or JSON."""

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

# promslog's name → level of Python's logging.
LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_NAMES: Final = {"warning": "warn", "critical": "error"}
# How long to wait at exit until pending lines are written; the whole exit takes less than 5 s.
FLUSH_SECONDS: Final = 1.0
_writers: Final[list[LineWriter]] = []
# Libraries whose `info` is our `debug`: one line per request (httpx) or per run (APScheduler).
CHATTY: Final = ("httpx", "httpcore", "apscheduler", "uvicorn", "uvicorn.error", "asyncio")


def configure(level: str = "info", format_: str = "logfmt", stream: TextIO | None = None) -> None:
    """Send all log lines of this process, libraries included, to one stream (default: stderr) in one format.

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
        else structlog.processors.LogfmtRenderer()
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
    # httpcore logs every header at `debug`, signatures and tokens included.
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


@contextlib.contextmanager
def never_blocking(stream: TextIO | None = None) -> Generator[None]:
    """Within the block, logging and printing to stderr never block, even if nothing reads stderr.

    Call `configure` first. Lines that exceed the buffer are dropped and counted; at the end of the block, pending lines
    have FLUSH_SECONDS to be written.
    """
    root, stderr = logging.getLogger(), sys.stderr
    before = root.handlers
    formatter = before[0].formatter

    def notice(lines: int) -> str:
        message = "log lines dropped"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None)
        record.lines, record.reason = lines, "standard error was not read or could not be written"
        record.advice = "Check what reads standard error, or log less: --log.level=warn."
        return f"{formatter.format(record) if formatter else message}\n"

    writer = LineWriter(stream or stderr, notice)
    _writers.append(writer)
    # A stream of its own: what another caller has printed without a line break must not precede a log line.
    handler = logging.StreamHandler(LineStream(writer.put, stderr))
    handler.setFormatter(formatter)
    root.handlers, sys.stderr = [handler], LineStream(writer.put, stderr)
    try:
        yield
    finally:
        sys.stderr.flush()
        # Where stderr is not read, lines of the interpreter at exit are dropped too: they would block for ever.
        if writer.close(FLUSH_SECONDS):
            root.handlers, sys.stderr = before, stderr
            _writers.remove(writer)


def lines_dropped() -> int:
    """The number of lines dropped since `never_blocking` was entered."""
    return sum(writer.dropped for writer in _writers)


def _level_as_promslog(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Use the level names of the logs of Prometheus and its exporters."""
    event["level"] = _NAMES.get(event["level"], event["level"])
    return event


def _logger_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the name of the logger to lines of libraries."""
    event["logger"] = event["_record"].name
    return event


def _event_is_msg(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name the message `msg`, as the logs of Prometheus and its exporters do."""
    event["msg"] = event.pop("event")
    return event


def _exception_in_a_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace a traceback, which has many lines, by the exception and the place where it was raised."""
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
    """Put time, level and message first; the other fields keep their order."""
    first = {key: event.pop(key) for key in ("ts", "level", "msg") if key in event}
    return {**first, **event}
