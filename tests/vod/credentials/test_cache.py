from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import structlog

from exporter.errors import CredentialsError, ErrorKind
from exporter.vod.credentials.cache import (
    JUST_NOW,
    MARGIN,
    MOST_HANGING,
    RETRY_SECONDS,
    UNKNOWN,
    CredentialCache,
)
from exporter.vod.credentials.sources import Credentials, FetchedCredentials, no_credentials
from tests.vod.fakes import KEY, Clock, FakeSource

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0


@dataclass
class FakeFetcher:
    """Fetches other credentials each time, valid for `lifetime` seconds; `broken` while it is unreachable."""

    clock: Clock
    lifetime: float | None = HOUR
    broken: bool = False
    # Fetches wait for this.
    opened: threading.Event = field(default_factory=threading.Event)
    fetches: int = 0
    starts: list[Credentials | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.opened.set()

    def __call__(self, start: Credentials | None) -> FetchedCredentials:
        self.fetches += 1
        number = self.fetches
        self.starts.append(start)
        self.opened.wait()
        if self.broken:
            raise no_credentials("sts is out of reach", "Wait.")
        expires = None if self.lifetime is None else self.clock.now() + self.lifetime
        return FetchedCredentials(Credentials(f"id-{number}", "secret", f"token-{number}"), "ecs_ram_role", expires)


class CacheFixture:
    def __init__(
        self, *, start: FakeSource | None = None, files: tuple[Path, ...] = (), time_limit: float = 60.0
    ) -> None:
        self.clock = Clock()
        self.fetcher = FakeFetcher(self.clock)
        self.source = CredentialCache(
            "main",
            self.fetcher,
            start=start,
            files=files,
            time_limit=time_limit,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
        )

    async def id(self, *, later: float = 0.0) -> str:
        self.clock.elapsed += later
        return (await self.source.get()).access_key_id

    async def fails(self, *, later: float = 0.0) -> CredentialsError:
        self.clock.elapsed += later
        with pytest.raises(CredentialsError) as caught:
            await self.source.get()
        return caught.value


@pytest.mark.parametrize(
    ("lifetime", "cached_for"),
    [(6 * HOUR, 6 * HOUR - MARGIN), (HOUR, HOUR - MARGIN), (MARGIN, MARGIN * 2 / 3), (None, UNKNOWN)],
)
async def test_keys_are_kept_until_shortly_before_they_end(lifetime: float | None, cached_for: float) -> None:
    fixture = CacheFixture()
    fixture.fetcher.lifetime = lifetime
    assert await fixture.id() == "id-1"
    assert await fixture.id(later=cached_for - 1) == "id-1"
    assert await fixture.id(later=1) == "id-2"
    assert fixture.fetcher.fetches == 2


async def test_keys_still_good_are_used_when_a_refresh_fails() -> None:
    fixture = CacheFixture()
    await fixture.id()
    fixture.fetcher.broken = True
    with structlog.testing.capture_logs() as logs:
        assert await fixture.id(later=HOUR - MARGIN) == "id-1"
        assert await fixture.id(later=RETRY_SECONDS - 1) == "id-1"
        assert fixture.fetcher.fetches == 2
        assert await fixture.id(later=1) == "id-1"
        assert fixture.fetcher.fetches == 3
        assert await fixture.id(later=MARGIN - RETRY_SECONDS - 1) == "id-1"
    warning = {"event": "credentials not refreshed", "log_level": "warning", "account": "main"}
    warning |= {"error": "sts is out of reach", "advice": "Wait."}
    assert logs == [{**warning, "good_for": good_for} for good_for in ("900 s", "870 s", "1 s")]
    assert (await fixture.fails(later=1)).message == "sts is out of reach"


async def test_keys_without_an_end_are_used_as_long_as_nothing_else_can_be_had() -> None:
    fixture = CacheFixture()
    fixture.fetcher.lifetime = None
    await fixture.id()
    fixture.fetcher.broken = True
    with structlog.testing.capture_logs() as logs:
        assert await fixture.id(later=30 * 24 * HOUR) == "id-1"
    assert [line["good_for"] for line in logs] == ["unknown"]


async def test_after_a_failure_it_pauses_before_it_fetches_again() -> None:
    fixture = CacheFixture()
    fixture.fetcher.broken = True
    error = await fixture.fails()
    assert (error.message, error.advice) == ("sts is out of reach", "Wait.")
    assert (error.code, error.kind) == ("credentials", ErrorKind.AUTH)
    await fixture.fails(later=RETRY_SECONDS - 1)
    assert fixture.fetcher.fetches == 1
    fixture.fetcher.broken = False
    assert await fixture.id(later=1) == "id-2"


async def test_it_says_where_keys_are_from_once_and_when_they_are_back() -> None:
    fixture = CacheFixture()
    found = {"event": "credentials found", "account": "main", "place": "ecs_ram_role", "log_level": "info"}
    with structlog.testing.capture_logs() as logs:
        await fixture.id()
        assert logs == [found]
        await fixture.id(later=HOUR - MARGIN)
        assert logs == [found]
        fixture.fetcher.broken = True
        await fixture.fails(later=HOUR)
        fixture.fetcher.broken = False
        await fixture.id(later=RETRY_SECONDS)
    assert logs == [found, found]


async def test_refused_keys_are_fetched_again_and_never_given_twice() -> None:
    fixture = CacheFixture()
    await fixture.id()
    fixture.clock.elapsed += JUST_NOW
    assert (await fixture.source.renew()).access_key_id == "id-2"
    fixture.clock.elapsed += JUST_NOW
    fixture.fetcher.broken = True
    with pytest.raises(CredentialsError):
        await fixture.source.renew()
    await fixture.fails(later=1)


async def test_many_who_were_refused_share_one_renewal() -> None:
    fixture = CacheFixture()
    await fixture.id()
    fixture.clock.elapsed += JUST_NOW
    renewed = await asyncio.gather(*(fixture.source.renew() for _ in range(5)))
    assert {credentials.access_key_id for credentials in renewed} == {"id-2"}
    assert fixture.fetcher.fetches == 2


async def test_concurrent_callers_share_one_fetch() -> None:
    fixture = CacheFixture()
    got = await asyncio.gather(*(fixture.source.get() for _ in range(5)))
    assert {credentials.access_key_id for credentials in got} == {"id-1"}
    assert fixture.fetcher.fetches == 1


async def test_the_event_loop_goes_on_while_keys_are_fetched_and_good_keys_need_no_waiting() -> None:
    fixture = CacheFixture()
    await fixture.id()
    fixture.fetcher.opened.clear()
    fixture.clock.elapsed += HOUR - MARGIN
    first = asyncio.create_task(fixture.source.get())
    while fixture.fetcher.fetches < 2:
        await asyncio.sleep(0)
    others = asyncio.gather(*(fixture.source.get() for _ in range(5)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert others.done()
    assert {credentials.access_key_id for credentials in others.result()} == {"id-1"}
    assert not first.done()
    fixture.fetcher.opened.set()
    assert (await first).access_key_id == "id-2"


async def test_a_fetch_that_takes_too_long_is_given_up() -> None:
    fixture = CacheFixture(time_limit=0.01)
    fixture.fetcher.opened.clear()
    try:
        assert (await fixture.fails()).message == "no credentials within 0.01 s"
        await fixture.fails()
        assert fixture.fetcher.fetches == 1
    finally:
        fixture.fetcher.opened.set()


@pytest.mark.parametrize("is_changed", [False, True])
async def test_keys_that_come_after_the_time_limit_are_used_unless_their_file_has_changed(
    tmp_path: Path, *, is_changed: bool
) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    fixture = CacheFixture(time_limit=0.01, files=(file,))
    fixture.fetcher.opened.clear()
    await fixture.fails()
    fixture.fetcher.opened.set()
    for thread in threading.enumerate():
        if thread.name == "credentials of main":
            thread.join(60)
    if is_changed:
        file.write_text("other")
        assert await fixture.source.changed()
        with contextlib.suppress(CredentialsError):  # on a busy machine, 0.01 s are not enough
            await fixture.source.get()
        assert fixture.fetcher.fetches == 2
    else:
        assert await fixture.id() == "id-1"
        assert await fixture.id(later=60) == "id-1"


async def test_fetches_that_never_return_are_few_and_ever_rarer_until_one_does() -> None:
    fixture = CacheFixture(time_limit=0.01)
    fixture.fetcher.opened.clear()
    try:
        for number in range(MOST_HANGING):
            assert (await fixture.fails()).message == "no credentials within 0.01 s"
            await fixture.fails(later=RETRY_SECONDS * 2.0**number - 1 if number < MOST_HANGING - 1 else 0)
            assert fixture.fetcher.fetches == number + 1
            fixture.clock.elapsed += 1
        for _ in range(100):
            error = await fixture.fails(later=RETRY_SECONDS)
            assert error.message == f"no credentials: {MOST_HANGING} requests for them have not returned"
            assert "restart the exporter" in error.advice
        assert fixture.fetcher.fetches == MOST_HANGING
    finally:
        fixture.fetcher.opened.set()
    for thread in threading.enumerate():
        if thread.name == "credentials of main":
            thread.join(60)
    assert (await fixture.id()).startswith("id-"), "the keys that came late"
    assert fixture.fetcher.fetches == MOST_HANGING
    fixture.clock.elapsed += HOUR
    with contextlib.suppress(CredentialsError):  # on a busy machine, 0.01 s are not enough
        await fixture.source.get()
    assert fixture.fetcher.fetches == MOST_HANGING + 1


async def test_without_a_thread_there_are_no_credentials_until_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixture = CacheFixture()

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        assert (await fixture.fails()).message == "no credentials: no thread can be started"
    assert await fixture.id(later=RETRY_SECONDS) == "id-1"


async def test_a_cancelled_caller_stops_and_the_next_one_fetches() -> None:
    fixture = CacheFixture()
    fixture.fetcher.opened.clear()
    waiting = asyncio.create_task(fixture.source.get())
    while fixture.fetcher.fetches < 1:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    fixture.fetcher.opened.set()
    assert await fixture.id() == "id-2"


async def test_no_thread_outlives_its_fetch() -> None:
    fixture = CacheFixture()
    await fixture.id()
    for thread in threading.enumerate():
        if thread.name == "credentials of main":
            thread.join(60)
    assert "credentials of main" not in {thread.name for thread in threading.enumerate()}


def test_a_fetch_that_outlives_the_event_loop_is_harmless(capfd: pytest.CaptureFixture[str]) -> None:
    fixture = CacheFixture()
    fixture.fetcher.opened.clear()

    async def impatient() -> None:
        callers = asyncio.create_task(fixture.source.get())
        while fixture.fetcher.fetches < 1:
            await asyncio.sleep(0)
        callers.cancel()

    asyncio.run(impatient())
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "credentials of main")
    assert thread.daemon
    fixture.fetcher.opened.set()
    thread.join(60)
    assert not thread.is_alive()
    assert capfd.readouterr().err == ""


async def test_a_role_is_assumed_with_the_key_of_now() -> None:
    start = FakeSource(renewed=Credentials("other", "secret"))
    fixture = CacheFixture(start=start)
    await fixture.id()
    fixture.clock.elapsed += JUST_NOW
    await fixture.source.renew()
    assert fixture.fetcher.starts == [KEY, Credentials("other", "secret")]
    assert start.renewals == 1


async def test_a_role_whose_key_cannot_be_read_is_not_assumed() -> None:
    class Missing(FakeSource):
        async def get(self) -> Credentials:
            raise no_credentials("there is no file", "Make one.")

    fixture = CacheFixture(start=Missing())
    assert (await fixture.fails()).message == "there is no file"
    assert fixture.fetcher.fetches == 0


async def test_keys_that_had_expired_are_no_keys() -> None:
    fixture = CacheFixture()
    fixture.fetcher.lifetime = 0.0
    error = await fixture.fails()
    assert error.message == "ecs_ram_role: the keys had expired"
    assert "clock" in error.advice


async def test_keys_are_used_however_short_they_are_good() -> None:
    fixture = CacheFixture()
    fixture.fetcher.lifetime = 0.5
    assert await fixture.id() == "id-1"


async def test_setting_the_clock_makes_good_keys_neither_bad_nor_eternal() -> None:
    fixture = CacheFixture()
    await fixture.id()
    fixture.clock.start += 365 * 24 * HOUR
    assert await fixture.id() == "id-1"
    fixture.clock.start -= 2 * 365 * 24 * HOUR
    assert await fixture.id(later=HOUR - MARGIN) == "id-2"


@pytest.mark.parametrize("lifetime", [HOUR, None])
async def test_keys_of_a_file_that_has_changed_are_fetched_again(tmp_path: Path, lifetime: float | None) -> None:
    file = tmp_path / "config.json"
    file.write_text("old")
    fixture = CacheFixture(files=(file, tmp_path / "missing"))
    fixture.fetcher.lifetime = lifetime
    assert not await fixture.source.changed()
    assert await fixture.id() == "id-1"
    assert not await fixture.source.changed()
    file.write_text("other")
    assert await fixture.source.changed()
    assert await fixture.id() == "id-2"
    assert not await fixture.source.changed()
    (tmp_path / "missing").write_text("there")
    fixture.fetcher.broken = True
    assert await fixture.source.changed()
    assert await fixture.id() == "id-2", "what is still good is used where nothing else can be had"


async def test_after_a_failure_a_changed_file_is_read_without_a_rest(tmp_path: Path) -> None:
    file = tmp_path / "token"
    fixture = CacheFixture(files=(file,))
    fixture.fetcher.broken = True
    await fixture.fails()
    fixture.fetcher.broken = False
    await fixture.fails(later=1)
    file.write_text("corrected")
    assert await fixture.source.changed()
    assert await fixture.id() == "id-2"


async def test_a_changed_key_that_a_role_is_assumed_with_counts_too() -> None:
    class Changed(FakeSource):
        async def changed(self) -> bool:
            return True

    fixture = CacheFixture(start=Changed())
    await fixture.id()
    assert await fixture.source.changed()
    assert await fixture.id() == "id-2"
