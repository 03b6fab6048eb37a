"""OpenSSL's verification error number → one line: why the certificate is not trusted, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_OR_SKIP: Final = ", or --tls.insecure-skip-verify on loopback"
_UNKNOWN: Final = f"its certificate comes from a CA that is not trusted; give --tls.ca-file{_OR_SKIP}"
_OTHER_NAME: Final = f"its certificate is for another name; write one that it has in --url{_OR_SKIP}"

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_REASONS: Final[Mapping[int, str]] = {
    **dict.fromkeys((2, 18, 19, 20, 21), _UNKNOWN),
    **dict.fromkeys((62, 64), _OTHER_NAME),
    9: "its certificate is not valid yet; check the clocks of both machines",
    10: "its certificate or CA has expired; renew it",
    26: "its certificate is not for servers; issue it with serverAuth",
    79: "its certificate was not issued by a CA; have a CA issue it",
}
# Errors of VERIFY_X509_STRICT, which Python's ssl sets by default since 3.13.
_STRICT: Final[Mapping[int, str]] = {
    **dict.fromkeys(range(80, 94), "breaks a rule of RFC 5280"),
    85: "has no authority key identifier",
    86: "has no subject key identifier",
    89: "has basic constraints that are not critical",
    92: "has no key usage",
}


def reason(code: int) -> str:
    """The line for a certificate whose verification failed with this error number."""
    if code in _STRICT:
        return (
            f"its certificate or CA {_STRICT[code]}, which Python 3.13 and newer refuse;"
            f" issue it again (docs/web-configuration.md){_OR_SKIP}"
        )
    return _REASONS.get(code, f"its certificate is not trusted (OpenSSL's error {code}); give --tls.ca-file{_OR_SKIP}")
