from __future__ import annotations

import json
import time
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ErrorKind, NotReady, RetryPolicy, UpstreamError
from exporter.vod.responses import (
    LARGEST_ERROR,
    LONGEST_WAIT,
    RawResponse,
    clean_message,
    clock_offset,
    decode_response,
    no_response,
    replayed,
    requested_wait,
)
from tests.vod.fakes import action
from tests.vod.pages import decode

NOW = 1_700_000_000.0
SECRET = "s3cr3t+/=key"


def cannot(body: bytes) -> NoReturn:
    raise UpstreamError(f"cannot read {len(body)} bytes", code="malformed", kind=ErrorKind.MALFORMED, request_id="")


def failure(status: int, body: object, headers: dict[str, str] | None = None) -> UpstreamError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(UpstreamError) as caught:
        decode_response(RawResponse(status, headers or {}, content), action(cannot), {}, now=NOW, hide=[SECRET])
    return caught.value


def test_answer_is_decoded() -> None:
    assert decode_response(RawResponse(200, {}, b"12"), action(int), {}, now=NOW, hide=()) == 12


@pytest.mark.parametrize(
    "body",
    [
        {"RequestId": "R", "HostId": "h", "Code": "Throttling.User", "Message": "Slow down.", "Recommend": "x"},
        {"requestId": "R", "code": "Throttling.User", "message": "Slow down."},
        {"RequestId": "R", "Code": "Throttling.User", "Message": "Slow down.", "AccessDeniedDetail": {"a": [1]}},
    ],
)
def test_error_body(body: dict[str, Any]) -> None:
    error = failure(400, body, {"x-acs-retry-after": "1500", "x-acs-request-id": "other"})
    assert (error.code, error.kind, error.message) == ("Throttling.User", ErrorKind.THROTTLED, "Slow down.")
    assert (error.request_id, error.http_status, error.wait) == ("R", 400, 1.5)
    assert error.advice


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>502 Bad Gateway</html>", b"[]", b"null", b"{", b"\xff", b"[" * 60_000, b'{"Code": ', b" " * 70_000],
)
def test_error_without_readable_code(body: bytes) -> None:
    error = failure(502, body, {"x-acs-request-id": "from-header"})
    assert (error.code, error.kind, error.request_id) == ("http_502", ErrorKind.SERVER, "from-header")
    assert error.message == "HTTP 502 without an error code"


@pytest.mark.parametrize(
    "body",
    [
        '{"Code":"Throttling.User","Message":"请求过多"}'.encode("gbk"),
        b'{"Code":"Throttling.User","Message":"a\nb"}',
        b'\xef\xbb\xbf{"Code":"Throttling.User"}',
        b'{"Code":"Throttling.User","Wait":NaN,"Until":undefined}',
        b'{"Errors":[{"Code":"Throttling.User"}]}',
        b'{"error_code":"Throttling.User"}',
        b'{"error-code":"Throttling.User"}',
        b'{"Data":{"Result":{"Code":"Throttling.User"}}}',
        b'{"bizCode":"Throttling.User"}',
        b'{"Code":"","ErrorCode":"Throttling.User"}',
        b'{"Code":"200","Error":{"Code":"Throttling.User"}}',
        b'<?xml version="1.0"?><Error><RequestId>R</RequestId><Code>Throttling.User</Code></Error>',
        b"\xef\xbb\xbf\r\n<Response><Code><![CDATA[Throttling.User]]></Code></Response>",
        "<Error><Code>Throttling.User</Code><Message>请求过多</Message></Error>".encode("gbk"),
        b"<Error><Code>Throttling.User</Code><Message>cut o",
        b"<Error><Code>Throttling.User</Code><Detail><Code>Other</Code></Detail></Error>",
    ],
)
def test_an_error_body_in_another_encoding_or_shape_keeps_its_code(body: bytes) -> None:
    error = failure(400, body)
    assert (error.code, error.kind) == ("Throttling.User", ErrorKind.THROTTLED)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"Code":"X","Message":"a\nb"}', "a b"),
        (b'{"Code":"X","Message":"","ErrorMsg":"m"}', "m"),
        (b'{"Error":{"Message":"m"}}', "m"),
        (b'{"Errors":["x",{"ErrMsg":"m"}],"Message":"outer"}', "outer"),
        (b'{"Errors":["x",{"Message":"m"}],"Message":"outer"}', "m"),
    ],
)
def test_the_message_of_an_error_wherever_it_is(body: bytes, message: str) -> None:
    assert failure(400, body).message == message


