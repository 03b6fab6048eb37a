"""Every key of the web configuration, by files: good ones with a real handshake or request, bad ones with errors."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import pytest

from exporter.errors import ConfigError
from exporter.web.access.parser import HEADERS, SECTIONS, TLS_SETTINGS
from exporter.web.access.policy import load
from exporter.web.access.settings import CURVES, SUITES_TLS12, SUITES_TLS13, VERSIONS, ClientAuth
from tests.web.clients import Client, Refused
from tests.web.harness import TESTDATA, prepared, served

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PLAIN: Final = Client(tls=False)
TLS: Final = Client()
# The expected response: attributes and their values, or headers (None: absent).
Expected = dict[str, object]
NO: Final[Expected] = {}  # no answer: the handshake or the connection fails
YES: Final[Expected] = {"status": 200}
HORSE: Final = "prometheus:correct horse"

SAN_BY_ONE: Final = [
    (Client(cert="client"), YES),
    (Client(cert="nameless"), NO),
    (Client(cert="stranger"), NO),
    (TLS, NO),
]
UNVERIFIED: Final = [(TLS, NO), (Client(cert="client"), YES), (Client(cert="stranger"), YES)]
VERIFIED: Final = [
    (TLS, NO),
    (Client(cert="client"), YES),
    (Client(cert="nameless"), YES),
    (Client(cert="stranger"), NO),
    (Client(cert="client", only="TLS12"), YES),
    (Client(cert="stranger", only="TLS12"), NO),
    (Client(cert="server"), NO),  # signed by the right CA, but not for client authentication
    (Client(cert="enciphers"), YES),
    (Client(cert="anything"), YES),
    (Client(cert="anything", only="TLS12"), YES),
]
NEW: Final[list[tuple[Client, Expected]]] = [
    (Client(only="TLS13"), {"version": "TLSv1.3"}),
    (Client(only="TLS12"), {"version": "TLSv1.2"}),
    (Client(only="TLS11"), NO),
    (Client(only="TLS10"), NO),
]
ALL_HEADERS: Final[Expected] = {
    "content-security-policy": "default-src 'self'",
    "x-frame-options": "deny",
    "x-content-type-options": "nosniff",
    "x-xss-protection": "1; mode=block",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
}


def _offered(curve: str, expected: Expected) -> list[tuple[Client, Expected]]:
    """A client that offers only this curve, if Python's ssl supports it: that of 3.11.2 does not support X25519."""
    try:
        ssl.create_default_context().set_ecdh_curve(curve)
    except ssl.SSLError:
        return []
    return [(Client(curve=curve), expected)]


X25519: Final = _offered("X25519", YES)
AES128, AES256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"

