"""The error codes of the service as a table: code → kind → whether to repeat → what the operator can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.errors import Kind

METER_CODES: Final = (
    "Meter.ParamError",
    "Meter.ServerInternalError",
    "Meter.DataSourceQueryError",
    "Meter.AuthError",
    "Meter.ReadyTsError",
)
"""The error codes of DescribeVodMediaPlayData itself (Alibaba Cloud's page); all others are the gateway's."""

# Ours, where the service gave none.
TIMEOUT: Final = "timeout"
CONNECT: Final = "connect"
MALFORMED: Final = "malformed"

_LONGEST_CODE: Final = 64


class Repeat(StrEnum):
    """Whether asking again within the same call can help."""

    NEVER = "never"
    BACK_OFF = "back_off"
    ONCE = "once"
    ONCE_RENEWED = "once_renewed"  # after fetching credentials again


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a failed attempt means; `code` as it is reported, `advice` a sentence for the operator."""

    code: str
    kind: Kind
    repeat: Repeat
    advice: str


_REPEATED: Final = frozenset({Kind.SERVER, Kind.THROTTLED, Kind.TRANSPORT, Kind.MALFORMED})

_PERMISSION: Final = (
    "Allow the RAM action vod:DescribeVodMediaPlayData on resource * to the user or role of these credentials."
)
_KEY: Final = "Check the AccessKey in the RAM console: it must exist, be enabled and belong to this account."
_SECRET: Final = "Check that the AccessKey secret belongs to the AccessKey ID and was copied whole."  # noqa: S105 - advice
_TOKEN: Final = "Provide a fresh security token together with the AccessKey ID and secret it was issued with."  # noqa: S105 - advice
_DEFECT: Final = "Check the endpoint and the filters of the query; if both are right, report this as a defect."
_NO_API: Final = "Check the endpoint and any proxy: Alibaba Cloud's API does not answer like this."
_LATER: Final = (
    "Nothing to do if it passes: it is asked again at the next poll. If it lasts, ask Alibaba Cloud's support."
)
_SLOWER: Final = (
    "Lower limits.requests_per_second of the account: all users of an Alibaba Cloud account share its limit."
)

# By code in lower case; a `*` at the end stands for any rest, the longest one wins.
# From Alibaba Cloud's pages of this API and of its gateway, and from the official SDK.
_TABLE: Final[dict[str, tuple[Kind, Repeat | None, str]]] = {
    "meter.paramerror": (
        Kind.PARAMETER,
        None,
        "Check media IDs, filters and days_ago of the query: the service answers for the last 30 days only.",
    ),
    "meter.serverinternalerror": (Kind.SERVER, None, _LATER),
    "meter.datasourcequeryerror": (Kind.SERVER, None, _LATER),
    "meter.autherror": (Kind.AUTH, None, _PERMISSION),
    "meter.readytserror": (
        Kind.NOT_READY,
        None,
        "Nothing to do: the service has not computed that day yet; it is asked again at the next poll.",
    ),
    "throttling*": (Kind.THROTTLED, None, _SLOWER),
    "internalerror": (Kind.SERVER, None, _LATER),
    "unknownerror": (Kind.SERVER, None, _LATER),
    "serviceunavailable": (Kind.SERVER, None, _LATER),
    "signaturenonceused": (
        Kind.OTHER,
        Repeat.ONCE,
        "Look for a proxy that sends requests twice: every attempt is signed with a nonce of its own.",
    ),
    "invalidsecuritytoken*": (Kind.AUTH, Repeat.ONCE_RENEWED, _TOKEN),
    "invalidtimestamp.expired": (
        Kind.CLOCK,
        None,
        "Set this machine's clock: it may be at most 15 minutes off; use NTP.",
    ),
    "signaturedoesnotmatch": (Kind.AUTH, None, _SECRET),
    "incompletesignature": (Kind.AUTH, None, _SECRET),
    "invalidaccesskeyid*": (Kind.AUTH, None, _KEY),
    "forbidden.accesskeydisabled": (Kind.AUTH, None, _KEY),
    "forbidden*": (Kind.AUTH, None, _PERMISSION),
    "nopermission*": (Kind.AUTH, None, _PERMISSION),
    "operationdenied*": (Kind.AUTH, None, "Activate ApsaraVideo VOD for this Alibaba Cloud account."),
    "operationdenied.suspended": (Kind.AUTH, None, "Pay the overdue bill of this Alibaba Cloud account."),
    "missing*": (Kind.PARAMETER, None, _DEFECT),
    "invalid*": (Kind.PARAMETER, None, _DEFECT),
    TIMEOUT: (Kind.TRANSPORT, None, "Check the way to the endpoint, or raise the timeout of the account."),
    CONNECT: (Kind.TRANSPORT, None, "Check the endpoint, name resolution, proxy and firewall."),
    MALFORMED: (
        Kind.MALFORMED,
        None,
        "Check that the endpoint is Alibaba Cloud's and no proxy answers for it; if so, report this as a defect.",
    ),
}
_BY_STATUS: Final[dict[int, tuple[Kind, Repeat | None, str]]] = {
    400: (Kind.PARAMETER, None, _DEFECT),
    401: (Kind.AUTH, None, _PERMISSION),
    403: (Kind.AUTH, None, _PERMISSION),
    408: (Kind.SERVER, None, _LATER),
    429: (Kind.THROTTLED, None, _SLOWER),
}
_PREFIXES: Final = sorted((code[:-1] for code in _TABLE if code.endswith("*")), key=len, reverse=True)
_CANONICAL: Final = {code.lower(): code for code in METER_CODES}


def classify(http_status: int, code: str) -> Meaning:
    """What a failure means: by its code first, by its HTTP status second.

    `code` is the service's word, one of ours, or empty; it may hold anything. Throttling is normally HTTP 400 (official
    SDK), so the status alone says little.
    """
    code = clean_code(code) or (MALFORMED if _is_success(http_status) else f"http_{http_status}")
    known = code.lower()
    row = _TABLE.get(known) or next((_TABLE[f"{prefix}*"] for prefix in _PREFIXES if known.startswith(prefix)), None)
    kind, repeat, advice = row or _by_status(http_status)
    if repeat is None:
        repeat = Repeat.BACK_OFF if kind in _REPEATED else Repeat.NEVER
    return Meaning(_CANONICAL.get(known, code), kind, repeat, advice)


def clean_code(code: str) -> str:
    """A code as a label value and in a log: one word, printable, at most 64 characters, otherwise as it was spelt."""
    return "".join(c if c.isprintable() and not c.isspace() else "_" for c in code.strip()[:_LONGEST_CODE])


def _is_success(http_status: int) -> bool:
    return 200 <= http_status < 300  # noqa: PLR2004 - HTTP's own numbers


def _by_status(http_status: int) -> tuple[Kind, Repeat | None, str]:
    if _is_success(http_status):
        return _TABLE[MALFORMED]
    if http_status >= 500:  # noqa: PLR2004 - HTTP's own number
        return Kind.SERVER, None, _LATER
    return _BY_STATUS.get(http_status, (Kind.OTHER, None, _NO_API))
