"""Who may come in with a password: bcrypt off the event loop, once per password and not once per scrape."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections import Counter, OrderedDict
from enum import Enum
from typing import TYPE_CHECKING, Final

import bcrypt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# bcrypt looks at no more of a password; its Python binding refuses more, Go's does not.
_BCRYPT_BYTES: Final = 72
_MOST_REMEMBERED: Final = 256
# So many different passwords may wait to be checked, one at a time; a flood of wrong ones gets no further.
_MOST_WAITING: Final = 32
# So many of them from one address, or a flood from there would keep out a scraper that has not been let in yet.
_MOST_WAITING_FROM_ONE: Final = 4


class Verdict(Enum):
    """Whether somebody may come in; BUSY: too many others are being checked."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    BUSY = "busy"


class Passwords:
    """Remembers who was let in, by a keyed digest; never a password itself, and nothing of who was not."""

    def __init__(self, check: Callable[[bytes, bytes], bool] = bcrypt.checkpw, key: bytes | None = None) -> None:
        self._check = check
        self._key = key or secrets.token_bytes(32)
        self._allowed: OrderedDict[bytes, None] = OrderedDict()
        self._checking: dict[bytes, asyncio.Task[bool]] = {}
        self._from: Counter[str] = Counter()
        self._turn = asyncio.Lock()

    async def verdict(self, users: Mapping[str, bytes], authorization: str | None, address: str = "") -> Verdict:
        """Judge an Authorization header (None: not sent) from an address by the users' names and bcrypt hashes.

        A name that is none takes as long as one that is: it is checked against the hash of somebody, always the same.
        """
        given = _basic(authorization)
        if given is None:
            return Verdict.REFUSED
        name, password = given
        is_known = name in users
        hashed = users[name] if is_known else self._stand_in(users, name)
        mark = self._digest(name.encode(), hashed, password)
        if is_known and mark in self._allowed:
            self._allowed.move_to_end(mark)
            return Verdict.ALLOWED
        checking = self._checking.get(mark)
        if checking is None:
            # Known names get no room of their own: whoever met a 503 beside a 401 would know which they are.
            if len(self._checking) >= _MOST_WAITING or self._from[address] >= _MOST_WAITING_FROM_ONE:
                return Verdict.BUSY
            checking = asyncio.create_task(self._compare(mark, password, hashed, remember=is_known))
            self._checking[mark] = checking
            self._from[address] += 1
            checking.add_done_callback(lambda _: self._done(mark, address))
        # Others may wait for the same answer: who goes away does not take it from them.
        return Verdict.ALLOWED if await asyncio.shield(checking) and is_known else Verdict.REFUSED

    async def _compare(self, mark: bytes, password: bytes, hashed: bytes, *, remember: bool) -> bool:
        async with self._turn:
            is_right = await asyncio.to_thread(self._check, password, hashed)
        if is_right and remember:
            self._allowed[mark] = None
            if len(self._allowed) > _MOST_REMEMBERED:
                self._allowed.popitem(last=False)
        return is_right

    def _done(self, mark: bytes, address: str) -> None:
        del self._checking[mark]
        self._from[address] -= 1
        if not self._from[address]:
            del self._from[address]

    def _stand_in(self, users: Mapping[str, bytes], name: str) -> bytes:
        hashes = list(users.values())
        return hashes[int.from_bytes(self._digest(name.encode())) % len(hashes)]

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return digest.digest()


def _basic(authorization: str | None) -> tuple[str, bytes] | None:
    """Name and password of a Basic header, as far as bcrypt looks at it; None for anything else."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password[:_BCRYPT_BYTES]) if colon else None
    except (binascii.Error, ValueError):
        return None
