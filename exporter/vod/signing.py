"""Sign a request: request + credentials → ACS3-HMAC-SHA256 signature (pure), and the same as an `httpx.Auth`."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from exporter.vod.credentials.sources import Credentials

ALGORITHM: Final = "ACS3-HMAC-SHA256"


def canonical_query(parameters: Iterable[tuple[str, str]]) -> str:
    """Parameters sorted by name and percent-encoded, `A-Za-z0-9-_.~` left alone (Alibaba Cloud's signature page)."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(parameters))


@lru_cache(1024)
def _quoted(text: str) -> str:
    """Percent-encode one name or value; cached, because most of them recur."""
    return quote(text, safe="~")


def canonical_request(
    method: str, path: str, parameters: Iterable[tuple[str, str]], headers: Mapping[str, str]
) -> tuple[str, str]:
    """The text that is signed and the names of its headers, `a;b`.

    `headers` are the ones to sign, names in lower case, `x-acs-content-sha256` (the hash of the body) among them.
    """
    ordered = sorted(headers)
    names = ";".join(ordered)
    lines = "".join([f"{name}:{headers[name].strip()}\n" for name in ordered])
    query = canonical_query(parameters)
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{headers['x-acs-content-sha256']}", names


def authorization(
    method: str,
    path: str,
    parameters: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    credentials: Credentials,
) -> str:
    """The value of the Authorization header; arguments as for `canonical_request`."""
    canonical, names = canonical_request(method, path, parameters, headers)
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(credentials.access_key_secret.encode(), to_sign.encode(), "sha256").hex()
    return f"{ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={names},Signature={signature}"


def new_nonce() -> str:
    """128 random bits in hexadecimal; each attempt needs a new one."""
    return secrets.token_hex(16)


class Acs3Auth(httpx.Auth):
    """Signs every attempt with the time and a nonce of its own.

    Signed are the host that is sent (with its port where that is not the default), a content type where there is one,
    and every `x-acs-*` header; with a temporary credential its token is one of them.
    """

    requires_request_body = True

    def __init__(
        self, credentials: Credentials, *, now: Callable[[], float] = time.time, nonce: Callable[[], str] = new_nonce
    ) -> None:
        self._credentials = credentials
        self._now = now
        self._nonce = nonce

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add date, nonce, hash, token and signature, then send once."""
        added = {
            "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now())),
            "x-acs-signature-nonce": self._nonce(),
            "x-acs-content-sha256": hashlib.sha256(request.content).hexdigest(),
        }
        if self._credentials.security_token is not None:
            added["x-acs-security-token"] = self._credentials.security_token
        present = [(name.lower().decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw]
        signed = {name: value for name, value in present if _is_signed(name)} | added
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        parameters = parse_qsl(query, keep_blank_values=True)
        added["authorization"] = authorization(request.method, path, parameters, signed, self._credentials)
        # Replace all headers at once: each header that is set individually makes httpx scan all of them.
        request.headers = httpx.Headers([pair for pair in present if pair[0] not in added] + [*added.items()])
        yield request


def _is_signed(name: str) -> bool:
    return name in ("host", "content-type") or name.startswith("x-acs-")
