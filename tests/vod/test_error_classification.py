from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ErrorKind, ErrorScope, RetryPolicy
from exporter.vod.actions import Action
from exporter.vod.error_classification import classify
from exporter.vod.play_data import PLAY_DATA
from exporter.vod.player_metrics import PLAYER_METRICS

BACK_OFF, NEVER, ONCE, RENEWED = RetryPolicy.BACK_OFF, RetryPolicy.NEVER, RetryPolicy.ONCE, RetryPolicy.ONCE_RENEWED


def test_the_five_codes_of_the_page() -> None:
    assert PLAY_DATA.error_codes == (
        "Meter.ParamError",
        "Meter.ServerInternalError",
        "Meter.DataSourceQueryError",
        "Meter.AuthError",
        "Meter.ReadyTsError",
    )


@pytest.mark.parametrize(
    ("status", "code", "kind", "retry"),
    [
        (400, "Meter.ParamError", ErrorKind.PARAMETER, NEVER),
        (500, "Meter.ServerInternalError", ErrorKind.SERVER, BACK_OFF),
        (500, "Meter.DataSourceQueryError", ErrorKind.SERVER, BACK_OFF),
        (403, "Meter.AuthError", ErrorKind.AUTH, NEVER),
        (502, "Meter.ReadyTsError", ErrorKind.NOT_READY, NEVER),
        (400, "Throttling", ErrorKind.THROTTLED, BACK_OFF),
        (400, "Throttling.User", ErrorKind.THROTTLED, BACK_OFF),
        (429, "Throttling.Api", ErrorKind.THROTTLED, BACK_OFF),
        (400, "Throttling.Something", ErrorKind.THROTTLED, BACK_OFF),
        (500, "InternalError", ErrorKind.SERVER, BACK_OFF),
        (500, "UnknownError", ErrorKind.SERVER, BACK_OFF),
        (503, "ServiceUnavailable", ErrorKind.SERVER, BACK_OFF),
        (503, "ServiceUnAvailable", ErrorKind.SERVER, BACK_OFF),
        (400, "SignatureNonceUsed", ErrorKind.OTHER, ONCE),
        (400, "InvalidSecurityToken.Expired", ErrorKind.AUTH, RENEWED),
        (400, "InvalidSecurityToken.Malformed", ErrorKind.AUTH, RENEWED),
        (403, "InvalidSecurityToken.MismatchWithAccessKey", ErrorKind.AUTH, RENEWED),
        (400, "InvalidTimeStamp.Expired", ErrorKind.CLOCK, NEVER),
        (400, "SignatureDoesNotMatch", ErrorKind.AUTH, NEVER),
        (403, "IncompleteSignature", ErrorKind.AUTH, NEVER),
        (404, "InvalidAccessKeyId.NotFound", ErrorKind.AUTH, NEVER),
        (400, "InvalidAccessKeyId.Inactive", ErrorKind.AUTH, NEVER),
        (403, "Forbidden.AccessKeyDisabled", ErrorKind.AUTH, NEVER),
        (403, "Forbidden", ErrorKind.AUTH, NEVER),
        (403, "Forbidden.RAM", ErrorKind.AUTH, NEVER),
        (403, "NoPermission", ErrorKind.AUTH, NEVER),
        (403, "OperationDenied", ErrorKind.AUTH, NEVER),
        (403, "OperationDenied.Suspended", ErrorKind.AUTH, NEVER),
        (400, "MissingPageNo", ErrorKind.PARAMETER, NEVER),
        (400, "InvalidParameter", ErrorKind.PARAMETER, NEVER),
        (404, "InvalidApi.NotFound", ErrorKind.PARAMETER, NEVER),
        # By status, if the code is unknown.
        (400, "Unheard.Of", ErrorKind.PARAMETER, NEVER),
        (401, "Unheard.Of", ErrorKind.AUTH, NEVER),
        (403, "Unheard.Of", ErrorKind.AUTH, NEVER),
        (404, "Unheard.Of", ErrorKind.OTHER, NEVER),
        (408, "Unheard.Of", ErrorKind.SERVER, BACK_OFF),
        (429, "Unheard.Of", ErrorKind.THROTTLED, BACK_OFF),
        (500, "Unheard.Of", ErrorKind.SERVER, BACK_OFF),
        (504, "Unheard.Of", ErrorKind.SERVER, BACK_OFF),
        (200, "Unheard.Of", ErrorKind.MALFORMED, BACK_OFF),
        (302, "Unheard.Of", ErrorKind.OTHER, NEVER),
        # Several codes for one cause.
        (400, "MissingSecurityToken", ErrorKind.AUTH, NEVER),
        (400, "InvalidStsToken.Malformed", ErrorKind.AUTH, RENEWED),
        (403, "SecurityTokenExpired", ErrorKind.AUTH, RENEWED),
        (400, "ExpiredToken", ErrorKind.AUTH, RENEWED),
        (400, "InvalidAccessKeyId", ErrorKind.AUTH, NEVER),
        (403, "InvalidAccessKey.NotFound", ErrorKind.AUTH, NEVER),
        (400, "InvalidAccessKeySecret", ErrorKind.AUTH, NEVER),
        (400, "MissingAccessKeyId", ErrorKind.AUTH, NEVER),
        (403, "NoEnabledAccessKey", ErrorKind.AUTH, NEVER),
        (403, "Forbidden.AccessKey", ErrorKind.AUTH, NEVER),
        (400, "InvalidSignature", ErrorKind.AUTH, NEVER),
        (400, "InvalidSignatureMethod", ErrorKind.AUTH, NEVER),
        (400, "MissingSignature", ErrorKind.AUTH, NEVER),
        (400, "InvalidTimeStamp.Format", ErrorKind.CLOCK, NEVER),
        (400, "IllegalTimestamp", ErrorKind.CLOCK, NEVER),
        (403, "RequestTimeTooSkewed", ErrorKind.CLOCK, NEVER),
        (403, "Forbedden.NotSupportRAM", ErrorKind.AUTH, NEVER),
        (400, "NoPermission.System", ErrorKind.AUTH, NEVER),
        (400, "AccessDenied", ErrorKind.AUTH, NEVER),
        (400, "ActionUnauthorized", ErrorKind.AUTH, NEVER),
        (400, "Unauthorized.Operation", ErrorKind.AUTH, NEVER),
        (400, "Arrearage", ErrorKind.AUTH, NEVER),
        (400, "InsufficientBalance", ErrorKind.AUTH, NEVER),
        (400, "InvalidAccountStatus.NotEnoughBalance", ErrorKind.AUTH, NEVER),
        (400, "ServiceNotOpen", ErrorKind.AUTH, NEVER),
        (400, "InternalServerError", ErrorKind.SERVER, BACK_OFF),
        (400, "SystemError.Busy", ErrorKind.SERVER, BACK_OFF),
        (400, "FlowControl.Api", ErrorKind.THROTTLED, BACK_OFF),
        # Ours.
        (0, "timeout", ErrorKind.TRANSPORT, BACK_OFF),
        (0, "connect", ErrorKind.TRANSPORT, BACK_OFF),
        (200, "malformed", ErrorKind.MALFORMED, BACK_OFF),
    ],
)
def test_table(status: int, code: str, kind: ErrorKind, retry: RetryPolicy) -> None:
    for code_as_sent in (code, code.upper(), code.lower()):
        info = classify(status, code_as_sent)
        assert (info.kind, info.retry) == (kind, retry)
        assert info.advice.endswith(".")
    assert classify(status, code).code == code


