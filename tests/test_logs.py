from __future__ import annotations

import ast
import io
import json
import logging
import os
import sys
from pathlib import Path

import pytest
import structlog

from exporter import logs


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[str]:
    """Log lines without their times."""
    return [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()]


def test_logfmt_quotes_what_needs_it_and_stays_on_one_line(stream: io.StringIO) -> None:
    logs.configure("info", "logfmt", stream)

    structlog.get_logger().info("poll ended", query="a b", result="success", title='标题 "x"\nnext')

    assert lines(stream) == [r'level=info msg="poll ended" query="a b" result=success title="标题 \"x\"\nnext"']
    assert stream.getvalue().startswith("ts=20")


def test_json_is_one_object_a_line(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)

    structlog.get_logger().warning("poll ended", calls=3, title="标题")

    entry = json.loads(stream.getvalue())
    assert list(entry) == ["ts", "level", "msg", "calls", "title"]
    assert entry | {"ts": ""} == {"ts": "", "level": "warn", "msg": "poll ended", "calls": 3, "title": "标题"}


@pytest.mark.parametrize("name", ["uvicorn.error", "apscheduler.scheduler", "some.library"])
def test_lines_of_libraries_have_the_same_shape(stream: io.StringIO, name: str) -> None:
    logs.configure("info", "logfmt", stream)

    logging.getLogger(name).warning("run of %s was late", "x")

    assert lines(stream) == [f'level=warn msg="run of x was late" logger={name}']


def test_an_exception_is_one_line(stream: io.StringIO) -> None:
    logs.configure("info", "logfmt", stream)

    try:
        raise ValueError("no such thing")  # noqa: TRY301 - an exception with a place it was raised at
    except ValueError:
        logging.getLogger("some.library").exception("it broke")

    (line,) = lines(stream)
    assert line.startswith('level=error msg="it broke" logger=some.library error="ValueError: no such thing" at=tests.')


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)])
def test_the_level_is_a_threshold(stream: io.StringIO, level: str, expected: int) -> None:
    logs.configure(level, "logfmt", stream)

    log = structlog.get_logger()
    for say in (log.debug, log.info, log.warning, log.error):
        say("something")

    assert len(lines(stream)) == expected


@pytest.mark.parametrize("level", logs.LEVELS)
def test_what_httpcore_says_of_headers_is_never_logged(stream: io.StringIO, level: str) -> None:
    logs.configure(level, "logfmt", stream)

    logging.getLogger("httpcore.http11").debug("send_request_headers Authorization: secret")

    assert "secret" not in stream.getvalue()


@pytest.mark.parametrize("format_", ["logfmt", "json"])
def test_nothing_that_is_logged_or_printed_waits_for_its_reader(format_: str) -> None:
    reading, writing = os.pipe()
    sent = 0
    with os.fdopen(writing, "w") as stream:
        logs.configure("info", format_, stream)
        with logs.never_blocking(stream):
            assert logs.lines_dropped() == 0
            while logs.lines_dropped() < 10:
                structlog.get_logger().info("poll ended", title="x" * 10_000)
                sys.stderr.write("printed " + "x" * 10_000 + "\n")
                sent += 2
            dropped, text = logs.lines_dropped(), b""
            while b"log lines dropped" not in text:
                text += os.read(reading, 1024 * 1024)
    os.close(reading)
    *lines, last = text.decode().splitlines()
    assert len(lines) == sent - dropped
    assert {line[:8] for line in lines[1::2]} == {"printed "}
    expected = {"level": "warn", "msg": "log lines dropped", "lines": dropped}
    if format_ == "json":
        assert expected.items() <= json.loads(last).items()
        assert json.loads(last)["advice"]
    else:
        assert f'level=warn msg="log lines dropped" logger=exporter.logs lines={dropped} reason=' in last
        assert ' advice="' in last


def test_afterwards_it_is_as_before(stream: io.StringIO) -> None:
    logs.configure("info", "logfmt", stream)
    before = sys.stderr
    with logs.never_blocking(stream):
        structlog.get_logger().info("inside")
        assert sys.stderr is not before
    structlog.get_logger().info("outside")
    assert lines(stream) == ["level=info msg=inside", "level=info msg=outside"]
    assert sys.stderr is before


def test_every_line_about_a_failure_says_what_to_do() -> None:
    package = Path(logs.__file__).parent
    calls = [
        (file.name, call)
        for file in package.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"warning", "error", "exception"}
        and ast.unparse(call.func.value) in {"_log", "structlog.get_logger()"}
    ]
    assert len(calls) > 20
    assert [
        f"{name}:{call.lineno}" for name, call in calls if "advice" not in {field.arg for field in call.keywords}
    ] == []
