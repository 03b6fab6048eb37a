"""The accounts in use: the limits and the client of each, opened, changed and closed as the configuration changes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol, Self

from exporter.threads import run_in_daemon_thread
from exporter.vod.client import Client, Meter
from exporter.vod.daily_quota import CallsInMemory
from exporter.vod.network_route import Resolver
from exporter.vod.play_data import PlayDataSource
from exporter.vod.rate_limits import AccountLimits
from exporter.vod.redaction import Secrets
from exporter.vod.separate_limits import SeparateLimits
from exporter.vod.tls_trust import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

    from exporter.config.accounts import AccountSettings
    from exporter.vod.credentials.sources import CredentialSource
    from exporter.vod.daily_quota import QuotaStore

_SEPARATE_REQUESTS_PER_SECOND: Final = 1.0


class CredentialResolver(Protocol):
    """Finds the source of an account's credentials."""

    async def __call__(self, account: AccountSettings) -> CredentialSource:
        """The source, tried once. Raises StartError for errors that do not go away by themselves."""
        ...


@dataclass(frozen=True, slots=True)
class ActiveAccount:
    """An account in use: its settings, limits and client. The limits stay when the client is replaced.

    `separate_client` has limits, breakers and connections of its own, for calls that must not delay those of `client`.
    """

    settings: AccountSettings
    limits: AccountLimits
    client: Client
    source: PlayDataSource
    separate_limits: SeparateLimits
    separate_client: Client


