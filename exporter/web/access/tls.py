"""TLS as it was asked for: settings and PEM data → a context; bytes of a client → what it said. No input or output.

Over pyOpenSSL, because Python's own ssl can neither ask for a certificate without verifying it nor be told several
curves or TLS 1.3 suites.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from exporter.web.access.client_certificates import ask_clients
from exporter.web.access.settings import ClientAuth
from exporter.web.access.tls_names import CURVES, SUITES_TLS12, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.web.access.settings import TlsSettings

_READ_BYTES: Final = 65_536
# A TLS record holds no more.
_RECORD_BYTES: Final = 16_384
# OpenSSL speaks TLS 1.0 and 1.1 only when it is told not to mind their age.
_ANY_AGE: Final = "@SECLEVEL=0"
_DEFAULT_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"
_HTTP: Final = b"http/1.1"


class BadPem(Exception):
    """PEM data that cannot be used; `setting` is the field of Material, the message holds nothing of the data."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting
        self.message = message


class TlsError(ConnectionError):
    """The client and we do not come together, or no longer; the message is OpenSSL's."""


@dataclass(frozen=True, slots=True)
class PemFiles:
    """PEM data, as it was read."""

    cert: bytes = field(repr=False)
    key: bytes = field(repr=False)
    client_ca: bytes | None = field(default=None, repr=False)


def context(settings: TlsSettings, material: PemFiles) -> SSL.Context:
    """What a connection begins with. Raises Unusable."""
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # A resumed session would be let in by what its certificate was worth once.
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    made.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    if settings.prefer_server_cipher_suites:
        made.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    made.set_min_proto_version(VERSIONS[settings.min_version])
    made.set_max_proto_version(VERSIONS[settings.max_version])
    made.set_alpn_select_callback(
        lambda _connection, offered: _HTTP if _HTTP in offered else SSL.NO_OVERLAPPING_PROTOCOLS
    )
    _use_suites(made, settings)
    _use_certificate(made, settings, material)
    if settings.client_auth is not ClientAuth.NO:
        authorities = _certificates(material.client_ca, "client_ca") if material.client_ca is not None else []
        ask_clients(made, settings, authorities)
    return made


def _use_suites(made: SSL.Context, settings: TlsSettings) -> None:
    chosen = ":".join(SUITES_TLS12[name] for name in settings.suites_tls12) or _DEFAULT_SUITES
    if not settings.allows("TLS12") or VERSIONS[settings.min_version] < VERSIONS["TLS12"]:
        chosen = f"{chosen}:{_ANY_AGE}"
    made.set_cipher_list(chosen.encode())
    if settings.suites_tls13:
        made.set_tls13_ciphersuites(":".join(settings.suites_tls13).encode())
    if settings.curve_preferences:
        curves = ":".join(CURVES[name] for name in settings.curve_preferences).encode()
        # pyOpenSSL's own set_tmp_ecdh takes one curve, and not X25519.
        accepted = Binding().lib.SSL_CTX_set1_curves_list(made._context, curves)  # noqa: SLF001 - see above
        if not accepted:
            raise BadPem("curve_preferences", "the OpenSSL that is installed does not know these curves")


def _use_certificate(made: SSL.Context, settings: TlsSettings, material: PemFiles) -> None:
    leaf, *chain = _certificates(material.cert, "cert")
    try:
        key = load_pem_private_key(material.key, None)
    except TypeError:
        raise BadPem("key", "is protected by a passphrase, which there is no way to tell; store it without") from None
    except ValueError:
        raise BadPem("key", "holds no private key in PEM that can be read") from None
    try:
        made.use_certificate(leaf)
        for certificate in chain:
            made.add_extra_chain_cert(certificate)
    except (SSL.Error, TypeError, ValueError) as error:
        raise BadPem("cert", f"is refused by OpenSSL: {_reason(error)}") from None
    try:
        made.use_privatekey(key)  # type: ignore[arg-type]  # of whatever kind it is: OpenSSL says
        made.check_privatekey()
    except (SSL.Error, TypeError, ValueError):
        raise BadPem("key", "does not belong to the certificate") from None
    kind = "ECDHE-ECDSA" if isinstance(key, ec.EllipticCurvePrivateKey) else "ECDHE-RSA"
    usable = [name for name in settings.suites_tls12 if SUITES_TLS12[name].startswith(kind)]
    if settings.suites_tls12 and not usable and not settings.allows("TLS13"):
        raise BadPem("cipher_suites", f"none of them fits the certificate, whose key needs one with {kind}")


def _certificates(pem: bytes, setting: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise BadPem(setting, "holds no certificate in PEM that can be read") from None


def _reason(error: Exception) -> str:
    """OpenSSL's last word: its errors are lists of library, function and reason."""
    first = error.args[0] if error.args else None
    if isinstance(first, list) and first:
        return str(first[-1][-1])
    return str(error) or "connection closed"


class TlsEngine:
    """One client's TLS: bytes from the network in, bytes for the network out; neither waits."""

    def __init__(self, chosen: SSL.Context) -> None:
        self._connection = SSL.Connection(chosen, None)
        self._connection.set_accept_state()
        self._handshake_done = False
        self.is_over = False

    def receive(self, data: bytes) -> bytes:
        """Give what the client said in these bytes from the network. Raises TlsError; then `pending` says why."""
        self._connection.bio_write(data)
        said: list[bytes] = []
        try:
            if not self._handshake_done:
                self._connection.do_handshake()
                self._handshake_done = True
            while True:
                said.append(self._connection.recv(_READ_BYTES))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.is_over = True
        except SSL.Error as error:
            self.is_over = True
            raise TlsError(_reason(error)) from None
        return b"".join(said)

    def encrypt(self, data: bytes | bytearray | memoryview) -> bytes:
        """Give the bytes for the network that tell the client this; nothing once the session has ended in an error."""
        rest = memoryview(data)
        with contextlib.suppress(SSL.Error):
            while rest:
                rest = rest[self._connection.send(bytes(rest[:_RECORD_BYTES])) :]
        return self.pending()

    def close_notify(self) -> bytes:
        """Give the bytes that end the conversation; the client need not answer."""
        if self._handshake_done:
            with contextlib.suppress(SSL.Error):
                self._connection.shutdown()
        return self.pending()

    def pending(self) -> bytes:
        """Give what TLS itself has to say."""
        return b"".join(self._pending())

    def _pending(self) -> Iterator[bytes]:
        try:
            while True:
                yield self._connection.bio_read(_READ_BYTES)
        except SSL.WantReadError:
            return
