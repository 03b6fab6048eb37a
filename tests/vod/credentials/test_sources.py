from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.errors import CredentialsError, ErrorKind
from exporter.vod.credentials.credential_files import SecretFile
from exporter.vod.credentials.sources import (
    Credentials,
    EnvCredentials,
    PlainSecret,
    StaticCredentials,
)
from tests.descriptors import no_file_can_be_opened

if TYPE_CHECKING:
    from pathlib import Path

ID = "ALIBABA_CLOUD_ACCESS_KEY_ID"
SECRET = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
TOKEN = "ALIBABA_CLOUD_SECURITY_TOKEN"


def test_repr_shows_only_the_id() -> None:
    shown = repr(Credentials("the-id", "hush", "quiet"))
    assert "the-id" in shown
    assert "hush" not in shown
    assert "quiet" not in shown
    assert "hush" not in repr(PlainSecret("hush", setting="x"))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({ID: "i", SECRET: "s"}, Credentials("i", "s")),
        ({ID: "i", SECRET: "s", TOKEN: "t"}, Credentials("i", "s", "t")),
        ({ID: "i", SECRET: "s", TOKEN: ""}, Credentials("i", "s")),
    ],
)
async def test_environment(environ: dict[str, str], expected: Credentials) -> None:
    assert await EnvCredentials(environ).get() == expected
    assert await EnvCredentials(environ).renew() == expected


async def test_environment_is_read_every_time() -> None:
    environ = {ID: "i", SECRET: "s"}
    source = EnvCredentials(environ)
    await source.get()
    environ[SECRET] = "new"
    assert (await source.get()).access_key_secret == "new"


@pytest.mark.parametrize(
    ("environ", "named", "expected_text"),
    [
        ({}, ID, "is not set"),
        ({ID: "i"}, SECRET, "is not set"),
        ({SECRET: "s"}, ID, "is not set"),
        ({ID: "", SECRET: "s"}, ID, "is empty"),
        ({ID: "i", SECRET: "hu sh"}, SECRET, "space"),
        ({ID: "i", SECRET: "hush\n"}, SECRET, "line break"),
        ({ID: "i", SECRET: "hush\x7f"}, SECRET, "control"),
        ({ID: "i", SECRET: '"hush"'}, SECRET, "is in quotes"),
        ({ID: "'i'", SECRET: "hush"}, ID, "is in quotes"),
        ({ID: "i", SECRET: "hüsh"}, SECRET, "not ASCII"),
        ({ID: "i", SECRET: "s", TOKEN: "h\u200bush"}, TOKEN, "not ASCII"),
    ],
)
async def test_environment_that_cannot_be_used(environ: dict[str, str], named: str, expected_text: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        await EnvCredentials(environ).get()
    error = caught.value
    assert named in error.message
    assert expected_text in error.message
    assert (error.code, error.kind) == ("credentials", ErrorKind.AUTH)
    assert error.advice
    assert "ush" not in f"{error}{error.advice}"


async def test_plain_value_is_checked_under_its_setting() -> None:
    assert await PlainSecret("v", setting="s").read() == "v"
    with pytest.raises(CredentialsError, match=r"^accounts\[0\]\.credentials\.security_token is empty$"):
        await PlainSecret("", setting="accounts[0].credentials.security_token").read()


async def test_parts_from_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("token\n")
    source = StaticCredentials(
        PlainSecret("id", setting="access_key_id"), PlainSecret("secret", setting="access_key_secret"), SecretFile(path)
    )
    assert await source.get() == Credentials("id", "secret", "token")
    with no_file_can_be_opened():
        assert await source.get() == Credentials("id", "secret", "token")
        with pytest.raises(CredentialsError, match="Too many open files"):
            await source.renew()
    assert await source.renew() == Credentials("id", "secret", "token")


async def test_parts_without_token() -> None:
    source = StaticCredentials(PlainSecret("id", setting="a"), PlainSecret("secret", setting="b"))
    assert await source.get() == Credentials("id", "secret", None)


async def test_credentials_have_changed_with_any_of_their_files_and_each_is_noticed_once(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("id", "secret", "token")]
    for path in paths:
        path.write_text("old")
    source = StaticCredentials(*map(SecretFile, paths))
    await source.get()
    assert not await source.changed()
    for path in paths:
        path.write_text("other")
        assert await source.changed()
    for path in paths:
        path.write_text("another")
    assert await source.changed()
    assert not await source.changed()


async def test_what_is_in_no_file_never_changes() -> None:
    parts = StaticCredentials(PlainSecret("i", setting="x"), PlainSecret("s", setting="y"))
    for source in (EnvCredentials({ID: "i", SECRET: "s"}), parts):
        await source.get()
        assert not await source.changed()
