"""The table of error codes: code → kind, retry policy, scope and advice for the operator."""

from __future__ import annotations

from typing import Final, NamedTuple

from exporter.errors import ErrorKind, ErrorScope, RetryPolicy

# The exporter's own codes, for failures without a code of the service.
TIMEOUT: Final = "timeout"
CONNECT: Final = "connect"
MALFORMED: Final = "malformed"

# `{}` is the RAM action of the call.
_PERMISSION: Final = "Allow the RAM action {} on resource * to the user or role of these credentials."
_KEY: Final = "Check the AccessKey in the RAM console: it must exist, be enabled and belong to this account."
_SECRET: Final = "Check that the AccessKey secret belongs to the AccessKey ID and was copied whole."  # noqa: S105 - advice
_TOKEN: Final = "Provide a fresh security token together with the AccessKey ID and secret it was issued with."  # noqa: S105 - advice
_NEEDS_ALL_THREE: Final = (
    "Set the security token too: an AccessKey ID that begins with STS. is temporary and valid only with its token."
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
ENDPOINT: Final = (
    "Check the endpoint: vod.cn-shanghai.aliyuncs.com serves these APIs. If it is right, report this as a defect."
)
NO_API: Final = "Check the endpoint and any proxy: Alibaba Cloud's API does not respond like this."
LATER: Final = "Usually temporary: the next poll requests it again. If it persists, contact Alibaba Cloud support."
_SLOWER: Final = (
    "Lower limits.requests_per_second of the account: all users of an Alibaba Cloud account share its limit."
)
_SLOWER_ACTION: Final = (
    "Lower limits.requests_per_second of the account: the service limits {} for all users of an Alibaba Cloud account."
)
_NONCE: Final = "Look for a proxy that sends requests twice: every attempt is signed with a nonce of its own."


class Row(NamedTuple):
    """How errors with a code are classified; `retry`: None means that it follows from the kind.

    A code that may mean either scope has `ErrorScope.ACTION`, so that it cannot stop the account's other actions.
    """

    kind: ErrorKind
    advice: str
    scope: ErrorScope = ErrorScope.ACCOUNT
    retry: RetryPolicy | None = None


# By code in lower case; `*` at the end matches any suffix, and the longest match wins; punctuation does not
# count. Sources: Alibaba Cloud's pages of this API, of its gateway and of other products behind it, the official SDKs,
# and reports of their users.
TABLE: Final[dict[str, Row]] = {
    "meter.paramerror": Row(
        ErrorKind.PARAMETER,
        "Check media IDs, filters and days_ago of the query: the service has data of the last 30 days only.",
    ),
    "meter.serverinternalerror": Row(ErrorKind.SERVER, LATER),
    "meter.datasourcequeryerror": Row(ErrorKind.SERVER, LATER),
    "meter.autherror": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "meter.readytserror": Row(
        ErrorKind.NOT_READY,
        "No action needed: the service has not computed that day yet; the next poll requests it again.",
    ),
    # Too many requests.
    "throttling*": Row(ErrorKind.THROTTLED, _SLOWER),
    "throttling.api*": Row(ErrorKind.THROTTLED, _SLOWER_ACTION, ErrorScope.ACTION),
    "throttled*": Row(ErrorKind.THROTTLED, _SLOWER),
    "flowcontrol.api*": Row(ErrorKind.THROTTLED, _SLOWER_ACTION, ErrorScope.ACTION),
    "flowcontrol*": Row(ErrorKind.THROTTLED, _SLOWER),
    "requestlimitexceeded*": Row(ErrorKind.THROTTLED, _SLOWER),
    "toomanyrequests*": Row(ErrorKind.THROTTLED, _SLOWER),
    # The service itself.
    "internal*": Row(ErrorKind.SERVER, LATER),
    "unknownerror*": Row(ErrorKind.SERVER, LATER),
    "servererror*": Row(ErrorKind.SERVER, LATER),
    "serverbusy*": Row(ErrorKind.SERVER, LATER),
    "systemerror*": Row(ErrorKind.SERVER, LATER),
    "servicebusy*": Row(ErrorKind.SERVER, LATER),
    "serviceunavailable*": Row(ErrorKind.SERVER, LATER),
    "servicetimeout*": Row(ErrorKind.SERVER, LATER),
    # The nonce and time of the request.
    "signaturenonceused*": Row(ErrorKind.OTHER, _NONCE, retry=RetryPolicy.ONCE),
    "invalidtimestamp*": Row(ErrorKind.CLOCK, _CLOCK),
    "illegaltimestamp*": Row(ErrorKind.CLOCK, _CLOCK),
    "requesttimetooskewed*": Row(ErrorKind.CLOCK, _CLOCK),
    "signatureexpired*": Row(ErrorKind.CLOCK, _CLOCK),
    # The token of temporary credentials.
    "invalidsecuritytoken*": Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "invalidststoken*": Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "invalidtoken*": Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "securitytokenexpired*": Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "expiredtoken*": Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "tokenexpired*": Row(ErrorKind.AUTH, _TOKEN, retry=RetryPolicy.ONCE_RENEWED),
    "missingsecuritytoken*": Row(ErrorKind.AUTH, _NEEDS_ALL_THREE),
    # The AccessKey and the signature.
    "signaturedoesnotmatch*": Row(ErrorKind.AUTH, _SECRET),
    "incompletesignature*": Row(ErrorKind.AUTH, _SECRET),
    "invalidsignaturenonce*": Row(ErrorKind.OTHER, _NONCE, retry=RetryPolicy.ONCE),
    "invalidsignature*": Row(ErrorKind.AUTH, _SECRET),
    "missingsignature*": Row(ErrorKind.AUTH, _SECRET),
    "invalidaccesskeysecret*": Row(ErrorKind.AUTH, _SECRET),
    "invalidaccesskey*": Row(ErrorKind.AUTH, _KEY),
    "missingaccesskey*": Row(ErrorKind.AUTH, _KEY),
    "noenabledaccesskey*": Row(ErrorKind.AUTH, _KEY),
    "inactiveaccesskey*": Row(ErrorKind.AUTH, _KEY),
    "accesskeydisabled*": Row(ErrorKind.AUTH, _KEY),
    "forbidden.accesskey*": Row(ErrorKind.AUTH, _KEY),
    "invalidcredential*": Row(ErrorKind.AUTH, _KEY),
    "entitynotexist.user*": Row(ErrorKind.AUTH, _KEY),
    "accesskeynetworkpolicy*": Row(ErrorKind.AUTH, _NETWORK_POLICY),
    "accesspolicydenied*": Row(ErrorKind.AUTH, _NETWORK_POLICY),
    "forbidden.ip*": Row(ErrorKind.AUTH, _NETWORK_POLICY),
    # Permissions.
    "forbidden*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "forbedden*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "nopermission*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "accessdenied*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "unauthorized*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "notauthorized*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "actionunauthorized*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "userunauthorized*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "authenticationfail*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    "permissiondenied*": Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    # The Alibaba Cloud account and its bills.
    "operationdenied*": Row(ErrorKind.AUTH, _ACTIVATE),
    "operationdenied.suspended*": Row(ErrorKind.AUTH, _BILL),
    "servicenotopen*": Row(ErrorKind.AUTH, _ACTIVATE),
    "servicenotenabled*": Row(ErrorKind.AUTH, _ACTIVATE),
    "notopenservice*": Row(ErrorKind.AUTH, _ACTIVATE),
    "productnotopen*": Row(ErrorKind.AUTH, _ACTIVATE),
    "usernotopen*": Row(ErrorKind.AUTH, _ACTIVATE),
    "invalidstatus.arrear*": Row(ErrorKind.AUTH, _BILL),
    "forbidden.arrear*": Row(ErrorKind.AUTH, _BILL),
    "forbidden.accountindebt*": Row(ErrorKind.AUTH, _BILL),
    "forbidden.accountdebt*": Row(ErrorKind.AUTH, _BILL),
    "forbidden.overdue*": Row(ErrorKind.AUTH, _BILL),
    "forbidden.suspended*": Row(ErrorKind.AUTH, _BILL),
    "arrear*": Row(ErrorKind.AUTH, _BILL),
    "accountarrear*": Row(ErrorKind.AUTH, _BILL),
    "accountindebt*": Row(ErrorKind.AUTH, _BILL),
    "insufficientbalance*": Row(ErrorKind.AUTH, _BILL),
    "invalidaccountstatus.notenoughbalance*": Row(ErrorKind.AUTH, _BILL),
    "invalidaccountstatus*": Row(ErrorKind.AUTH, _ACCOUNT),
    "forbidden.riskcontrol*": Row(ErrorKind.AUTH, _ACCOUNT),
    "forbidden.userverification*": Row(ErrorKind.AUTH, _ACCOUNT),
    "forbidden.account*": Row(ErrorKind.AUTH, _ACCOUNT),
    # All other codes of two large families.
    "missing*": Row(ErrorKind.PARAMETER, _DEFECT),
    "invalid*": Row(ErrorKind.PARAMETER, _DEFECT),
    # The exporter's own.
    TIMEOUT: Row(ErrorKind.TRANSPORT, "Check the network path to the endpoint, or raise the timeout of the account."),
    CONNECT: Row(ErrorKind.TRANSPORT, "Check the endpoint, name resolution, proxy and firewall."),
    MALFORMED: Row(
        ErrorKind.MALFORMED,
        "Check that the endpoint is Alibaba Cloud's and that no proxy responds in its place; if both are right, report"
        " this as a defect.",
    ),
}
BY_STATUS: Final[dict[int, Row]] = {
    400: Row(ErrorKind.PARAMETER, _DEFECT),
    401: Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    403: Row(ErrorKind.AUTH, _PERMISSION, ErrorScope.ACTION),
    408: Row(ErrorKind.SERVER, LATER),
    429: Row(ErrorKind.THROTTLED, _SLOWER),
}