@pytest.mark.parametrize(
    ("documented", "also"),
    [
        ("Meter.ReadyTsError", "MeterReadyTsError"),
        ("Meter.AuthError", "METER_AUTH_ERROR"),
        ("AuthenticationFail", "Authentication.Failed"),
        ("TokenExpired", "Token.Expired"),
        ("ServiceNotOpen", "Service.NotOpen"),
        ("Throttling.Api", "ThrottlingApi"),
        ("Throttling.User", "throttling-user"),
        ("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId:NotFound"),
        ("Forbidden.AccessKeyDisabled", "Forbidden_Access_Key_Disabled"),
        ("InvalidTimeStamp.Expired", "Invalid.TimeStamp.Expired"),
        ("OperationDenied.Suspended", "operation_denied_suspended"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_punctuation_does_not_count(documented: str, also: str, status: int) -> None:
    known, found = classify(status, documented), classify(status, also)
    assert (found.kind, found.retry, found.scope, found.advice) == (known.kind, known.retry, known.scope, known.advice)
    assert found.code == also


@pytest.mark.parametrize("status", [200, 400, 503])
def test_code_comes_before_status(status: int) -> None:
    assert classify(status, "Throttling.User").kind is ErrorKind.THROTTLED
    assert classify(status, "Meter.AuthError").kind is ErrorKind.AUTH


@pytest.mark.parametrize(
    ("code", "kind", "retry"),
    [
        ("401", ErrorKind.AUTH, NEVER),
        ("403", ErrorKind.AUTH, NEVER),
        ("429", ErrorKind.THROTTLED, BACK_OFF),
        ("500", ErrorKind.SERVER, BACK_OFF),
        ("503", ErrorKind.SERVER, BACK_OFF),
        ("1001", ErrorKind.MALFORMED, BACK_OFF),
    ],
)
def test_a_code_that_is_a_status_counts_as_one_where_the_response_says_success(
    code: str, kind: ErrorKind, retry: RetryPolicy
) -> None:
    info = classify(200, code)
    assert (info.code, info.kind, info.retry) == (code, kind, retry)


@pytest.mark.parametrize(
    ("status", "code"),
    [(302, "http_302"), (404, "http_404"), (503, "http_503"), (200, "malformed"), (204, "malformed")],
)
def test_no_code(status: int, code: str) -> None:
    assert classify(status, "").code == code
    assert classify(status, " ").code == code


@pytest.mark.parametrize("code", PLAY_DATA.error_codes)
def test_meter_codes_are_reported_in_one_form(code: str) -> None:
    assert classify(500, code.swapcase(), action=PLAY_DATA).code == code


def test_other_codes_are_reported_unchanged() -> None:
    assert classify(503, "ServiceUnAvailable").code == "ServiceUnAvailable"
    assert classify(400, " throttling.user\n").code == "throttling.user"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "Forbidden"),
        (403, "Forbidden.RAM"),
        (403, "forbidden.ram"),
        (403, "NoPermission"),
        (403, "Meter.AuthError"),
        (403, "AccessDenied"),
        (401, ""),
        (403, ""),
        (403, "Brand.New"),
        (400, "Throttling.Api"),
        (429, "THROTTLING.API"),
        (400, "FlowControl.Api"),
    ],
)
def test_an_error_that_may_be_about_the_action_names_it_and_leaves_others_alone(status: int, code: str) -> None:
    action = Action("DoThis", "1", "vod:DoThis", lambda body, _: body)
    info = classify(status, code, action=action)
    assert info.scope is ErrorScope.ACTION
    assert " vod:DoThis " in info.advice
    assert "DescribeVodMediaPlayData" not in info.advice
    assert "{}" not in classify(status, code).advice


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "InvalidAccessKeyId.NotFound"),
        (403, "Forbidden.AccessKeyDisabled"),
        (403, "Forbidden.Arrearage"),
        (403, "Forbidden.AccountInDebt"),
        (403, "Forbidden.RiskControl"),
        (403, "AccessKeyNetworkPolicyDenied"),
        (400, "SignatureDoesNotMatch"),
        (400, "InvalidSecurityToken.Expired"),
        (403, "OperationDenied"),
        (403, "OperationDenied.Suspended"),
        (400, "Throttling"),
        (400, "Throttling.User"),
        (429, ""),
    ],
)
def test_an_error_that_is_about_the_account_or_its_key_holds_for_all_actions(status: int, code: str) -> None:
    assert classify(status, code).scope is ErrorScope.ACCOUNT


