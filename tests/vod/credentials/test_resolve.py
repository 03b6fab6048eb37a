from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import structlog
import trustme

from exporter.errors import StartError
from exporter.vod.credentials.cache import MARGIN, CredentialCache
from exporter.vod.credentials.resolve import resolve_source
from exporter.vod.credentials.sources import Credentials, EnvCredentials
from tests.vod.credential_servers import Sts, listening
from tests.vod.credentials.test_provider_chain import RRSA, Options
from tests.vod.fakes import KEY, Clock, FakeSource

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret"}
ROLE = "acs:ram::1:role/a"


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the extra: None in `sys.modules` makes the import fail."""
    monkeypatch.setitem(sys.modules, "alibabacloud_credentials", None)


@pytest.mark.usefixtures("not_installed")
async def test_keys_that_are_given_or_in_the_environment_need_no_library() -> None:
    given = FakeSource()
    assert await resolve_source("main", Options(), given, ENVIRONMENT) is given
    for provider in ("default", "env"):
        source = await resolve_source("main", Options(provider), None, ENVIRONMENT)
        assert isinstance(source, EnvCredentials)
        assert await source.get() == Credentials("id", "secret")


@pytest.mark.usefixtures("not_installed")
@pytest.mark.parametrize(
    ("provider", "expected_text"),
    [
        ("default", "account main: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is not set"),
        ("ecs_ram_role", "account main: provider ecs_ram_role needs a library that is not installed"),
        ("oidc_role_arn", "account main: provider oidc_role_arn needs a library that is not installed"),
    ],
)
async def test_without_the_library_the_error_says_how_to_install_it(provider: str, expected_text: str) -> None:
    with pytest.raises(StartError) as caught:
        await resolve_source("main", Options(provider), None, RRSA)
    assert str(caught.value).startswith(expected_text)
    assert str(caught.value).endswith("pip install --require-hashes -r requirements/roles.txt")


async def test_with_nothing_configured_it_says_what_can_be() -> None:
    with pytest.raises(StartError) as caught:
        await resolve_source("main", Options(), None, {})
    assert "ALIBABA_CLOUD_ACCESS_KEY_ID is not set" in str(caught.value)
    assert "provider: ecs_ram_role" in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "variables", "expected_text"),
    [
        ("env", {}, "account main: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is not set"),
        ("env", RRSA, "account main: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is not set"),
        ("default", {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id"}, "variable ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set"),
        (
            "default",
            {**RRSA, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret"},
            "environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is not set. Set ALIBABA_CLOUD_ACCESS_KEY_ID",
        ),
        ("ram_role_arn", RRSA, "account main: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is not set"),
        ("ram_role_arn", ENVIRONMENT, "account main: provider ram_role_arn needs role_arn"),
        ("profile", {}, "account main: provider profile: HOME is not set"),
    ],
)
async def test_permanent_errors_are_start_errors(provider: str, variables: dict[str, str], expected_text: str) -> None:
    with pytest.raises(StartError) as caught:
        await resolve_source("main", Options(provider), None, variables)
    assert expected_text in str(caught.value)


@pytest.mark.parametrize(
    ("options", "keys", "variables"),
    [
        (Options(), None, RRSA),
        (Options("oidc_role_arn"), None, {**RRSA, **ENVIRONMENT}),
        (Options("ecs_ram_role"), None, ENVIRONMENT),
        (Options("ram_role_arn", role_arn=ROLE), None, ENVIRONMENT),
        (Options("ram_role_arn", role_arn=ROLE), FakeSource(KEY), {}),
        (Options("profile"), None, {"HOME": "/nowhere"}),
    ],
    ids=["rrsa", "oidc", "ecs", "role of the environment's key", "role of a given key", "profile"],
)
async def test_roles_and_profiles_are_kept_fresh(
    options: Options, keys: FakeSource | None, variables: dict[str, str]
) -> None:
    assert isinstance(await resolve_source("main", options, keys, variables), CredentialCache)


async def test_a_profile_of_the_home_directory_is_found_by_default(tmp_path: Path) -> None:
    (tmp_path / ".aliyun").mkdir()
    (tmp_path / ".aliyun/config.json").write_text(
        '{"current": "a", "profiles": [{"name": "a", "mode": "AK", "access_key_id": "i", "access_key_secret": "s"}]}'
    )
    source = await resolve_source("main", Options(), None, {"HOME": str(tmp_path)})
    assert await source.get() == Credentials("i", "s")


async def test_a_role_is_assumed_with_the_environments_key_and_again_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The library uses the machine's clock to decide whether keys have expired: these are valid by both clocks.
    sts = Sts()
    ca, clock = trustme.CA(), Clock(sts.keys.expires - 3600)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    key_id, secret, _ = sts.start
    variables = {"ALIBABA_CLOUD_ACCESS_KEY_ID": key_id, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret}
    with listening(sts, ca) as sts.host, structlog.testing.capture_logs() as logs:
        options = Options("ram_role_arn", role_arn=ROLE, sts_endpoint=sts.host)
        source = await resolve_source("main", options, None, variables, now=clock.now, monotonic=clock.monotonic)

        given = await source.get()
        assert given == Credentials("STS.role-key-id", "role-secret-0123456789", "role-token-0123456789")
        assert [line["account"] for line in logs] == ["main"]

        clock.elapsed += 3600 - MARGIN
        await source.get()
    assert len(sts.received) == 2
