"""Accept or reject client certificates by the rules of Go's crypto/tls, with a matching TLS alert."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Any

    from exporter.web.access.settings import TlsSettings

# OpenSSL's X509_V_ERR_CERT_SIGNATURE_FAILURE, X509_V_ERR_INVALID_PURPOSE and X509_V_ERR_CERT_REJECTED; the latter
# sends the alert bad_certificate.
_SIGNATURE_FAILURE: Final = 7
_INVALID_PURPOSE: Final = 26
_CERT_REJECTED: Final = 28

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)


def request_certificates(context: SSL.Context, settings: TlsSettings, authorities: Iterable[x509.Certificate]) -> None:
    """Request a certificate from every client of `context`, and check it by the settings and `authorities`.

    A chain may end at any certificate of `authorities`: a root, an intermediate, or the client's own.
    """
    auth = settings.client_auth
    store = context.get_cert_store()
    assert store is not None, "a context has a store"  # noqa: S101 - for the type checker
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    issuers = tuple(authorities)
    for authority in issuers:
        store.add_cert(crypto.X509.from_cryptography(authority))
        context.add_client_ca(authority)
    allowed = frozenset(settings.client_allowed_sans)

    def accepts(_connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, verified: int) -> bool:
        if error == _SIGNATURE_FAILURE and _is_issued_by_any(certificate, issuers, depth):
            verified = 1
        wrong_purpose = error == _INVALID_PURPOSE and not _is_for_clients(certificate, of_client=depth == 0)
        if auth.verifies and not verified and (error != _INVALID_PURPOSE or wrong_purpose):
            return False
        return depth > 0 or not allowed or not allowed.isdisjoint(_sans(certificate))

    mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if auth.requires else 0)
    context.set_verify(mode, accepts)
    _set_rejection_alert(context, mode)


def _set_rejection_alert(context: SSL.Context, mode: int) -> None:
    """Set OpenSSL's error when only `accepts` rejects: pyOpenSSL does not, and clients would see internal_error."""
    binding = Binding()
    lib = binding.lib
    helper: Any = context._verify_helper  # noqa: SLF001 - pyOpenSSL has no way to set the reason

    @binding.ffi.callback("int (*)(int, X509_STORE_CTX *)")  # type: ignore[untyped-decorator]
    def verify(verified: int, store: Any) -> int:
        accepted: int = helper.callback(verified, store)
        if not accepted and lib.X509_STORE_CTX_get_error(store) == lib.X509_V_OK:
            lib.X509_STORE_CTX_set_error(store, _CERT_REJECTED)
        return accepted

    helper.rejecting = verify  # OpenSSL holds no reference
    lib.SSL_CTX_set_verify(context._context, mode, verify)  # noqa: SLF001 - as above


def _is_for_clients(certificate: crypto.X509, *, of_client: bool) -> bool:
    """Whether Go accepts the purpose of a certificate: also any purpose, and of the client's own any key usage."""
    purposes = set(_extension(certificate, x509.ExtendedKeyUsage) or ())
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in purposes:
        return True
    return of_client and ExtendedKeyUsageOID.CLIENT_AUTH in purposes


def _is_issued_by_any(certificate: crypto.X509, authorities: Iterable[x509.Certificate], depth: int) -> bool:
    """Whether a trusted authority has issued it; of several with one name (a change of keys), OpenSSL tries one.

    The authority must be valid and must not restrict what it certifies, as OpenSSL has not checked that.
    """
    now, issued = dt.datetime.now(dt.UTC), certificate.to_cryptography()
    for authority in authorities:
        try:
            issued.verify_directly_issued_by(authority)  # compares the names first
            extensions = authority.extensions
            constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        except Exception:  # noqa: BLE001, S112 - as in _extension
            continue
        may_sign = constraints.ca and (constraints.path_length is None or constraints.path_length >= depth)
        for extension in extensions:
            may_sign &= not isinstance(extension.value, x509.NameConstraints | x509.ExtendedKeyUsage)
            may_sign &= not isinstance(extension.value, x509.KeyUsage) or extension.value.key_cert_sign
        if may_sign and authority.not_valid_before_utc <= now <= authority.not_valid_after_utc:
            return True
    return False


def _sans(certificate: crypto.X509) -> Collection[str]:
    """Return the Subject Alternative Names (DNS, e-mail, IP, URI); empty if they cannot be read."""
    kinds = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)
    return {
        str(name.value)
        for name in _extension(certificate, x509.SubjectAlternativeName) or ()
        if isinstance(name, kinds)
    }


def _extension(certificate: crypto.X509, kind: type[_Kind]) -> _Kind | None:
    try:
        return certificate.to_cryptography().extensions.get_extension_for_class(kind).value
    except Exception:  # noqa: BLE001 - clients send any certificate, and the parser's exceptions are not all documented
        return None