GOOD: Final[Mapping[str, list[tuple[Client, Expected]]]] = {
    "empty": [(PLAIN, {"status": 200, "body": b"http /metrics\n"}), (TLS, NO)],
    "null_sections": [(PLAIN, YES)],
    "cert_file": [
        (TLS, {"status": 200, "body": b"https /metrics\n"}),
        (PLAIN, {"status": 400, "body": b"Client sent an HTTP request to an HTTPS server.\n"}),
    ],
    "cert_chain": [(TLS, YES)],
    "cert_rsa": [(TLS, YES), (Client(only="TLS12"), {"cipher": "ECDHE-RSA-AES256-GCM-SHA384"})],
    "cert_inline": [(TLS, YES)],
    "cert_subfolder": [(TLS, YES)],
    "client_none": [(TLS, YES), (Client(cert="stranger"), YES)],
    "client_request": [(TLS, YES), (Client(cert="client"), YES), (Client(cert="stranger"), YES)],
    "client_request_ca": [(TLS, YES), (Client(cert="client"), YES), (Client(cert="stranger"), YES)],
    "client_require_any": UNVERIFIED,
    "client_require_any_alias": UNVERIFIED,
    "client_verify_if_given": [(TLS, YES), (Client(cert="client"), YES), (Client(cert="stranger"), NO)],
    "client_require_and_verify": VERIFIED,
    "client_ca_inline": VERIFIED,
    "client_ca_intermediate": [(Client(cert="below"), YES), (Client(cert="client"), NO), (Client(cert="stranger"), NO)],
    "client_ca_own": [(Client(cert="stranger"), YES), (Client(cert="client"), NO), (TLS, NO)],
    "client_auth_blank": [(TLS, YES), (Client(cert="stranger"), YES)],
    "client_san_dns": SAN_BY_ONE,
    "client_san_email": SAN_BY_ONE,
    "client_san_ip": SAN_BY_ONE,
    "client_san_uri": SAN_BY_ONE,
    "client_san_other": [(Client(cert="client"), NO)],
    "client_san_unverified": [(Client(cert="stranger"), YES), (Client(cert="nameless"), NO), (TLS, NO)],
    "versions_default": NEW,
    "versions_tls13": [(Client(only="TLS13"), YES), (Client(only="TLS12"), NO)],
    "versions_tls12": [(Client(only="TLS13"), NO), (Client(only="TLS12"), YES)],
    "versions_old": [
        (Client(only="TLS12"), NO),
        (Client(only="TLS11"), {"version": "TLSv1.1"}),
        (Client(only="TLS10"), {"version": "TLSv1"}),
    ],
    "versions_all": [(Client(only="TLS10"), {"version": "TLSv1"}), (TLS, {"version": "TLSv1.3"})],
    "suites_one": [
        (Client(only="TLS12"), {"cipher": "ECDHE-ECDSA-CHACHA20-POLY1305"}),
        (Client(only="TLS12", ciphers=AES128), NO),
        (TLS, {"version": "TLSv1.3"}),
    ],
    "suites_order_ours": [(Client(ciphers=f"{AES128}:{AES256}"), {"cipher": AES256})],
    "suites_order_theirs": [(Client(ciphers=f"{AES128}:{AES256}"), {"cipher": AES128})],
    "suites_tls13": [(TLS, {"cipher": "TLS_CHACHA20_POLY1305_SHA256"})],
    "suites_all": [
        (Client(only="TLS12", ciphers="ECDHE-ECDSA-AES256-SHA"), {"cipher": "ECDHE-ECDSA-AES256-SHA"}),
        (TLS, {"version": "TLSv1.3"}),
    ],
    "curves_all": [
        *X25519,
        (Client(curve="prime256v1"), YES),
        (Client(curve="secp384r1"), YES),
        (Client(curve="secp521r1"), YES),
    ],
    "curves_some": [
        *X25519,
        (Client(curve="secp521r1"), YES),
        (Client(curve="prime256v1"), NO),
        (Client(curve="secp384r1"), NO),
    ],
    "http2_default": [(Client(alpn=("h2", "http/1.1")), {"status": 200, "alpn": "http/1.1"})],
    "http2_short": [(Client(alpn=("h2", "http/1.1")), {"status": 200, "alpn": "http/1.1"})],
    "http2_off": [(Client(alpn=("h2", "http/1.1")), {"status": 200, "alpn": "http/1.1"})],
    "headers": [(PLAIN, ALL_HEADERS), (Client(tls=False, path="/-/healthy"), ALL_HEADERS)],
    "headers_blank": [
        (PLAIN, {"content-security-policy": None, "x-content-type-options": None, "x-frame-options": "sameorigin"})
    ],
    "users": [
        (PLAIN, {"status": 401, "www-authenticate": 'Basic realm="aliyun-vod-exporter", charset="UTF-8"'}),
        (Client(tls=False, user=HORSE), YES),
        (Client(tls=False, user="a:another"), YES),
        (Client(tls=False, user="y y:correct horse"), YES),
        (Client(tls=False, user="prometheus:another"), {"status": 401}),
        (Client(tls=False, user="prometheus:"), {"status": 401}),
        (Client(tls=False, user="nobody:correct horse"), {"status": 401}),
        (Client(tls=False, user="no colon"), {"status": 401}),
        (Client(tls=False, path="/-/reload"), {"status": 401}),
        (Client(tls=False, path="/-/healthy/../../metrics"), {"status": 401}),
        (Client(tls=False, path="/-/healthy"), YES),
        (Client(tls=False, path="/-/ready"), YES),
    ],
    "users_2x": [(Client(tls=False, user=HORSE), YES), (Client(tls=False, user="prometheus:another"), {"status": 401})],
    "users_tls": [(TLS, {"status": 401}), (Client(user=HORSE), YES)],
    "users_none": [(PLAIN, YES)],
    "rate_limit": [
        (PLAIN, YES),
        (PLAIN, YES),
        (PLAIN, {"status": 429, "retry-after": "3600"}),
        (Client(tls=False, path="/-/healthy"), YES),
    ],
    "rate_limit_large": [(PLAIN, YES)],
    "rate_limit_longest": [(PLAIN, YES)],
    "rate_limit_off": [(PLAIN, YES), (PLAIN, YES), (PLAIN, YES)],
    "everything": [
        (Client(cert="client", user=HORSE), {"status": 200, "cipher": "TLS_AES_256_GCM_SHA384"}),
        (Client(cert="client", user=HORSE), {"status": 429, "strict-transport-security": "max-age=60"}),
        (Client(user=HORSE), NO),
    ],
}

