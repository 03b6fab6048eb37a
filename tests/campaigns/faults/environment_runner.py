"""The real daemon as a process in an environment, with the service on loopback; and its invariants."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import mmap
import os
import re
import signal
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from exporter.core import play_dates
from tests.campaigns.faults import invariants
from tests.campaigns.faults.cases import Case, Moment, Selection
from tests.campaigns.faults.codes import faults
from tests.campaigns.faults.environments import (
    NAME,
    PROXY_PASSWORD,
    Area,
    ConnectionBehaviour,
    Event,
    Resolver,
    Stderr,
    every,
    impossible,
)
from tests.campaigns.faults.evidence import Evidence
from tests.campaigns.faults.fault import Family, Fault, NotApplicable
from tests.campaigns.faults.oracle import ZEROS
from tests.campaigns.faults.scrapes import Scrape
from tests.campaigns.faults.service import Service
from tests.e2e.processes import PATIENCE, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping

    from tests.campaigns.faults.environments import Cell
    from tests.campaigns.faults.fault import Exchange, Payload
    from tests.campaigns.faults.oracle import Call, RowKey

MEDIA: Final = 140
SECRETS: Final = ("a-secret-of-the-matrix", "another-secret-of-the-matrix", PROXY_PASSWORD)
# Data older than a query's interval is requested again.
LATER: Final = 7200.0
REFUSAL: Final = "Meter.ParamError"
PROMISED_SECONDS: Final = 5.0
_GLANCE: Final = 0.05
_PIPE_BYTES: Final = 4096
_NOT_FOR_PEOPLE: Final = (
    "Traceback",
    "never awaited",
    "was destroyed",
    "Warning:",
    "Logging error",
    "Exception ignored",
)
_REQUESTED: Final = re.compile(rb"Credential=([^,]+),")
_CONFIGURATION: Final = """
accounts:
  - name: 主账号
    endpoint: {endpoint}
    credentials: {{access_key_id_file: key_id, access_key_secret_file: key_secret}}
    limits: {{requests_per_second: 1000, concurrency: 8}}
queries: [{{name: q, media: all, days_ago: {days_ago}, every: 1h, expected: false}}]
"""
# Starts the program with a wall clock that is `clock` ahead (APScheduler's too; the monotonic one is the true one), and
# with a resolver: the file `resolver` says what a look-up gets, `looked_up` exists once a look-up got no answer.
_PROGRAM: Final = f"""
import datetime, mmap, os, runpy, socket, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "clock"), "r+b") as file:
    ahead = memoryview(mmap.mmap(file.fileno(), 8)).cast("d")
true_time, true_getaddrinfo = time.time, socket.getaddrinfo
time.time = lambda: true_time() + ahead[0]

class Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(time.time(), tz)

import apscheduler.executors.base, apscheduler.schedulers.base
apscheduler.executors.base.datetime = apscheduler.schedulers.base.datetime = Datetime

def getaddrinfo(host, *arguments, **options):
    while host == "{NAME}":
        with open(os.path.join(folder, "resolver")) as file:
            state = file.read()
        if state == "{Resolver.ANSWERS}":
            host = "127.0.0.1"
            break
        open(os.path.join(folder, "looked_up"), "w").close()
        if state == "{Resolver.UNKNOWN}":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        time.sleep(0.02)
    return true_getaddrinfo(host, *arguments, **options)

