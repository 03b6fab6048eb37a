from __future__ import annotations

from datetime import datetime

import pytest

from tests.campaigns.bench.while_polling import Span, divided, polls

LOG = """\
ts=2026-11-22T20:02:32.235142Z level=info msg=listening version=0.1.0 urls=http://127.0.0.1:35577
ts=2026-11-22T20:02:40.500000Z level=info msg=polled query=everything result=success slices=4 seconds=1.5
ts=2026-11-22T20:02:41.000000Z level=warn msg="API request failed" query=everything times=1
ts=2026-11-22T20:02:50.000000Z level=info msg=polled query=everything result=success slices=4 seconds=2.0
"""


def at(text: str) -> float:
    return datetime.fromisoformat(f"2026-11-22T{text}+00:00").timestamp()


def test_spans_of_polls_are_read_from_the_log() -> None:
    assert polls(LOG) == [Span(at("20:02:39"), at("20:02:40.5")), Span(at("20:02:48"), at("20:02:50"))]


def test_a_scrape_belongs_to_the_poll_or_pause_in_which_it_started() -> None:
    spans = [Span(10.0, 13.0), Span(20.0, 24.0), Span(30.0, 33.0)]
    scrapes = [(9.9, 0.1), (10.0, 0.2), (12.9, 0.3), (13.0, 0.4), (19.9, 0.5), (21.0, 0.6), (29.0, 0.7), (31.0, 0.8)]
    assert divided(scrapes, spans) == [([0.2, 0.3], [0.4, 0.5]), ([0.6], [0.7])]


@pytest.mark.parametrize("spans", [[], [Span(10.0, 13.0)]])
def test_one_poll_has_no_pause_that_ends(spans: list[Span]) -> None:
    assert divided([(11.0, 0.1), (14.0, 0.1)], spans) == []
