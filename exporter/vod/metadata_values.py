"""Shared by responses about media: JSON → objects, and their values: text, whole number, time, list."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from exporter.core.media_details import MediaDetails
from exporter.vod import error_bodies
from exporter.vod.json_repair import NO_JSON, attempts
from exporter.vod.row_values import LARGEST_NUMBER, LONGEST_ID, is_damaged

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]+")
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
# Characters; the service allows 128 bytes for a title, 64 for a category, 32 for a tag (its pages of limits).
_LONGEST: Final = 128


def parsed(body: bytes, action: str, fields: tuple[str, ...]) -> tuple[dict[str, Any], bytes]:
    """The object in a body that has at least one of these fields, and the body, repaired if necessary.

    Raises UpstreamError.
    """
    for repaired, _ in attempts(body):
        try:
            found = msgspec.json.decode(repaired)
        except NO_JSON:
            continue
        if isinstance(found, dict) and any(found.get(field) is not None for field in fields):
            return found, repaired
        break
    else:
        raise error_bodies.malformed(f"the response is not JSON that can be read: this is not a response of {action}")
    error = error_bodies.find(body)
    content = f"an error: {error}" if error is not None else f"none of {', '.join(fields)}"
    raise error_bodies.malformed(f"the response contains {content}: this is not a response of {action}")


def check_success(body: bytes, data: Collection[str], *, has_rows: bool) -> None:
    """Check that a response reports no failure beside its `data` fields. Raises UpstreamError.

    Without rows every sign of a failure counts, since an error must not pass for "there are none"; beside rows only an
    error code does.
    """
    try:
        if not has_rows:
            error_bodies.check_without_rows(body)
        error = error_bodies.find_beside(body, data)
    except ValueError as unreadable:
        raise error_bodies.malformed(str(unreadable)) from unreadable
    if error is not None and (error.code or not has_rows):
        raise error_bodies.malformed(f"the response contains an error: {error}")


def objects(document: Mapping[str, Any], name: str, within: str = "") -> list[dict[str, Any]]:
    """The objects of a list of the document, which may be given as JSON text, or as the field `within` of an object.

    Raises UpstreamError for anything else: it does not show that there are none.
    """
    value = document.get(name)
    if within and isinstance(value, dict) and (not value or within in value):
        value = value.get(within)
    listed = _list(value)
    found = [each for each in listed if isinstance(each, dict)]
    is_list = value is None or value == "" or isinstance(value, list) or _is_json_list(value)
    if not is_list or (listed and not found):
        raise error_bodies.malformed(f"{name} is not a list of objects: the response does not show that there are none")
    return found


def texts(value: object) -> list[str]:
    """The texts of a list, which may also be given as JSON text."""
    return [each for each in map(text, _list(value)) if each]


def text(value: object) -> str | None:
    """A text without control characters and of a limited length; a number as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    clean = _CONTROL.sub(" ", str(value)).strip()
    return clean if len(clean) <= _LONGEST else f"{clean[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def whole(value: object) -> int | None:
    """A whole number, given as number or text; None for anything else."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    usable = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER
    return value if usable else None  # type: ignore[return-value]


def _time(value: object) -> float | None:
    """Seconds since 1970 of a time in UTC; None for anything else."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def media_id(value: object) -> str | None:
    """A media ID; None if it is absent, damaged or too long."""
    usable = isinstance(value, str) and 0 < len(value) <= LONGEST_ID and not is_damaged(value)
    return value if usable else None  # type: ignore[return-value]


def details(given: Mapping[str, Any], id_: str) -> MediaDetails:
    """The details of a video."""
    category_id = whole(given.get("CateId"))
    has_category = category_id is not None and category_id > 0
    tags = given.get("Tags")
    return MediaDetails(
        id_,
        title=text(given.get("Title")),
        category_id=category_id if has_category else None,
        category=_shared(given.get("CateName")) if has_category else None,
        tags=None if tags is None else tuple(map(sys.intern, _tags(tags))),
        status=_shared(given.get("Status")),
        created_at=_time(given.get("CreationTime")),
        app_id=_shared(given.get("AppId")),
        storage_class=_shared(given.get("StorageClass")),
        reference_id=text(given.get("ReferenceId")) or None,
    )


def _shared(value: object) -> str | None:
    """A text that many media have, kept in memory once; None if it is empty."""
    found = text(value)
    return sys.intern(found) if found else None


def _tags(value: object) -> list[str]:
    given = value.split(",") if isinstance(value, str) and not value.lstrip().startswith("[") else _list(value)
    return [tag for tag in map(text, given) if tag]


def _is_json_list(value: object) -> bool:
    return isinstance(value, str) and (value.strip() == "[]" or bool(_list(value)))


def _list(value: object) -> list[Any]:
    if isinstance(value, str) and value.strip():
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return []
    return value if isinstance(value, list) else []
