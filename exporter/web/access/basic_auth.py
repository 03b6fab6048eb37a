"""HTTP basic authentication: bcrypt in a thread, once per password instead of once per scrape."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from exporter.threads import run_in_daemon_thread
from exporter.web.client_groups import network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

# bcrypt ignores the rest of a password; its Python binding rejects longer ones, Go's cuts them.
_BCRYPT_BYTES: Final = 72
_MAX_CACHED: Final = 256
# How many different passwords may wait for their check; they are checked one at a time. Enough that a client that
# guesses passwords waits instead of retrying immediately; few enough that most connections are left for others.
_MAX_WAITING: Final = 256
_ADVICE: Final = "Clients get 503 until it works again. If it lasts, raise the limits of threads and memory."

_log = structlog.get_logger()


def load() -> None:
    """Import what checks passwords now, because no descriptor may be left to open its files at the first request."""
    import bcrypt  # noqa: F401, PLC0415 - loaded only if passwords are configured


def _checkpw(password: bytes, hashed: bytes) -> bool:
    import bcrypt  # noqa: PLC0415 - see load()

    return bcrypt.checkpw(password, hashed)


class AuthResult(Enum):
    """The result of a check; BUSY: too many others wait for theirs, or it failed."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """A password to check, and the future result that its requests wait for."""

    digest: bytes
    password: bytes
    hashed: bytes
    is_known: bool
    result: asyncio.Future[AuthResult]


class BasicAuth:
    """Checks passwords and caches the results by a keyed digest, never by the password itself."""

    def __init__(self, check: Callable[[bytes, bytes], bool] = _checkpw, key: bytes | None = None) -> None:
        self._check = check
        self._key = key or secrets.token_bytes(32)
        # Separate caches, so that a flood of wrong passwords does not evict right ones.
        self._allowed = _DigestCache()
        self._refused = _DigestCache()
        self._checks: dict[bytes, _Check] = {}
        self._waiting = _FairQueue()
        self._worker: asyncio.Task[None] | None = None
        self._is_failing = False

    async def check(
        self, users: Mapping[str, bytes], authorization: str | None, address: str = "", program: Hashable = ""
    ) -> AuthResult:
        """Check an Authorization header (None: not sent) of a client address against the users' bcrypt hashes.

        `program` identifies the program among those of one address. An unknown name takes as long as a known one: it is
        checked against a user's hash, always the same one.
        """
        parsed = _parse_basic(authorization)
        if parsed is None:
            return AuthResult.REFUSED
        name, password = parsed
        is_known = name in users
        hashed = users[name] if is_known else self._substitute_hash(users, name)
        digest = self._digest(name.encode(), hashed, password)
        if is_known and digest in self._allowed:
            return AuthResult.ALLOWED
        if digest in self._refused:
            return AuthResult.REFUSED
        check = self._checks.get(digest)
        if check is None:
            check = _Check(digest, password, hashed, is_known, asyncio.get_running_loop().create_future())
            self._checks[digest] = check
            # Known and unknown names share the queue: 503 for one and 401 for the other would reveal which names exist.
            if (displaced := self._waiting.add(network_of(address), program, check)) is not None:
                self._end(displaced, AuthResult.BUSY)
            if self._worker is None:
                self._worker = asyncio.create_task(self._work())
        # Several requests may wait for the same result: cancelling one must not cancel the others.
        return await asyncio.shield(check.result)

    async def _work(self) -> None:
        while (check := self._waiting.next()) is not None:
            try:
                is_right = await run_in_daemon_thread(partial(self._check, check.password, check.hashed), "password")
            except Exception as error:  # noqa: BLE001 - whatever it is, the requests that wait must be answered
                if not self._is_failing:
                    reason = getattr(error, "strerror", None) or type(error).__name__
                    _log.error("passwords not checked", error=reason, advice=_ADVICE)
                self._is_failing = True
                self._end(check, AuthResult.BUSY)
                continue
            self._is_failing = False
            is_allowed = is_right and check.is_known
            (self._allowed if is_allowed else self._refused).add(check.digest)
            self._end(check, AuthResult.ALLOWED if is_allowed else AuthResult.REFUSED)
        self._worker = None

    def _end(self, check: _Check, result: AuthResult) -> None:
        del self._checks[check.digest]
        check.result.set_result(result)

    def _substitute_hash(self, users: Mapping[str, bytes], name: str) -> bytes:
        hashes = list(users.values())
        return hashes[int.from_bytes(self._digest(name.encode())) % len(hashes)]

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return digest.digest()


class _DigestCache:
    """A set of digests that evicts the least recently used."""

    def __init__(self) -> None:
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        if digest not in self._digests:
            return False
        self._digests.move_to_end(digest)
        return True

    def add(self, digest: bytes) -> None:
        self._digests[digest] = None
        if len(self._digests) > _MAX_CACHED:
            self._digests.popitem(last=False)


class _Line(list["_Check"]):
    """The waiting checks of one program, in the order of their arrival."""

    is_oldest_next = False


class _FairQueue:
    """Waiting checks: networks take turns, the programs of a network, and the newest and the oldest of a program.

    A scraper may share its address with a flood of requests (NAT, a sidecar, a proxy). In the order of arrival it would
    wait for all of them; newest first only, it would wait for ever below two clients that retry after every refusal.
    """

    def __init__(self) -> None:
        self._networks: OrderedDict[str, OrderedDict[Hashable, _Line]] = OrderedDict()

    def add(self, network: str, program: Hashable, check: _Check) -> _Check | None:
        """Add a check; if too many wait, remove and return the oldest of the program with most of them.

        That is a program of the network with most waiting checks; among equals, the one of this check.
        """
        self._networks.setdefault(network, OrderedDict()).setdefault(program, _Line()).append(check)
        if sum(map(_waiting, self._networks.values())) <= _MAX_WAITING:
            return None
        busiest = max(self._networks, key=lambda each: (_waiting(self._networks[each]), each == network))
        programs = self._networks[busiest]
        most = max(programs, key=lambda each: (len(programs[each]), each == program))
        return self._take(busiest, most, oldest=True)

    def next(self) -> _Check | None:
        """Remove and return the next check, or None if none waits."""
        if not self._networks:
            return None
        network, programs = next(iter(self._networks.items()))
        program, line = next(iter(programs.items()))
        self._networks.move_to_end(network)
        programs.move_to_end(program)
        oldest = line.is_oldest_next
        line.is_oldest_next = not oldest
        return self._take(network, program, oldest=oldest)

    def _take(self, network: str, program: Hashable, *, oldest: bool) -> _Check:
        programs = self._networks[network]
        check = programs[program].pop(0 if oldest else -1)
        if not programs[program]:
            del programs[program]
        if not programs:
            del self._networks[network]
        return check


def _waiting(programs: Mapping[Hashable, _Line]) -> int:
    return sum(map(len, programs.values()))


def _parse_basic(authorization: str | None) -> tuple[str, bytes] | None:
    """Return the name and the bytes of the password that bcrypt uses, or None if this is no valid Basic header."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password[:_BCRYPT_BYTES]) if colon else None
    except (binascii.Error, ValueError):
        return None