socket.getaddrinfo = getaddrinfo
runpy.run_module("exporter", run_name="__main__", alter_sys=True)
"""


class Clock:
    """A wall clock that another process uses as well."""

    def __init__(self, file: Path, at: float) -> None:
        file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._ahead = memoryview(mmap.mmap(opened.fileno(), 8)).cast("d")
        self.jump(at - self.now())

    def now(self) -> float:
        return time.time() + self._ahead[0]

    def jump(self, seconds: float) -> None:
        self._ahead[0] += seconds


class MisbehavingService(Service):
    """The service with a connection behaviour; `keys`: the key of each request."""

    def __init__(self, now: Callable[[], float], behaviour: ConnectionBehaviour) -> None:
        super().__init__(MEDIA, now)
        self._behaviour = behaviour
        self.keys: list[str] = []

    async def after_an_answer(self, exchange: Exchange, answer: bytes) -> None:
        match self._behaviour:
            case ConnectionBehaviour.CLOSES:
                exchange.close()
            case ConnectionBehaviour.REPEATS:
                await exchange.raw(answer)
            case ConnectionBehaviour.LEFTOVER:
                await exchange.raw(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")

    def answer(self, call: Call, head: bytes) -> Payload:
        self.keys += (key.decode() for key in _REQUESTED.findall(head))
        return super().answer(call, head)


async def _answer_late(_: Exchange) -> None:
    """Correctly, after the gate opens."""
    raise NotApplicable


HELD: Final = Fault("held", Family.ANSWER, None, act=_answer_late)


@dataclass
class Outcome:
    """The outcome of a cell: the scrapes, the responses to every request, the exit status, and the output."""

    cell: Cell
    service: MisbehavingService
    before: Scrape
    after: Scrape
    recovered: Scrape | None
    returned_before: Mapping[RowKey, int]
    wanted: frozenset[RowKey]
    requests: list[tuple[str, int]]
    pages: list[str]
    status: int | None = None
    seconds: float = 0.0
    written: str = ""


@dataclass
class Daemon:
    """The process, its folder and its clients."""

    cell: Cell
    folder: Path
    service: MisbehavingService
    clock: Clock
    url: str
    http: httpx.AsyncClient
    process: asyncio.subprocess.Process
    requests: list[tuple[str, int]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    turns: Iterator[int] = field(default_factory=count)

    async def get(self, path: str) -> str:
        # On a new connection: a kept one would not notice that new ones are rejected.
        async with _client(self.url) as http:
            answer = await http.get(path)
        self.requests.append((path, answer.status_code))
        if path == "/":
            self.pages.append(answer.text)
        return answer.text

    async def scraped(self) -> Scrape:
        at = self.clock.now()
        return Scrape(at, await self.get("/metrics"))

    async def until(self, ready: Callable[[Scrape], Any], what: str) -> Scrape:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.returncode is None, f"ended with {self.process.returncode} before {what}"
            with contextlib.suppress(httpx.TransportError):
                if ready(scrape := await self.scraped()):
                    return scrape
            await asyncio.sleep(_GLANCE)
        raise AssertionError(f"waited {PATIENCE:.0f} s for {what}")

    async def reload(self) -> None:
        """Reload an equivalent query, which is polled now."""
        configure(self.folder, endpoint_of(self.cell, self.service), turned=next(self.turns) % 2 == 0)
        answer = await self.http.post("/-/reload")
        self.requests.append(("/-/reload", answer.status_code))

    def resolve(self, state: Resolver) -> None:
        _replace(self.folder / "resolver", state)

    async def looked_up(self) -> None:
        while not (self.folder / "looked_up").exists():
            await asyncio.sleep(_GLANCE)


def _client(url: str) -> httpx.AsyncClient:
    """Without the system's certificates, which take longer to load than all responses."""
    return httpx.AsyncClient(
        base_url=url, timeout=PATIENCE, trust_env=False, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )


