from __future__ import annotations

import asyncio
import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from exporter import secret_files
from exporter.errors import ConfigError
from exporter.web.access.live_config import LiveWebConfig
from exporter.web.access.policy import load
from tests.web import pki
from tests.web.clients import PATIENCE, Client, Refused
from tests.web.harness import TESTDATA, prepared, served

if TYPE_CHECKING:
    from pathlib import Path

TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
USERS = (TESTDATA / "users.good.yml").read_text()


def certificate(name: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - needed here only

    return pki.issued()[name].certificate.public_bytes(Encoding.DER)


def replace(folder: Path, target: str, source: str) -> None:
    """Replace a file atomically, as tools that renew certificates do."""
    (folder / "new").write_bytes((folder / source).read_bytes())
    (folder / "new").rename(folder / target)


async def test_a_new_certificate_is_used_for_the_next_connection(tmp_path: Path) -> None:
    async with served(prepared(tmp_path, TLS)) as (port, _):
        before = await Client().fetch(port, tmp_path)
        with capture_logs() as logs:
            replace(tmp_path, "server.key", "other.key")
            between = await Client().fetch(port, tmp_path)  # the key is new, the certificate is not yet
            replace(tmp_path, "server.crt", "other.crt")
            after = await Client().fetch(port, tmp_path)

    assert (before.certificate, between.certificate) == (certificate("server"), certificate("server"))
    assert after.certificate == certificate("other")
    assert [entry["event"] for entry in logs] == ["web configuration rejected", "web configuration read again"]


async def test_a_file_rewritten_immediately_with_the_same_size_is_noticed(tmp_path: Path) -> None:
    text = USERS.replace("prometheus", "user_a")
    path = prepared(tmp_path, text)
    async with served(path) as (port, _):
        for name in ("user_b", "user_c", "user_d"):
            before = path.stat()
            path.write_text(text.replace("user_a", name))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            answer = await Client(tls=False, user=f"{name}:correct horse").fetch(port, tmp_path)
            assert answer.status == 200


async def test_added_and_removed_users_take_effect_on_the_next_request_of_an_open_connection(tmp_path: Path) -> None:
    path = prepared(tmp_path, USERS)
    async with served(path) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        statuses = []
        for text in (USERS, USERS.replace("prometheus", "somebody"), USERS):
            path.write_text(text)
            writer.write(Client(user="prometheus:correct horse", headers={"Connection": "keep-alive"}).request())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            await reader.readexactly(length)
            statuses.append(int(head.split()[1]))
        writer.close()
        await writer.wait_closed()
    assert statuses == [200, 401, 200]


@pytest.mark.parametrize(
    "left",
    ["", "# nothing\n", "http_server_config: {http2: true}\n", "basic_auth_users:\n", "basic_auth_users: {}\n"],
    ids=["empty", "a comment", "half of it", "no users yet", "no users"],
)
async def test_rewriting_the_file_in_place_never_disables_passwords(left: str, tmp_path: Path) -> None:
    path = prepared(tmp_path, USERS)
    stranger, user = Client(tls=False), Client(tls=False, user="prometheus:correct horse")
    async with served(path) as (port, _):
        path.write_text(left)
        with capture_logs() as logs:
            assert (await stranger.fetch(port, tmp_path)).status == 401
            assert (await user.fetch(port, tmp_path)).status == 200
        path.write_text(USERS.replace("prometheus", "somebody"))
        assert (await user.fetch(port, tmp_path)).status == 401, "the file is still watched"
    (logged,) = logs
    assert logged["error"] == (
        f"{path}: passwords and client certificates can be dropped only by a restart;"
        " clients would no longer need a password"
    )


async def test_users_can_be_added_while_serving(tmp_path: Path) -> None:
    path = prepared(tmp_path, "")
    async with served(path) as (port, _):
        path.write_text(USERS)
        assert (await Client(tls=False).fetch(port, tmp_path)).status == 401


@pytest.mark.parametrize(
    ("before", "after", "kept_out"),
    [
        ("client_require_and_verify", "cert_file", Client()),
        ("client_require_and_verify", "client_verify_if_given", Client()),
        ("client_require_and_verify", "client_require_any", Client(cert="stranger")),
        ("client_san_dns", "client_require_and_verify", Client(cert="nameless")),
        ("client_require_any", "client_request", Client()),
    ],
)
async def test_a_changed_file_never_disables_client_certificates(
    before: str, after: str, kept_out: Client, tmp_path: Path
) -> None:
    path = prepared(tmp_path, (TESTDATA / f"{before}.good.yml").read_text())
    async with served(path) as (port, _):
        path.write_text((TESTDATA / f"{after}.good.yml").read_text())
        with capture_logs() as logs, pytest.raises(Refused):
            await kept_out.fetch(port, tmp_path)
        assert (await Client(cert="client").fetch(port, tmp_path)).status == 200
    assert "client certificates can be dropped only by a restart; clients would no longer need a certificate" in next(
        entry["error"] for entry in logs if "error" in entry
    )


async def test_an_invalid_file_changes_nothing_and_is_logged_once(tmp_path: Path) -> None:
    path = prepared(tmp_path, TLS)
    async with served(path) as (port, _):
        with capture_logs() as logs:
            path.write_text(TLS + "surprise: true\n")
            for _ in range(3):
                assert (await Client().fetch(port, tmp_path)).status == 200
            path.unlink()
            assert (await Client().fetch(port, tmp_path)).status == 200
            path.write_text(TLS)
            assert (await Client().fetch(port, tmp_path)).status == 200
    logged = [(entry["event"], entry.get("error", "").partition(": ")[2]) for entry in logs]
    assert [event for event, _ in logged] == [*["web configuration rejected"] * 2, "web configuration read again"]
    assert logged[0][1].startswith("'surprise' is not a setting here")
    assert logged[1][1] == "cannot be read: No such file or directory"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ETIMEDOUT])
