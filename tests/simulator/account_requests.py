"""Signed requests of any action to a simulator, as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulator.clients import client_of

if TYPE_CHECKING:
    from exporter.simulator.service import Simulator
    from tests.simulator.clients import Clock


async def requested(service: Simulator, clock: Clock, action: str, **parameters: object) -> dict[str, Any]:
    """The JSON of one response, an error's too."""
    async with client_of(service, clock) as client:
        texts = {name: str(value) for name, value in parameters.items()}
        document: dict[str, Any] = (await client.request(texts, extra={"x-acs-action": action})).json()
    return document


def ids(document: dict[str, Any]) -> list[str]:
    """The IDs in a response of SearchMedia."""
    return [row["MediaId"] for row in document["MediaList"]]
