"""An HTTP request as the gateway reads it: body, headers and parameters, or the error that it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from exporter.simulator.error_responses import ApiError
from exporter.simulator.signature_check import SignedRequest

if TYPE_CHECKING:
    from starlette.requests import Request

METHODS: Final = ("GET", "POST")
_MAX_BODY: Final = 64 * 1024
_MAX_PARAMETERS: Final = 100


async def receive(request: Request) -> SignedRequest:
    """The request with its body; raises ApiError."""
    if request.method not in METHODS:
        raise wrong_method()
    body = await _read(request)
    query = _parse_form(request.scope["query_string"])
    return SignedRequest(request.method, query, _headers(request), body)


def parameters_of(received: SignedRequest) -> dict[str, str]:
    """The parameters of the query and of a form in the body; raises ApiError."""
    pairs = list(received.query)
    if received.headers.get("content-type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded":
        pairs += _parse_form(received.body)
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise ApiError("InvalidParameter", "A parameter is given more than once.")
    return parameters


def wrong_method() -> ApiError:
    """The error for any other method."""
    return ApiError("UnsupportedHTTPMethod", headers={"allow": ", ".join(METHODS)})


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
