from __future__ import annotations

import ast
import asyncio
import errno
import inspect
import os
import re
import socket
import ssl
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import exporter
from exporter.core import media_details
from exporter.discovery import permits
from exporter.errors import AccountPaused, CredentialsError, ErrorKind, QuotaExceeded, UpstreamError
from exporter.status import languages
from exporter.status.filters import FilterError, check, parse
from exporter.status.languages import LANGUAGES, OWN_CODES, is_own, preferred, translated, words
from exporter.vod import (
    categories,
    error_bodies,
    error_codes,
    lenient_decoder,
    media_source,
    metadata_values,
    network_errors,
    network_route,
    play_data,
    player_metrics,
    response_head,
    responses,
    row_values,
    search_media,
    tls_trust,
    transport,
    video_infos,
)
from exporter.vod.auth_breaker import AuthCircuitBreaker
from exporter.vod.credentials.credential_files import SecretFile
from exporter.vod.credentials.sources import Credentials, EnvCredentials, validate_secret
from exporter.vod.daily_quota import DailyQuota
from exporter.vod.error_classification import classify
from exporter.vod.network_route import AttemptProgress
from exporter.vod.play_data import PLAY_DATA
from exporter.vod.responses import RawResponse
from tests.status.examples import NOW
from tests.vod.pages import decode
from tests.web.pki import issue

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    english, chinese = map(words, LANGUAGES)

    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert placeholders(text) == placeholders(chinese[key]), key


def placeholders(text: str) -> list[str]:
    """Numbered ones in their order, and named ones, whose order differs between languages."""
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def test_every_text_is_used() -> None:
    folder = Path(languages.__file__).parent
    used = " ".join(path.read_text() for path in [*folder.glob("*.py"), folder / "templates" / "page.html"])
    for key in words("en"):
        family = re.match(
            r"(trouble|kind|by|state|meaning|result|media|sort|media_sort|account|days_ago|span|link)_", key
        )
        assert re.search(rf"\b{key}\b", used) or (family and f"{family[1]}_" in used), key


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("ZH-hant", "zh"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("de, zh;q=0.5", "zh"),
        ("zh;q=0", "en"),
        ("zh;q=0.5, en;q=0.5", "en"),
        ("zh;q=0.5;x=1, en;q=0.4", "zh"),
        ("zh;q=nan, zh;q=x, zh;q=7", "en"),
        ("fr", "en"),
        ("," * 100_000, "en"),
    ],
)
def test_the_preferred_language_is_chosen(header: str | None, language: str) -> None:
    assert preferred(header) == language


