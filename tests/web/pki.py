"""Certificates that are created for tests: a CA, its servers and clients, and certificates of other CAs."""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
SERVER: Final = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
CLIENT: Final = (
    x509.DNSName("prometheus.example"),
    x509.RFC822Name("prometheus@example.com"),
    x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
    x509.UniformResourceIdentifier("spiffe://example/prometheus"),
)


# A key usage without the digital signature that OpenSSL requires of a client.
ENCIPHERS_ONLY = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.15"), bytes.fromhex("03020520"))


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def cert_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def issue(
    name: str,
    *,
    by: Issued | None = None,
    sans: tuple[x509.GeneralName, ...] = (),
    key: Key | None = None,
    ca: bool = False,
    client: bool = False,
    purpose: x509.ObjectIdentifier | None = None,
    strict: bool = True,
    odd: Iterable[x509.ExtensionType] = (),
) -> Issued:
    """A certificate signed by a CA or by itself; not `strict`: without the extensions that many CAs omit."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    usage = purpose or (ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    if strict:
        signer = (by.key if by else key).public_key()
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
        builder = builder.add_extension(_usage(ca=ca), critical=True)
    for extension in odd:
        builder = builder.add_extension(extension, critical=False)
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


def _usage(*, ca: bool) -> x509.KeyUsage:
    """The key usage of a CA, or of a server or client."""
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def issue_odd(extensions: Iterable[tuple[str, str]]) -> Issued:
    """A self-signed client certificate with arbitrary extensions: OIDs, and DER in hexadecimal digits."""
    odd = (x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), bytes.fromhex(der)) for oid, der in extensions)
    return issue("odd", client=True, odd=odd)


@functools.cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2048)


@functools.cache
def weak_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 1024)  # noqa: S505 - weak is the point


@functools.cache
def authority() -> Issued:
    return issue("Test CA", ca=True)


@functools.cache
def issued() -> dict[str, Issued]:
    """Certificates by the names that the files of the corpus use."""
    ca = authority()
    return {
        "ca": ca,
        "server": issue("server", by=ca, sans=SERVER),
        "other": issue("other", by=ca, sans=SERVER),
        "rsa": issue("rsa", by=ca, sans=SERVER, key=rsa_key()),
        "client": issue("client", by=ca, sans=CLIENT, client=True),
        "nameless": issue("nameless", by=ca, client=True),
        "stranger": issue("stranger", sans=CLIENT, client=True),
        "intermediate": (intermediate := issue("Test intermediate CA", by=ca, ca=True)),
        "below": issue("below", by=intermediate, sans=CLIENT, client=True),
        "anything": issue("anything", by=ca, sans=CLIENT, purpose=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
        "enciphers": issue("enciphers", by=ca, sans=CLIENT, client=True, strict=False, odd=[ENCIPHERS_ONLY]),
    }


def write(folder: Path) -> None:
    """Write all of them as NAME.crt and NAME.key, and some invalid files."""
    for name, each in issued().items():
        (folder / f"{name}.crt").write_bytes(each.cert_pem)
        (folder / f"{name}.key").write_bytes(each.key_pem())
    server = issued()["server"]
    (folder / "chain.crt").write_bytes(server.cert_pem + authority().cert_pem)
    (folder / "locked.key").write_bytes(server.key_pem(b"passphrase"))
    (folder / "junk.pem").write_text("no PEM\n")