def test_advice_says_what_to_do() -> None:
    assert "vod:DescribeVodMediaPlayData" in classify(403, "Meter.AuthError", action=PLAY_DATA).advice
    assert "30 days" in classify(400, "Meter.ParamError").advice
    assert "clock" in classify(400, "InvalidTimeStamp.Expired").advice
    assert "overdue" in classify(403, "OperationDenied.Suspended").advice
    assert "limits.requests_per_second" in classify(400, "Throttling").advice


@pytest.mark.parametrize("code", ["Meter.ParamError", "InvalidParameter", "InvalidAppId.NotFound", "Unknown"])
def test_advice_on_parameters_is_that_of_the_action(code: str) -> None:
    advice = classify(400, code, action=PLAYER_METRICS).advice
    assert "app_id" in advice
    assert "media" not in advice
    assert classify(400, code, action=PLAY_DATA).advice == classify(400, code).advice != advice
    assert "clock" in classify(400, "InvalidTimeStamp.Expired", action=PLAYER_METRICS).advice
    assert "endpoint" in classify(404, "InvalidApi.NotFound", action=PLAYER_METRICS).advice


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("MissingSecurityToken", "begins with STS."),
        ("InvalidAccessKeyId.Inactive", "enabled"),
        ("SignatureDoesNotMatch", "secret"),
        ("IllegalTimestamp", "clock"),
        ("Forbidden.RAM", "RAM action"),
        ("Forbidden.RiskControl", "risk control"),
        ("Forbidden.UserVerification", "verification"),
        ("Forbidden.IpNotAllowed", "address"),
        ("AccessKeyNetworkPolicy.Denied", "address"),
        ("InsufficientBalance", "overdue"),
        ("Forbidden.AccountInDebt", "overdue"),
        ("InvalidStatus.Arrearage", "overdue"),
        ("OperationDenied", "Activate"),
    ],
)
def test_advice_names_the_cause(code: str, says: str) -> None:
    assert says in classify(400, code).advice


