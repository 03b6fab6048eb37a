"""Injected faults: the seed and the number of a request decide whether it fails, and how."""

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
    """One kind of failure, and the requests it applies to.

    * `code`: an error code of the service or its gateway, or the name of a broken response (`html`, `reset`, ...).
    * `rate`: the share of requests that fail, 0 to 1.
    * `when`: parameters that a request must have, `Action` among them; empty: any request.
    * `times`: the number of failures, after which the fault has no effect; None: no limit.
    * `wait`: seconds; the wait that a throttling response names (None: none), or the delay of `slow`
      (None: 3 s).
    """

    code: str
    rate: float = 1.0
    when: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    wait: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError naming the allowed values."""
        if self.code not in API_ERRORS and self.code not in BROKEN_RESPONSES:
            raise ValueError(f"{self.code!r} is not one of {', '.join([*API_ERRORS, *BROKEN_RESPONSES])}")
        if not 0 <= self.rate <= 1:
            raise ValueError(f"the rate of {self.code} must be from 0 to 1, not {self.rate}")
        if self.times is not None and self.times < 0:
            raise ValueError(f"times must not be negative, not {self.times}")
        if self.wait is not None and not (math.isfinite(self.wait) and self.wait >= 0):
            raise ValueError(f"wait must be seconds from 0, not {self.wait}")


def parse_fault(text: str) -> Fault:
    """`Meter.ServerInternalError:0.1` or `SearchMedia/Forbidden.RAM:1` as a Fault; raises ValueError for others."""
    code, colon, rate = text.rpartition(":")
    if not colon:
        raise ValueError(f"{text!r} is not [ACTION/]CODE:RATE, such as Meter.ServerInternalError:0.1")
    action, _, code = code.rpartition("/")
    try:
        share = float(rate)
    except ValueError:
        raise ValueError(f"{text!r}: the rate must be a number from 0 to 1, not {rate!r}") from None
    return Fault(code, share, when={"Action": action} if action else {})


class FaultPlan:
    """Chooses the fault of each request; the same requests in the same order get the same faults."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._faults = tuple(faults)
        self._remaining = [fault.times for fault in faults]
        self._seed = seed
        self._requests = 0

    def choose(self, parameters: Mapping[str, str]) -> Fault | None:
        """The first fault that applies to the next request, given its parameters; None: it succeeds."""
        self._requests += 1
        for index, fault in enumerate(self._faults):
            applies = all(parameters.get(name) == value for name, value in fault.when.items())
            remaining = self._remaining[index]
            if applies and remaining != 0 and self._chance(index) < fault.rate:
                if remaining is not None:
                    self._remaining[index] = remaining - 1
                return fault
        return None

    def _chance(self, index: int) -> float:
        digest = blake2b(f"{self._seed}:{self._requests}:{index}".encode(), digest_size=6).digest()
        return int.from_bytes(digest) / (1 << 48)
