from __future__ import annotations

import pytest

from exporter.commands.endpoint_check import DOCUMENTED, endpoint_warning


@pytest.mark.parametrize(
    "endpoint",
    [
        *(f"https://{host}" for host in DOCUMENTED),
        "http://vod-vpc.cn-shanghai.aliyuncs.com",
        "https://VOD.cn-shanghai.aliyuncs.com.:443",
        "http://127.0.0.1:9986",
        "http://[::1]:9986",
        "http://10.1.2.3",
        "http://simulator:9986",
        "http://simulator.monitoring.svc:9986",
        "https://vod.corp.internal",
    ],
)
def test_documented_and_private_endpoints_cause_no_warning(endpoint: str) -> None:
    assert endpoint_warning(endpoint) == ""


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://vod.cn-beijing.aliyuncs.com", "write dimensions: [{region: [cn-beijing]}]"),
        ("https://vod-vpc.ap-southeast-1.aliyuncs.com:443", "write dimensions: [{region: [ap-southeast-1]}]"),
        ("https://vod.aliyuncs.com", "endpoint vod.aliyuncs.com: the service is documented at vod.cn-shanghai.aliy"),
        ("https://ecs.cn-shanghai.aliyuncs.com", "endpoint ecs.cn-shanghai.aliyuncs.com: the service is documented"),
        ("https://vod.cn-shanghai.aliyuncs.co", "Another host is right only where it passes requests on"),
        ("https://8.8.8.8", "Another host is right only where it passes requests on"),
    ],
)
def test_any_other_host_causes_a_warning_with_the_right_ones(endpoint: str, expected: str) -> None:
    assert expected in endpoint_warning(endpoint)
    assert "at vod.cn-shanghai.aliyuncs.com and, inside a VPC, vod-vpc.cn-shanghai.aliyuncs.com" in endpoint_warning(
        endpoint
    )
