from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import math
import os
import re
import resource
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from exporter.app import Runtime, assemble_daemon
from exporter.backfill.collect import BackfillData, fetch
from exporter.backfill.progress import ProgressLines
from exporter.commands import backfill
from exporter.commands.definitions import DEFINITIONS
from exporter.core import play_dates
from exporter.errors import ExporterError, FlagError
from exporter.simulator.broken_responses import BROKEN_RESPONSES
from exporter.simulator.faults import Fault
from exporter.simulator.options import SimulatorOptions
from tests.harness import (
    CONFIGURATION,
    NOON,
    Clock,
    configuration,
    simulated,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from exporter.simulator.broken_responses import FaultContext
    from exporter.simulator.service import Simulator

YESTERDAY = play_dates.play_date(NOON, 1)
TWO_QUERIES = (
    CONFIGURATION + "  - {name: native, media: {top: 2}, dimensions: [{terminal_type: Native}], days_ago: [0]}\n"
)


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    DEFINITIONS["backfill"].flags(parser)
    return parser.parse_args(argv)


async def fetched(
    url: str,
    count: int = 30,
    *,
    printed: list[str] | None = None,
    clock: Clock | None = None,
    text: str = CONFIGURATION,
    storage: Path | None = None,
) -> BackfillData:
    clock = clock or Clock()
    runtime = Runtime({}, clock.now, clock.now, clock.sleep)
    lines = ProgressLines((printed if printed is not None else []).append)
    return await fetch(configuration(url, text=text), runtime, count, lines, storage)


def plays(known: BackfillData) -> dict[str, float]:
    """The written plays, by media and instant, of `days_ago="1"`."""
    out = io.BytesIO()
    backfill.write(out, known.views(86_400), {}, ProgressLines(lambda _: None))
    found = re.findall(
        r'^aliyun_vod_media_plays{.*media_id="(\w+)",terminal_type="all".*days_ago="1"} (\d+) (\d+)$',
        out.getvalue().decode(),
        re.MULTILINE,
    )
    return {f"{media_id} {play_dates.play_date(int(at), 1)}": float(value) for media_id, value, at in found}


def truth(simulator: Simulator, *missing: int) -> dict[str, float]:
    dates = [play_dates.play_date(NOON, ago) for ago in range(1, 31) if ago not in missing]
    rows = {f"{m} {day}": simulator.dataset.row(m, day, now=NOON) for m in simulator.dataset.media_ids for day in dates}
    return {key: row.plays for key, row in rows.items() if row is not None and row.plays is not None}


def fails(ago: int, code: str) -> Fault:
    return Fault(code, when={"PlayDate": f"{play_dates.play_date(NOON, ago):%Y%m%d}"})


@pytest.fixture
async def service() -> AsyncGenerator[tuple[Simulator, str]]:
    async with simulated(SimulatorOptions(media=5), Clock()) as (simulator, url):
        yield simulator, url


async def test_every_day_is_requested_once_per_slice_and_equals_the_service(
    service: tuple[Simulator, str],
) -> None:
    simulator, url = service
    printed: list[str] = []

    known = await fetched(url, text=TWO_QUERIES, printed=printed)

    assert known.gaps == ()
    assert plays(known) == truth(simulator)
    requested = Counter(
        (c.parameters["PlayDate"], c.parameters.get("TerminalType")) for c in simulator.request_log.calls
    )
    assert set(requested.values()) == {1}
    assert len(requested) == 60
    assert printed[0] == "fetching 60 slices"
    assert printed[-1].endswith("60 of 60 slices")


async def test_a_day_that_is_not_answered_is_named_and_the_others_are_written(service: tuple[Simulator, str]) -> None:
    simulator, url = service
    simulator.change(faults=(fails(3, "Meter.ParamError"), fails(5, "Meter.ReadyTsError")))

    known = await fetched(url)

    assert plays(known) == truth(simulator, 3, 5)
    first, second, *advice = backfill.gap_messages(known, 30)
    assert first.startswith("2024-03-21 is missing in q (1 of 1 slice): Meter.ParamError: ")
    assert second.startswith("2024-03-19 is missing in q (1 of 1 slice): Meter.ReadyTsError: ")
    assert len(advice) == 2


async def test_a_spent_budget_leaves_the_newest_days_whole_and_names_the_others(service: tuple[Simulator, str]) -> None:
    simulator, url = service
    text = CONFIGURATION.replace("concurrency: 8", "concurrency: 2, calls_per_day: 10")

    known = await fetched(url, text=text)

    assert plays(known) == truth(simulator, *range(11, 31))
    assert sorted(gap.play_date for gap in known.gaps) == [play_dates.play_date(NOON, ago) for ago in range(30, 10, -1)]
    assert len(simulator.request_log.calls) == 10


def dates_requested(simulator: Simulator) -> list[str]:
    return [call.parameters["PlayDate"] for call in simulator.request_log.calls]


async def test_it_continues_from_storage_and_requests_only_missing_days(
    service: tuple[Simulator, str], tmp_path: Path
) -> None:
    simulator, url = service
    simulator.change(faults=(fails(3, "Meter.ParamError"),))
    assert [gap.play_date for gap in (await fetched(url, storage=tmp_path / "db")).gaps] == [
        play_dates.play_date(NOON, 3)
    ]
    simulator.change(faults=())
    simulator.request_log.clear()

    known = await fetched(url, storage=tmp_path / "db")

    assert dates_requested(simulator) == ["20240321"]
    assert known.gaps == ()
    assert plays(known) == truth(simulator)


async def test_days_stored_before_they_were_final_are_requested_again(
    service: tuple[Simulator, str], tmp_path: Path
) -> None:
    simulator, url = service
    early = Clock(NOON - 6 * 3600)
    config, runtime = configuration(url), Runtime({}, early.now, early.now, early.sleep)
    async with assemble_daemon(config, runtime, tmp_path / "db") as exporter:
        await exporter.poll(exporter.queries[0])
    assert dates_requested(simulator) == [f"{YESTERDAY:%Y%m%d}"]
    simulator.request_log.clear()

    known = await fetched(url, 1, storage=tmp_path / "db")

    assert dates_requested(simulator) == [f"{YESTERDAY:%Y%m%d}"]
    assert plays(known) == truth(simulator, *range(2, 31))


async def test_days_that_are_too_recent_are_reported_and_not_requested(service: tuple[Simulator, str]) -> None:
    simulator, url = service
    clock = Clock(NOON - 1)

    known = await fetched(url, 2, clock=clock)

    (gap_line,) = backfill.gap_messages(known, 2)
    assert gap_line.startswith(f"{YESTERDAY} is left out")
    assert dates_requested(simulator) == ["20240322"]
    with pytest.raises(FlagError, match=r"^--days=1: 2024-03-23 can be written from 2024-03-24 12:00 UTC\+8 on"):
        await fetched(url, 1, clock=clock)


async def test_next_step_names_the_file_and_reads_it_once(service: tuple[Simulator, str]) -> None:
    _, url = service
    known = await fetched(url, 2)

    gap_line = "\n".join(
        backfill.describe_output(backfill.STANDARD_OUTPUT.with_name("a b.txt"), known.views(3600), 1234567)
    )

    assert "1,234,567 samples from 2024-03-23 09:00 to 2024-03-24 09:00 UTC+8" in gap_line
    assert "promtool tsdb create-blocks-from openmetrics --max-block-duration=48h 'a b.txt' DATA" in gap_line


# The command itself, with the system's clock and a command line.


@contextlib.asynccontextmanager
async def command(tmp_path: Path, **environ: str) -> AsyncGenerator[tuple[Simulator, Mapping[str, str]]]:
    """The simulator with the current time, and a configuration beside the output."""
    async with simulated(SimulatorOptions(media=2), Clock(time.time())) as (simulator, url):
        text = CONFIGURATION.replace("ENDPOINT", url).replace("TIMEOUT", "10s").replace("MEDIA", "all")
        (tmp_path / "config.yaml").write_text(text.replace("DIMENSIONS", "[{}]").replace("DAYS_AGO", "[1, 8]"))
        yield simulator, environ


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


async def run(tmp_path: Path, *argv: str, output: str = "out.txt") -> int:
    at = f"--config.file={tmp_path}/config.yaml"
    where = output if output == "-" else f"{tmp_path}/{output}"
    arguments = parsed(at, "--days=5", "--step=6h", f"--output={where}", *argv)
    return await asyncio.to_thread(backfill.run, arguments, {})


async def test_it_writes_a_whole_file_and_says_what_to_do_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with command(tmp_path):
        assert await run(tmp_path, "--label=job=vod") == 0

    assert names(tmp_path) == ["config.yaml", "out.txt"]
    written = (tmp_path / "out.txt").read_text().splitlines()
    assert written[-1] == "# EOF"
    assert all(line.startswith("#") or '{job="vod",' in line for line in written)
    out, err = capsys.readouterr()
    assert out == ""
    samples = sum(not line.startswith("#") for line in written)
    assert f"written: {samples:,} samples" in err
    assert "promtool tsdb create-blocks-from openmetrics --max-block-duration=" in err
    assert f"{tmp_path}/out.txt DATA" in err


async def test_an_estimate_is_printed_before_the_first_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with command(tmp_path):
        assert await run(tmp_path) == 0

    first, *others = capsys.readouterr().err.splitlines()
    assert first.startswith("5 days: at least 5 calls; ")
    assert "; 12 series, 48.0 kB with --step=6h for each video that has plays; " in first
    assert others[0].startswith("fetching ")


async def test_a_chosen_query_alone_is_fetched(tmp_path: Path) -> None:
    async with command(tmp_path) as (simulator, _):
        path = tmp_path / "config.yaml"
        path.write_text(
            path.read_text() + "  - {name: native, media: {top: 1}, dimensions: [{terminal_type: Native}]}\n"
        )
        assert await run(tmp_path, "--query=native") == 0
        assert {call.parameters.get("TerminalType") for call in simulator.request_log.calls} == {"Native"}

        with pytest.raises(FlagError, match="--query=nope: the configuration has q, native"):
            await run(tmp_path, "--query=native", "--query=nope")


@pytest.mark.tool("promtool")
async def test_promtool_makes_blocks_of_what_would_be_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = tmp_path / "blocks"
    async with command(tmp_path):
        assert await run(tmp_path) == 0
        at = f"--config.file={tmp_path}/config.yaml"
        arguments = parsed(at, "--days=5", "--step=6h", f"--blocks={blocks}")
        assert await asyncio.to_thread(backfill.run, arguments, dict(os.environ)) == 0

    samples = sum(not line.startswith("#") for line in (tmp_path / "out.txt").read_text().splitlines())
    metadata = [json.loads((block / "meta.json").read_text()) for block in blocks.iterdir()]
    assert sum(block["stats"]["numSamples"] for block in metadata) == samples
    assert "next: move the blocks into the storage directory of your Prometheus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "path", "message"),
    [
        (
            ["--blocks={}/blocks"],
            "/nowhere",
            "--blocks needs promtool in PATH: install Prometheus here, or use --output",
        ),
        (["--blocks={}/config.yaml"], "{}", "config.yaml is not a directory that can be written to"),
        (["--blocks={}/a/b"], "{}", "a/b is not a directory that can be written to"),
        (["--blocks={}/blocks", "--output={}/out.txt"], "{}", "give either --output=FILE or --blocks=DIRECTORY"),
        ([], "{}", "give either --output=FILE or --blocks=DIRECTORY"),
    ],
)
async def test_blocks_that_cannot_be_made_are_reported_before_any_request(
    tmp_path: Path, argv: list[str], path: str, message: str
) -> None:
    program(tmp_path, "exit 0")
    async with command(tmp_path) as (simulator, _):
        arguments = parsed(f"--config.file={tmp_path}/config.yaml", *(word.format(tmp_path) for word in argv))
        with pytest.raises(FlagError, match=re.escape(message)):
            await asyncio.to_thread(backfill.run, arguments, {"PATH": path.format(tmp_path)})
        assert not simulator.request_log.calls


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo first >&2; printf 'no \\033[31mroom' >&2; exit 3",
            "promtool ended with status 3: no \N{REPLACEMENT CHARACTER}",
        ),
        ("exit 3", "promtool ended with status 3$"),
        ("kill -KILL $$", r"promtool was killed, as by a system without free memory; --query and --days take less"),
        ("echo begun >&2; kill -TERM $$", r"promtool was ended by signal 15 \(Terminated\): begun$"),
    ],
)
async def test_a_promtool_that_fails_leaves_nothing_behind(tmp_path: Path, script: str, message: str) -> None:
    program(tmp_path, script)
    async with command(tmp_path):
        arguments = parsed(f"--config.file={tmp_path}/config.yaml", "--days=3", f"--blocks={tmp_path}/blocks")
        with pytest.raises(ExporterError, match=message):
            await asyncio.to_thread(backfill.run, arguments, {"PATH": str(tmp_path)})
    assert names(tmp_path / "blocks") == []


