"""Choose the proxy for an endpoint from environment variables; reads only the variables that apply to it."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from exporter.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LARGEST_PORT: Final = 65_535
_EXAMPLE: Final = "http://host:port or http://user:password@host:port"

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST: Final = re.compile(r"(?P<host>\[[^\[\]]+\]|[^\[\]:\s]+)(:(?P<port>[0-9]{1,5}))?")
_BRACKETS: Final = re.compile(r"\A\[([^\[\]]*)\](/[0-9]+)?\Z")
# A zone as in URLs (RFC 6874), where its percent sign is escaped.
_ZONE: Final = re.compile(r"%25(?=[^\]])")
_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the variable that sets it; its text shows no credentials."""

    scheme: str
    host: str
    port: int
    variable: str
    authorization: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        """`proxy.example.com:3128 (HTTPS_PROXY)`."""
        return f"{authority(self.host, self.port)} ({self.variable})"


def proxy_for(scheme: str, host: str, port: int, variables: Mapping[str, str]) -> Proxy | None:
    """The proxy for an endpoint, by `http_proxy` or `https_proxy`, `all_proxy` and `no_proxy`; None: none.

    The lower-case name takes precedence, as in curl. Loopback addresses are always connected directly. Raises
    StartError if the variable that applies is invalid; the message shows no part of its value.
    """
    found = _first(variables, f"{scheme}_proxy") or _first(variables, "all_proxy")
    if found is None or _is_loopback(host):
        return None
    excluded = _first(variables, "no_proxy")
    if excluded is not None and is_excluded(host, port, excluded[1]):
        return None
    return parsed(*found)


def is_excluded(host: str, port: int, no_proxy: str) -> bool:
    """Whether a list like `localhost,.example.com,example.org:8443,10.0.0.0/8,fd00::/8` contains the host.

    As in Go: a name matches itself and its subdomains, with a leading `.` or `*.` only its subdomains; `*` matches
    every host; an entry with a port matches that port only. Invalid entries are ignored.
    """
    address, name = _address(host), _plain(host)
    return any(_fits(entry, name, address, port) for entry in no_proxy.replace(",", " ").split())


def parsed(variable: str, value: str) -> Proxy:
    """The proxy in a variable. Raises StartError."""
    found = _SCHEME.match(value)
    scheme = found[1].lower() if found else "http"
    if scheme.startswith("socks"):
        raise StartError(f"{variable} names a SOCKS proxy, which is not supported: name an HTTP proxy, {_EXAMPLE}")
    # A password may contain any character, escaped or not: the host follows the last `@`.
    user_info, at, rest = value[found.end() if found else 0 :].rpartition("@")
    place = _HOST.fullmatch(re.split(r"[/?#]", rest, maxsplit=1)[0])
    host = _host(place["host"]) if place else None
    port = int(place["port"] or DEFAULT_PORTS.get(scheme, 0)) if place else 0
    if scheme not in DEFAULT_PORTS or host is None or not 0 < port <= _LARGEST_PORT:
        raise StartError(f"{variable} is not the URL of a proxy like {_EXAMPLE}")
    if not at:
        return Proxy(scheme, host, port, variable)
    user, _, password = user_info.partition(":")
    plain = f"{unquote(user)}:{unquote(password)}"
    encoded = base64.b64encode(plain.encode("utf-8", "surrogateescape")).decode()
    # A user name without a password is a token.
    secrets = (encoded, unquote(password), password) if password else (encoded, unquote(user), user)
    return Proxy(scheme, host, port, variable, f"Basic {encoded}", tuple(secret for secret in secrets if secret))


def authority(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _first(variables: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """The first of the variables that is set and not empty, with its value."""
    for variable in (name, name.upper()):
        if value := variables.get(variable, "").strip():
            return variable, value
    return None


def _fits(entry: str, name: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    network = _network(entry)
    if network is None:
        entry, own_port = _without_port(entry)
        if own_port is not None and own_port != port:
            return False
        network = _network(entry)
    if address is not None or network is not None:
        return address is not None and network is not None and address in network
    below_only = entry.startswith((".", "*."))
    suffix = _plain(entry.removeprefix("*").removeprefix("."))
    return bool(suffix) and ((name == suffix and not below_only) or name.endswith(f".{suffix}"))


def _without_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if colon and port.isascii() and port.isdigit() and (":" not in host or host.endswith("]")):
        return host, int(port)
    return entry, None


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address, or a range of them; the address may be in brackets."""
    try:
        network = ipaddress.ip_network(_BRACKETS.sub(r"\1\2", entry), strict=False)
    except ValueError:
        return None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:  # noqa: PLR2004 - where ::ffff:0:0/96 ends
        return ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network


def _address(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address is not None else _plain(host) == "localhost"


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _host(text: str) -> str | None:
    """A host name or address in the form that is resolved; None if it is neither."""
    if text.startswith("["):
        address = _address(_ZONE.sub("%", text))
        return str(address) if address is not None else None
    try:
        name = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        return None
    return name if _NAME.fullmatch(name) else None
