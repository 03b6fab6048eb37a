"""`serve` and `check-config` in the same situations: errors that keep the one from starting, the other reports."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from exporter import app
from exporter.cli import main
from exporter.commands import start_checks
from exporter.commands.start_checks import check_start
from exporter.config.loader import load, loads
from exporter.errors import ConfigError, StartError
from exporter.vod.credentials import resolve
from exporter.vod.credentials.sources import EnvCredentials
from exporter.web.access import policy
from tests.storage.examples import StorageFile, some
from tests.web import pki

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.config.accounts import AccountSettings

KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "c2VjcmV0"}
FILES = "{access_key_id: a, access_key_secret_file: secret}"
# Nothing listens there: the result of a poll does not matter here.
ENDPOINT = "endpoint: 'http://127.0.0.1:1'"


@dataclass
class Situation:
    """The files, flags and variables of both commands."""

    folder: Path
    patch: pytest.MonkeyPatch
    environ: dict[str, str] = field(default_factory=lambda: dict(KEYS))
    storage: str = ""
    web: str = ""

    def configure(self, credentials: str, mode: int = 0o600, more: str = "") -> None:
        file = self.folder / "config.yaml"
        file.write_text(
            f"accounts: [{{name: main, {ENDPOINT}, credentials: {credentials}}}{more}]\n"
            "queries: [{name: q, account: main, media: all}]\n"
        )
        file.chmod(mode)

    def secret(self, text: str, mode: int = 0o600) -> None:
        file = self.folder / "secret"
        file.write_text(text)
        file.chmod(mode)

    @property
    def argv(self) -> list[str]:
        case = [f"--config.file={self.folder}/config.yaml"]
        case += [f"--storage.path={self.folder / self.storage}"] if self.storage else []
        return case + ([f"--web.config.file={self.folder / self.web}"] if self.web else [])

    def check(self) -> int:
        return main(["check-config", *self.argv], self.environ)

    def starts(self) -> bool:
        """Whether the daemon starts to listen."""

        async def serve() -> None:
            stop = asyncio.Event()
            file = self.folder / "config.yaml"
            config = load(file, self.environ)
            if self.web:
                list(policy.permission_warnings(self.folder / self.web))
            await app.serve(
                config,
                app.Runtime(self.environ),
                listen=["127.0.0.1:0"],
                telemetry_path="/metrics",
                stop=stop,
                storage_path=self.folder / self.storage if self.storage else None,
                web_config=self.folder / self.web if self.web else None,
                listening=lambda _: stop.set(),
            )

        try:
            asyncio.run(serve())
        except (ConfigError, StartError):
            return False
        return True


def keys_in_the_environment(_: Situation) -> None: ...


def no_key(case: Situation) -> None:
    case.environ.clear()


def no_secret(case: Situation) -> None:
    del case.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]


def a_key_with_a_space(case: Situation) -> None:
    case.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"] = "a b"


def another_account_without_keys(case: Situation) -> None:
    case.environ.clear()
    case.configure("{access_key_id: a, access_key_secret: b}", more=", {name: other}")


def a_secret_file(case: Situation) -> None:
    case.configure(FILES)
    case.secret("secret\n")


def no_secret_file(case: Situation) -> None:
    case.configure(FILES)


def an_empty_secret_file(case: Situation) -> None:
    case.configure(FILES)
    case.secret("")


def a_secret_file_for_everyone_to_write(case: Situation) -> None:
    case.configure(FILES)
    case.secret("secret", 0o666)


def a_directory_as_secret_file(case: Situation) -> None:
    case.configure(FILES)
    (case.folder / "secret").mkdir()


def a_configuration_with_a_secret_for_everyone_to_write(case: Situation) -> None:
    case.configure("{access_key_id: a, access_key_secret: b64secret}", 0o666)


def a_configuration_that_is_wrong(case: Situation) -> None:
    case.configure("{access_key: a}")


def metadata_switched_off(case: Situation) -> None:
    case.configure("{provider: ecs_ram_role}")
    case.environ["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"


def metadata(case: Situation) -> None:
    case.configure("{provider: ecs_ram_role}")


def a_role_that_lacks_settings(case: Situation) -> None:
    case.configure("{provider: oidc_role_arn, role_arn: 'acs:ram::1:role/r'}")


def a_profile_without_a_home(case: Situation) -> None:
    case.configure("{provider: profile}")


def a_library_that_is_not_installed(case: Situation) -> None:
    case.configure("{provider: ecs_ram_role}")
    case.patch.setattr(resolve, "find_spec", lambda _: None)


def an_unknown_proxy(case: Situation) -> None:
    proxy(case, "gopher://127.0.0.1:1/")


def a_proxy(case: Situation) -> None:
    proxy(case, "http://127.0.0.1:1/")


def proxy(case: Situation, url: str) -> None:
    file = case.folder / "config.yaml"
    file.write_text(file.read_text().replace(ENDPOINT, "endpoint: 'http://vod.test:1'"))
    case.patch.setenv("HTTP_PROXY", url)
    case.patch.setenv("HTTPS_PROXY", url)
    case.environ.update(HTTP_PROXY=url, HTTPS_PROXY=url)


def a_storage_file(case: Situation) -> None:
    case.storage = "state.db"
    asyncio.run(StorageFile(case.folder / case.storage).put(some()))


def no_storage_file_yet(case: Situation) -> None:
    case.storage = "nope.db"


def no_directory_for_storage(case: Situation) -> None:
    case.storage = "gone/state.db"


def a_directory_as_storage(case: Situation) -> None:
    case.storage = "."


def a_file_of_another_program(case: Situation) -> None:
    case.storage = "config.yaml"


def another_programs_database(case: Situation) -> None:
    case.storage = "bookmarks.db"
    with closing(sqlite3.connect(case.folder / case.storage)) as connection:
        connection.execute("CREATE TABLE slice (slice_id)")


def damaged_pages(case: Situation) -> None:
    case.storage = "state.db"
    asyncio.run(StorageFile(case.folder / case.storage).put(*(some(n, rows=400) for n in range(3))))
    with (case.folder / case.storage).open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(4096))


def changed(sql: str, case: Situation) -> None:
    a_storage_file(case)
    with closing(sqlite3.connect(case.folder / case.storage)) as connection, connection:
        connection.execute(sql)


damaged_rows = partial(changed, "UPDATE part SET answers = x'00'")
a_newer_storage = partial(changed, "PRAGMA user_version = 99")


def a_web_configuration(case: Situation) -> None:
    case.web = "web.yml"
    pki.write(case.folder)
    (case.folder / case.web).write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")


def no_certificate(case: Situation) -> None:
    a_web_configuration(case)
    (case.folder / "server.crt").unlink()


def a_key_of_another_certificate(case: Situation) -> None:
    a_web_configuration(case)
    (case.folder / "server.key").write_bytes((case.folder / "client.key").read_bytes())


def a_web_configuration_that_is_wrong(case: Situation) -> None:
    case.web = "web.yml"
    (case.folder / case.web).write_text("rate_limits: {}\n")


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (keys_in_the_environment, ""),
        (no_key, "error: account main: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is not set"),
        (no_secret, "error: account main: environment variable ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set. Set"),
        (a_key_with_a_space, "error: account main: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID holds a space"),
        (another_account_without_keys, "error: account other: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is"),
        (a_secret_file, ""),
        (no_secret_file, "warning: account main: cannot read credentials file "),
        (an_empty_secret_file, "secret is empty. Write the value into it. serve starts all the same"),
        (a_secret_file_for_everyone_to_write, "everyone may write to it, so do not trust it; run chmod 600"),
        (a_directory_as_secret_file, "secret: it is not a regular file. Make it a file with one line"),
        (a_configuration_with_a_secret_for_everyone_to_write, "holds a secret, and everyone may write to it"),
        (a_configuration_that_is_wrong, "did you mean access_key_id?"),
        (metadata_switched_off, "error: account main: provider ecs_ram_role: ALIBABA_CLOUD_ECS_METADATA_DISABLED is"),
        (metadata, ""),
        (a_role_that_lacks_settings, "error: account main: provider oidc_role_arn needs oidc_provider_arn, oidc_tok"),
        (a_profile_without_a_home, "error: account main: provider profile: HOME is not set."),
        (a_library_that_is_not_installed, "error: account main: provider ecs_ram_role needs a library that is not"),
        (an_unknown_proxy, "error: account main: "),
        (a_proxy, ""),
        (a_storage_file, ""),
        (no_storage_file_yet, "nope.db: there is no such file yet; serve will create it"),
        (no_directory_for_storage, "gone. Create it first."),
        (a_directory_as_storage, "this is a directory. Name a file in it"),
        (a_file_of_another_program, "this is not a file of aliyun-vod-exporter; it was left as it is."),
        (another_programs_database, "this is not a file of aliyun-vod-exporter; it was left as it is."),
        (damaged_pages, "the file is damaged ("),
        (damaged_rows, "the file is damaged (a block of records cannot be unpacked)"),
        (a_newer_storage, "its version is 99, this exporter"),
        (a_web_configuration, ""),
        (no_certificate, "server.crt cannot be read: No such file or directory"),
        (a_key_of_another_certificate, "does not belong to the certificate"),
        (a_web_configuration_that_is_wrong, "'rate_limits' is not a setting here"),
    ],
)
def test_where_serve_would_not_start_check_config_says_why_and_exits_with_2(
    situation: Callable[[Situation], None],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = Situation(tmp_path, monkeypatch)
    case.configure("{}")
    situation(case)

    status = case.check()

    stderr = capsys.readouterr().err
    assert expected in stderr
    assert "Traceback" not in stderr
    assert status == (0 if case.starts() else 2)


def test_the_result_is_printed_before_the_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("queries: [{name: q, media: all}]\n")

    assert main(["check-config", f"--config.file={file}"], {}) == 2
    assert capsys.readouterr().out.startswith(f"{file}: valid, but serve would not start here\n\naccount ")
    assert main(["check-config", f"--config.file={file}"], KEYS) == 0
    assert capsys.readouterr().out.startswith(f"{file}: valid\n\naccount ")


def test_where_the_keys_are_not_the_files_alone_can_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("queries: [{name: q, media: all}]\n")

    assert main(["check-config", "--syntax-only", f"--config.file={file}"], {}) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{file}: valid\n")
    assert printed.err == ""
    file.write_text("queries: [{name: q}]\n")
    assert main(["check-config", "--syntax-only", f"--config.file={file}"], {}) == 2


def test_errors_of_both_files_are_reported_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, web = tmp_path / "config.yaml", tmp_path / "web.yml"
    config.write_text("queries: [{name: q}]\n")
    web.write_text("rate_limits: {}\n")

    assert main(["check-config", f"--config.file={config}", f"--web.config.file={web}"], KEYS) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{config}:1:")
    assert second.startswith(f"{web}:1:")


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (
            "{provider: oidc_role_arn, role_arn: 'acs:ram::1:role/r', oidc_token_file: token, oidc_provider_arn: ARN}",
            "account main: cannot read oidc_token_file token: No such file or directory. Make it a file",
        ),
        (
            "{provider: profile, profile_file: config.json}",
            "account main: cannot read profile_file config.json: No such file or directory. Make it a file",
        ),
    ],
)
def test_files_that_are_read_at_the_first_poll_are_looked_for(credentials: str, expected: str) -> None:
    credentials = credentials.replace("ARN", "'acs:ram::1:oidc-provider/p'")
    text = f"accounts: [{{name: main, credentials: {credentials}}}]\nqueries: [{{name: q, media: all}}]\n"

    found = check_start(loads(text, file="config.yaml", environ={}), {})

    assert found.errors == ()
    (warning,) = found.warnings
    assert warning.startswith(expected)


@pytest.mark.parametrize(
    ("credentials", "variables", "expected"),
    [
        ("{provider: profile}", {"HOME": "/nowhere"}, "profile_file /nowhere/.aliyun/config.json"),
        ("{provider: oidc_role_arn}", {}, "oidc_token_file /nowhere/token"),
        ("{}", {}, "oidc_token_file /nowhere/token"),
    ],
)
def test_so_are_files_that_no_setting_names(credentials: str, variables: dict[str, str], expected: str) -> None:
    """RRSA sets variables, and the CLI has a file that needs no setting."""
    role = {
        "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/r",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/p",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/nowhere/token",
    }
    text = f"accounts: [{{name: main, credentials: {credentials}}}]\nqueries: [{{name: q, media: all}}]\n"

    (warning,) = check_start(loads(text, file="c", environ={}), variables or role).warnings

    assert warning.startswith(f"account main: cannot read {expected}: No such file or directory. Make it a file")


def test_a_profile_file_that_is_not_used_is_not_looked_for() -> None:
    text = "queries: [{name: q, media: all}]\n"
    keys = {**KEYS, "ALIBABA_CLOUD_ROLE_ARN": "a", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "p"}

    found = check_start(loads(text, file="c", environ={}), {**keys, "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/nowhere/token"})

    assert (found.errors, found.warnings) == ((), ())


def test_the_keys_of_all_accounts_are_read_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files on a file system that does not respond take ten seconds each."""
    reading = asyncio.Barrier(2)

    async def wait(account: AccountSettings, *_: object, **_more: object) -> EnvCredentials:
        async with asyncio.timeout(60):
            await reading.wait()
        if account.name == "b":
            raise StartError("account b: no")
        return EnvCredentials({})

    monkeypatch.setattr(start_checks, "credential_source", wait)
    text = "accounts: [{name: a}, {name: b}]\nqueries: [{name: q, account: a, media: all}]\n"

    assert check_start(loads(text, file="c", environ={}), {}).errors == ("account b: no",)


