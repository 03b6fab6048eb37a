"""Certificates of the matrix: one authority that clients trust and one that they do not."""

from __future__ import annotations

import contextlib
import os
import ssl
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import trustme

from tests.campaigns.faults.fault import ConnectionFault

if TYPE_CHECKING:
    from collections.abc import Generator

_HOST = "127.0.0.1"


@cache
def _trusted() -> trustme.CA:
    return trustme.CA()


@cache
def leaf(connection_fault: ConnectionFault) -> trustme.LeafCert:
    """The certificate that the service presents during that connection fault."""
    match connection_fault:
        case ConnectionFault.UNTRUSTED:
            return trustme.CA().issue_cert(_HOST)
        case ConnectionFault.EXPIRED:
            return _trusted().issue_cert(_HOST, not_after=datetime(2024, 1, 1, tzinfo=UTC))
        case ConnectionFault.MISNAMED:
            return _trusted().issue_cert("vod.example")
        case _:
            return _trusted().issue_cert(_HOST)


def context() -> ssl.SSLContext:
    """A server's context without a certificate yet."""
    return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)


@contextlib.contextmanager
def trusting() -> Generator[None]:
    """Within this context clients trust the one authority only: loading the system's authorities takes longer."""
    before = os.environ.get("SSL_CERT_FILE")
    with _trusted().cert_pem.tempfile() as file:
        os.environ["SSL_CERT_FILE"] = file
        try:
            yield
        finally:
            del os.environ["SSL_CERT_FILE"]
            if before is not None:
                os.environ["SSL_CERT_FILE"] = before
