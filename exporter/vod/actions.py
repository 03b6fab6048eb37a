"""An action of the API: name, version, permission, response decoder and error codes; and what calls actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Action(Generic[T]):
    """`ram_action` is the permission, such as `vod:DescribeVodMediaPlayData`.

    `decode(body, parameters)` returns the decoded response to a request with these parameters. It raises UpstreamError
    of kind malformed if the body cannot be read or does not match the parameters.

    `error_codes` are those of the action itself, as its documentation writes them; all others are the gateway's.
    Their counters start at 0.

    `parameter_advice`: what to check when it rejects parameters; empty: the general advice.
    """

    name: str
    version: str
    ram_action: str
    decode: Callable[[bytes, Mapping[str, str]], T]
    error_codes: tuple[str, ...] = ()
    parameter_advice: str = ""


class ApiClient(Protocol):
    """Calls the API for one account."""

    @property
    def max_in_flight(self) -> int:
        """How many calls may be in flight."""
        ...

    async def call(self, action: Action[T], parameters: Mapping[str, str]) -> T:
        """The decoded response; raises UpstreamError."""
        ...
