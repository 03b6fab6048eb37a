"""Credentials that expire: cached while valid, and renewed in a thread before they expire."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from exporter.errors import CredentialsError
from exporter.threads import run_in_daemon_thread
from exporter.vod.credentials.credential_files import NO_THREAD, FileWatch
from exporter.vod.credentials.sources import Credentials, no_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from exporter.vod.credentials.sources import CredentialSource, FetchedCredentials

TIME_LIMIT: Final = 30.0
"""Seconds that a fetch may take."""
RETRY_SECONDS: Final = 30.0
"""Seconds after a failed fetch before the next one; doubled for each further one that has not returned."""
MOST_HANGING: Final = 6
"""While this many fetches have not returned, no other is started: nothing can end their threads."""
MARGIN: Final = 900.0
"""Seconds before expiry at which credentials are renewed; a third of their lifetime if that is less."""
UNKNOWN: Final = 300.0
"""Seconds after which credentials without an expiry are renewed."""
JUST_NOW: Final = 10.0
"""Seconds. If credentials younger than this are rejected, the request had used the previous ones."""
_HANGING: Final = (
    "Check the name server, proxy or file system that they wait for. If it responds and this persists, restart the"
    " exporter."
)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _CachedCredentials:
    """Credentials and their times on the monotonic clock: setting the wall clock must not change their validity."""

    credentials: Credentials
    since: float
    renewal: float
    end: float


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why the last fetch failed, and when on the monotonic clock."""

    message: str
    advice: str
    at: float


class CredentialCache:
    """The credentials of one account, from a function that blocks.

    One caller fetches at a time, in a thread that ends with the fetch. If it fails, credentials that are still valid
    are used until they expire or the service rejects them.
    """

    def __init__(
        self,
        account: str,
        fetch: Callable[[Credentials | None], FetchedCredentials],
        *,
        start: CredentialSource | None = None,
        files: Iterable[Path] = (),
        time_limit: float = TIME_LIMIT,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fetch` is called in a thread, with the keys of `start` if there is one; it raises CredentialsError.

        `files` are those that it reads. A fetch that takes longer than `time_limit` seconds has failed.
        """
        self._account = account
        self._fetch = fetch
        self._start = start
        self._files = tuple(map(FileWatch, files))
        self._time_limit = time_limit
        self._now = now
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        # Fetches whose threads have not ended.
        self._unreturned: set[object] = set()
        # The result of the last fetch until a caller has used it: one that comes too late is for the next caller.
        self._late: FetchedCredentials | None = None
        self._cached: _CachedCredentials | None = None
        self._failure: _Failure | None = None
        self._place = ""

    async def get(self) -> Credentials:
        """Valid credentials. Raises CredentialsError."""
        # While one caller fetches, the others use what is still valid instead of waiting.
        if (kept := self._is_usable(due=not self._lock.locked())) is not None:
            return kept
        async with self._lock:
            return self._is_usable(due=True) or await self._renewed(again=False)

    async def renew(self) -> Credentials:
        """Credentials other than those that the service has just rejected. Raises CredentialsError."""
        async with self._lock:
            if self._cached is not None and self._monotonic() - self._cached.since < JUST_NOW:
                return self._cached.credentials
            self._cached = None
            return await self._renewed(again=True)

    async def changed(self) -> bool:
        """Whether a file that the credentials come from has changed; if so, the next `get` fetches them again."""
        changed = self._start is not None and await self._start.changed()
        changed |= any([await file.changed() for file in self._files])
        if changed:
            self._failure = self._late = None
            if self._cached is not None:
                self._cached = replace(self._cached, renewal=-math.inf)
        return changed

    def _is_usable(self, *, due: bool) -> Credentials | None:
        """The cached credentials, unless they have expired; with `due`, unless they are to be renewed."""
        kept = self._cached
        if kept is None or self._monotonic() >= (kept.renewal if due else kept.end):
            return None
        return kept.credentials

    async def _renewed(self, *, again: bool) -> Credentials:
        failure, late = self._failure, None if again else self._late
        if failure is None or late is not None or self._monotonic() >= failure.at + self._pause():
            try:
                return self._cache(late if late is not None else await self._fetched(again=again))
            except CredentialsError as error:
                failure = _Failure(error.message, error.advice, self._monotonic())
            finally:
                self._late = None
            self._failure = failure
            self._warn(failure)
        if (kept := self._is_usable(due=False)) is not None:
            return kept
        raise no_credentials(failure.message, failure.advice)

    def _pause(self) -> float:
        """The seconds from a failed fetch to the next one."""
        hanging = len(self._unreturned)
        return RETRY_SECONDS * 2.0 ** (hanging - 1 if 0 < hanging < MOST_HANGING else 0)

    async def _fetched(self, *, again: bool) -> FetchedCredentials:
        if len(self._unreturned) >= MOST_HANGING:
            raise no_credentials(f"no credentials: {MOST_HANGING} requests for them have not returned", _HANGING)
        start = None
        if self._start is not None:
            start = await (self._start.renew() if again else self._start.get())
        try:
            async with asyncio.timeout(self._time_limit):
                return await run_in_daemon_thread(
                    lambda: self._check_and_fetch(start), f"credentials of {self._account}"
                )
        except TimeoutError:
            raise no_credentials(
                f"no credentials within {self._time_limit:g} s", "Check the network; it is retried."
            ) from None
        except OSError as error:
            raise no_credentials(f"no credentials: {error.strerror}", NO_THREAD) from None

    def _check_and_fetch(self, start: Credentials | None) -> FetchedCredentials:
        """Note the state of the files before reading them, so that a change in between is noticed next time."""
        fetch = object()
        self._unreturned.add(fetch)
        try:
            for file in self._files:
                with suppress(OSError, ValueError):
                    file.check()
            self._late = fetched = self._fetch(start)
            return fetched
        finally:
            self._unreturned.discard(fetch)

    def _cache(self, fetched: FetchedCredentials) -> Credentials:
        now = self._monotonic()
        if fetched.expires is None:
            renewal, end = now + UNKNOWN, math.inf
        else:
            remaining = fetched.expires - self._now()
            if remaining <= 0:
                raise no_credentials(f"{fetched.place}: the keys had expired", "Check this machine's clock; use NTP.")
            renewal, end = now + remaining - min(MARGIN, remaining / 3), now + remaining
        if self._failure is not None or fetched.place != self._place:
            _log.info("credentials found", account=self._account, place=fetched.place)
        self._cached, self._failure, self._place = (
            _CachedCredentials(fetched.credentials, now, renewal, end),
            None,
            fetched.place,
        )
        return fetched.credentials

    def _warn(self, failure: _Failure) -> None:
        """Warn while cached credentials are still valid; without them every poll reports the failure."""
        kept = self._cached
        if kept is not None and (left := kept.end - self._monotonic()) > 0:
            _log.warning(
                "credentials not refreshed",
                account=self._account,
                error=failure.message,
                advice=failure.advice,
                good_for=f"{left:.0f} s" if left < math.inf else "unknown",
            )
