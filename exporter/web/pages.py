"""The page at `/`: links to everything and the state at a glance, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from string import Template
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class QueryStatus:
    """One query; times are seconds since 1970, None: not yet."""

    name: str
    account: str
    result: str | None
    polled_at: float | None
    next_poll_at: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """The state at a glance."""

    version: str
    started_at: float
    series: int
    queries: tuple[QueryStatus, ...]


_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>aliyun-vod-exporter</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #8884; }
</style>
</head>
<body>
<main>
<h1>aliyun-vod-exporter</h1>
<p>Version $version, running since $started, publishing $series series of plays.</p>
<ul>
<li><a href="$metrics">Metrics</a>: what Prometheus scrapes</li>
<li><a href="/-/healthy">Healthy</a>: answers while the program lives</li>
<li><a href="/-/ready">Ready</a>: answers 200 once every query was polled</li>
</ul>
<h2>Queries</h2>
<table>
<thead><tr><th>Query</th><th>Account</th><th>Last poll</th><th>Result</th><th>Next poll</th></tr></thead>
<tbody>
$rows
</tbody>
</table>
</main>
</body>
</html>
""")


def index(status: Status, telemetry_path: str) -> str:
    """The whole page."""
    return _PAGE.substitute(
        version=escape(status.version),
        started=_time(status.started_at),
        series=status.series,
        metrics=escape(telemetry_path),
        rows="\n".join(_row(_cells(query)) for query in status.queries),
    )


def _cells(query: QueryStatus) -> tuple[str, ...]:
    result = query.result or "waiting for the first poll"
    return query.name, query.account, _time(query.polled_at), result, _time(query.next_poll_at)


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _time(at: float | None) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "\N{EN DASH}"