@pytest.mark.parametrize("status", [200, 206, 302, 403, 500])
def test_an_error_in_xml_is_read_like_one_in_json(status: int) -> None:
    fields = b"<Code>InvalidAccessKeyId.NotFound</Code><Message>a &lt; b &amp; c</Message><RequestId>R</RequestId>"
    error = failure(status, b"<Error>" + fields + b"</Error>")
    assert (error.code, error.kind, error.request_id) == ("InvalidAccessKeyId.NotFound", ErrorKind.AUTH, "R")
    assert error.message == "a < b & c"


@pytest.mark.parametrize("code", [None, True, [], {}, "", " ", "200", 200, "OK", "Success"])
def test_code_that_is_none(code: object) -> None:
    assert failure(503, {"Code": code, "Message": "m"}).code == "http_503"


def test_code_that_is_a_number() -> None:
    assert failure(503, {"Code": 17, "Message": None}).code == "17"


def test_not_ready_is_an_error_of_its_own_and_names_no_wait() -> None:
    error = failure(502, {"Code": "meter.readytserror", "Message": "m"}, {"retry-after": "5"})
    assert isinstance(error, NotReady)
    assert (error.code, error.kind, error.wait) == ("Meter.ReadyTsError", ErrorKind.NOT_READY, None)


@pytest.mark.parametrize(
    ("date", "expected_text"),
    [
        ("Tue, 14 Nov 2023 21:13:20 GMT", "our clock is 3600 s ahead of the service's"),
        ("Tue, 14 Nov 2023 22:33:20 GMT", "our clock is 1200 s behind the service's"),
        ("Tue, 14 Nov 2023 22:13:19 GMT", "our clock agrees with the service's"),
        ("", "no date to compare"),
    ],
)
def test_clock_error_says_by_how_much(date: str, expected_text: str) -> None:
    error = failure(400, {"Code": "InvalidTimeStamp.Expired", "Message": "Expired."}, {"date": date})
    assert error.kind is ErrorKind.CLOCK
    assert error.message.startswith("Expired. (")
    assert expected_text in error.message


@pytest.mark.parametrize(
    ("status", "code", "retry"),
    [
        (503, "ServiceUnavailable", RetryPolicy.BACK_OFF),
        (400, "Throttling.User", RetryPolicy.BACK_OFF),
        (400, "SignatureNonceUsed", RetryPolicy.ONCE),
        (400, "InvalidSecurityToken.Expired", RetryPolicy.ONCE_RENEWED),
        (403, "Meter.AuthError", RetryPolicy.NEVER),
        (400, "Meter.ReadyTsError", RetryPolicy.NEVER),
        (400, "Unheard.Of", RetryPolicy.NEVER),
        (502, "", RetryPolicy.BACK_OFF),
        (200, "Throttling.User", RetryPolicy.BACK_OFF),
    ],
)
def test_an_error_carries_whether_to_retry(status: int, code: str, retry: RetryPolicy) -> None:
    assert failure(status, {"Code": code, "Message": "m"}).retry is retry


def test_what_cannot_be_read_and_what_did_not_arrive_are_retried() -> None:
    assert failure(200, b"[]").retry is RetryPolicy.BACK_OFF
    assert no_response("timeout", "no answer", ()).retry is RetryPolicy.BACK_OFF
    assert replayed(RawResponse(200, {}, b""), ()).retry is RetryPolicy.BACK_OFF


def test_advice_names_the_permission_of_the_action() -> None:
    advice = failure(403, {"Code": "Forbidden.RAM", "Message": "m"}).advice

    assert advice == "Allow the RAM action vod:Ask on resource * to the user or role of these credentials."


def test_success_that_holds_an_error_is_that_error() -> None:
    error = failure(200, {"Code": "Meter.AuthError", "Message": "m", "RequestId": "R"})
    assert (error.code, error.kind, error.request_id) == ("Meter.AuthError", ErrorKind.AUTH, "R")
    unknown = failure(200, {"code": "Strange", "message": "m"})
    assert (unknown.code, unknown.kind) == ("Strange", ErrorKind.MALFORMED)