async def test_a_change_that_cannot_be_read_for_a_while_is_used_afterwards(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors run out, or a network file system does not respond, while a certificate is renewed."""
    path = prepared(tmp_path, TLS)
    web_access = LiveWebConfig(path, now=lambda: path.stat().st_mtime + 60)
    before = await web_access.policy()

    def fail(path: Path, *, most: int) -> bytes:
        raise OSError(number, os.strerror(number), str(path), most)

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(secret_files, "read_secret", fail)
        replace(tmp_path, "server.key", "other.key")
        replace(tmp_path, "server.crt", "other.crt")
        for _ in range(3):
            assert await web_access.policy() is before
    assert [entry["event"] for entry in logs] == ["web configuration rejected"]
    assert await web_access.policy() is not before
    web_access.close()


async def test_a_changed_client_ca_takes_effect(tmp_path: Path) -> None:
    text = (TESTDATA / "client_require_and_verify.good.yml").read_text().replace("ca.crt", "authorities.pem")
    prepared(tmp_path, text)
    (tmp_path / "authorities.pem").write_bytes((tmp_path / "ca.crt").read_bytes())
    async with served(tmp_path / "web.yml") as (port, _):
        assert (await Client(cert="client").fetch(port, tmp_path)).status == 200
        replace(tmp_path, "authorities.pem", "stranger.crt")
        with pytest.raises(Refused):
            await Client(cert="client").fetch(port, tmp_path)
        assert (await Client(cert="stranger").fetch(port, tmp_path)).status == 200


@pytest.mark.parametrize(("before", "after", "client"), [(TLS, "", Client()), ("", TLS, Client(tls=False))])
async def test_tls_is_neither_enabled_nor_disabled_while_serving(
    before: str, after: str, client: Client, tmp_path: Path
) -> None:
    path = prepared(tmp_path, before)
    async with served(path) as (port, _):
        path.write_text(after)
        with capture_logs() as logs:
            assert (await client.fetch(port, tmp_path)).status == 200
    assert "tls_server_config: can be added or removed only by a restart" in logs[0]["error"]


async def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    path = prepared(tmp_path, TLS)
    web_access = LiveWebConfig(path, now=lambda: path.stat().st_mtime + 60)
    assert await web_access.policy() is await web_access.policy()
    web_access.close()


async def test_concurrent_requests_share_one_check_of_the_files(tmp_path: Path) -> None:
    path = prepared(tmp_path, USERS)
    web_access = LiveWebConfig(path)
    path.write_text(USERS.replace("prometheus", "somebody"))
    found = await asyncio.gather(*(web_access.policy() for _ in range(20)))
    assert len({id(rules) for rules in found}) == 1
    assert "somebody" in found[0].settings.users
    web_access.close()


# A network file system that has stopped responding.
DEAD = """
import asyncio, pathlib, sys, threading
from exporter.web.access.live_config import LiveWebConfig

class Path(type(pathlib.Path())):
    is_dead = False

    def stat(self, **how):
        if Path.is_dead:
            threading.Event().wait()
        return super().stat(**how)

async def main():
    live_config = LiveWebConfig(Path(sys.argv[1]))
    Path.is_dead = True
    for _ in range(3):
        print(*(await live_config.policy()).settings.users)
    live_config.close()

asyncio.run(main())
"""


async def test_a_file_whose_read_blocks_changes_nothing_and_does_not_block_the_exit(
    tmp_path: Path,
) -> None:
    path = prepared(tmp_path, "basic_auth_users:\n  a: $2b$04$" + "." * 53 + "\n")
    asking = [sys.executable, "-c", DEAD, str(path)]
    process = await asyncio.create_subprocess_exec(*asking, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    users = [line for line in output.splitlines() if line == b"a"]
    assert (process.returncode, len(users)) == (0, 3)
    assert output.count(b"web configuration does not respond") == 1


def test_an_unreadable_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yml: cannot be read: No such file or directory"):
        load(tmp_path / "nowhere.yml")
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yml: cannot be read: it is not UTF-8 text"):
        load(tmp_path / "binary.yml")
    with pytest.raises(ConfigError, match="cannot be read: it is not a regular file"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (r"a\0b", r"a\x00b' cannot be read: it is not a usable path"),
        (r"\ud800", "contains half of a character"),
        ("pipe", "pipe cannot be read: it is not a regular file"),
        ("sub", "sub cannot be read: it is not a regular file"),
    ],
)
async def test_an_unusable_path_is_a_clear_error_at_start_and_while_serving(
    named: str, message: str, tmp_path: Path
) -> None:
    text = f'tls_server_config: {{cert_file: "{named}", key_file: server.key}}\n'
    path = prepared(tmp_path, text)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError) as caught:
        load(path)
    (line,) = [line for line in str(caught.value).splitlines() if message in line]
    assert line.startswith(f"{path}:1:32: tls_server_config.cert_file: ")

    path.write_text(TLS)
    async with served(path) as (port, _):
        path.write_text(text)
        with capture_logs() as logs:
            for _ in range(2):
                assert (await Client().fetch(port, tmp_path)).status == 200
    (logged,) = logs
    assert message in logged["error"]


def test_the_repr_of_a_policy_contains_no_secret(tmp_path: Path) -> None:
    text = (TESTDATA / "cert_inline.good.yml").read_text() + USERS
    shown = repr(load(prepared(tmp_path, text)))
    assert "PRIVATE" not in shown
    assert "$2b$" not in shown
