"""The HTTP endpoint: a signed request in, the response of its action or an error out."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from email.utils import formatdate
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from exporter.simulator.actions import actions_of, check_action, in_service_format
from exporter.simulator.admin import admin_routes
from exporter.simulator.broken_responses import BROKEN_RESPONSES, FaultContext, pause, to_json
from exporter.simulator.dataset import Dataset
from exporter.simulator.error_responses import API_ERRORS, ApiError
from exporter.simulator.faults import FaultPlan
from exporter.simulator.incidents import parse_incident
from exporter.simulator.media_library import MediaLibrary
from exporter.simulator.options import SimulatorOptions
from exporter.simulator.received_request import METHODS, parameters_of, receive, wrong_method
from exporter.simulator.request_log import ANSWERED, LoggedCall, RequestLog
from exporter.simulator.request_parsing import NAMES
from exporter.simulator.signature_check import Verifier
from exporter.simulator.throttle import Throttle, wait_headers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request

    from exporter.simulator.faults import Fault
    from exporter.simulator.incidents import Incident
    from exporter.simulator.options import Conditions
    from exporter.simulator.signature_check import SignedRequest


class Simulator:
    """The service with its state: `dataset`, `library`, `actions`, `conditions` and `request_log`.

    `app` is the ASGI application. The server that runs it must not add a Date header: the responses have the one of
    the simulated clock. `clock` returns seconds since 1970. Raises ValueError for an incident of a video that is not
    in the account.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = options or SimulatorOptions()
        self._clock = clock
        self._sleep = sleep
        self._request_ids = Random(self._options.seed)
        self._verifier = Verifier()
        self._closing = asyncio.Event()
        self.dataset = Dataset(self._options.seed, self._options.media, self._options.incidents)
        self.library = MediaLibrary(self.dataset.media)
        self.actions = actions_of(self.dataset, self.library)
        self.request_log = RequestLog()
        self.conditions = self._options.conditions
        self.app = Starlette(
            routes=[
                Route("/", self._endpoint, methods=METHODS),
                *(admin_routes(self) if self._options.admin else []),
            ],
            exception_handlers={HTTPException: self._no_such_route},
        )

    @property
    def conditions(self) -> Conditions:
        """The current conditions; setting them restarts faults and throttling."""
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._plan = FaultPlan(conditions.faults, self._options.seed)
        self._throttle = Throttle(conditions.rate, self._clock())
        self.dataset.recover(conditions.recover_on)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """What loses plays, and when; `recover_on` ends all of it."""
        return self.dataset.incidents

    def set_incidents(self, texts: Iterable[str]) -> None:
        """Replace the incidents; raises ValueError that says what is allowed."""
        seed, now = self._options.seed, self.now()
        self.dataset.set_incidents(parse_incident(text, seed=seed, now=now) for text in texts)

    def change(self, **changes: Any) -> None:
        """Replace some of the conditions, by name."""
        self.conditions = replace(self.conditions, **changes)

    def now(self) -> float:
        """The service's clock in seconds since 1970, with `clock_offset`."""
        return self._clock() + self.conditions.clock_offset

    def close(self) -> None:
        """End all pending responses; call it in the serving loop before the server stops."""
        self._closing.set()

    async def _endpoint(self, request: Request) -> Response:
        if self.conditions.latency:
            await pause(self.conditions.latency, self._sleep, self._closing)
        request_id = self._request_id()
        parameters: dict[str, str] = {}
        action, outcome = "", ANSWERED
        try:
            received = await receive(request)
            parameters = parameters_of(received)
            action = received.headers.get("x-acs-action") or parameters.get("Action", "")
            version = received.headers.get("x-acs-version") or parameters.get("Version", "")
            check_action(action, version, self.actions)
            self._admit(received)
            fault = self._plan.choose({**parameters, "Action": action})
            if fault and fault.code in API_ERRORS:
                raise self._injected_error(fault)
            variants = self.conditions.variants
            response = self.actions[action].respond(parameters, self.now(), variants)
            payload = {"RequestId": request_id, **in_service_format(response, action, variants)}
            headers = self._headers(request_id)
            if fault is None:
                return Response(to_json(payload), headers=headers)
            outcome = fault.code
            return BROKEN_RESPONSES[outcome](FaultContext(payload, headers, self._sleep, self._closing, fault.wait))
        except ApiError as error:
            outcome = error.code
            return self._error_response(error, request_id, request, action)
        except ClientDisconnect:
            outcome = "disconnect"
            return Response()
        finally:
            named = self.actions[action].names if action in self.actions else NAMES
            known = {name: parameters[name] for name in named if name in parameters}
            name = action if action in self.actions else "other"
            self.request_log.add(LoggedCall(self.now(), request_id, name, known, outcome))

    def _admit(self, received: SignedRequest) -> None:
        conditions = self.conditions
        self._verifier.verify(received, conditions.credentials, now=self.now(), token_expired=conditions.token_expired)
        if wait := self._throttle.admit(self._clock()):
            headers = wait_headers(conditions.wait_header, wait, conditions.rate)
            raise ApiError("Throttling.User", headers=headers)

    def _injected_error(self, fault: Fault) -> ApiError:
        headers = (
            {} if fault.wait is None else wait_headers(self.conditions.wait_header, fault.wait, self.conditions.rate)
        )
        return ApiError(fault.code, "on demand", headers=headers)

    def _error_response(self, error: ApiError, request_id: str, request: Request, action: str = "") -> Response:
        body = error.body(request_id, request.headers.get("host", ""), action)
        return Response(to_json(body), error.status, {**self._headers(request_id), **error.headers})

    async def _no_such_route(self, request: Request, exception: Exception) -> Response:
        """The response to an unknown path or method; Starlette calls this with its HTTPException."""
        allowed = (getattr(exception, "headers", None) or {}).get("Allow")
        if allowed is None:
            error = ApiError("InvalidApi.NotFound")
        elif request.url.path == "/":
            error = wrong_method()
        else:
            error = ApiError("UnsupportedHTTPMethod", headers={"allow": ", ".join(sorted(allowed.split(", ")))})
        return self._error_response(error, self._request_id(), request)

    def _headers(self, request_id: str) -> dict[str, str]:
        return {
            "content-type": "application/json;charset=utf-8",
            "date": formatdate(self.now(), usegmt=True),
            "x-acs-request-id": request_id,
        }

    def _request_id(self) -> str:
        return str(UUID(int=self._request_ids.getrandbits(128))).upper()
