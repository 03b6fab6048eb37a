"""The exceptions of the exporter.

ExporterError
├── ConfigError          invalid configuration; carries all problems                  → exit status 2
├── FlagError            invalid flags of the command line                            → exit status 2
├── StartError           a valid configuration cannot be started: port in use, ...    → exit status 1
└── UpstreamError        a call to the API failed
    ├── NotReady         the service has not computed that day yet
    └── RequestSkipped   no request was sent, on purpose
        ├── AccountPaused      after an authentication error
        ├── QuotaExceeded      `calls_per_day` is used up
        └── CredentialsError   there are no credentials to sign with
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ErrorKind(StrEnum):
    """Classes of errors that are handled alike; the `kind` label of `aliyun_vod_api_errors_total`."""

    PARAMETER = "parameter"
    AUTH = "auth"
    NOT_READY = "not_ready"
    SERVER = "server"
    THROTTLED = "throttled"
    CLOCK = "clock"
    TRANSPORT = "transport"
    MALFORMED = "malformed"
    OTHER = "other"


class RetryPolicy(StrEnum):
    """Whether another attempt within the same call can help."""

    NEVER = "never"
    BACK_OFF = "back_off"
    ONCE = "once"
    ONCE_RENEWED = "once_renewed"  # after fetching credentials again


class ErrorScope(StrEnum):
    """What an authentication or throttling error is about: the whole account, or the called action alone."""

    ACCOUNT = "account"
    ACTION = "action"


OPEN_MORE_FILES: Final = "Let this process open at least 64 files and connections (ulimit -n, LimitNOFILE= of systemd)."
MORE_MEMORY: Final = "Give this process or machine more memory."
LARGER_FILES: Final = "Let this process write larger files (ulimit -f, LimitFSIZE= of systemd)."
MORE_THREADS: Final = "Let this process have more threads (ulimit -u, TasksMax= of systemd, the container's PID limit)."
NO_THREAD: Final = "no thread can be started"


def describe_exhaustion(error: BaseException) -> str:
    """What this process ran out of and how to give it more, as sentences; empty for any other error."""
    match error:
        case BaseExceptionGroup():
            return next(filter(None, map(describe_exhaustion, error.exceptions)), "")
        case OSError(errno=errno.EMFILE | errno.ENFILE as number):
            return f"{os.strerror(number)}. {OPEN_MORE_FILES}"
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return f"{os.strerror(errno.ENOMEM)}. {MORE_MEMORY}"
        case OSError(errno=errno.EAGAIN, strerror=reason) if reason == NO_THREAD:
            return f"{NO_THREAD}. {MORE_THREADS}"
        case RuntimeError() if str(error) == "can't start new thread":  # the interpreter's own words
            return f"{NO_THREAD}. {MORE_THREADS}"
    return ""


def reason_of(error: OSError) -> str:
    """Why a file cannot be read, with what to do if its mode or a limit of this process is the reason."""
    if error.errno == errno.EACCES:
        return f"{error.strerror}; let the exporter's user read it"
    return describe_exhaustion(error) or error.strerror or str(error)


def shown(path: object) -> str:
    """A path as messages show it: as it is, or escaped and in quotes if it holds characters that are not printable."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


class ExporterError(Exception):
    """An error that is reported to the operator by its message, without a traceback."""


@dataclass(frozen=True, slots=True, order=True)
class ConfigProblem:
    """One mistake in the configuration: its position (from 1; line 0: unknown), the setting, and what is allowed."""

    file: str
    line: int
    column: int
    setting: str
    message: str

    def __str__(self) -> str:
        """`config.yaml:12:9: queries[0].dimensions[1].os: 'android' is not one of ...`."""
        file = shown(self.file)
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        return f"{place}: {self.setting}: {self.message}" if self.setting else f"{place}: {self.message}"


class ConfigError(ExporterError):
    """The configuration is invalid; `problems` are all mistakes, in the order of the file."""

    def __init__(self, *problems: ConfigProblem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class FlagError(ExporterError):
    """A flag of the command line is invalid; the message says what is allowed."""


class StartError(ExporterError):
    """The configuration is valid but the program cannot start with it."""


class UpstreamError(ExporterError):
    """A call to the API failed.

    * `code`: the service's error code (`Meter.AuthError`), or ours if it sent none: `timeout`, `connect`, `malformed`,
      `http_<status>`.
    * `advice`: what the operator can do.
    * `wait`: seconds that the service requires to wait, or that the pause lasts; None: not given.
    * `retry`: whether another attempt within the same call can help.
    * `scope`: what it concerns; only auth and throttled errors can concern an action alone.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        kind: ErrorKind,
        request_id: str = "",
        http_status: int = 0,
        advice: str = "",
        wait: float | None = None,
        retry: RetryPolicy = RetryPolicy.NEVER,
        scope: ErrorScope = ErrorScope.ACCOUNT,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.kind = kind
        self.request_id = request_id
        self.http_status = http_status
        self.advice = advice
        self.wait = wait
        self.retry = retry
        self.scope = scope


class NotReady(UpstreamError):
    """`Meter.ReadyTsError`: the day is not computed yet. Ends this poll of the slice; the query has not failed."""


class RequestSkipped(UpstreamError):
    """No request was sent, on purpose; not counted as a failed attempt."""


class AccountPaused(RequestSkipped):
    """An authentication error paused the account or one action for some minutes or until its credentials change."""


class QuotaExceeded(RequestSkipped):
    """The account's `calls_per_day` is used up; polling continues at 00:00 UTC+8."""


class CredentialsError(RequestSkipped):
    """There are no credentials to sign with: a variable is not set, a file cannot be read, ..."""
