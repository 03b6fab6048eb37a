"""Warn about valid settings that look mistyped, wrong or contradictory, and about files that too many may read."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter.config import loader
from exporter.config.media_selection import MediaByIds, MediaBySearch
from exporter.core.cost import cost
from exporter.core.plan import has_expected_plays, unpublished_days
from exporter.documents.durations import to_text
from exporter.threads import in_time

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from exporter.config.accounts import AccountSettings
    from exporter.config.schema import Config, QuerySettings
    from exporter.core.model import Query
    from exporter.core.play_dates import Settlement
    from exporter.secret_files import PermissionWarning

_DAY: Final = 86_400.0
# How much later than `every` the results of a poll may come, as a fraction of it: its jitter, and the calls.
_LATE: Final = 0.1
_MOST_SECONDS_LATE: Final = 60.0
_MEDIA_ID: Final = re.compile(r"[0-9A-Fa-f]{32}")
_MOST_IDS: Final = 5
# What may be written in place of a slash between names (full-width solidus), or of a comma (full-width, ideographic).
_NO_SLASH: Final = re.compile(r"[\uff0f>\\]")
_NO_COMMA: Final = re.compile(r"[\uff0c\u3001;|]")
_WILDCARDS: Final = ("*", "%")

# https://help.aliyun.com/zh/vod/developer-reference/api-vod-2017-03-21-describevodmediaplaydata
DOCUMENTED: Final = ("vod.cn-shanghai.aliyuncs.com", "vod-vpc.cn-shanghai.aliyuncs.com")
_OF_A_REGION: Final = re.compile(r"vod(?:-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com")
_PRIVATE_NAMES: Final = (".internal", ".local", ".localhost", ".svc", ".test")


def setting_warnings(config: Config) -> Iterator[str]:
    """Warnings, each one or two sentences."""
    for position, settings in enumerate(config.queries):
        yield from _media_ids(position, settings)
        yield from _search_texts(f"queries[{position}].media.search", settings)
    settlement = config.settlement
    queries = config.core_queries()
    for query in queries:
        yield from _times(query, config.stale_after, settlement)
    for account in config.accounts:
        yield from _account(account, [query for query in queries if query.account == account.name], settlement)


def _media_ids(position: int, query: QuerySettings) -> Iterator[str]:
    if not isinstance(query.media, MediaByIds):
        return
    odd = [(n, each) for n, each in enumerate(query.media.ids) if not _MEDIA_ID.fullmatch(each)]
    for n, media_id in odd[:_MOST_IDS]:
        yield (
            f"queries[{position}].media.ids[{n}]: {media_id!r} does not look like a media ID, which has 32 hexadecimal"
            " digits. An ID that the service does not know is shown with 0 plays for ever."
        )
    if len(odd) > _MOST_IDS:
        yield f"queries[{position}].media.ids: {len(odd) - _MOST_IDS} more do not look like media IDs"


def _search_texts(path: str, query: QuerySettings) -> Iterator[str]:
    """Warnings about texts of a search that are probably meant as several texts, or as a pattern."""
    if not isinstance(query.media, MediaBySearch):
        return
    search = query.media.search
    categories = [each for each in search.category or () if isinstance(each, str)]
    tags, titles = search.tags or (), (search.title,) if search.title else ()
    for text in filter(_NO_SLASH.search, categories):
        yield f"{path}.category: {text!r} is a single name: in a path, / separates the names."
    for text in filter(_NO_COMMA.search, tags):
        yield f"{path}.tags: {text!r} is a single tag: several are entries of a list."
    for name, texts in (("category", categories), ("tags", tags), ("title", titles)):
        for text in texts:
            if text.startswith(_WILDCARDS) or text.endswith(_WILDCARDS):
                yield (
                    f"{path}.{name}: {text!r} is compared as it is written: * and % stand for nothing else. A title"
                    " need only contain the text, and a category includes those below it."
                )


def _times(query: Query, stale_after: float, settlement: Settlement) -> Iterator[str]:
    every, stale = to_text(query.every), to_text(stale_after)
    if query.every >= stale_after:
        yield (
            f"query {query.name}: every is {every}, stale_after is {stale}: a day that is not settled yet"
            f" is not published from {stale} after a poll until the next one. Poll more often, or raise"
            " stale_after."
        )
    elif query.every + min(query.every * _LATE, _MOST_SECONDS_LATE) > stale_after:
        yield (
            f"query {query.name}: every is {every}, stale_after is {stale}: polls vary by some seconds and take time,"
            " so a day that is not settled yet is not published for a moment before the next one. Raise stale_after."
        )
    if query.every > _DAY:
        yield (
            f"query {query.name}: every is {every}, and days_ago moves on every 24h: a day that was not polled yet has"
            " no values until the next poll. Poll at least once a day."
        )
    yield from _settling(query, settlement.after)


def _settling(query: Query, after: float) -> Iterator[str]:
    polled = {*query.days_ago, *unpublished_days(query)}
    oldest, first = max(polled), int(after // _DAY)
    settling = [ago for ago in polled if ago >= first]
    if oldest and not settling:
        yield (
            f"query {query.name}: settle.after is {to_text(after)}, its oldest day (days_ago {oldest}) is"
            f" never older than {to_text((oldest + 1) * _DAY)}: no day settles, and alerts on settled days stay silent."
        )
    elif has_expected_plays(query) and min(settling) > max(first, 1):
        yield (
            f"query {query.name}: settle.after is {to_text(after)}, and its newest day that is as old as that is"
            f" {min(settling)} days ago: alerts on settled days are about that day. Add {first} to its days_ago."
        )


def _account(account: AccountSettings, queries: list[Query], settlement: Settlement) -> Iterator[str]:
    for query in queries:
        if account.timeout >= query.every:
            yield (
                f"query {query.name}: every is {to_text(query.every)}, timeout of account {account.name} is"
                f" {to_text(account.timeout)}: while the service does not respond, polls are skipped."
            )
    given = account.credentials
    key_id = given.access_key_id.get_secret_value() if given.access_key_id else ""
    if lacks_token(key_id, given.security_token or given.security_token_file):
        yield missing_token(account.name, "security_token or security_token_file")
    first_poll = sum(cost(query, settlement).first_poll.low for query in queries)
    if 0 < account.limits.calls_per_day < first_poll:
        yield (
            f"account {account.name}: the first poll of its queries takes {first_poll} calls or more, calls_per_day is"
            f" {account.limits.calls_per_day}: it takes days until everything was polled once."
        )


def lacks_token(access_key_id: str, token: object) -> bool:
    """Whether an AccessKey ID is temporary and has no security token."""
    return access_key_id.startswith("STS.") and not token


def missing_token(account: str, settings: str) -> str:
    """The warning about such an ID; `settings`: where its token would be."""
    return (
        f"account {account}: its AccessKey ID begins with STS.: it is temporary and valid only with its token."
        f" Set {settings} too."
    )


def endpoint_warning(endpoint: str) -> str:
    """One sentence; empty for a documented endpoint and for a private host."""
    host = (urlsplit(endpoint).hostname or "").rstrip(".")
    if host in DOCUMENTED or _is_private(host):
        return ""
    documented = f"the service is documented at {' and, inside a VPC, '.join(DOCUMENTED)} only"
    if found := _OF_A_REGION.fullmatch(host):
        return (
            f"endpoint {host}: {documented}, which answers for every region;"
            f" for the plays of one, write dimensions: [{{region: [{found['region']}]}}]"
        )
    if host.endswith(".aliyuncs.com"):
        return f"endpoint {host}: {documented}"
    return f"endpoint {host}: {documented}. Another host is right only where it passes requests on to that"


def _is_private(host: str) -> bool:
    """Whether a host is a private address, or a name that does not exist on the internet."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_NAMES)


def permission_warnings(arguments: argparse.Namespace, config: Config) -> tuple[PermissionWarning, ...]:
    """Warnings, without repetitions, about both configuration files and the files they name. Raises ConfigError.

    If a file system does not respond, the warnings are those about the files before.
    """
    found: list[PermissionWarning] = []

    def check() -> None:
        found.extend(loader.permission_warnings(arguments.config_file, config))
        if arguments.web_config_file:
            from exporter.web.access import policy  # noqa: PLC0415 - imported only with --web.config.file

            found.extend(policy.permission_warnings(arguments.web_config_file))

    with contextlib.suppress(TimeoutError):
        in_time(check, "permissions")
    return tuple(dict.fromkeys(found))
