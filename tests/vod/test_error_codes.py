from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import Kind
from exporter.vod.error_codes import METER_CODES, Repeat, classify

BACK_OFF, NEVER, ONCE, RENEWED = Repeat.BACK_OFF, Repeat.NEVER, Repeat.ONCE, Repeat.ONCE_RENEWED


def test_the_five_codes_of_the_page() -> None:
    assert METER_CODES == (
        "Meter.ParamError",
        "Meter.ServerInternalError",
        "Meter.DataSourceQueryError",
        "Meter.AuthError",
        "Meter.ReadyTsError",
    )


@pytest.mark.parametrize(
    ("status", "code", "kind", "repeat"),
    [
        (400, "Meter.ParamError", Kind.PARAMETER, NEVER),
        (500, "Meter.ServerInternalError", Kind.SERVER, BACK_OFF),
        (500, "Meter.DataSourceQueryError", Kind.SERVER, BACK_OFF),
        (403, "Meter.AuthError", Kind.AUTH, NEVER),
        (502, "Meter.ReadyTsError", Kind.NOT_READY, NEVER),
        (400, "Throttling", Kind.THROTTLED, BACK_OFF),
        (400, "Throttling.User", Kind.THROTTLED, BACK_OFF),
        (429, "Throttling.Api", Kind.THROTTLED, BACK_OFF),
        (400, "Throttling.Something", Kind.THROTTLED, BACK_OFF),
        (500, "InternalError", Kind.SERVER, BACK_OFF),
        (500, "UnknownError", Kind.SERVER, BACK_OFF),
        (503, "ServiceUnavailable", Kind.SERVER, BACK_OFF),
        (503, "ServiceUnAvailable", Kind.SERVER, BACK_OFF),
        (400, "SignatureNonceUsed", Kind.OTHER, ONCE),
        (400, "InvalidSecurityToken.Expired", Kind.AUTH, RENEWED),
        (400, "InvalidSecurityToken.Malformed", Kind.AUTH, RENEWED),
        (403, "InvalidSecurityToken.MismatchWithAccessKey", Kind.AUTH, RENEWED),
        (400, "InvalidTimeStamp.Expired", Kind.CLOCK, NEVER),
        (400, "SignatureDoesNotMatch", Kind.AUTH, NEVER),
        (403, "IncompleteSignature", Kind.AUTH, NEVER),
        (404, "InvalidAccessKeyId.NotFound", Kind.AUTH, NEVER),
        (400, "InvalidAccessKeyId.Inactive", Kind.AUTH, NEVER),
        (403, "Forbidden.AccessKeyDisabled", Kind.AUTH, NEVER),
        (403, "Forbidden", Kind.AUTH, NEVER),
        (403, "Forbidden.RAM", Kind.AUTH, NEVER),
        (403, "NoPermission", Kind.AUTH, NEVER),
        (403, "OperationDenied", Kind.AUTH, NEVER),
        (403, "OperationDenied.Suspended", Kind.AUTH, NEVER),
        (400, "MissingPageNo", Kind.PARAMETER, NEVER),
        (400, "InvalidParameter", Kind.PARAMETER, NEVER),
        (404, "InvalidApi.NotFound", Kind.PARAMETER, NEVER),
        # By status, where the code says nothing.
        (400, "Unheard.Of", Kind.PARAMETER, NEVER),
        (401, "Unheard.Of", Kind.AUTH, NEVER),
        (403, "Unheard.Of", Kind.AUTH, NEVER),
        (404, "Unheard.Of", Kind.OTHER, NEVER),
        (408, "Unheard.Of", Kind.SERVER, BACK_OFF),
        (429, "Unheard.Of", Kind.THROTTLED, BACK_OFF),
        (500, "Unheard.Of", Kind.SERVER, BACK_OFF),
        (504, "Unheard.Of", Kind.SERVER, BACK_OFF),
        (200, "Unheard.Of", Kind.MALFORMED, BACK_OFF),
        (302, "Unheard.Of", Kind.OTHER, NEVER),
        # One cause has many names.
        (400, "MissingSecurityToken", Kind.AUTH, NEVER),
        (400, "InvalidStsToken.Malformed", Kind.AUTH, RENEWED),
        (403, "SecurityTokenExpired", Kind.AUTH, RENEWED),
        (400, "ExpiredToken", Kind.AUTH, RENEWED),
        (400, "InvalidAccessKeyId", Kind.AUTH, NEVER),
        (403, "InvalidAccessKey.NotFound", Kind.AUTH, NEVER),
        (400, "InvalidAccessKeySecret", Kind.AUTH, NEVER),
        (400, "MissingAccessKeyId", Kind.AUTH, NEVER),
        (403, "NoEnabledAccessKey", Kind.AUTH, NEVER),
        (403, "Forbidden.AccessKey", Kind.AUTH, NEVER),
        (400, "InvalidSignature", Kind.AUTH, NEVER),
        (400, "InvalidSignatureMethod", Kind.AUTH, NEVER),
        (400, "MissingSignature", Kind.AUTH, NEVER),
        (400, "InvalidTimeStamp.Format", Kind.CLOCK, NEVER),
        (400, "IllegalTimestamp", Kind.CLOCK, NEVER),
        (403, "RequestTimeTooSkewed", Kind.CLOCK, NEVER),
        (403, "Forbedden.NotSupportRAM", Kind.AUTH, NEVER),
        (400, "NoPermission.System", Kind.AUTH, NEVER),
        (400, "AccessDenied", Kind.AUTH, NEVER),
        (400, "ActionUnauthorized", Kind.AUTH, NEVER),
        (400, "Unauthorized.Operation", Kind.AUTH, NEVER),
        (400, "Arrearage", Kind.AUTH, NEVER),
        (400, "InsufficientBalance", Kind.AUTH, NEVER),
        (400, "InvalidAccountStatus.NotEnoughBalance", Kind.AUTH, NEVER),
        (400, "ServiceNotOpen", Kind.AUTH, NEVER),
        (400, "InternalServerError", Kind.SERVER, BACK_OFF),
        (400, "SystemError.Busy", Kind.SERVER, BACK_OFF),
        (400, "FlowControl.Api", Kind.THROTTLED, BACK_OFF),
        # Ours.
        (0, "timeout", Kind.TRANSPORT, BACK_OFF),
        (0, "connect", Kind.TRANSPORT, BACK_OFF),
        (200, "malformed", Kind.MALFORMED, BACK_OFF),
    ],
)
def test_table(status: int, code: str, kind: Kind, repeat: Repeat) -> None:
    for spelling in (code, code.upper(), code.lower()):
        meaning = classify(status, spelling)
        assert (meaning.kind, meaning.repeat) == (kind, repeat)
        assert meaning.advice.endswith(".")
    assert classify(status, code).code == code


