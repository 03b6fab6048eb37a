from __future__ import annotations

import asyncio
import base64
import threading
from dataclasses import dataclass, field

import bcrypt
import pytest
from structlog.testing import capture_logs

from exporter.web.access.basic_auth import AuthResult, BasicAuth
from tests.web.clients import PATIENCE


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@dataclass
class FakeBcrypt:
    """A hash is the password in brackets; records its calls and their threads."""

    calls: list[tuple[bytes, bytes]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    go: threading.Event | None = None

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        if self.go:
            assert self.go.wait(PATIENCE)
        self.calls.append((password, hashed))
        self.threads.add(threading.get_ident())
        return hashed == b"[" + password + b"]"


USERS = {"ann": b"[secret]", "ben": b"[other]"}


async def test_a_right_password_is_checked_once_and_in_a_thread() -> None:
    check = FakeBcrypt()
    passwords = BasicAuth(check)

    results = [await passwords.check(USERS, basic("ann:secret")) for _ in range(3)]

    assert results == [AuthResult.ALLOWED] * 3
    assert len(check.calls) == 1
    assert threading.get_ident() not in check.threads


async def test_a_wrong_password_is_checked_once_and_always_refused() -> None:
    check = FakeBcrypt()
    passwords = BasicAuth(check)
    await passwords.check(USERS, basic("ann:secret"))

    results = [await passwords.check(USERS, basic("ann:wrong")) for _ in range(2)]

    assert results == [AuthResult.REFUSED] * 2
    assert len(check.calls) == 2


async def test_a_wrong_password_becomes_right_when_the_hash_changes() -> None:
    passwords = BasicAuth(FakeBcrypt())

    assert await passwords.check(USERS, basic("ann:new")) is AuthResult.REFUSED
    assert await passwords.check({"ann": b"[new]"}, basic("ann:new")) is AuthResult.ALLOWED


async def test_a_changed_hash_invalidates_cached_results() -> None:
    passwords = BasicAuth(FakeBcrypt())
    await passwords.check(USERS, basic("ann:secret"))

    assert await passwords.check({"ann": b"[new]"}, basic("ann:secret")) is AuthResult.REFUSED
    assert await passwords.check({"ann": b"[new]"}, basic("ann:new")) is AuthResult.ALLOWED
    assert await passwords.check({"ben": b"[other]"}, basic("ann:secret")) is AuthResult.REFUSED


async def test_a_removed_name_is_refused_even_if_another_user_has_its_hash() -> None:
    passwords = BasicAuth(FakeBcrypt())
    await passwords.check(USERS, basic("ann:secret"))

    assert await passwords.check({"bob": b"[secret]"}, basic("ann:secret")) is AuthResult.REFUSED


async def test_an_unknown_name_costs_a_check_against_a_users_hash_and_is_refused_even_if_it_matches() -> None:
    check = FakeBcrypt()
    passwords = BasicAuth(check)

    for _ in range(2):
        for password in ("secret", "other"):
            assert await passwords.check(USERS, basic(f"nobody:{password}")) is AuthResult.REFUSED

    assert len(check.calls) == 2, "results of unknown names are cached, too"
    assert len({hashed for _, hashed in check.calls}) == 1, (
        "one hash for all unknown names: the time must not reveal which names exist"
    )
    assert check.calls[0][1] in USERS.values()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Bearer abc",
        basic("no colon"),
        "Basic /zo6",
        basic("ann:secret") + "!",
    ],
)
async def test_an_invalid_authorization_header_is_refused_without_a_check(header: str | None) -> None:
    check = FakeBcrypt()

    assert await BasicAuth(check).check(USERS, header) is AuthResult.REFUSED
    assert check.calls == []


@pytest.mark.parametrize("header", [basic("ann:secret").replace("Basic", "basic"), basic("ann:secret") + " "])
async def test_the_scheme_is_case_insensitive(header: str) -> None:
    assert await BasicAuth(FakeBcrypt()).check(USERS, header) is AuthResult.ALLOWED


async def test_requests_with_the_same_password_share_a_check_and_a_flood_of_others_is_busy() -> None:
    check = FakeBcrypt(go=threading.Event())
    passwords = BasicAuth(check)
    same = [asyncio.create_task(passwords.check(USERS, basic("ann:secret"))) for _ in range(50)]
    wrong = [
        asyncio.create_task(passwords.check(USERS, basic(f"ann:{number}"), f"192.0.2.{number}"))
        for number in range(264)
    ]
    await asyncio.sleep(0)

    same[0].cancel()  # cancelling one request does not cancel the others
    await asyncio.sleep(0)
    assert check.go
    check.go.set()

    assert await asyncio.gather(*same[1:]) == [AuthResult.ALLOWED] * 49
    results = await asyncio.gather(*wrong)
    assert (results.count(AuthResult.REFUSED), results.count(AuthResult.BUSY)) == (255, 9)
    assert len(check.calls) == 256


