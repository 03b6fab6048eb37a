"""The view as HTML: rendered at the server, with nothing in it that a browser might run."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES
from exporter.status import formatting
from exporter.status.filters import MEDIA_CHANGES, MEDIA_SORTS, SORTS
from exporter.status.languages import words
from exporter.status.media import is_dropped
from exporter.status.sparkline import HEIGHT, WIDTH, sparkline
from exporter.status.stylesheet import stylesheet
from exporter.status.translation import is_own, translated
from exporter.status.views import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jinja2 import Template

    from exporter.status.views import DayView, StatusView

# A sign for each, so that colour is never all that tells them apart.
SIGNS: Final[Mapping[str, str]] = {
    State.SETTLED: "\N{CHECK MARK}",
    State.UNSETTLED: "\N{MIDLINE HORIZONTAL ELLIPSIS}",
    State.NOT_READY: "?",
    State.STALE: "!",
    State.UNANSWERED: "\N{WHITE CIRCLE}",
}
_SHADES: Final = 4


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
        """The whole page, in a language of `words.LANGUAGES`."""
        said = words(language)
        html = _template().render(
            view=view,
            t=said,
            ago=partial(formatting.ago, now=view.now, words=said),
            clock=partial(formatting.clock, words=said),
            duration=partial(formatting.duration, words=said),
            spans=partial(formatting.spans, words=said),
            translated=partial(translated, language=language),
            selects=tuple(_selects(view, said)),
            links=self._links,
            stylesheet_path=self.stylesheet_path,
        )
        return html.encode()


@cache
def _template() -> Template:
    """Compiled for the first page: most exporters are never looked at, and it takes 5 MB."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - as said

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
    }
    return environment.get_template("page.html")


def _selects(
    view: StatusView, said: Mapping[str, str]
) -> Iterator[tuple[str, str, list[tuple[str | int | None, str]]]]:
    """What can be chosen from: parameter, label, and each value with what is shown for it."""

    def named(names: Iterable[str]) -> list[tuple[str | int | None, str]]:
        return [("", said["any"]), *((name, formatting.visible(name)) for name in names)]

    def filtered(values: Iterable[str]) -> list[tuple[str | int | None, str]]:
        return [("", said["any"]), ("all", said["unfiltered"]), *((value, value) for value in values)]

    def spelt(values: Iterable[str], prefix: str) -> list[tuple[str | int | None, str]]:
        return [(value, said[f"{prefix}_{value}"]) for value in values]

    def named_day(day: DayView) -> str:
        ago = said[f"days_ago_{day.days_ago}"] if day.days_ago < 2 else said["days_ago_n"].format(day.days_ago)  # noqa: PLR2004 - the others have no name
        return said["with_detail"].format(day.play_date, ago)

    asked = [(day.days_ago, named_day(day)) for day in reversed(view.days) if day.slices]
    yield "account", said["account"], named(account.name for account in view.accounts)
    yield "query", said["query"], named(query.name for query in view.queries)
    yield "days_ago", said["day"], [("", said["any"]), *asked]
    yield "state", said["state"], [("", said["any"]), *spelt(State, "state")]
    yield "terminal_type", said["terminal_type"], filtered(TERMINAL_TYPES)
    yield "os", said["os"], filtered(OPERATING_SYSTEMS)
    yield "region", said["region"], filtered(REGIONS)
    yield "media_change", said["media_change"], [("", said["any"]), *spelt(MEDIA_CHANGES, "media_change")]
    yield "media_sort", said["sort_media"], spelt(MEDIA_SORTS, "media_sort")
    yield "sort", said["sort_slices"], spelt(SORTS, "sort")


def _shade(day: DayView) -> int:
    """How much of a day is settled: from 0, nothing, to 4, all of it."""
    return day.states.get(State.SETTLED, 0) * _SHADES // day.slices


def _worst(day: DayView) -> State:
    """The worst state that any slice of a day is in."""
    return next(state for state in State if state in day.states)
