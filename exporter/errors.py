"""Everything that can go wrong, as one tree; knows nobody.

ExporterError
├── ConfigError          the configuration cannot be used; carries every problem at once    → exit status 2
├── FlagError            flags of the command line that do not fit                           → exit status 2
├── StartError           a valid configuration cannot be started: port taken, ...           → exit status 1
└── UpstreamError        a question to the service was not answered
    ├── NotReady         the service has not computed that day yet: an answer, in a way
    └── NotAsked         nothing was sent, on purpose
        ├── AccountPaused      after an authentication error
        ├── BudgetSpent        `calls_per_day` is used up
        └── CredentialsError   there are no credentials to sign with
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ErrorKind(StrEnum):
    """What a failed attempt means for us; the `kind` label of `aliyun_vod_api_errors_total`."""

    PARAMETER = "parameter"
    AUTH = "auth"
    NOT_READY = "not_ready"
    SERVER = "server"
    THROTTLED = "throttled"
    CLOCK = "clock"
    TRANSPORT = "transport"
    MALFORMED = "malformed"
    OTHER = "other"


class ExporterError(Exception):
    """Anything this program reports to its operator in one line."""


@dataclass(frozen=True, slots=True, order=True)
class ConfigProblem:
    """One mistake in the configuration: where (from 1; line 0 when not known), which setting, what is allowed."""

    file: str
    line: int
    column: int
    setting: str
    message: str

    def __str__(self) -> str:
        """`config.yaml:12:9: queries[0].dimensions[1].os: 'android' is not one of ...`."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.setting}: {self.message}" if self.setting else f"{place}: {self.message}"


class ConfigError(ExporterError):
    """The configuration cannot be used; `problems` lists every mistake, in the order of the file."""

    def __init__(self, *problems: ConfigProblem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class FlagError(ExporterError):
    """A flag of the command line does not fit; the message says what is allowed."""


class StartError(ExporterError):
    """The configuration is valid but the program cannot start with it."""


class UpstreamError(ExporterError):
    """A question to the service ended without an answer.

    `code` is the service's own word (`Meter.AuthError`) or ours where it gave none: `timeout`, `connect`, `malformed`,
    `http_<status>`. `advice` says what the operator can do. `wait` is how many seconds the service asked us to wait, or
    the account stays paused.
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
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.kind = kind
        self.request_id = request_id
        self.http_status = http_status
        self.advice = advice
        self.wait = wait


class NotReady(UpstreamError):
    """`Meter.ReadyTsError`: that day is not computed yet. Ends the slice for this poll, is no failure of the query."""


class RequestSkipped(UpstreamError):
    """Nothing was sent, on purpose; not counted as a failed attempt."""


class AccountPaused(RequestSkipped):
    """An authentication error paused the account until its credentials change or some minutes pass."""


class QuotaExceeded(RequestSkipped):
    """The account's `calls_per_day` are used up; polling goes on at 00:00 UTC+8."""


class CredentialsError(RequestSkipped):
    """There are no credentials to sign with: a variable is not set, a file cannot be read."""
