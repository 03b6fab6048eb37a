"""Everything a simulator can be told: what it is, and the conditions it works under, which may change as it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date  # noqa: TC003 - msgspec reads it when the admin endpoint takes conditions
from typing import get_args

from exporter.simulator.access_keys import Credentials
from exporter.simulator.faults import Fault  # noqa: TC001 - msgspec reads it when the admin endpoint takes conditions
from exporter.simulator.throttle import WaitHeader


@dataclass(frozen=True, slots=True)
class Conditions:
    """What may change while the simulator runs.

    * `credentials`: whom it answers. `token_expired`: their security token is refused as expired.
    * `clock_offset`: seconds its clock is ahead (negative: behind): dates, signatures, which day is today.
    * `latency`: seconds before every answer.
    * `rate`: requests per second above which it throttles, 0 is off; `wait_header`: how it then names the wait.
    * `faults`: what fails on demand, the first that meets a request.
    * `recover_on`: the play date from which the media that collapsed has its plays back; None: never.
    """

    credentials: Credentials = field(default_factory=Credentials)
    token_expired: bool = False
    clock_offset: float = 0.0
    latency: float = 0.0
    rate: float = 0.0
    wait_header: WaitHeader = "x-acs-retry-after"
    faults: tuple[Fault, ...] = ()
    recover_on: date | None = None

    def __post_init__(self) -> None:
        """Raises ValueError saying what is allowed."""
        for name, value in (("latency", self.latency), ("rate", self.rate)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number from 0, not {value}")
        # A year, so that dates stay dates.
        if not abs(self.clock_offset) <= 366 * 86_400:
            raise ValueError(f"clock_offset must be seconds within a year, not {self.clock_offset}")
        if self.wait_header not in get_args(WaitHeader):
            raise ValueError(f"wait_header must be one of {', '.join(get_args(WaitHeader))}, not {self.wait_header!r}")


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What a simulator is.

    * `seed`, `media`: which account, with how many media.
    * `collapse_on`: the play date from which one media loses nearly all its Native plays; None: never.
    * `admin`: whether `/_admin/` is served; without a password, so only where nobody else can reach it.
    """

    seed: int = 0
    media: int = 120
    collapse_on: date | None = None
    admin: bool = False
    conditions: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        """Raises ValueError saying what is allowed."""
        if self.media < 0:
            raise ValueError(f"media must be a number from 0, not {self.media}")
