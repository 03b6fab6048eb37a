"""TLS without I/O: build a context from settings and PEM data, and convert between plaintext and TLS records.

Uses pyOpenSSL, because Python's own ssl module can neither request a certificate without verifying it nor configure
several curves or the TLS 1.3 suites.
"""

from __future__ import annotations

import binascii
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
from OpenSSL import SSL

from exporter.web.access.client_certificates import request_certificates
from exporter.web.access.settings import CURVES, SUITES_TLS12, VERSIONS, ClientAuth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from exporter.web.access.settings import TlsSettings

_READ_BYTES: Final = 65_536
# The most plaintext in a TLS record.
_RECORD_BYTES: Final = 16_384
# OpenSSL supports TLS 1.0 and 1.1 only at its lowest security level.
_LOWEST_LEVEL: Final = "@SECLEVEL=0"
# Those of Go's defaults: without CBC with SHA-256 or SHA-384, and without CCM.
_DEFAULT_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES+SHA1"
_HTTP: Final = b"http/1.1"
_CURVES_OF_KEYS: Final = ("secp256r1", "secp384r1", "secp521r1")
_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN (?P<label>(?:X509 )?CERTIFICATE)-----.*?-----END (?P=label)-----", re.DOTALL
)
_KEY: Final = re.compile(
    rb"-----BEGIN (?P<label>[A-Z ]*PRIVATE KEY)-----(?P<base64>.*?)-----END (?P=label)-----", re.DOTALL
)


class BadPem(Exception):
    """PEM data that cannot be used; `setting` is the setting to change, the message contains no part of the data."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting
        self.message = message


class TlsError(ConnectionError):
    """The handshake or the session has failed; the message is OpenSSL's."""


@dataclass(frozen=True, slots=True)
class PemFiles:
    """PEM data as read from the files or the web configuration."""

    cert: bytes = field(repr=False)
    key: bytes = field(repr=False)
    client_ca: bytes | None = field(default=None, repr=False)


def context(settings: TlsSettings, pem_files: PemFiles) -> SSL.Context:
    """Build the context for new connections. Raises BadPem."""
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # A resumed session would not have its client certificate checked again.
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
    _use_certificate(made, settings, pem_files)
    if settings.client_auth is not ClientAuth.NO:
        authorities = _certificates(pem_files.client_ca, "client_ca") if pem_files.client_ca is not None else []
        request_certificates(made, settings, authorities)
    return made


def _use_suites(made: SSL.Context, settings: TlsSettings) -> None:
    chosen = ":".join(SUITES_TLS12[name] for name in settings.suites_tls12) or _DEFAULT_SUITES
    if not settings.allows("TLS12") or VERSIONS[settings.min_version] < VERSIONS["TLS12"]:
        chosen = f"{chosen}:{_LOWEST_LEVEL}"
    made.set_cipher_list(chosen.encode())
    if settings.suites_tls13:
        made.set_tls13_ciphersuites(":".join(settings.suites_tls13).encode())
    if settings.curve_preferences:
        curves = ":".join(CURVES[name] for name in settings.curve_preferences).encode()
        # pyOpenSSL's own set_tmp_ecdh takes one curve, and not X25519.
        accepted = Binding().lib.SSL_CTX_set1_curves_list(made._context, curves)  # noqa: SLF001 - see above
        if not accepted:
            raise BadPem("curve_preferences", "the installed OpenSSL does not support these curves")


def _use_certificate(made: SSL.Context, settings: TlsSettings, pem_files: PemFiles) -> None:
    leaf, *chain = _certificates(pem_files.cert, "cert")
    key = _private_key(pem_files.key)
    try:
        made.use_certificate(leaf)
        for certificate in chain:
            made.add_extra_chain_cert(certificate)
    except (SSL.Error, TypeError, ValueError) as error:
        raise BadPem("cert", f"is refused by OpenSSL: {_reason(error)}") from None
    try:
        made.use_privatekey(key)
        made.check_privatekey()
    except (SSL.Error, TypeError, ValueError):
        raise BadPem("key", "does not belong to the certificate") from None
    kind = "ECDHE-RSA" if isinstance(key, rsa.RSAPrivateKey) else "ECDHE-ECDSA"
    usable = [name for name in settings.suites_tls12 if SUITES_TLS12[name].startswith(kind)]
    if settings.suites_tls12 and not usable and not settings.allows("TLS13"):
        raise BadPem("cipher_suites", f"none of them matches the certificate, whose key needs one with {kind}")


