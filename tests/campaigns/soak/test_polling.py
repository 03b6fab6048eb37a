"""Much time is skipped only while nothing is polled."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.campaigns.faults.scrapes import Scrape
from tests.campaigns.soak.daemon import ProcessRun
from tests.campaigns.soak.polling import Polling, reloaded

if TYPE_CHECKING:
    from pathlib import Path


def line(message: str, query: str, more: str = "") -> str:
    return f"ts=2024-02-01T18:02:25.848019Z level=info msg={message} query={query}{more}"


def test_a_poll_runs_from_its_first_line_to_its_last() -> None:
    polling = Polling()
    assert not polling
    polling.read([line("polling", "a"), line("polling", "b")])
    assert polling
    polling.read([line("polled", "a", " result=skipped slices=9 seconds=8.599")])
    assert polling
    polling.read([line("polled", "b", " result=success slices=9 seconds=8.599")])
    assert not polling


def test_a_poll_that_a_reload_interrupts_begins_again() -> None:
    polling = Polling()
    polling.read([line("polling", "a"), line("polling", "a"), line("polled", "a", " result=success")])
    assert not polling


def test_other_lines_are_passed_over() -> None:
    polling = Polling()
    polling.read(
        [
            line('"poll skipped"', "a"),
            line('"API request failed"', "a", ' error="msg=polling query=a"'),
            'ts=2024-02-01T18:02:25.848Z level=debug msg="polling query=a"',
            "",
        ]
    )
    assert not polling


def test_a_scrape_contains_the_next_poll_and_the_number_of_ended_ones() -> None:
    polling = Polling()
    polls, next_poll = "aliyun_vod_query_polls_total", "aliyun_vod_query_next_poll_timestamp_seconds"
    polling.see(
        Scrape(
            100,
            f'{polls}{{query="a",result="success"}} 3\n{polls}{{query="a",result="skipped"}} 5\n'
            f'{polls}{{query="b",result="failure"}} 1\n{next_poll}{{query="a"}} 300\n{next_poll}{{query="b"}} 200\n',
        )
    )
    assert (polling.next_at, polling.ended) == (200, 4)


def test_a_process_that_computes_does_not_wait(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import sys, threading\nfor task in iter(sys.stdin.readline, ''): exec(task)\n"
    with (
        log.open("wb") as stdout,
        subprocess.Popen([sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=stdout) as process,
    ):
        assert process.stdin is not None
        life = ProcessRun(process, log)

        def does(what: str) -> None:
            assert process.stdin is not None
            process.stdin.write(f"{what}\n".encode())
            process.stdin.flush()

        does("print('one'); print('tw', end='')")
        while not log.read_bytes().endswith(b"tw") or life.waits() is None:
            time.sleep(0.001)
        before = life.waits()
        assert life.waits() == before
        assert life.new_log_lines() == ["one"]
        does("print('o'); print('three')")
        while not log.read_bytes().endswith(b"three\n") or life.waits() is None:
            time.sleep(0.001)
        assert life.waits() != before, "it has computed in between"
        assert life.new_log_lines() == ["two", "three"]
        assert life.new_log_lines() == []
        does("threading.Thread(target=exec, args=['while True: pass'], daemon=True).start(); print('!')")
        while not log.read_bytes().endswith(b"!\n"):
            time.sleep(0.001)
        assert [life.waits() for _ in range(50)] == [None] * 50
        process.kill()


def test_a_reload_is_accepted_rejected_or_pending() -> None:
    def returned(works: int, at: float) -> Scrape:
        name = "aliyun_vod_exporter_config_last_reload_success"
        return Scrape(200, f"{name}ful {works}\n{name}_timestamp_seconds {at}\n")

    assert reloaded(returned(1, 150), 100) is True
    assert reloaded(returned(1, 50), 100) is None
    assert reloaded(returned(0, 50), 100) is False
