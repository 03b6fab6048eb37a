"""Failures on demand: which request fails how, decided by the seed and the request's number."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

from exporter.simulator.broken_responses import BROKEN_RESPONSES
from exporter.simulator.error_responses import API_ERRORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail, and for which requests.

    * `code`: an error code of the service or its gateway, or the name of a misbehaviour (`html`, `reset`, ...).
    * `rate`: the share of requests that fail, 0 to 1.
    * `when`: parameters a request must have, as sent; none: any request.
    * `times`: so many failures and then no more; None: without end.
    * `wait`: seconds; what a throttling answer tells the client to wait (None: nothing), or how late
      `slow` is (None: 3 s).
    """

    code: str
    rate: float = 1.0
    when: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    wait: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError saying what is allowed."""
        if self.code not in API_ERRORS and self.code not in BROKEN_RESPONSES:
            raise ValueError(f"{self.code!r} is not one of {', '.join([*API_ERRORS, *BROKEN_RESPONSES])}")
        if not 0 <= self.rate <= 1:
            raise ValueError(f"the rate of {self.code} must be from 0 to 1, not {self.rate}")
        if self.times is not None and self.times < 0:
            raise ValueError(f"times must not be negative, not {self.times}")
        if self.wait is not None and not (math.isfinite(self.wait) and self.wait >= 0):
            raise ValueError(f"wait must be seconds from 0, not {self.wait}")


def parse_fault(text: str) -> Fault:
    """`Meter.ServerInternalError:0.1` as a Fault; raises ValueError saying what was expected."""
    code, colon, rate = text.rpartition(":")
    if not colon:
        raise ValueError(f"{text!r} is not CODE:RATE, such as Meter.ServerInternalError:0.1")
    try:
        share = float(rate)
    except ValueError:
        raise ValueError(f"{text!r}: the rate must be a number from 0 to 1, not {rate!r}") from None
    return Fault(code, share)


class FaultPlan:
    """Chooses the fault of each request; the same requests in the same order get the same faults."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._faults = tuple(faults)
        self._left = [fault.times for fault in faults]
        self._seed = seed
        self._requests = 0

    def choose(self, parameters: Mapping[str, str]) -> Fault | None:
        """The first fault that meets the next request, which has those parameters; None: it is answered."""
        self._requests += 1
        for index, fault in enumerate(self._faults):
            meant = all(parameters.get(name) == value for name, value in fault.when.items())
            left = self._left[index]
            if meant and left != 0 and self._chance(index) < fault.rate:
                if left is not None:
                    self._left[index] = left - 1
                return fault
        return None

    def _chance(self, index: int) -> float:
        digest = blake2b(f"{self._seed}:{self._requests}:{index}".encode(), digest_size=6).digest()
        return int.from_bytes(digest) / (1 << 48)
