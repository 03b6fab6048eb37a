"""Parse the addresses of `--web.listen-address`; imports only what loads fast."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]*(?:%[^\]\s]+)?)\]|(?P<host>[\w.-]*)):(?P<port>[0-9]{1,5})")
_MAX_PORT: Final = 65535


def parse_address(text: str) -> tuple[str, int]:
    """Parse `HOST:PORT`, `:PORT` (every address of the machine) or `[IPv6]:PORT` into host ("" for every) and port.

    Raises ValueError with a message for the operator.
    """
    match = _ADDRESS.fullmatch(text)
    if not match or int(match["port"]) > _MAX_PORT:
        raise ValueError(
            f"{text!r} is not an address: write HOST:PORT, [IPv6]:PORT, or :PORT for every address of this machine,"
            " as in :9985"
        )
    return _normalized(match["v6"] or match["host"] or ""), int(match["port"])


def _normalized(host: str) -> str:
    """An address in its canonical form, such as `::` for every address; IPv4 in IPv6 as IPv4, as in Go."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(getattr(address, "ipv4_mapped", None) or address)