@pytest.mark.parametrize("status", [200, 201, 299])
@pytest.mark.parametrize(
    ("fields", "code", "kind"),
    [
        ({"Code": "InternalError", "Success": False}, "InternalError", ErrorKind.SERVER),
        ({"code": "internalerror"}, "internalerror", ErrorKind.SERVER),
        ({"Code": "Throttling.User"}, "Throttling.User", ErrorKind.THROTTLED),
        ({"Code": "METER.AUTHERROR"}, "Meter.AuthError", ErrorKind.AUTH),
        ({"Code": "Meter.ReadyTsError"}, "Meter.ReadyTsError", ErrorKind.NOT_READY),
        ({"Error": {"Code": "Forbidden.RAM", "Message": "no"}}, "Forbidden.RAM", ErrorKind.AUTH),
        ({"errorCode": "InternalError"}, "InternalError", ErrorKind.SERVER),
        ({"Code": 500}, "500", ErrorKind.SERVER),
        ({"Code": 500.0}, "500", ErrorKind.SERVER),
        ({"Success": False, "Message": "no"}, "malformed", ErrorKind.MALFORMED),
        ({"Success": False, "Code": "OK"}, "malformed", ErrorKind.MALFORMED),
        ({"Message": "no"}, "malformed", ErrorKind.MALFORMED),
    ],
)
def test_a_page_without_rows_that_holds_an_error_is_that_error(
    status: int, fields: dict[str, Any], code: str, kind: ErrorKind
) -> None:
    body = {"RequestId": "R-1", "Message": "x", "TotalCount": 0, "QoeInfoList": [], **fields}
    with pytest.raises(UpstreamError) as caught:
        decode_response(RawResponse(status, {}, json.dumps(body).encode()), action(decode), {}, now=NOW, hide=())
    assert (caught.value.code, caught.value.kind, caught.value.request_id) == (code, kind, "R-1")
    assert isinstance(caught.value, NotReady) is (kind is ErrorKind.NOT_READY)


def test_a_code_of_success_beside_rows_that_cannot_be_read_is_no_error_of_the_service() -> None:
    error = failure(200, {"Code": "200", "Message": "OK", "QoeInfoList": 7})
    assert (error.code, error.kind) == ("malformed", ErrorKind.MALFORMED)


def test_success_with_code_and_data_is_an_answer() -> None:
    assert decode_response(RawResponse(200, {}, b'{"Code":"Meter.AuthError"}'), action(len), {}, now=NOW, hide=()) == 26


@pytest.mark.parametrize(
    "reply", [RawResponse(200, {}, b"{}"), RawResponse(204, {}, b""), RawResponse(200, {}, b"", "too long")]
)
def test_unreadable_answer_is_malformed(reply: RawResponse) -> None:
    with pytest.raises(UpstreamError) as caught:
        decode_response(
            RawResponse(reply.status, {"x-acs-request-id": "H"}, reply.body, reply.unreadable),
            action(cannot),
            {},
            now=NOW,
            hide=(),
        )
    error = caught.value
    assert (error.code, error.kind, error.request_id) == ("malformed", ErrorKind.MALFORMED, "H")
    assert error.http_status == reply.status
    assert error.advice


def test_a_malformed_response_has_advice_of_its_own() -> None:
    error = failure(206, {})
    assert error.message == "HTTP 206, which no complete response of the service has"
    assert error.advice.startswith("Check that the endpoint is Alibaba Cloud's")
    assert no_response("timeout", "no answer", ()).advice.startswith("Check the network path")
    assert no_response("timeout", "no answer", (), advice="Wait.").advice == "Wait."
    assert replayed(RawResponse(200, {}, b""), ()).advice.startswith("Look for a proxy")


def test_one_code_for_all_parameters_is_read_with_the_message() -> None:
    error = failure(400, {"Code": "MissingParameter", "Message": 'The input parameter "Timestamp" is not supplied.'})
    assert error.kind is ErrorKind.CLOCK


@pytest.mark.parametrize(
    ("status", "code"), [(199, "http_199"), (200, "malformed"), (299, "malformed"), (300, "http_300")]
)
def test_an_answer_is_2xx_and_nothing_else(status: int, code: str) -> None:
    assert failure(status, {}).code == code