async def run_cell(cell: Cell) -> Outcome:
    """Run a cell in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clock = Clock(folder / "clock", cell.environment.clock)
        async with asyncio.timeout(PATIENCE), MisbehavingService(clock.now, cell.environment.behaviour) as service:
            return await _in_environment(cell, folder, clock, service)


async def _in_environment(cell: Cell, folder: Path, clock: Clock, service: MisbehavingService) -> Outcome:
    environment, event = cell.environment, cell.event
    async with _running(cell, folder, clock, service) as (daemon, written):
        if environment.reached:
            before = await daemon.until(lambda s: polls(s, "success"), "the first poll")
        else:
            before = await daemon.until(lambda s: s.errors(), "the first failure")
        returned_before = {row_key: len(rows) for row_key, rows in service.returned.rows.items()}
        after = await _event(daemon, before)
        for path in ("/-/healthy", "/"):
            await daemon.get(path)
        recovered = None
        if event is not Event.SIGTERM:
            await service.repair()
            daemon.resolve(Resolver.ANSWERS)
            if environment.reached:
                good = polls(await daemon.scraped(), "success")
                clock.jump(LATER)
                await daemon.reload()
                recovered = await daemon.until(
                    lambda s: polls(s, "success") > good and _is_fresh(s, clock.now() - LATER / 2), "recovery"
                )
        wanted = frozenset(
            (date, row["MediaId"])
            for date in (f"{play_dates.play_date(clock.now(), ago):%Y%m%d}" for ago in (0, 1))
            for row in service.listed(date)
        )
        outcome = Outcome(
            cell, service, before, after, recovered, returned_before, wanted, daemon.requests, daemon.pages
        )
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        outcome.status = await daemon.process.wait()
        outcome.seconds = time.monotonic() - began
    outcome.written = written()
    return outcome


async def _event(daemon: Daemon, before: Scrape) -> Scrape:
    """Cause the event; returns the scrape during it."""
    environment, event, service = daemon.cell.environment, daemon.cell.event, daemon.service
    held = event in (Event.SIGTERM, Event.RELOAD) and environment.answers
    if held:
        service.gate.clear()
        await service.break_(HELD, lambda _: True)
    elif event is Event.REFUSAL:
        await service.break_(next(f for f in faults() if f.name == REFUSAL), lambda _: True)
    elif event is Event.KEY:
        write_key(daemon.folder, 1)
    await _change(daemon, before)
    if held:
        await service.first_affected.wait()
    if event is Event.RELOAD:
        await daemon.reload()
        service.gate.set()
    if event is not Event.SIGTERM and environment.answers:
        return await daemon.until(lambda s: polls(s) > polls(before), "the poll")
    if environment.resolver is Resolver.UNKNOWN or not environment.reached:
        return await daemon.until(lambda s: s.errors(), "a failure")
    return await daemon.scraped()


async def _change(daemon: Daemon, before: Scrape) -> None:
    """Put the environment into effect; a poll starts."""
    environment, service = daemon.cell.environment, daemon.service
    looks_up_in_vain = environment.resolver is not Resolver.ANSWERS
    if looks_up_in_vain:
        daemon.resolve(environment.resolver)
    if looks_up_in_vain or environment.behaviour is ConnectionBehaviour.CLOSES_LATER:
        await service.hang_up()
    daemon.clock.jump(environment.leap or LATER)
    await daemon.reload()
    if looks_up_in_vain:
        await daemon.looked_up()
        await daemon.until(lambda s: s.total(_SENT) > before.total(_SENT), "a request that waits for its name")
    if environment.resolver is Resolver.SLOW:
        daemon.resolve(Resolver.ANSWERS)


def _is_fresh(scrape: Scrape, since: float) -> bool:
    """Whether every unsettled day was requested since then: a poll from before may have ended now."""
    updated, settled = "aliyun_vod_slice_updated_timestamp_seconds", "aliyun_vod_slice_settled"
    return all(
        (scrape.one(updated, days_ago=ago) or 0) >= since or scrape.one(settled, days_ago=ago) for ago in ("0", "1")
    )


_SENT: Final = "aliyun_vod_api_requests_total"


def polls(scrape: Scrape, result: str = "") -> float:
    """The number of finished polls."""
    ended = scrape.of("aliyun_vod_query_polls_total", **({"result": result} if result else {}))
    return sum(ended.values())


def endpoint_of(cell: Cell, service: Service) -> str:
    """The endpoint that the exporter is configured with."""
    if cell.environment.by_proxy:
        return f"http://{NAME}"
    return service.endpoint_at(cell.environment.host)


def configure(folder: Path, endpoint: str, *, turned: bool) -> None:
    """Write the configuration file."""
    _replace(
        folder / "config.yaml",
        _CONFIGURATION.format(endpoint=endpoint, days_ago="[1, 0]" if turned else "[0, 1]"),
    )


def write_key(folder: Path, number: int) -> None:
    """Write the key with that number."""
    _replace(folder / "key_secret", SECRETS[number])
    _replace(folder / "key_id", f"key-{number}")


def _replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)


@contextlib.asynccontextmanager
async def _running(
    cell: Cell, folder: Path, clock: Clock, service: MisbehavingService
) -> AsyncGenerator[tuple[Daemon, Callable[[], str]]]:
    environment = cell.environment
    configure(folder, endpoint_of(cell, service), turned=False)
    write_key(folder, 0)
    (folder / "resolver").write_text(Resolver.ANSWERS)
    (folder / "program.py").write_text(_PROGRAM, encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environ |= {"PYTHONPATH": str(_ROOT), **environment.environ}
    if environment.by_proxy:
        address = service.endpoint.removeprefix("http://")
        environ["HTTP_PROXY"] = f"http://proxy-user:{PROXY_PASSWORD}@{address}"
    limit = f"ulimit -n {environment.descriptors}; " if environment.descriptors else ""
    closed = " 2>&-" if environment.stderr is Stderr.CLOSED else ""
    port = free_port()
    serve = ["serve", f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"]
    if environment.storage:
        serve.append(f"--storage.path={folder / 'state.db'}")
    with _stderr(environment.stderr, folder) as (stderr, reader, written):
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            f'{limit}exec "$@"{closed}',
            "sh",
            *(sys.executable, "-W", "default", "program.py", *serve),
            cwd=folder,
            env=environ,
            stderr=stderr,
        )
        os.close(stderr)
        reading = asyncio.create_task(reader())
        url = f"http://127.0.0.1:{port}"
        try:
            async with (
                contextlib.AsyncExitStack() as idle,
                _client(url) as http,
            ):
                daemon = Daemon(cell, folder, service, clock, url, http, process)
                await daemon.until(lambda _: True, "the first scrape")
                for _ in range(environment.idle):
                    await _connect_silently(port, idle)
                yield daemon, written
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await reading


_ROOT: Final = Path(__file__).parents[3]


async def _connect_silently(port: int, idle: contextlib.AsyncExitStack) -> None:
    """Connect and send nothing until the cell is over or the server closes."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    idle.callback(writer.close)


