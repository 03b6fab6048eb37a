"""Render the status page as HTML without scripts."""

from __future__ import annotations

from collections import defaultdict
from functools import cache, partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES
from exporter.status import formatting
from exporter.status.expected_views import Expected
from exporter.status.filters import MEDIA_CHANGES, MEDIA_SORTS, SORTS
from exporter.status.languages import is_own, translated, words
from exporter.status.media import is_dropped
from exporter.status.model import State
from exporter.status.sparkline import HEIGHT, WIDTH, sparkline
from exporter.status.stylesheet import stylesheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jinja2 import Template

    from exporter.status.expected_views import MissingDay
    from exporter.status.views import DayView, StatusView

# Each state has a sign, so that colour is not the only difference.
SIGNS: Final[Mapping[str, str]] = {
    State.SETTLED: "\N{CHECK MARK}",
    State.UNSETTLED: "\N{MIDLINE HORIZONTAL ELLIPSIS}",
    State.NOT_READY: "?",
    State.STALE: "!",
    State.UNANSWERED: "\N{WHITE CIRCLE}",
}
_SHADES: Final = 4
# How much of a list is visible until it is unfolded.
_LISTED: Final = 10


class Pages:
    """Renders the page; `telemetry_path` is where Prometheus scrapes."""

    def __init__(self, telemetry_path: str) -> None:
        self.stylesheet_path, _ = stylesheet()
        self._links = (
            (quote(telemetry_path), "link_metrics"),
            ("/api/v1/status", "link_status"),
            ("/-/healthy", "link_healthy"),
            ("/-/ready", "link_ready"),
        )

    def render(self, view: StatusView, language: str) -> bytes:
        """Render the page as UTF-8, in one of `languages.LANGUAGES`."""
        texts = words(language)
        html = _template().render(
            view=view,
            t=texts,
            ago=partial(formatting.ago, now=view.now, words=texts),
            clock=partial(formatting.clock, words=texts),
            dated=partial(formatting.dated, words=texts),
            alike=partial(_alike, texts=texts),
            duration=partial(formatting.duration, words=texts),
            spans=partial(formatting.spans, words=texts),
            translated=partial(translated, language=language),
            selects=tuple(_selects(view, texts)),
            links=self._links,
            stylesheet_path=self.stylesheet_path,
        )
        return html.encode()


@cache
def _template() -> Template:
    """Return the template, compiled for the first page: jinja2 takes 5 MB, and many exporters never show a page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - see the docstring

    environment = Environment(
        loader=PackageLoader("exporter.status"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": formatting.number,
        "percent": formatting.percent,
        "difference": formatting.difference,
        "whole": lambda value: None if value is None else round(value),
        "instant": formatting.instant,
        "visible": formatting.visible,
    }
    environment.globals |= {
        "signs": SIGNS,
        "sparkline": sparkline,
        "spark_size": (WIDTH, HEIGHT),
        "shade": _shade,
        "worst": _worst,
        "is_dropped": is_dropped,
        "is_own": is_own,
        "states": tuple(State),
        "listed": _LISTED,
        "lacks_expectations": _lacks_expectations,
    }
    return environment.get_template("page.html")


def _selects(
    view: StatusView, texts: Mapping[str, str]
) -> Iterator[tuple[str, str, list[tuple[str | int | None, str]]]]:
    """Yield each select element: parameter, label, and its values with their texts."""

    def named(names: Iterable[str]) -> list[tuple[str | int | None, str]]:
        return [("", texts["any"]), *((name, formatting.visible(name)) for name in names)]

    def filtered(values: Iterable[str]) -> list[tuple[str | int | None, str]]:
        return [("", texts["any"]), ("all", texts["unfiltered"]), *((value, value) for value in values)]

    def labelled(values: Iterable[str], prefix: str) -> list[tuple[str | int | None, str]]:
        return [(value, texts[f"{prefix}_{value}"]) for value in values]

    def named_day(day: DayView) -> str:
        ago = texts[f"days_ago_{day.days_ago}"] if day.days_ago < 2 else texts["days_ago_n"].format(day.days_ago)  # noqa: PLR2004 - only today and yesterday have names
        return texts["with_detail"].format(formatting.dated(day.play_date, texts), ago)

    days = [(day.days_ago, named_day(day)) for day in reversed(view.days) if day.slices]
    yield "account", texts["account"], named(account.name for account in view.accounts)
    yield "query", texts["query"], named(query.name for query in view.queries)
    yield "days_ago", texts["day"], [("", texts["any"]), *days]
    yield "state", texts["state"], [("", texts["any"]), *labelled(State, "state")]
    yield "terminal_type", texts["terminal_type"], filtered(TERMINAL_TYPES)
    yield "os", texts["os"], filtered(OPERATING_SYSTEMS)
    yield "region", texts["region"], filtered(REGIONS)
    yield "media_change", texts["media_change"], [("", texts["any"]), *labelled(MEDIA_CHANGES, "media_change")]
    yield "media_sort", texts["sort_media"], labelled(MEDIA_SORTS, "media_sort")
    yield "sort", texts["sort_slices"], labelled(SORTS, "sort")


def _alike(days: Iterable[MissingDay], texts: Mapping[str, str]) -> list[tuple[tuple[State, float | None], list[str]]]:
    """Group missing days that have the same reason and the same end."""
    groups: defaultdict[tuple[State, float | None], list[str]] = defaultdict(list)
    for day in days:
        groups[day.state, day.final_from].append(formatting.dated(day.play_date, texts))
    return list(groups.items())


def _lacks_expectations(view: StatusView) -> bool:
    """Return whether media on this page have no expected plays for a reason that the queries give."""
    reasons = any(
        query.expected != Expected.ON or any(settled.play_date is None for settled in query.settled_days)
        for query in view.queries
    )
    return reasons and any(row.expected is None and not row.missing_days for row in view.media.rows)


def _shade(day: DayView) -> int:
    """Return how much of a day is settled, from 0 (nothing) to 4 (everything)."""
    return day.states.get(State.SETTLED, 0) * _SHADES // day.slices


def _worst(day: DayView) -> State:
    """Return the worst state of the slices of a day."""
    return next(state for state in State if state in day.states)
