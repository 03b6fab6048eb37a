"""HTTP basic authentication: bcrypt off the event loop, once per password and not once per scrape."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# bcrypt looks at no more of a password; its Python binding refuses more, Go's does not.
_BCRYPT_BYTES: Final = 72
_MOST_REMEMBERED: Final = 256
# So many different passwords may wait to be checked, one at a time. Enough that who guesses waits, instead of being
# refused and coming back at once; few enough that most connections are left for others.
_MOST_WAITING: Final = 256


def _checkpw(password: bytes, hashed: bytes) -> bool:
    import bcrypt  # noqa: PLC0415 - for those who have passwords

    return bcrypt.checkpw(password, hashed)


class AuthResult(Enum):
    """Whether somebody may come in; BUSY: too many others are being checked."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """A password to be checked, and whoever waits for the verdict."""

    mark: bytes
    password: bytes
    hashed: bytes
    is_known: bool
    verdict: asyncio.Future[AuthResult]


class BasicAuth:
    """Remembers verdicts by a keyed digest, never a password itself."""

    def __init__(self, check: Callable[[bytes, bytes], bool] = _checkpw, key: bytes | None = None) -> None:
        self._check = check
        self._key = key or secrets.token_bytes(32)
        # Apart, so that a flood of wrong passwords makes nobody forgotten who was let in.
        self._allowed = _Remembered()
        self._refused = _Remembered()
        self._checks: dict[bytes, _Check] = {}
        self._waiting = _FairQueue()
        self._worker: asyncio.Task[None] | None = None

    async def check(self, users: Mapping[str, bytes], authorization: str | None, address: str = "") -> AuthResult:
        """Judge an Authorization header (None: not sent) from an address by the users' names and bcrypt hashes.

        A name that is none takes as long as one that is: it is checked against the hash of somebody, always the same.
        """
        given = _parse_basic(authorization)
        if given is None:
            return AuthResult.REFUSED
        name, password = given
        is_known = name in users
        hashed = users[name] if is_known else self._stand_in(users, name)
        mark = self._digest(name.encode(), hashed, password)
        if is_known and mark in self._allowed:
            return AuthResult.ALLOWED
        if mark in self._refused:
            return AuthResult.REFUSED
        check = self._checks.get(mark)
        if check is None:
            check = _Check(mark, password, hashed, is_known, asyncio.get_running_loop().create_future())
            self._checks[mark] = check
            # Known names get no room of their own: whoever met a 503 beside a 401 would know which they are.
            if (displaced := self._waiting.add(address, check)) is not None:
                self._end(displaced, AuthResult.BUSY)
            if self._worker is None:
                self._worker = asyncio.create_task(self._work())
        # Others may wait for the same verdict: who goes away does not take it from them.
        return await asyncio.shield(check.verdict)

    async def _work(self) -> None:
        while (check := self._waiting.next()) is not None:
            is_right = await asyncio.to_thread(self._check, check.password, check.hashed)
            is_allowed = is_right and check.is_known
            (self._allowed if is_allowed else self._refused).add(check.mark)
            self._end(check, AuthResult.ALLOWED if is_allowed else AuthResult.REFUSED)
        self._worker = None

    def _end(self, check: _Check, verdict: AuthResult) -> None:
        del self._checks[check.mark]
        check.verdict.set_result(verdict)

    def _stand_in(self, users: Mapping[str, bytes], name: str) -> bytes:
        hashes = list(users.values())
        return hashes[int.from_bytes(self._digest(name.encode())) % len(hashes)]

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return digest.digest()


class _Remembered:
    """Marks, of which those are forgotten first that were used longest ago."""

    def __init__(self) -> None:
        self._marks: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, mark: bytes) -> bool:
        if mark not in self._marks:
            return False
        self._marks.move_to_end(mark)
        return True

    def add(self, mark: bytes) -> None:
        self._marks[mark] = None
        if len(self._marks) > _MOST_REMEMBERED:
            self._marks.popitem(last=False)


class _FairQueue:
    """Checks that wait: addresses take turns, and of one address the newest goes first.

    A scraper may share its address with a flood (NAT, a sidecar, a proxy). At the end of the line it would wait for all
    of them, at its head for one check. Those of the flood, who come back as soon as they are refused, wait instead.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, list[_Check]] = OrderedDict()

    def add(self, address: str, check: _Check) -> _Check | None:
        """Let one more wait; where too many do, the oldest of the address with most of them is given back.

        Where no address has more than this one has, it is this one's oldest.
        """
        self._lines.setdefault(address, []).append(check)
        if sum(map(len, self._lines.values())) <= _MOST_WAITING:
            return None
        crowded = max(self._lines, key=lambda each: (len(self._lines[each]), each == address))
        return self._take(crowded, oldest=True)

    def next(self) -> _Check | None:
        """Whose turn it is; None: nobody waits."""
        if not self._lines:
            return None
        address = next(iter(self._lines))
        self._lines.move_to_end(address)
        return self._take(address, oldest=False)

    def _take(self, address: str, *, oldest: bool) -> _Check:
        line = self._lines[address]
        check = line.pop(0 if oldest else -1)
        if not line:
            del self._lines[address]
        return check


def _parse_basic(authorization: str | None) -> tuple[str, bytes] | None:
    """Name and password of a Basic header, as far as bcrypt looks at it; None for anything else."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password[:_BCRYPT_BYTES]) if colon else None
    except (binascii.Error, ValueError):
        return None
