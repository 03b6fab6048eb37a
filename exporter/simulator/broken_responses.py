"""Responses that no error code describes: not JSON, truncated, late, or with undocumented types."""

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
    """What a broken response is made from: the correct payload and headers, and how to wait.

    `closing` is set when the simulator shuts down: every wait must end then. `wait`: seconds, for `slow`.
    """

    payload: Mapping[str, Any]
    headers: dict[str, str]
    sleep: Callable[[float], Awaitable[None]]
    closing: asyncio.Event
    wait: float | None

    @property
    def body(self) -> bytes:
        """The correct response's body."""
        return to_json(self.payload)


def to_json(payload: Mapping[str, Any]) -> bytes:
    """A JSON object as the service writes it: compact, in UTF-8 without escapes."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


async def pause(seconds: float, sleep: Callable[[float], Awaitable[None]], closing: asyncio.Event) -> None:
    """Sleep, but not past the shutdown of the simulator."""
    with _background(sleep(seconds)) as slept, _background(closing.wait()) as closed:
        await asyncio.wait({slept, closed}, return_when=asyncio.FIRST_COMPLETED)


class Reset(Response):
    """Half of the announced body, then the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Sends an incomplete response; the server closes such a connection."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})


class Stall(Response):
    """No response until the client disconnects; ServiceUnavailable when the simulator shuts down."""

    def __init__(self, context: FaultContext) -> None:
        error = ApiError("ServiceUnavailable")
        body = error.body(context.headers["x-acs-request-id"], "simulator")
        super().__init__(to_json(body), error.status, context.headers)
        self._closing = context.closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits for the disconnect or the shutdown."""
        with _background(_disconnected(receive)) as gone, _background(self._closing.wait()) as closing:
            await asyncio.wait({gone, closing}, return_when=asyncio.FIRST_COMPLETED)
            disconnected = gone.done()
        if not disconnected:
            await super().__call__(scope, receive, send)


class Trickle(Response):
    """The correct response one byte at a time: every read succeeds, all of them together take too long."""

    def __init__(self, context: FaultContext) -> None:
        super().__init__(context.body, headers=context.headers)
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Sends until the body is complete, the client disconnects, or the simulator shuts down."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with _background(_disconnected(receive)) as gone:
            for byte in bytes(self.body):
                if gone.done() or self._context.closing.is_set():
                    return
                await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
                await pause(_TRICKLE_PAUSE, self._context.sleep, self._context.closing)
        await send({"type": "http.response.body", "body": b""})


class Slow(Response):
    """The correct response, late."""

    def __init__(self, context: FaultContext) -> None:
        super().__init__(context.body, headers=context.headers)
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits, then responds."""
        wait = SLOW if self._context.wait is None else self._context.wait
        await pause(wait, self._context.sleep, self._context.closing)
        await super().__call__(scope, receive, send)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.contextmanager
def _background(awaited: Awaitable[Any]) -> Iterator[asyncio.Future[Any]]:
    """Awaits something while the block runs; cancels it at its end."""
    future = asyncio.ensure_future(awaited)
    try:
        yield future
    finally:
        future.cancel()


def _with_rows(context: FaultContext, change: Callable[[str, Any], Any]) -> Response:
    """The correct response with `change` applied to each value of its rows; Ellipsis removes the field."""
    return _json({name: _changed_rows(value, change) for name, value in context.payload.items()}, context)


def _changed_rows(value: Any, change: Callable[[str, Any], Any], *, row: bool = False) -> Any:
    """Rows are objects in lists, with the objects in them: MediaList[].Video, SubCategories.Category[]."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return [_changed_rows(each, change, row=True) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {
        name: _changed_rows(each, change, row=row) if isinstance(each, dict | list) or not row else change(name, each)
        for name, each in value.items()
    }
    return {name: new for name, new in changed.items() if new is not ...}


def _with_lists(context: FaultContext, change: Callable[[Any], Any]) -> Response:
    """The correct response with no rows: `change` gives what is in place of each list, Ellipsis removes it."""
    counts = {name: 0 for name in context.payload if name.startswith(("Total", "SubTotal"))}
    changed = {name: change(value) for name, value in {**context.payload, **counts}.items()}
    return _json({name: value for name, value in changed.items() if value is not ...}, context)


def _is_rows(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(each, list) for each in value.values())
    return isinstance(value, list)


def _json(payload: Mapping[str, Any], context: FaultContext, status: int = 200) -> Response:
    return Response(to_json(payload), status, context.headers)


def _text(body: str, context: FaultContext, status: int = 200) -> Response:
    return Response(body, status, {**context.headers, "content-type": "text/html; charset=utf-8"})


def _lower_case(context: FaultContext) -> Response:
    error = ApiError("InternalError")
    body = error.body(context.headers["x-acs-request-id"], "simulator")
    return _json({name[0].lower() + name[1:]: value for name, value in body.items()}, context, error.status)


_KEYS: Final = ("MediaId", "VideoId", "CateId", "TimeStamp")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _status(status: int, title: str) -> Callable[[FaultContext], Response]:
    return lambda context: _text(_HTML.format(title=f"{status} {title}"), context, status)


# The names are the simulator's own; none of them is an error code of the service.
BROKEN_RESPONSES: Final[dict[str, Callable[[FaultContext], Response]]] = {
    # Bodies that are not JSON.
    "html": lambda context: _text(_HTML.format(title="Welcome"), context),
    "empty": lambda context: Response(b"", headers=context.headers),
    "truncated": lambda context: Response(context.body[: len(context.body) // 2], headers=context.headers),
    **{f"http_{status}": _status(status, title) for status, title in _STATUSES.items()},
    # Connections that break or take too long.
    "reset": lambda context: Reset(context.body, headers=context.headers),
    "stall": Stall,
    "trickle": Trickle,
    "slow": Slow,
    # Correct responses in the types and key formats of other generations of the service.
    "lower_case": _lower_case,
    "strings": lambda context: _with_rows(context, lambda _, value: str(value) if _is_number(value) else value),
    "nulls": lambda context: _with_rows(context, lambda name, value: value if name in _KEYS else None),
    "missing": lambda context: _with_rows(context, lambda name, value: value if name in _KEYS else ...),
    "null_list": lambda context: _with_lists(context, lambda value: None if _is_rows(value) else value),
    "no_list": lambda context: _with_lists(context, lambda value: ... if _is_rows(value) else value),
}