@pytest.mark.parametrize("status", [200, 400, 503])
def test_code_comes_before_status(status: int) -> None:
    assert classify(status, "Throttling.User").kind is Kind.THROTTLED
    assert classify(status, "Meter.AuthError").kind is Kind.AUTH


@pytest.mark.parametrize(
    ("status", "code"),
    [(302, "http_302"), (404, "http_404"), (503, "http_503"), (200, "malformed"), (204, "malformed")],
)
def test_no_code(status: int, code: str) -> None:
    assert classify(status, "").code == code
    assert classify(status, " ").code == code


@pytest.mark.parametrize("code", METER_CODES)
def test_meter_codes_are_reported_in_one_spelling(code: str) -> None:
    assert classify(500, code.swapcase()).code == code


def test_other_codes_are_reported_as_spelt() -> None:
    assert classify(503, "ServiceUnAvailable").code == "ServiceUnAvailable"
    assert classify(400, " throttling.user\n").code == "throttling.user"


def test_advice_says_what_to_do() -> None:
    assert "vod:DescribeVodMediaPlayData" in classify(403, "Meter.AuthError").advice
    assert "30 days" in classify(400, "Meter.ParamError").advice
    assert "clock" in classify(400, "InvalidTimeStamp.Expired").advice
    assert "overdue" in classify(403, "OperationDenied.Suspended").advice
    assert "limits.requests_per_second" in classify(400, "Throttling").advice


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
    ("code", "parameter", "kind", "repeat"),
    [
        ("MissingParameter", "SecurityToken", Kind.AUTH, NEVER),
        ("MissingParameter", "AccessKeyId", Kind.AUTH, NEVER),
        ("MissingParameter", "Signature", Kind.AUTH, NEVER),
        ("MissingParameter", "TimeStamp", Kind.CLOCK, NEVER),
        ("InvalidParameter", "SecurityToken.Expired", Kind.AUTH, RENEWED),
        ("InvalidParameter.Format", "Timestamp", Kind.CLOCK, NEVER),
        ("MissingParameter", "PageNo", Kind.PARAMETER, NEVER),
        ("InvalidParameter", "SignatureVersion", Kind.PARAMETER, NEVER),
        ("Meter.ParamError", "SecurityToken", Kind.PARAMETER, NEVER),
        ("Throttling", "Timestamp", Kind.THROTTLED, BACK_OFF),
    ],
)
def test_one_code_for_all_parameters_is_read_with_its_message(
    code: str, parameter: str, kind: Kind, repeat: Repeat
) -> None:
    message = f'The input parameter "{parameter}" that is mandatory for processing this request is not supplied.'
    meaning = classify(400, code, message)
    assert (meaning.code, meaning.kind, meaning.repeat) == (code, kind, repeat)


@given(st.integers(100, 599), st.text())
def test_any_code_becomes_a_label(status: int, code: str) -> None:
    meaning = classify(status, code)
    assert 1 <= len(meaning.code) <= 64
    assert meaning.code.isprintable()
    assert not any(character.isspace() for character in meaning.code)
    meaning.code.encode()


@pytest.mark.parametrize(
    ("code", "clean"),
    [("A" * 100, "A" * 64), ("a\nb", "a_b"), ("a b", "a_b"), ("a\x00b\ud800", "a_b_"), ('a"b\\', 'a"b\\')],
)
def test_hostile_code(code: str, clean: str) -> None:
    assert classify(400, code).code == clean
