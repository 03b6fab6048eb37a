"""Every error code of the API page and of its gateway, and responses without one, with their expected kinds.

The expectations are taken from the tables of the API page and not from the exporter.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter.simulator.error_responses import API_ERRORS, GATEWAY, METER, ApiError
from tests.campaigns.faults.fault import Family, Fault
from tests.campaigns.faults.service import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.campaigns.faults.fault import Exchange

# Code → kind, and the attempts of a call: 4 if retries help, 2 if one retry does. The first match counts.
EXPECTED: Final = (
    ("Meter.ParamError", "parameter", 1),
    ("Meter.ServerInternalError", "server", 4),
    ("Meter.DataSourceQueryError", "server", 4),
    ("Meter.AuthError", "auth", 1),
    ("Meter.ReadyTsError", "not_ready", 1),
    ("Throttling*", "throttled", 4),
    ("InternalError", "server", 4),
    ("UnknownError", "server", 4),
    ("ServiceUn[aA]vailable", "server", 4),
    ("SignatureNonceUsed", "other", 2),
    ("InvalidSecurityToken*", "auth", 2),
    ("InvalidTimeStamp.*", "clock", 1),
    ("SignatureDoesNotMatch", "auth", 1),
    ("IncompleteSignature", "auth", 1),
    ("InvalidAccessKeyId*", "auth", 1),
    ("Forbidden*", "auth", 1),
    ("NoPermission*", "auth", 1),
    ("OperationDenied*", "auth", 1),
    ("MissingSecurityToken", "auth", 1),
    ("MissingSignature*", "auth", 1),
    ("Missing*", "parameter", 1),
    ("Invalid*", "parameter", 1),
    ("ErrorMatchSyntax", "parameter", 1),
    ("SortByExceededMax", "parameter", 1),
    ("UnsupportedHTTPMethod", "parameter", 1),
    # Undocumented: by its status, 413.
    ("RequestEntityTooLarge", "other", 1),
)
# Not tried with HTTP 200.
_WITH_THEIR_STATUS: Final = ("UnsupportedHTTPMethod", "RequestEntityTooLarge")
# Responses without a code, by HTTP status.
STATUSES: Final = {
    400: ("parameter", 1),
    401: ("auth", 1),
    403: ("auth", 1),
    404: ("other", 1),
    408: ("server", 4),
    418: ("other", 1),
    429: ("throttled", 4),
    500: ("server", 4),
    502: ("server", 4),
    503: ("server", 4),
    504: ("server", 4),
    599: ("server", 4),
}
# Headers that name a wait, some of them unreasonable: the exporter waits five minutes at most.
WAITS: Final = {
    "x-acs-retry-after": ("x-acs-retry-after", "1500"),
    "x-acs-retry-after of centuries": ("x-acs-retry-after", "999999999999999"),
    "x-acs-retry-after NaN": ("x-acs-retry-after", "NaN"),
    "x-acs-retry-after below zero": ("x-acs-retry-after", "-5"),
    "x-ratelimit-user-api": ("x-ratelimit-user-api", "Limit:1,Remain:0,TimeLeft:2000,Reset:1234"),
    "x-ratelimit-user": ("x-ratelimit-user", "Limit:1,Remain:0,TimeLeft:999999999999,Reset:1"),
    "retry-after": ("retry-after", "7"),
    "retry-after in 2090": ("retry-after", "Wed, 01 Jan 2090 00:00:00 GMT"),
    "retry-after garbage": ("retry-after", "soon"),
}

# What a call of play data can fail with; the other actions: action_faults.
ERRORS: Final = {**METER, **GATEWAY}


def expected(code: str) -> tuple[str, int]:
    """The kind of a code and the attempts of a call. Raises StopIteration for an undocumented code."""
    return next((kind, attempts) for pattern, kind, attempts in EXPECTED if fnmatchcase(code, pattern))


_JSON: Final = ("Content-Type", "application/json")


async def _refuse(exchange: Exchange, *, status: int, body: bytes, header: tuple[str, str]) -> None:
    await exchange.send(f"{status} Refused", dict([header]), body)


def _refusal(
    name: str, code: str, kind: str, attempts: int, *, body: bytes, status: int, header: tuple[str, str] = _JSON
) -> Fault:
    act = partial(_refuse, status=status, body=body, header=header)
    return Fault(name, Family.CODE, (code, kind), attempts, act)


def _error_body(code: str) -> bytes:
    return (
        to_json(ApiError(code, "on demand").body("REQ", "vod.cn-shanghai.aliyuncs.com")) if code in API_ERRORS else b""
    )


def by_code(errors: Iterable[str]) -> list[Fault]:
    """The error responses with these codes."""
    return [
        _refusal(code, code, *expected(code), body=_error_body(code), status=API_ERRORS[code][0]) for code in errors
    ]


def faults() -> tuple[Fault, ...]:
    """All of them."""
    html = b"<!DOCTYPE html><html><body><h1>Sorry</h1></body></html>"
    by_status = [
        _refusal(f"HTTP {status}", f"http_{status}", kind, attempts, body=html, status=status)
        for status, (kind, attempts) in STATUSES.items()
    ]
    waits = [
        _refusal(
            f"Throttling.User, {name}",
            "Throttling.User",
            "throttled",
            4,
            body=_error_body("Throttling.User"),
            status=400,
            header=header,
        )
        for name, header in WAITS.items()
    ]
    empty: dict[str, object] = {"RequestId": "REQ", "TotalCount": 0, "QoeInfoList": []}
    in_success = [
        _refusal(
            f"{code} with HTTP 200",
            code,
            *expected(code),
            body=to_json({**empty, "Success": False, "Code": code}),
            status=200,
        )
        for code in ERRORS
        if code not in _WITH_THEIR_STATUS
    ]
    in_success += [
        _refusal(f"HTTP 200: {name}", code, "malformed", 4, body=to_json({**empty, **fields}), status=200)
        for name, code, fields in (
            ("Success false", "malformed", {"Success": False, "Message": "x"}),
            ("a message alone", "malformed", {"Message": "x"}),
            ("a code unheard of", "Brand.New", {"Code": "Brand.New"}),
        )
    ]
    in_success += [
        _refusal("HTTP 200: a number for a code", "500", "server", 4, body=to_json({**empty, "Code": 500}), status=200),
        _refusal(
            "HTTP 200: a code inside",
            "InternalError",
            "server",
            4,
            body=to_json({**empty, "Error": {"Code": "InternalError"}}),
            status=200,
        ),
    ]
    lower = b'{"requestId":"REQ","code":"InternalError","message":"in lower case"}'
    strange = [
        _refusal("code unheard of, 400", "Brand.New", "parameter", 1, body=b'{"Code":"Brand.New"}', status=400),
        _refusal("code unheard of, 500", "Brand.New", "server", 4, body=b'{"Code":"Brand.New"}', status=500),
        _refusal("lower-case keys", "InternalError", "server", 4, body=lower, status=500),
        _refusal(
            "a code with HTTP 200", "Throttling.User", "throttled", 4, body=_error_body("Throttling.User"), status=200
        ),
        _refusal("a number for a code", "42", "server", 4, body=b'{"Code":42,"Message":{"a":[]}}', status=500),
        _refusal("a list for a code", "http_500", "server", 4, body=b'{"Code":["x"],"Message":7}', status=500),
        _refusal(
            "a code of 10,000 letters", "X" * 64, "server", 4, body=b'{"Code":"%b"}' % (b"X" * 10_000), status=500
        ),
        _refusal("a code of two lines", "Two__Lines", "server", 4, body=b'{"Code":"Two\\r\\nLines"}', status=500),
        _refusal("an error page without end", "http_500", "server", 4, body=b"x" * 1_000_000, status=500),
        _refusal("an error nested deeply", "http_500", "server", 4, body=b"[" * 60_000, status=500),
    ]
    return (*by_code(ERRORS), *by_status, *waits, *in_success, *strange)
