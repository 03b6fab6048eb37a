"""Warn about an endpoint whose host is probably wrong."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

# https://help.aliyun.com/zh/vod/developer-reference/api-vod-2017-03-21-describevodmediaplaydata
DOCUMENTED: Final = ("vod.cn-shanghai.aliyuncs.com", "vod-vpc.cn-shanghai.aliyuncs.com")
_OF_A_REGION: Final = re.compile(r"vod(?:-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com")
_PRIVATE_NAMES: Final = (".internal", ".local", ".localhost", ".svc", ".test")


def endpoint_warning(endpoint: str) -> str:
    """One sentence; empty for a documented endpoint and for a private host."""
    host = (urlsplit(endpoint).hostname or "").rstrip(".")
    if host in DOCUMENTED or _is_private(host):
        return ""
    documented = f"the service is documented at {' and, inside a VPC, '.join(DOCUMENTED)} only"
    if found := _OF_A_REGION.fullmatch(host):
        return (
            f"endpoint {host}: {documented}, which answers for every region;"
            f" for the plays of one, write dimensions: [{{region: [{found['region']}]}}]"
        )
    if host.endswith(".aliyuncs.com"):
        return f"endpoint {host}: {documented}"
    return f"endpoint {host}: {documented}. Another host is right only where it passes requests on to that"


def _is_private(host: str) -> bool:
    """Whether a host is a private address, or a name that does not exist on the internet."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_NAMES)
