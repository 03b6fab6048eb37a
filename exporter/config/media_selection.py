"""Settings that say which media: by ID, by rank or by a search; and which of their metadata is exported."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from exporter.config.settings_model import SettingsModel, duration_field
from exporter.core.media_details import LABELS, MetadataRules, Search
from exporter.core.model import Measure
from exporter.documents import lookalikes
from exporter.documents.error_messages import FieldErrorDict, field_error, kind, quoted
from exporter.documents.field_types import Choice, Duration, ListOf, MediaId, OfUsualSize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEDIA_FORMS: Final = "all, {ids: [...]}, {top: 100, by: plays} or {search: ...}"
# Status of a video (Alibaba Cloud's pages of SearchMedia and GetVideoList).
STATUSES: Final = (
    "Normal",
    "Blocked",
    "Uploading",
    "UploadFail",
    "UploadSucc",
    "Transcoding",
    "TranscodeFail",
    "Checking",
    "ProduceFail",
)
# Neither an ID nor, without a slash before it, a path: 0 and -1 stand for no category and the root in the API.
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
_LONGEST_CATEGORY_ID: Final = 19
_LONGEST_TAG_BYTES: Final = 32
_LONGEST_TITLE_BYTES: Final = 128
_CONDITIONS: Final = ("category", "tags", "title", "status", "created_within")


def _words(text: str) -> str:
    """A text that a name, a tag or a title of the service can contain."""
    if not text.strip() or not text.isprintable():
        raise field_error(f"must be printable characters, at least one{lookalikes.hint(text)}")
    return text.strip()


def _tag(text: str) -> str:
    tag = _words(text)
    if "," in tag or len(tag.encode()) > _LONGEST_TAG_BYTES:
        raise field_error(
            f"{quoted(tag)} is not one tag, which has at most {_LONGEST_TAG_BYTES} bytes and no comma: one per entry"
        )
    return tag


def _title(text: str) -> str:
    title = _words(text)
    if len(title.encode()) > _LONGEST_TITLE_BYTES:
        raise field_error(f"is longer than any title, which has at most {_LONGEST_TITLE_BYTES} bytes")
    return title


def _category(given: object) -> object:
    """An ID as a number, or a path without slashes around it."""
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise field_error(f"must be the ID of a category or its path, such as Courses/Maths, not {kind(given)}")
    text = str(given).strip()
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_CATEGORY_ID and int(text) > 0:
        return int(text)
    parts = [part.strip() for part in text.strip("/").split("/")]
    if isinstance(given, int) or _NUMBER.fullmatch(text) or not all(parts) or not text.isprintable():
        raise field_error(
            f"{quoted(given)} is neither the ID of a category nor a path, such as Courses/Maths{lookalikes.hint(text)}"
        )
    return "/".join(parts)


Tag = Annotated[str, AfterValidator(_tag)]


class MediaByIds(SettingsModel):
    """Media listed by ID; without plays they are exported as 0."""

    ids: Annotated[tuple[MediaId, ...], ListOf(unique=True)] = Field(
        description="Media IDs; media without plays are exported as 0."
        " At most one call per media and slice, and one more."
    )


class MediaTop(SettingsModel):
    """The media that rank first by a measure."""

    top: Annotated[int, Field(ge=1), OfUsualSize] = Field(
        description="Number of media, at least 1. One call per 100 media and slice."
    )
    by: Annotated[Measure, Choice(tuple(Measure))] = Field(default=Measure.PLAYS, description="Measure to rank by.")


class SearchSettings(SettingsModel):
    """Conditions of a search, at least one; a video has to fulfil all of them, and of each list any entry."""

    category: Annotated[tuple[Annotated[int | str, BeforeValidator(_category)], ...], ListOf(unique=True)] | None = (
        Field(default=None, description="Categories: IDs, or paths of names such as Courses/Maths.")
    )
    subcategories: bool = Field(default=True, description="Whether categories include those below them.")
    tags: Annotated[tuple[Tag, ...], ListOf(unique=True)] | None = Field(
        default=None, description="Tags; compared exactly."
    )
    title: Annotated[str, AfterValidator(_title)] | None = Field(
        default=None, description="Text that the title contains; upper and lower case differ."
    )
    status: Annotated[tuple[Annotated[str, Choice(STATUSES)], ...], ListOf(unique=True)] | None = Field(
        default=None, description="Status of the media; Normal media can be played."
    )
    created_within: Annotated[float, Duration("1h", "3650d")] | None = Field(
        default=None, description="Maximum age of the media since its upload began, 1h to 3650d."
    )
    every: Annotated[float, Duration("5m", "30d")] = duration_field(
        "1h", "Interval at which the search is repeated, 5m to 30d; one call per 99 media found."
    )

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterator[FieldErrorDict]:
        """A search without conditions would return every video; an unknown key may be meant as one."""
        if not any(name in given for name in _CONDITIONS) and given.keys() <= cls.model_fields.keys():
            yield (), field_error(f"needs at least one of {', '.join(_CONDITIONS)}")
        elif "subcategories" in given and "category" not in given:
            yield ("subcategories",), field_error("is for category only")

    def core_search(self) -> Search:
        """The core's Search; the order of entries makes no difference."""
        return Search(
            categories=tuple(sorted(self.category or (), key=str)),
            subcategories=self.subcategories,
            tags=tuple(sorted(self.tags or ())),
            title=self.title,
            statuses=tuple(sorted(self.status or ())),
            created_within=self.created_within,
            every=self.every,
        )


