"""Find signs of a failure in a JSON response without data, whatever the fields are called and however deep they are."""

from __future__ import annotations

import json
import re
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEEPEST: Final = 12
_LONGEST: Final = 80

# Names in lower case, without anything but letters and digits.
_CODE: Final = re.compile(
    r"(?:err(?:or)?|ret(?:urn)?|res(?:ult|p(?:onse)?)?|rsp|biz|business|sub|inner|api|service|exception|fail(?:ure)?"
    r"|dynamic|detail|reason|message|gateway|sys(?:tem)?|server|upstream|backend|original|(?:access)?denied"
    r"|http(?:status)?|status|state)(?:code|no|num|number)|code|ret|rc"
)
_CODE_TEXT: Final = re.compile(r"[A-Za-z][\w.-]*[a-z][\w.-]*", re.ASCII)
_SUCCESS: Final = re.compile(r"(?:is|was|has)?(?:success(?:ful|fully)?|succeed(?:ed)?|ok|ready|complete|available)")
_FAILURE: Final = re.compile(
    r"(?:has|is|was|any|access)?(?:err(?:or)?s?|fail(?:ed|ures?)?|exceptions?|faults?|denied|aborted|rejected|throttled"
    r"|timedout|partial|truncated|degraded|notready|incomplete|unavailable)"
    r"(?:message|msg|info|details?|desc|description|reason|text|type|name|string|list|stack|trace|occurred|cause)?"
    r"|(?:err|fail|exception)[a-z]*"
    r"|(?:has|is)?(?:more|next(?:page|token|cursor)?)|retryafter[a-z]*"
)
_STATE: Final = re.compile(r".*(?:status|state)|result|outcome")
# What a field of any name is about if it is true, and if it is false.
_BAD: Final = re.compile(
    r"err(?:or)?s?$|exception|fail|(?<!de)fault|denied|reject|abort|throttl|timed?out|expired|degrad|fallback|partial"
    r"|incomplete|truncat|limited|exceeded|blocked|busy|overload|unavailable|(?:not|un)ready|maintenance|retr(?:y|iable)"
    r"|captcha|corrupt|missing|dropped|stale|invalid|unsuccess|unhealthy"
)
_WELL: Final = re.compile(r"succe|ready|complete|available|healthy|valid|finished")
_TEXT: Final = re.compile(r"message|msg|reason|desc|description|details?|warnings?|cause|recommend")
_TOTAL: Final = re.compile(r"total(?:count|cnt|num|number|size|rows|records)?|(?:row|record|media)?count")
# Texts that tell of a failure under any name: a word of them, three words in a row, another format or an address.
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_BAD_WORDS: Final = frozenset(
    {
        "aborted",
        "again",
        "bad",
        "blocked",
        "busy",
        "captcha",
        "critical",
        "degraded",
        "denied",
        "err",
        "error",
        "errors",
    }
    | {"exceeded", "exception", "expired", "fail", "failed", "failing", "failure", "fatal", "fault", "forbidden"}
    | {"incomplete", "invalid", "limited", "maintenance", "not", "notready", "overload", "overloaded", "partial"}
    | {"rejected", "retry", "stale", "throttle", "throttled", "throttling", "timedout", "timeout", "truncated"}
    | {"unauthorized", "unavailable", "unhealthy"}
)
_BAD_CHINESE: Final = re.compile(
    "错误|失败|异常|繁忙|超时|稍后|重试|限流|拒绝|不可用|未就绪|维护|无权|没有权限|欠费|过期|禁止|降级|熔断|不完整"
)
_SENTENCE: Final = re.compile(r"[^\W\d_]{2,}(?:[\s,]+[^\W\d_]{2,}){2}")
_MARKUP_OR_ADDRESS: Final = re.compile(r"\s*<|https?://", re.IGNORECASE)
_ROWS: Final = frozenset({"mediaid", "qoeinfolist"})

# Values in lower case, without punctuation at the ends.
_GOOD: Final = frozenset(
    {"ok", "okay", "success", "successful", "successfully", "succeed", "succeeded", "done", "finish", "finished"}
    | {"complete", "completed", "normal", "active", "available", "ready", "成功", "请求成功", "操作成功", "查询成功"}
)
_FINE: Final = _GOOD | {"true", "yes", "y", "t", "1"}
_YES: Final = frozenset({"true", "yes", "y", "t"})
_NO: Final = frozenset({"false", "no", "n", "f"})
_NOTHING: Final = _GOOD | {"false", "no", "n", "f", "none", "null", "nil", "undefined"}
_ZERO: Final = re.compile(r"0+")
_FINE_STATUS: Final = re.compile(r"2\d\d")


