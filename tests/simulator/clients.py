"""A client for the tests with its own signer; calls the application without a socket."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import httpx

from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.calendar import start_of_day
from exporter.simulator.options import Conditions, SimulatorOptions
from exporter.simulator.service import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

TODAY = datetime(2026, 3, 18, tzinfo=UTC).date()
NOON = start_of_day(TODAY) + 12 * 3600
HOST = "vod.example"
PAGE = {"PageNo": "1", "PageSize": "100", "PlayDate": "20260316"}

_nonces = itertools.count()


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def signed(
    parameters: Mapping[str, str],
    *,
    now: float = NOON,
    credentials: AccessKeyPair | None = None,
    method: str = "POST",
    body: bytes = b"",
    nonce: str | None = None,
    extra: Mapping[str, str] | None = None,
    host: str = HOST,
) -> dict[str, str]:
    """The headers of a request with those query parameters; `extra` are signed too and may replace any."""
    credentials = credentials or AccessKeyPair()
    headers = {
        "host": host,
        "x-acs-action": "DescribeVodMediaPlayData",
        "x-acs-version": "2017-03-21",
        "x-acs-date": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce or f"nonce-{next(_nonces)}",
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    if credentials.security_token is not None:
        headers["x-acs-security-token"] = credentials.security_token
    headers |= extra or {}
    names = sorted(headers)
    query = "&".join(f"{quote(name, safe='~')}={quote(parameters[name], safe='~')}" for name in sorted(parameters))
    lines = [method, "/", query, *(f"{name}:{headers[name]}" for name in names), "", ";".join(names)]
    canonical = "\n".join([*lines, headers["x-acs-content-sha256"]])
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(credentials.access_key_secret.encode(), to_sign.encode(), "sha256").hexdigest()
    headers["authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={credentials.access_key_id},SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return headers


class Client:
    """Sends signed requests to a simulator as the exporter does."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock, host: str = HOST) -> None:
        self.http = http
        self._clock = clock
        self._host = host

    async def request(self, parameters: Mapping[str, str] | None = None, **signing: Any) -> httpx.Response:
        """One request; with PAGE by default."""
        query = dict(PAGE if parameters is None else parameters)
        headers = signed(query, **{"now": self._clock.now, "host": self._host, **signing})
        url = f"/?{urlencode(query)}" if query else "/"
        return await self.http.request(
            signing.get("method", "POST"), url, headers=headers, content=signing.get("body", b"")
        )


@asynccontextmanager
async def client_of(simulator: Simulator, clock: Clock) -> AsyncIterator[Client]:
    transport = httpx.ASGITransport(simulator.app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as http:
        yield Client(http, clock)


async def no_sleep(_: float) -> None:
    """A sleep that returns immediately."""


def simulator(clock: Clock, **settings: Any) -> Simulator:
    """A simulator of 30 media at noon; keywords that SimulatorOptions does not have become conditions."""
    own = {name: settings.pop(name) for name in ("seed", "media", "incidents", "admin") if name in settings}
    return Simulator(
        SimulatorOptions(**{"media": 30, **own}, conditions=Conditions(**settings)), clock=clock, sleep=no_sleep
    )
