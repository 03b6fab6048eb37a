"""The image's health check: request `/-/healthy` of a running exporter; exit status 0 or 1, and one line saying why."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.errors import FlagError
from exporter.safe_text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

T = TypeVar("T")

# A process is started for every check, every few seconds for years: import the standard library only.

_PATH: Final = "/-/healthy"
# Another program may listen there, and send a large response.
_LONGEST_LINE: Final = 200

_OR_SKIP: Final = ", or --tls.insecure-skip-verify on loopback"
_UNKNOWN: Final = f"its certificate comes from a CA that is not trusted; give that CA as --tls.ca-file{_OR_SKIP}"
_OTHER_NAME: Final = f"its certificate is for another name; write one that it has in --url{_OR_SKIP}"
# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_REASONS: Final[Mapping[int, str]] = {
    **dict.fromkeys((2, 18, 19, 20, 21), _UNKNOWN),
    **dict.fromkeys((62, 64), _OTHER_NAME),
    9: "its certificate is not valid yet; check the clocks of both machines",
    10: "its certificate or CA has expired; renew it",
    26: "its certificate is not for servers; issue it with serverAuth",
    **dict.fromkeys((25, 32, 47, 48), "a CA in its chain may not issue it; issue it with another CA"),
    34: "its certificate has an unknown critical extension; issue it without",
    **dict.fromkeys((66, 67), "the key of its certificate or CA is too weak; issue it with at least 2,048 bits (RSA)"),
    68: "its certificate is signed with a weak hash; issue it with SHA-256",
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


def run(arguments: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Send one request; 0 for a response with status 200, else 1. Raises FlagError for unusable certificates."""
    target: SplitResult = arguments.url
    connection = _connection(target, arguments)
    url = f"{target.geturl()}{_PATH}"
    try:
        # A direct connection: the proxy variables are for the API.
        connection.request("GET", f"{target.path}{_PATH}", headers={"User-Agent": "aliyun-vod-exporter check-healthy"})
        response = connection.getresponse()
        status, body = response.status, response.read(_LONGEST_LINE).decode("utf-8", "replace")
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        return _report(1, url, _reason(error, target.scheme))
    finally:
        connection.close()
    if status != HTTPStatus.OK:
        return _report(1, url, f"HTTP {status}, {body}")
    return _report(0, url, body)


def _connection(target: SplitResult, arguments: argparse.Namespace) -> http.client.HTTPConnection:
    if target.scheme == "http":
        return http.client.HTTPConnection(target.hostname or "", target.port, timeout=arguments.timeout)
    # The exporter's key log is for its requests to the API; one that cannot be written says nothing about its health.
    os.environ.pop("SSLKEYLOGFILE", None)
    context = _load_pem(
        "--tls.ca-file",
        "holds no certificates, or one that cannot be read",
        lambda: ssl.create_default_context(cafile=arguments.ca_file),
    )
    # As Python 3.13 and newer do: the file may hold an intermediate, or the exporter's own certificate.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if arguments.cert_file:
        flags = "--tls.cert-file, --tls.key-file" if arguments.key_file else "--tls.cert-file"
        unusable = "is not PEM, or the key fits no certificate"
        _load_pem(flags, unusable, lambda: context.load_cert_chain(arguments.cert_file, arguments.key_file))
    elif arguments.key_file:
        raise FlagError("--tls.key-file: give --tls.cert-file too")
    if arguments.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(target.hostname or "", target.port, timeout=arguments.timeout, context=context)


def _load_pem(flags: str, unusable: str, read: Callable[[], T]) -> T:
    """Load the PEM files that these flags name. Raises FlagError."""
    try:
        return read()
    except OSError as error:
        why = unusable if isinstance(error, ssl.SSLError) else error.strerror
        raise FlagError(f"{flags}: {why}; write a readable PEM file") from None


def _report(status: int, url: str, text: str) -> int:
    """Print one line of printable characters: on stdout when healthy, else on stderr."""
    line = printable(text, instead=" ").strip()
    stream = sys.stderr if status else sys.stdout
    stream.write(f"{url}: {line[:_LONGEST_LINE]}\n")
    return status


def _reason(error: Exception, scheme: str) -> str:
    """Why the request failed, and which flag may fix it."""
    match error:
        case ssl.SSLCertVerificationError():
            reason = certificate_reason(error.verify_code)
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
            reason = "does not speak TLS; write http:// in --url"
        case ssl.SSLError(reason="UNSUPPORTED_PROTOCOL" | "TLSV1_ALERT_PROTOCOL_VERSION"):
            reason = "does not support TLS 1.2 or later; raise max_version in its web configuration"
        case ssl.SSLError() | http.client.HTTPException() | ConnectionResetError() if scheme == "https":
            reason = "ended the connection; if it asks for a client certificate, give --tls.cert-file"
        case http.client.HTTPException() | ConnectionResetError():
            reason = "no HTTP response; if it speaks TLS, write https:// in --url"
        case UnicodeError():
            reason = "not a name of a host; write one with labels of 1 to 63 characters in --url"
        case TimeoutError():
            reason = "no response in time"
        case ConnectionRefusedError():
            reason = "nothing listens there; start the exporter, or name its address with --url"
        case _:
            reason = str(getattr(error, "strerror", None) or error)
    return reason


def certificate_reason(code: int) -> str:
    """The line for a certificate whose verification failed with this error number."""
    if code in _STRICT:
        return (
            f"its certificate or CA {_STRICT[code]}, which Python 3.13 and newer refuse;"
            f" issue it again (docs/web-configuration.md){_OR_SKIP}"
        )
    return _REASONS.get(code, f"its certificate is not trusted (OpenSSL's error {code}); give --tls.ca-file{_OR_SKIP}")
