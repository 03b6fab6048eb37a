"""The duration of a scrape, compared with nginx, prometheus-client and pushgateway with the same series."""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.campaigns.bench import machine, peers
from tests.campaigns.bench.rows import Goal, Section, missing, row

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from tests.campaigns.bench.load import Load
    from tests.campaigns.bench.peers import Server
    from tests.campaigns.bench.rows import Row

ROUNDS: Final = 5
MEDIA: Final = 5_540  # over four days: 100,000 series
QUERY: Final = "every: 1d, days_ago: [0, 1, 2, 8]"
CONNECTIONS: Final = 16
SCRAPES: Final = 200
FEW_SCRAPES: Final = 2  # of the servers that take a second
MANY_SCRAPES: Final = 480

_ONE: Final = """\
{series:,} series, {size:,} bytes of gzip; pushgateway adds two labels to each series. Each server is a separate
process, and so is the client, which sends the next scrape after it has read the previous response. nginx has
one worker and serves the same bytes as the exporter. The median of {scrapes} scrapes a round (prometheus-client
and pushgateway: {few}); {rounds} rounds."""
_MANY: Final = """\
The same with {connections} concurrent connections, {scrapes} scrapes a round. The client used at most {busy:.0%} of a
core: near 100 %, the client would be the bottleneck."""
# Our own metrics change from scrape to scrape, by a few bytes.
_SAME_SIZE: Final = 0.01


@dataclass(frozen=True, slots=True)
class _ComparedServers:
    """Servers of the same series: those that respond in milliseconds, and those that take a second."""

    fast: list[Server]
    slow: list[Server]
    series: int
    size: int


def sections() -> list[Section]:
    """The tables: one connection, and many concurrent ones. Raises RuntimeError for wrong responses."""
    with _serving() as contest:
        servers = (*contest.fast, *contest.slow)
        one: dict[str, list[Load]] = {server.name: [] for server in servers}
        many: dict[str, list[Load]] = {server.name: [] for server in contest.fast}
        for _ in range(ROUNDS):
            for server in servers:
                scrapes = SCRAPES if server in contest.fast else FEW_SCRAPES
                one[server.name].append(server.load(connections=1, requests=scrapes))
            for server in contest.fast:
                many[server.name].append(server.load(connections=CONNECTIONS, requests=MANY_SCRAPES))
    for load in itertools.chain(*(one[server.name] + many[server.name] for server in contest.fast)):
        if not all(math.isclose(got, contest.size, rel_tol=_SAME_SIZE) for got in (load.least_bytes, load.most_bytes)):
            raise RuntimeError(f"answers of {load.least_bytes} to {load.most_bytes} bytes instead of {contest.size}")
    how = _ONE.format(series=contest.series, size=contest.size, scrapes=SCRAPES, few=FEW_SCRAPES, rounds=ROUNDS)
    return [_one_connection(one, how), _many_connections(many)]


@contextlib.contextmanager
def _serving() -> Generator[_ComparedServers]:
    """All installed servers, with the series of one poll of ours."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        with peers.simulator(folder, f"--media={MEDIA}") as endpoint:
            own, _ = stack.enter_context(peers.ours(folder, endpoint, QUERY))
        packed, text = own.packed(), own.text()
        series = peers.play_series(text)
        fast, slow = [own], [stack.enter_context(peers.gauges(folder, series))]
        if machine.program("nginx"):
            fast.insert(0, stack.enter_context(peers.nginx(folder, packed)))
        if machine.program("prometheus-pushgateway"):
            slow.append(stack.enter_context(peers.pushgateway(folder, series)))
        held = {server.name: peers.count(server.text()) for server in (*fast, *slow)}
        if len(set(held.values())) > 1:
            raise RuntimeError(f"not the same number of series: {held}")
        yield _ComparedServers(fast, slow, series=held[own.name], size=len(packed))


def _one_connection(loads: Mapping[str, Sequence[Load]], how: str) -> Section:
    took = {name: [statistics.median(load.took) * 1e3 for load in rounds] for name, rounds in loads.items()}
    limit = _limit(took, "ms")
    ours = row(peers.OWN, "ms", took[peers.OWN], against=limit, goal=Goal(1.5))
    gauges = row(peers.GAUGES, "ms", took[peers.GAUGES], against=ours, goal=Goal(300, at_least=True))
    gateway = (
        row(peers.PUSHGATEWAY, "ms", took[peers.PUSHGATEWAY], against=ours, goal=Goal(100, at_least=True))
        if peers.PUSHGATEWAY in took
        else missing(peers.PUSHGATEWAY, "ms", "prometheus-pushgateway is not installed")
    )
    return Section("A scrape, one connection", how, (limit, ours, gauges, gateway))


def _many_connections(loads: Mapping[str, Sequence[Load]]) -> Section:
    rates = {name: [len(load.took) / load.seconds for load in rounds] for name, rounds in loads.items()}
    busy = max(statistics.median(load.cpu_seconds / load.seconds for load in rounds) for rounds in loads.values())
    limit = _limit(rates, "scrapes/s")
    ours = row(peers.OWN, "scrapes/s", rates[peers.OWN], against=limit, goal=Goal(0.6, at_least=True))
    how = _MANY.format(connections=CONNECTIONS, scrapes=MANY_SCRAPES, busy=busy)
    return Section(f"Scrapes, {CONNECTIONS} connections at once", how, (limit, ours))


def _limit(measured: Mapping[str, Sequence[float]], unit: str) -> Row:
    """The row of nginx, or why there is none."""
    if peers.NGINX in measured:
        return row(peers.NGINX, unit, measured[peers.NGINX])
    return missing(peers.NGINX, unit, "nginx is not installed")
