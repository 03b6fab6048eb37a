"""Every way in from outside that is fuzzed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.fuzz import configuration, front_door, negotiation, reply, status, web_configuration

if TYPE_CHECKING:
    from tests.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    module.TARGET.name: module.TARGET
    for module in (reply, configuration, web_configuration, front_door, negotiation, status)
}
