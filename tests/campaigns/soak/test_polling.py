"""Time is skipped only while nothing is polled."""

from __future__ import annotations

from tests.campaigns.faults.scrapes import Scrape
from tests.campaigns.soak.polling import Polling, reloaded


def scrape(at: float, **queries: tuple[int, float]) -> Scrape:
    """By query: finished polls, and the start of the next."""
    lines = []
    for query, (polls, next_at) in queries.items():
        lines.append(f'aliyun_vod_query_polls_total{{query="{query}",result="success"}} {polls}')
        lines.append(f'aliyun_vod_query_polls_total{{query="{query}",result="failure"}} 0')
        lines.append(f'aliyun_vod_query_next_poll_timestamp_seconds{{query="{query}"}} {next_at}')
    return Scrape(at, "\n".join(lines) + "\n")


def test_the_first_poll_of_every_query_is_awaited() -> None:
    polling = Polling()
    polling.see(scrape(100, a=(0, 200), b=(0, 300)))
    assert polling
    polling.see(scrape(101, a=(1, 200), b=(0, 300)))
    assert polling
    polling.see(scrape(102, a=(1, 200), b=(1, 300)))
    assert not polling
    assert (polling.next_at, polling.ended) == (200, 2)


def test_a_due_poll_is_awaited_even_if_its_start_was_not_observed() -> None:
    polling = Polling()
    polling.see(scrape(100, a=(1, 200)))
    polling.passed(200)
    assert polling
    polling.see(scrape(201, a=(1, 300)))
    assert polling, "it has begun, and not ended"
    polling.see(scrape(202, a=(2, 300)))
    assert not polling


def test_a_skipped_poll_does_not_end_the_running_one() -> None:
    polling = Polling()
    polling.see(scrape(100, a=(1, 200)))
    polling.passed(200)
    polling.see(
        Scrape(201, 'aliyun_vod_query_polls_total{query="a",result="skipped"} 1\n' + scrape(201, a=(1, 300)).text)
    )
    assert polling


def test_after_a_reload_any_query_may_be_polled_until_requests_cease() -> None:
    polling = Polling()
    polling.see(scrape(100, a=(1, 200), b=(1, 300)))
    polling.interrupted()
    polling.see(scrape(101, a=(2, 200), b=(1, 300)))
    assert polling
    polling.waited_enough()
    assert not polling


def test_a_reload_is_accepted_rejected_or_pending() -> None:
    def said(works: int, at: float) -> Scrape:
        name = "aliyun_vod_exporter_config_last_reload_success"
        return Scrape(200, f"{name}ful {works}\n{name}_timestamp_seconds {at}\n")

    assert reloaded(said(1, 150), 100) is True
    assert reloaded(said(1, 50), 100) is None
    assert reloaded(said(0, 50), 100) is False
