"""Classify a failed attempt by its error code, HTTP status and message, with `error_codes` and `error_code_words`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.errors import ErrorKind, ErrorScope, RetryPolicy
from exporter.safe_text import printable
from exporter.vod.error_code_words import BY_WORD, GENERAL_CODES
from exporter.vod.error_codes import (
    BY_STATUS,
    ENDPOINT,
    LATER,
    MALFORMED,
    NO_API,
    TABLE,
    TIMEOUT,
    Row,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.vod.actions import Action

_LONGEST_CODE: Final = 64
_RETRIED: Final = frozenset({ErrorKind.SERVER, ErrorKind.THROTTLED, ErrorKind.TRANSPORT, ErrorKind.MALFORMED})
# Products that validate parameters themselves use one code for all and name the parameter in the message:
# `The input parameter "SecurityToken" that is mandatory for processing this request is not supplied.`
_PARAMETERS: Final[Mapping[str, str]] = {
    "securitytoken": "invalidsecuritytoken",
    "accesskeyid": "invalidaccesskeyid",
    "signature": "signaturedoesnotmatch",
    "timestamp": "invalidtimestamp",
}
_NAMED_PARAMETER: Final = re.compile(
    r"parameter\W{0,5}(securitytoken|accesskeyid|signature|timestamp)\b", re.IGNORECASE
)
# Gateways that answer every request with HTTP 200 put the status of an error into its code.
_ERROR_STATUS: Final = re.compile("[45][0-9]{2}", re.ASCII)
_ANY_PARAMETER: Final = (TABLE["missing*"], TABLE["invalid*"])
_PUNCTUATION: Final = re.compile(r"[._:/\s-]")


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """The classification of a failed attempt: `code` as reported to users, `advice` a sentence for the operator."""

    code: str
    kind: ErrorKind
    retry: RetryPolicy
    advice: str
    scope: ErrorScope


def _plain(known: str) -> str:
    return _PUNCTUATION.sub("", known)


_BY_PLAIN_CODE: Final = {_plain(code): row for code, row in TABLE.items()}
_PREFIXES: Final = sorted((code[:-1] for code in _BY_PLAIN_CODE if code.endswith("*")), key=len, reverse=True)


def classify(http_status: int, code: str, message: str = "", *, action: Action[Any] | None = None) -> ErrorInfo:
    """Classify a failure by its code, or by its HTTP status if the code is unknown.

    `code` is the service's, one of the exporter's own, or empty; it may be any text. Throttling is normally HTTP 400
    (official SDK), so the status alone says little. `message` is searched for the parameter that MissingParameter and
    InvalidParameter refer to. `action` is what was called: its error codes are reported as its
    documentation writes them, and the advice names its permission and parameters.
    """
    code = _clean_code(code) or (MALFORMED if _is_success(http_status) else f"http_{http_status}")
    known = code.lower()
    if _is_success(http_status) and _ERROR_STATUS.fullmatch(known):
        http_status = int(known)
    if http_status and known == TIMEOUT:  # the service's code, not ours
        known = "servicetimeout"
    row = _row(_specific_code(known, message))
    if row is None or (row in _ANY_PARAMETER and _is_refusal(http_status, known)):
        row = _by_status(http_status)
    retry = row.retry or (RetryPolicy.BACK_OFF if row.kind in _RETRIED else RetryPolicy.NEVER)
    for documented in action.error_codes if action else ():
        if documented.lower() == known:
            code = documented
    advice = row.advice.replace("{}", action.ram_action if action else "of the call")
    if action and action.parameter_advice and row.kind is ErrorKind.PARAMETER and row.advice != ENDPOINT:
        advice = action.parameter_advice
    return ErrorInfo(code, row.kind, retry, advice, row.scope)


def by_code(code: str) -> Row | None:
    """What a code means at any service of Alibaba Cloud; None if it is unknown."""
    return _row(_clean_code(code).lower())


def _row(known: str) -> Row | None:
    plain = _plain(known)
    if plain in _BY_PLAIN_CODE:
        return _BY_PLAIN_CODE[plain]
    family = next((f"{prefix}*" for prefix in _PREFIXES if plain.startswith(prefix)), "")
    if not family or family in GENERAL_CODES:
        for words, row in BY_WORD:
            if words.search(plain):
                return row
    return _BY_PLAIN_CODE.get(family)


def _specific_code(known: str, message: str) -> str:
    """The specific code if a general one, for any parameter, concerns credentials or time."""
    if known.startswith(("missingparameter", "invalidparameter")) and (named := _NAMED_PARAMETER.search(message)):
        parameter = named[1].lower()
        is_missing = known.startswith("missing") and parameter == "securitytoken"
        return "missingsecuritytoken" if is_missing else _PARAMETERS[parameter]
    return known


def _clean_code(code: str) -> str:
    """A code as a label value and in logs: one printable word of at most 64 characters; otherwise unchanged."""
    return printable(code.strip()[:_LONGEST_CODE], instead="_").replace(" ", "_")


def _is_refusal(http_status: int, known: str) -> bool:
    """Whether a code that is usually about a parameter is about permissions, such as `InvalidAuthorization`."""
    return http_status == 401 or (http_status == 403 and "parameter" not in known)  # noqa: PLR2004 - HTTP's own numbers


def _is_success(http_status: int) -> bool:
    return 200 <= http_status < 300  # noqa: PLR2004 - HTTP's own numbers


def _by_status(http_status: int) -> Row:
    if _is_success(http_status):
        return TABLE[MALFORMED]
    if http_status >= 500:  # noqa: PLR2004 - HTTP's own number
        return Row(ErrorKind.SERVER, LATER)
    return BY_STATUS.get(http_status, Row(ErrorKind.OTHER, NO_API))