def program(folder: Path, script: str) -> None:
    """A promtool that does this."""
    promtool = folder / "promtool"
    promtool.write_text(f"#!/bin/sh\n{script}\n")
    promtool.chmod(0o700)


async def test_standard_output_has_nothing_but_the_samples(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    async with command(tmp_path):
        assert await run(tmp_path, output="-") == 0

    out, err = capfdbinary.readouterr()
    assert out.startswith(b"# HELP aliyun_vod_media_plays ")
    assert out.endswith(b"\n# EOF\n")
    assert b"written: " in err


async def test_an_existing_file_is_not_overwritten_without_the_flag(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("precious")
    async with command(tmp_path) as (simulator, _):
        with pytest.raises(FlagError, match=r"out\.txt exists: --overwrite replaces it"):
            await run(tmp_path)
        assert not simulator.request_log.calls
        assert (tmp_path / "out.txt").read_text() == "precious"

        assert await run(tmp_path, "--overwrite") == 0
    assert (tmp_path / "out.txt").read_text().endswith("# EOF\n")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", "is not a file"),
        ("nowhere/out.txt", "nowhere is not a directory that can be written"),
        # As below the home of another user (EACCES), which a test that runs as root may enter.
        (f"{'a' * 300}/out.txt", "a is not a directory that can be written"),
        ("a" * 300, "a: File name too long; name another file"),
    ],
)
async def test_an_unwritable_output_is_reported_before_any_request(tmp_path: Path, output: str, message: str) -> None:
    async with command(tmp_path) as (simulator, _):
        with pytest.raises(FlagError, match=message):
            await run(tmp_path, output=output)
        assert not simulator.request_log.calls


