"""The configured queries of a case, and which of their requests get the fault."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from exporter.config.loader import loads
from tests.campaigns.faults.cases import Case, Moment, Selection
from tests.campaigns.faults.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config.schema import Config
    from tests.campaigns.faults.oracle import Call

NOON: Final = datetime.fromisoformat("2024-03-24T12:00:10+08:00").timestamp()
SECRET: Final = "a-secret-of-the-matrix"
# Enough for two pages of a hundred, and for ten.
FEW_MEDIA, MANY_MEDIA = 140, 1400
TOP: Final = 101

_CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: http://127.0.0.1
    credentials: {{access_key_id: matrix, access_key_secret: {secret}}}
    limits: {{requests_per_second: {rate}, concurrency: 8}}
queries:
  - {{name: q, media: {media}, days_ago: {days_ago}, every: 15m, expected: false}}
"""


@cache
def wanted_ids() -> tuple[str, ...]:
    """Three media that are not on the first page, and an unknown one between them; sorted."""
    service = Service(MANY_MEDIA, lambda: NOON)
    played = sorted(service.listed("20240324")[rank]["MediaId"] for rank in (150, 420, 700))
    return (*played[:2], f"{int(played[1], 16) + 1:032x}", played[2])


def media_count(selection: Selection) -> int:
    """The number of media of the account, so that the selection takes several calls of the right kind."""
    return MANY_MEDIA if selection is Selection.IDS else FEW_MEDIA


def media(selection: Selection) -> str:
    """The media setting of the query."""
    match selection:
        case Selection.IDS:
            return "{ids: [" + ", ".join(f'"{media_id}"' for media_id in wanted_ids()) + "]}"
        case Selection.TOP:
            return f"{{top: {TOP}, by: plays}}"
        case Selection.ALL:
            return "all"


def meeting(case: Case) -> Callable[[Call], bool]:
    """Whether a request gets the fault."""
    ids = wanted_ids()
    match case.moment:
        case Moment.PAGE_1:
            return lambda call: call.media_id == ids[0] or (call.media_id is None and call.page == 1)
        case Moment.LAST_PAGE:
            # A listing that changes while it is read: every page after the first.
            return lambda call: call.media_id == ids[3] or call.page >= 2
        case Moment.SWEEP:
            # In one slice only: the other must not be affected.
            return lambda call: call.date == "20240323" and (call.media_id == ids[1] or call.page >= 2)
        case _:
            return lambda _: True


@cache
def _configured(selection: Selection, *, turned: bool, rate: int) -> Config:
    text = _CONFIGURATION.format(
        secret=SECRET, rate=rate, media=media(selection), days_ago="[1, 0]" if turned else "[0, 1]"
    )
    return loads(text, file="config.yaml", environ={})


def configuration(selection: Selection, endpoint: str, *, turned: bool = False, rate: int = 1000) -> Config:
    """The configuration; `turned` lists the same in another order, which makes it another query."""
    config = _configured(selection, turned=turned, rate=rate)
    accounts = [account.model_copy(update={"endpoint": endpoint}) for account in config.accounts]
    return config.model_copy(update={"accounts": accounts})
