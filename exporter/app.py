"""Assemble the daemon and run it until it is stopped; the only module that knows all parts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from exporter import __version__, logs
from exporter.account_credentials import credential_source
from exporter.accounts import Accounts
from exporter.background import cancelled_by, running
from exporter.called_actions import called_actions
from exporter.core import play_dates
from exporter.core.model import Snapshot
from exporter.core.poller import Poller
from exporter.core.sharding import WHOLE
from exporter.daemon import Daemon
from exporter.discovery.media_discovery import MediaDiscovery
from exporter.exposition.telemetry import Telemetry
from exporter.gc_tuning import tune_interpreter
from exporter.jobs import poll_id
from exporter.key_file_watch import KeyFileWatch
from exporter.player_polls import PlayerPolls
from exporter.reload import Reloader
from exporter.replica import replica_config
from exporter.scheduler import Scheduler
from exporter.threads import run_in_daemon_thread
from exporter.web.connection_limits import limits_for_process
from exporter.web.routes import routes
from exporter.web.server import bound, serving, urls
from exporter.web.socket_activation import inherited

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from exporter.config.accounts import AccountSettings
    from exporter.config.schema import Config
    from exporter.core.player_query import PlayerView
    from exporter.core.sharding import Shard
    from exporter.errors import CredentialsError
    from exporter.web.access.live_config import LiveWebConfig

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Runtime:
    """The process environment: variables, clocks (`now` in seconds since 1970, `monotonic`), and `sleep`."""

    variables: Mapping[str, str]
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class ReloadOptions:
    """How the configuration is reloaded, and what may trigger a reload.

    * `read`: reads the configuration; may block, raises ConfigError.
    * `reload_requested`: set to request a reload.
    * `via_http`: whether POST /-/reload is allowed.
    * `watch`: runs beside the daemon and sets `reload_requested` when the file has changed.
    """

    read: Callable[[], Config]
    reload_requested: asyncio.Event
    via_http: bool = False
    watch: Callable[[], Coroutine[None, None, None]] | None = None


@contextlib.asynccontextmanager
async def assemble_daemon(
    config: Config, runtime: Runtime, storage_path: Path | None = None, shard: Shard = WHOLE
) -> AsyncGenerator[Daemon]:
    """Assemble a daemon for a configuration, restore its data from storage if there is any, and close it at the end.

    Raises StartError.
    """
    async with assemble(config, runtime, storage_path, shard) as (daemon, _, _):
        yield daemon


@contextlib.asynccontextmanager
async def assemble(
    config: Config, runtime: Runtime, storage_path: Path | None, shard: Shard
) -> AsyncGenerator[tuple[Daemon, Accounts, PlayerPolls]]:
    """As `assemble_daemon`; also yields the accounts it uses and the poller of players."""
    replica = replica_config(config, shard)

    def player_views() -> Sequence[PlayerView]:
        return player.views()

    telemetry = Telemetry(
        version=__version__,
        accounts=called_actions(config),
        queries=[(query.account, query.name) for query in replica.queries],
        log_lines_dropped=logs.lines_dropped,
        monotonic=runtime.monotonic,
        player_views=player_views,
    )
    player = PlayerPolls(telemetry, now=runtime.now, monotonic=runtime.monotonic)
    async with contextlib.AsyncExitStack() as stack:
        storage = None
        if storage_path is not None:
            from exporter.storage.storage import Storage  # noqa: PLC0415 - SQLite is imported only with --storage.path

            opened = Storage.opened(storage_path, retention=config.storage.retention, meter=telemetry, now=runtime.now)
            storage = await stack.enter_async_context(opened)
        accounts = Accounts(
            lambda account: credential_source(
                account,
                runtime.variables,
                not_yet=partial(_log_missing_credentials, account),
                now=runtime.now,
                monotonic=runtime.monotonic,
            ),
            meter=telemetry,
            quota_store=storage,
            now=runtime.now,
            monotonic=runtime.monotonic,
            sleep=runtime.sleep,
        )
        await stack.enter_async_context(accounts)
        async with accounts.opened(replica.accounts) as opened_accounts:
            accounts.adopt(opened_accounts)
        media = await storage.load_media() if storage else None
        discovery = MediaDiscovery(
            client=accounts.client,
            limits=accounts.limits,
            meter=telemetry,
            now=runtime.now,
            sleep=runtime.sleep,
            store=storage,
            found=media.found if media else None,
            metadata=media.metadata if media else None,
        )
        replica = replica_config(config, shard, discovery.found)
        player.reconfigure(replica, accounts)
        poller = Poller(
            accounts.sources,
            settlement=config.settlement,
            savings=telemetry,
            now=runtime.now,
            queries=replica.queries,
            snapshot=Snapshot().updated(await storage.load(_oldest_play_date(runtime.now()))) if storage else None,
        )
        daemon = Daemon(
            replica,
            poller,
            telemetry,
            runtime.now,
            store=storage,
            discovery=discovery,
            player_views=player.views,
            report_limits=accounts.report_limits,
        )
        yield daemon, accounts, player


async def serve(
    config: Config,
    runtime: Runtime,
    *,
    listen: Sequence[str] | None,
    telemetry_path: str,
    stop: asyncio.Event,
    storage_path: Path | None = None,
    shard: Shard = WHOLE,
    reloads: ReloadOptions | None = None,
    web_config: Path | None = None,
    prefix: str = "",
    listening: Callable[[list[str]], None] = lambda _urls: None,
) -> None:
    """Poll and serve until `stop` is set.

    * `listen`: addresses to listen on; None: the sockets that systemd passed.
    * `prefix`: prefix of all paths.
    * `listening`: called with the URLs once the exporter listens.

    Raises StartError when it cannot listen, ConfigError when the web configuration is invalid.
    """
    async with contextlib.AsyncExitStack() as stack, cancelled_by(stop) as starting:
        stack.enter_context(tune_interpreter())
        web_access = None
        if web_config:
            # Its file system may not respond.
            web_access = await run_in_daemon_thread(partial(_open_web_config, web_config), "web configuration")
            stack.enter_context(contextlib.closing(web_access))
        sockets = stack.enter_context(inherited(runtime.variables) if listen is None else bound(listen))
        daemon, accounts, player = await stack.enter_async_context(assemble(config, runtime, storage_path, shard))
        jobs = (*daemon.jobs(daemon.replica), *player.jobs(daemon.replica))
        scheduler = Scheduler(jobs, daemon.states)
        key_watch = KeyFileWatch(
            daemon.states.failed, accounts.keys_changed, lambda queries: scheduler.run_now(map(poll_id, queries))
        )
        reloads = reloads or ReloadOptions(lambda: config, asyncio.Event())
        reloader = Reloader(reloads.read, daemon=daemon, accounts=accounts, polling=scheduler, player=player)
        starting.cancel()  # from here on it stops gracefully
        reload = reloader.reload if reloads.via_http else None
        app = routes(daemon, telemetry_path, reload, prefix)
        limits = limits_for_process(sum(account.limits.concurrency for account in daemon.replica.accounts))
        await stack.enter_async_context(serving(app, sockets, web_access=web_access, limits=limits, prefix=prefix))
        listening_urls = urls(sockets, web_access.scheme if web_access else "http")
        _log.info(
            "listening", version=__version__, urls=",".join(listening_urls), telemetry_path=f"{prefix}{telemetry_path}"
        )
        if shard.total > 1:
            _log.info("sharding enabled", shard=shard.number, total_shards=shard.total)
        listening(listening_urls)
        async with scheduler, contextlib.AsyncExitStack() as beside:
            await beside.enter_async_context(
                running(partial(reloader.reload_on, reloads.reload_requested), runtime.sleep)
            )
            await beside.enter_async_context(running(key_watch.run, runtime.sleep))
            if reloads.watch is not None:
                await beside.enter_async_context(running(reloads.watch, runtime.sleep))
            await stop.wait()
            _log.info("stopping", reason="signal")
    _log.info("stopped")


def _open_web_config(path: Path) -> LiveWebConfig:
    from exporter.web.access.live_config import LiveWebConfig  # noqa: PLC0415 - TLS and bcrypt are imported only when configured

    return LiveWebConfig(path)


def _oldest_play_date(now: float) -> date:
    """The oldest play date that a query may cover."""
    return play_dates.play_date(now, play_dates.OLDEST_DAYS_AGO)


def _log_missing_credentials(account: AccountSettings, error: CredentialsError) -> None:
    _log.warning("no credentials yet", account=account.name, error=error.message, advice=error.advice)
