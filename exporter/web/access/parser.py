"""Parse the text of a web configuration into WebSettings, or report every problem with its line; reads no files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.errors import ConfigError
from exporter.web.access.settings import (
    CURVES,
    SUITES_TLS12,
    SUITES_TLS13,
    VERSIONS,
    ClientAuth,
    Pem,
    RateLimit,
    TlsSettings,
    WebSettings,
)
from exporter.web.access.yaml_values import ErrorCollector, Value, read

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

SECTIONS: Final = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
TLS_SETTINGS: Final = (
    "cert",
    "cert_file",
    "key",
    "key_file",
    "client_auth_type",
    "client_ca",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
)
# The headers that may be set, with their allowed values; empty: any value.
HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
_CLIENT_AUTH: Final = {
    **{kind.value: kind for kind in ClientAuth},
    "RequireClientCert": ClientAuth.REQUIRE_ANY,  # an older name of the toolkit
    "": ClientAuth.NO,
}
# A salt is 22 characters for 128 bits: the last character encodes two bits, and bcrypt raises on all but four values.
_HASH: Final = re.compile(r"\$2[abxy]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII)
_LOWEST_COST: Final = 4
# A check at cost 15 takes seconds; above that, scrapes would time out and stopping would take minutes.
_HIGHEST_COST: Final = 15


def parse(text: str, *, file: str, folder: Path) -> WebSettings:
    """Parse the text of `file`; relative paths in it are relative to `folder`. Raises ConfigError."""
    errors = ErrorCollector(file)
    root = read(text, errors)
    settings = _web(root, folder) if root else WebSettings()
    if errors.problems:
        raise ConfigError(*sorted(errors.problems))
    return settings


def _web(root: Value, folder: Path) -> WebSettings:
    given = root.members(SECTIONS)
    tls, http, users, rate = (given.get(name) for name in SECTIONS)
    return WebSettings(
        tls=_tls(tls, folder) if tls else None,
        headers=_http(http) if http else {},
        users=_users(users) if users else {},
        rate_limit=_rate_limit(rate) if rate else None,
    )


def _tls(section: Value, folder: Path) -> TlsSettings | None:
    given = section.members(TLS_SETTINGS)
    if not given:
        return None
    cert, key = _pem(given, "cert", folder), _pem(given, "key", folder)
    client_ca = _pem(given, "client_ca", folder)
    for name, pem in (("cert", cert), ("key", key)):
        if pem is None:
            section.wrong(f"needs {name}_file, or {name} with the PEM text itself")
    default = TlsSettings(Pem(""), Pem(""))
    auth, client_auth = given.get("client_auth_type"), ClientAuth.NO
    if auth and (chosen := auth.choice(_CLIENT_AUTH)) is not None:
        client_auth = _CLIENT_AUTH[chosen]
    prefer = given.get("prefer_server_cipher_suites")
    prefers = prefer.boolean() if prefer else None
    settings = TlsSettings(
        cert or Pem(""),
        key or Pem(""),
        client_ca,
        client_auth,
        tuple(text for value in _list(given, "client_allowed_sans") if (text := value.text())),
        _version(given, "min_version") or default.min_version,
        _version(given, "max_version") or default.max_version,
        _choices(given, "cipher_suites", (*SUITES_TLS12, *SUITES_TLS13)),
        default.prefer_server_cipher_suites if prefers is None else prefers,
        _choices(given, "curve_preferences", CURVES),
    )
    _check_client_auth(section, given, settings)
    _check_versions(given, settings)
    return settings


def _check_client_auth(section: Value, given: Mapping[str, Value], settings: TlsSettings) -> None:
    """Report settings for client certificates that contradict each other."""
    auth = settings.client_auth
    place = given.get("client_auth_type", section)
    if auth.verifies and settings.client_ca is None:
        place.wrong(
            f"{auth} needs client_ca_file or client_ca with the authorities that sign client certificates; public"
            " authorities are not used"
        )
    if auth is ClientAuth.NO and settings.client_ca is not None:
        where = next(given[name] for name in ("client_ca", "client_ca_file") if name in given)
        where.wrong("has no effect without client_auth_type: set RequireAndVerifyClientCert, or leave it out")
    sans = given.get("client_allowed_sans")
    if sans and not sans.is_empty:
        if not auth.requires:
            sans.wrong("needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert")
        if not settings.client_allowed_sans:
            sans.wrong("rejects every client: list at least one name, or leave it out")


def _check_versions(given: Mapping[str, Value], settings: TlsSettings) -> None:
    """Report TLS versions and cipher suites that contradict each other."""
    if VERSIONS[settings.min_version] > VERSIONS[settings.max_version]:
        place = given.get("min_version") or given["max_version"]
        place.wrong(f"min_version {settings.min_version} is above max_version {settings.max_version}")
        return
    if not settings.cipher_suites:
        return
    place = given["cipher_suites"]
    allows_tls12 = settings.min_version != "TLS13"
    if allows_tls12 and not settings.suites_tls12:
        place.wrong("names no suite for TLS 1.2 and older: add one, or set min_version: TLS13")
    if not allows_tls12 and settings.suites_tls12:
        place.wrong(f"{settings.suites_tls12[0]} is for TLS 1.2 and older, and min_version is TLS13")
    if settings.suites_tls13 and not settings.allows("TLS13"):
        place.wrong(f"{settings.suites_tls13[0]} is for TLS 1.3, and max_version is {settings.max_version}")


def _http(section: Value) -> Mapping[str, str]:
    given = section.members(("http2", "headers"))
    if "http2" in given:
        given["http2"].boolean()  # checked only: true, the default, allows HTTP/2 and does not require it
    headers = given["headers"].members(HEADERS) if "headers" in given else {}
    found = {}
    for name, value in headers.items():
        text = value.text() or ""
        if text and HEADERS[name] and text not in HEADERS[name]:
            value.wrong(f"{text[:60]!r} is not one of {', '.join(HEADERS[name])}")
        elif not re.fullmatch(r"[\t\x20-\x7e]*", text):
            value.wrong("must be one line of ASCII text")
        else:
            found[name] = text
    return found


def _users(section: Value) -> Mapping[str, bytes]:
    found = {}
    for name, value in section.members().items():
        if ":" in name:
            value.wrong("a user name cannot have a colon: HTTP ends the name there")
        elif not (match := _HASH.fullmatch(value.text() or "")):
            value.wrong("is not a bcrypt hash: make one with htpasswd -nBC 10 USER, and put it in quotes")
        elif not _LOWEST_COST <= int(match["cost"]) <= _HIGHEST_COST:
            value.wrong(f"its cost is {match['cost']}: {_LOWEST_COST} to {_HIGHEST_COST} are possible, 10 is usual")
        else:
            found[name] = match[0].encode()
    return found


def _rate_limit(section: Value) -> RateLimit | None:
    given = section.members(("interval", "burst"))
    interval = given["interval"].duration() if "interval" in given else None
    burst = given["burst"].whole_number() if "burst" in given else None
    if "burst" in given and "interval" not in given:
        given["burst"].wrong("has no effect without interval")
    if interval and not burst and not (burst is None and "burst" in given):
        section.wrong("burst must be at least 1: with 0 every request would be refused")
    return RateLimit(interval, burst) if interval and burst else None


def _pem(given: Mapping[str, Value], name: str, folder: Path) -> Pem | None:
    """Return PEM data given inline or by file, never both; an empty value counts as not set."""
    inline, by_file = given.get(name), given.get(f"{name}_file")
    text = (inline.text() or None) if inline else None
    path = (by_file.text() or None) if by_file else None
    if inline and text and path:
        inline.wrong(f"and {name}_file exclude each other")
    if inline and text:
        return Pem(inline.setting, text=text, line=inline.place.line, column=inline.place.column)
    if by_file and path:
        return Pem(by_file.setting, file=folder / path, line=by_file.place.line, column=by_file.place.column)
    return None


def _list(given: Mapping[str, Value], name: str) -> tuple[Value, ...]:
    return given[name].texts() if name in given else ()


def _version(given: Mapping[str, Value], name: str) -> str | None:
    return given[name].choice(VERSIONS) if name in given else None


def _choices(given: Mapping[str, Value], name: str, allowed: Collection[str]) -> tuple[str, ...]:
    return tuple(chosen for value in _list(given, name) if (chosen := value.choice(allowed)))