async def test_a_name_of_any_possible_length_is_written(tmp_path: Path) -> None:
    name = "长" * 85  # 255 bytes
    async with command(tmp_path):
        assert await run(tmp_path, output=name) == 0
    assert name in names(tmp_path)


@pytest.mark.parametrize("flag", ["--output={}/out/out.txt", "--blocks={}/out"])
async def test_a_directory_that_is_removed_meanwhile_is_one_clear_line(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "exit 0")
    (tmp_path / "out").mkdir()

    def remove(*_: object) -> list[str]:
        (tmp_path / "out").rmdir()
        return []

    monkeypatch.setattr(backfill, "gap_messages", remove)
    async with command(tmp_path):
        arguments = parsed(f"--config.file={tmp_path}/config.yaml", "--days=3", flag.format(tmp_path))
        with pytest.raises(ExporterError, match=r"^cannot write .*: No such file or directory$"):
            await asyncio.to_thread(backfill.run, arguments, {"PATH": str(tmp_path)})


async def test_a_missing_day_is_status_1_and_the_others_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with command(tmp_path) as (simulator, _):
        day = play_dates.today(time.time()) - timedelta(days=4)
        simulator.change(faults=(Fault("Meter.ParamError", when={"PlayDate": f"{day:%Y%m%d}"}),))
        assert await run(tmp_path) == 1

    assert f"{day} is missing in q" in capsys.readouterr().err
    assert (tmp_path / "out.txt").read_text().endswith("# EOF\n")