def test_a_malformed_answer_says_what_is_wrong_with_it_and_which_it_was() -> None:
    def odd(_: bytes) -> NoReturn:
        raise UpstreamError(f"{SECRET} is no number", code="malformed", kind=ErrorKind.MALFORMED)

    with pytest.raises(UpstreamError) as caught:
        decode_response(
            RawResponse(200, {"x-acs-request-id": "header"}, b'{"RequestId": "R-1"}'),
            action(odd),
            {},
            now=NOW,
            hide=[SECRET],
        )
    assert (caught.value.message, caught.value.request_id) == ("*** is no number", "R-1")

    with pytest.raises(UpstreamError) as caught:
        decode_response(
            RawResponse(200, {"x-acs-request-id": "header"}, b"", "the response is too long"),
            action(odd),
            {},
            now=NOW,
            hide=(),
        )
    assert (caught.value.message, caught.value.request_id) == ("the response is too long", "header")


def test_a_code_without_a_message_says_so() -> None:
    error = failure(503, {"Code": "ServiceUnavailable", "Message": ""})
    assert (error.message, error.request_id) == ("HTTP 503 without a message", "")


@pytest.mark.parametrize("status", [200, 206])
def test_a_clock_error_in_a_success_says_by_how_much(status: int) -> None:
    body = {"Code": "InvalidTimeStamp.Expired", "Message": "Expired."}
    error = failure(status, body, {"date": "Tue, 14 Nov 2023 21:13:20 GMT"})
    assert error.message == "Expired. (our clock is 3600 s ahead of the service's)"


def test_a_wait_until_a_moment_is_counted_from_our_clock_where_the_service_does_not_show_its_own() -> None:
    error = failure(503, {"Code": "ServiceUnavailable"}, {"retry-after": "Tue, 14 Nov 2023 22:13:40 GMT"})
    assert error.wait == 20


@pytest.mark.parametrize(("status", "code"), [(503, "http_503"), (200, "malformed")])
def test_an_error_is_read_up_to_its_largest_size(status: int, code: str) -> None:
    body = b'{"Code":"ServiceUnavailable"}'
    assert failure(status, body.ljust(LARGEST_ERROR)).code == "ServiceUnavailable"
    assert failure(status, body.ljust(LARGEST_ERROR + 1)).code == code


@pytest.mark.parametrize(
    ("headers", "body", "request_id"),
    [
        ({}, b"", ""),
        ({"x-acs-request-id": "H"}, b"{}", "H"),
        ({"x-acs-request-id": "H"}, b'{"RequestId" : "R"}', "R"),
        ({}, b'{"RequestId":"R\xff"}', "R\ufffd"),
    ],
)
def test_the_request_id_of_a_response(headers: dict[str, str], body: bytes, request_id: str) -> None:
    assert RawResponse(200, headers, body).request_id == request_id


def test_a_request_id_is_one_printable_word() -> None:
    assert failure(400, {"RequestId": "A B\tC\x00D" + "E" * 100}).request_id == "ABCD" + "E" * 60


@pytest.mark.parametrize(("secret", "message_text"), [("abcde", "abcde"), ("abcdef", "***")])
def test_real_secrets_are_hidden_and_texts_too_short_for_one_are_not(secret: str, message_text: str) -> None:
    assert clean_message(f"{secret}, {SECRET}", [secret, SECRET]) == f"{message_text}, ***"


ECHO = "Specified signature is not matched. server string to sign is:GET&%2F&AccessKeyId%3Did%26SecurityToken%3Dabc"


@pytest.mark.parametrize(
    ("text", "message_text"),
    [
        ("a\r\nb\tc\x00\x1b[31m", "a b c\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m"),
        ("x" * 301, "x" * 299 + "…"),
        ("x" * 300, "x" * 300),
        (ECHO, "Specified signature is not matched. "[:-1]),
        ("Wrong. String To Sign: abc\nmore", "Wrong."),
        ("StringToSign=abc", ""),
        (f"key {SECRET} is wrong", "key *** is wrong"),
        ("key s3cr3t%2B%2F%3Dkey is wrong", "key *** is wrong"),
        ("signature " + "0a" * 32 + " is wrong", "signature *** is wrong"),
        ("Authorization: ACS3-HMAC-SHA256 Credential=id,Signature=abc==,x", None),
        ("\ud800 half", "\N{REPLACEMENT CHARACTER} half"),
        ("媒体不存在", "媒体不存在"),
    ],
)
def test_message(text: str, message_text: str | None) -> None:
    clean = clean_message(text, [SECRET, ""])
    if message_text is None:
        assert "abc" not in clean
    else:
        assert clean == message_text


