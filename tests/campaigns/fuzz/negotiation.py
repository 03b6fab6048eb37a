r"""Two headers of a scrape, `Accept\
Accept-Encoding`: always a response, in the format of its content type."""

from __future__ import annotations

import contextlib
import gzip
import re
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter.exposition.negotiation import negotiate
from tests.campaigns.fuzz.status_source import Shown
from tests.campaigns.fuzz.target import SEEDS, Target
from tests.exposition.examples import read_openmetrics, read_text

if TYPE_CHECKING:
    from collections.abc import Generator

    from prometheus_client import Metric

    from tests.campaigns.fuzz.target import Try

_TYPES: Final = re.compile(
    r"text/plain; version=(0\.0\.4|1\.0\.0); charset=utf-8(; escaping=(allow-utf-8|underscores))?"
    r"|application/openmetrics-text; version=1\.0\.0; charset=utf-8(; escaping=(allow-utf-8|underscores))?"
)


def try_one(fuzz_input: bytes, shown: Shown, known: dict[str, set[str]]) -> None:
    """Try both headers as they may arrive over the wire."""
    accept, _, encoding = fuzz_input.decode("latin-1").replace("\r", "").partition("\n")
    encoding = encoding.partition("\n")[0]
    negotiate.cache_clear()
    answer = shown.answer(accept, encoding)
    assert _TYPES.fullmatch(answer.content_type), answer.content_type
    assert ("openmetrics" in answer.content_type) <= ("openmetrics" in accept.lower()), "OpenMetrics was not accepted"
    assert answer.content_encoding in {None, "gzip"}
    wanted = any(name in encoding.lower() for name in ("gzip", "*"))
    assert (answer.content_encoding is not None) <= wanted, "gzip was not accepted"
    body = answer.body
    assert len(body) == answer.length
    text = gzip.decompress(body) if answer.content_encoding else body
    # Parsing is slow and needed only once for each format.
    if answer.content_type not in known:
        read = read_openmetrics if "openmetrics" in answer.content_type else read_text
        known[answer.content_type] = _names(read(text))
    everything = set.union(*known.values())
    assert known[answer.content_type] == everything, "a format lacks a metric"
    assert text.endswith(b"# EOF\n") == ("openmetrics" in answer.content_type)


def _names(metrics: list[Metric]) -> set[str]:
    return {metric.name.removesuffix("_total") for metric in metrics}


@contextlib.contextmanager
def _opened() -> Generator[Try]:
    yield partial(try_one, shown=Shown(), known={})


TARGET: Final = Target(
    "negotiation",
    "the Accept and Accept-Encoding headers of a scrape",
    [(SEEDS / "negotiation", "*.txt")],
    _opened,
    words=(
        b"application/openmetrics-text",
        b"text/plain",
        b"text/*",
        b"*/*",
        b";version=0.0.4",
        b";version=1.0.0",
        b";escaping=allow-utf-8",
        b";escaping=underscores",
        b";escaping=dots",
        b";escaping=values",
        b";q=0.5",
        b";q=0",
        b";q=nan",
        b";q=1e999",
        b"gzip",
        b"x-gzip",
        b"identity",
        b"*",
        b",",
        b'"',
    ),
    longest=1024,
)