@pytest.mark.parametrize(
    ("code", "parameter", "kind", "retry"),
    [
        ("MissingParameter", "SecurityToken", ErrorKind.AUTH, NEVER),
        ("MissingParameter", "AccessKeyId", ErrorKind.AUTH, NEVER),
        ("MissingParameter", "Signature", ErrorKind.AUTH, NEVER),
        ("MissingParameter", "TimeStamp", ErrorKind.CLOCK, NEVER),
        ("InvalidParameter", "SecurityToken.Expired", ErrorKind.AUTH, RENEWED),
        ("InvalidParameter.Format", "Timestamp", ErrorKind.CLOCK, NEVER),
        ("MissingParameter", "PageNo", ErrorKind.PARAMETER, NEVER),
        ("InvalidParameter", "SignatureVersion", ErrorKind.PARAMETER, NEVER),
        ("Meter.ParamError", "SecurityToken", ErrorKind.PARAMETER, NEVER),
        ("Throttling", "Timestamp", ErrorKind.THROTTLED, BACK_OFF),
    ],
)
def test_one_code_for_all_parameters_is_read_with_its_message(
    code: str, parameter: str, kind: ErrorKind, retry: RetryPolicy
) -> None:
    message = f'The input parameter "{parameter}" that is mandatory for processing this request is not supplied.'
    info = classify(400, code, message)
    assert (info.code, info.kind, info.retry) == (code, kind, retry)


@given(st.integers(100, 599), st.text())
def test_any_code_becomes_a_label(status: int, code: str) -> None:
    info = classify(status, code)
    assert 1 <= len(info.code) <= 64
    assert info.code.isprintable()
    assert not any(character.isspace() for character in info.code)
    info.code.encode()


