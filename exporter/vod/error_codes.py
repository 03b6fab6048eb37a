"""The service's error codes as a table: code → kind, retry policy and advice for the operator."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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

# `{}` is the RAM action of the call. An error whose advice names the action is about that action alone; a doubtful one
# counts as such, so that it cannot stop the other actions of the account.
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
    "See in the Alibaba Cloud console what is wrong with the account: verification, risk control or its state."
)
_NETWORK_POLICY: Final = (
    "Allow this machine's address in the network restrictions of the AccessKey or of the RAM policy."
)
_DEFECT: Final = "Check the endpoint and the filters of the query; if both are right, report this as a defect."
_NO_API: Final = "Check the endpoint and any proxy: Alibaba Cloud's API does not answer like this."
_LATER: Final = (
    "Nothing to do if it passes: it is asked again at the next poll. If it lasts, ask Alibaba Cloud's support."
)
_SLOWER: Final = (
    "Lower limits.requests_per_second of the account: all users of an Alibaba Cloud account share its limit."
)
_SLOWER_ACTION: Final = (
    "Lower limits.requests_per_second of the account: the service limits {} for all users of an Alibaba Cloud account."
)
_NONCE: Final = "Look for a proxy that sends requests twice: every attempt is signed with a nonce of its own."

_Row = tuple[ErrorKind, RetryPolicy | None, str]

# By code in lower case; `*` at the end matches any suffix, and the longest match wins. Sources: Alibaba Cloud's pages
# of this API, of its gateway and of other products behind it, the official SDKs, and reports of their users.
_TABLE: Final[dict[str, _Row]] = {
    "meter.paramerror": (
        ErrorKind.PARAMETER,
        None,
        "Check media IDs, filters and days_ago of the query: the service answers for the last 30 days only.",
    ),
    "meter.serverinternalerror": (ErrorKind.SERVER, None, _LATER),
    "meter.datasourcequeryerror": (ErrorKind.SERVER, None, _LATER),
    "meter.autherror": (ErrorKind.AUTH, None, _PERMISSION),
    "meter.readytserror": (
        ErrorKind.NOT_READY,
        None,
        "Nothing to do: the service has not computed that day yet; it is asked again at the next poll.",
    ),
    # Too many requests.
    "throttling*": (ErrorKind.THROTTLED, None, _SLOWER),
    "throttling.api*": (ErrorKind.THROTTLED, None, _SLOWER_ACTION),
    "throttled*": (ErrorKind.THROTTLED, None, _SLOWER),
    "flowcontrol.api*": (ErrorKind.THROTTLED, None, _SLOWER_ACTION),
    "flowcontrol*": (ErrorKind.THROTTLED, None, _SLOWER),
    "requestlimitexceeded*": (ErrorKind.THROTTLED, None, _SLOWER),
    "toomanyrequests*": (ErrorKind.THROTTLED, None, _SLOWER),
    # The service itself.
    "internal*": (ErrorKind.SERVER, None, _LATER),
    "unknownerror*": (ErrorKind.SERVER, None, _LATER),
    "servererror*": (ErrorKind.SERVER, None, _LATER),
    "serverbusy*": (ErrorKind.SERVER, None, _LATER),
    "systemerror*": (ErrorKind.SERVER, None, _LATER),
    "servicebusy*": (ErrorKind.SERVER, None, _LATER),
    "serviceunavailable*": (ErrorKind.SERVER, None, _LATER),
    "servicetimeout*": (ErrorKind.SERVER, None, _LATER),
    # The nonce and time of the request.
    "signaturenonceused*": (ErrorKind.OTHER, RetryPolicy.ONCE, _NONCE),
    "invalidtimestamp*": (ErrorKind.CLOCK, None, _CLOCK),
    "illegaltimestamp*": (ErrorKind.CLOCK, None, _CLOCK),
    "requesttimetooskewed*": (ErrorKind.CLOCK, None, _CLOCK),
    "signatureexpired*": (ErrorKind.CLOCK, None, _CLOCK),
    # The token of temporary credentials.
    "invalidsecuritytoken*": (ErrorKind.AUTH, RetryPolicy.ONCE_RENEWED, _TOKEN),
    "invalidststoken*": (ErrorKind.AUTH, RetryPolicy.ONCE_RENEWED, _TOKEN),
    "invalidtoken*": (ErrorKind.AUTH, RetryPolicy.ONCE_RENEWED, _TOKEN),
    "securitytokenexpired*": (ErrorKind.AUTH, RetryPolicy.ONCE_RENEWED, _TOKEN),
    "expiredtoken*": (ErrorKind.AUTH, RetryPolicy.ONCE_RENEWED, _TOKEN),
    "tokenexpired*": (ErrorKind.AUTH, RetryPolicy.ONCE_RENEWED, _TOKEN),
    "missingsecuritytoken*": (ErrorKind.AUTH, None, _NEEDS_ALL_THREE),
    # The AccessKey and the signature.
    "signaturedoesnotmatch*": (ErrorKind.AUTH, None, _SECRET),
    "incompletesignature*": (ErrorKind.AUTH, None, _SECRET),
    "invalidsignaturenonce*": (ErrorKind.OTHER, RetryPolicy.ONCE, _NONCE),
    "invalidsignature*": (ErrorKind.AUTH, None, _SECRET),
    "missingsignature*": (ErrorKind.AUTH, None, _SECRET),
    "invalidaccesskeysecret*": (ErrorKind.AUTH, None, _SECRET),
    "invalidaccesskey*": (ErrorKind.AUTH, None, _KEY),
    "missingaccesskey*": (ErrorKind.AUTH, None, _KEY),
    "noenabledaccesskey*": (ErrorKind.AUTH, None, _KEY),
    "inactiveaccesskey*": (ErrorKind.AUTH, None, _KEY),
    "accesskeydisabled*": (ErrorKind.AUTH, None, _KEY),
    "forbidden.accesskey*": (ErrorKind.AUTH, None, _KEY),
    "invalidcredential*": (ErrorKind.AUTH, None, _KEY),
    "entitynotexist.user*": (ErrorKind.AUTH, None, _KEY),
    "accesskeynetworkpolicy*": (ErrorKind.AUTH, None, _NETWORK_POLICY),
    "accesspolicydenied*": (ErrorKind.AUTH, None, _NETWORK_POLICY),
    "forbidden.ip*": (ErrorKind.AUTH, None, _NETWORK_POLICY),
    # Permissions.
    "forbidden*": (ErrorKind.AUTH, None, _PERMISSION),
    "forbedden*": (ErrorKind.AUTH, None, _PERMISSION),
    "nopermission*": (ErrorKind.AUTH, None, _PERMISSION),
    "accessdenied*": (ErrorKind.AUTH, None, _PERMISSION),
    "unauthorized*": (ErrorKind.AUTH, None, _PERMISSION),
    "notauthorized*": (ErrorKind.AUTH, None, _PERMISSION),
    "actionunauthorized*": (ErrorKind.AUTH, None, _PERMISSION),
    "userunauthorized*": (ErrorKind.AUTH, None, _PERMISSION),
    "authenticationfail*": (ErrorKind.AUTH, None, _PERMISSION),
    "permissiondenied*": (ErrorKind.AUTH, None, _PERMISSION),
    # The Alibaba Cloud account and its bills.
    "operationdenied*": (ErrorKind.AUTH, None, _ACTIVATE),
    "operationdenied.suspended*": (ErrorKind.AUTH, None, _BILL),
    "servicenotopen*": (ErrorKind.AUTH, None, _ACTIVATE),
    "servicenotenabled*": (ErrorKind.AUTH, None, _ACTIVATE),
    "notopenservice*": (ErrorKind.AUTH, None, _ACTIVATE),
    "productnotopen*": (ErrorKind.AUTH, None, _ACTIVATE),
    "usernotopen*": (ErrorKind.AUTH, None, _ACTIVATE),
    "invalidstatus.arrear*": (ErrorKind.AUTH, None, _BILL),
    "forbidden.arrear*": (ErrorKind.AUTH, None, _BILL),
    "forbidden.accountindebt*": (ErrorKind.AUTH, None, _BILL),
    "forbidden.accountdebt*": (ErrorKind.AUTH, None, _BILL),
    "forbidden.overdue*": (ErrorKind.AUTH, None, _BILL),
    "forbidden.suspended*": (ErrorKind.AUTH, None, _BILL),
    "arrear*": (ErrorKind.AUTH, None, _BILL),
    "accountarrear*": (ErrorKind.AUTH, None, _BILL),
    "accountindebt*": (ErrorKind.AUTH, None, _BILL),
    "insufficientbalance*": (ErrorKind.AUTH, None, _BILL),
    "invalidaccountstatus*": (ErrorKind.AUTH, None, _ACCOUNT),
    "forbidden.riskcontrol*": (ErrorKind.AUTH, None, _ACCOUNT),
    "forbidden.userverification*": (ErrorKind.AUTH, None, _ACCOUNT),
    "forbidden.account*": (ErrorKind.AUTH, None, _ACCOUNT),
    # All other codes of two large families.
    "missing*": (ErrorKind.PARAMETER, None, _DEFECT),
    "invalid*": (ErrorKind.PARAMETER, None, _DEFECT),
    # The exporter's own.
    TIMEOUT: (ErrorKind.TRANSPORT, None, "Check the way to the endpoint, or raise the timeout of the account."),
    CONNECT: (ErrorKind.TRANSPORT, None, "Check the endpoint, name resolution, proxy and firewall."),
    MALFORMED: (
        ErrorKind.MALFORMED,
        None,
        "Check that the endpoint is Alibaba Cloud's and no proxy answers for it; if so, report this as a defect.",
    ),
}
# Codes that are in no row, or in one of a large family, by what they contain without dots and underscores: the first
# match counts. The gateway and the products behind it have many names for one cause.
_GENERAL: Final = frozenset({"missing*", "invalid*", "forbidden*", "forbedden*", "operationdenied*", "accessdenied*"})
_BY_WORD: Final[tuple[tuple[re.Pattern[str], _Row], ...]] = tuple(
    (re.compile(words), row)
    for words, row in (
        ("(missing.*(security|sts)token|(security|sts)tokenmissing)", (ErrorKind.AUTH, None, _NEEDS_ALL_THREE)),
        ("(security|sts)token|credentials?expired", (ErrorKind.AUTH, RetryPolicy.ONCE_RENEWED, _TOKEN)),
        (
            "throttl|flowcontrol|flowlimit|ratelimit|qps|toomanyreq|requestlimit|frequencylimit|^(limit|quota)exceed",
            (ErrorKind.THROTTLED, None, _SLOWER),
        ),
        ("nonce", (ErrorKind.OTHER, RetryPolicy.ONCE, _NONCE)),
        ("^(?!missing).*timestamp|requestexpired|requesttime", (ErrorKind.CLOCK, None, _CLOCK)),
        ("arrear|overdue|indebt|accountdebt|balance|unpaid|suspend", (ErrorKind.AUTH, None, _BILL)),
        ("not(yet)?(open|activ|enabled)|unopened|inactiveservice", (ErrorKind.AUTH, None, _ACTIVATE)),
        (
            "realname|riskcontrol|(account|user)(is)?(disabled|frozen|locked|forbidden|verif|abnormal)",
            (ErrorKind.AUTH, None, _ACCOUNT),
        ),
        ("whitelist|networkpolicy|sourceip|ipdenied|deniedip$", (ErrorKind.AUTH, None, _NETWORK_POLICY)),
        ("accesskey|akid", (ErrorKind.AUTH, None, _KEY)),
        ("^(?!missing).*signature(?!method|version|type)", (ErrorKind.AUTH, None, _SECRET)),
        (
            "permission|unauthori[sz]ed|(?<!operation)denied|implicitdeny|accessforbidden",
            (ErrorKind.AUTH, None, _PERMISSION),
        ),
        ("(system|server|service|backend).*(busy|timeout|unavailable|error)", (ErrorKind.SERVER, None, _LATER)),
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
    400: (ErrorKind.PARAMETER, None, _DEFECT),
    401: (ErrorKind.AUTH, None, _PERMISSION),
    403: (ErrorKind.AUTH, None, _PERMISSION),
    408: (ErrorKind.SERVER, None, _LATER),
    429: (ErrorKind.THROTTLED, None, _SLOWER),
}
_PREFIXES: Final = sorted((code[:-1] for code in _TABLE if code.endswith("*")), key=len, reverse=True)


def classify(http_status: int, code: str, message: str = "", *, action: Action[Any] | None = None) -> ErrorInfo:
    """Classify a failure by its code, or by its HTTP status if the code is unknown.

    `code` is the service's, one of the exporter's own, or empty; it may be any text. Throttling is normally HTTP 400
    (official SDK), so the status alone says little. `message` is searched for the parameter that MissingParameter and
    InvalidParameter refer to. `action` is what was called: its error codes are reported in the spelling of its
    documentation, and the advice names its permission.
    """
    code = clean_code(code) or (MALFORMED if _is_success(http_status) else f"http_{http_status}")
    known = code.lower()
    own = code in {TIMEOUT, CONNECT, MALFORMED} or known.startswith("http_")
    kind, retry, advice = _row(_specific_code(known, message), by_word=not own) or _by_status(http_status)
    if retry is None:
        retry = RetryPolicy.BACK_OFF if kind in _RETRIED else RetryPolicy.NEVER
    for documented in action.error_codes if action else ():
        if documented.lower() == known:
            code = documented
    scope = ErrorScope.ACTION if "{}" in advice else ErrorScope.ACCOUNT
    return ErrorInfo(code, kind, retry, advice.replace("{}", action.ram_action if action else "of the call"), scope)


def _row(known: str, *, by_word: bool) -> _Row | None:
    if known in _TABLE:
        return _TABLE[known]
    family = next((f"{prefix}*" for prefix in _PREFIXES if known.startswith(prefix)), "")
    if by_word and (not family or family in _GENERAL):
        plain = known.replace(".", "").replace("_", "")
        for words, row in _BY_WORD:
            if words.search(plain):
                return row
    return _TABLE.get(family)


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
        return ErrorKind.SERVER, None, _LATER
    return _BY_STATUS.get(http_status, (ErrorKind.OTHER, None, _NO_API))
