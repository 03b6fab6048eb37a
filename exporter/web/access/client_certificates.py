"""Which client certificates are let in, and the alert for those that are not: as Go's crypto/tls decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Any

    from exporter.web.access.settings import TlsSettings

# OpenSSL's X509_V_ERR_INVALID_PURPOSE, and X509_V_ERR_CERT_REJECTED: the client is told bad_certificate.
_INVALID_PURPOSE: Final = 26
_CERT_REJECTED: Final = 28

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)


def ask_clients(context: SSL.Context, settings: TlsSettings, authorities: Iterable[x509.Certificate]) -> None:
    """Ask every client of `context` for a certificate, and judge it by the settings and the client CA file.

    A chain may end at any certificate of that file: a root, an intermediate, or the client's own.
    """
    auth = settings.client_auth
    store = context.get_cert_store()
    assert store is not None, "a context has a store"  # noqa: S101 - for the type checker
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for authority in authorities:
        store.add_cert(crypto.X509.from_cryptography(authority))
        context.add_client_ca(authority)
    allowed = frozenset(settings.client_allowed_sans)

    def accepts(_connection: SSL.Connection, shown: crypto.X509, error: int, depth: int, verified: int) -> bool:
        # OpenSSL wants the very purpose to be named; Go takes "any purpose" for it too.
        if auth.verifies and not verified and not (error == _INVALID_PURPOSE and _is_for_any_purpose(shown)):
            return False
        return depth > 0 or not allowed or not allowed.isdisjoint(_names(shown))

    mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if auth.requires else 0)
    context.set_verify(mode, accepts)
    _refuse_with_an_alert(context, mode)


def _refuse_with_an_alert(context: SSL.Context, mode: int) -> None:
    """Say why to OpenSSL when `accepts` alone refuses: pyOpenSSL does not, and clients see internal_error."""
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


def _is_for_any_purpose(shown: crypto.X509) -> bool:
    return ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in (_extension(shown, x509.ExtendedKeyUsage) or ())


def _names(shown: crypto.X509) -> Collection[str]:
    """The Subject Alternative Names: DNS, e-mail, IP, URI. None where they cannot be read."""
    kinds = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)
    return {str(name.value) for name in _extension(shown, x509.SubjectAlternativeName) or () if isinstance(name, kinds)}


def _extension(shown: crypto.X509, kind: type[_Kind]) -> _Kind | None:
    try:
        return shown.to_cryptography().extensions.get_extension_for_class(kind).value
    except Exception:  # noqa: BLE001 - strangers write certificates; what the parser says to them is not all documented
        return None