@pytest.mark.parametrize(
    ("code", "clean"),
    [("A" * 100, "A" * 64), ("a\nb", "a_b"), ("a b", "a_b"), ("a\x00b\ud800", "a_b_"), ('a"b\\', 'a"b\\')],
)
def test_hostile_code(code: str, clean: str) -> None:
    assert classify(400, code).code == clean


@pytest.mark.parametrize(
    ("status", "code", "kind", "retry", "advice"),
    [
        (400, "SecurityTokenMissing", ErrorKind.AUTH, NEVER, "STS."),
        (400, "MissingParameter.SecurityToken", ErrorKind.AUTH, NEVER, "STS."),
        (400, "SecurityToken.Expired", ErrorKind.AUTH, RENEWED, "fresh security token"),
        (400, "InvalidParameter.StsToken", ErrorKind.AUTH, RENEWED, "fresh security token"),
        (400, "AccessKeyNotFound", ErrorKind.AUTH, NEVER, "AccessKey"),
        (400, "InvalidAkId", ErrorKind.AUTH, NEVER, "AccessKey"),
        (400, "SignatureNotMatch", ErrorKind.AUTH, NEVER, "secret"),
        (400, "TimestampExpired", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "RequestExpired", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "NonceUsed", ErrorKind.OTHER, ONCE, "nonce"),
        (400, "InvalidSignatureNonce", ErrorKind.OTHER, ONCE, "nonce"),
        (400, "QpsLimitExceeded", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "ApiFlowControl", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "LimitExceeded", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "OperationDenied.Arrear", ErrorKind.AUTH, NEVER, "overdue"),
        (403, "UserInArrears", ErrorKind.AUTH, NEVER, "overdue"),
        (403, "Account.InDebt", ErrorKind.AUTH, NEVER, "overdue"),
        (403, "VodServiceNotOpen", ErrorKind.AUTH, NEVER, "Activate"),
        (403, "ServiceNotActivated", ErrorKind.AUTH, NEVER, "Activate"),
        (403, "Account.Frozen", ErrorKind.AUTH, NEVER, "wrong with the account"),
        (403, "NoRealNameAuthentication", ErrorKind.AUTH, NEVER, "verification"),
        (403, "Forbidden.NotInWhitelist", ErrorKind.AUTH, NEVER, "this machine's address"),
        (400, "User.NoPermission", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "SystemBusy", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "InvalidSessionToken", ErrorKind.AUTH, RENEWED, "fresh security token"),
        (400, "AkDisabled", ErrorKind.AUTH, NEVER, "AccessKey"),
        (400, "ExpiredRequest", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "ClockSkewed", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "DailyQuotaExceeded", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "ConcurrentLimitExceeded", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "SlowDown", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "RequestRateTooHigh", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "OwedFee", ErrorKind.AUTH, NEVER, "overdue"),
        (400, "PaymentRequired", ErrorKind.AUTH, NEVER, "overdue"),
        (400, "ServiceNotSubscribed", ErrorKind.AUTH, NEVER, "Activate"),
        (400, "AccountClosed", ErrorKind.AUTH, NEVER, "wrong with the account"),
        (400, "UserNotAuthorised", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "AuthFailure", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "OperationNotPermitted", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "ExplicitDeny", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "EntityNotExist.Role", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "GatewayTimeout", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "HSF.Timeout", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "BadGateway", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "Service.Maintenance", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "TokenInvalid", ErrorKind.AUTH, RENEWED, "fresh security token"),
        (401, "AccessTokenExpired", ErrorKind.AUTH, RENEWED, "fresh security token"),
        (400, "InvalidAccountStatus.NotEnoughBalance", ErrorKind.AUTH, NEVER, "overdue"),
        (403, "AccountOwe", ErrorKind.AUTH, NEVER, "overdue"),
        (403, "DebtStop", ErrorKind.AUTH, NEVER, "overdue"),
        (403, "Service.Stopped", ErrorKind.AUTH, NEVER, "Activate"),
        (400, "UserDisable", ErrorKind.AUTH, NEVER, "wrong with the account"),
        (400, "IpNotAllowed", ErrorKind.AUTH, NEVER, "this machine's address"),
        (403, "InvalidIp", ErrorKind.AUTH, NEVER, "this machine's address"),
        (400, "SignError", ErrorKind.AUTH, NEVER, "secret"),
        (400, "RequestTooFrequent", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "SessionExpired", ErrorKind.AUTH, RENEWED, "fresh security token"),
        (400, "InvalidSts", ErrorKind.AUTH, RENEWED, "fresh security token"),
        (404, "RamUserNotExist", ErrorKind.AUTH, NEVER, "AccessKey"),
        (404, "InvalidUser.NotFound", ErrorKind.AUTH, NEVER, "AccessKey"),
        (400, "CredentialNotFound", ErrorKind.AUTH, NEVER, "AccessKey"),
        (400, "HmacMismatch", ErrorKind.AUTH, NEVER, "secret"),
        (400, "SignatureTimeExpired", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "TimeDiffTooLarge", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "InvalidXAcsDate", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "NoPrivilege", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "NotSupportSubAccount", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "ControlPolicyDeny", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "AuthExpired", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "AccountOverdraft", ErrorKind.AUTH, NEVER, "overdue"),
        (400, "InsufficientFunds", ErrorKind.AUTH, NEVER, "overdue"),
        (400, "ResourcePackageExpired", ErrorKind.AUTH, NEVER, "overdue"),
        (400, "Service.NotPurchased", ErrorKind.AUTH, NEVER, "Activate"),
        (400, "AccountNotCertified", ErrorKind.AUTH, NEVER, "wrong with the account"),
        (400, "BlockedBySentinel", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "TPSLimit", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "Frequency.Exceed", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "QuotaExhausted", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "ReplayAttack", ErrorKind.OTHER, ONCE, "nonce"),
        (400, "HSFTimeOutException", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "InnerError", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "CircuitBreakerOpen", ErrorKind.SERVER, BACK_OFF, "temporary"),
        # A parameter cannot be what a status of missing authentication or permission is about.
        (401, "InvalidAuthorization", ErrorKind.AUTH, NEVER, "RAM action"),
        (401, "MissingAuthorization", ErrorKind.AUTH, NEVER, "RAM action"),
        (403, "InvalidApi.ForbiddenInvoke", ErrorKind.AUTH, NEVER, "RAM action"),
        (403, "InvalidIdentity", ErrorKind.AUTH, NEVER, "RAM action"),
        # Names that other products, their SDKs and users report for the same causes.
        (400, "security-token-expired", ErrorKind.AUTH, RENEWED, "fresh security token"),
        (400, "SecurityToken.NotProvided", ErrorKind.AUTH, NEVER, "STS."),
        (400, "LackSecurityToken", ErrorKind.AUTH, NEVER, "STS."),
        (401, "InvalidApiKey", ErrorKind.AUTH, NEVER, "AccessKey"),
        (403, "AccessIDAuthError", ErrorKind.AUTH, NEVER, "AccessKey"),
        (403, "InvalidKeyId", ErrorKind.AUTH, NEVER, "AccessKey"),
        (403, "SigNotMatch", ErrorKind.AUTH, NEVER, "secret"),
        (400, "InvalidDate.Expired", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "AuthFailure.SignatureExpire", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "RequestHasExpired", ErrorKind.CLOCK, NEVER, "clock"),
        (400, "RepeatedRequest", ErrorKind.OTHER, ONCE, "nonce"),
        (400, "AuthCheckFailed", ErrorKind.AUTH, NEVER, "RAM action"),
        (400, "OperationForbidden.RAM", ErrorKind.AUTH, NEVER, "RAM action"),
        (200, "isv.AMOUNT_NOT_ENOUGH", ErrorKind.AUTH, NEVER, "overdue"),
        (400, "OutOfFunds", ErrorKind.AUTH, NEVER, "overdue"),
        (403, "AccessDenied.Unpurchased", ErrorKind.AUTH, NEVER, "Activate"),
        (404, "InvalidApi.NotPurchase", ErrorKind.AUTH, NEVER, "Activate"),
        (200, "isv.PRODUCT_UN_SUBSCRIPT", ErrorKind.AUTH, NEVER, "Activate"),
        (400, "isv.OUT_OF_SERVICE", ErrorKind.AUTH, NEVER, "Activate"),
        (400, "ServiceHasNotBeenActivated", ErrorKind.AUTH, NEVER, "Activate"),
        (403, "AccountBanned", ErrorKind.AUTH, NEVER, "wrong with the account"),
        (403, "NoCertification", ErrorKind.AUTH, NEVER, "wrong with the account"),
        (403, "IpInBlackList", ErrorKind.AUTH, NEVER, "this machine's address"),
        (400, "isv.BUSINESS_LIMIT_CONTROL", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (403, "ShardReadQuotaExceed", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (429, "ConcurrentQuota.Exceed", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "Throtling.User", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (200, "FlowException", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (403, "ResourceExhausted", ErrorKind.THROTTLED, BACK_OFF, "requests_per_second"),
        (400, "Timeout", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "ServerUnreachable", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "ServiceInvokeFailed", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "DataSourceQueryError", ErrorKind.SERVER, BACK_OFF, "temporary"),
        # Another product, region, version or protocol than that of the API.
        (403, "InvalidVersion", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (400, "NoSuchVersion", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (404, "InvalidAction.NotFound", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (403, "UnsupportedHTTPMethod", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (200, "UnsupportedOperation", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (500, "InvalidRegionId.NotFound", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (404, "InvalidProduct.NotFound", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (400, "InvalidApi.NotSupportRegion", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (400, "InvalidProtocol.NeedSsl", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (404, "ApiOffline", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (400, "Version.Deprecated", ErrorKind.PARAMETER, NEVER, "vod.cn-shanghai"),
        (404, "RegionNotSupported", ErrorKind.PARAMETER, NEVER, "filters"),
        # Not ours to mistake for keys, clocks or limits.
        (403, "InvalidParameter", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "InvalidNextToken", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "ScrollTokenExpired", ErrorKind.PARAMETER, NEVER, "endpoint"),
        (400, "InvalidDescription", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "InvalidSignInRegion", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "RequestTimeout", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "Request.TimedOut", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "OperationNotAllowed", ErrorKind.PARAMETER, NEVER, "endpoint"),
        (400, "InvalidParameter.Timeout", ErrorKind.PARAMETER, NEVER, "endpoint"),
        (400, "MediaIdLimitExceeded", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "MissingTimestamp", ErrorKind.PARAMETER, NEVER, "endpoint"),
        (400, "UnsupportedSignatureMethod", ErrorKind.PARAMETER, NEVER, "endpoint"),
        (400, "PlayDateExpired", ErrorKind.PARAMETER, NEVER, "endpoint"),
        (400, "InvalidParameterException", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "InvalidAuthor", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "InvalidMediaId", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "InvalidActionDate", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "WorkflowException", ErrorKind.SERVER, BACK_OFF, "temporary"),
        (400, "InvalidPlayDate", ErrorKind.PARAMETER, NEVER, "filters"),
        (400, "InvalidProcessId", ErrorKind.PARAMETER, NEVER, "filters"),
        (403, "OperationDenied.Vod", ErrorKind.AUTH, NEVER, "Activate"),
    ],
)
def test_codes_in_no_table_are_classified_by_what_they_contain(
    status: int, code: str, kind: ErrorKind, retry: RetryPolicy, advice: str
) -> None:
    info = classify(status, code)
    assert (info.kind, info.retry) == (kind, retry)
    assert advice in info.advice
