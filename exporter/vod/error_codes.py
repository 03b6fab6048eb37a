"""The service's error codes as a table: code → kind, retry policy and advice for the operator."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from exporter.errors import ErrorKind, ErrorScope, RetryPolicy
from exporter.safe_text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.vod.actions import Action

# The exporter's own codes, for failures without a code of the service.
TIMEOUT: Final = "timeout"
CONNECT: Final = "connect"
MALFORMED: Final = "malformed"

_LONGEST_CODE: Final = 64


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """The classification of a failed attempt: `code` as reported to users, `advice` a sentence for the operator."""

    code: str
    kind: ErrorKind
    retry: RetryPolicy
    advice: str
    scope: ErrorScope


_RETRIED: Final = frozenset({ErrorKind.SERVER, ErrorKind.THROTTLED, ErrorKind.TRANSPORT, ErrorKind.MALFORMED})

# `{}` is the RAM action of the call.
_PERMISSION: Final = "Allow the RAM action {} on resource * to the user or role of these credentials."
_KEY: Final = "Check the AccessKey in the RAM console: it must exist, be enabled and belong to this account."
_SECRET: Final = "Check that the AccessKey secret belongs to the AccessKey ID and was copied whole."  # noqa: S105 - advice
_TOKEN: Final = "Provide a fresh security token together with the AccessKey ID and secret it was issued with."  # noqa: S105 - advice
_NEEDS_ALL_THREE: Final = (
    "Set the security token too: an AccessKey ID that begins with STS. is temporary and good only with its token."
)
_CLOCK: Final = "Set this machine's clock: it may be at most 15 minutes off; use NTP."
_ACTIVATE: Final = "Activate ApsaraVideo VOD for this Alibaba Cloud account."
_BILL: Final = "Pay the overdue bill of this Alibaba Cloud account."
_ACCOUNT: Final = (
    "Check in the Alibaba Cloud console what is wrong with the account: verification, risk control or its state."
)
_NETWORK_POLICY: Final = (
    "Allow this machine's address in the network restrictions of the AccessKey or of the RAM policy."
)
_DEFECT: Final = "Check the endpoint and the filters of the query; if both are right, report this as a defect."
_NO_API: Final = "Check the endpoint and any proxy: Alibaba Cloud's API does not respond like this."
_LATER: Final = "Usually temporary: the next poll requests it again. If it persists, contact Alibaba Cloud support."
_SLOWER: Final = (
    "Lower limits.requests_per_second of the account: all users of an Alibaba Cloud account share its limit."
)
_SLOWER_ACTION: Final = (
    "Lower limits.requests_per_second of the account: the service limits {} for all users of an Alibaba Cloud account."
)
_NONCE: Final = "Look for a proxy that sends requests twice: every attempt is signed with a nonce of its own."


class _Row(NamedTuple):
    """How errors with a code are classified; `retry`: None means that it follows from the kind.

    A code that may mean either scope has `ErrorScope.ACTION`, so that it cannot stop the account's other actions.
    """

    kind: ErrorKind
    advice: str
    scope: ErrorScope = ErrorScope.ACCOUNT
    retry: RetryPolicy | None = None


# By code in lower case; `*` at the end matches any suffix, and the longest match wins; dots and underscores do not
# count. Sources: Alibaba Cloud's pages
# of this API, of its gateway and of other products behind it, the official SDKs, and reports of their users.
_TABLE: Final[dict[str, _Row]] = {
    "meter.paramerror": _Row(
        ErrorKind.PARAMETER,
        "Check media IDs, filters and days_ago of the query: the service has data of the last 30 days only.",
    ),
    "meter.serverinternalerror": _Row(ErrorKind.SERVER, _LATER),
    "meter.datasourcequeryerror": _Row(ErrorKind.SERVER, _LATER),
    "meter.autherror": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "meter.readytserror": _Row(
        ErrorKind.NOT_READY,
        "No action needed: the service has not computed that day yet; the next poll requests it again.",
    ),
    # Too many requests.
    "throttling*": _Row(ErrorKind.THROTTLED, _SLOWER),
    "throttling.api*": _Row(ErrorKind.THROTTLED, _SLOWER_ACTION, ErrorScope.ACTION),
    "throttled*": _Row(ErrorKind.THROTTLED, _SLOWER),
    "flowcontrol.api*": _Row(ErrorKind.THROTTLED, _SLOWER_ACTION, ErrorScope.ACTION),
    "flowcontrol*": _Row(ErrorKind.THROTTLED, _SLOWER),
    "requestlimitexceeded*": _Row(ErrorKind.THROTTLED, _SLOWER),
    "toomanyrequests*": _Row(ErrorKind.THROTTLED, _SLOWER),
    # The service itself.
    "internal*": _Row(ErrorKind.SERVER, _LATER),
    "unknownerror*": _Row(ErrorKind.SERVER, _LATER),
    "servererror*": _Row(ErrorKind.SERVER, _LATER),
    "serverbusy*": _Row(ErrorKind.SERVER, _LATER),
    "systemerror*": _Row(ErrorKind.SERVER, _LATER),
    "servicebusy*": _Row(ErrorKind.SERVER, _LATER),
    "serviceunavailable*": _Row(ErrorKind.SERVER, _LATER),
    "servicetimeout*": _Row(ErrorKind.SERVER, _LATER),
    # The nonce and time of the request.
    "signaturenonceused*": _Row(ErrorKind.OTHER, _NONCE, retry=RetryPolicy.ONCE),
    "invalidtimestamp*": _Row(ErrorKind.CLOCK, _CLOCK),
    "illegaltimestamp*": _Row(ErrorKind.CLOCK, _CLOCK),
    "requesttimetooskewed*": _Row(ErrorKind.CLOCK, _CLOCK),
    "signatureexpired*": _Row(ErrorKind.CLOCK, _CLOCK),
    # The token of temporary credentials.
    "invalidsecuritytoken*": _Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "invalidststoken*": _Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "invalidtoken*": _Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "securitytokenexpired*": _Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "expiredtoken*": _Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "tokenexpired*": _Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "missingsecuritytoken*": _Row(ErrorKind.AUTH, _NEEDS_ALL_THREE),
    # The AccessKey and the signature.
    "signaturedoesnotmatch*": _Row(ErrorKind.AUTH, _SECRET),
    "incompletesignature*": _Row(ErrorKind.AUTH, _SECRET),
    "invalidsignaturenonce*": _Row(ErrorKind.OTHER, _NONCE, retry=RetryPolicy.ONCE),
    "invalidsignature*": _Row(ErrorKind.AUTH, _SECRET),
    "missingsignature*": _Row(ErrorKind.AUTH, _SECRET),
    "invalidaccesskeysecret*": _Row(ErrorKind.AUTH, _SECRET),
    "invalidaccesskey*": _Row(ErrorKind.AUTH, _KEY),
    "missingaccesskey*": _Row(ErrorKind.AUTH, _KEY),
    "noenabledaccesskey*": _Row(ErrorKind.AUTH, _KEY),
    "inactiveaccesskey*": _Row(ErrorKind.AUTH, _KEY),
    "accesskeydisabled*": _Row(ErrorKind.AUTH, _KEY),
    "forbidden.accesskey*": _Row(ErrorKind.AUTH, _KEY),
    "invalidcredential*": _Row(ErrorKind.AUTH, _KEY),
    "entitynotexist.user*": _Row(ErrorKind.AUTH, _KEY),
    "accesskeynetworkpolicy*": _Row(ErrorKind.AUTH, _NETWORK_POLICY),
    "accesspolicydenied*": _Row(ErrorKind.AUTH, _NETWORK_POLICY),
    "forbidden.ip*": _Row(ErrorKind.AUTH, _NETWORK_POLICY),
    # Permissions.
    "forbidden*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "forbedden*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "nopermission*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "accessdenied*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "unauthorized*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "notauthorized*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "actionunauthorized*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "userunauthorized*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "authenticationfail*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "permissiondenied*": _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    # The Alibaba Cloud account and its bills.
    "operationdenied*": _Row(ErrorKind.AUTH, _ACTIVATE),
    "operationdenied.suspended*": _Row(ErrorKind.AUTH, _BILL),
    "servicenotopen*": _Row(ErrorKind.AUTH, _ACTIVATE),
    "servicenotenabled*": _Row(ErrorKind.AUTH, _ACTIVATE),
    "notopenservice*": _Row(ErrorKind.AUTH, _ACTIVATE),
    "productnotopen*": _Row(ErrorKind.AUTH, _ACTIVATE),
    "usernotopen*": _Row(ErrorKind.AUTH, _ACTIVATE),
    "invalidstatus.arrear*": _Row(ErrorKind.AUTH, _BILL),
    "forbidden.arrear*": _Row(ErrorKind.AUTH, _BILL),
    "forbidden.accountindebt*": _Row(ErrorKind.AUTH, _BILL),
    "forbidden.accountdebt*": _Row(ErrorKind.AUTH, _BILL),
    "forbidden.overdue*": _Row(ErrorKind.AUTH, _BILL),
    "forbidden.suspended*": _Row(ErrorKind.AUTH, _BILL),
    "arrear*": _Row(ErrorKind.AUTH, _BILL),
    "accountarrear*": _Row(ErrorKind.AUTH, _BILL),
    "accountindebt*": _Row(ErrorKind.AUTH, _BILL),
    "insufficientbalance*": _Row(ErrorKind.AUTH, _BILL),
    "invalidaccountstatus*": _Row(ErrorKind.AUTH, _ACCOUNT),
    "forbidden.riskcontrol*": _Row(ErrorKind.AUTH, _ACCOUNT),
    "forbidden.userverification*": _Row(ErrorKind.AUTH, _ACCOUNT),
    "forbidden.account*": _Row(ErrorKind.AUTH, _ACCOUNT),
    # All other codes of two large families.
    "missing*": _Row(ErrorKind.PARAMETER, _DEFECT),
    "invalid*": _Row(ErrorKind.PARAMETER, _DEFECT),
    # The exporter's own.
    TIMEOUT: _Row(ErrorKind.TRANSPORT, "Check the network path to the endpoint, or raise the timeout of the account."),
    CONNECT: _Row(ErrorKind.TRANSPORT, "Check the endpoint, name resolution, proxy and firewall."),
    MALFORMED: _Row(
        ErrorKind.MALFORMED,
        "Check that the endpoint is Alibaba Cloud's and that no proxy responds in its place; if both are right, report"
        " this as a defect.",
    ),
}
# Codes that are in no row, or in one of a large family, by what they contain without dots and underscores: the first
# match counts. The gateway and the products behind it have many names for one cause.
_GENERAL: Final = frozenset({"missing*", "invalid*", "forbidden*", "forbedden*", "operationdenied*", "accessdenied*"})
_BY_WORD: Final[tuple[tuple[re.Pattern[str], _Row], ...]] = tuple(
    (re.compile(words), row)
    for words, row in (
        (
            "missing.*(security|sts|session)token|(security|sts|session)tokenmissing",
            _Row(ErrorKind.AUTH, _NEEDS_ALL_THREE),
        ),
        (
            "(security|sts|session)token|credentials?expired",
            _Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
        ),
        (
            (
                "throttl|flowcontrol|(flow|rate|traffic|frequency|request|concurren[a-z]*)limit|ratetoohigh|qps|toomanyreq"
                "|slowdown|^(over|exceed)[a-z]*(limit|quota)|^(api|calls?|user|account|daily)?(limit|quota)exceed"
            ),
            _Row(ErrorKind.THROTTLED, _SLOWER),
        ),
        ("nonce", _Row(ErrorKind.OTHER, _NONCE, retry=RetryPolicy.ONCE)),
        (
            "^(?!missing).*timestamp|requestexpired|expiredrequest|requesttime(?!d?out)|(clock|time)skew",
            _Row(ErrorKind.CLOCK, _CLOCK),
        ),
        (
            "arrear|overdue|indebt|accountdebt|balance|unpaid|suspend|owedfee|userowe|paymentrequired",
            _Row(ErrorKind.AUTH, _BILL),
        ),
        ("not(yet)?(open|activ|enabled|subscribed)|unopened|inactiveservice", _Row(ErrorKind.AUTH, _ACTIVATE)),
        (
            "realname|riskcontrol|(account|user)(is)?(disabled|frozen|locked|forbidden|(not)?verif|abnormal|closed)",
            _Row(ErrorKind.AUTH, _ACCOUNT),
        ),
        ("whitelist|networkpolicy|sourceip|ipdenied|deniedip$", _Row(ErrorKind.AUTH, _NETWORK_POLICY)),
        ("accesskey|akid|^(invalid)?ak(disabled|inactive|notfound|notexist|invalid)?$", _Row(ErrorKind.AUTH, _KEY)),
        ("^(?!missing).*signature(?!method|version|type)", _Row(ErrorKind.AUTH, _SECRET)),
        (
            (
                "permission|permitted|(un|not)authori[sz]ed|auth(entication|ori[sz]ation)?fail|noauth|noright"
                "|(?<!operation)denied|(im|ex)plicitdeny|accessforbidden|rolenotexist|notexistrole"
            ),
            _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
        ),
        (
            (
                "^(?!invalid|missing).*(timedout|timeout$)"
                "|(system|server|service|backend|gateway|upstream|network|remote|database).*(busy|timeout|unavailable|error)"
                "|badgateway|temporarilyunavailable|maintenance|^tryagain|^busy$"
            ),
            _Row(ErrorKind.SERVER, _LATER),
        ),
    )
)
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
_BY_STATUS: Final[dict[int, _Row]] = {
    400: _Row(ErrorKind.PARAMETER, _DEFECT),
    401: _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    403: _Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    408: _Row(ErrorKind.SERVER, _LATER),
    429: _Row(ErrorKind.THROTTLED, _SLOWER),
}


def _plain(known: str) -> str:
    return known.replace(".", "").replace("_", "")


_BY_PLAIN_CODE: Final = {_plain(code): row for code, row in _TABLE.items()}
_PREFIXES: Final = sorted((code[:-1] for code in _BY_PLAIN_CODE if code.endswith("*")), key=len, reverse=True)


def classify(http_status: int, code: str, message: str = "", *, action: Action[Any] | None = None) -> ErrorInfo:
    """Classify a failure by its code, or by its HTTP status if the code is unknown.

    `code` is the service's, one of the exporter's own, or empty; it may be any text. Throttling is normally HTTP 400
    (official SDK), so the status alone says little. `message` is searched for the parameter that MissingParameter and
    InvalidParameter refer to. `action` is what was called: its error codes are reported in the spelling of its
    documentation, and the advice names its permission and parameters.
    """
    code = clean_code(code) or (MALFORMED if _is_success(http_status) else f"http_{http_status}")
    known = code.lower()
    own = code in {TIMEOUT, CONNECT, MALFORMED} or known.startswith("http_")
    row = _row(_specific_code(known, message), by_word=not own) or _by_status(http_status)
    retry = row.retry or (RetryPolicy.BACK_OFF if row.kind in _RETRIED else RetryPolicy.NEVER)
    for documented in action.error_codes if action else ():
        if documented.lower() == known:
            code = documented
    advice = row.advice.replace("{}", action.ram_action if action else "of the call")
    if action and action.parameter_advice and row.kind is ErrorKind.PARAMETER:
        advice = action.parameter_advice
    return ErrorInfo(code, row.kind, retry, advice, row.scope)


def _row(known: str, *, by_word: bool) -> _Row | None:
    plain = _plain(known)
    if plain in _BY_PLAIN_CODE:
        return _BY_PLAIN_CODE[plain]
    family = next((f"{prefix}*" for prefix in _PREFIXES if plain.startswith(prefix)), "")
    if by_word and (not family or family in _GENERAL):
        for words, row in _BY_WORD:
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


def clean_code(code: str) -> str:
    """A code as a label value and in logs: one printable word of at most 64 characters; otherwise unchanged."""
    return printable(code.strip()[:_LONGEST_CODE], instead="_").replace(" ", "_")


def _is_success(http_status: int) -> bool:
    return 200 <= http_status < 300  # noqa: PLR2004 - HTTP's own numbers


def _by_status(http_status: int) -> _Row:
    if _is_success(http_status):
        return _TABLE[MALFORMED]
    if http_status >= 500:  # noqa: PLR2004 - HTTP's own number
        return _Row(ErrorKind.SERVER, _LATER)
    return _BY_STATUS.get(http_status, _Row(ErrorKind.OTHER, _NO_API))
