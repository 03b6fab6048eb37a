from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.negotiation import negotiate, respond
from exporter.exposition.render import Renderer
from tests.exposition.examples import OPENMETRICS, example, new_telemetry

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
PLAIN_1 = "text/plain; version=1.0.0; charset=utf-8; escaping="
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"


# The headers that Prometheus sends.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, PLAIN),
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/*", PLAIN),
        ("text/plain", PLAIN),
        ("text/plain;version=0.0.4", PLAIN),
        ("TEXT/PLAIN; Version=0.0.4", PLAIN),
        ("text/plain; version=1.0.0", PLAIN_1 + "underscores"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", PLAIN_1 + "allow-utf-8"),
        ("application/openmetrics-text", OPEN + "; escaping=underscores"),
        ("application/openmetrics-text; version=1.0.0", OPEN + "; escaping=underscores"),
        ('application/openmetrics-text; version="1.0.0"; escaping=allow-utf-8', OPEN + "; escaping=allow-utf-8"),
        # Escaping schemes that would rename our own metrics but not the play metrics are not offered.
        ("application/openmetrics-text;version=1.0.0;escaping=dots", OPEN + "; escaping=underscores"),
        ("application/openmetrics-text;version=1.0.0;escaping=values", OPEN + "; escaping=underscores"),
        # The highest q wins, then the more specific, then the first.
        ("application/openmetrics-text;q=0.1,text/plain;q=0.2", PLAIN),
        ("text/plain;q=0.2,application/openmetrics-text;q=0.3", OPEN + "; escaping=underscores"),
        ("text/plain,application/openmetrics-text", PLAIN),
        ("application/openmetrics-text,text/plain", OPEN + "; escaping=underscores"),
        ("*/*,application/openmetrics-text", OPEN + "; escaping=underscores"),
        ("application/openmetrics-text;q=0,text/plain;q=0.1", PLAIN),
        # Formats that are not offered.
        ("application/openmetrics-text;version=2.0.0,text/plain;version=1.0.0;q=0.5", PLAIN_1 + "underscores"),
        ("application/openmetrics-text;version=banana", PLAIN),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", PLAIN),
        ("text/html,application/xhtml+xml,*/*;q=0.8", PLAIN),
        ("text/plain;version=1.0.0;q=nan", PLAIN),
        ("text/plain;version=1.0.0;q=7", PLAIN),
        (PROMETHEUS_2, OPEN + "; escaping=underscores"),
        (PROMETHEUS_3, OPEN + "; escaping=allow-utf-8"),
    ],
)
def test_the_format_follows_the_accept_header(accept: str | None, content_type: str) -> None:
    assert negotiate(accept, None).content_type == content_type


@pytest.mark.parametrize(
    ("accept_encoding", "packed"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZip", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("br", False),
        ("identity", False),
        ("gzip;q=0.5, identity;q=0.9", False),
        ("gzip;q=0.9, identity;q=0.5", True),
        ("identity;q=0, gzip;q=0.1", True),
        ("identity;q=0", True),
        ("identity;q=0, br", True),
        ("identity;q=0, *;q=0", False),
        ("identity;q=0, gzip;q=0", False),
        ("gzip;q=banana", False),
        ("gzip;q=-1", False),
        ("gzippy", False),
    ],
)
def test_gzip_follows_the_accept_encoding_header(accept_encoding: str | None, packed: bool) -> None:  # noqa: FBT001
    assert negotiate(None, accept_encoding).gzip is packed


headers = st.none() | st.text() | st.text(alphabet='textplain/*;,=q.01" versionapplication/openmetrics-text')


@given(headers, headers)
def test_any_header_gets_a_response(accept: str | None, accept_encoding: str | None) -> None:
    chosen = negotiate(accept, accept_encoding)
    assert chosen.content_type.startswith((PLAIN, PLAIN_1, OPEN))
    assert chosen.content_type.isprintable()


@pytest.mark.parametrize("version", ["2.0.0", "99", "1.0.0\r\nSet-Cookie: x", "", "1..0", "٣"])
def test_the_content_type_repeats_no_text_of_the_client(version: str) -> None:
    accept = f"application/openmetrics-text;version={version};escaping={version}"
    assert negotiate(accept, None).content_type in {PLAIN, OPEN + "; escaping=underscores"}


@pytest.mark.parametrize("accept", [None, "text/plain;version=1.0.0", OPENMETRICS])
def test_play_metrics_come_first_then_our_own(accept: str | None) -> None:
    rendered = Renderer().render(example())
    answer = respond(rendered, new_telemetry(), accept=accept)
    assert answer.content_encoding is None
    assert answer.content_type == negotiate(accept, None).content_type
    assert answer.body.startswith(rendered.plain + b"# HELP aliyun_vod_api_requests")
    assert b"\nprocess_resident_memory_bytes " in answer.body
    assert answer.body.count(b"# EOF") == (1 if accept == OPENMETRICS else 0)
    assert answer.body.endswith(b"# EOF\n") is (accept == OPENMETRICS)


@pytest.mark.parametrize("accept", [None, OPENMETRICS])
def test_gzip_is_one_member_with_the_same_metrics(accept: str | None) -> None:
    rendered, ours = Renderer().render(example()), new_telemetry()
    answer = respond(rendered, ours, accept=accept, accept_encoding="gzip")
    assert answer.content_encoding == "gzip"
    strict = zlib.decompressobj(wbits=31)
    body = strict.decompress(answer.body)
    assert (strict.eof, strict.unused_data) == (True, b"")
    assert gzip.decompress(answer.body) == body

    def steady(exposition: bytes) -> list[bytes]:
        """Remove the metrics of the process, which change all the time."""
        return [line for line in exposition.split(b"\n") if not line.startswith((b"process_", b"python_gc_"))]

    assert steady(body) == steady(respond(rendered, ours, accept=accept).body)


@pytest.mark.parametrize("accept_encoding", [None, "gzip"])
@pytest.mark.parametrize("accept", [None, OPENMETRICS])
def test_the_length_is_that_of_the_parts(accept: str | None, accept_encoding: str | None) -> None:
    answer = respond(Renderer().render(example()), new_telemetry(), accept=accept, accept_encoding=accept_encoding)
    assert answer.length == len(answer.body) == sum(map(len, answer.parts))


def test_scrapes_share_bytes_and_a_count_between_them_changes_only_the_end() -> None:
    rendered, ours = Renderer().render(example()), new_telemetry()
    first, second = (respond(rendered, ours, accept_encoding="gzip") for _ in range(2))
    assert first.body == second.body

    ours.request_sent("main", "A")
    third = respond(rendered, ours, accept_encoding="gzip")

    *shared, _ = first.parts
    assert all(one is two for one, two in zip(shared, third.parts, strict=False))
    assert b'aliyun_vod_api_requests_total{account="main",action="A"} 1.0\n' in gzip.decompress(third.body)
