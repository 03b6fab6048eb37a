from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.error_responses import ApiError
from exporter.simulator.signature_check import SignedRequest, Verifier, string_to_sign
from tests.simulator.clients import NOON, signed

KEY = AccessKeyPair("key", "secret")
TEMPORARY = AccessKeyPair("key", "secret", "token")
QUERY = {"PageNo": "1", "Title": "a b*~", "PageSize": ""}


def _signed_request(**signing: Any) -> SignedRequest:
    headers = signed(QUERY, **{"credentials": KEY, **signing})
    return SignedRequest("POST", list(QUERY.items()), headers, signing.get("body", b""))


def _with(request: SignedRequest, **headers: str | None) -> SignedRequest:
    changed = {**request.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return replace(request, headers={name: value for name, value in changed.items() if value is not None})


def _code(request: SignedRequest, **verifying: Any) -> str:
    with pytest.raises(ApiError) as raised:
        Verifier().verify(request, **{"credentials": KEY, "now": NOON, **verifying})
    return raised.value.code


def test_the_documented_example_of_a_signature_is_reproduced() -> None:
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-version": "2014-05-26",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    names = ";".join(sorted(headers))
    query = [
        ("RegionId", "cn-shanghai"),
        ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
    ]
    signature = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    headers["authorization"] = (
        f"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={names},Signature={signature}"
    )
    request = SignedRequest("POST", query, headers, b"")
    digest = "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
    assert string_to_sign(request, names) == f"ACS3-HMAC-SHA256\n{digest}"
    Verifier().verify(request, AccessKeyPair("YourAccessKeyId", "YourAccessKeySecret"), now=1698315752.0)


@pytest.mark.parametrize(
    "signing",
    [
        {},
        {
            "extra": {
                "accept": "application/json",
                "user-agent": "AlibabaCloud (Linux)",
                "x-acs-credentials-provider": "x",
            }
        },
        {"body": b"PageNo=1", "extra": {"content-type": "application/x-www-form-urlencoded"}},
        {"now": NOON - 899},
        {"now": NOON + 899},
    ],
)
def test_a_valid_request_may_sign_further_headers(signing: dict[str, Any]) -> None:
    Verifier().verify(_signed_request(**signing), KEY, now=NOON)


def test_a_header_outside_x_acs_may_be_unsigned() -> None:
    Verifier().verify(_with(_signed_request(), content_type="application/octet-stream"), KEY, now=NOON)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"authorization": None}, "MissingAuthorization"),
        ({"x_acs_date": None}, "MissingTimestamp"),
        ({"x_acs_signature_nonce": None}, "MissingSignatureNonce"),
        ({"x_acs_content_sha256": None}, "MissingContentSha256"),
        ({"authorization": "Basic eDp5"}, "IncompleteSignature"),
        ({"x_acs_credentials_provider": "unsigned"}, "IncompleteSignature"),
        ({"x_acs_version": None}, "IncompleteSignature"),
        ({"host": "elsewhere.example"}, "SignatureDoesNotMatch"),
        ({"x_acs_content_sha256": "0" * 64}, "SignatureDoesNotMatch"),
        ({"x_acs_security_token": " "}, "IncompleteSignature"),
    ],
)
def test_a_request_changed_after_signing_is_rejected(headers: dict[str, str | None], code: str) -> None:
    assert _code(_with(_signed_request(), **headers)) == code


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (_signed_request(credentials=AccessKeyPair("other", "secret")), "InvalidAccessKeyId.NotFound"),
        (_signed_request(credentials=AccessKeyPair("key", "guess")), "SignatureDoesNotMatch"),
        (replace(_signed_request(), method="GET"), "SignatureDoesNotMatch"),
        (replace(_signed_request(), query=[("PageNo", "2")]), "SignatureDoesNotMatch"),
        (replace(_signed_request(), body=b"more"), "SignatureDoesNotMatch"),
        (_signed_request(now=NOON - 901), "InvalidTimeStamp.Expired"),
        (_signed_request(now=NOON + 901), "InvalidTimeStamp.Expired"),
        (_signed_request(extra={"x-acs-date": "2026-03-18 12:00:00"}), "InvalidTimeStamp.Format"),
        (_signed_request(credentials=TEMPORARY), "InvalidSecurityToken.MismatchWithAccessKey"),
        (_signed_request(extra={"x-acs-security-token": ""}), "InvalidSecurityToken.Malformed"),
    ],
)
def test_an_invalid_request_is_rejected(request_: SignedRequest, code: str) -> None:
    assert _code(request_) == code


def test_a_temporary_key_needs_its_token() -> None:
    Verifier().verify(_signed_request(credentials=TEMPORARY), TEMPORARY, now=NOON)
    assert _code(_signed_request(), credentials=TEMPORARY) == "MissingSecurityToken"
    other = replace(TEMPORARY, security_token="another")
    assert (
        _code(_signed_request(credentials=other), credentials=TEMPORARY) == "InvalidSecurityToken.MismatchWithAccessKey"
    )
    expired = _signed_request(credentials=TEMPORARY)
    assert _code(expired, credentials=TEMPORARY, token_expired=True) == "InvalidSecurityToken.Expired"


def test_a_nonce_is_accepted_once_while_its_date_is_valid() -> None:
    verifier = Verifier()
    verifier.verify(_signed_request(nonce="once"), KEY, now=NOON)
    with pytest.raises(ApiError, match="SignatureNonceUsed"):
        verifier.verify(_signed_request(nonce="once", now=NOON + 900), KEY, now=NOON + 900)
    later = NOON + 1801
    verifier.verify(_signed_request(nonce="once", now=later), KEY, now=later)


def test_a_rejected_request_does_not_use_up_its_nonce() -> None:
    verifier = Verifier()
    with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
        verifier.verify(_signed_request(nonce="kept", credentials=AccessKeyPair("key", "guess")), KEY, now=NOON)
    verifier.verify(_signed_request(nonce="kept"), KEY, now=NOON)


def test_a_signature_error_has_the_string_to_sign_and_no_secret() -> None:
    request = _signed_request(credentials=AccessKeyPair("key", "guess"))
    with pytest.raises(ApiError) as raised:
        Verifier().verify(request, KEY, now=NOON)
    names = request.headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
    assert raised.value.message.endswith("server string to sign is:" + string_to_sign(request, names))
    assert "secret" not in str(raised.value)


def test_the_repr_of_credentials_shows_no_secret() -> None:
    assert "secret'" not in repr(TEMPORARY)
    assert "token'" not in repr(TEMPORARY)


@pytest.mark.parametrize("wrong", [("", "s", None), ("k", "", None), ("k", "s", "")])
def test_empty_credentials_are_rejected(wrong: tuple[str, str, str | None]) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        AccessKeyPair(*wrong)