def _certificates(pem: bytes, setting: str) -> list[x509.Certificate]:
    """Return the certificates; those of client CAs that cannot be read are skipped, as Go does."""
    found = []
    blocks = [match[0] for match in _CERTIFICATE.finditer(pem)]
    for number, block in enumerate(blocks, 1):
        try:
            found.append(x509.load_pem_x509_certificate(block))
        except ValueError:
            if setting == "cert" and len(blocks) > 1:
                raise BadPem(setting, f"its certificate {number} of {len(blocks)} cannot be read") from None
    if not found:
        raise BadPem(setting, "contains no readable certificate in PEM format")
    return found


def _private_key(pem: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    """Return the private key; with any other kind, no handshake would succeed."""
    try:
        key = _any_private_key(pem)
    except UnsupportedAlgorithm:
        key = None
    if isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES_OF_KEYS:
        return key
    raise BadPem(
        "key", "is of a kind that is not supported; use RSA, an elliptic curve (P-256, P-384, P-521) or Ed25519"
    )


def _any_private_key(pem: bytes) -> PrivateKeyTypes:
    """Return the private key, whichever kind of key its label names, as Go does."""
    labelled = _KEY.search(pem)
    try:
        with contextlib.suppress(ValueError):
            return load_pem_private_key(pem, None)
        with contextlib.suppress(ValueError):
            return load_der_private_key(binascii.a2b_base64(labelled["base64"] if labelled else b""), None)
    except TypeError:
        raise BadPem("key", "is protected by a passphrase, which is not supported; store the key without one") from None
    raise BadPem("key", "contains no readable private key in PEM format")


def _reason(error: Exception) -> str:
    """Return the reason of OpenSSL's last error; its errors are lists of (library, function, reason)."""
    first = error.args[0] if error.args else None
    if isinstance(first, list) and first:
        return str(first[-1][-1])
    return str(error) or "connection closed"


class TlsEngine:
    """The TLS state of one connection, from bytes to bytes; never blocks.

    `is_open`: the handshake is complete. `is_over`: the session has ended.
    """

    def __init__(self, tls_context: SSL.Context) -> None:
        self._connection = SSL.Connection(tls_context, None)
        self._connection.set_accept_state()
        self.is_open = False
        self.is_over = False

    def receive(self, data: bytes) -> bytes:
        """Decrypt bytes from the network. Raises TlsError; `pending` then returns the alert for the client."""
        self._connection.bio_write(data)
        plaintext: list[bytes] = []
        try:
            if not self.is_open:
                self._connection.do_handshake()
                self.is_open = True
            while True:
                plaintext.append(self._connection.recv(_READ_BYTES))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.is_over = True
        except SSL.Error as error:
            self.is_over = True
            raise TlsError(_reason(error)) from None
        return b"".join(plaintext)

    def encrypt(self, data: bytes | bytearray | memoryview) -> bytes:
        """Encrypt bytes for the client; returns nothing after the session has failed."""
        rest = memoryview(data)
        with contextlib.suppress(SSL.Error):
            while rest:
                rest = rest[self._connection.send(bytes(rest[:_RECORD_BYTES])) :]
        return self.pending()

    def close_notify(self) -> bytes:
        """Return the bytes that end the session; the client need not confirm them."""
        if self.is_open:
            with contextlib.suppress(SSL.Error):
                self._connection.shutdown()
        return self.pending()

    def pending(self) -> bytes:
        """Return the bytes that TLS itself has to send: handshake messages and alerts."""
        return b"".join(self._pending())

    def _pending(self) -> Iterator[bytes]:
        try:
            while True:
                yield self._connection.bio_read(_READ_BYTES)
        except SSL.WantReadError:
            return
