"""Any titles and numbers of the service, from its JSON to the samples that Prometheus parses."""

from __future__ import annotations

import json
import re
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.core.publication import PublishedMedia
from exporter.exposition.negotiation import respond
from exporter.exposition.render import Renderer
from tests.exposition.examples import (
    OPENMETRICS,
    full_telemetry,
    publication,
    published,
    read_openmetrics,
    read_text,
    series,
)
from tests.vod.pages import decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import Metric

    from exporter.core.publication import Publication

ODD: Final = (
    "",
    " ",
    '"',
    "\\",
    "\n",
    "\\n",
    '\\"',
    "a\nb",
    "\r\n",
    "\t",
    "\x00",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202e",
    "\ufeff",
    "\ufffe",
    "\U0010ffff",
    "\U0001f3ac",
    "e\u0301",
    "{}",
    'a="b",',
    "} 1",
    "# EOF",
    "# HELP x y",
    "标题，“引号”",
    "x" * 5_000,
)
NUMBERS: Final = (
    0,
    -0.0,
    1,
    0.1,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    -1.7976931348623157e308,
    2**53 + 1,
    2**63,
    2**64,
    10**22,
    10**308,
    1e16,
    1e-7,
    -1,
)
FIELDS: Final = {
    "aliyun_vod_media_plays": "PlaySuccessVv",
    "aliyun_vod_media_viewers": "DAU",
    "aliyun_vod_media_plays_per_viewer": "PlayPerVv",
    "aliyun_vod_media_play_duration_seconds": "PlayDuration",
    "aliyun_vod_media_play_duration_per_viewer_seconds": "PlayDurationPerUv",
}


def is_id(text: str) -> bool:
    """Whether a row with this media ID is published: an ID with control characters or U+FFFD is damaged."""
    return re.search("[\x00-\x1f\x7f-\x9f\ufffd]", text) is None


titles = st.text(max_size=30) | st.sampled_from(ODD)
# A lone surrogate, as in the JSON of a truncated emoji.
halves = st.characters(categories=["Cs"])
numbers = st.sampled_from(NUMBERS) | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
row_documents = st.fixed_dictionaries(
    {"MediaId": st.text(min_size=1, max_size=30).filter(is_id)},
    optional={
        "VideoTitle": st.none() | titles | st.builds("{}{}{}".format, titles, halves, titles),
        "VideoDuration": st.none() | numbers,
        **{name: st.none() | numbers | numbers.map(str) for name in FIELDS.values()},
    },
)
answers = st.lists(row_documents, max_size=6, unique_by=lambda row: row["MediaId"])


def body(rows_sent: list[dict[str, Any]]) -> bytes:
    """The response of the service."""
    return json.dumps({"RequestId": "R", "TotalCount": len(rows_sent), "QoeInfoList": rows_sent}).encode()


def published_rows(rows_sent: list[dict[str, Any]]) -> Publication:
    """The publication of these rows, without limits."""
    pages = [rows_sent[first : first + 100] for first in range(0, len(rows_sent), 100)]
    rows = [row for page in pages for row in decode(body(page)).rows]
    media = [PublishedMedia("main", row.media_id, row.title, row.media_duration) for row in rows]
    return publication(published({row.media_id: row for row in rows}), media=media)


def exposed_values(metrics: list[Metric], name: str, label: str) -> dict[str, float]:
    """The values of a metric by media ID or title, as 64-bit floats like Prometheus'."""
    return {dict(labels)[label]: float(value) for (metric, labels), value in series(metrics).items() if metric == name}


def whole(text: str) -> str:
    """The text with U+FFFD for lone surrogates; a pair of surrogates is one character, as in JSON."""
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined if text.isascii() or joined != text else text


def title(text: str) -> str:
    """A title as it is published: without control characters, cut to the service's maximum length."""
    line = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+", " ", whole(text))
    return line if len(line) <= 128 else line[:127] + "…"


def number(value: float | str | None) -> float | None:
    """A valid count or number of seconds."""
    return None if value is None or not 0 <= Decimal(value) <= 2**53 else float(value)


def given_numbers(rows_sent: list[dict[str, Any]], field: str) -> dict[str, float]:
    """The valid values of a field, by media."""
    found = {row["MediaId"]: number(row.get(field)) for row in rows_sent if is_id(row["MediaId"])}
    return {media_id: value for media_id, value in found.items() if value is not None}


@pytest.mark.parametrize("read", [read_text, read_openmetrics])
@given(rows_sent=answers)
@example(rows_sent=[{"MediaId": odd[:128] or "empty", "VideoTitle": odd} for odd in ODD if is_id(odd)])
@example(rows_sent=[{"MediaId": str(n), "PlaySuccessVv": n, "DAU": str(n), "VideoDuration": n} for n in NUMBERS])
def test_values_of_the_api_are_those_that_clients_read(
    read: Callable[[bytes], list[Metric]], rows_sent: list[dict[str, Any]]
) -> None:
    metrics = read(Renderer().render(published_rows(rows_sent)).plain)
    for name, field in FIELDS.items():
        assert exposed_values(metrics, name, "media_id") == given_numbers(rows_sent, field)
    assert exposed_values(metrics, "aliyun_vod_media_duration_seconds", "media_id") == given_numbers(
        rows_sent, "VideoDuration"
    )
    named = {
        (row["MediaId"], row["VideoTitle"])
        for row in rows_sent
        if is_id(row["MediaId"]) and row.get("VideoTitle") is not None
    }
    read_titles = {
        (dict(labels)["media_id"], dict(labels)["title"])
        for (metric, labels) in series(metrics)
        if metric == "aliyun_vod_media_info"
    }
    assert read_titles == {(media_id, title(given_)) for media_id, given_ in named}


def gathered(batches: int) -> list[dict[str, Any]]:
    """The unusual titles and this many batches of generated media, always the same."""
    found: list[dict[str, Any]] = []

    @settings(max_examples=batches, database=None, derandomize=True)
    @given(rows_sent=answers)
    def gather(rows_sent: list[dict[str, Any]]) -> None:
        found.extend(rows_sent)

    gather()
    odd = [
        {"MediaId": f"{at} {odd}"[:128], "VideoTitle": odd, "PlaySuccessVv": NUMBERS[at % len(NUMBERS)]}
        for at, odd in enumerate(ODD)
    ]
    return list({row["MediaId"]: row for row in (*found, *odd)}.values())


@pytest.mark.tool("promtool")
def test_promtool_reads_them_all_in_one_scrape() -> None:
    rows_sent = gathered(50)
    assert len(rows_sent) > 100
    answer = respond(Renderer().render(published_rows(rows_sent)), full_telemetry())
    checked = subprocess.run(["promtool", "check", "metrics"], input=answer.body, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_a_whole_openmetrics_scrape_of_them_all_is_read() -> None:
    rows_sent = gathered(50)
    answer = respond(Renderer().render(published_rows(rows_sent)), full_telemetry(), accept=OPENMETRICS)
    plays = exposed_values(read_openmetrics(answer.body), "aliyun_vod_media_plays", "media_id")
    assert plays == given_numbers(rows_sent, "PlaySuccessVv")
