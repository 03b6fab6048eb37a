"""Environments of the process and events in them: every combination, or why it is impossible."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING, Final

from tests.campaigns.faults.case_queries import NOON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DAY: Final = 86_400.0
NAME: Final = "vod.example.invalid"
PROXY_PASSWORD: Final = "proxy/pass#word?of@the%matrix"
# Nothing listens on it, and only root may.
DEAD: Final = "http://proxy-user:" + PROXY_PASSWORD + "@127.0.0.1:1"
# What LANG=zh_CN.GBK or POSIX makes of the streams, on machines without those locales too.
_NOT_UTF8: Final = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


class Area(StrEnum):
    """The part of the environment that differs."""

    STDERR = "stderr"
    LOCALE = "locale"
    DESCRIPTORS = "descriptors"
    RESOLVER = "resolver"
    PROXY = "proxy"
    CLOCK = "clock"
    CONNECTIONS = "connections"


class Stderr(StrEnum):
    """How standard error is read."""

    FILE = "a file"
    CLOSED = "closed"
    FULL = "a full pipe without a reader"
    SLOW = "a pipe that is read slowly"
    GONE = "a pipe whose reader has gone"


class Resolver(StrEnum):
    """The result of DNS look-ups from the event on."""

    ANSWERS = "answers"
    SILENT = "silent"
    UNKNOWN = "no such name"
    SLOW = "slow"


class ConnectionBehaviour(StrEnum):
    """What the service does with a kept connection."""

    KEEPS = "kept"
    CLOSES_LATER = "closed while it is kept"
    CLOSES = "closed after each answer without notice"
    REPEATS = "each answer twice"
    LEFTOVER = "something unasked for after each answer"


class Event(StrEnum):
    """What happens in the environment."""

    HEALTHY = "all healthy"
    REFUSAL = "an error of the API"
    SIGTERM = "SIGTERM during a poll"
    RELOAD = "reload during a poll"
    KEY = "another key"


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment; the resolver, the clock leap and the connection behaviour take effect with the event.

    * `clock`: the start of the wall clock; `leap`: seconds that it leaps by. `idle`: the number of silent clients.
    * `storage`: the daemon has `--storage.path`.
    * `reached`: False where no request can ever reach the service.
    """

    area: Area
    name: str
    environ: Mapping[str, str] = field(default_factory=dict, hash=False)
    stderr: Stderr = Stderr.FILE
    descriptors: int = 0
    idle: int = 0
    storage: bool = False
    resolver: Resolver = Resolver.ANSWERS
    by_proxy: bool = False
    host: str = "127.0.0.1"
    clock: float = NOON
    leap: float = 0.0
    behaviour: ConnectionBehaviour = ConnectionBehaviour.KEEPS
    reached: bool = True

    @property
    def answers(self) -> bool:
        """Whether requests reach the service during the event."""
        return self.reached and self.resolver not in (Resolver.SILENT, Resolver.UNKNOWN)


def _locale(name: str, **environ: str) -> Environment:
    return Environment(Area.LOCALE, name, environ)


ENVIRONMENTS: Final = (
    *(Environment(Area.STDERR, kind, stderr=kind) for kind in Stderr),
    _locale("LANG=C", LANG="C", LC_ALL="C"),
    _locale("POSIX without UTF-8", **_NOT_UTF8),
    _locale("zh_CN.GBK", **_NOT_UTF8, LANG="zh_CN.GBK", PYTHONIOENCODING="gbk"),
    _locale("UTF-8", LC_ALL="C.UTF-8"),
    *(Environment(Area.DESCRIPTORS, f"{most} and 100 idle clients", descriptors=most, idle=100) for most in (40, 64)),
    Environment(Area.DESCRIPTORS, "1024 and 100 idle clients", descriptors=1024, idle=100),
    Environment(Area.DESCRIPTORS, "28 and 100 idle clients, with storage", descriptors=28, idle=100, storage=True),
    *(
        Environment(Area.RESOLVER, kind, resolver=kind, host=NAME)
        for kind in (Resolver.SILENT, Resolver.UNKNOWN, Resolver.SLOW)
    ),
    Environment(Area.PROXY, "good", by_proxy=True),
    Environment(Area.PROXY, "dead", {"HTTP_PROXY": DEAD}, host=NAME, reached=False),
    Environment(Area.PROXY, "wrong ones of other schemes", {"HTTPS_PROXY": f"ftp://u:{PROXY_PASSWORD}@[::"}, host=NAME),
    # Not a loopback address, which would bypass the proxy; it leads to this machine as well.
    Environment(
        Area.PROXY,
        "a range that needs none",
        {"HTTP_PROXY": DEAD, "NO_PROXY": "localhost,fd00::/8,0.0.0.0/8"},
        host="0.0.0.0",  # noqa: S104 - to connect to
    ),
    Environment(Area.CLOCK, "31 days ahead", leap=31 * DAY),
    Environment(Area.CLOCK, "20 years ahead", leap=20 * 365 * DAY),
    Environment(Area.CLOCK, "an hour back", leap=-3600.0),
    Environment(Area.CLOCK, "from 1970 to now", clock=DAY, leap=NOON - DAY),
    *(
        Environment(Area.CONNECTIONS, behaviour, behaviour=behaviour)
        for behaviour in ConnectionBehaviour
        if behaviour is not ConnectionBehaviour.KEEPS
    ),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One event in one environment."""

    environment: Environment
    event: Event

    def __str__(self) -> str:
        """`environment · stderr · closed · all healthy`."""
        return f"environment · {self.environment.area} · {self.environment.name} · {self.event}"


def every() -> Iterator[Cell]:
    """Each event in each environment."""
    return (Cell(*pair) for pair in product(ENVIRONMENTS, Event))


def impossible(cell: Cell) -> str:
    """Why a cell is impossible; empty if it is possible."""
    if cell.event is Event.REFUSAL and not cell.environment.answers:
        return "no error of the API where no request reaches it"
    return ""


def possible() -> list[Cell]:
    """Every possible cell."""
    return [cell for cell in every() if not impossible(cell)]


def brief() -> list[Cell]:
    """A dozen: the step is no multiple of the number of events, so every area and every event is included."""
    return possible()[::12]
