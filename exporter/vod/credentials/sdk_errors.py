"""A failure of the credentials library as a message and advice without secrets; does not import the library.

Its exceptions repeat URLs, bodies and lines of files, and with them tokens, signatures and keys. Only harmless parts
are shown: the server and its error code, the failure of the network, the file that could not be read.
"""

from __future__ import annotations

import json
import re
import ssl
from typing import TYPE_CHECKING, Final

from exporter.errors import CredentialsError, ErrorKind, ErrorScope, StartError
from exporter.vod.credentials.providers import INSTALL_ROLES
from exporter.vod.error_classification import by_code
from exporter.vod.network_errors import handshake_reason, system_reason
from exporter.vod.responses import clean_message
from exporter.vod.tls_trust import ADD_AUTHORITY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_UNTRUSTED: Final = "its certificate is not trusted"
_NO_HTTP: Final = "its response is not valid HTTP"
# By exception names of requests, urllib3 and the system; the most specific ones first.
_NETWORK: Final[Mapping[str, str]] = {
    "ProxyError": "the proxy does not connect",
    "SSLCertVerificationError": _UNTRUSTED,
    "SSLError": "the TLS handshake failed",
    "NameResolutionError": "its name cannot be resolved",
    "ConnectTimeout": "it did not accept the connection in time",
    "ReadTimeout": "it did not respond in time",
    "ConnectionRefusedError": "it refused the connection",
    "RemoteDisconnected": "it closed the connection before the response",
    "IncompleteRead": "it closed the connection in the middle of the response",
    "BadStatusLine": _NO_HTTP,
    "InvalidChunkLength": _NO_HTTP,
    "ContentDecodingError": _NO_HTTP,
    "RetryError": "the connection failed",
}
_RETRIED: Final = "No action needed: it is retried."
_SETTINGS: Final = (
    "Check role_arn, oidc_provider_arn, role_session_name, session_duration and sts_endpoint of the credentials."
)
# Codes that mean something else than at other services.
# https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-errorcodes
_ADVICE: Final[Mapping[str, str]] = {
    "AuthenticationFail.OIDCToken": "The token in oidc_token_file must be a fresh one of oidc_provider_arn, made for"
    " the audience that the OIDC provider allows (sts.aliyuncs.com for RRSA).",
    "AuthenticationFail": "The trust policy of the role must name the OIDC provider and the service account; check"
    " role_arn and oidc_provider_arn.",
    "NoPermission": "Attach the policy AliyunSTSAssumeRoleAccess to the RAM user of the key, and name the user in the"
    " trust policy of the role.",
    "EntityNotExist": "STS knows no such role or OIDC provider: check role_arn and oidc_provider_arn.",
    "InvalidAccessKeyId": "Check the AccessKey that the role is assumed with.",
    "SignatureDoesNotMatch": "Check the AccessKey secret that the role is assumed with.",
    "InvalidParameter.DurationSeconds": "Make session_duration at most the maximum session duration of the role.",
    "InvalidTimeStamp": "Set this machine's clock; use NTP.",
}
_REFUSED: Final = re.compile(r"http_code[:=] ?(?P<status>\d{3}), result: (?P<body>.*)", re.DOTALL)
_METADATA_STATUS: Final = re.compile(r"ECS metadata service. HttpCode=(\d{3})")
_NO_EXPIRED_KEYS: Final = "No cached value was found."
# The text after these words, or in braces, is from a server, a program or a file.
_FOREIGN: Final = re.compile(r"\W*((result|response|stderr|output)\b|[{\n]).*", re.DOTALL)
# Tokens are at least this long, words are shorter. A leading slash starts the path of a file.
_LONG: Final = re.compile(r"(?<![\w+/=%.~-])(?!/)[\w+/=%.~-]{80,}")
# Exceptions with messages written by the library.
_WITH_CLEAR_MESSAGES: Final = ("CredentialException", "ValueError")
_METADATA_ADVICE: Final = "Attach a RAM role to the instance, and let role_name be its name or leave it out."
_NETWORK_ADVICE: Final = "Check the network path to it, and HTTPS_PROXY; it is retried."


def describe_failure(error: BaseException, server: str, hide: Collection[str]) -> tuple[str, str]:
    """The message and advice for a failed request to `server`, without the texts in `hide`."""
    message, advice = (
        _of_this_machine(error, server) or _of_the_network(error, server) or _of_the_library(error, server)
    )
    return _LONG.sub("***", clean_message(message, hide)).rstrip(" :"), advice


def _of_this_machine(error: BaseException, server: str) -> tuple[str, str] | None:
    match error:
        case CredentialsError():
            return f"{server} returned keys that cannot be used: {error.message}", error.advice
        case StartError():
            return f"{server}: {error}", ""
        case ImportError():
            return f"the library cannot be imported: {error}", f"Install it again: {INSTALL_ROLES}."
        case OSError(filename=str() as file, strerror=str() as reason):
            return f"cannot read {file}: {reason}", "Make it a file that the exporter's user may read."
        case _:
            return None


def _of_the_network(error: BaseException, server: str) -> tuple[str, str] | None:
    links = list(_linked(error))
    names = {type(link).__name__ for link in links}
    happened = next((happened for name, happened in _NETWORK.items() if name in names), None)
    if not happened:
        return None
    advice = ADD_AUTHORITY if happened == _UNTRUSTED else ""
    for link in links:
        if happened == _NETWORK["SSLError"] and isinstance(link, ssl.SSLError):
            happened = f"TLS handshake: {handshake_reason(link)}"
        elif happened == _NETWORK["RetryError"] and isinstance(link, OSError):
            happened, advice = system_reason(link, happened)
    return f"no response from {server}: {happened}", advice or _NETWORK_ADVICE


def _of_the_library(error: BaseException, server: str) -> tuple[str, str]:
    text = str(error)
    if refused := _REFUSED.search(text):
        return _refusal(server, int(refused["status"]), refused["body"])
    if status := _METADATA_STATUS.search(text):
        return f"{server} answered with HTTP {status[1]}", _METADATA_ADVICE
    if text == _NO_EXPIRED_KEYS:
        return f"{server} returned keys that had expired", "Check this machine's clock; use NTP."
    if type(error).__name__ in _WITH_CLEAR_MESSAGES:
        return _FOREIGN.sub("", text), "Check that everything the provider needs exists."
    return (
        f"the data of {server} cannot be interpreted ({type(error).__name__})",
        "Check that it is what the provider needs.",
    )


def _refusal(server: str, status: int, body: str) -> tuple[str, str]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or not isinstance(code := fields.get("Code"), str):
        return f"{server} answered with HTTP {status} and no error code", _NETWORK_ADVICE
    request_id, text = fields.get("RequestId"), fields.get("Message")
    message = f"{server} refused with {code} (HTTP {status}, request ID {request_id}): {text}"
    return message, _advice_on(code)


def _advice_on(code: str) -> str:
    for prefix, advice in _ADVICE.items():
        if code.startswith(prefix):
            return advice
    row = by_code(code)
    if row is None:
        return ""
    match row.kind:
        case ErrorKind.THROTTLED | ErrorKind.SERVER | ErrorKind.OTHER:
            return _RETRIED
        case ErrorKind.PARAMETER:
            return _SETTINGS
    return _ADVICE["NoPermission"] if row.scope is ErrorScope.ACTION else row.advice


def _linked(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
