"""A metrics source with fixed data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.errors import ExporterError
from exporter.exposition.negotiation import respond
from exporter.exposition.render import Renderer
from tests.exposition.examples import example, full_telemetry
from tests.status.examples import EXPECTING, known, observed, weekly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.exposition.negotiation import Response
    from exporter.status.model import StatusInput

OBSERVED = observed(
    *weekly({"a": (7, 300, 300, 300), "<b>": (1, None, 1, None)}),
    known(1, {"x": None}, account="second"),
    known(8, {"x": 1}, settled=False, account="second"),
    queries=[EXPECTING, replace(EXPECTING, name="second", account="second")],
)
RELOAD_REFUSED = "config.yaml:1:1: is empty"


class Shown:
    """Implements the protocols of the application."""

    def __init__(self) -> None:
        self._rendered = Renderer().render(example())
        self._telemetry = full_telemetry()

    async def scrape(self, accept: str | None, accept_encoding: str | None) -> Response:
        return self.answer(accept, accept_encoding)

    def answer(self, accept: str | None, accept_encoding: str | None) -> Response:
        return respond(self._rendered, self._telemetry, accept=accept, accept_encoding=accept_encoding)

    def pending_queries(self) -> Sequence[str]:
        return ("q",)

    async def status(self) -> StatusInput:
        return OBSERVED

    async def reload(self) -> None:
        raise ExporterError(RELOAD_REFUSED)