def test_nothing_hidden_is_shown_anywhere() -> None:
    body = {"Code": SECRET, "Message": f"{SECRET} {ECHO}", "RequestId": SECRET}
    error = failure(400, body)
    assert SECRET not in f"{error} {error.code} {error.request_id} {error!r} {vars(error)}"
    assert SECRET not in failure(400, {}, {"x-acs-request-id": SECRET}).request_id


@given(
    st.integers(100, 599),
    st.binary()
    | st.builds(
        lambda document: json.dumps(document).encode(),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["Code", "code", "Message", "RequestId"]), inner)
            ),
        ),
    ),
)
def test_any_body_becomes_a_presentable_error(status: int, body: bytes) -> None:
    error = failure(status, body)
    for text in (error.code, error.message, error.request_id):
        assert text.isprintable()
        assert len(text) <= 300
    assert error.code
    assert error.message


RECEIVED_AT = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
LATER = "Tue, 14 Nov 2023 22:14:00 GMT"  # 40 s later
LIMIT = "Limit:1,Remain:{remain},TimeLeft:{left},Reset:1234"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"x-acs-retry-after": "2500"}, 2.5),
        ({"x-acs-retry-after": " 2500 "}, 2.5),
        ({"x-ratelimit-user-api": LIMIT.format(remain=0, left=2000)}, 2.0),
        ({"x-ratelimit-user": LIMIT.format(remain=0, left=3000)}, 3.0),
        ({"x-ratelimit-user": " Limit: 1, Remain: 0, TimeLeft: 3000 "}, 3.0),
        ({"x-ratelimit-user": "TimeLeft:3000"}, 3.0),
        ({"x-ratelimit-user": LIMIT.format(remain=7, left=9000)}, None),
        (
            {
                "x-ratelimit-user-api": LIMIT.format(remain=0, left=2000),
                "x-ratelimit-user": LIMIT.format(remain=0, left=9000),
            },
            9.0,
        ),
        (
            {
                "x-ratelimit-user-api": LIMIT.format(remain=0, left=2000),
                "x-ratelimit-user": LIMIT.format(remain=7, left=9000),
            },
            2.0,
        ),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": LATER}, 40.0),
        ({"retry-after": LATER, "date": "Tue, 14 Nov 2023 22:13:50 GMT"}, 10.0),
        ({"x-acs-retry-after": "1000", "x-ratelimit-user": "TimeLeft:3000", "retry-after": "5"}, 1.0),
        ({"x-ratelimit-user": "TimeLeft:3000", "retry-after": "5"}, 3.0),
        ({"x-acs-retry-after": "soon", "retry-after": "5"}, 5.0),
        ({"x-acs-retry-after": "0", "retry-after": "5"}, 5.0),
        ({"x-acs-retry-after": "999999999"}, LONGEST_WAIT),
        ({"retry-after": "86400"}, LONGEST_WAIT),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Mon, 13 Nov 2023 22:13:20 GMT"}, None),
        ({"x-ratelimit-user": "TimeLeft"}, None),
        ({"x-ratelimit-user": ",:,::"}, None),
    ],
)
def test_named_wait(headers: dict[str, str], wait: float | None) -> None:
    assert requested_wait(headers, RECEIVED_AT) == wait


@given(st.dictionaries(st.sampled_from(["retry-after", "date", "x-acs-retry-after", "x-ratelimit-user"]), st.text()))
def test_hostile_headers_name_no_wait_or_a_bearable_one(headers: dict[str, str]) -> None:
    wait = requested_wait(headers, RECEIVED_AT)
    assert wait is None or 0 < wait <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("date", "offset"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 20.0),
        ("Tue, 14 Nov 2023 22:14:00 -0000", -40.0),
        ("Wed, 15 Nov 2023 06:13:20 +0800", 0.0),
        ("", None),
        ("yesterday", None),
        ("Tue, 99 Nov 2023 22:14:00 GMT", None),
    ],
)
def test_clock_offset(date: str, offset: float | None) -> None:
    assert clock_offset({"date": date}, RECEIVED_AT) == offset


def test_without_a_date_nothing_is_known_of_the_clock() -> None:
    assert clock_offset({}, RECEIVED_AT) is None


def test_a_date_without_a_zone_is_not_in_that_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert clock_offset({"date": "Tue, 14 Nov 2023 22:14:00 -0000"}, RECEIVED_AT) == -40
    finally:
        monkeypatch.undo()
        time.tzset()
