"""Keys of a role: from a fake STS through the exporter to the simulated service, which checks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from exporter.app import Runtime, assemble_daemon
from exporter.config.loader import loads
from exporter.simulator.access_keys import AccessKeyPair
from tests.e2e.processes import exporter
from tests.harness import Clock, Harness, simulated
from tests.vod.credential_servers import Keys, Sts, listening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRETS = ("role-secret", "role-token", "start-secret", "oidc-token")


@pytest.fixture
def sts(tmp_path: Path) -> Iterator[Sts]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    standin = Sts()
    with listening(standin, ca) as standin.host:
        yield standin


def configuration(endpoint: str, credentials: str) -> str:
    return (
        f"accounts: [{{name: main, endpoint: '{endpoint}', credentials: {{{credentials}}}}}]\n"
        "queries: [{name: q, media: all, days_ago: 1}]\n"
    )


def as_role(keys: Keys) -> AccessKeyPair:
    return AccessKeyPair(keys.access_key_id, keys.access_key_secret, keys.security_token)


async def test_a_role_signs_and_a_rejected_token_is_replaced(
    sts: Sts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    clock = Clock()
    async with simulated(clock=clock) as (simulator, url):
        simulator.change(credentials=as_role(sts.keys))
        text = configuration(
            url,
            "access_key_id: start-id, access_key_secret: start-secret-0123456789, provider: ram_role_arn,"
            f" role_arn: 'acs:ram::1:role/a', sts_endpoint: '{sts.host}'",
        )
        runtime = Runtime({}, clock.now, clock.now, clock.sleep)
        async with assemble_daemon(loads(text, file="config.yaml", environ={}), runtime) as pieces:
            harness = Harness(pieces, simulator, clock)
            assert await harness.poll() == "success"
            assert await harness.poll(later=900) == "success"
            assert len(sts.received) == 1

            sts.keys = Keys(security_token="role-token-second")
            simulator.change(credentials=as_role(sts.keys))
            sts.failure = (503, "no")
            assert await harness.poll(later=900) == "failure"
            sts.failure = None
            assert await harness.poll(later=900) == "success"


def test_a_pod_with_rrsa_logs_no_secret_even_at_debug_level(sts: Sts, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(sts.oidc_token)
    simulator = exporter(
        tmp_path,
        "simulate",
        "--web.listen-address=127.0.0.1:0",
        "--media=3",
        f"--access-key-id={sts.keys.access_key_id}",
        f"--access-key-secret={sts.keys.access_key_secret}",
        f"--security-token={sts.keys.security_token}",
    )
    with simulator as service:
        (tmp_path / "config.yaml").write_text(
            configuration(service.url(), f"provider: oidc_role_arn, sts_endpoint: '{sts.host}'")
        )
        fetch = exporter(
            tmp_path,
            "fetch",
            "--log.level=debug",
            DEBUG="sdk",
            # The credentials library calls it, which Python 3.12 and later warn of.
            PYTHONWARNINGS="ignore:datetime.datetime.utcnow:DeprecationWarning",
            SSL_CERT_FILE=str(tmp_path / "ca.pem"),
            ALIBABA_CLOUD_ROLE_ARN="acs:ram::1:role/a",
            ALIBABA_CLOUD_OIDC_PROVIDER_ARN="acs:ram::1:oidc-provider/b",
            ALIBABA_CLOUD_OIDC_TOKEN_FILE=str(tmp_path / "token"),
        )
        with fetch as fetched:
            assert fetched.process.wait() == 0, fetched.logged()
        log_text = fetched.logged()
    assert "place=oidc_role_arn" in log_text
    assert "Warning" not in log_text
    assert not [secret for secret in SECRETS if secret in log_text + fetched.out.read_text()]
