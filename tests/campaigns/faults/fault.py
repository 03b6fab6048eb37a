"""What a fault is: what the service does instead of answering, and what the exporter is to make of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping

    from tests.campaigns.faults.oracle import Call

Payload = dict[str, Any]
"""An answer as JSON has it."""


class Family(StrEnum):
    """Where a fault comes from."""

    CODE = "code"
    NETWORK = "network"
    ANSWER = "answer"
    LIE = "lie"


class Trouble(StrEnum):
    """What becomes of connections as long as a fault of connections lasts."""

    NONE = ""
    REFUSED = "refused"
    CLOSED = "closed"
    RESET = "reset"
    SILENT = "silent"
    GARBAGE = "garbage"
    PLAIN = "plain HTTP"
    UNTRUSTED = "certificate of an unknown authority"
    EXPIRED = "expired certificate"
    MISNAMED = "certificate of another name"
    UNKNOWN_NAME = "name that does not resolve"


class Exchange(Protocol):
    """One request that the service has in hand, and the ways to treat it."""

    call: Call
    payload: Payload
    """The right answer, not to be changed."""
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, status: str, headers: Mapping[str, str], body: bytes) -> None:
        """A whole response."""
        ...

    async def raw(self, data: bytes) -> None:
        """Any bytes."""
        ...

    async def drip(self, data: bytes, seconds: float) -> None:
        """The same every so many seconds until the client hangs up."""
        ...

    def listed(self) -> list[Payload]:
        """Every row of that date, most played first."""
        ...

    async def stall(self) -> None:
        """Say no more until the client hangs up."""
        ...

    def reset(self) -> None:
        """End the connection at once and not in order."""
        ...

    def close(self) -> None:
        """End the connection in order."""
        ...


class NotMet(Exception):
    """This fault has nothing to spoil in this answer: the service answers as it should."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    * `counted`: code and kind that each failed attempt is counted under; none: it is an answer.
    * `attempts`: how often one call is tried.
    * `sure`: False where it may as well be believed (a lie) as be refused.
    * `trouble`: what becomes of connections; `act` is what becomes of requests.
    * `stalls`: somebody is kept waiting until it times out.
    * `large`: it makes for megabytes, so memory is watched. `endless`: it makes for thousands of calls.
    * `tls`: it is one of an endpoint that speaks TLS.
    * `unanswered`: the connection ends before a byte of the answer. What was kept is then replaced, once in a call and
      without being counted, so one request more may arrive.
    """

    name: str
    family: Family
    counted: tuple[str, str] | None
    attempts: int = 1
    act: Callable[[Exchange], Awaitable[Payload | None]] | None = None
    trouble: Trouble = Trouble.NONE
    sure: bool = True
    stalls: bool = False
    large: bool = False
    endless: bool = False
    tls: bool = False
    unanswered: bool = False

    @property
    def refuses(self) -> bool:
        """Whether nothing of it may be believed."""
        return self.counted is not None and self.sure
