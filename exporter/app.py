"""Put the pieces together, run until told to stop; the only module that knows all of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from exporter import __version__
from exporter.core import days
from exporter.core.days import Settlement
from exporter.core.poll import Poller
from exporter.core.snapshot import Snapshot
from exporter.daemon import Exporter
from exporter.errors import CredentialsError, StartError
from exporter.exposition.telemetry import Telemetry
from exporter.scheduler import Scheduler
from exporter.storage.storage import Storage
from exporter.vod.client import Client
from exporter.vod.codes import METER_CODES, classify
from exporter.vod.credentials import FromEnvironment, FromParts, PlainSecret, SecretFile
from exporter.vod.limits import Limits
from exporter.vod.play_data import PlayData
from exporter.web.routes import routes
from exporter.web.server import bound, serving, urls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from pydantic import SecretStr

    from exporter.config.schema import AccountSettings, Config
    from exporter.vod.credentials import CredentialSource, Secret

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the process is given: environment variables, the time (seconds since 1970), and how to wait."""

    variables: Mapping[str, str]
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


@contextlib.asynccontextmanager
async def assembled(
    config: Config, surroundings: Surroundings, storage_path: Path | None = None
) -> AsyncGenerator[Exporter]:
    """The pieces, put together for a configuration and taken apart again; with what storage knows, where there is one.

    Raises StartError.
    """
    queries = config.core_queries()
    telemetry = Telemetry(
        version=__version__,
        accounts=[account.name for account in config.accounts],
        queries=[query.name for query in queries],
        meter_codes={code: classify(0, code).kind for code in METER_CODES},
    )
    async with contextlib.AsyncExitStack() as stack:
        storage = None
        if storage_path is not None:
            opened = Storage.opened(
                storage_path, retention=config.storage.retention, meter=telemetry, now=surroundings.now
            )
            storage = await stack.enter_async_context(opened)
        sources = {
            account.name: PlayData(
                await stack.enter_async_context(
                    Client(
                        account.name,
                        endpoint=account.endpoint,
                        credentials=await _credentials(account, surroundings.variables),
                        limits=Limits(
                            account.name,
                            requests_per_second=account.limits.requests_per_second,
                            concurrency=account.limits.concurrency,
                            calls_per_day=account.limits.calls_per_day,
                            meter=telemetry,
                            ledger=storage,
                            now=surroundings.now,
                            monotonic=surroundings.monotonic,
                            sleep=surroundings.sleep,
                        ),
                        timeout=account.timeout,
                        meter=telemetry,
                        now=surroundings.now,
                        monotonic=surroundings.monotonic,
                        sleep=surroundings.sleep,
                    )
                )
            )
            for account in config.accounts
        }
        poller = Poller(
            sources,
            settlement=Settlement(config.settle.after, config.settle.unchanged),
            savings=telemetry,
            now=surroundings.now,
            queries=queries,
            snapshot=Snapshot().with_(await storage.load(_oldest(surroundings.now()))) if storage else None,
        )
        yield Exporter(config, poller, telemetry, surroundings.now, keeps=storage)


async def serve(
    config: Config,
    surroundings: Surroundings,
    *,
    listen: Sequence[str],
    telemetry_path: str,
    stop: asyncio.Event,
    storage_path: Path | None = None,
    listening: Callable[[list[str]], None] = lambda _places: None,
) -> None:
    """Poll and serve until `stop` is set; `listening` is told where. Raises StartError when it cannot listen."""
    async with contextlib.AsyncExitStack() as stack:
        sockets = stack.enter_context(bound(listen))
        exporter = await stack.enter_async_context(assembled(config, surroundings, storage_path))
        await stack.enter_async_context(serving(routes(exporter, telemetry_path), sockets))
        _log.info("listening", version=__version__, urls=",".join(urls(sockets)), telemetry_path=telemetry_path)
        listening(urls(sockets))
        async with Scheduler(exporter.queries, exporter.poll, exporter):
            await stop.wait()
            _log.info("stopping", reason="told to")
    _log.info("stopped")


def _oldest(now: float) -> date:
    """The oldest day that any query can look at."""
    return days.play_date(now, days.OLDEST_DAYS_AGO)


async def _credentials(account: AccountSettings, variables: Mapping[str, str]) -> CredentialSource:
    """Where an account's keys come from; tried once, so that a mistake is told at the start.

    Raises StartError for what cannot mend itself. A file may still be on its way: it is read again at every poll.
    """
    given = account.credentials
    if not given.has_keys:
        source: CredentialSource = FromEnvironment(variables)
    else:
        key_id = _secret("access_key_id", given.access_key_id, given.access_key_id_file)
        secret = _secret("access_key_secret", given.access_key_secret, given.access_key_secret_file)
        token = _secret("security_token", given.security_token, given.security_token_file)
        assert key_id is not None  # noqa: S101 - the schema gives the ID and the secret together
        assert secret is not None  # noqa: S101 - likewise
        source = FromParts(key_id, secret, token)
    try:
        await source.get()
    except CredentialsError as error:
        if not given.has_keys:
            raise StartError(f"account {account.name}: {error.message}. {error.advice}") from None
        _log.warning("no credentials yet", account=account.name, error=error.message, advice=error.advice)
    return source


def _secret(setting: str, value: SecretStr | None, file: Path | None) -> Secret | None:
    if value is not None:
        return PlainSecret(value.get_secret_value(), setting=setting)
    return SecretFile(file) if file is not None else None
