"""Open listening sockets and serve an application on them by uvicorn in this event loop; knows no routes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import time
from concurrent.futures import thread as _thread_pools  # noqa: F401 - asyncio would import it at its first use, when no descriptor may be left to open the file
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.config import Config
from uvicorn.server import Server

from exporter.errors import StartError
from exporter.web.access.middleware import with_access_control
from exporter.web.connection_limits import ConnectionLimits, limits_for_process
from exporter.web.connection_tracker import ConnectionTracker
from exporter.web.http_connection import CLIENTS_LOGGER, HttpConnection
from exporter.web.listen_addresses import parse_address
from exporter.web.listener import Listener, count_exhaustion
from exporter.web.request_head import origin_form_only

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence

    from starlette.types import ASGIApp

    from exporter.web.access.live_config import LiveWebConfig

    _AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]

# The time for responses in flight when the process stops; the whole stop takes less than 5 s.
GRACE_SECONDS: Final = 2
BACKLOG: Final = 1024
# The errors of a machine without IPv6, or without IPv4.
_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})

_OWN_ADDRESS: Final = "Name an address of this machine in --web.listen-address, or :PORT for every one."
_LISTEN_ADVICE: Final = {
    errno.EADDRINUSE: "Choose another --web.listen-address or stop what uses it.",
    errno.EACCES: "Choose a port from 1024 on, or let the exporter use lower ones"
    " (AmbientCapabilities=CAP_NET_BIND_SERVICE of systemd).",
}


@contextlib.contextmanager
def bound(addresses: Iterable[str]) -> Generator[list[socket.socket]]:
    """Yield listening sockets for `--web.listen-address` values and close them at the end. Raises StartError.

    `:PORT` and `[::]:PORT` listen on every IPv4 and IPv6 address, a host name on each of its addresses.
    """
    with contextlib.ExitStack() as opened:
        yield prepared([opened.enter_context(listening) for address in addresses for listening in _listen(address)])


def prepared(sockets: list[socket.socket]) -> list[socket.socket]:
    """Set the options that `serving` needs on listening sockets, and return them."""
    for listening in sockets:
        # Accepted connections inherit the option. asyncio sets it only on sockets with an explicit protocol number,
        # which these lack; without it, a response sent in two writes waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sockets


def _listen(address: str) -> list[socket.socket]:
    try:
        host, port = parse_address(address)
    except ValueError as error:
        raise StartError(str(error)) from None
    try:
        if host in {"", "::"}:
            return [_listen_everywhere(port)]
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        try:
            return _listen_on_each(found, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
            return _listen_on_each(found, port)  # the chosen port was free for the first address only: try another
    except (OSError, UnicodeError) as error:
        code = getattr(error, "errno", None)
        if code in {errno.EMFILE, errno.ENFILE}:
            raise
        reason = os.strerror(code) if code and code > 0 else getattr(error, "strerror", None) or "not a name of a host"
        raise StartError(
            f"cannot listen on {address}: {reason}. {_LISTEN_ADVICE.get(code or 0, _OWN_ADDRESS)}"
        ) from None


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        except OSError as error:
            if error.errno not in _NO_SUCH_FAMILY:  # the kernel may have IPv6 disabled nevertheless
                raise
    return socket.create_server(("", port), backlog=BACKLOG)


def _listen_on_each(found: Iterable[_AddressInfo], port: int) -> list[socket.socket]:
    """Listen on every address of a host, except for address families that the machine lacks. Raises OSError."""
    opened: list[socket.socket] = []
    missing_family: OSError | None = None
    with contextlib.ExitStack() as on_error:
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            try:
                listening = socket.create_server((address[0], port, *address[2:]), family=family, backlog=BACKLOG)
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    raise
                missing_family = error
            else:
                opened.append(on_error.enter_context(listening))
                port = listening.getsockname()[1]  # for port 0, all addresses share the chosen port
        if missing_family and not opened:
            raise missing_family
        on_error.pop_all()
    return opened


def urls(sockets: Sequence[socket.socket], scheme: str = "http") -> list[str]:
    """Return the URL of each socket for clients on this machine, as `http://host:port`."""
    found = []
    for listening in sockets:
        host, port = listening.getsockname()[:2]
        accepts_ipv4 = listening.family == socket.AF_INET or not listening.getsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
        )
        any_address = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1" if accepts_ipv4 else "::1"}  # noqa: S104 - naming it, not binding it
        shown = any_address.get(host, host)
        found.append(f"{scheme}://[{shown}]:{port}" if ":" in shown else f"{scheme}://{shown}:{port}")
    return found


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp,
    sockets: list[socket.socket],
    *,
    date_header: bool = True,
    web_access: LiveWebConfig | None = None,
    limits: ConnectionLimits | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    prefix: str = "",
) -> AsyncGenerator[None]:
    """Serve requests on the sockets within the context; on exit, responses in flight are finished.

    `prefix` is the common prefix of all paths of the application.
    """
    tracker = ConnectionTracker(limits or limits_for_process(), monotonic)
    logging.getLogger(CLIENTS_LOGGER).setLevel(logging.ERROR)
    config = Config(
        origin_form_only(with_access_control(app, web_access.policy, prefix=prefix) if web_access else app),
        http=partial(HttpConnection, tracker=tracker, web_access=web_access),  # type: ignore[arg-type]  # uvicorn only calls it
        ws="none",
        interface="asgi3",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=date_header,
        backlog=tracker.limits.accepted_at_once,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=tracker.limits.idle_seconds,
    )
    server = _Server(config, tracker)
    listening = [cast("socket.socket", Listener(each, tracker)) for each in sockets]
    task = asyncio.create_task(server.serve(listening), name="web")
    watch = asyncio.create_task(tracker.watch(), name="web-limits")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)
        if task.done():
            task.result()  # raises
        with count_exhaustion(asyncio.get_running_loop()):
            yield
    finally:
        server.should_exit = True
        await asyncio.wait({task})
        watch.cancel()
        await asyncio.wait({watch})
        for each in listening:
            each.close()


class _Server(Server):
    """uvicorn without its signal handlers: the program handles signals, not its web server."""

    def __init__(self, config: Config, tracker: ConnectionTracker) -> None:
        super().__init__(config)
        self._tracker = tracker

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # uvicorn uses one setting for how many connections asyncio accepts at a time and how many the kernel queues.
        for listening in sockets or ():
            listening.listen(BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._tracker.abort_pending()
        await super().shutdown(sockets)
