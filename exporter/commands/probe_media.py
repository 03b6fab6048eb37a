"""What `probe` finds out about GetCategories, SearchMedia and GetVideoInfos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter.commands.probe_requests import Finding, number, order_of, repeated
from exporter.commands.response_fields import safe_name, type_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from exporter.commands.probe_requests import ProbeResponse, Requester

FIRST_CATEGORIES: Final = {"PageNo": "1", "PageSize": "100"}
FIRST_SEARCH: Final = {
    "SearchType": "video",
    "Fields": "Title,Description,CateId,CateName,Tags,Status,Duration,Size,CreationTime,ModificationTime,"
    "StorageLocation,StorageClass,AppId,MediaSource,PreprocessStatus,TranscodeMode,DownloadSwitch,ReferenceId",
    "SortBy": "CreationTime:Asc",
    "PageNo": "1",
    "PageSize": "100",
}
MISSING_ID: Final = "0" * 32
_MOST_PARENTS: Final = 3


def first_infos(search: ProbeResponse, played: ProbeResponse) -> dict[str, str]:
    """Up to three IDs that SearchMedia found, else with plays, the last one first, and one that does not exist."""
    rows = search.rows("MediaList") or played.rows("QoeInfoList")
    ids = [media_id for row in rows[:3] if (media_id := _media_id(row))]
    return {"VideoIds": ",".join([*reversed(ids), MISSING_ID])}


async def categories(request: Requester, response: ProbeResponse) -> AsyncIterator[Finding]:
    """What the root's response and one of a category show."""
    root = response.document.get("Category")
    yield Finding("Category of the root", "absent" if "Category" not in response.document else type_of(root))
    default = await request({})
    rows, wanted = response.rows("SubCategories", "Category"), default.rows("SubCategories", "Category")
    shown = "as many rows as with 100" if len(wanted) == len(rows) else "fewer rows than with 100"
    yield Finding("without PageSize", default.or_error(shown))
    parents = _parents(response)
    if parents:
        below = await request({"CateId": parents[0], "PageSize": "100"})
        children = below.rows("SubCategories", "Category")
        agree = all(str(row.get("ParentId")) == parents[0] for row in children)
        text = f"{'' if children else 'no '}subcategories{', of this parent' if children and agree else ''}"
        yield Finding("a category with SubTotal above 0", below.or_error(text))
    missing = await request({"CateId": "1"})
    yield Finding("a CateId that does not exist", missing.outcome)


async def search(request: Requester, response: ProbeResponse, known: ProbeResponse) -> AsyncIterator[Finding]:
    """What further searches show; `known` is the response with the categories."""
    rows = response.rows("MediaList")
    total = number(response.document.get("Total"))
    yield Finding("Total", "absent" if total is None else "more than one page" if total > len(rows) else "one page")
    yield Finding("CreationTime of rows", order_of([row.get("CreationTime") for row in rows]))
    again = await request(FIRST_SEARCH)
    yield Finding("the same page twice", again.or_error(repeated(rows, again.rows("MediaList"))))
    token = response.document.get("ScrollToken")
    yield Finding("ScrollToken", f"{type_of(token)} of length {len(token)}" if isinstance(token, str) else "absent")
    for size in ("50", "100"):
        yield Finding(f"next page of {size} by ScrollToken", await _scroll(request, size))
    far = await request({**FIRST_SEARCH, "PageNo": "51"})
    far_text = f"answered with {'' if far.rows('MediaList') else 'no '}rows"
    yield Finding("page 51 of 100 without ScrollToken", far.or_error(far_text))
    bare = await request({"PageSize": "1"})
    names = sorted({safe_name(name) for row in bare.rows("MediaList") for name in _video(row)})
    yield Finding("fields of Video without Fields", bare.or_error(", ".join(names) or "none"))
    async for each in _matching(request, rows, known):
        yield each


