"""Asks a running exporter whether it is healthy, as the image's health check does: status 0 or 1 and one line why."""

from __future__ import annotations

import http.client
import ssl
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.commands import certificate_errors
from exporter.errors import FlagError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

T = TypeVar("T")

# The program is started for each check, every few seconds for years: nothing but the standard library is imported here.

_PATH: Final = "/-/healthy"
# Whoever listens there may be someone else, with much to say.
_LINE: Final = 200


def run(arguments: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Ask once; 0 when the answer is 200, else 1. Raises FlagError for certificates that cannot be used."""
    place: SplitResult = arguments.url
    connection = _connection(place, arguments)
    url = f"{place.geturl()}{_PATH}"
    try:
        # Straight to the exporter: proxies of the environment are for the API.
        connection.request("GET", f"{place.path}{_PATH}", headers={"User-Agent": "aliyun-vod-exporter check-healthy"})
        answer = connection.getresponse()
        status, said = answer.status, answer.read(_LINE).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return _told(1, url, _reason(error, place.scheme))
    finally:
        connection.close()
    if status != HTTPStatus.OK:
        return _told(1, url, f"HTTP {status}, {said}")
    return _told(0, url, said)


def _connection(place: SplitResult, arguments: argparse.Namespace) -> http.client.HTTPConnection:
    if place.scheme == "http":
        return http.client.HTTPConnection(place.hostname or "", place.port, timeout=arguments.timeout)
    context = _readable("--tls.ca-file", lambda: ssl.create_default_context(cafile=arguments.ca_file))
    if arguments.cert_file:
        flags = "--tls.cert-file, --tls.key-file" if arguments.key_file else "--tls.cert-file"
        _readable(flags, lambda: context.load_cert_chain(arguments.cert_file, arguments.key_file))
    elif arguments.key_file:
        raise FlagError("--tls.key-file: give --tls.cert-file too")
    if arguments.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(place.hostname or "", place.port, timeout=arguments.timeout, context=context)


def _readable(flags: str, read: Callable[[], T]) -> T:
    """What is made of the files that flags name. Raises FlagError."""
    try:
        return read()
    except OSError as error:
        why = "is not PEM, or the key fits no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise FlagError(f"{flags}: {why}; write a readable PEM file") from None


def _told(status: int, url: str, said: str) -> int:
    """One line, whatever was said: on stdout when healthy, else on stderr."""
    line = "".join(character if character.isprintable() else " " for character in said).strip()
    stream = sys.stderr if status else sys.stdout
    stream.write(f"{url}: {line[:_LINE]}\n")
    return status


def _reason(error: Exception, scheme: str) -> str:
    """What went wrong and, where a flag may mend it, which."""
    match error:
        case ssl.SSLCertVerificationError():
            said = certificate_errors.reason(error.verify_code)
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
            said = "does not speak TLS; write http:// in --url"
        case ssl.SSLError() | http.client.HTTPException() | ConnectionResetError() if scheme == "https":
            said = "ended the connection; if it asks for a client certificate, give --tls.cert-file"
        case http.client.HTTPException() | ConnectionResetError():
            said = "no answer in HTTP; if it speaks TLS, write https:// in --url"
        case TimeoutError():
            said = "no answer in time"
        case ConnectionRefusedError():
            said = "nothing listens there"
        case _:
            said = str(getattr(error, "strerror", None) or error)
    return said
