"""The admin API for tests, JSON over HTTP: changes the conditions of a running simulator, lists its calls.

GET    /_admin/conditions   the conditions, without secrets
PATCH  /_admin/conditions   change the given ones: {"latency": 0.03, "faults": [{"code": "html", "times": 1}]}
GET    /_admin/calls        {"counts": {action: {outcome: n}}, "calls": [latest calls, oldest first]}
DELETE /_admin/calls        clear both
GET    /_admin/incidents    the incidents: [{"kind": "os", "os": "Android", "change": -0.95, "first": ...}]
PUT    /_admin/incidents    have others, as in --incident, days from the simulated now: ["os:Android@0"]
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.faults import Fault
from exporter.simulator.options import Conditions
from exporter.simulator.variants import Variants

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from exporter.simulator.incidents import Incident
    from exporter.simulator.request_log import RequestLog

_SECRETS: Final = ("access_key_secret", "security_token")
_REJECTED: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class AdminTarget(Protocol):
    """The simulator, as far as the admin API needs it."""

    conditions: Conditions

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """What loses plays, and when."""
        ...

    def set_incidents(self, texts: Iterable[str]) -> None:
        """Replace the incidents; raises ValueError that says what is allowed."""

    @property
    def request_log(self) -> RequestLog:
        """The calls and their counts."""
        ...


def admin_routes(simulator: AdminTarget) -> list[Route]:
    """The routes below `/_admin/` for one simulator."""

    async def conditions(request: Request) -> Response:
        if request.method == "PATCH":
            try:
                simulator.conditions = patched(simulator.conditions, await request.body())
            except _REJECTED as error:
                return _rejection(error)
        return _json(_without_secrets(simulator.conditions))

    async def calls(request: Request) -> Response:
        if request.method == "DELETE":
            simulator.request_log.clear()
            return Response(status_code=204)
        return _json({"counts": simulator.request_log.counts, "calls": simulator.request_log.calls})

    async def incidents(request: Request) -> Response:
        if request.method == "PUT":
            try:
                simulator.set_incidents(msgspec.json.decode(await request.body(), type=list[str]))
            except _REJECTED as error:
                return _rejection(error)
        return _json(simulator.incidents)

    return [
        Route("/_admin/conditions", conditions, methods=["GET", "PATCH"]),
        Route("/_admin/calls", calls, methods=["GET", "DELETE"]),
        Route("/_admin/incidents", incidents, methods=["GET", "PUT"]),
    ]


def patched(conditions: Conditions, patch: bytes) -> Conditions:
    """The conditions with the fields of a JSON object replaced; raises one of `_REJECTED` for a bad one."""
    changes = msgspec.json.decode(patch, type=dict[str, Any])
    _check_names("", changes, Conditions)
    for index, fault in enumerate(_list_or_empty(changes.get("faults"))):
        _check_names(f"faults[{index}].", fault, Fault)
    _check_names("credentials.", changes.get("credentials"), AccessKeyPair)
    _check_names("variants.", changes.get("variants"), Variants)
    return msgspec.convert({**msgspec.to_builtins(conditions), **changes}, Conditions)


def _check_names(prefix: str, value: object, type_: type) -> None:
    known = [field.name for field in fields(type_)]
    for name in value if isinstance(value, dict) else ():
        if name not in known:
            raise ValueError(f"{prefix}{name} is not one of {', '.join(known)}")


def _list_or_empty(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _without_secrets(conditions: Conditions) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(conditions)
    for name in _SECRETS:
        document["credentials"].pop(name, None)
    return document


def _rejection(error: Exception) -> Response:
    return _json({"error": "nested too deeply" if isinstance(error, RecursionError) else str(error)}, 400)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