async def test_invalid_values_are_counted_as_the_daemon_counts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(context: FaultContext) -> Response:
        rows = [dict(row) for row in context.payload["QoeInfoList"]]
        rows[0] |= {"PlaySuccessVv": math.nan, "DAU": "-", "PlayPerVv": "", "VideoTitle": "长" * 200}
        return Response(json.dumps({**context.payload, "QoeInfoList": rows}), headers=context.headers)

    monkeypatch.setitem(BROKEN_RESPONSES, "spoilt", spoilt)
    async with command(tmp_path) as (simulator, _):
        days = [play_dates.today(time.time()) - timedelta(days=ago) for ago in (2, 3)]
        simulator.change(faults=[Fault("spoilt", when={"PlayDate": f"{day:%Y%m%d}"}) for day in days])
        assert await run(tmp_path) == 0
        assert await run(tmp_path, output="again.txt") == 0

    lines = [line for line in capsys.readouterr().err.splitlines() if "invalid values" in line]
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("8 invalid values left out, or cut if a title: ")
        for field in ("PlaySuccessVv", "DAU", "PlayPerVv", "VideoTitle"):
            assert re.search(rf"{field}: [^;]+ \(2, first of media \w+\)", line)


async def test_no_day_at_all_is_an_error_and_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with command(tmp_path) as (simulator, _):
        simulator.change(faults=(Fault("Meter.ParamError"),))
        with pytest.raises(ExporterError, match="no day was fetched, nothing is written"):
            await run(tmp_path)

    assert names(tmp_path) == ["config.yaml"]
    assert "is missing in q" in capsys.readouterr().err


