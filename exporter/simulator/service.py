"""The HTTP endpoint: a signed request in, a page or an error response out."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from email.utils import formatdate
from random import Random
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from exporter.simulator.admin import admin_routes
from exporter.simulator.broken_responses import BROKEN_RESPONSES, FaultContext, pause, to_json
from exporter.simulator.dataset import Dataset
from exporter.simulator.error_responses import API_ERRORS, ApiError
from exporter.simulator.faults import FaultPlan
from exporter.simulator.incidents import parse_incident
from exporter.simulator.options import SimulatorOptions
from exporter.simulator.request_log import ANSWERED, Call, RequestLog
from exporter.simulator.request_parsing import NAMES, parse_query
from exporter.simulator.signature_check import SignedRequest, Verifier
from exporter.simulator.throttle import Throttle, wait_headers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from starlette.requests import Request

    from exporter.core.model import PlayRow
    from exporter.simulator.faults import Fault
    from exporter.simulator.incidents import Incident
    from exporter.simulator.options import Conditions

ACTION: Final = "DescribeVodMediaPlayData"
VERSION: Final = "2017-03-21"
_MAX_BODY: Final = 64 * 1024
_MAX_PARAMETERS: Final = 100
_METHODS: Final = ("GET", "POST")


class Simulator:
    """The service with its state: `dataset`, `conditions` and `request_log`.

    `app` is the ASGI application. The server that runs it must not add a Date header: the responses have the one of
    the simulated clock. `clock` returns seconds since 1970. Raises ValueError for an incident of a media that is not
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
        self.request_log = RequestLog()
        self.conditions = self._options.conditions
        self.app = Starlette(
            routes=[
                Route("/", self._endpoint, methods=_METHODS),
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

    def have_incidents(self, texts: Iterable[str]) -> None:
        """Have these incidents and no others; raises ValueError that says what is allowed."""
        seed, now = self._options.seed, self.now()
        self.dataset.have_incidents(parse_incident(text, seed=seed, now=now) for text in texts)

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
            if request.method not in _METHODS:
                raise _wrong_method()
            body = await _read(request)
            query = _parse_form(request.scope["query_string"])
            received = SignedRequest(request.method, query, _headers(request), body)
            parameters = _parameters(received)
            action = received.headers.get("x-acs-action") or parameters.get("Action", "")
            _check_action(action, received.headers.get("x-acs-version") or parameters.get("Version", ""))
            self._admit(received)
            fault = self._plan.choose(parameters)
            if fault and fault.code in API_ERRORS:
                raise self._injected_error(fault)
            payload = self._page(parameters, request_id)
            headers = self._headers(request_id)
            if fault is None:
                return Response(to_json(payload), headers=headers)
            outcome = fault.code
            return BROKEN_RESPONSES[outcome](FaultContext(payload, headers, self._sleep, self._closing, fault.wait))
        except ApiError as error:
            outcome = error.code
            return self._error_response(error, request_id, request)
        except ClientDisconnect:
            outcome = "disconnect"
            return Response()
        finally:
            known = {name: parameters[name] for name in NAMES if name in parameters}
            self.request_log.add(Call(self.now(), request_id, action if action == ACTION else "other", known, outcome))

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

    def _page(self, parameters: Mapping[str, str], request_id: str) -> dict[str, Any]:
        now = self.now()
        query = parse_query(parameters, now)
        if query.media_id is None:
            result = self.dataset.result_set(query.play_date, query.dimensions, query.order, now=now)
        else:
            counts = self.dataset.counts(query.media_id, query.play_date, query.dimensions, now=now)
            result = [counts] if counts else []
        first = (query.page_no - 1) * query.page_size
        return {
            "RequestId": request_id,
            "TotalCount": len(result),
            "PageNo": query.page_no,
            "PageSize": query.page_size,
            "QoeInfoList": [to_json_row(counts.row()) for counts in result[first : first + query.page_size]],
        }

    def _error_response(self, error: ApiError, request_id: str, request: Request) -> Response:
        body = error.body(request_id, request.headers.get("host", ""))
        return Response(to_json(body), error.status, {**self._headers(request_id), **error.headers})

    async def _no_such_route(self, request: Request, exception: Exception) -> Response:
        """The response to an unknown path or method; Starlette calls this with its HTTPException."""
        allowed = (getattr(exception, "headers", None) or {}).get("Allow")
        if allowed is None:
            error = ApiError("InvalidApi.NotFound")
        elif request.url.path == "/":
            error = _wrong_method()
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


def to_json_row(row: PlayRow) -> dict[str, Any]:
    """A row as the service writes it."""
    return {
        "MediaId": row.media_id,
        "VideoTitle": row.title,
        "VideoDuration": row.media_duration,
        "DAU": row.viewers,
        "PlaySuccessVv": row.plays,
        "PlayPerVv": row.plays_per_viewer,
        "PlayDuration": row.play_duration,
        "PlayDurationPerUv": row.play_duration_per_viewer,
    }


async def _read(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise ApiError("RequestEntityTooLarge")
    return body


def _parse_form(text: bytes) -> list[tuple[str, str]]:
    """The pairs of a query string or form; both `+` and `%20` are a space, as in the service."""
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise ApiError("InvalidParameter", "The query or form is not percent-encoded UTF-8 or has too many.") from None


def _headers(request: Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name = raw_name.decode("ascii", "backslashreplace").lower()
        value = raw_value.decode("utf-8", "backslashreplace")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _parameters(received: SignedRequest) -> dict[str, str]:
    pairs = list(received.query)
    if received.headers.get("content-type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded":
        pairs += _parse_form(received.body)
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise ApiError("InvalidParameter", "A parameter is given more than once.")
    return parameters


def _check_action(action: str, version: str) -> None:
    if not action:
        raise ApiError("MissingAction")
    if not version:
        raise ApiError("MissingVersion")
    if version != VERSION:
        raise ApiError("InvalidApi.NotFound")
    if action != ACTION:
        raise ApiError("InvalidAction.NotFound", action)


def _wrong_method() -> ApiError:
    return ApiError("UnsupportedHTTPMethod", headers={"allow": ", ".join(_METHODS)})
