"""Network failures, described in our own sentences: they contain no text of a library or a server."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from typing import Final

import httpx

from exporter.errors import MORE_MEMORY, MORE_THREADS, NO_THREAD, OPEN_MORE_FILES
from exporter.vod import error_codes

_CHECK_ENDPOINT: Final = "Check the endpoint of the account; it is retried."
_CHECK_NAMES: Final = "Check the spelling of that name, and name resolution on this machine (/etc/resolv.conf)."
_CHECK_WAY: Final = "Check that host and port are right, and check firewalls and routes in between."
_CHECK_TLS: Final = "Check that host and port are right and support TLS 1.2 or later, and what a proxy in between does."
_CHECK_PEER: Final = "Usually temporary. If it persists, check the endpoint and any proxies in between."
_NO_HTTP: Final = "Check that the endpoint is Alibaba Cloud's and that no proxy responds in its place."

_CHECK_FIREWALL: Final = (
    "Allow outgoing connections there: look at this machine's firewall, the network policies of the cluster, and the"
    " sandbox of the service (RestrictAddressFamilies=, IPAddressDeny= of systemd)."
)
_MORE_MACHINE_FILES: Final = "Raise fs.file-max of this machine, or find the process that holds so many files open."
_MORE_PORTS: Final = (
    "Look at this machine's own addresses (ip address), and at how many connections it holds open (ss -s)."
)

# By errno, whatever the class of the OSError: the reason, and what to do where it is not the way to the other side.
_SYSTEM: Final = {
    errno.ECONNREFUSED: ("the connection was refused", ""),
    errno.ECONNRESET: ("the connection was reset", ""),
    errno.ECONNABORTED: ("the connection was reset", ""),
    errno.ETIMEDOUT: ("the connection timed out", ""),
    errno.EHOSTUNREACH: ("there is no route to that host", ""),
    errno.EHOSTDOWN: ("there is no route to that host", ""),
    errno.ENETUNREACH: ("there is no route to that network", ""),
    errno.ENETDOWN: ("this machine's network is down", ""),
    errno.EADDRNOTAVAIL: ("this machine has no address or port left to connect from", _MORE_PORTS),
    errno.EMFILE: ("this process has too many files open", OPEN_MORE_FILES),
    errno.ENFILE: ("this machine has too many files open", _MORE_MACHINE_FILES),
    errno.ENOBUFS: ("this machine has no memory left for it", MORE_MEMORY),
    errno.ENOMEM: ("this machine has no memory left for it", MORE_MEMORY),
    errno.EAGAIN: (NO_THREAD, MORE_THREADS),
    errno.EACCES: ("this machine does not allow it", _CHECK_FIREWALL),
    errno.EPERM: ("this machine does not allow it", _CHECK_FIREWALL),
    errno.EAFNOSUPPORT: ("this machine does not allow addresses of that family", _CHECK_FIREWALL),
}
_RESOLVING: Final = {
    socket.EAI_NONAME: "the name does not exist",
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME): "the name does not exist",
    socket.EAI_AGAIN: "no name server gave an answer",
    socket.EAI_FAIL: "a name server returned an error",
    getattr(socket, "EAI_ADDRFAMILY", socket.EAI_FAMILY): "it has no address of a family that this machine uses",
}
_OPENSSL_WORD: Final = re.compile(r"[A-Z0-9_]{3,60}")
_HANDSHAKE: Final = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "HTTP_REQUEST": "it does not speak TLS",
    "RECORD_LAYER_FAILURE": "it does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "it does not support TLS 1.2 or later",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not support TLS 1.2 or later",
    "PACKET_LENGTH_TOO_LONG": "it does not speak TLS",
    "BAD_RECORD_TYPE": "it does not speak TLS",
    "UNEXPECTED_EOF_WHILE_READING": "the connection was closed",
    "TLSV1_UNRECOGNIZED_NAME": "it does not serve that host name",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it requires a client certificate, which this exporter does not send",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it accepts none of the cipher suites, or requires a client certificate",
    "TLSV1_ALERT_INTERNAL_ERROR": "it reports an internal error",
    "TLSV1_ALERT_ACCESS_DENIED": "it denies access",
    "DH_KEY_TOO_SMALL": "its Diffie-Hellman key is too weak",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "it does not support secure renegotiation (RFC 5746)",
}


class NetworkError(httpx.TransportError):
    """No response, or one that is not HTTP: `code` is `connect` or `malformed`, `advice` is for the operator."""

    def __init__(self, message: str, *, advice: str, code: str = error_codes.CONNECT) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.code = code


class ConnectionLost(NetworkError):
    """A reused connection was closed before the response began: the request may be sent again."""


def unresolved(name: str, error: Exception) -> NetworkError:
    """The error of a name that could not be resolved."""
    advice = ""
    if isinstance(error, socket.gaierror):
        reason = _RESOLVING.get(error.errno or 0, "name resolution failed")
    elif isinstance(error, OSError):
        reason, advice = system_reason(error, "name resolution failed")
    else:
        reason = "it is not a valid host name"
    return NetworkError(f"the name {name} was not resolved: {reason}", advice=advice or _CHECK_NAMES)


def unconnected(peer: str, error: OSError) -> NetworkError:
    """The error of a connection that was not established; `peer` is `the endpoint` or `the proxy`."""
    reason, advice = system_reason(error, os.strerror(error.errno) if error.errno else "it failed")
    return NetworkError(f"cannot connect to {peer}: {reason}", advice=advice or _CHECK_WAY)


def system_reason(error: OSError, otherwise: str) -> tuple[str, str]:
    """The reason that the operating system gives, and advice if the cause is on this machine."""
    return _SYSTEM.get(error.errno or 0, (otherwise, ""))


def no_tls(peer: str, error: OSError) -> NetworkError:
    """The error of a TLS handshake that failed for another reason than the certificate."""
    advice = ""
    if isinstance(error, ssl.SSLError):
        reason = handshake_reason(error)
    else:
        reason, advice = system_reason(error, "the connection was closed")
    return NetworkError(f"TLS handshake with {peer}: {reason}", advice=advice or _CHECK_TLS)


def handshake_reason(error: ssl.SSLError) -> str:
    """Why a TLS handshake failed."""
    word = error.reason or ""
    return _HANDSHAKE.get(word) or (f"OpenSSL says {word}" if _OPENSSL_WORD.fullmatch(word) else "it failed")


def untrusted(peer: str, reason: str, advice: str) -> NetworkError:
    """The error of a certificate that is not trusted."""
    return NetworkError(f"TLS handshake with {peer}: {reason}", advice=advice)


def closed(when: str) -> NetworkError:
    """The error of a connection that was closed too early."""
    return NetworkError(f"the connection was closed {when}", advice=_CHECK_PEER)


def not_answered(error: Exception | None) -> NetworkError:
    """The error of a new connection that was lost before the response; with TLS 1.3, alerts come only then."""
    return no_tls("the endpoint", error) if isinstance(error, ssl.SSLError) else closed("before the response")


def lost() -> ConnectionLost:
    """The error of a reused connection that turned out to be closed."""
    return ConnectionLost("the connection was closed before the response", advice=_CHECK_PEER)


def no_http(reason: str) -> NetworkError:
    """The error of a response that is not valid HTTP."""
    return NetworkError(f"the response is not valid HTTP: {reason}", advice=_NO_HTTP, code=error_codes.MALFORMED)


def unsendable() -> NetworkError:
    """The error of a request that cannot be written as HTTP; nothing was sent."""
    return NetworkError("the request cannot be written as HTTP", advice=_CHECK_ENDPOINT)


def proxy_refused(status: int) -> NetworkError:
    """The error of a proxy that did not connect; its own text is not shown, because it may repeat credentials."""
    reason, advice = {
        407: ("wants other credentials", "Put the right user and password into the variable that names the proxy."),
        403: ("does not allow this endpoint", "Have the endpoint allowed at the proxy, or add its host to NO_PROXY."),
    }.get(status, ("did not connect", "Check the proxy, and that it can reach the endpoint."))
    return NetworkError(f"the proxy {reason} (HTTP {status})", advice=advice)
