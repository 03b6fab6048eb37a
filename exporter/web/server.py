"""Listen and serve: addresses → sockets → uvicorn in this event loop; knows no route."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Final

import uvicorn

from exporter.errors import StartError
from exporter.web.addresses import parse_address
from exporter.web.connection import CLIENTS_LOGGER, Connection
from exporter.web.limits import Crowd, Limits, fitting
from exporter.web.security import guarded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Sequence

    from starlette.types import ASGIApp

    from exporter.web.in_force import InForce

# Answers under way when the process ends get so long; a whole stop takes less than 5 s.
GRACE_SECONDS: Final = 2
BACKLOG: Final = 1024
# Of those that wait, so many are let in before anybody else is served; more could need more descriptors than there are.
ACCEPTED_AT_ONCE: Final = 64


@contextlib.contextmanager
def bound(addresses: Iterable[str]) -> Generator[list[socket.socket]]:
    """Give listening sockets for `--web.listen-address` values, closed at the end. Raises StartError."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(_bind(address)) for address in addresses]
        for listening in sockets:
            # Connections inherit it. asyncio sees to it only on sockets that name their protocol, which these do not;
            # without it every answer sent in two pieces waits 40 ms for an acknowledgement.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sockets


def _bind(address: str) -> socket.socket:
    try:
        host, port = parse_address(address)
    except ValueError as error:
        raise StartError(str(error)) from None
    try:
        if host:
            family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            return socket.create_server(where[:2], family=family, backlog=BACKLOG)
        if socket.has_dualstack_ipv6():
            with contextlib.suppress(OSError):  # IPv6 may be switched off in the kernel all the same
                return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        return socket.create_server(("", port), backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        code = getattr(error, "errno", None)
        reason = os.strerror(code) if code and code > 0 else getattr(error, "strerror", None) or str(error)
        raise StartError(
            f"cannot listen on {address}: {reason}. Choose another --web.listen-address or stop what uses it."
        ) from None


def urls(sockets: Sequence[socket.socket], scheme: str = "http") -> list[str]:
    """Where the sockets can be reached, as `http://host:port`."""
    places = []
    for listening in sockets:
        host, port = listening.getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)  # noqa: S104 - naming it, not binding it
        places.append(f"{scheme}://[{shown}]:{port}" if ":" in shown else f"{scheme}://{shown}:{port}")
    return places


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp,
    sockets: list[socket.socket],
    *,
    date_header: bool = True,
    in_force: InForce | None = None,
    limits: Limits | None = None,
) -> AsyncGenerator[None]:
    """Answer requests on the sockets while the context is entered; answers under way are finished on leaving it."""
    crowd = Crowd(limits or fitting())
    logging.getLogger(CLIENTS_LOGGER).setLevel(logging.ERROR)
    config = uvicorn.Config(
        guarded(app, in_force.rules) if in_force else app,
        http=partial(Connection, crowd=crowd, in_force=in_force),  # type: ignore[arg-type]  # it is called, no more
        ws="none",
        interface="asgi3",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=date_header,
        backlog=ACCEPTED_AT_ONCE,
        h11_max_incomplete_event_size=crowd.limits.header_bytes,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=crowd.limits.idle_seconds,
    )
    server = _Server(config, crowd)
    task = asyncio.create_task(server.serve(sockets), name="web")
    watch = asyncio.create_task(crowd.watch(), name="web-limits")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait({task})
        watch.cancel()
        await asyncio.wait({watch})


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: what a signal means is decided by the program, not by its web server."""

    def __init__(self, config: uvicorn.Config, crowd: Crowd) -> None:
        super().__init__(config)
        self._crowd = crowd

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # uvicorn's backlog is both: what asyncio accepts in one go, and what the kernel keeps waiting.
        for listening in sockets or ():
            listening.listen(BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._crowd.end_askers()
        await super().shutdown(sockets)
