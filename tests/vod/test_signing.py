from __future__ import annotations

import hashlib
import warnings
from types import SimpleNamespace
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vod.credentials.sources import Credentials
from exporter.vod.signing import canonical_query, canonical_request, new_nonce, signed_headers

with warnings.catch_warnings():
    # Warnings of the SDK's dependencies at import are not ours to fix.
    warnings.simplefilter("ignore")
    from alibabacloud_tea_openapi.utils import Utils

EMPTY_BODY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
DATE = 1698315752.0  # 2023-10-26T10:22:32Z
KEY = Credentials("YourAccessKeyId", "YourAccessKeySecret")
TEMPORARY = Credentials("STS.id", "secret", "CAIS+token/with==")
VECTOR_QUERY = {"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}
VECTOR_HEADERS = {
    "host": "ecs.cn-shanghai.aliyuncs.com",
    "x-acs-action": "RunInstances",
    "x-acs-content-sha256": EMPTY_BODY,
    "x-acs-date": "2023-10-26T10:22:32Z",
    "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
    "x-acs-version": "2014-05-26",
}


def signed(request: httpx.Request, credentials: Credentials = KEY, nonce: str = "n") -> httpx.Request:
    """The same request with the headers that sign it, as httpx would send it."""
    query, headers = request.url.query.decode(), dict(request.headers)
    request.headers = httpx.Headers(signed_headers(query, headers, credentials, at=DATE, nonce=nonce))
    return request


def official(request: httpx.Request, credentials: Credentials) -> str:
    """The signature of the official SDK's signer for the request as a server receives it."""
    query = request.url.query.decode()
    seen = SimpleNamespace(
        method=request.method,
        pathname="/",
        query=dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))),
        headers={n: v for n, v in request.headers.items() if n in ("host", "content-type") or n.startswith("x-acs-")},
    )
    return str(
        Utils.get_authorization(
            seen, "ACS3-HMAC-SHA256", EMPTY_BODY, credentials.access_key_id, credentials.access_key_secret
        )
    )


def request(parameters: dict[str, str], endpoint: str = "https://vod.cn-shanghai.aliyuncs.com") -> httpx.Request:
    url = httpx.URL(endpoint).copy_with(path="/", query=canonical_query(parameters.items()).encode())
    return httpx.Request("POST", url, headers={"x-acs-action": "A", "x-acs-version": "2017-03-21"})


def test_published_vector_canonical_request() -> None:
    text, names = canonical_request(canonical_query(VECTOR_QUERY.items()), VECTOR_HEADERS)
    assert names == "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"


def test_published_vector_through_httpx() -> None:
    requested = httpx.Request(
        "POST",
        "https://ecs.cn-shanghai.aliyuncs.com/",
        params=VECTOR_QUERY,
        headers={"x-acs-action": "RunInstances", "x-acs-version": "2014-05-26"},
    )
    sent = signed(requested, nonce="3156853299f313e23d1673dc12e1703d")
    assert sent.headers["authorization"] == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )
    assert sent.headers["x-acs-date"] == "2023-10-26T10:22:32Z"
    assert sent.headers["x-acs-content-sha256"] == EMPTY_BODY


@pytest.mark.parametrize("credentials", [KEY, TEMPORARY], ids=["key", "token"])
@pytest.mark.parametrize(
    "endpoint", ["https://vod.cn-shanghai.aliyuncs.com", "http://127.0.0.1:8080", "http://[::1]:81"]
)
@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a b",
        "a+b",
        "*",
        "~",
        "/",
        "&",
        "=",
        "%",
        "%20",
        "a&b=c",
        "?",
        "#",
        "'\"\\",
        "阿里云",
        "🎬",
        "-_.~",
        "\t\n",
    ],
)
def test_agrees_with_the_official_signer(value: str, endpoint: str, credentials: Credentials) -> None:
    sent = signed(request({"MediaId": value, "Os": "iOS", "PageNo": "1"}, endpoint), credentials)
    assert sent.headers["authorization"] == official(sent, credentials)


@given(
    st.dictionaries(
        st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])),
        max_size=6,
    )
)
def test_agrees_with_the_official_signer_for_any_value(parameters: dict[str, str]) -> None:
    sent = signed(request(parameters), TEMPORARY)
    assert sent.headers["authorization"] == official(sent, TEMPORARY)


def test_wire_and_signature_spell_the_query_alike() -> None:
    parameters = {"b": "a b*+~/&=%你🎬'", "a": ""}
    sent = signed(request(parameters))
    assert sent.url.query.decode() == canonical_query(parameters.items())
    assert sent.url.query.startswith(b"a=&b=a%20b%2A%2B~%2F%26%3D%25%E4%BD%A0")
    assert dict(sent.url.params) == parameters


def test_signs_port_token_and_content_type() -> None:
    requested = httpx.Request(
        "POST", "http://127.0.0.1:8080/", headers={"Content-Type": "application/json", "User-Agent": "x"}
    )
    sent = signed(requested, TEMPORARY)
    assert sent.headers["host"] == "127.0.0.1:8080"
    assert sent.headers["x-acs-security-token"] == TEMPORARY.security_token
    assert sent.headers["x-acs-content-sha256"] == EMPTY_BODY
    names = sent.headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
    assert names == "content-type;host;x-acs-content-sha256;x-acs-date;x-acs-security-token;x-acs-signature-nonce"


@pytest.mark.parametrize("name", ["x-acs-action", "x-acs-version", "host"])
def test_signature_covers_the_header(name: str) -> None:
    other = request({"a": "b"})
    other.headers[name] = "other"
    assert signed(other).headers["authorization"] != signed(request({"a": "b"})).headers["authorization"]


def test_nonces_differ() -> None:
    nonces = {new_nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert all(len(nonce) == 32 for nonce in nonces)


def test_all_but_a_few_characters_of_the_query_are_encoded() -> None:
    assert canonical_query([("b", "x/y?z&=+ *"), ("a", "-_.~")]) == "a=-_.~&b=x%2Fy%3Fz%26%3D%2B%20%2A"
