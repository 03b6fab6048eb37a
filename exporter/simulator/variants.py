"""Undocumented behaviour of the service: each possibility is a variant, and clients must work with all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Variants:
    """The values in force; the first of each is the default.

    In SearchMedia, GetVideoInfos and GetCategories:

    * `numbers`: whether numbers in responses are JSON numbers or strings; of all actions except play data.
    * `uncategorised`: the CateId of media without a category.
    * `tags`: whether a condition on tags compares whole tags, or finds any part of them.
    * `subcategories`: whether a category includes the media of its subcategories.
    * `beyond_5000`: the response to a page after the first 5,000 hits without ScrollToken.
    * `scroll`: how far one request with ScrollToken may go: 100 media, or 5 pages.
    * `scroll_token`: whether a token lasts ten minutes, or has expired at its second use.
    * `created`: whether creation times are spread, or all media but releases were created in the same second.
    * `video_order`: the order of GetVideoInfos.
    * `not_found`: GetVideoInfos responds with 404 if all IDs are missing, if any is, or never.
    * `missing_ids`: NonExistVideoIds as a list or as JSON text.
    * `root_category`: whether GetCategories has `Category` for the root.

    In DescribeVodPlayerMetricData:

    * `player_lag`: the time from the end of a bucket until it has data; with `none` it has data from its start.
    * `player_growth`: `late`: a bucket starts at 80 % and grows for half an hour.
    * `empty_buckets`, `unready_buckets`: rows of buckets without plays, and of those without data yet.
    * `bucket_gaps`: `some`: one bucket in 40 is missing though it has plays.
    * `bucket_order`: the order of the rows.
    * `dimension`: the column Dimension of a request without Filters; with `several` a bucket has two rows.
    * `unasked_metrics`: metrics that are not in the request.
    * `extend`: whether Extend is there. `unknown_app`: the response to an AppId that the account does not have.
    * `day_buckets`: where buckets of a day start.
    """

    numbers: Literal["numbers", "strings"] = "numbers"
    uncategorised: Literal["absent", "null"] = "absent"
    tags: Literal["words", "substring"] = "words"
    subcategories: Literal["excluded", "included"] = "excluded"
    beyond_5000: Literal["empty", "error"] = "empty"
    scroll: Literal["100_media", "5_pages"] = "100_media"
    scroll_token: Literal["lasting", "expiring"] = "lasting"  # noqa: S105 - no password
    created: Literal["spread", "same_second"] = "spread"
    video_order: Literal["requested", "shuffled"] = "requested"
    not_found: Literal["all", "any", "never"] = "all"
    missing_ids: Literal["list", "text"] = "list"
    root_category: Literal["present", "absent"] = "present"
    player_lag: Literal["10m", "none", "6h"] = "10m"
    player_growth: Literal["none", "late"] = "none"
    empty_buckets: Literal["zero", "null", "absent"] = "zero"
    unready_buckets: Literal["absent", "zero", "null"] = "absent"
    bucket_gaps: Literal["none", "some"] = "none"
    bucket_order: Literal["ascending", "descending", "shuffled"] = "ascending"
    dimension: Literal["absent", "empty", "all", "value", "several"] = "absent"
    unasked_metrics: Literal["absent", "null", "zero"] = "absent"
    extend: Literal["present", "absent"] = "present"
    unknown_app: Literal["error", "empty"] = "error"
    day_buckets: Literal["utc8", "utc"] = "utc8"

    def __post_init__(self) -> None:
        """Raises ValueError naming the allowed values."""
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"variant {name}: {getattr(self, name)!r} is not one of {', '.join(allowed)}")


CHOICES: Final = {name: cast("tuple[str, ...]", get_args(hint)) for name, hint in get_type_hints(Variants).items()}
"""The allowed values of each variant, the default first."""


def parse_variants(texts: Iterable[str]) -> Variants:
    """`NAME:VALUE` each, such as `tags:substring`; raises ValueError that lists what is allowed."""
    given: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or name not in CHOICES:
            forms = "; ".join(f"{known}:{'|'.join(allowed)}" for known, allowed in CHOICES.items())
            raise ValueError(f"{text!r} is not NAME:VALUE of {forms}")
        given[name] = value
    return Variants(**given)  # type: ignore[arg-type] # checked when it is made
