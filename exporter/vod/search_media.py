"""SearchMedia: conditions → the Match of a request, and the hits in a response."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from exporter.core.media_search import PAGE_SIZE, SearchConditions, SearchPage, SearchRequest
from exporter.vod import metadata_values as values
from exporter.vod.actions import Action
from exporter.vod.error_bodies import malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FIELDS: Final = "Title,CateId,CateName,Tags,Status,StorageClass,AppId,ReferenceId,CreationTime"
# This many categories in one condition keep the query string below 4 kB, which every server accepts.
CATEGORIES_PER_SEARCH: Final = 50


def _decode(body: bytes, parameters: Mapping[str, str]) -> SearchPage:
    document, body = values.parsed(body, "SearchMedia", ("MediaList", "Total"))
    total, listed = values.whole(document.get("Total")), values.objects(document, "MediaList")
    if len(listed) > int(parameters["PageSize"]):
        raise malformed(f"MediaList has {len(listed)} hits, but {parameters['PageSize']} were requested")
    if total is not None and total < 0:
        raise malformed("Total is negative")
    if not listed and total is None:
        raise malformed("neither hits nor a Total: the response does not show that there are none")
    values.check_success(body, ("MediaList", "Total", "ScrollToken"), has_rows=bool(listed))
    hits = []
    for each in listed:
        inner = each.get("Video")
        video: dict[str, Any] = inner if isinstance(inner, dict) else {}
        given = {**{name: value for name, value in each.items() if value is not None}, **video}
        media_id = values.media_id(video.get("VideoId")) or values.media_id(each.get("MediaId"))
        if media_id is not None:
            hits.append(values.details({**given, "CreationTime": _created(each, video)}, media_id))
    if listed and not hits:
        raise malformed("no hit of MediaList has an ID that can be used")
    return SearchPage(tuple(hits), total, skipped=len(listed) - len(hits))


def _created(hit: Mapping[str, object], video: Mapping[str, object]) -> object:
    return video.get("CreationTime") or hit.get("CreationTime")


# Name, version, permission and error codes: Alibaba Cloud's pages of 2021 to 2026.
SEARCH_MEDIA: Final = Action(
    "SearchMedia",
    "2017-03-21",
    "vod:SearchMedia",
    _decode,
    ("ErrorMatchSyntax", "SortByExceededMax"),
)


def parameters(request: SearchRequest, wanted: SearchConditions, category_ids: Iterable[int] = ()) -> dict[str, str]:
    """The parameters of one page: hits that fulfil the conditions and have one of these categories (none: any)."""
    match = " and ".join(_conditions(request, wanted, list(category_ids)))
    given = {
        "SearchType": "video",
        "Fields": FIELDS,
        "SortBy": "CreationTime:Asc",
        "PageNo": str(request.page),
        "PageSize": str(PAGE_SIZE),
        "Match": match,
    }
    return {name: value for name, value in given.items() if value}


def _conditions(request: SearchRequest, wanted: SearchConditions, category_ids: list[int]) -> Iterator[str]:
    if category_ids:
        alternatives = " or ".join(f"CateId = {each}" for each in category_ids)
        yield alternatives if len(category_ids) == 1 else f"({alternatives})"
    if wanted.tags and not any("'" in tag for tag in wanted.tags):
        yield f"Tags in ({_quoted(wanted.tags)})"
    # How a quote is written within a value is not documented: such hits are found by the comparison afterwards.
    if wanted.title is not None and "'" not in wanted.title:
        yield f"Title = '{wanted.title}'"
    if wanted.statuses:
        yield f"Status in ({_quoted(wanted.statuses)})"
    if request.created_from is not None:
        bracket = "(" if request.exclusive else "["
        yield f"CreationTime = {bracket}'{_time(request.created_from)}',)"


def _quoted(words: Iterable[str]) -> str:
    return ",".join(f"'{word}'" for word in words)


def _time(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