async def test_a_flood_from_one_address_leaves_room_for_others_whatever_their_user_name() -> None:
    check = FakeBcrypt(go=threading.Event())
    passwords = BasicAuth(check)
    flood = [
        asyncio.create_task(passwords.check(USERS, basic(f"{name}:{number}"), "192.0.2.1"))
        for number in range(132)
        for name in ("ann", "nobody")
    ]
    await asyncio.sleep(0)
    scraper = asyncio.create_task(passwords.check(USERS, basic("ann:secret"), "192.0.2.2"))
    await asyncio.sleep(0)
    assert check.go
    check.go.set()

    assert await scraper is AuthResult.ALLOWED
    assert [password for password, _ in check.calls].index(b"secret") <= 2, "addresses take turns"
    results = await asyncio.gather(*flood)
    assert (results.count(AuthResult.REFUSED), results.count(AuthResult.BUSY)) == (256, 8)
    assert await passwords.check(USERS, basic("ann:0"), "192.0.2.1") is AuthResult.REFUSED, (
        "a check can be started again"
    )


@dataclass
class Guesser:
    """Tries the next password as soon as the one before is refused, until the scraper is let in."""

    passwords: BasicAuth
    let_in: asyncio.Event

    async def run(self, client: int, program: str = "guesser") -> None:
        number = 0
        while not self.let_in.is_set():
            await self.passwords.check(USERS, basic(f"ann:{client}-{number}"), "192.0.2.1", program)
            number += 1


@pytest.mark.parametrize("clients", [1, 2, 12, 100])
async def test_a_scraper_that_shares_its_address_with_wrong_passwords_of_other_programs_waits_for_one_check(
    clients: int,
) -> None:
    check = FakeBcrypt(go=threading.Event())
    guesser = Guesser(BasicAuth(check), asyncio.Event())
    flood = [asyncio.create_task(guesser.run(client)) for client in range(clients)]
    await asyncio.sleep(0)
    scraper = asyncio.create_task(guesser.passwords.check(USERS, basic("ann:secret"), "192.0.2.1", "scraper"))
    await asyncio.sleep(0)
    assert check.go
    check.go.set()

    assert await scraper is AuthResult.ALLOWED
    guesser.let_in.set()
    assert [password for password, _ in check.calls].index(b"secret") <= 2
    await asyncio.gather(*flood)


@pytest.mark.parametrize("program", ["scraper", "guesser"])
@pytest.mark.parametrize("later", [2, 12])
async def test_a_scraper_below_newer_wrong_passwords_is_let_in_while_they_go_on(later: int, program: str) -> None:
    check = FakeBcrypt(go=threading.Event())
    guesser = Guesser(BasicAuth(check), asyncio.Event())
    first = asyncio.create_task(guesser.run(0, program))
    await asyncio.sleep(0)
    scraper = asyncio.create_task(guesser.passwords.check(USERS, basic("ann:secret"), "192.0.2.1", "scraper"))
    await asyncio.sleep(0)
    flood = [asyncio.create_task(guesser.run(client, program)) for client in range(1, 1 + later)]
    await asyncio.sleep(0)
    assert check.go
    check.go.set()

    assert await asyncio.wait_for(scraper, PATIENCE) is AuthResult.ALLOWED
    guesser.let_in.set()
    assert [password for password, _ in check.calls].index(b"secret") <= 2 * (later + 1)
    await asyncio.gather(first, *flood)


async def test_the_least_recently_used_result_is_evicted_first() -> None:
    check = FakeBcrypt()
    passwords = BasicAuth(check)
    users = {str(number): b"[x]" for number in range(257)}
    for name in users:
        await passwords.check(users, basic(f"{name}:x"))
    before = len(check.calls)

    await passwords.check(users, basic("256:x"))
    await passwords.check(users, basic("0:x"))

    assert len(check.calls) == before + 1


@pytest.mark.parametrize("password", ["correct horse", "x" * 100, "nul\0byte", "päßwörd", ""])
@pytest.mark.parametrize("prefix", [b"$2a$", b"$2b$", b"$2y$"])
async def test_real_bcrypt_hashes_of_every_variant(password: str, prefix: bytes) -> None:
    hashed = prefix + bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4))[4:]
    passwords = BasicAuth()

    assert await passwords.check({"a": hashed}, basic(f"a:{password}")) is AuthResult.ALLOWED
    assert await passwords.check({"a": hashed}, basic("a:wrong")) is AuthResult.REFUSED


async def test_a_check_that_fails_answers_its_requests_and_the_next_is_made() -> None:
    failures = [RuntimeError("can't start new thread"), MemoryError(), _Panic()]

    def check(password: bytes, hashed: bytes) -> bool:
        if failures:
            raise failures.pop(0)
        return hashed == b"[" + password + b"]"

    passwords = BasicAuth(check)
    with capture_logs() as logs:
        waiting = [passwords.check(USERS, basic(f"ann:{text}")) for text in ("secret", "secret", "a", "b")]
        results = await asyncio.gather(*waiting)

    assert results == [AuthResult.BUSY] * 4
    assert [(entry["event"], entry["error"]) for entry in logs] == [("passwords not checked", "RuntimeError")]
    assert await passwords.check(USERS, basic("ann:secret")) is AuthResult.ALLOWED
    assert await passwords.check(USERS, basic("ann:a")) is AuthResult.REFUSED


async def test_without_a_thread_to_check_it_a_password_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = BasicAuth(FakeBcrypt())

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(threading.Thread, "start", start)
        assert await passwords.check(USERS, basic("ann:secret")) is AuthResult.BUSY

    assert logs[0]["error"] == "no thread can be started"
    assert await passwords.check(USERS, basic("ann:secret")) is AuthResult.ALLOWED


class _Panic(BaseException):
    """What PyO3 raises when Rust code panics: not an Exception."""
