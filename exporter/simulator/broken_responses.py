"""Answers no error code describes: not JSON, not whole, not in time, or with other types than documented."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from exporter.simulator.error_responses import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from starlette.types import Receive, Scope, Send

SLOW: Final = 3.0
_TRICKLE_PAUSE: Final = 0.2
_HTML: Final = "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
_STATUSES: Final = {
    408: "Request Timeout",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
}


@dataclass(frozen=True, slots=True)
class FaultContext:
    """What a misbehaviour starts from: the right answer, the headers of any answer, and how to wait.

    `closing` is set when the simulator shuts down: whoever waits must stop. `wait`: seconds, for `slow`.
    """

    payload: Mapping[str, Any]
    headers: dict[str, str]
    sleep: Callable[[float], Awaitable[None]]
    closing: asyncio.Event
    wait: float | None = None

    @property
    def body(self) -> bytes:
        """The right answer's bytes."""
        return to_json(self.payload)


def to_json(payload: Mapping[str, Any]) -> bytes:
    """A JSON object as the service writes it: compact, in UTF-8 without escapes."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


async def pause(seconds: float, sleep: Callable[[float], Awaitable[None]], closing: asyncio.Event) -> None:
    """Sleep, but no longer than the simulator lives."""
    with _told(sleep(seconds)) as slept, _told(closing.wait()) as closed:
        await asyncio.wait({slept, closed}, return_when=asyncio.FIRST_COMPLETED)


class Reset(Response):
    """Half of the body, then the connection is closed though more was announced."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """The server closes a connection whose response was begun and not completed."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})


class Stall(Response):
    """Says nothing until the client gives up or the simulator shuts down; then ServiceUnavailable."""

    def __init__(self, setting: FaultContext) -> None:
        refusal = ApiError("ServiceUnavailable")
        said = refusal.body(setting.headers["x-acs-request-id"], "simulator")
        super().__init__(to_json(said), refusal.status, setting.headers)
        self._closing = setting.closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits for either."""
        with _told(_gone(receive)) as gone, _told(self._closing.wait()) as closing:
            await asyncio.wait({gone, closing}, return_when=asyncio.FIRST_COMPLETED)
            given_up = gone.done()
        if not given_up:
            await super().__call__(scope, receive, send)


class Trickle(Response):
    """The right answer a byte at a time: each read succeeds, all of them together take too long."""

    def __init__(self, setting: FaultContext) -> None:
        super().__init__(setting.body, headers=setting.headers)
        self._setting = setting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Goes on until all is said, the client gives up, or the simulator shuts down."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with _told(_gone(receive)) as gone:
            for byte in bytes(self.body):
                if gone.done() or self._setting.closing.is_set():
                    return
                await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
                await pause(_TRICKLE_PAUSE, self._setting.sleep, self._setting.closing)
        await send({"type": "http.response.body", "body": b""})


class Slow(Response):
    """The right answer, late."""

    def __init__(self, setting: FaultContext) -> None:
        super().__init__(setting.body, headers=setting.headers)
        self._setting = setting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits, and answers."""
        wait = SLOW if self._setting.wait is None else self._setting.wait
        await pause(wait, self._setting.sleep, self._setting.closing)
        await super().__call__(scope, receive, send)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.contextmanager
def _told(awaited: Awaitable[Any]) -> Iterator[asyncio.Future[Any]]:
    """Something to hear of while in this block, and not a moment longer."""
    future = asyncio.ensure_future(awaited)
    try:
        yield future
    finally:
        future.cancel()


def _with_rows(setting: FaultContext, change: Callable[[str, Any], Any]) -> Response:
    """The right answer, each value of its rows changed; what is changed to Ellipsis is left out."""
    rows = [
        {name: new for name, value in row.items() if (new := change(name, value)) is not ...}
        for row in setting.payload["QoeInfoList"]
    ]
    return _json({**setting.payload, "QoeInfoList": rows}, setting)


def _json(payload: Mapping[str, Any], setting: FaultContext, status: int = 200) -> Response:
    return Response(to_json(payload), status, setting.headers)


def _text(body: str, setting: FaultContext, status: int = 200) -> Response:
    return Response(body, status, {**setting.headers, "content-type": "text/html; charset=utf-8"})


def _lower_case(setting: FaultContext) -> Response:
    refusal = ApiError("InternalError")
    said = refusal.body(setting.headers["x-acs-request-id"], "simulator")
    return _json({name[0].lower() + name[1:]: value for name, value in said.items()}, setting, refusal.status)


def _a_number(name: str) -> bool:
    return name not in ("MediaId", "VideoTitle")


def _status(status: int, title: str) -> Callable[[FaultContext], Response]:
    return lambda setting: _text(_HTML.format(title=f"{status} {title}"), setting, status)


# Names of our own; none of them is a code of the service.
BROKEN_RESPONSES: Final[dict[str, Callable[[FaultContext], Response]]] = {
    # Bodies that are no answer.
    "html": lambda setting: _text(_HTML.format(title="Welcome"), setting),
    "empty": lambda setting: Response(b"", headers=setting.headers),
    "truncated": lambda setting: Response(setting.body[: len(setting.body) // 2], headers=setting.headers),
    **{f"http_{status}": _status(status, title) for status, title in _STATUSES.items()},
    # Connections that break or take too long.
    "reset": lambda setting: Reset(setting.body, headers=setting.headers),
    "stall": Stall,
    "trickle": Trickle,
    "slow": Slow,
    # Answers that are right, in types and spellings other generations of the service use.
    "lower_case": _lower_case,
    "strings": lambda setting: _with_rows(setting, lambda name, value: str(value) if _a_number(name) else value),
    "nulls": lambda setting: _with_rows(setting, lambda name, value: value if name == "MediaId" else None),
    "missing": lambda setting: _with_rows(setting, lambda name, value: value if name == "MediaId" else ...),
    "null_list": lambda setting: _json({**setting.payload, "TotalCount": 0, "QoeInfoList": None}, setting),
    "no_list": lambda setting: _json({"RequestId": setting.payload["RequestId"], "TotalCount": 0}, setting),
}
