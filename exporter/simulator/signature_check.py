"""Checks a request's ACS3-HMAC-SHA256 signature, date and nonce as the server does.

Written from the description of the signature and not from the exporter's signer, so that each tests the other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from exporter.simulator.error_responses import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.simulator.access_keys import AccessKeyPair

ALGORITHM: Final = "ACS3-HMAC-SHA256"
CLOCK_TOLERANCE: Final = 15 * 60.0
"""Seconds that a request's date may differ from the service's clock (Alibaba Cloud's page on common errors)."""

_AUTHORIZATION: Final = re.compile(
    rf"{ALGORITHM} Credential=(?P<key>[^,]+),SignedHeaders=(?P<headers>[^,]+),Signature=(?P<signature>[0-9a-f]{{64}})"
)
_MANDATORY: Final = {
    "authorization": "MissingAuthorization",
    "x-acs-date": "MissingTimestamp",
    "x-acs-signature-nonce": "MissingSignatureNonce",
    "x-acs-content-sha256": "MissingContentSha256",
}
_MAX_NONCES: Final = 200_000


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A received request: query decoded, header names in lower case, values of a repeated header joined by ','."""

    method: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


def string_to_sign(request: SignedRequest, signed_headers: str) -> str:
    """The string that client and server sign; `signed_headers` are names joined by ';', all in the request."""
    query = "&".join(f"{_quote(name)}={_quote(value)}" for name, value in sorted(request.query))
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in sorted(signed_headers.split(";")))
    body = request.headers["x-acs-content-sha256"]
    canonical = f"{request.method}\n/\n{query}\n{headers}\n{signed_headers}\n{body}"
    return f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


class Verifier:
    """Checks requests; stores their nonces for as long as their dates are valid, against replay."""

    def __init__(self) -> None:
        self._nonces: OrderedDict[str, float] = OrderedDict()

    def verify(
        self, request: SignedRequest, credentials: AccessKeyPair, *, now: float, token_expired: bool = False
    ) -> None:
        """Return for a valid request, raise ApiError for any other.

        `now` is the service's clock in seconds since 1970; with `token_expired` a valid token is rejected as expired.
        """
        for name, code in _MANDATORY.items():
            if not request.headers.get(name):
                raise ApiError(code)
        authorization = _AUTHORIZATION.fullmatch(request.headers["authorization"])
        if authorization is None:
            raise ApiError("IncompleteSignature", f"Authorization is not '{ALGORITHM} Credential=,SignedHeaders=,...'.")
        if authorization["key"] != credentials.access_key_id:
            raise ApiError("InvalidAccessKeyId.NotFound")
        _check_signed_headers(request, authorization["headers"])
        _check_date(request.headers["x-acs-date"], now)
        _check_token(request, credentials.security_token, expired=token_expired)
        expected = string_to_sign(request, authorization["headers"])
        signature = hmac.digest(credentials.access_key_secret.encode(), expected.encode(), "sha256").hex()
        body_matches = hashlib.sha256(request.body).hexdigest() == request.headers["x-acs-content-sha256"]
        if not (body_matches and hmac.compare_digest(signature, authorization["signature"])):
            raise ApiError("SignatureDoesNotMatch", expected)
        self._check_nonce(request.headers["x-acs-signature-nonce"], now)

    def _check_nonce(self, nonce: str, now: float) -> None:
        while self._nonces:
            oldest = next(iter(self._nonces))
            if len(self._nonces) < _MAX_NONCES and abs(now - self._nonces[oldest]) <= 2 * CLOCK_TOLERANCE:
                break
            del self._nonces[oldest]
        if nonce in self._nonces:
            raise ApiError("SignatureNonceUsed")
        self._nonces[nonce] = now


def _check_signed_headers(request: SignedRequest, signed_headers: str) -> None:
    signed = set(signed_headers.split(";"))
    required = {"host"} | {name for name in request.headers if name.startswith("x-acs-")}
    if unsigned := required - signed:
        raise ApiError("IncompleteSignature", f"Not signed: {', '.join(sorted(unsigned))}.")
    if absent := signed - set(request.headers):
        raise ApiError("IncompleteSignature", f"Signed but not sent: {', '.join(sorted(absent))}.")


def _check_date(date: str, now: float) -> None:
    try:
        sent = datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ApiError("InvalidTimeStamp.Format") from None
    if abs(now - sent) > CLOCK_TOLERANCE:
        raise ApiError("InvalidTimeStamp.Expired")


def _check_token(request: SignedRequest, expected: str | None, *, expired: bool) -> None:
    sent = request.headers.get("x-acs-security-token")
    if sent is None and expected is not None:
        raise ApiError("MissingSecurityToken")
    if sent is not None and not sent.strip():
        raise ApiError("InvalidSecurityToken.Malformed")
    if sent != expected:
        raise ApiError("InvalidSecurityToken.MismatchWithAccessKey")
    if sent is not None and expired:
        raise ApiError("InvalidSecurityToken.Expired")


def _quote(text: str) -> str:
    return quote(text, safe="~")
