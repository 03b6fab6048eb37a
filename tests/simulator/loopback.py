"""Serves a simulator on a loopback port, as the commands do."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from exporter.web.server import bound, serving, urls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exporter.simulator.service import Simulator


@asynccontextmanager
async def listening(simulator: Simulator) -> AsyncIterator[str]:
    """Yields its URL."""
    with bound(["127.0.0.1:0"]) as sockets:
        async with serving(simulator.app, sockets, date_header=False):
            try:
                yield urls(sockets)[0]
            finally:
                simulator.close()