# The modules whose advice reaches the page.
ADVISING = [
    "vod/error_codes.py",
    "vod/credentials/sdk_errors.py",
    "vod/credentials/credential_files.py",
    "vod/credentials/sources.py",
    "vod/credentials/cache.py",
    "vod/rate_limits.py",
    "vod/exchange.py",
    "vod/network_errors.py",
    "vod/player_metrics.py",
    "vod/responses.py",
    "vod/tls_trust.py",
    "core/page_reader.py",
]
NAMES_IN_CHINESE = {
    *("VOD", "TLS", "HTTP", "OpenSSL", "CA", "RFC", "Python", "CONNECT", "vod", "example"),
    *("Content", "Length", "Transfer", "Encoding"),
}
STRERROR_SHOWN = {
    number
    for number in errno.errorcode
    if os.strerror(number) in network_errors.unconnected("", OSError(number, "raw text")).message
}
CERTIFICATES = [issue("VOD", sans=sans).certificate.public_bytes(Encoding.DER) for sans in ((), (x509.DNSName("VOD"),))]
# Not sentences: patterns for messages of libraries.
NO_ADVICE = {"No cached value was found."}


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text of a module except docstrings, with `{}` for values."""
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    plain = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inner | plain):
            yield node.value


def sentences() -> list[str]:
    """Every advice in the source code."""
    folder = Path(exporter.__file__).parent
    found = [text for file in ADVISING for text in texts(ast.parse((folder / file).read_text(encoding="utf-8")))]
    whole = {text for text in found if re.fullmatch(r"[A-Z][^\n]* [^\n]*\.", text)}
    return sorted(whole - NO_ADVICE)


def test_every_advice_has_a_chinese_translation() -> None:
    assert len(sentences()) > 30
    assert [advice for advice in sentences() if not chinese("advice", advice)] == []


def chinese(section: str, text: str) -> bool:
    translation = translated(section, text, "zh")
    return translation is not None and re.search("[\u4e00-\u9fff]", translation) is not None


@pytest.mark.parametrize(
    "code", ["", "timeout", "connect", "Forbidden.RAM", "Throttling.User", "Missing.X", "Nonsense"]
)
@pytest.mark.parametrize("status", [0, 200, 400, 401, 403, 404, 408, 429, 500, 503])
def test_the_advice_of_every_error_has_a_chinese_translation(code: str, status: int) -> None:
    assert chinese("advice", classify(status, code).advice)


def ours() -> Iterator[UpstreamError]:
    """Errors with the exporter's own messages, raised by the code that creates them."""
    budget = DailyQuota("main", 1, now=lambda: NOW)
    budget.spend()
    with pytest.raises(QuotaExceeded) as spent:
        budget.check()
    yield spent.value

    pause = AuthCircuitBreaker("main", lambda: NOW, lambda: 0.0)
    keys = Credentials("id", "secret")
    pause.open(
        keys,
        UpstreamError(
            "You are not allowed.",
            code="Forbidden.RAM",
            kind=ErrorKind.AUTH,
            advice=classify(403, "").advice,
        ),
    )
    with pytest.raises(AccountPaused) as paused:
        pause.check(keys)
    yield paused.value

    for text in ("", "ä", "a b", '"a"'):
        with pytest.raises(CredentialsError) as unusable:
            validate_secret(text, "environment variable ALIBABA_CLOUD_ACCESS_KEY_ID")
        yield unusable.value
    for read in (SecretFile("/nowhere/key").read, EnvCredentials({}).get):
        with pytest.raises(CredentialsError) as missing:
            asyncio.run(read())
        yield missing.value

    for reply in (
        RawResponse(200, {}, b"", "the response is longer than 16777216 bytes"),
        RawResponse(503, {}, b""),
        RawResponse(400, {}, b'{"Code":"X"}'),
    ):
        with pytest.raises(UpstreamError) as malformed:
            responses.decode_response(reply, PLAY_DATA, {}, now=NOW, hide=())
        yield malformed.value
    for number, encoding in ((201, ""), (200, "the compressed response ends before its checksum")):
        with pytest.raises(UpstreamError) as malformed:
            responses.decode_response(RawResponse(number, {}, b"", encoding), PLAY_DATA, {}, now=NOW, hide=())
        yield malformed.value


# The modules that reject responses, and those whose reasons for it reach the page.
UNREADABLE = (
    *(
        play_data,
        lenient_decoder,
        error_bodies,
        row_values,
        player_metrics,
        metadata_values,
        search_media,
        categories,
        video_infos,
        media_source,
    ),
    *(media_details, permits),
)


def unreadable() -> Iterator[str]:
    """Why a response of an action that the page shows cannot be used; a value is `{}`."""
    for module in UNREADABLE:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                found = texts(ast.Module([ast.Expr(ast.Tuple([node.exc.args[0]]))], []))
                # The others are names, advice, formats of a value, and what follows the name of a field or a category.
                others = ("{} {}", "is ", "the response contains {}", "there is no category {}{}")
                yield from (
                    text for text in found if " " in text and not text.startswith(others) and not text.endswith(".")
                )
    for body in (b"", b"<html>", b"[]", b'{"QoeInfoList":1}', b'{"a":', b"x", b"[" * 100_000):
        with pytest.raises(UpstreamError) as malformed:
            decode(body)
        yield malformed.value.message


def test_why_a_response_cannot_be_used_has_a_chinese_translation() -> None:
    reasons = set(unreadable())
    assert len(reasons) > 25
    assert [reason for reason in sorted(reasons) if not chinese("message", reason)] == []


def test_messages_of_the_exporter_are_recognized_and_translated() -> None:
    for error in ours():
        assert is_own(error.code, error.message), error.message
        assert chinese("message", error.message), error.message
        assert chinese("advice", error.advice), error.advice


def test_messages_of_the_service_are_not_translated() -> None:
    error = UpstreamError("User not authorized to operate.", code="Forbidden.RAM", kind=ErrorKind.AUTH)

    assert not is_own(error.code, error.message)
    assert translated("message", error.message, "zh") is None


def test_values_in_a_message_are_kept_in_its_translation() -> None:
    paused = "account main is paused until 2024-03-24T04:05:00Z or until its credentials change, after X.{0}: no: {}"

    assert translated("message", paused, "zh") == (
        "账号 main 已暂停，到 2024-03-24T04:05:00Z 或密钥变化时恢复；起因为 X.{0}，服务端原文：no: {}"
    )
    assert translated("message", paused, "en") == paused