async def infos(request: Requester, response: ProbeResponse, requested: Mapping[str, str]) -> AsyncIterator[Finding]:
    """What GetVideoInfos shows of missing and repeated IDs."""
    ids = [each for each in requested["VideoIds"].split(",") if each != MISSING_ID]
    shown = [str(row.get("VideoId")) for row in response.rows("VideoList")]
    order = "as requested" if shown == ids else "another order" if sorted(shown) == sorted(ids) else "other media"
    yield Finding("order of rows", order)
    yield Finding("NonExistVideoIds", type_of(response.document.get("NonExistVideoIds")))
    if ids:
        twice = await request({"VideoIds": f"{ids[0]},{ids[0]}"})
        count = {0: "no row", 1: "one row"}.get(len(twice.rows("VideoList")), "several rows")
        yield Finding("the same ID twice", twice.or_error(count))
    missing = await request({"VideoIds": MISSING_ID})
    yield Finding("only an ID that does not exist", missing.outcome)


async def _scroll(request: Requester, size: str) -> str:
    first = await request({**FIRST_SEARCH, "PageSize": size})
    token = first.document.get("ScrollToken")
    if first.error or not isinstance(token, str):
        return "no token"
    return (await request({**FIRST_SEARCH, "PageSize": size, "PageNo": "2", "ScrollToken": token})).outcome


async def _matching(request: Requester, rows: list[dict[str, Any]], known: ProbeResponse) -> AsyncIterator[Finding]:
    async def finds(match: str, video_id: str) -> str:
        response = await request({**FIRST_SEARCH, "Match": f"{match} and VideoId = '{video_id}'"})
        found = video_id in map(_media_id, response.rows("MediaList"))
        return response.or_error("found" if found else "not found")

    tagged = next(((tag, id_) for row in rows if (id_ := _media_id(row)) for tag in _tags(row)), None)
    if tagged:
        tag, video_id = tagged
        yield Finding("a video by its whole tag", await finds(f"Tags in ('{tag}')", video_id))
        yield Finding("a video by a part of its tag", await finds(f"Tags in ('{tag[:-1]}')", video_id))
    titled = next(((title, id_) for row in rows if (id_ := _media_id(row)) and (title := _title(row))), None)
    if titled:
        title, video_id = titled
        yield Finding("a video by a part of its title", await finds(f"Title = '{title[1:-1]}'", video_id))
        other = title[1:-1].swapcase()
        if other != title[1:-1]:
            yield Finding("the same in other letter case", await finds(f"Title = '{other}'", video_id))
    yield Finding("a category with subcategories", await _includes_subcategories(request, known))
    quoted = await request({**FIRST_SEARCH, "Match": "Title = 'a''b'"})
    yield Finding("a quote written twice in Match", quoted.outcome)
    less = await request({**FIRST_SEARCH, "Match": "Duration < 1"})
    yield Finding("Match with <", less.outcome)


async def _includes_subcategories(request: Requester, known: ProbeResponse) -> str:
    for parent in _parents(known)[:_MOST_PARENTS]:
        response = await request({**FIRST_SEARCH, "Match": f"CateId = {parent}"})
        if response.error:
            return response.outcome
        found = {str(_video(row).get("CateId")) for row in response.rows("MediaList")}
        if found - {parent}:
            return "media of subcategories too"
        if found:
            return "only media of its own on the first page"
    return "no media in the categories that were tried"


def _parents(response: ProbeResponse) -> list[str]:
    rows = response.rows("SubCategories", "Category")
    return [str(row["CateId"]) for row in rows if (number(row.get("SubTotal")) or 0) > 0 and number(row.get("CateId"))]


def _video(row: dict[str, Any]) -> dict[str, Any]:
    video = row.get("Video")
    return video if isinstance(video, dict) else {}


def _media_id(row: dict[str, Any]) -> str:
    media_id = row.get("MediaId")
    return media_id if isinstance(media_id, str) and media_id.isalnum() else ""


def _tags(row: dict[str, Any]) -> list[str]:
    tags = _video(row).get("Tags")
    return [tag for tag in tags.split(",") if len(tag) > 2 and "'" not in tag] if isinstance(tags, str) else []  # noqa: PLR2004


def _title(row: dict[str, Any]) -> str:
    title = _video(row).get("Title")
    return title if isinstance(title, str) and len(title) > 3 and title.isprintable() and "'" not in title else ""  # noqa: PLR2004
