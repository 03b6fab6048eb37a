"""The trusted certificate authorities, and why a certificate was rejected."""

from __future__ import annotations

import datetime as dt
import os
import re
import ssl
import stat
from typing import TYPE_CHECKING, Final, TypeVar

import certifi

from exporter.errors import StartError, reason_of
from exporter.threads import in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.x509 import Name

T = TypeVar("T")

_FILE: Final = "SSL_CERT_FILE"
_DIRECTORY: Final = "SSL_CERT_DIR"
_KEY_LOG: Final = "SSLKEYLOGFILE"
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_NAMES_SHOWN: Final = 5
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
# The public certificate authorities together take a quarter of a megabyte.
_LARGEST_FILE: Final = 4 * 1024 * 1024

_UNKNOWN_ISSUER: Final = "it was issued by an authority that is not trusted here"
_SELF_SIGNED: Final = "it is self-signed, or signed by an authority that is not trusted here"
_NOT_STRICT: Final = "it or its authority's certificate violates RFC 5280, which Python 3.13 and later enforce"
_NO_AUTHORITY: Final = "an issuer in its chain is not a certificate authority"
_NOT_ITS_NAME: Final = "an authority in its chain may not certify its names"
ADD_AUTHORITY: Final = (
    "If a proxy intercepts TLS, set SSL_CERT_FILE to a file with its certificate authority and the public ones;"
    " otherwise another server poses as the endpoint."
)
_CLOCK: Final = "Check this machine's clock, and the certificate of the server or of the proxy in between."
_WRONG_HOST: Final = (
    "Check the endpoint; if it is right, another server poses as it, such as a login portal or a proxy."
)
_STRICT: Final = "Have the certificate, or that of the proxy's authority, reissued in accordance with RFC 5280."

# OpenSSL's error numbers (x509_vfy.h); those from 80 on are checks of its strict mode.
_REASONS: Final[Mapping[int, tuple[str, str]]] = {
    7: ("its signature is wrong", ADD_AUTHORITY),
    9: ("it is not yet valid", _CLOCK),
    10: ("it has expired", _CLOCK),
    18: (_SELF_SIGNED, ADD_AUTHORITY),
    19: (_SELF_SIGNED, ADD_AUTHORITY),
    20: (_UNKNOWN_ISSUER, ADD_AUTHORITY),
    21: (_UNKNOWN_ISSUER, ADD_AUTHORITY),
    22: ("its chain is too long", _STRICT),
    23: ("it was revoked", _WRONG_HOST),
    24: (_NO_AUTHORITY, ADD_AUTHORITY),
    25: ("an authority in its chain may not have further authorities below it", _STRICT),
    26: ("it is not a server certificate", _WRONG_HOST),
    32: ("an authority in its chain may not sign certificates", _STRICT),
    34: ("it has a critical extension that OpenSSL does not support", _STRICT),
    47: (_NOT_ITS_NAME, _STRICT),
    48: (_NOT_ITS_NAME, _STRICT),
    62: ("it is for another host", _WRONG_HOST),
    64: ("it is for another address", _WRONG_HOST),
    66: ("its key is too weak", _STRICT),
    67: ("the key of its authority is too weak", _STRICT),
    68: ("it is signed with a hash that is too weak", _STRICT),
    79: (_NO_AUTHORITY, ADD_AUTHORITY),
    85: (f"{_NOT_STRICT} (missing authority key identifier)", _STRICT),
    86: (f"{_NOT_STRICT} (missing subject key identifier)", _STRICT),
    89: (f"{_NOT_STRICT} (basic constraints of an authority not marked critical)", _STRICT),
    92: (f"{_NOT_STRICT} (an authority without key usage)", _STRICT),
}
_FIRST_STRICT: Final = 80
# Where the certificate itself is valid today.
_OF_AN_AUTHORITY: Final[Mapping[int, str]] = {
    9: "the certificate of an authority in its chain is not yet valid",
    10: "the certificate of an authority in its chain has expired",
}


def tls_context(variables: Mapping[str, str]) -> ssl.SSLContext:
    """A context that trusts the authorities in SSL_CERT_FILE, else in SSL_CERT_DIR, else those that certifi ships.

    Raises StartError that names the variable and the file.
    """
    if file := variables.get(_KEY_LOG):
        _in_time(_check_key_log, _KEY_LOG, file)
    if file := variables.get(_FILE):
        return _in_time(_context_from_file, _FILE, file)
    if directory := variables.get(_DIRECTORY):
        return _in_time(_context_from_directories, _DIRECTORY, directory)
    return _context(cafile=certifi.where())