class Sign(NamedTuple):
    """A field that indicates a failure."""

    name: str
    value: str


def is_code(name: str, value: object) -> bool:
    """Whether a field holds an error code, such as `Throttling.User`; `name` in lower case, without punctuation."""
    return (
        isinstance(value, str)
        and _CODE.fullmatch(name) is not None
        and _CODE_TEXT.fullmatch(value) is not None
        and _word(value) not in _FINE
    )


def find(response: Mapping[str, object]) -> Sign | None:
    """The first sign of a failure in a response without rows; None if there is none."""
    return next(_signs(response, 0), None)


def _signs(given: Mapping[str, object], depth: int) -> Iterator[Sign]:
    says_success = any(
        (_SUCCESS.fullmatch(name) or name == "code") and value not in (None, "") and _word(value) in {*_FINE, "200"}
        for name, value in ((_plain(name), value) for name, value in given.items())
    )
    for full_name, value in given.items():
        name = _plain(full_name)
        if depth and name in _ROWS and value:
            yield Sign(full_name, "given in another place than the API documents")
        elif isinstance(value, dict | list):
            if name == "code":
                yield Sign(full_name, "no text")
            if name != "qoeinfolist":
                yield from _inner(full_name, value, depth)
        elif _fails(name, value, says_success=says_success) or (full_name != "TotalCount" and _counts(name, value)):
            yield Sign(full_name, f"{value}"[:_LONGEST])
        elif isinstance(value, str) and value.lstrip().startswith(("{", "[")):
            with suppress(ValueError, RecursionError):
                yield from _inner(full_name, json.loads(value), depth)


def _inner(name: str, value: object, depth: int) -> Iterator[Sign]:
    if not value:
        return
    plain = _plain(name)
    if depth >= _DEEPEST:
        yield Sign(name, "nested too deeply")
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            yield from _signs(each, depth + 1)
        elif isinstance(each, list):
            yield from _inner(name, each, depth + 1)
        elif each not in (None, "") and (
            _FAILURE.fullmatch(plain)
            or _TEXT.fullmatch(plain)
            or plain == "code"
            or _tells_of_failure(plain, each, says_success=False)
        ):
            yield Sign(name, f"{each}"[:_LONGEST])
    if isinstance(value, dict) and _FAILURE.fullmatch(plain):
        yield Sign(name, json.dumps(value, ensure_ascii=False)[:_LONGEST])


def _fails(name: str, value: object, *, says_success: bool) -> bool:
    word = _word(value)
    if not word or value is None:
        fails = False
    elif _CODE.fullmatch(name):
        fails = not (
            word in _GOOD
            or _FINE_STATUS.fullmatch(word)
            or (name != "code" and _ZERO.fullmatch(word) and not name.startswith(("http", "status")))
        )
    elif _SUCCESS.fullmatch(name):
        fails = word not in _FINE and not _is_positive(value)
    elif _FAILURE.fullmatch(name):
        fails = word not in _NOTHING and not _ZERO.fullmatch(word)
    elif _STATE.fullmatch(name):
        fails = not (word in _FINE or _ZERO.fullmatch(word) or _FINE_STATUS.fullmatch(word))
    elif _TEXT.fullmatch(name):
        fails = not says_success and word not in _FINE
    elif word in _YES | _NO:
        fails = bool(_BAD.search(name)) if word in _YES else bool(_WELL.search(name) and not _BAD.search(name))
    else:
        fails = _tells_of_failure(name, value, says_success=says_success)
    return fails


def _tells_of_failure(name: str, value: object, *, says_success: bool) -> bool:
    """Whether the value of a field, whatever it is called, is a text about a failure; no ID is."""
    if not isinstance(value, str) or name.endswith("id") or _word(value) in _FINE:
        return False
    return (
        not _BAD_WORDS.isdisjoint(map(str.lower, _WORDS.findall(value)))
        or any(pattern.search(value) is not None for pattern in (_BAD_CHINESE, _MARKUP_OR_ADDRESS))
        or (not says_success and _SENTENCE.search(value) is not None)
    )


def _counts(name: str, value: object) -> bool:
    return bool(_TOTAL.fullmatch(name)) and _is_positive(value)


def _is_positive(value: object) -> bool:
    text = str(value)
    return not isinstance(value, bool) and text.isdecimal() and text.strip("0") != ""


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold()))


def _word(value: object) -> str:
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return unicodedata.normalize("NFKC", text).strip(" \t\r\n\0.!。").casefold()
