"""The real library against fake servers on loopback."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests
import trustme

from exporter.errors import CredentialsError
from exporter.vod.credentials.providers import (
    AssumedRole,
    CliProfile,
    CredentialProvider,
    EcsRole,
    IniProfile,
    OidcRole,
    UriProvider,
)
from exporter.vod.credentials.sdk import CredentialFetcher
from exporter.vod.credentials.sources import Credentials, FetchedCredentials
from tests.vod.credential_servers import (
    NAMES,
    Keys,
    Metadata,
    ReceivedRequest,
    Sts,
    forwarding,
    listening,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLE = "acs:ram::1:role/a"
START = Credentials("start-id", "start-secret-0123456789")
GIVEN = Credentials("STS.role-key-id", "role-secret-0123456789", "role-token-0123456789")
END = 4_000_000_000.0
SECRETS = (
    "start-secret-0123456789",
    "start-token-0123456789",
    "oidc-token-0123456789",
    "role-secret-0123456789",
    "role-token-0123456789",
    "hunter2",
)

# The longest time in seconds until a fake server on a busy machine has closed the last connection.
PATIENCE = 300.0


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def sts(ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    """Over TLS, with an authority that is trusted through the environment."""
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    standin = Sts()
    with listening(standin, ca) as standin.host:
        yield standin


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    """The fake metadata service, reached as the proxy for itself."""
    standin = Metadata()
    with listening(standin) as standin.host:
        yield standin


@pytest.fixture(autouse=True)
def library_is_silent(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """In every test the library logs nothing, no secret is shown, and no thread is left.

    A fake server closes a connection after its response was read, in a thread of the connection that ends by itself.
    """
    before = set(threading.enumerate())
    with caplog.at_level(logging.DEBUG):
        yield
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert caplog.text == ""
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(PATIENCE)
    assert [thread for thread in started if thread.is_alive()] == []


def fails(origin: CredentialProvider, start: Credentials | None = None) -> CredentialsError:
    """The error; no part or context of it contains a secret."""
    with pytest.raises(CredentialsError) as caught:
        CredentialFetcher([origin])(start)
    error = caught.value
    everything_shown = f"{error!r} {error} {error.message} {error.advice}"
    assert not [secret for secret in SECRETS if secret in everything_shown]
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


def assumed(sts: Sts, *, external_id: str | None = None) -> AssumedRole:
    return AssumedRole(ROLE, "vod-exporter", external_id, 1800, sts.host)


def oidc(sts: Sts, tmp_path: Path) -> OidcRole:
    (tmp_path / "token").write_text(sts.oidc_token)
    return OidcRole(ROLE, "acs:ram::1:oidc-provider/b", tmp_path / "token", "vod-exporter", 900, sts.host)


def instance(metadata: Metadata, role_name: str = "", *, disable_imds_v1: bool = False) -> EcsRole:
    return EcsRole(role_name, disable_imds_v1, f"http://{metadata.host}")


def test_a_role_is_assumed_with_a_key(sts: Sts) -> None:
    fetched = CredentialFetcher([assumed(sts, external_id="contract:17")])(START)
    assert fetched == FetchedCredentials(GIVEN, "ram_role_arn", END)
    (received,) = sts.received
    wanted = {
        "Action": "AssumeRole",
        "RoleArn": ROLE,
        "RoleSessionName": "vod-exporter",
        "ExternalId": "contract:17",
        "DurationSeconds": "1800",
    }
    assert received.query.items() >= wanted.items()


def test_a_role_is_assumed_with_a_temporary_key(sts: Sts) -> None:
    sts.start = (START.access_key_id, START.access_key_secret, "start-token-0123456789")
    start = Credentials(*sts.start)
    assert CredentialFetcher([assumed(sts)])(start).credentials == GIVEN


def test_every_fetch_sends_a_new_request(sts: Sts) -> None:
    fetcher = CredentialFetcher([assumed(sts)])
    fetcher(START)
    sts.keys = Keys(access_key_id="STS.other")
    assert fetcher(START).credentials.access_key_id == "STS.other"


def test_a_role_is_assumed_with_the_token_that_is_in_the_file_now(sts: Sts, tmp_path: Path) -> None:
    origin = oidc(sts, tmp_path)
    assert CredentialFetcher([origin])(None) == FetchedCredentials(GIVEN, "oidc_role_arn", END)
    sts.oidc_token = "rotated-token-0123456789"
    assert "AuthenticationFail.OIDCToken.Invalid (HTTP 401, request ID REQ-STS)" in fails(origin).message
    assert CredentialFetcher([oidc(sts, tmp_path)])(None).credentials == GIVEN


@pytest.mark.parametrize("role_name", ["", "instance-role"])
def test_the_role_of_the_instance_in_the_safer_way(metadata: Metadata, role_name: str) -> None:
    fetched = CredentialFetcher([instance(metadata, role_name, disable_imds_v1=True)])(None)
    assert fetched == FetchedCredentials(GIVEN, "ecs_ram_role", END)
    # A server that is its own proxy receives the absolute URL.
    assert metadata.received[-1].target == (
        "http://100.100.100.200/latest/meta-data/ram/security-credentials/instance-role"
    )


def test_the_older_way_is_taken_only_where_it_may_be(metadata: Metadata) -> None:
    metadata.knows_tokens = False
    assert CredentialFetcher([instance(metadata)])(None).credentials == GIVEN
    assert "HTTP 404" not in fails(instance(metadata, disable_imds_v1=True)).message


def test_an_instance_without_a_role(metadata: Metadata) -> None:
    metadata.failure = (404, "no")
    error = fails(instance(metadata))
    assert error.message == "ecs_ram_role: the metadata service (http://100.100.100.200) answered with HTTP 404"
    assert "Attach a RAM role" in error.advice


@pytest.mark.parametrize(
    ("failure", "expected_text"),
    [
        (refusal(403, "NoPermission", "You are not authorized."), "NoPermission (HTTP 403, request ID REQ-STS): You"),
        (
            refusal(400, "Odd", "string to sign is:hunter2 start-secret-0123456789"),
            "Odd (HTTP 400, request ID REQ-STS)",
        ),
        ((500, "<html>hunter2</html>"), "HTTP 500 and no error code"),
        ((200, "<html>hunter2</html>"), "cannot be interpreted (JSONDecodeError)"),
        ((200, {"Credentials": {"AccessKeySecret": "hunter2"}}), "error retrieving credentials"),
        ((200, {"Credentials": Keys("", "hunter2", "hunter2").json()}), "the AccessKey ID is empty"),
        ((200, {"Credentials": Keys("id", "hun ter2", "hunter2").json()}), "the AccessKey secret holds a space"),
        ((200, {"Credentials": Keys("id", "hunter2", "hünter2").json()}), "the security token holds characters"),
        ((200, {"Credentials": Keys(expires=1.0).json()}), "had expired"),
    ],
)
def test_what_sts_may_answer_instead(sts: Sts, failure: tuple[int, object], expected_text: str) -> None:
    sts.failure = failure
    assert expected_text in fails(assumed(sts), START).message


def test_an_untrusted_certificate() -> None:
    stranger = Sts()
    with listening(stranger, trustme.CA()) as stranger.host:
        assert "its certificate is not trusted" in fails(assumed(stranger), START).message
    assert stranger.received == []


def test_no_server_listens(sts: Sts, tmp_path: Path) -> None:
    origin = oidc(sts, tmp_path)
    gone = OidcRole(ROLE, origin.oidc_provider_arn, origin.oidc_token_file, "s", 900, "127.0.0.1:1")
    assert fails(gone).message == "oidc_role_arn: no response from 127.0.0.1:1: it refused the connection"


@pytest.fixture
def sts_by_name(sts: Sts, monkeypatch: pytest.MonkeyPatch) -> Sts:
    """STS under a name, since no proxy is used for this machine; no other name can be resolved."""
    look_up = socket.getaddrinfo

    def fake(host: str, *args: Any, **options: Any) -> Any:
        if host not in {"127.0.0.1", NAMES[0]}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    sts.host = sts.host.replace("127.0.0.1", NAMES[0])
    return sts


@pytest.mark.parametrize(
    ("variables", "is_proxied"),
    [
        ({"HTTPS_PROXY": "http://{proxy}"}, True),
        ({"https_proxy": "http://{proxy}", "HTTPS_PROXY": "http://127.0.0.1:1"}, True),
        ({"HTTPS_PROXY": "{proxy}"}, True),
        ({"ALL_PROXY": "http://{proxy}"}, True),
        ({"HTTPS_PROXY": "http://{proxy}", "NO_PROXY": "example.org,10.0.0.0/8,.aliyuncs.com"}, True),
        ({"HTTPS_PROXY": "http://{proxy}", "NO_PROXY": "sts.example.com:1"}, True),
        ({"HTTP_PROXY": "http://127.0.0.1:1"}, False),
        ({"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "*"}, False),
        ({"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "example.org example.com"}, False),
        ({"HTTPS_PROXY": "http://127.0.0.1:1", "no_proxy": ".example.com"}, False),
        ({"HTTPS_PROXY": "http://127.0.0.1:1", "no_proxy": "{sts}"}, False),
        ({"HTTPS_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "example.com"}, False),
    ],
)
@pytest.mark.parametrize("kind", ["AssumeRole", "AssumeRoleWithOIDC"])
def test_sts_is_reached_by_the_same_rules_as_the_api(
    sts_by_name: Sts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    variables: dict[str, str],
    *,
    is_proxied: bool,
) -> None:
    origin = assumed(sts_by_name) if kind == "AssumeRole" else oidc(sts_by_name, tmp_path)
    heads: list[str] = []
    with forwarding(int(sts_by_name.host.rpartition(":")[2]), heads) as proxy:
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(proxy=proxy, sts=sts_by_name.host))
        assert CredentialFetcher([origin])(START).credentials == GIVEN
    assert [head.split()[1] for head in heads] == [sts_by_name.host] * is_proxied


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("user:hunter2", "user:hunter2"),
        ("user:", "user:"),
        ("主账号:hunter2/#?@:%41", "主账号:hunter2/#?@:A"),
        ("us%3Aer:hünter2%25", "us:er:hünter2%"),
    ],
)
def test_a_proxy_is_sent_any_password(sts_by_name: Sts, monkeypatch: pytest.MonkeyPatch, given: str, sent: str) -> None:
    heads: list[str] = []
    with forwarding(int(sts_by_name.host.rpartition(":")[2]), heads) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{given}@{proxy}")
        assert CredentialFetcher([assumed(sts_by_name)])(START).credentials == GIVEN
    encoded = base64.b64encode(sent.encode()).decode()
    assert f"\r\nProxy-Authorization: Basic {encoded}\r\n" in heads[0]


@pytest.mark.parametrize(
    ("proxy", "expected_text"),
    [
        ("socks5://user:hunter2@127.0.0.1:1", "HTTPS_PROXY names a SOCKS proxy, which is not supported"),
        ("ftp://user:hunter2@127.0.0.1:1", "HTTPS_PROXY is not the URL of a proxy"),
        ("http://user:hunter2@127.0.0.1:1", "no response from {sts}: the proxy does not connect"),
    ],
)
def test_a_proxy_that_leads_nowhere(
    sts_by_name: Sts, monkeypatch: pytest.MonkeyPatch, proxy: str, expected_text: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    message = fails(assumed(sts_by_name), START).message
    assert expected_text.format(sts=sts_by_name.host) in message
    assert sts_by_name.received == []


def test_the_sts_of_a_profile_is_reached_by_the_same_rules(
    sts_by_name: Sts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = {"mode": "RamRoleArn", "access_key_id": START.access_key_id, "access_key_secret": START.access_key_secret}
    profile = cli(tmp_path, {**role, "ram_role_arn": ROLE, "ram_session_name": "s", "sts_region": "cn-hangzhou"})
    heads: list[str] = []
    with forwarding(int(sts_by_name.host.rpartition(":")[2]), heads) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
        assert CredentialFetcher([profile])(None).credentials == GIVEN
        assert [head.split()[1] for head in heads] == ["sts.cn-hangzhou.aliyuncs.com:443"]
        monkeypatch.setenv("NO_PROXY", ".aliyuncs.com")
        assert "its name cannot be resolved" in fails(profile).message
    assert len(heads) == 1


def test_a_uri_is_reached_by_the_same_rules(sts_by_name: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[ReceivedRequest] = []

    def answer(request: ReceivedRequest) -> tuple[int, Any]:
        received.append(request)
        return 200, {"Code": "Success", **sts_by_name.keys.json()}

    with listening(answer) as host:
        monkeypatch.setenv("HTTP_PROXY", f"http://{host}")
        assert CredentialFetcher([UriProvider("http://keys.example.org/k")])(None).credentials == GIVEN
        assert [request.target for request in received] == ["http://keys.example.org/k"]
        # No proxy is used for this machine.
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        assert CredentialFetcher([UriProvider(f"http://{host}/k")])(None).credentials == GIVEN
        assert received[-1].target == "/k"
        monkeypatch.setenv("HTTP_PROXY", f"http://{host}")
        monkeypatch.setenv("NO_PROXY", "example.org")
        assert "its name cannot be resolved" in fails(UriProvider("http://keys.example.org/k")).message


def test_the_request_to_sts_contains_session_name_and_duration(sts: Sts, tmp_path: Path) -> None:
    CredentialFetcher([oidc(sts, tmp_path)])(None)
    (received,) = sts.received
    wanted = {
        "Action": "AssumeRoleWithOIDC",
        "RoleArn": ROLE,
        "OIDCProviderArn": "acs:ram::1:oidc-provider/b",
        "RoleSessionName": "vod-exporter",
        "DurationSeconds": "900",
    }
    assert received.query.items() >= wanted.items()


@pytest.mark.parametrize(
    ("mode", "size", "expected_text"),
    [(0o602, 0, "everyone may write to it"), (0o600, 1024 * 1024 + 1, "it is larger than 1048576 bytes")],
)
def test_a_file_that_cannot_be_trusted_is_not_used(
    sts: Sts, tmp_path: Path, mode: int, size: int, expected_text: str
) -> None:
    token = oidc(sts, tmp_path)
    profile = cli(tmp_path, {"mode": "AK", "access_key_id": "a", "access_key_secret": "hunter2"})
    section = IniProfile(tmp_path / "credentials.ini", "key", EcsRole())
    section.file.write_text("[key]\ntype = access_key\naccess_key_id = a\naccess_key_secret = hunter2\n")
    for origin, file in ((token, token.oidc_token_file), (profile, profile.file), (section, section.file)):
        CredentialFetcher([origin])(None)
        file.write_text(file.read_text() + " " * size)
        file.chmod(mode)
        assert f": cannot read {file}: {expected_text}" in fails(origin).message


def test_a_token_file_that_is_not_there(sts: Sts, tmp_path: Path) -> None:
    origin = oidc(sts, tmp_path)
    origin.oidc_token_file.unlink()
    assert "token: No such file or directory" in fails(origin).message
    assert sts.received == []


@pytest.mark.parametrize("secret", ["start-secret-0123456789", "start-token-0123456789"])
def test_what_a_role_is_assumed_with_is_hidden_in_what_sts_says(sts: Sts, secret: str) -> None:
    sts.failure = refusal(400, "Odd", f"the key {secret} is odd")
    start = Credentials("start-id", "start-secret-0123456789", "start-token-0123456789")
    assert fails(assumed(sts), start).message.endswith("Odd (HTTP 400, request ID REQ-STS): the key *** is odd")


def test_keys_without_a_secret_are_not_used(sts: Sts) -> None:
    sts.keys = Keys(access_key_secret="")
    assert fails(assumed(sts), START).message.endswith("keys that cannot be used: the AccessKey secret is empty")


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """Records how the library sends requests: the scheme, and the timeouts in seconds for connecting and reading."""
    seen: list[tuple[str, object]] = []
    send = requests.Session.send

    def watched(session: requests.Session, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        seen.append((str(request.url).partition(":")[0], how["timeout"]))
        return send(session, request, **how)

    monkeypatch.setattr(requests.Session, "send", watched)
    return seen


def test_no_server_is_waited_for_longer_than_the_timeout(
    sts: Sts, metadata: Metadata, patience: list[tuple[str, object]]
) -> None:
    CredentialFetcher([assumed(sts)])(START)
    assert patience == [("https", (5.0, 10.0))]
    patience.clear()
    CredentialFetcher([instance(metadata, "instance-role")])(None)
    assert patience == [("http", (2.0, 2.0))] * 2


def test_only_the_library_is_silenced(sts: Sts) -> None:
    root = logging.getLogger()
    mine, before = logging.NullHandler(), (list(root.handlers), root.level)
    logging.getLogger("credentials").addHandler(mine)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    CredentialFetcher([assumed(sts)])(START)
    assert logging.getLogger("credentials").handlers == []
    assert not logging.getLogger("urllib3").isEnabledFor(logging.CRITICAL)
    assert (root.handlers, root.level) == before


def test_debugging_the_sdk_shows_no_secret(sts: Sts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "sdk")
    CredentialFetcher([oidc(sts, tmp_path)])(None)
    CredentialFetcher([assumed(sts)])(START)
    assert logging.getLogger("credentials").handlers == []
    assert logging.getLogger("alibabacloud-tea").handlers == []


def cli(tmp_path: Path, *profiles: dict[str, object], metadata: Metadata | None = None) -> CliProfile:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"current": "here", "profiles": [{"name": "here", **profile} for profile in profiles]}))
    ecs = instance(metadata) if metadata else EcsRole()
    return CliProfile(path, None, ecs)


def test_a_profile_with_a_key(tmp_path: Path) -> None:
    profile = cli(tmp_path, {"mode": "AK", "access_key_id": "a", "access_key_secret": "hunter2"})
    assert CredentialFetcher([profile])(None) == FetchedCredentials(Credentials("a", "hunter2"), "profile")


def test_a_profile_is_read_again_every_time(tmp_path: Path) -> None:
    fetcher = CredentialFetcher(
        [cli(tmp_path, {"mode": "StsToken", "access_key_id": "a", "access_key_secret": "b", "sts_token": "c"})]
    )
    assert fetcher(None).credentials == Credentials("a", "b", "c")
    cli(tmp_path, {"mode": "StsToken", "access_key_id": "d", "access_key_secret": "e", "sts_token": "f"})
    assert fetcher(None).credentials == Credentials("d", "e", "f")


def test_a_profile_that_stands_for_the_role_of_the_instance(tmp_path: Path, metadata: Metadata) -> None:
    profile = cli(tmp_path, {"mode": "EcsRamRole", "ram_role_name": "instance-role"}, metadata=metadata)
    # With the end of the keys, and (see the fixture) without the library's thread.
    assert CredentialFetcher([profile])(None) == FetchedCredentials(GIVEN, "profile", END)


ROLES = "/latest/meta-data/ram/security-credentials/"


@pytest.mark.parametrize(
    ("of_the_profile", "of_the_account", "paths"),
    [
        ("instance-role", "", [f"{ROLES}instance-role"]),
        ("instance-role", "another-role", [f"{ROLES}instance-role"]),
        ("", "instance-role", [f"{ROLES}instance-role"]),
        (None, "instance-role", [f"{ROLES}instance-role"]),
        ("", "", [ROLES, f"{ROLES}instance-role"]),
        (None, "", [ROLES, f"{ROLES}instance-role"]),
    ],
)
@pytest.mark.parametrize("kind", ["of the CLI", "of credentials.ini"])
def test_the_role_of_the_profile_takes_precedence_over_the_one_of_the_service(
    tmp_path: Path,
    metadata: Metadata,
    kind: str,
    of_the_profile: str | None,
    of_the_account: str,
    paths: list[str],
) -> None:
    profile: CredentialProvider
    ecs = instance(metadata, of_the_account)
    if kind == "of the CLI":
        named = {} if of_the_profile is None else {"ram_role_name": of_the_profile}
        profile = replace(cli(tmp_path, {"mode": "EcsRamRole", **named}), ecs=ecs)
    else:
        line = "" if of_the_profile is None else f"role_name = {of_the_profile}\n"
        (tmp_path / "credentials.ini").write_text(f"[here]\ntype = ecs_ram_role\n{line}")
        profile = IniProfile(tmp_path / "credentials.ini", "here", ecs)
    assert CredentialFetcher([profile])(None).credentials == GIVEN
    assert [request.path for request in metadata.received if request.path.startswith(ROLES)] == paths


def test_a_profile_that_runs_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected_text = {
        "mode": "StsToken",
        "access_key_id": "a",
        "access_key_secret": "hunter2",
        "sts_token": "c",
        "expiration": "2096-10-02T07:06:40Z",
    }
    # The command is split at spaces, which the path of the checkout may have.
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "program.sh"
    program.write_text(f"echo '{json.dumps(expected_text)}'")
    profile = cli(tmp_path, {"mode": "External", "process_command": "sh program.sh"})
    assert CredentialFetcher([profile])(None) == FetchedCredentials(Credentials("a", "hunter2", "c"), "profile", END)
    program.write_text("echo hunter2 >&2; exit 1")
    assert fails(profile).message == "profile: failed to execute external command: exit status 1"


@pytest.mark.parametrize(
    ("text", "expected_text"),
    [
        ('{"current": "there", "profiles": [{"name": "here", "access_key_secret": "hunter2"}]}', "with 'there'"),
        ('{"current": "here", "profiles": [{"name": "here", "mode": "hunter-3"}]}', "unsupported profile mode"),
        ("{hunter2", "failed to parse"),
        ("[]", "cannot be interpreted"),
    ],
)
def test_a_file_of_the_cli_that_is_of_no_use(tmp_path: Path, text: str, expected_text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert expected_text in fails(CliProfile(tmp_path / "config.json", None, EcsRole())).message


def test_a_profile_is_named_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("[]")
    message = fails(CliProfile(file, None, EcsRole())).message
    assert message == f"profile: the data of the profile in {file} cannot be interpreted (AttributeError)"


def test_a_file_of_the_cli_that_is_not_there(tmp_path: Path) -> None:
    error = fails(CliProfile(tmp_path / "config.json", None, EcsRole()))
    assert error.message == f"profile: unable to open credentials file: {tmp_path / 'config.json'}"


def test_sections_of_credentials_ini(tmp_path: Path, metadata: Metadata) -> None:
    path = tmp_path / "credentials.ini"
    path.write_text(
        "[key]\ntype = access_key\naccess_key_id = a\naccess_key_secret = b\n"
        "[instance]\ntype = ecs_ram_role\nrole_name = instance-role\n"
    )
    ecs = instance(metadata)
    assert CredentialFetcher([IniProfile(path, "key", ecs)])(None) == FetchedCredentials(
        Credentials("a", "b"), "credentials file"
    )
    assert CredentialFetcher([IniProfile(path, "instance", ecs)])(None) == FetchedCredentials(
        GIVEN, "credentials file", END
    )
    path.write_text("access_key_secret = hunter2")
    assert "MissingSectionHeaderError" in fails(IniProfile(path, "key", ecs)).message


def test_a_uri_that_answers_with_keys() -> None:
    with listening(lambda _: (200, {"Code": "Success", **Keys().json()})) as host:
        assert CredentialFetcher([UriProvider(f"http://{host}/keys?token=hunter2")])(None) == FetchedCredentials(
            GIVEN, "credentials URI", END
        )
    with listening(lambda _: (500, "hunter2")) as host:
        assert "ALIBABA_CLOUD_CREDENTIALS_URI" in fails(UriProvider(f"http://{host}/keys?token=hunter2")).message


def test_the_first_provider_with_keys_is_used_from_then_on(tmp_path: Path, metadata: Metadata) -> None:
    profile = cli(tmp_path, {"mode": "AK", "access_key_id": "a", "access_key_secret": "b"})
    metadata.failure = (404, "no")
    fetcher = CredentialFetcher([instance(metadata), profile])
    assert fetcher(None).place == "profile"
    metadata.failure = None
    assert fetcher(None).place == "profile"
    profile.file.unlink()
    with pytest.raises(CredentialsError, match=r"^profile: unable to open credentials file"):
        fetcher(None)


def test_when_no_provider_has_keys_each_is_reported(tmp_path: Path, metadata: Metadata) -> None:
    metadata.failure = (404, "no")
    missing = CliProfile(tmp_path / "config.json", None, EcsRole())
    with pytest.raises(CredentialsError, match=r"^ecs_ram_role: .* HTTP 404; profile: unable to open"):
        CredentialFetcher([instance(metadata), missing])(None)
