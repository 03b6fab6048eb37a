"""The response to a scrape: in the preferred format and encoding, play metrics first, then the exporter's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from prometheus_client.exposition import choose_encoder

from exporter.weighted_header import weighted_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.registry import Collector

    from exporter.exposition.gzip_segments import GzipPayload
    from exporter.exposition.telemetry import Telemetry

# The content types that are served, by requested media type and version, as the client library expects them.
_PLAIN: Final = "text/plain;version=0.0.4"
_OFFERED: Final = {
    ("application/openmetrics-text", ""): "application/openmetrics-text;version=1.0.0",
    ("application/openmetrics-text", "1.0.0"): "application/openmetrics-text;version=1.0.0",
    ("text/plain", "1.0.0"): "text/plain;version=1.0.0",
    ("text/plain", "0.0.4"): _PLAIN,
    ("text/plain", ""): _PLAIN,
    ("text/*", ""): _PLAIN,
    ("*/*", ""): _PLAIN,
}
# A scraper sends the same headers every time; a header has 16 KiB at the most.
_REMEMBERED: Final = 64
# These escaping schemes leave names of letters, digits and underscores unchanged; others would rename our metrics.
_ESCAPING: Final = ("allow-utf-8", "underscores")


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The content type, the encoder of the exporter's own metrics, and whether the body is compressed."""

    content_type: str
    encode: Callable[[Collector], bytes]
    gzip: bool


@dataclass(frozen=True, slots=True)
class Response:
    """The response to a scrape: its body in `parts`, together `length` bytes.

    `content_encoding` is `gzip` or None. The response varies by both Accept headers. Compressed parts are shared by all
    clients; parts of plain text are decompressed when they are sent.
    """

    content_type: str
    content_encoding: str | None
    parts: Iterable[bytes] = field(repr=False)
    length: int

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts)


@lru_cache(_REMEMBERED)
def negotiate(accept: str | None, accept_encoding: str | None) -> ResponseFormat:
    """Choose by the client's `Accept` and `Accept-Encoding` headers (None: not sent); never raises.

    The highest q wins, then the more specific, then the first. A client that accepts nothing of ours, an unknown
    version included, gets text 0.0.4: a scrape that can be read is better than a correct refusal.
    """
    offers = [
        (item.weight, "*" not in item.value, offer, item.parameters.get("escaping"))
        for item in weighted_items(accept)
        if item.weight and (offer := _OFFERED.get((item.value, item.parameters.get("version", ""))))
    ]
    _, _, offer, escaping = max(offers, key=lambda offer: offer[:2], default=(0, False, _PLAIN, None))
    encode, content_type = choose_encoder(f"{offer};escaping={escaping}" if escaping in _ESCAPING else offer)
    return ResponseFormat(content_type, encode, _wants_gzip(accept_encoding))


def respond(
    rendered: GzipPayload, telemetry: Telemetry, *, accept: str | None = None, accept_encoding: str | None = None
) -> Response:
    """Assemble a response; encodes only own metrics that have changed, and copies no play metrics."""
    chosen = negotiate(accept, accept_encoding)
    own = telemetry.families.expose(chosen.content_type, chosen.encode)
    if chosen.gzip:
        parts = rendered.gzip_with(own)
        return Response(chosen.content_type, "gzip", parts, sum(map(len, parts)))
    return Response(chosen.content_type, None, rendered.plain_with(own), rendered.length + own.length)


def _wants_gzip(accept_encoding: str | None) -> bool:
    weights = {item.value: item.weight for item in weighted_items(accept_encoding)}
    # A client that rejects plain text and lists neither gzip nor `*` gets gzip, not the rejected encoding.
    unnamed = 1.0 if weights.get("identity") == 0 else 0.0
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", unnamed)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)
