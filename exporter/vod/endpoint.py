"""The endpoint of an account: its URL, and the route to it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import httpx

from exporter.errors import StartError
from exporter.vod.network_route import Route
from exporter.vod.proxies import DEFAULT_PORTS, proxy_for
from exporter.vod.tls_trust import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from exporter.vod.network_route import Resolve


def parse_endpoint(account: str, text: str) -> httpx.URL:
    """`http(s)://host[:port]` as a URL with the path `/`. Raises StartError for any other text."""
    with suppress(httpx.InvalidURL, UnicodeError):
        url = httpx.URL(text)
        bare = not url.userinfo and url.raw_path == b"/" and "#" not in text
        if bare and url.scheme in ("http", "https") and url.host and (url.port is None or url.port in range(1, 65536)):
            return url.copy_with(path="/")
    # The text is not shown: it may contain a password.
    raise StartError(f"account {account}: the endpoint is not a URL like https://vod.cn-shanghai.aliyuncs.com")


def route_to(
    account: str,
    endpoint: httpx.URL,
    resolve: Resolve,
    variables: Mapping[str, str],
    tls: Callable[[], ssl.SSLContext] | None,
) -> Route:
    """The way to an endpoint, through the proxy that `variables` name for it. Raises StartError for invalid variables.

    `tls` makes the context if the connection is encrypted; without it the authorities are those of `variables`.
    """
    scheme, host = endpoint.scheme, endpoint.raw_host.decode("ascii")
    port = endpoint.port or DEFAULT_PORTS[scheme]
    try:
        proxy = proxy_for(scheme, host, port, variables)
        is_encrypted = scheme == "https" or (proxy is not None and proxy.scheme == "https")
        context = (tls() if tls else tls_context(variables)) if is_encrypted else None
        return Route(scheme, host, port, proxy, context, resolve)
    except StartError as error:
        raise StartError(f"account {account}: {error}") from None
