from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from exporter.errors import StartError
from exporter.vod.credentials.provider_chain import provider_chain
from exporter.vod.credentials.providers import (
    METADATA_SERVICE,
    AssumedRole,
    CliProfile,
    CredentialProvider,
    EcsRole,
    IniProfile,
    OidcRole,
    UriProvider,
)

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "acs:ram::1:role/a"
VOUCHER = "acs:ram::1:oidc-provider/b"
# The variables that ACK's webhook sets in a pod.
RRSA = {
    "ALIBABA_CLOUD_ROLE_ARN": ROLE,
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": VOUCHER,
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/run/token",
}


@dataclass(frozen=True)
class Options:
    provider: str = "default"
    role_arn: str | None = None
    role_session_name: str | None = None
    session_duration: float = 3600.0
    external_id: str | None = None
    sts_endpoint: str | None = None
    oidc_provider_arn: str | None = None
    oidc_token_file: Path | None = None
    role_name: str | None = None
    profile_name: str | None = None
    profile_file: Path | None = None


def only(options: Options, **variables: str) -> CredentialProvider:
    (origin,) = provider_chain(options, variables)
    return origin


def test_what_rrsa_puts_into_a_pod_is_enough(tmp_path: Path) -> None:
    for provider in ("oidc_role_arn", "default"):
        origin = only(Options(provider), HOME=str(tmp_path), **RRSA)
        assert isinstance(origin, OidcRole)
        assert (origin.role_arn, origin.oidc_provider_arn, str(origin.oidc_token_file)) == (ROLE, VOUCHER, "/run/token")
        assert (origin.role_session_name, origin.duration, origin.sts_endpoint) == (
            "aliyun-vod-exporter",
            3600,
            "sts.aliyuncs.com",
        )


def test_settings_come_before_variables(tmp_path: Path) -> None:
    options = Options("oidc_role_arn", "role", "session", 900.0, None, "sts.here", "voucher", tmp_path / "token")
    found = OidcRole("role", "voucher", tmp_path / "token", "session", 900, "sts.here")
    assert only(options, ALIBABA_CLOUD_ROLE_SESSION_NAME="other", ALIBABA_CLOUD_STS_REGION="r", **RRSA) == found


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, "sts.aliyuncs.com"),
        ({"ALIBABA_CLOUD_STS_REGION": "cn-beijing"}, "sts.cn-beijing.aliyuncs.com"),
        (
            {"ALIBABA_CLOUD_STS_REGION": "cn-beijing", "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "True"},
            "sts-vpc.cn-beijing.aliyuncs.com",
        ),
        ({"ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true"}, "sts.aliyuncs.com"),
    ],
)
def test_sts_is_where_the_variables_say(variables: dict[str, str], endpoint: str) -> None:
    origin = only(
        Options("ram_role_arn", ROLE, external_id="x"), ALIBABA_CLOUD_ROLE_SESSION_NAME="someone", **variables
    )
    assert origin == AssumedRole(ROLE, "someone", "x", 3600, endpoint)


def test_the_role_that_a_key_assumes_may_stand_in_a_variable() -> None:
    found = only(Options("ram_role_arn"), ALIBABA_CLOUD_ROLE_ARN=ROLE)
    assert found == AssumedRole(ROLE, "aliyun-vod-exporter", None, 3600, "sts.aliyuncs.com")


@pytest.mark.parametrize(
    ("provider", "variables", "expected_text"),
    [
        ("ram_role_arn", {}, "needs role_arn. Set it in credentials, or set ALIBABA_CLOUD_ROLE_ARN."),
        (
            "oidc_role_arn",
            {"ALIBABA_CLOUD_ROLE_ARN": ROLE, "ALIBABA_CLOUD_OIDC_TOKEN_FILE": ""},
            "oidc_provider_arn, oidc_token_file. Set them in credentials, or set ALIBABA_CLOUD_OIDC_PROVIDER_ARN,",
        ),
        (
            "oidc_role_arn",
            {},
            "oidc_role_arn needs role_arn, oidc_provider_arn, oidc_token_file. Set them in credentials",
        ),
        (
            "oidc_role_arn",
            {},
            "or set ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN, ALIBABA_CLOUD_OIDC_TOKEN_FILE.",
        ),
        (
            "ecs_ram_role",
            {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "True"},
            "ALIBABA_CLOUD_ECS_METADATA_DISABLED is true",
        ),
        ("profile", {}, "HOME is not set. Set profile_file"),
    ],
)
def test_all_missing_settings_are_reported_together(
    provider: str, variables: dict[str, str], expected_text: str
) -> None:
    with pytest.raises(StartError) as caught:
        provider_chain(Options(provider), variables)
    assert f"provider {provider}" in str(caught.value)
    assert expected_text in str(caught.value)


