from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from exporter.errors import CredentialsError
from exporter.secret_files import state_of
from exporter.vod.credentials import credential_files
from exporter.vod.credentials.credential_files import SecretFile
from tests.descriptors import no_file_can_be_opened

if TYPE_CHECKING:
    from exporter.secret_files import FileState


async def test_a_file_that_no_descriptor_is_left_for_needs_a_higher_limit(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("secret")
    secret = SecretFile(file)
    with no_file_can_be_opened(), pytest.raises(CredentialsError) as caught:
        await secret.read()
    assert caught.value.message == f"cannot read credentials file {file}: Too many open files"
    assert "ulimit -n" in caught.value.advice


@pytest.mark.parametrize("content", ["value", "value\n", "value\r\n", "value\n\n", "\ufeffvalue\r\n"])
async def test_what_editors_add_to_a_file_does_not_count(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_bytes(content.encode())
    assert await SecretFile(tmp_path / "secret").read() == "value"


async def test_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("first")
    file = SecretFile(path)
    assert await file.read() == "first"
    path.write_text("second!")
    assert await file.read() == "second!"


async def test_file_of_the_same_size_and_time_is_read_again_when_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("first")
    os.utime(path, ns=(1, 1))
    file = SecretFile(path)
    assert await file.read() == "first"
    other = tmp_path / "other"
    other.write_text("third")
    os.utime(other, ns=(1, 1))
    other.replace(path)
    assert await file.read() == "third"


async def test_file_written_in_place_with_its_size_and_time_kept_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("first")
    os.utime(path, ns=(1, 1))
    file = SecretFile(path)
    assert await file.read() == "first"
    before = path.stat()
    # Clocks of file systems tick every few milliseconds.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        with path.open("r+") as same:
            same.write("FIRST")
        os.utime(path, ns=(1, 1))
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert await file.read() == "FIRST"


async def test_symbolic_link_that_moves_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("two")
    link = tmp_path / "link"
    link.symlink_to("a")
    file = SecretFile(link)
    assert await file.read() == "one"
    link.unlink()
    link.symlink_to("b")
    assert await file.read() == "two"


async def test_unchanged_file_is_read_again_only_on_renewal(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("first")
    file = SecretFile(path)
    assert await file.read() == "first"
    with no_file_can_be_opened():
        assert await file.read() == "first"
        with pytest.raises(CredentialsError, match="Too many open files"):
            await file.read(again=True)
    assert await file.read(again=True) == "first"


def _missing(path: Path) -> None:
    assert not path.exists()


def _directory(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _empty(path: Path) -> None:
    path.write_text("\n")


def _spaces(path: Path) -> None:
    path.write_text("hu sh")


def _binary(path: Path) -> None:
    path.write_bytes(b"hush\xff")


def _large(path: Path) -> None:
    path.write_bytes(b"h" * (64 * 1024 + 1))


@pytest.mark.parametrize(
    ("make", "expected_text"),
    [
        (_missing, "No such file"),
        (_directory, "not a regular file"),
        (_pipe, "not a regular file"),
        (_empty, "is empty"),
        (_spaces, "holds a space"),
        (_binary, "not ASCII"),
        (_large, "larger than"),
    ],
)
async def test_file_that_cannot_be_used(tmp_path: Path, make: object, expected_text: str) -> None:
    path = tmp_path / "access_key_secret"
    assert callable(make)
    make(path)
    with pytest.raises(CredentialsError) as caught:
        await SecretFile(path).read()
    assert str(path) in caught.value.message
    assert expected_text in caught.value.message
    assert "sh" not in caught.value.message.replace(str(path), "")


async def test_path_that_cannot_be_one() -> None:
    with pytest.raises(CredentialsError, match="not a usable path"):
        await SecretFile("a\0b").read()


async def test_file_that_comes_back_is_used(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    file = SecretFile(path)
    with pytest.raises(CredentialsError):
        await file.read()
    path.write_text("there")
    assert await file.read() == "there"


async def test_every_printable_character_but_the_space_may_be_in_a_secret(tmp_path: Path) -> None:
    printable = "".join(map(chr, range(ord("!"), ord("~") + 1)))
    (tmp_path / "secret").write_text(f"{printable}\n")
    assert await SecretFile(tmp_path / "secret").read() == printable


async def test_a_space_at_the_end_of_a_file_is_not_taken_for_its_newline(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("value \n")
    with pytest.raises(CredentialsError, match="holds a space"):
        await SecretFile(tmp_path / "secret").read()


async def test_a_file_may_be_as_long_as_the_error_says(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x" * 65_536)
    assert len(await SecretFile(tmp_path / "secret").read()) == 65_536
    (tmp_path / "secret").write_text("x" * 65_537)
    with pytest.raises(CredentialsError, match="larger than 65536 bytes") as caught:
        await SecretFile(tmp_path / "secret").read()
    assert "one line" in caught.value.advice


@pytest.mark.parametrize("good", [True, False])
async def test_a_changed_file_is_noticed_once(tmp_path: Path, *, good: bool) -> None:
    path = tmp_path / "secret"
    if good:
        path.write_text("old")
    file = SecretFile(path)
    assert not await file.changed(), "it was not read yet"
    with contextlib.nullcontext() if good else pytest.raises(CredentialsError):
        await file.read()
    assert not await file.changed()
    path.write_text("corrected")
    assert await file.changed()
    assert not await file.changed()
    assert await file.read() == "corrected"
    path.unlink()
    assert await file.changed()
    assert not await file.changed()


async def test_a_file_that_becomes_readable_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("value")
    path.chmod(0o666)
    file = SecretFile(path)
    with pytest.raises(CredentialsError):
        await file.read()
    path.chmod(0o600)
    assert await file.changed()
    assert await file.read() == "value"


async def test_a_change_after_it_was_read_is_noticed_by_the_next_reader_too(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    file = SecretFile(path)
    await file.read()
    path.write_text("newer")
    assert await file.read() == "newer"
    assert not await file.changed(), "it is in use"


async def test_a_file_that_hangs_is_an_error_in_time_and_takes_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, hang, looked, known = tmp_path / "secret", threading.Event(), 0, Path.stat
    file.write_text("secret")

    def stat(self: Path) -> os.stat_result:
        nonlocal looked
        looked += 1
        hang.wait(60)
        return known(self)

    monkeypatch.setattr(Path, "stat", stat)
    secret = SecretFile(file, time_limit=0.01)
    try:
        for _ in range(3):
            with pytest.raises(CredentialsError, match=r"secret: no response within 0\.01 s$") as caught:
                await secret.read()
            assert "file system" in caught.value.advice
        assert looked == 1
    finally:
        hang.set()
    monkeypatch.undo()
    patient = SecretFile(file)
    assert await patient.read() == "secret"


async def value_of(file: SecretFile) -> str:
    """Its value once it is read in time: on a busy machine, 0.05 s may not be enough."""
    while True:
        with contextlib.suppress(CredentialsError):
            return await file.read()


async def test_a_file_system_that_does_not_respond_is_logged_once_and_its_change_noticed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, responds = tmp_path / "secret", threading.Event()
    path.write_text("old")
    file = SecretFile(path, time_limit=0.05)
    await value_of(file)

    def hang(path: Path) -> FileState:
        responds.wait(60)
        return state_of(path)

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(credential_files, "state_of", hang)
        threads = threading.active_count()
        for _ in range(3):
            assert not await file.changed()
        with pytest.raises(CredentialsError, match="no response within"):
            await file.read()
        assert threading.active_count() <= threads + 2
    path.write_text("another")
    responds.set()
    while threading.active_count() > threads:
        await asyncio.sleep(0.001)
    while not await file.changed():
        pass
    assert await value_of(file) == "another"
    assert [entry["event"] for entry in logs] == ["key file does not respond"]
    assert str(path) in logs[0]["error"]


async def test_a_value_that_comes_too_late_is_used_by_the_next_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = tmp_path / "secret", 0
    path.write_text("value")
    responds = threading.Event()

    def slow(path: Path) -> FileState:
        nonlocal calls
        calls += 1
        responds.wait(60)
        return state_of(path)

    monkeypatch.setattr(credential_files, "state_of", slow)
    file, threads = SecretFile(path, time_limit=0.05), threading.active_count()
    with pytest.raises(CredentialsError, match="no response within"):
        await file.read()
    responds.set()
    while threading.active_count() > threads:
        await asyncio.sleep(0.001)
    assert await file.read() == "value"
    assert calls == 1