_Reader = Callable[[], Coroutine[Any, Any, None]]


@contextlib.contextmanager
def _stderr(
    kind: Stderr, folder: Path
) -> Generator[tuple[int, Callable[[], Coroutine[Any, Any, None]], Callable[[], str]]]:
    """A descriptor to write to, its reader, and the lines that it has read."""
    if kind in (Stderr.FILE, Stderr.CLOSED):
        file = folder / "stderr"
        yield os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), _read_nothing, file.read_text
        return
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    read = bytearray()

    async def read_slowly() -> None:
        os.set_blocking(reading, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                await asyncio.sleep(_GLANCE)
                try:
                    piece = os.read(reading, 64)
                except BlockingIOError:
                    continue
                if not piece:
                    return
                read.extend(piece)

    if kind is Stderr.FULL:
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"-" * _PIPE_BYTES)
        os.set_blocking(writing, True)
    elif kind is Stderr.GONE:
        os.close(reading)
    try:
        yield writing, read_slowly if kind is Stderr.SLOW else _read_nothing, read.decode
    finally:
        if kind is not Stderr.GONE:
            os.close(reading)


async def _read_nothing() -> None:
    pass


def answers(outcome: Outcome) -> Iterator[str | None]:
    """Every scrape, health check, page and reload gets a response."""
    for path, status in outcome.requests:
        yield None if status == httpx.codes.OK else f"{path} was answered with {status}"


def only_returned_numbers(outcome: Outcome) -> Iterator[str | None]:
    """Every number was returned for that media and that date, and no row is mixed from two responses."""
    evidence = _evidence(outcome)
    yield from invariants.only_returned_numbers(evidence)
    yield from invariants.no_number_on_another_day(evidence)
    yield from invariants.no_half_poll(evidence)
    yield from invariants.no_broken_text(evidence)


def known_values_stay(outcome: Outcome) -> Iterator[str | None]:
    """Known data of a day that is still published stays until the service returns other data."""
    after = outcome.after
    shown = {after.date(ago) for (ago,) in after.of("aliyun_vod_play_date_timestamp_seconds")}
    for row_key, numbers in outcome.before.plays.items():
        if row_key[0] in shown:
            now = after.plays.get(row_key)
            news = outcome.service.returned.rows[row_key][outcome.returned_before.get(row_key, 0) :]
            right = now == numbers or now in news or (now == ZEROS and outcome.service.returned.zero(row_key))
            yield None if right else f"{row_key} showed {numbers} and shows {now}"


def recovers(outcome: Outcome) -> Iterator[str | None]:
    """The next successful poll publishes the wanted rows as last returned."""
    if outcome.recovered is not None:
        yield from invariants.recovers(_evidence(outcome))


def failures_are_counted(outcome: Outcome) -> Iterator[str | None]:
    """Failures are counted by kind and nothing else is; lost log lines are counted; the new key is used."""
    cell, last = outcome.cell, outcome.recovered or outcome.after
    environment = cell.environment
    expected: Counter[tuple[str, str]] = Counter()
    if cell.event is Event.REFUSAL:
        expected[REFUSAL, "parameter"] = 1
    if environment.resolver is Resolver.UNKNOWN or not environment.reached:
        expected["connect", "transport"] = 1
    found = last.errors()
    allowed = set(expected)
    if environment.behaviour in (ConnectionBehaviour.REPEATS, ConnectionBehaviour.LEFTOVER):
        allowed.add(("malformed", "malformed"))
    if environment.behaviour is ConnectionBehaviour.LEFTOVER:
        # It arrives after the next request was sent, and is then the answer to that one.
        allowed.add(("http_408", "server"))
    yield None if set(expected) <= set(found) else f"counted are {found}, not {set(expected)}"
    yield None if set(found) <= allowed else f"counted are {found}, allowed are {allowed}"
    lost = last.one("aliyun_vod_exporter_log_lines_dropped_total")
    gone = environment.stderr is Stderr.GONE
    yield None if lost is not None and bool(lost) == gone else f"{lost} lines are counted as lost"
    up = last.one("aliyun_vod_query_up", query="q")
    yield None if environment.reached == (up == 1) else f"query_up is {up}"
    if cell.event is Event.KEY and environment.reached:
        keys = outcome.service.keys
        yield None if keys[0] == "key-0" and keys[-1] == "key-1" else f"the keys were {keys[0]}, {keys[-1]}"