def _context(*, cafile: str | None = None, capath: str | None = None) -> ssl.SSLContext:
    """A context in which a chain may end at any trusted certificate, as in Python 3.13 and newer."""
    context = ssl.create_default_context(cafile=cafile, capath=capath)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _in_time(use: Callable[[str], T], variable: str, file: str) -> T:
    """Use a file that a variable names. Raises StartError, also if its file system does not respond."""
    try:
        return in_time(lambda: use(file), file)
    except OSError as error:
        raise StartError(f"{variable} names {file!a}, which cannot be used: {error.strerror}") from None


def _check_key_log(file: str) -> None:
    """Check the file that Python lets OpenSSL write the keys of connections to, in every context that it makes."""
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600))
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a usable path"
        raise StartError(f"{_KEY_LOG} names {file!a}, which cannot be written: {reason}") from None


def _context_from_directories(value: str) -> ssl.SSLContext:
    """Trust the authorities in a directory, or in several with colons between them, as OpenSSL does."""
    # pathlib and listdir raise for some paths, which should get the same error.
    directories = [each for each in value.split(os.pathsep) if os.path.isdir(each)]  # noqa: PTH112
    if not directories:
        raise StartError(f"{_DIRECTORY} names {value!a}, which is not a directory")
    try:
        names = [name for directory in directories for name in os.listdir(directory)]  # noqa: PTH208
    except OSError as error:
        reason = reason_of(error)
        raise StartError(f"{_DIRECTORY} names {value!a}, which cannot be read: {reason}") from None
    if not any(map(_HASHED.fullmatch, names)):
        raise StartError(
            f"{_DIRECTORY} names {value!a}, which holds no certificates by the names that OpenSSL looks for:"
            " run openssl rehash on it"
        )
    return _context(capath=os.pathsep.join(directories))


def _context_from_file(file: str) -> ssl.SSLContext:
    certificates = 0
    try:
        if stat.S_ISFIFO(os.stat(file).st_mode):  # noqa: PTH116 - as above; opening a pipe may block for ever
            raise StartError(f"{_FILE} names {file!a}, which is not a regular file")
        with open(file, "rb") as opened:  # noqa: PTH123 - as above
            certificates = opened.read(_LARGEST_FILE).count(_BEGIN)
        context = _context(cafile=file)
    except ssl.SSLError:
        pass
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) and error.errno else "not a usable path"
        raise StartError(f"{_FILE} names {file!a}, which cannot be read: {reason}") from None
    else:
        if context.cert_store_stats()["x509"]:
            return context
    what = "a certificate that cannot be read" if certificates else "no certificates in PEM form"
    raise StartError(f"{_FILE} names {file!a}, which holds {what}")


def describe_rejection(error: ssl.SSLCertVerificationError, certificate: bytes | None) -> tuple[str, str]:
    """The reason and advice for a rejected certificate; `certificate` is in DER, None if unknown."""
    reason, advice = _REASONS.get(error.verify_code) or (
        (_NOT_STRICT, _STRICT)
        if error.verify_code >= _FIRST_STRICT
        else (f"OpenSSL rejects it with error {error.verify_code}", ADD_AUTHORITY)
    )
    if certificate is None:
        return f"its certificate is rejected: {reason}", advice
    is_valid_today, summary = _certificate_summary(certificate)
    if is_valid_today:
        reason = _OF_AN_AUTHORITY.get(error.verify_code, reason)
    return f"its certificate is rejected: {reason}{summary}", advice


def _certificate_summary(certificate: bytes) -> tuple[bool, str]:
    """Whether a certificate is valid today; its subject, names, issuer and dates, empty if it cannot be parsed."""
    try:
        from cryptography import x509  # noqa: PLC0415 - rarely needed and slow to import
    except OSError:  # no descriptor is left to open its files
        return False, ""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        subject, issuer = _name(parsed.subject), _name(parsed.issuer)
        try:
            extension = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            names = [str(name.value) for name in extension.value][:_NAMES_SHOWN]
        except x509.ExtensionNotFound:
            names = []
        first, last = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    except (ValueError, TypeError):
        return False, ""
    for_names = f", for {', '.join(names)}" if names else ""
    return (
        first <= dt.datetime.now(dt.UTC) <= last,
        f"; issuer {issuer}, subject {subject}, valid {first:%Y-%m-%d} to {last:%Y-%m-%d}{for_names}",
    )


def _name(name: Name) -> str:
    """Common name and organization, which identify an authority to people."""
    known = {attribute.rfc4514_attribute_name: str(attribute.value) for attribute in name}
    parts = [known[key] for key in ("CN", "O") if key in known]
    return f'"{", ".join(parts)}"' if parts else "without a name"
