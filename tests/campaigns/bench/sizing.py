"""Memory, CPU time and disk of the real daemon by the number of its series: the table of docs/operations.md.

`python -m tests.campaigns.bench.sizing [MEDIA...]`: simulator and exporter are processes of their own, the figures are
from the kernel.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

from tests.campaigns.bench.noon import at_noon
from tests.e2e.processes import Running, get, running, until

MEDIA: Final = (55, 550, 5_500, 55_000)
DAYS_AGO: Final = (0, 1, 2, 8)  # today changes at every poll
POLLS: Final = 3
SCRAPES: Final = 20
# The processes run in other folders and import the code from here.
_OURS: Final = {"PYTHONPATH": str(Path.cwd())}
_SERIES: Final = re.compile(r"^aliyun_vod_media_\w+\{", re.MULTILINE)
_TICK_SECONDS: Final = 1 / os.sysconf("SC_CLK_TCK")

_HEAD: Final = """\
| series | memory | at its peak | CPU, first poll | CPU, from file | CPU, a scrape | a scrape, plain | gzip | file |
|---|---|---|---|---|---|---|---|---|
"""
_CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
    limits: {{requests_per_second: 1000, concurrency: 4}}
queries:
  - {{name: everything, every: {every}, media: all, days_ago: {days_ago}}}
series_limit: 10000000
"""


def main(sizes: tuple[int, ...]) -> None:
    """Print a table row for each number of media."""
    sys.stdout.write(_HEAD)
    for media in sizes:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(row(Path(folder), media))
            sys.stdout.flush()


def row(folder: Path, media: int) -> str:
    """Two runs of the exporter over one storage file, as a row of the table."""
    anywhere = "--web.listen-address=127.0.0.1:0"
    state = folder / "state.db"
    simulate = at_noon("exporter", "simulate", anywhere, f"--media={media}")
    serve = at_noon("exporter", "serve", anywhere, f"--storage.path={state}")
    with running(folder, "simulate", *simulate, **_OURS) as simulator:
        configured = partial(_CONFIGURATION.format, endpoint=simulator.url(), days_ago=list(DAYS_AGO))
        (folder / "config.yaml").write_text(configured(every="10s"))
        with running(folder, "polls", *serve, **_OURS) as exporter:
            url = exporter.url()
            until(lambda: get(f"{url}/-/ready").is_success, "the first poll")
            first_poll = cpu_seconds(exporter)
            for number in range(POLLS):
                until(partial(more_polls, exporter, than=number), "more polls")
                scraped(url, "gzip")
            plain, compressed = (scraped(url, encoding) / 1e6 for encoding in ("identity", "gzip"))
            memory, peak = (memory_mib(exporter, name) for name in ("VmRSS", "VmHWM"))
            # Closing writes the rest of the write-ahead log into the file.
            exporter.stop()
        # Without polls in between.
        (folder / "config.yaml").write_text(configured(every="1d"))
        with running(folder, "restored", *serve, **_OURS) as exporter:
            url = exporter.url()
            until(lambda: get(f"{url}/-/ready").is_success, "what the file knows")
            series = len(_SERIES.findall(get(f"{url}/metrics").text))
            before = cpu_seconds(exporter)
            for _ in range(SCRAPES):
                scraped(url, "gzip")
            scrape = (cpu_seconds(exporter) - before) / SCRAPES
    cells = (
        f"{series:,}",
        f"{memory:.0f} MiB",
        f"{peak:.0f} MiB",
        f"{first_poll:.1f} s",
        f"{before:.1f} s",
        f"{scrape * 1000:.0f} ms",
        f"{plain:.1f} MB",
        f"{compressed:.2f} MB",
        f"{state.stat().st_size / 1e6:.2f} MB",
    )
    return f"| {' | '.join(cells)} |\n"


def more_polls(exporter: Running, *, than: int) -> bool:
    """Whether further polls have finished."""
    return polled(exporter) > than


def polled(exporter: Running) -> int:
    """The number of successful polls; from the log, because a scrape of this size costs CPU."""
    return exporter.logged().count(" msg=polled query=everything result=success ")


def scraped(url: str, encoding: str) -> int:
    """The bytes of a scrape on the wire."""
    return int(get(f"{url}/metrics", headers={"Accept-Encoding": encoding}).headers["content-length"])


def cpu_seconds(process: Running) -> float:
    """User and system time of a process so far (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def memory_mib(process: Running, name: str) -> float:
    """`VmRSS`, or `VmHWM` for its peak, of a process in MiB."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None, status
    return int(found[1]) / 1024


if __name__ == "__main__":
    main(tuple(int(media) for media in sys.argv[1:]) or MEDIA)
