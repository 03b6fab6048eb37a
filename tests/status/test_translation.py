from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import exporter
from exporter.errors import AccountPaused, CredentialsError, ErrorKind, QuotaExceeded, UpstreamError
from exporter.status.filters import FilterError, check, parse
from exporter.status.translation import OWN_CODES, is_own, translated
from exporter.status.views import Failure
from exporter.vod import error_codes, responses
from exporter.vod.auth_breaker import AuthCircuitBreaker
from exporter.vod.credentials.sources import Credentials, EnvSecret, SecretFile, validate_secret
from exporter.vod.daily_quota import DailyQuota
from exporter.vod.play_data import PLAY_DATA
from exporter.vod.responses import RawResponse
from tests.status.examples import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

# The modules whose advice reaches the page.
ADVISING = [
    "vod/error_codes.py",
    "vod/credentials/sdk_errors.py",
    "vod/credentials/sources.py",
    "vod/credentials/cache.py",
    "vod/rate_limits.py",
    "vod/exchange.py",
    "core/page_reader.py",
]
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
    assert chinese("advice", error_codes.classify(status, code).advice)


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
            advice=error_codes.classify(403, "").advice,
        ),
    )
    with pytest.raises(AccountPaused) as paused:
        pause.check(keys)
    yield paused.value

    for text in ("", "ä", "a b"):
        with pytest.raises(CredentialsError) as unusable:
            validate_secret(text, "environment variable ALIBABA_CLOUD_ACCESS_KEY_ID")
        yield unusable.value
    for secret in (SecretFile("/nowhere/key"), EnvSecret("NOT_SET", environ={})):
        with pytest.raises(CredentialsError) as missing:
            asyncio.run(secret.read())
        yield missing.value

    for reply in (
        RawResponse(200, {}, b"", "the answer is longer than 16777216 bytes"),
        RawResponse(503, {}, b""),
        RawResponse(400, {}, b'{"Code":"X"}'),
    ):
        with pytest.raises(UpstreamError) as malformed:
            responses.decode_response(reply, PLAY_DATA, {}, now=NOW)
        yield malformed.value
    yield responses.no_response("timeout", "no complete answer within 10 s")


def failure(error: UpstreamError) -> Failure:
    return Failure(error.code, error.kind.value, 1, error.message, error.advice, error.request_id)


def test_messages_of_the_exporter_are_recognized_and_translated() -> None:
    for error in ours():
        assert is_own(failure(error)), error.message
        assert chinese("message", error.message), error.message
        assert chinese("advice", error.advice), error.advice


def test_messages_of_the_service_are_not_translated() -> None:
    error = UpstreamError("User not authorized to operate.", code="Forbidden.RAM", kind=ErrorKind.AUTH)

    assert not is_own(failure(error))
    assert translated("message", error.message, "zh") is None


def test_values_in_a_message_are_kept_in_its_translation() -> None:
    paused = "account main is paused until 2024-03-24T04:05:00Z or until its credentials change, after X.{0}: no: {}"

    assert translated("message", paused, "zh") == (
        "账号 main 已暂停，到 2024-03-24T04:05:00Z 或密钥变化时恢复；起因为 X.{0}，服务端原文：no: {}"
    )
    assert translated("message", paused, "en") == paused


def test_network_errors_of_libraries_are_translated_like_the_exporters_own() -> None:
    silent = responses.no_response("connect", "no answer from vod.cn-shanghai.aliyuncs.com: Connection refused")

    assert is_own(failure(silent))
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