class Accounts:
    """All accounts in use; an async context manager that closes their connections.

    A change takes two steps: `opened` may fail and changes nothing, `adopt` cannot fail. An account whose settings are
    unchanged stays the same object, with its connections, its breakers and its current rate.
    """

    def __init__(
        self,
        keys: CredentialResolver,
        *,
        meter: Meter,
        quota_store: QuotaStore | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._keys = keys
        self._meter = meter
        self._quota_store = CallsInMemory() if quota_store is None else quota_store
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        # Shared by all accounts: a server may repeat the secret of another account, and a lookup that hangs must not
        # be started again for each.
        self._secrets = Secrets()
        self._resolve = Resolver()
        self._in_use: dict[str, ActiveAccount] = {}

    async def __aenter__(self) -> Self:
        """Nothing is opened until `opened` is called."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        for account in self._in_use.values():
            await account.client.aclose()
            await account.separate_client.aclose()

    @property
    def settings(self) -> tuple[AccountSettings, ...]:
        """The settings of the accounts in use."""
        return tuple(account.settings for account in self._in_use.values())

    @property
    def sources(self) -> Mapping[str, PlayDataSource]:
        """The source of pages of each account, by its name."""
        return {name: account.source for name, account in self._in_use.items()}

    def client(self, account: str) -> Client:
        """The client of an account in use."""
        return self._in_use[account].client

    def limits(self, account: str) -> AccountLimits:
        """The limits of an account in use."""
        return self._in_use[account].limits

    @property
    def separate_clients(self) -> Mapping[str, Client]:
        """The separate client of each account, whose calls delay no others, by account name."""
        return {name: account.separate_client for name, account in self._in_use.items()}

    def reserve_calls(self, needed: Mapping[str, int | None]) -> None:
        """Reserve this many calls of the daily quota of each account for its other client; None: unknown."""
        for name, account in self._in_use.items():
            account.separate_limits.needed = needed.get(name, 0)

    def report_limits(self) -> None:
        """Report the rate and the calls left of each account where they have changed; call it when a day has begun."""
        for account in self._in_use.values():
            account.limits.report()

    async def keys_changed(self, account: str) -> bool:
        """Whether a file with the account's keys has changed since the keys were used or this was last called."""
        used = self._in_use.get(account)
        return used is not None and await used.client.keys_changed()

    @contextlib.asynccontextmanager
    async def opened(self, settings: Iterable[AccountSettings]) -> AsyncGenerator[Mapping[str, ActiveAccount]]:
        """Yield accounts with these settings, for `adopt`; opens clients for those that are new or connect differently.

        When the context ends, clients that are not in use are closed: the new ones if they were not adopted, otherwise
        the ones that they replaced. Raises StartError.
        """
        before, accounts = self._in_use, dict[str, ActiveAccount]()
        # Loaded again for each reload, and shared by all clients: the authorities take 2 MiB.
        tls = cache(lambda: tls_context(os.environ))
        given = tuple(settings)
        try:
            # All at once: each key file on a file system that does not respond takes its whole time limit.
            sources = await asyncio.gather(*(self._source(each, before.get(each.name)) for each in given))
            for account_settings, source in zip(given, sources, strict=True):
                accounts[account_settings.name] = await self._opened(
                    account_settings, before.get(account_settings.name), source, tls
                )
            yield accounts
        finally:
            used = [account.client for account in self._in_use.values()]
            for account in (*before.values(), *accounts.values()):
                if account.client not in used:
                    await account.client.aclose()
                    await account.separate_client.aclose()

    def adopt(self, accounts: Mapping[str, ActiveAccount]) -> None:
        """Use exactly these accounts from now on. No call may be in flight over the clients that are removed."""
        for name, account in accounts.items():
            new_limits = account.settings.limits
            if name in self._in_use:
                account.limits.change(
                    requests_per_second=new_limits.requests_per_second,
                    concurrency=new_limits.concurrency,
                    calls_per_day=new_limits.calls_per_day,
                )
                account.separate_limits.change(
                    requests_per_second=_separate_rate(account.settings), concurrency=1, calls_per_day=0
                )
            else:
                account.limits.report()
        self._in_use = dict(accounts)

    async def _source(self, account_settings: AccountSettings, before: ActiveAccount | None) -> CredentialSource | None:
        """The source of an account's credentials; None if the client is kept."""
        is_kept = before is not None and same_connection(before.settings, account_settings)
        return None if is_kept else await self._keys(account_settings)

    async def _opened(
        self,
        account_settings: AccountSettings,
        before: ActiveAccount | None,
        keys: CredentialSource | None,
        tls: Callable[[], ssl.SSLContext],
    ) -> ActiveAccount:
        if keys is None:
            assert before is not None  # noqa: S101 - only an account in use keeps its client
            return replace(before, settings=account_settings)
        limits = before.limits if before else self._limits(account_settings)
        separate_limits = before.separate_limits if before else self._separate_limits(account_settings, limits)

        def client(limits: AccountLimits) -> Client:
            return Client(
                account_settings.name,
                endpoint=account_settings.endpoint,
                credentials=keys,
                limits=limits,
                timeout=account_settings.timeout,
                meter=self._meter,
                secrets=self._secrets,
                resolve=self._resolve,
                tls=tls,
                now=self._now,
                monotonic=self._monotonic,
                sleep=self._sleep,
            )

        # Loading certificate authorities takes tens of milliseconds, and they may be on a file system that hangs.
        opened, separate = await run_in_daemon_thread(
            lambda: (client(limits), client(separate_limits)), f"opening {account_settings.name}"
        )
        return ActiveAccount(account_settings, limits, opened, PlayDataSource(opened), separate_limits, separate)

    def _limits(self, account_settings: AccountSettings) -> AccountLimits:
        return AccountLimits(
            account_settings.name,
            requests_per_second=account_settings.limits.requests_per_second,
            concurrency=account_settings.limits.concurrency,
            calls_per_day=account_settings.limits.calls_per_day,
            meter=self._meter,
            quota_store=self._quota_store,
            now=self._now,
            monotonic=self._monotonic,
            sleep=self._sleep,
        )

    def _separate_limits(self, account_settings: AccountSettings, limits: AccountLimits) -> SeparateLimits:
        return SeparateLimits(
            account_settings.name,
            limits,
            requests_per_second=_separate_rate(account_settings),
            now=self._now,
            monotonic=self._monotonic,
            sleep=self._sleep,
        )


def _separate_rate(account_settings: AccountSettings) -> float:
    """Requests per second of the separate client, in addition to those for play data."""
    return min(_SEPARATE_REQUESTS_PER_SECOND, account_settings.limits.requests_per_second)


def same_connection(before: AccountSettings, after: AccountSettings) -> bool:
    """Whether the client can be kept: all settings except the limits and those of metadata are equal."""
    return before.model_copy(update={"limits": after.limits, "metadata": after.metadata}) == after


def same_identity(before: AccountSettings, after: AccountSettings) -> bool:
    """Whether requests go to the same service with the same credentials."""
    return (before.endpoint, before.credentials) == (after.endpoint, after.credentials)
