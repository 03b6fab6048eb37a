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
_SUCCESS: Final = re.compile(r"(?:is|was|has)?(?:succ(?:ess(?:ful|fully)?|eed(?:ed)?)?|ok|ready|complete|available)")
_FAILURE: Final = re.compile(
    r"(?:has|is|was|any|access)?(?:err(?:or)?s?|fail(?:ed|ures?)?|exceptions?|faults?|denied|aborted|rejected|throttled"
    r"|timedout|partial|truncated|degraded?|fallback|(?:rate)?limited|notready|incomplete|unavailable)"
    r"(?:message|msg|info|flag|codename|details?|desc|description|reason|text|type|name|string|list|stack|trace|occurred"
    r"|cause)?|\w*(?:errors?|exceptions?)"
)
_STATE: Final = re.compile(r"(?:http|query|task|job)?(?:status|state)(?:text)?|result|outcome")
_TEXT: Final = re.compile(r"message|msg|reason|desc|description|details?|warnings?|cause|recommend")
_TOTAL: Final = re.compile(r"total(?:count|cnt|num|number|size|rows|records)?|(?:row|record|media)?count")
_ROWS: Final = frozenset({"mediaid", "qoeinfolist"})

# Values in lower case, without punctuation at the ends.
_GOOD: Final = frozenset(
    {"ok", "okay", "success", "successful", "successfully", "succeed", "succeeded", "done", "finish", "finished"}
    | {"complete", "completed", "normal", "active", "available", "ready", "成功", "请求成功", "操作成功", "查询成功"}
)
_FINE: Final = _GOOD | {"true", "yes", "y", "t", "1"}
_NOTHING: Final = _GOOD | {"false", "no", "n", "f", "none", "null", "nil", "undefined"}
# Each of several codes, as gateways of Alibaba write them: `SUCCESS::...`.
_FINE_RESULT: Final = re.compile(r"(?:success|ok)\b.*", re.DOTALL)
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
        (_SUCCESS.fullmatch(name) or name == "code") and _word(value) in {*_FINE, "200"}
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
        elif _fails(name, value, says_success=says_success) or (
            _counts(name, value) and (depth or full_name != "TotalCount")
        ):
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
            or (
                _CODE.fullmatch(plain)
                and _fails(plain, each, says_success=False)
                and not _FINE_RESULT.match(_word(each))
            )
        ):
            yield Sign(name, f"{each}"[:_LONGEST])
    if isinstance(value, dict) and _FAILURE.fullmatch(plain):
        yield Sign(name, json.dumps(value, ensure_ascii=False)[:_LONGEST])


def _fails(name: str, value: object, *, says_success: bool) -> bool:
    word = _word(value)
    if not word or value is None:
        return False
    if _CODE.fullmatch(name):
        return not (
            word in _GOOD
            or _FINE_STATUS.fullmatch(word)
            or (name != "code" and _ZERO.fullmatch(word) and not name.startswith(("http", "status")))
        )
    if _SUCCESS.fullmatch(name):
        return word not in _FINE and not _is_positive(value)
    if _FAILURE.fullmatch(name):
        return word not in _NOTHING and not _ZERO.fullmatch(word)
    if _STATE.fullmatch(name):
        return not (word in _FINE or _ZERO.fullmatch(word) or _FINE_STATUS.fullmatch(word))
    return bool(_TEXT.fullmatch(name)) and not says_success and word not in _FINE


def _counts(name: str, value: object) -> bool:
    return bool(_TOTAL.fullmatch(name)) and _is_positive(value)


def _is_positive(value: object) -> bool:
    text = str(value)
    return not isinstance(value, bool) and text.isdecimal() and bool(text.strip("0"))


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold()))


def _word(value: object) -> str:
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return unicodedata.normalize("NFKC", text).strip(" \t\r\n\0.!。").casefold()