BAD: Final[Mapping[str, str]] = {
    "section_unknown": "1:1: 'tls_config' is not a setting here (allowed: tls_server_config, ",
    "key_unknown": "4:3: tls_server_config: 'cert_fil' is not a setting here (allowed: cert, cert_file, ",
    "key_twice": "4:3: tls_server_config.key_file: is given twice",
    "not_yaml": "2:1: not valid YAML: a syntax error in a list or mapping; a value with",
    "not_a_mapping": "1:1: must be a mapping of settings",
    "wrong_kinds": "1:20: tls_server_config: must be a mapping of settings",
    "merge": "2:21: tls_server_config: `<<` is not supported here: write the settings out",
    "cert_missing": "2:3: tls_server_config: needs cert_file, or cert with the PEM text itself",
    "key_missing": "2:3: tls_server_config: needs key_file, or key with the PEM text itself",
    "cert_and_key_missing": "2:3: tls_server_config: needs key_file, or key with the PEM text itself",
    "cert_twofold": "4:9: tls_server_config.cert: and cert_file exclude each other",
    "key_twofold": "4:8: tls_server_config.key: and key_file exclude each other",
    "client_ca_twofold": "5:14: tls_server_config.client_ca: and client_ca_file exclude each other",
    "cert_no_file": "2:14: tls_server_config.cert_file: FOLDER/nowhere.crt cannot be read: No such file or directory",
    "key_no_file": "3:13: tls_server_config.key_file: FOLDER/nowhere.key cannot be read: No such file or directory",
    "client_ca_no_file": "5:19: tls_server_config.client_ca_file: FOLDER/nowhere.crt cannot be read: No such file",
    "cert_junk": "2:14: tls_server_config.cert_file: FOLDER/junk.pem contains no readable certificate in PEM format",
    "key_junk": "3:13: tls_server_config.key_file: FOLDER/junk.pem contains no readable private key in PEM format",
    "key_locked": "3:13: tls_server_config.key_file: FOLDER/locked.key is protected by a passphrase",
    "key_of_another": "3:13: tls_server_config.key_file: FOLDER/other.key does not belong to the certificate",
    "key_of_another_kind": "3:13: tls_server_config.key_file: FOLDER/rsa.key does not belong to the certificate",
    "client_ca_junk": "5:19: tls_server_config.client_ca_file: FOLDER/junk.pem contains no readable certificate in PEM",
    "client_auth_unknown": "4:21: tls_server_config.client_auth_type: 'Always' is not one of NoClientCert, Request",
    "client_ca_without_auth": "4:19: tls_server_config.client_ca_file: has no effect without client_auth_type",
    "client_auth_without_ca": "4:21: tls_server_config.client_auth_type: RequireAndVerifyClientCert needs client_ca",
    "client_auth_given_without_ca": "4:21: tls_server_config.client_auth_type: VerifyClientCertIfGiven needs client_ca",
    "client_san_without_auth": "4:24: tls_server_config.client_allowed_sans: needs client_auth_type Require",
    "client_san_optional": "6:24: tls_server_config.client_allowed_sans: needs client_auth_type Require",
    "client_san_nobody": "5:24: tls_server_config.client_allowed_sans: rejects every client: list at least one name",
    "version_unknown": "5:16: tls_server_config.max_version: 'TLS14' is not one of TLS10, TLS11, TLS12, TLS13",
    "versions_crossed": "4:16: tls_server_config.min_version: min_version TLS13 is above max_version TLS12",
    "suite_unknown": "4:58: tls_server_config.cipher_suites[1]: 'TLS_RSA_WITH_RC4_128_SHA' is not one of TLS_ECDHE_",
    "suites_only_tls13": "4:18: tls_server_config.cipher_suites: names no suite for TLS 1.2 and older",
    "suites_tls12_for_tls13": "5:18: tls_server_config.cipher_suites: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 is for",
    "suites_tls13_for_tls12": "5:18: tls_server_config.cipher_suites: TLS_AES_128_GCM_SHA256 is for TLS 1.3, and max",
    "suites_for_another_key": "tls_server_config.cipher_suites: none of them matches the certificate, whose key needs",
    "prefer_unclear": "4:32: tls_server_config.prefer_server_cipher_suites: must be true or false",
    "curve_unknown": "4:34: tls_server_config.curve_preferences[1]: 'CurveP224' is not one of CurveP256, CurveP384,",
    "curves_no_list": "4:22: tls_server_config.curve_preferences: must be a list",
    "header_unknown": "3:5: http_server_config.headers: 'X-Powered-By' is not a setting here (allowed: Content-",
    "header_values": "5:32: http_server_config.headers.Strict-Transport-Security: must be one line of ASCII text",
    "user_plain_password": "2:15: basic_auth_users.prometheus: is not a bcrypt hash: make one with htpasswd",
    "user_other_hash": "3:9: basic_auth_users.other: is not a bcrypt hash: make one with htpasswd",
    "user_impossible_salt": "2:15: basic_auth_users.prometheus: is not a bcrypt hash: make one with htpasswd",
    "user_costly": "2:15: basic_auth_users.prometheus: its cost is 31: 4 to 15 are possible, 10 is usual",
    "user_colon": "2:10: basic_auth_users.a:b: a user name cannot have a colon: HTTP ends the name there",
    "rate_limit_burst": "2:3: rate_limit: burst must be at least 1: with 0 every request would be refused",
    "rate_limit_burst_0": "2:3: rate_limit: burst must be at least 1: with 0 every request would be refused",
    "rate_limit_interval": "2:10: rate_limit.burst: has no effect without interval",
    "rate_limit_octal": "3:10: rate_limit.burst: must be a whole number from 0",
    "rate_limit_digits": "2:13: rate_limit.interval: must be a duration with its unit, as in 500ms, 1s or 1m30s",
    "rate_limit_huge": "3:10: rate_limit.burst: must be a whole number from 0 to 9223372036854775807",
    "rate_limit_longest": "2:13: rate_limit.interval: is too long: 292 years are the most",
    "rate_limit_units": "2:13: rate_limit.interval: must be a duration with its unit, as in 500ms, 1s or 1m30s",
}