class MediaBySearch(SettingsModel):
    """Media that a search finds; without plays they are exported as 0."""

    search: SearchSettings = Field(
        description="Conditions that media have to fulfil; those found without plays are exported as 0."
    )


class MetadataSettings(SettingsModel):
    """Metadata of the published media; needs vod:GetVideoInfos, and vod:GetCategories for categories."""

    every: Annotated[float, Duration("5m", "30d")] = duration_field(
        "6h", "Interval at which the metadata of a video is refreshed, 5m to 30d; one call per 20 media."
    )
    labels: Annotated[tuple[Annotated[str, Choice(LABELS)], ...], ListOf(unique=True)] = Field(
        default=("category", "status"),
        description="Labels of aliyun_vod_media_metadata_info; category stands for category_id and category.",
    )
    tags: Annotated[tuple[Tag, ...], ListOf(unique=True)] | None = Field(
        default=None, description="Tags that have a series of aliyun_vod_media_tag_info for each video."
    )

    def core_rules(self) -> MetadataRules:
        """The core's MetadataRules, with labels in one order."""
        labels = tuple(name for name in LABELS if name in self.labels)
        return MetadataRules(self.every, labels, tuple(sorted(self.tags or ())))


def media_form(given: object, info: ValidationInfo) -> object:
    """Choose the form by the keys, so that only errors of that form are reported."""
    match given:
        case {"ids": _, "top": _}:
            raise field_error("takes ids or top, not both")
        case {"search": _, "ids": _} | {"search": _, "top": _}:
            raise field_error("takes search alone, without ids and top")
        case {"ids": _}:
            return MediaByIds.model_validate(given, context=info.context)
        case {"top": _}:
            return MediaTop.model_validate(given, context=info.context)
        case {"search": _}:
            return MediaBySearch.model_validate(given, context=info.context)
        case "all" | MediaByIds() | MediaTop() | MediaBySearch():
            return given
        case str():
            raise field_error(f"{quoted(given)} is not one of {MEDIA_FORMS}{lookalikes.hint(given)}")
        case {}:
            if conditions := [name for name in _CONDITIONS if name in given]:
                raise field_error(f"takes {conditions[0]} within search only: {{search: {{{conditions[0]}: ...}}}}")
            raise field_error(f"must be {MEDIA_FORMS}")
        case _:
            raise field_error(f"must be {MEDIA_FORMS}, not {kind(given)}")
