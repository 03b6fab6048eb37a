"""Sign a request: its query and headers + credentials → the headers of the signed request (ACS3-HMAC-SHA256)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.vod.credentials.sources import Credentials

ALGORITHM: Final = "ACS3-HMAC-SHA256"
_EMPTY_BODY: Final = hashlib.sha256(b"").hexdigest()


def canonical_query(parameters: Iterable[tuple[str, str]]) -> str:
    """Parameters sorted by name and percent-encoded, `A-Za-z0-9-_.~` left alone (Alibaba Cloud's signature page)."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(parameters))


@lru_cache(1024)
def _quoted(text: str) -> str:
    """Percent-encode one name or value; cached, because most of them recur."""
    return quote(text, safe="~")


def canonical_request(query: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """The text that is signed of a `POST /?query` without a body, and the names of its headers, `a;b`.

    `query` is canonical. `headers` are the ones to sign, names in lower case, `x-acs-content-sha256` among them.
    """
    ordered = sorted(headers)
    names = ";".join(ordered)
    lines = "".join([f"{name}:{headers[name].strip()}\n" for name in ordered])
    return f"POST\n/\n{query}\n{lines}\n{names}\n{_EMPTY_BODY}", names


def signed_headers(
    query: str, headers: Mapping[str, str], credentials: Credentials, *, at: float, nonce: str
) -> dict[str, str]:
    """The headers of a `POST /?query` without a body, with date, nonce, hash, token and signature added.

    `query` is canonical; the names of `headers` are in lower case; `at` is seconds since 1970. Signed are the host that
    is sent (with its port where that is not the default), a content type where there is one, and every `x-acs-*`
    header; with a temporary credential its token is one of them.
    """
    added = {
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": _EMPTY_BODY,
    }
    if credentials.security_token is not None:
        added["x-acs-security-token"] = credentials.security_token
    signed = {name: value for name, value in headers.items() if _is_signed(name)} | added
    canonical, names = canonical_request(query, signed)
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(credentials.access_key_secret.encode(), to_sign.encode(), "sha256").hex()
    authorization = f"{ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={names},Signature={signature}"
    return {**headers, **added, "authorization": authorization}


def new_nonce() -> str:
    """128 random bits in hexadecimal; each attempt needs a new one."""
    return secrets.token_hex(16)


def _is_signed(name: str) -> bool:
    return name in ("host", "content-type") or name.startswith("x-acs-")
