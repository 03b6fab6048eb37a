"""Types and defaults of the web configuration, whose format is that of Prometheus' exporter-toolkit; Go's names of TLS.

Source of names and defaults: docs/web-configuration.md and web/tls_config.go of prometheus/exporter-toolkit;
`tls.CipherSuites()` and `tls.CurveID` in Go's documentation. Suites that Go lists as insecure are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Oldest first, with the version numbers of the protocol.
VERSIONS: Final[Mapping[str, int]] = {"TLS10": 0x0301, "TLS11": 0x0302, "TLS12": 0x0303, "TLS13": 0x0304}

SUITES_TLS13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
SUITES_TLS12: Final[Mapping[str, str]] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}

CURVES: Final[Mapping[str, str]] = {
    "CurveP256": "P-256",
    "CurveP384": "P-384",
    "CurveP521": "P-521",
    "X25519": "X25519",
    "X25519MLKEM768": "X25519MLKEM768",
}


class ClientAuth(StrEnum):
    """What is required of a client's certificate; the names are those of Go's `tls.ClientAuthType`."""

    NO = "NoClientCert"
    REQUEST = "RequestClientCert"
    REQUIRE_ANY = "RequireAnyClientCert"
    VERIFY_IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRE_AND_VERIFY = "RequireAndVerifyClientCert"

    @property
    def requires(self) -> bool:
        """Whether a client without a certificate is rejected."""
        return self in {ClientAuth.REQUIRE_ANY, ClientAuth.REQUIRE_AND_VERIFY}

    @property
    def verifies(self) -> bool:
        """Whether a certificate must be signed by the client CA."""
        return self in {ClientAuth.VERIFY_IF_GIVEN, ClientAuth.REQUIRE_AND_VERIFY}


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key, as text or in a file, with the position of the setting; line 0: not known."""

    setting: str
    text: str | None = field(default=None, repr=False)
    file: Path | None = None
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`tls_server_config`; an empty tuple leaves the choice to OpenSSL."""

    cert: Pem
    key: Pem
    client_ca: Pem | None = None
    client_auth: ClientAuth = ClientAuth.NO
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[str, ...] = ()

    @property
    def suites_tls12(self) -> tuple[str, ...]:
        """The suites for TLS up to 1.2, by Go's names."""
        return tuple(name for name in self.cipher_suites if name in SUITES_TLS12)

    @property
    def suites_tls13(self) -> tuple[str, ...]:
        """The suites for TLS 1.3."""
        return tuple(name for name in self.cipher_suites if name in SUITES_TLS13)

    def allows(self, version: str) -> bool:
        """Return whether a TLS version, such as `TLS12`, is allowed."""
        return VERSIONS[self.min_version] <= VERSIONS[version] <= VERSIONS[self.max_version]

    def files(self) -> Iterator[Path]:
        """Yield the files that the configuration refers to."""
        for pem in (self.cert, self.key, self.client_ca):
            if pem is not None and pem.file is not None:
                yield pem.file


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request per `interval` seconds, and bursts of `burst` requests."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The whole file. A header with an empty value is not sent. `users` are names with their bcrypt hashes."""

    tls: TlsSettings | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit | None = None
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def demands(self) -> frozenset[str]:
        """What every client needs before it gets a response, as words for error messages."""
        tls = self.tls
        required = tls is not None and tls.client_auth.requires
        demanded = {
            "a password": bool(self.users),
            "a certificate": required,
            "a certificate of the client CA": tls is not None and required and tls.client_auth.verifies,
            "a certificate with one of certain names": tls is not None and bool(tls.client_allowed_sans),
        }
        return frozenset(name for name, is_demanded in demanded.items() if is_demanded)
