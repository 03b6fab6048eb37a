"""Tell clients apart before they are served: by network, by what they send first, and by what they read before."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Mapping

# More scrapers than an exporter has.
_MAX_READERS: Final = 256
# The header of a TLS record, and the place of the session ID in a ClientHello.
_RECORD_LENGTH: Final = slice(3, 5)
_SESSION_ID_AT: Final = 43


@dataclass(frozen=True, slots=True)
class ClientGroup:
    """Clients that are alike: of one network, with the same first bytes."""

    network: Hashable = ""
    kind: Hashable = 0


def network_of(address: str) -> str:
    """Return what distinguishes clients: an IPv4 address, or the first 64 bits of an IPv6 address.

    Everyone with IPv6 has 2^64 addresses.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Address(int(parsed) >> 64 << 64))


def kind_of_request(head: bytes) -> int:
    """Return what distinguishes programs by a first request: a scraper always sends the same one."""
    return hash(head)


def kind_of_hello(hello: bytes) -> int:
    """Return what distinguishes programs by a ClientHello: its length and cipher suites, not what is random in it."""
    begin = _SESSION_ID_AT + 1 + int.from_bytes(hello[_SESSION_ID_AT : _SESSION_ID_AT + 1])
    suites = begin + 2 + int.from_bytes(hello[begin : begin + 2])
    return hash(hello[_RECORD_LENGTH] + hello[begin:suites])


class Readers:
    """Groups that received the last large response whole, as scrapers do."""

    def __init__(self) -> None:
        self._groups: OrderedDict[ClientGroup, None] = OrderedDict()

    def finished(self, group: ClientGroup) -> None:
        """Note that a client has received a response; above the limit, the group that did so longest ago is removed."""
        self._groups[group] = None
        if len(self._groups) > _MAX_READERS:
            self._groups.popitem(last=False)

    def disconnected(self, group: ClientGroup) -> None:
        """Note that a client disconnected before the end of a response."""
        self._groups.pop(group, None)

    def pick(self, waiting: Mapping[Any, Container[Any]]) -> ClientGroup | None:
        """Return the next group of those that wait, the kinds by network; groups take turns."""
        for group in self._groups:
            if group.kind in waiting.get(group.network, ()):
                self._groups.move_to_end(group)
                return group
        return None