def network_failures() -> Iterator[network_errors.NetworkError]:
    """Every failure of the network, with every reason."""
    for number in (socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_FAMILY, socket.EAI_ADDRFAMILY):
        yield network_errors.unresolved("vod.example", socket.gaierror(number, "raw text"))
    yield network_errors.unresolved("vod.example", UnicodeError("raw text"))
    for number in errno.errorcode:
        if number not in STRERROR_SHOWN:
            yield network_errors.unconnected("the proxy", OSError(number, "raw text"))
        yield network_errors.unresolved("vod.example", OSError(number, "raw text"))
        yield network_errors.no_tls("the endpoint", OSError(number, "raw text"))
    yield network_errors.unconnected("the endpoint", OSError())
    yield from tls_failures()
    for when in ("before the response", "in the middle of the response", "in the middle of the headers"):
        yield network_errors.closed(when)
    yield network_errors.closed("by the proxy before it connected to the endpoint")
    yield network_errors.lost()
    yield network_errors.unsendable()
    for status in (403, 407, 502):
        yield network_errors.proxy_refused(status)
    for text in reasons_not_http():
        yield network_errors.no_http(text)


def tls_failures() -> Iterator[network_errors.NetworkError]:
    for word in ("WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "UNEXPECTED_EOF_WHILE_READING", "X_Y", ""):
        failure = ssl.SSLError()
        failure.reason = word
        yield network_errors.no_tls("the endpoint", failure)
    for code in range(1, 100):
        rejected = ssl.SSLCertVerificationError()
        rejected.verify_code = code
        for certificate in (None, *CERTIFICATES):
            yield network_errors.untrusted("the proxy", *tls_trust.describe_rejection(rejected, certificate))


def reasons_not_http() -> Iterator[str]:
    for module in (response_head, transport, network_route):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "no_http":
                yield from texts(ast.Module([ast.Expr(ast.Tuple([*node.args]))], []))


def waits() -> Iterator[str]:
    yield AttemptProgress().waiting_for
    for module in (transport, network_route):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("waiting_for"):
                yield from (text.replace("{}", "the proxy") for text in texts(ast.Module([node], [])))


def english_left(text: str) -> list[str]:
    return [word for word in re.findall("[A-Za-z]{2,}", text) if word not in NAMES_IN_CHINESE]


def test_network_failures_have_no_english_left_in_chinese() -> None:
    failures = list(network_failures())
    assert len({failure.message for failure in failures}) > 70
    for failure in failures:
        message = responses.no_response(failure.code, f"no response from VOD: {failure.message}", ()).message
        shown = translated("message", message, "zh")
        assert shown is not None
        assert english_left(shown) == [], shown
        assert chinese("advice", failure.advice), failure.advice


def test_timeouts_have_no_english_left_in_chinese() -> None:
    assert len(set(waits())) > 5
    for wait in waits():
        shown = translated("message", f"no complete response from VOD within 10 s: waited for {wait}", "zh")
        assert shown is not None
        assert english_left(shown) == [], shown


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "fs.file-max"),
        (errno.ENOBUFS, "memory"),
        (errno.EAGAIN, "TasksMax="),
        (errno.EACCES, "firewall"),
        (errno.EAFNOSUPPORT, "RestrictAddressFamilies="),
        (errno.EADDRNOTAVAIL, "ss -s"),
        (errno.ECONNREFUSED, "host and port"),
    ],
)
def test_the_advice_names_what_the_system_lacks(number: int, advice: str) -> None:
    assert advice in network_errors.unconnected("the endpoint", OSError(number, "raw text")).advice
    resolving = network_errors.unresolved("vod.example", OSError(number, "raw text"))
    assert (advice if number != errno.ECONNREFUSED else "/etc/resolv.conf") in resolving.advice


def test_network_errors_of_libraries_are_translated_like_the_exporters_own() -> None:
    silent = responses.no_response("connect", "no response from vod.cn-shanghai.aliyuncs.com: Connection refused", ())

    assert is_own(silent.code, silent.message)
    assert {error_codes.TIMEOUT, error_codes.CONNECT, error_codes.MALFORMED} <= OWN_CODES


@pytest.mark.parametrize(
    "given",
    [
        {"nonsense": "1"},
        {"page": "x"},
        {"state": "x"},
        {"media": "x" * 201},
        {"account": "nobody"},
        {"query": "nobody"},
    ],
)
def test_every_query_string_error_has_a_chinese_translation(given: dict[str, str]) -> None:
    with pytest.raises(FilterError) as refused:
        check(parse(given.items()), accounts=(), queries=())

    assert all(chinese("problem", problem) for problem in refused.value.problems)


def test_a_duplicate_parameter_error_has_a_chinese_translation() -> None:
    with pytest.raises(FilterError) as refused:
        parse([("page", "1"), ("page", "2")])

    assert translated("problem", refused.value.problems[0], "zh") == "page 重复出现"
