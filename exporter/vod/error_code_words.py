"""What an error code means that is not in the table of `error_codes`: the words in it → a row of that table."""

from __future__ import annotations

import re
from typing import Final

from exporter.errors import ErrorKind
from exporter.vod.error_codes import ENDPOINT, TABLE, Row

GENERAL_CODES: Final = frozenset(
    {"missing*", "invalid*", "forbidden*", "forbedden*", "operationdenied*", "accessdenied*"}
)
"""Rows of families that have more than one cause: words go first."""
_NO_SUCH: Final = (
    "(invalid|unknown|nosuch|wrong|mismatch|deprecated|offline|needssl|(is)?not(found|exist|available)"
    "|(un|not)?support(ed|region)?)"
)
# The gateway and the products behind it have many names for one cause. The first match counts, punctuation does not.
BY_WORD: Final[tuple[tuple[re.Pattern[str], Row], ...]] = tuple(
    (re.compile(words), row)
    for words, row in (
        (
            (
                "(missing|lack).*(security|sts|session)token|no(security|sts|session)token"
                "|(security|sts|session)token(missing|required|notprovided|notsupplied|empty)"
            ),
            TABLE["missingsecuritytoken*"],
        ),
        (
            (
                "(security|sts|session)token|credentials?expired|expired(access)?token"
                "|sessionexpired|invalidsession|^invalidsts$"
                "|^(?!.*(next|scroll|page|client)token).*token(is|has)?(expired|invalid|malformed|revoked|notfound)"
            ),
            TABLE["invalidsecuritytoken*"],
        ),
        (
            (
                "throttl|flowcontrol|(flow|rate|traffic|frequency|request|concurren[a-z]*|tps)limit"
                "|ratetoohigh|qps|toomanyreq|slowdown|(request|call)s?toomany|overload|sentinel|(frequency|concurrency|rate|flow|calls?)exceed"
                "|reachlimit|limitreach|too(frequent|fast)|(highfrequency|exceed(ed)?(frequency|rate))"
                "|(invok[a-z]*|invocation|calls?|burst|second)limit|(limit|traffic|frequency)control|resourceexhaust|throughputexceed"
                "|(read|write|concurren[a-z]*)quota|quota(exceed|exhaust)|thr?ot?t?ling|throlling|(?<!work)flow(exception|block)|block.*flow"
                "|^(over|exceed)[a-z]*(limit|quota)|^(api|calls?|user|account|daily)?(limit|quota)exceed"
            ),
            TABLE["throttling*"],
        ),
        (
            "nonce|replay|(duplicated?|repeated)request|request(duplicate|repeat)",
            TABLE["signaturenonceused*"],
        ),
        (
            (
                "^(?!missing).*timestamp|request(has|is)?(been)?expired|expiredrequest|requesttime(?!d?out)|skew"
                "|(clock|time)(drift|diff)|^(request|signature)?(time|date)expired|^expired(time|date)$|xacsdate|dateheader"
                "|^invaliddate(expired|format)?$|signature(has|is)?expire|request.*inthefuture"
            ),
            TABLE["invalidtimestamp*"],
        ),
        (
            (
                "arrear|overdue|debt|balance|unpaid|suspend|owedfee|(user|account)owe|paymentrequired|overdraft|outofcredit"
                "|(insufficient|notenough|outof)(fund|money|credit|amount)"
                "|(credit|money|amount|fund)s?(is)?(notenough|insufficient)|packageexhausted"
                "|(package|service|subscription)expired"
            ),
            TABLE["arrear*"],
        ),
        (
            (
                "(not|never)(yet|been)*(open|activ|enabled|subscri|purchas|provisioned|bought|buy)|noopen"
                "|un(opened|subscri|purchased|activated)|inactiveservice|outofservice|invalidservice$"
                "|(service|product)(is)?(inactive|closed|stopped|disabled|notexist)"
            ),
            TABLE["servicenotopen*"],
        ),
        (
            (
                "realname|riskcontrol|securityrisk|uncertified|nocertification"
                "|(account|user)(is)?(disabled?|frozen|locked|forbidden|blocked|banned|(not)?verif|notcertif|abnormal|closed"
                "|cancel|risk|limitedrisk|suspendedrisk)"
            ),
            TABLE["invalidaccountstatus*"],
        ),
        (
            (
                "whitelist|blacklist|networkpolicy|sourceip|ipdenied|deniedip$|illegalip$|^vpc(is)?not|forb[ie]ddenvpc|^(client|remote|user)?ip(address)?(is)?(not|forbid|denied|re|block)"
                "|^(invalid|illegal)(client|remote|user)?ip(address)?$"
            ),
            TABLE["accesskeynetworkpolicy*"],
        ),
        (
            (
                "accesskey|accessid|akid|apikey|keydisabled|^invalidkeyid|(user|account)not(exist|found)|invaliduser|credential"
                "|^(invalid)?ak(disabled|inactive|notfound|notexist|invalid)?$"
            ),
            TABLE["invalidaccesskey*"],
        ),
        (
            (
                "^(?!missing).*signature(?!method|version|type)|(sign|hmac|digest)mismatch|signotmatch"
                "|^(invalid)?sign(error|fail|not|invalid|$)"
            ),
            TABLE["signaturedoesnotmatch*"],
        ),
        (
            (
                "permission|permitted|privilege|subaccount|ramdeny|notinram|policydeny|auth(info)?(invalid|expired)"
                "|invalidauth(?!or)|^unauth|(un|not)authori[sz]ed|auth(entication|ori[sz]ation)?fail|noauth|noright"
                "|(auth|ram)check(fail|error)|^noaccess|usernotallowed|(?<!operation)denied|(im|ex)plicitdeny|accessforbidden"
                "|forbiddenram|rolenotexist|notexistrole"
            ),
            TABLE["nopermission*"],
        ),
        (
            (
                f"^{_NO_SUCH}*(action|api|version|operation|interface|product|regionid|endpoint|host|httpmethod|protocol)"
                f"{_NO_SUCH}*$|notinregion"
            ),
            Row(ErrorKind.PARAMETER, ENDPOINT),
        ),
        (f"^{_NO_SUCH}*region{_NO_SUCH}*$", TABLE["invalid*"]),  # or the filter of the query
        (
            (
                "^(?!invalid|missing).*(timedout|timeout$)"
                "|(system|server|service|backend|gateway|upstream|network|remote|database).*(busy|timeout|unavailable|error)"
                "|badgateway|unavailable|unreachable|servicenotavailable|temporaryfail|maintenance|systemupgrading"
                "|^try(again|later)|^(too)?busy$|degrade|invokefail|dispatcherror|queryerror"
                "|circuitbreaker|noavailable|noprovider"
                "|^(?!.*(invalid|illegal|missing|unsupported|param|argument)).*exception"
                "|(inner|unexpected|dependency|db|rpc|hsf|slb|invoke)error|executionfailed"
            ),
            TABLE["serviceunavailable*"],
        ),
    )
)
