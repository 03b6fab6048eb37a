"""Files with secrets: which modes are accepted, warned of, or rejected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.config.loader import load
from exporter.errors import ConfigError, CredentialsError
from exporter.vod.credentials.credential_files import SecretFile
from exporter.vod.credentials.providers import CliProfile, EcsRole, OidcRole
from exporter.vod.credentials.sdk import CredentialFetcher
from exporter.web.access import policy
from tests.e2e.processes import exporter, until
from tests.web.harness import prepared

ENVIRON = {"SECRET": "hush-hush", "TOKEN": "quiet"}
INLINE = "{access_key_id: a, access_key_secret: hush-hush}"
QUERIES = "queries: [{name: q, media: {top: 1}, days_ago: 1}]\n"
WEB = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
USERS = "basic_auth_users: {alice: $2y$04$.Fgpn0JjMq5eJqRWJ.7rFOd6kIsd5uKLTSW.YQXCP1rr0DEOgqHAS}\n"


@pytest.fixture(autouse=True)
def private(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)


def configuration(folder: Path, credentials: str, mode: int = 0o600) -> Path:
    path = folder / "config.yaml"
    path.write_text(f"accounts: [{{name: main, credentials: {credentials}}}]\n{QUERIES}")
    path.chmod(mode)
    return path


def secret(folder: Path, mode: int, name: str = "secret") -> Path:
    path = folder / name
    path.write_text("hush-hush")
    path.chmod(mode)
    return path


async def test_a_world_writable_key_file_is_not_used_until_its_mode_is_fixed(tmp_path: Path) -> None:
    file = SecretFile(secret(tmp_path, 0o644))
    assert await file.read() == "hush-hush"
    (tmp_path / "secret").chmod(0o646)
    with pytest.raises(CredentialsError, match="everyone may write to it") as caught:
        await file.read()
    assert "no other user may write" in caught.value.advice
    (tmp_path / "secret").chmod(0o600)
    assert await file.read() == "hush-hush"


@pytest.mark.parametrize("kind", ["token", "profile"])
def test_files_that_the_library_reads_are_checked_first(kind: str, tmp_path: Path) -> None:
    """A profile may name a program to run."""
    file = secret(tmp_path, 0o666)
    profile = CliProfile(file, None, EcsRole())
    token = OidcRole("acs:ram::1:role/a", "acs:ram::1:oidc-provider/a", file, "a", 3600, "127.0.0.1:1")
    fetcher = CredentialFetcher([token if kind == "token" else profile])
    with pytest.raises(CredentialsError, match=f"cannot read {file}: everyone may write to it"):
        fetcher(None)


@pytest.mark.parametrize(
    ("credentials", "is_refused"),
    [
        (INLINE, True),
        ("{access_key_id: a, access_key_secret: '${NONE:-hush-hush}'}", True),
        ("{access_key_id: a, access_key_secret: '${SECRET}'}", False),
        ("{access_key_id: a, access_key_secret: '${SECRET}', security_token: quiet}", True),
        ("{access_key_id: a, access_key_secret_file: secret}", False),
    ],
)
def test_a_world_writable_configuration_must_not_contain_a_secret(
    credentials: str,
    is_refused: bool,  # noqa: FBT001 - a parameter of the table
    tmp_path: Path,
) -> None:
    path = configuration(tmp_path, credentials, 0o666)
    environ = {"SECRET": "hush-hush"}
    if is_refused:
        with pytest.raises(ConfigError) as caught:
            load(path, environ)
        assert str(caught.value) == f"{path}: holds a secret, and everyone may write to it; chmod 600 it"
    else:
        assert load(path, environ).accounts
    path.chmod(0o664)
    assert load(path, environ).accounts


def test_a_configuration_above_the_size_limit_is_not_read(tmp_path: Path) -> None:
    path = configuration(tmp_path, INLINE)
    with path.open("r+b") as file:
        file.truncate(10 * 1024**3)
    with pytest.raises(ConfigError, match="cannot be read: it is larger than 16777216 bytes"):
        load(path, {})


@pytest.mark.parametrize("name", ["web.yml", "server.crt", "server.key"])
def test_a_world_writable_web_configuration_is_rejected(name: str, tmp_path: Path) -> None:
    path = prepared(tmp_path, WEB)
    assert policy.load(path).context is not None
    (tmp_path / name).chmod(0o606)
    with pytest.raises(ConfigError, match="cannot be read: everyone may write to it"):
        policy.load(path)


def check_output(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    """The permission warnings of check-config."""
    assert main(["check-config", *argv], ENVIRON) == 0
    return [line.removeprefix("warning: ") for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("credentials", "warned_of"),
    [
        (INLINE, ["config.yaml"]),
        ("{access_key_id: a, access_key_secret: '${SECRET}'}", []),
        ("{access_key_id_file: secret, access_key_secret: '${SECRET}'}", []),
        ("{access_key_id: a, access_key_secret_file: secret}", ["secret"]),
        ("{access_key_id: a, access_key_secret: '${SECRET}', security_token_file: secret}", ["secret"]),
        ("{provider: profile, profile_file: secret}", ["secret"]),
    ],
)
def test_check_config_warns_of_world_readable_secrets(
    credentials: str, warned_of: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret(tmp_path, 0o644)
    path = configuration(tmp_path, credentials, 0o644)
    findings = check_output(capsys, f"--config.file={path}")
    assert [Path(line.split(": ")[0]).name for line in findings] == warned_of
    assert all("everyone may read it (mode 0644). Run chmod 600 on it" in line for line in findings)


def test_a_file_that_is_given_twice_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configuration(tmp_path, "{access_key_id: a, access_key_secret_file: secret}")
    again = "{name: again, credentials: {access_key_id: b, access_key_secret_file: secret}}"
    path.write_text(
        path.read_text().replace("accounts: [", f"accounts: [{again}, ").replace("name: q", "name: q, account: main")
    )
    secret(tmp_path, 0o644)
    first, second = check_output(capsys, f"--config.file={path}")
    assert first == "account again is not used by any query"
    assert second.startswith(f"{tmp_path}/secret: ")


@pytest.mark.usefixtures("shared_group")
def test_check_config_reports_files_that_will_not_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret(tmp_path, 0o666, "id")
    secret(tmp_path, 0o660)
    path = configuration(tmp_path, "{access_key_id_file: id, access_key_secret_file: secret}", 0o666)
    first, *rest = check_output(capsys, f"--config.file={path}")
    assert first.startswith(f"account main: cannot read credentials file {tmp_path}/id: everyone may write to it")
    assert rest == [
        f"{path}: everyone may write to it (mode 0666). Run chmod go-w on it.",
        f"{tmp_path}/id: everyone may write to it (mode 0666). Run chmod go-w on it; until then it is not used.",
        f"{tmp_path}/secret: its group may write to it (mode 0660). Run chmod go-w on it.",
    ]


@pytest.mark.parametrize(
    ("text", "warned_of"),
    [
        (WEB, ["server.key"]),
        (USERS, ["web.yml"]),
        (WEB + USERS, ["web.yml", "server.key"]),
        ("tls_server_config: {cert: INLINE(server.crt), key: INLINE(server.key)}\n", ["web.yml"]),
        ("http_server_config: {http2: false}\n", []),
    ],
)
def test_check_config_warns_of_the_secrets_of_the_web_configuration_too(
    text: str, warned_of: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web = prepared(tmp_path, text)
    for path in tmp_path.iterdir():
        path.chmod(0o755 if path.is_dir() else 0o644)
    path = configuration(tmp_path, "{access_key_id: a, access_key_secret: '${SECRET}'}", 0o644)
    findings = check_output(capsys, f"--config.file={path}", f"--web.config.file={web}")
    assert [Path(line.split(": ")[0]).name for line in findings] == warned_of


def test_the_daemon_warns_of_each_file_once_and_starts(tmp_path: Path) -> None:
    credentials = "{access_key_id: a, access_key_secret_file: secret}"
    text = configuration(tmp_path, credentials).read_text()
    # Nothing listens there: the result of a poll does not matter here.
    (tmp_path / "config.yaml").write_text(text.replace("name: main,", "name: main, endpoint: 'http://127.0.0.1:1',"))
    secret(tmp_path, 0o644)
    argv = ("--web.listen-address=127.0.0.1:0", "--log.format=json", "--config.file=config.yaml")
    with exporter(tmp_path, "serve", *argv) as daemon:
        until(lambda: '"listening"' in daemon.logged(), "the start")
        lines = [json.loads(line) for line in daemon.logged().splitlines()]
        assert daemon.stop() == 0
    (line,) = [line for line in lines if line["msg"] == "file is not private"]
    assert line["level"] == "warn"
    assert line["file"] == "secret"
    assert line["error"] == "it holds a secret, and everyone may read it (mode 0644)"
    assert line["advice"].startswith("Run chmod 600 on it")
