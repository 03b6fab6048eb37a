from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from exporter.key_file_watch import WATCH_SECONDS, KeyFileWatch
from tests.core.fake_service import everything, query

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass
class Keys:
    """Accounts whose files have changed, each until it is checked, and the queries polled for it."""

    changed: set[str] = field(default_factory=set)
    checked_accounts: list[str] = field(default_factory=list)
    polled: list[str] = field(default_factory=list)
    failed: tuple[str, ...] = ()
    looks: int = 3
    hanging: str = ""

    async def keys_changed(self, account: str) -> bool:
        self.checked_accounts.append(account)
        if account == self.hanging:
            await asyncio.Event().wait()
        found = account in self.changed
        self.changed.discard(account)
        return found

    def poll_now(self, names: Collection[str]) -> None:
        self.polled += names

    async def sleep(self, seconds: float) -> None:
        assert seconds == WATCH_SECONDS
        self.looks -= 1
        await asyncio.sleep(0)
        if not self.looks:
            raise asyncio.CancelledError

    def watch(self) -> KeyFileWatch:
        queries = [query(everything, name, account=name.partition("-")[0]) for name in self.failed]
        return KeyFileWatch(lambda: queries, self.keys_changed, self.poll_now, sleep=self.sleep)


async def test_all_that_failed_of_an_account_is_polled_when_its_keys_change_and_nothing_else() -> None:
    keys = Keys(changed={"main", "fine"}, failed=("main-a", "main-b", "other-c"))
    with pytest.raises(asyncio.CancelledError):
        await keys.watch().run()
    assert keys.polled == ["main-a", "main-b"]
    assert keys.checked_accounts == ["main", "other"] * 2, "each account is checked once per look"


async def test_while_nothing_fails_no_file_is_looked_at() -> None:
    keys = Keys(changed={"main"})
    with pytest.raises(asyncio.CancelledError):
        await keys.watch().run()
    assert keys.checked_accounts == keys.polled == []


async def test_an_account_whose_file_system_does_not_respond_keeps_no_other_waiting() -> None:
    keys = Keys(changed={"main", "other"}, failed=("main-a", "other-c"), hanging="main", looks=4)
    with pytest.raises(asyncio.CancelledError):
        await keys.watch().run()
    assert keys.polled == ["other-c"]
    assert keys.checked_accounts == ["main", "other", "other", "other"], "it is asked once"