def test_a_file_that_does_not_fit_is_reported_before_it_is_written() -> None:
    backfill.check_free_space(Path("out.txt"), 5, free=5)

    message = r"^--output=out\.txt needs about 34\.5 GB, 2\.0 GB are free: make room"
    with pytest.raises(ExporterError, match=message):
        backfill.check_free_space(Path("out.txt"), 34_500_000_000, free=2_000_000_000)


async def test_a_disk_that_is_full_is_one_clear_line_and_no_file(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with command(tmp_path):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(
                ExporterError, match=rf"^cannot write {re.escape(str(tmp_path))}/out\.txt: File too large"
            ):
                await run(tmp_path, "--step=1m")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert names(tmp_path) == ["config.yaml"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--days=0", "'0' is not a whole number from 1 to 30"),
        ("--days=31", "'31' is not a whole number from 1 to 30"),
        ("--days=x", "'x' is not a whole number from 1 to 30"),
        pytest.param(f"--days={'1' * 5_000}", "1' is not a whole number from 1 to 30", id="digits"),
        ("--step=14s", "'14s' is not from 15s to 1d"),
        ("--step=25h", "'25h' is not from 15s to 1d"),
        ("--step=15500ms", "in whole seconds"),
        ("--step=5", "'5' must be a duration"),
        ("--label=job", "'job' is not NAME=VALUE"),
        ("--label=9=a", "'9=a' is not NAME=VALUE"),
        ("--label=__name__=a", "'__name__=a' is not NAME=VALUE"),
        ("--label=job=", "'job=' is not NAME=VALUE"),
        ("--label=account=a", "the series have a label account already"),
    ],
)
def test_a_flag_that_does_not_fit_says_what_does(flag: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--output=x", flag)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@given(st.integers(15, 86_400))
def test_a_step_is_a_prometheus_duration(seconds: int) -> None:
    assert parsed("--output=x", f"--step={seconds}s").step == seconds


def test_defaults() -> None:
    arguments = parsed("--output=x")

    assert (arguments.days, arguments.step, arguments.overwrite, arguments.labels) == (30, None, False, [])
