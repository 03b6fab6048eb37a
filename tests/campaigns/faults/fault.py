"""A fault: what the service does instead of responding, and what the exporter must make of it."""

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
    LIE = "change"


class ConnectionFault(StrEnum):
    """What happens to connections during a connection fault."""

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
    """One request to the service, and the ways to respond to it."""

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
        """Send `data` every `seconds` until the client disconnects."""
        ...

    def listed(self) -> list[Payload]:
        """Every row of the requested date, most played first."""
        ...

    async def stall(self) -> None:
        """Send nothing more until the client disconnects."""
        ...

    def reset(self) -> None:
        """Reset the connection."""
        ...

    def close(self) -> None:
        """Close the connection in order."""
        ...


class NotApplicable(Exception):
    """This fault changes nothing in this response: the service sends the correct one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    * `counted`: code and kind that each failed attempt is counted under; none: it is a valid response.
    * `attempts`: attempts of one call.
    * `sure`: False if it may be accepted (a false response) as well as rejected.
    * `connection_fault`: what happens to connections; `act`: what happens to requests.
    * `stalls`: the client waits until it times out.
    * `large`: it sends megabytes, so memory is measured. `endless`: it causes thousands of calls.
    * `tls`: it needs an endpoint with TLS.
    * `unanswered`: the connection ends before the first byte of the response. A kept connection is then replaced,
      once per call and uncounted, so one more request may arrive.
    """

    name: str
    family: Family
    counted: tuple[str, str] | None
    attempts: int = 1
    act: Callable[[Exchange], Awaitable[Payload | None]] | None = None
    connection_fault: ConnectionFault = ConnectionFault.NONE
    sure: bool = True
    stalls: bool = False
    large: bool = False
    endless: bool = False
    tls: bool = False
    unanswered: bool = False

    @property
    def refuses(self) -> bool:
        """Whether nothing of it may be accepted."""
        return self.counted is not None and self.sure