def ends_on_sigterm(outcome: Outcome) -> Iterator[str | None]:
    """SIGTERM ends the daemon with status 0 within five seconds."""
    yield None if outcome.status == 0 else f"the status is {outcome.status}"
    yield None if outcome.seconds < PROMISED_SECONDS else f"it took {outcome.seconds:.1f} s to end"


def nothing_breaks(outcome: Outcome) -> Iterator[str | None]:
    """No traceback and no warning of Python is written, and no secret is shown or written."""
    for word in _NOT_FOR_PEOPLE:
        yield None if word not in outcome.written else f"{word!r} was written: {outcome.written[-2000:]}"
    texts = (outcome.written, outcome.before.text, outcome.after.text, *outcome.pages)
    for secret in SECRETS:
        yield None if not any(secret in text for text in texts) else f"{secret!r} is shown"
    if outcome.cell.environment.stderr in (Stderr.FILE, Stderr.SLOW):
        yield None if "msg=stopped" in outcome.written else f"the end was not written: {outcome.written[-500:]}"


INVARIANTS: Final[tuple[Callable[[Outcome], Iterator[str | None]], ...]] = (
    answers,
    only_returned_numbers,
    known_values_stay,
    recovers,
    failures_are_counted,
    ends_on_sigterm,
    nothing_breaks,
)


@dataclass
class CellResults:
    """The results of some cells."""

    cells: list[Cell] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    checked: Counter[str] = field(default_factory=Counter)
    violated: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __iadd__(self, other: CellResults) -> Self:
        """Both together."""
        self.cells += other.cells
        self.failed |= other.failed
        self.checked.update(other.checked)
        self.violated.update(other.violated)
        self.wrong += other.wrong
        return self


def check(outcome: Outcome) -> CellResults:
    """Check a cell against every invariant."""
    verified = CellResults([outcome.cell])
    for invariant in INVARIANTS:
        checked_values = list(invariant(outcome))
        wrong = [finding for finding in checked_values if finding is not None]
        verified.checked[invariant.__name__] += len(checked_values)
        verified.violated[invariant.__name__] += bool(wrong)
        verified.wrong += [f"{outcome.cell}: {invariant.__name__}: {finding}" for finding in wrong[:2]]
    if verified.wrong:
        verified.failed.add(str(outcome.cell))
    return verified


def results_of_cell(cell: Cell) -> CellResults:
    """Run a cell and check it; one that does not finish has failed."""
    try:
        outcome = asyncio.run(run_cell(cell))
    except (AssertionError, TimeoutError, httpx.HTTPError) as error:
        return CellResults([cell], {str(cell)}, wrong=[f"{cell}: {error!r}"])
    return check(outcome)


def table(verified: CellResults, *, seconds: float) -> str:
    """Passed cells by area and event; the number of checks of each invariant; the violations."""
    lines = [f"{'environment':46}{'cells':>8}{'passed':>8}{'failed':>8}"]
    for kinds in (Area, Event):
        for kind in kinds:
            cells = [str(cell) for cell in verified.cells if kind in (cell.environment.area, cell.event)]
            failed = len(verified.failed.intersection(cells))
            lines.append(f"  {kind:44}{len(cells):>8}{len(cells) - failed:>8}{failed:>8}")
    lines.append(f"{'invariant':46}{'looked at':>12}{'violated in':>13}")
    for invariant in INVARIANTS:
        name = invariant.__name__
        lines.append(f"  {name:44}{verified.checked[name]:>12,}{verified.violated[name]:>13}")
    lines += ["not in it, because"]
    reasons = Counter(reason for cell in every() if (reason := impossible(cell)))
    lines += [f"{times:>8}  {reason}" for reason, times in reasons.items()]
    lines += verified.wrong
    lines.append(f"{len(verified.cells)} cells, {len(verified.failed)} failed, {seconds:.0f} s")
    return "\n".join(lines)


def _evidence(outcome: Outcome) -> Evidence:
    """The outcome as evidence for the invariants of the matrix."""
    return Evidence(
        Case(HELD, Moment.LATER_POLL, Selection.ALL),
        outcome.before,
        outcome.after,
        outcome.recovered or outcome.after,
        (outcome.before, outcome.after),
        outcome.service.returned,
        outcome.returned_before,
        affected=(),
        received=(),
        good=0,
        cut=False,
        wanted=outcome.wanted,
    )