def test_a_file_that_the_daemon_would_find_too_large_is_a_warning(tmp_path: Path) -> None:
    profile = tmp_path / "config.json"
    profile.write_bytes(b" " * 1_048_577)
    text = f"accounts: [{{name: main, credentials: {{provider: profile, profile_file: '{profile}'}}}}]\n"

    (warning,) = check_start(loads(f"{text}queries: [{{name: q, media: all}}]\n", file="c", environ={}), {}).warnings

    assert f"cannot read profile_file {profile}: it is larger than 1048576 bytes" in warning


@pytest.mark.parametrize("token", ["", "a-token"])
@pytest.mark.parametrize(
    ("credentials", "setting"),
    [
        ("{}", "ALIBABA_CLOUD_SECURITY_TOKEN"),
        ("{access_key_id_file: id, access_key_secret: c2VjcmV0%s}", "security_token or security_token_file"),
    ],
    ids=["environment", "file"],
)
def test_a_temporary_key_without_its_token_is_a_warning_wherever_it_is(
    tmp_path: Path, credentials: str, setting: str, token: str
) -> None:
    (tmp_path / "id").write_text("STS.abc\n")
    given = credentials % (f", security_token: {token}" if token else "") if "%" in credentials else credentials
    environ = {**KEYS, "ALIBABA_CLOUD_ACCESS_KEY_ID": "STS.abc", "ALIBABA_CLOUD_SECURITY_TOKEN": token}
    (file := tmp_path / "config.yaml").write_text(
        f"accounts: [{{name: main, {ENDPOINT}, credentials: {given}}}]\n"
        "queries: [{name: q, account: main, media: all}]\n"
    )
    warning = (
        "account main: its AccessKey ID begins with STS.: it is temporary and valid only with its token."
        f" Set {setting} too."
    )
    assert check_start(load(file, {}), environ).warnings == (() if token else (warning,))
