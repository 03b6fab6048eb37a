"""The queries of a dashboard as Grafana sends them to Prometheus."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.documents.durations import parse
from tests.e2e.processes import get, post

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.processes import Prometheus

DEFAULT_SCRAPE_INTERVAL: Final = "15s"
"""Of a data source that does not say how often Prometheus scrapes."""
_VARIABLES_OVER: Final = 6 * 3_600
"""Seconds of the time range of variables that are read when a dashboard is loaded."""


def rate_interval(target: Mapping[str, Any]) -> float:
    """The shortest `$__rate_interval` of a target, in seconds, with the default settings of the data source.

    Four times the target's Min step, else the scrape interval of the data source (Grafana's documentation of its
    Prometheus data source, "Using $__rate_interval").
    """
    return 4 * parse(target.get("interval") or DEFAULT_SCRAPE_INTERVAL)


@dataclass
class DashboardQueries:
    """A Prometheus, and the values of the variables: the first one each, or all if that is the default.

    * `prefers`: chosen wherever a variable offers it.
    * `scraped`: seconds from scrape to scrape; the documentation recommends 60.
    * `at`: the time of the queries; None: now.
    """

    server: Prometheus
    prefers: str = ""
    scraped: int = 60
    at: float | None = None
    variables: dict[str, dict[str, str]] = field(default_factory=dict)

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """As `Prometheus.query`, for queries longer than a URL may be."""
        answer = post(f"{self.server.url}/api/v1/query", data={"query": promql, "time": self.now}).json()
        assert answer["status"] == "success", (answer, promql)
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    @property
    def now(self) -> float:
        """The time of the queries."""
        return time.time() if self.at is None else self.at

    def expr(self, dashboard: dict[str, Any], target: dict[str, Any], interval: str = "1m") -> str:
        """A query with variables interpolated as by Grafana."""
        rates_over = f"{rate_interval(target) * self.scraped / 60:.0f}s"
        text = target["expr"].replace("$__rate_interval", rates_over).replace("$__interval", interval)
        text = text.replace("${__to:date:seconds}", f"{self.now:.0f}")
        return substituted(text, self.values(dashboard))

    def values(self, dashboard: dict[str, Any]) -> dict[str, str]:
        """The value of each variable of a dashboard; every variable has an option."""
        if dashboard["uid"] not in self.variables:
            known: dict[str, str] = {}
            self.variables[dashboard["uid"]] = known
            for variable in dashboard["templating"]["list"]:
                if variable["type"] == "query":
                    options = self.options(substituted(variable["query"]["query"], known), variable.get("regex", ""))
                    assert options, f"nothing to choose for {variable['name']}"
                    whole = (
                        variable.get("allValue")
                        or "(" + "|".join(re.escape(option).replace("\\", "\\\\") for option in options) + ")"
                    )
                    first = self.prefers if self.prefers in options else options[0]
                    chosen = variable.get("current", {}).get("value", first)
                    assert chosen in ("$__all", *options)
                    known[variable["name"]] = whole if chosen == "$__all" else chosen
                elif variable["type"] == "custom":
                    known[variable["name"]] = variable["current"]["value"]
            assert "$" not in "".join(known.values())
        return self.variables[dashboard["uid"]]

    def options(self, query: str, regex: str) -> list[str]:
        """The options of a variable's query, as from Grafana's Prometheus data source."""
        if found := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
            params = {"match[]": found[1], "start": self.now - _VARIABLES_OVER, "end": self.now}
            names: list[str] = get(f"{self.server.url}/api/v1/label/{found[2]}/values", params=params).json()["data"]
            return names
        found = re.fullmatch(r"query_result\((.+)\)", query)
        assert found, query
        lines = [
            "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "} 1 1700000000000"
            for labels, _ in self.query(found[1])
        ]
        pattern = re.compile(regex.strip("/").replace("(?<", "(?P<"))
        matched = [pattern.search(line) for line in lines]
        assert all(matched), lines
        return [match.groupdict().get("value") or match[1] for match in matched if match]


def substituted(text: str, values: Mapping[str, str]) -> str:
    """A query with the values of variables in place of their names."""
    return re.sub(r"\$([a-z]\w*)", lambda found: values[found[1]], text)
