"""Requests what the daemon would request of each account, a few calls each, for `check-config --online`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.account_credentials import credential_source
from exporter.accounts import Accounts
from exporter.called_actions import optional_actions
from exporter.commands.account_check import AccountCheck, AccountNeeds
from exporter.commands.request_counter import RequestCounter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.app import Runtime
    from exporter.config.accounts import AccountSettings
    from exporter.config.schema import Config
    from exporter.vod.credentials.sources import CredentialSource


@dataclass(frozen=True, slots=True)
class OnlineCheckResult:
    """What the calls have shown: account, request and result of each, and sentences.

    `requests`: how many were sent, retries included.
    """

    lines: tuple[tuple[str, str, str], ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    requests: int


async def check_online(config: Config, runtime: Runtime, within: float) -> OnlineCheckResult:
    """Make the calls of all accounts, those of each within `within` seconds. Raises StartError."""
    needs = tuple(_needs(config))
    counter = RequestCounter()

    async def keys(account: AccountSettings) -> CredentialSource:
        # The first call reports what is wrong with them now.
        return await credential_source(
            account, runtime.variables, not_yet=lambda _: None, now=runtime.now, monotonic=runtime.monotonic
        )

    used = [account for account in config.accounts if any(account.name == each.account for each in needs)]
    async with (
        Accounts(keys, meter=counter, now=runtime.now, monotonic=runtime.monotonic, sleep=runtime.sleep) as accounts,
        accounts.opened(used) as opened,
    ):
        checks = [AccountCheck(each, opened[each.account].client, runtime.now) for each in needs]
        async with asyncio.TaskGroup() as group:
            for check in checks:
                group.create_task(_ended(check, within))
    return OnlineCheckResult(
        tuple((each.account, *line) for each, check in zip(needs, checks, strict=True) for line in check.lines),
        tuple(text for check in checks for text in check.errors),
        tuple(text for check in checks for text in check.warnings),
        counter.sent,
    )


def _needs(config: Config) -> Iterator[AccountNeeds]:
    """What is needed of each account that a query or a player uses."""
    optional = optional_actions(config)
    for account in config.accounts:
        queries = tuple(query for query in config.core_queries() if query.account == account.name)
        players = tuple(query for query in config.player_queries() if query.account == account.name)
        if queries or players:
            yield AccountNeeds(account.name, queries, players, optional[account.name])


async def _ended(check: AccountCheck, within: float) -> None:
    try:
        async with asyncio.timeout(within):
            await check.run()
    except TimeoutError:
        check.stop(within)