def test_the_role_of_the_instance() -> None:
    assert only(Options("ecs_ram_role")) == EcsRole()
    assert only(Options("ecs_ram_role"), ALIBABA_CLOUD_ECS_METADATA="a") == EcsRole("a")
    assert only(Options("ecs_ram_role", role_name="b"), ALIBABA_CLOUD_ECS_METADATA="a") == EcsRole("b")
    assert only(Options("ecs_ram_role"), ALIBABA_CLOUD_IMDSV1_DISABLED="true") == EcsRole(disable_imds_v1=True)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_the_role_of_this_instance_is_requested_without_proxy(name: str) -> None:
    assert only(Options("ecs_ram_role"), **{name: "http://proxy:3128"}) == EcsRole(proxy=METADATA_SERVICE)


def test_a_profile_of_the_cli(tmp_path: Path) -> None:
    current = CliProfile(tmp_path / ".aliyun/config.json", None, EcsRole())
    assert only(Options("profile"), HOME=str(tmp_path)) == current
    named = only(Options("profile"), HOME=str(tmp_path), ALIBABA_CLOUD_PROFILE="a")
    assert named == CliProfile(tmp_path / ".aliyun/config.json", "a", EcsRole())
    given = only(Options("profile", profile_name="b", profile_file=tmp_path / "c"), ALIBABA_CLOUD_PROFILE="a")
    assert given == CliProfile(tmp_path / "c", "b", EcsRole())


def test_the_default_chain_has_every_place_there_is_in_alibaba_clouds_order(tmp_path: Path) -> None:
    (tmp_path / ".aliyun").mkdir()
    (tmp_path / ".aliyun/config.json").touch()
    (tmp_path / ".alibabacloud").mkdir()
    (tmp_path / ".alibabacloud/credentials.ini").touch()
    variables = {
        **RRSA,
        "HOME": str(tmp_path),
        "ALIBABA_CLOUD_ECS_METADATA": "role",
        "ALIBABA_CLOUD_CREDENTIALS_URI": "http://127.0.0.1/keys?token=hunter2",
    }
    found = provider_chain(Options(), variables)
    assert [type(origin) for origin in found] == [OidcRole, CliProfile, IniProfile, EcsRole, UriProvider]
    assert found[-1] == UriProvider("http://127.0.0.1/keys?token=hunter2")
    assert "hunter2" not in repr(found)
    assert found[2] == IniProfile(tmp_path / ".alibabacloud/credentials.ini", "default", EcsRole("role"))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"ALIBABA_CLOUD_ECS_METADATA": "role", "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"},
        {"ALIBABA_CLOUD_ROLE_ARN": ROLE},
        {"ALIBABA_CLOUD_CREDENTIALS_FILE": "/there/is/none"},
    ],
)
def test_the_default_chain_uses_the_metadata_service_only_if_configured(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    assert provider_chain(Options(), {"HOME": str(tmp_path), **variables}) == ()
    assert provider_chain(Options(), variables) == ()


def test_files_in_a_place_that_cannot_be_looked_into_are_left_out_of_the_default_chain() -> None:
    # As with the home of another user (EACCES), which a test that runs as root may enter.
    nowhere = f"/{'a' * 300}"
    assert provider_chain(Options(), {"HOME": nowhere}) == ()
    assert provider_chain(Options(), {"ALIBABA_CLOUD_CREDENTIALS_FILE": f"{nowhere}/credentials.ini"}) == ()


def test_the_profile_of_the_cli_can_be_left_out_of_the_chain(tmp_path: Path) -> None:
    (tmp_path / ".aliyun").mkdir()
    (tmp_path / ".aliyun/config.json").touch()
    assert len(provider_chain(Options(), {"HOME": str(tmp_path)})) == 1
    assert provider_chain(Options(), {"HOME": str(tmp_path), "ALIBABA_CLOUD_CLI_PROFILE_DISABLED": "true"}) == ()


def test_a_credentials_file_named_by_a_variable(tmp_path: Path) -> None:
    (tmp_path / "keys.ini").touch()
    variables = {"ALIBABA_CLOUD_CREDENTIALS_FILE": str(tmp_path / "keys.ini"), "ALIBABA_CLOUD_PROFILE": "a"}
    assert only(Options(), **variables) == IniProfile(tmp_path / "keys.ini", "a", EcsRole())
