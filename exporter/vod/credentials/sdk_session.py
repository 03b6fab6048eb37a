"""The HTTP session of the credentials library: with the proxies and authorities that requests to the API use."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import requests

from exporter.vod.credentials.providers import METADATA_SERVICE
from exporter.vod.proxies import DEFAULT_PORTS, authority, proxy_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.vod.proxies import Proxy

_METADATA_HOST: Final = urlsplit(METADATA_SERVICE).hostname


class ProxySession(requests.Session):
    """A session that reads the proxy variables in the same way as requests to the API.

    The library itself ignores NO_PROXY and ALL_PROXY, and prefers the upper-case names.
    """

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request. Raises StartError if the variable that counts is not the URL of a proxy."""
        url = urlsplit(request.url or "")
        if url.hostname and url.hostname != _METADATA_HOST:  # proxies cannot reach it, so its proxy is set separately
            options["proxies"] = _proxies(url.scheme, url.hostname, url.port, os.environ)
        # Behind a proxy, requests would trust the authorities of certifi only.
        directories = [each for each in os.environ.get("SSL_CERT_DIR", "").split(os.pathsep) if each]
        # requests takes one directory only.
        if authorities := os.environ.get("SSL_CERT_FILE") or next(filter(os.path.isdir, directories), None):
            options["verify"] = authorities
        return super().send(request, **options)


def _proxies(scheme: str, host: str, port: int | None, variables: Mapping[str, str]) -> dict[str, str]:
    proxy = proxy_for(scheme, host, port or DEFAULT_PORTS[scheme], variables)
    return {scheme: _url(proxy)} if proxy is not None else {}


def _url(proxy: Proxy) -> str:
    # The library encodes user and password as Latin-1, so each character here represents one byte to send.
    user, colon, password = base64.b64decode(proxy.authorization[len("Basic ") :]).decode("latin-1").partition(":")
    user_info = f"{quote(user, safe='')}:{quote(password, safe='')}@" if colon else ""
    return f"{proxy.scheme}://{user_info}{authority(proxy.host, proxy.port)}"