def text(name: str, kind: str) -> str:
    return (TESTDATA / f"{name}.{kind}.yml").read_text()


@pytest.mark.parametrize(("kind", "names"), [("good", GOOD.keys()), ("bad", BAD.keys())])
def test_every_file_of_the_corpus_has_an_expected_result(kind: str, names: set[str]) -> None:
    assert {path.name.removesuffix(f".{kind}.yml") for path in TESTDATA.glob(f"*.{kind}.yml")} == names


def test_good_files_use_every_setting_and_every_value() -> None:
    whole = "".join(text(name, "good") for name in GOOD)
    names = [*SECTIONS, *TLS_SETTINGS, *HEADERS, *CURVES, *SUITES_TLS12, *SUITES_TLS13, *VERSIONS, *ClientAuth]
    assert [name for name in names if name not in whole] == []


@pytest.mark.parametrize("name", GOOD)
async def test_good(name: str, tmp_path: Path) -> None:
    async with served(prepared(tmp_path, text(name, "good"))) as (port, _):
        for client, expected in GOOD[name]:
            try:
                answer = await client.fetch(port, tmp_path)
            except Refused:
                assert not expected, client
            else:
                assert expected, client
                for what, value in expected.items():
                    found = getattr(answer, what, answer.headers.get(what))
                    assert found == value, (client, what)


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str, tmp_path: Path) -> None:
    path = prepared(tmp_path, text(name, "bad"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    place = "" if BAD[name].startswith("tls_server_config") else ":"
    assert any(
        line.startswith(f"{path}{place or ': '}{BAD[name]}".replace("FOLDER", str(tmp_path)))
        for line in message.splitlines()
    ), message
    assert "$2b$" not in message
    assert "PRIVATE KEY-----" not in message


def test_a_secret_used_as_a_setting_name_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("LTAI5tSecretSecret123456: x\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert "*** is not a setting here" in str(caught.value)
    assert "LTAI" not in str(caught.value)


@pytest.mark.parametrize("interval", ["1" * 1_000_000, "1h" * 500_000 + "x", "1." * 500_000])
def test_a_very_long_duration_is_refused_in_linear_time(interval: str, tmp_path: Path) -> None:
    """Quadratic time would be hours, where the limit of every test is minutes."""
    file = tmp_path / "web.yml"
    file.write_text(f"rate_limit: {{interval: '{interval}', burst: 1}}\n")
    with pytest.raises(ConfigError, match="must be a duration with its unit"):
        load(file)


@pytest.mark.parametrize("version", ["TLS12", "TLS13"])
@pytest.mark.parametrize("cert", ["nameless", "stranger", "server"])
async def test_a_rejected_client_certificate_gets_a_matching_alert(cert: str, version: str, tmp_path: Path) -> None:
    words = {"nameless": "bad certificate", "stranger": "unknown ca", "server": "unsupported certificate"}
    async with served(prepared(tmp_path, text("client_san_dns", "good"))) as (port, _):
        with pytest.raises(Refused) as caught:
            await Client(cert=cert, only=version).fetch(port, tmp_path)
    assert f"alert {words[cert]}" in str(caught.value).lower()
