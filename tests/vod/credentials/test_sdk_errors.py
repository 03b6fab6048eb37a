from __future__ import annotations

import errno
import json
import ssl
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected

import pytest

from exporter.vod.credentials.sdk_errors import describe_failure
from exporter.vod.credentials.sources import no_credentials

SECRET = "hunter2-" + "x" * 100


class CredentialException(Exception):
    """Like the library's."""


class RetryError(Exception):
    """Like the library's, which replaces the exception of requests."""


class SSLError(OSError):
    """Like that of requests."""


class ReadTimeout(OSError):
    """Like that of requests."""


def refused(code: str, message: str = "No.", status: int = 403) -> CredentialException:
    body = json.dumps({"RequestId": "REQ", "Code": code, "Message": message})
    return CredentialException(f"error refreshing credentials from x, http_code: {status}, result: {body}")


def retried(cause: Exception) -> Exception:
    """The library's exception for a network failure: the text of the cause with the whole URL."""
    try:
        try:
            raise cause
        except (OSError, HTTPException):
            raise RetryError(f"Max retries exceeded with url: /?OIDCToken={SECRET}")  # noqa: B904 - as the library does
    except RetryError as error:
        return error


def tls_failure(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


LONG_PATH = "/run/" + "secrets/" * 12 + "token"


@pytest.mark.parametrize(
    ("error", "message", "advice"),
    [
        (
            refused("NoPermission"),
            "sts.x refused with NoPermission (HTTP 403, request ID REQ): No.",
            "AliyunSTSAssumeRoleAccess",
        ),
        (refused("AuthenticationFail.NoPermission"), "refused with AuthenticationFail.NoPermission", "trust policy"),
        (refused("AuthenticationFail.OIDCToken.Expired"), "OIDCToken.Expired", "fresh"),
        (refused("EntityNotExist.Role"), "EntityNotExist.Role", "check role_arn"),
        (refused("InvalidParameter.DurationSeconds"), "InvalidParameter.DurationSeconds", "session_duration"),
        (refused("MissingSecurityToken"), "MissingSecurityToken", "begins with STS."),
        (refused("InvalidSecurityToken.Expired"), "InvalidSecurityToken", "fresh security token"),
        (refused("Forbidden.AccessKeyDisabled"), "AccessKeyDisabled", "must exist, be enabled"),
        (refused("AccessKeyNetworkPolicyDenied"), "NetworkPolicy", "this machine's address"),
        (refused("IncompleteSignature"), "IncompleteSignature", "secret"),
        (refused("IllegalTimestamp"), "IllegalTimestamp", "clock"),
        (refused("UserInArrears"), "UserInArrears", "overdue"),
        (refused("ImplicitDeny"), "ImplicitDeny", "trust policy"),
        (refused("InvalidParameter.RoleArn", status=400), "InvalidParameter.RoleArn", "Check role_arn"),
        (refused("InvalidVersion", status=400), "InvalidVersion", "sts_endpoint"),
        (refused("Throttling.User", status=400), "Throttling.User", "it is retried"),
        (refused("ServiceUnavailable", status=503), "ServiceUnavailable", "it is retried"),
        (refused("SomethingNew", f"server string to sign is:GET&{SECRET}"), "SomethingNew", ""),
        (refused("SomethingNew", f"token {SECRET}"), "token ***", ""),
        (CredentialException("x, http_code: 502, result: <html>hunter2"), "sts.x answered with HTTP 502", "network"),
        (CredentialException('x, http_code: 500, result: ["hunter2"]'), "answered with HTTP 500", "network"),
        (CredentialException(f"x, http_code: 500, result: {'[' * 100_000}"), "answered with HTTP 500", "network"),
        (
            CredentialException("Failed to get RAM session credentials from ECS metadata service. HttpCode=404"),
            "sts.x answered with HTTP 404",
            "Attach a RAM role",
        ),
        (CredentialException("No cached value was found."), "sts.x returned keys that had expired", "clock"),
        (
            CredentialException(f'error retrieving credentials from x result: {{"AccessKeySecret": "{SECRET}"'),
            "error retrieving credentials from x",
            "",
        ),
        (
            CredentialException(f"failed to execute external command: exit status 1\nstderr: {SECRET}"),
            "failed to execute external command: exit status 1",
            "",
        ),
        (CredentialException(f"failed to refresh OAuth token: {{{SECRET}"), "failed to refresh OAuth token", ""),
        (ValueError("the access key id is empty"), "the access key id is empty", ""),
        (retried(ReadTimeout()), "no response from sts.x: it did not respond in time", "network"),
        (retried(SSLError()), "no response from sts.x: the TLS handshake failed", "network"),
        (
            retried(ssl.SSLCertVerificationError()),
            "no response from sts.x: its certificate is not trusted",
            "SSL_CERT_FILE",
        ),
        (retried(ConnectionRefusedError()), "no response from sts.x: it refused the connection", "network"),
        (retried(OSError()), "no response from sts.x: the connection failed", "network"),
        (retried(OSError(errno.EIO, SECRET)), "no response from sts.x: the connection failed", "network"),
        (retried(ConnectionResetError(errno.ECONNRESET, "x")), "sts.x: the connection was reset", "network"),
        (retried(OSError(errno.ENETUNREACH, "x")), "sts.x: there is no route to that network", "network"),
        (retried(OSError(errno.EMFILE, "x")), "this process has too many files open", "ulimit -n"),
        (retried(RemoteDisconnected("x")), "it closed the connection before the response", "network"),
        (retried(IncompleteRead(SECRET.encode())), "in the middle of the response", "network"),
        (retried(BadStatusLine(SECRET)), "its response is not valid HTTP", "network"),
        (retried(tls_failure("WRONG_VERSION_NUMBER")), "TLS handshake: it does not speak TLS", "network"),
        (retried(tls_failure(SECRET)), "TLS handshake: it failed", "network"),
        (FileNotFoundError(2, "No such file", "/run/token"), "cannot read /run/token: No such file", "may read"),
        (FileNotFoundError(2, "No such file", LONG_PATH), f"cannot read {LONG_PATH}: No such file", "may read"),
        (ImportError("No module named 'x'"), "cannot be imported: No module named 'x'", "pip install"),
        (KeyError(SECRET), "the data of sts.x cannot be interpreted (KeyError)", ""),
        (OSError(f"hunter2 {SECRET}"), "the data of sts.x cannot be interpreted (OSError)", ""),
        (
            no_credentials("the AccessKey ID is empty", "Fix it."),
            "returned keys that cannot be used: the Acc",
            "Fix it.",
        ),
    ],
)
def test_a_failure_says_who_refused_and_what_to_do_and_no_secret(error: Exception, message: str, advice: str) -> None:
    expected_text, todo = describe_failure(error, "sts.x", ())
    assert message in expected_text
    assert advice in todo
    assert "hunter2" not in expected_text + todo
    assert "xxx" not in expected_text + todo


def test_an_unknown_failure_has_no_advice() -> None:
    assert describe_failure(refused("SomethingNew"), "sts.x", ())[1] == ""


@pytest.mark.parametrize(
    ("error", "expected_text"),
    [
        (no_credentials("it is empty", "Fix it."), "sts.x returned keys that cannot be used: it is empty"),
        (CredentialException("failed to execute external command: "), "failed to execute external command"),
    ],
)
def test_a_failure_begins_with_who_and_ends_with_what(error: Exception, expected_text: str) -> None:
    assert describe_failure(error, "sts.x", ())[0] == expected_text


def test_what_is_known_to_be_secret_is_hidden_however_short() -> None:
    expected_text, _ = describe_failure(refused("Odd", "the key topsecret is odd"), "sts.x", hide=["topsecret"])
    assert expected_text.endswith("the key *** is odd")
