"""The options of a simulator: those fixed at its start, and the conditions that may change while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date  # noqa: TC003 - msgspec reads it when the admin API decodes conditions
from typing import TYPE_CHECKING, get_args

from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.faults import Fault  # noqa: TC001 - msgspec reads it when the admin API decodes conditions
from exporter.simulator.throttle import WaitHeader
from exporter.simulator.variants import Variants

if TYPE_CHECKING:
    from exporter.simulator.incidents import Incident


@dataclass(frozen=True, slots=True)
class Conditions:
    """What may change while the simulator runs.

    * `credentials`: the accepted pair. `token_expired`: its security token is rejected as expired.
    * `clock_offset`: seconds by which its clock is ahead (negative: behind): Date header, signatures, play dates.
    * `latency`: seconds before every response.
    * `rate`: requests per second above which it throttles, 0: never; `wait_header`: the header that names the wait.
    * `faults`: injected failures; the first one that applies to a request is used.
    * `recover_on`: the play date from which all incidents are over; None: they go on.
    * `variants`: what it does where the service's behaviour is not documented.
    """

    credentials: AccessKeyPair = field(default_factory=AccessKeyPair)
    token_expired: bool = False
    clock_offset: float = 0.0
    latency: float = 0.0
    rate: float = 0.0
    wait_header: WaitHeader = "x-acs-retry-after"
    faults: tuple[Fault, ...] = ()
    recover_on: date | None = None
    variants: Variants = field(default_factory=Variants)

    def __post_init__(self) -> None:
        """Raises ValueError naming the allowed values."""
        for name, value in (("latency", self.latency), ("rate", self.rate)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number from 0, not {value}")
        # Within a year, so that every date remains representable.
        if not abs(self.clock_offset) <= 366 * 86_400:
            raise ValueError(f"clock_offset must be seconds within a year, not {self.clock_offset}")
        if self.wait_header not in get_args(WaitHeader):
            raise ValueError(f"wait_header must be one of {', '.join(get_args(WaitHeader))}, not {self.wait_header!r}")


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What is fixed when a simulator starts.

    * `seed`, `media`: the generated account and its number of media.
    * `incidents`: what loses plays, and from which play date on.
    * `admin`: whether `/_admin/` is served; it has no authentication: only for loopback.
    """

    seed: int = 0
    media: int = 120
    incidents: tuple[Incident, ...] = ()
    admin: bool = False
    conditions: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        """Raises ValueError naming the allowed values."""
        if self.media < 0:
            raise ValueError(f"media must be a number from 0, not {self.media}")
