"""Which actions of the API the accounts of a configuration call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter.vod.categories import CATEGORIES
from exporter.vod.error_classification import classify
from exporter.vod.play_data import PLAY_DATA
from exporter.vod.player_metrics import PLAYER_METRICS
from exporter.vod.search_media import SEARCH_MEDIA
from exporter.vod.video_infos import VIDEO_INFOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.config.accounts import AccountSettings
    from exporter.config.schema import Config
    from exporter.core.model import Query
    from exporter.errors import ErrorKind
    from exporter.vod.actions import Action

ACTIONS: Final[tuple[Action[Any], ...]] = (PLAY_DATA,)
"""The actions of the API that all accounts call; their series exist from the start."""


def called_actions(config: Config) -> dict[str, dict[str, dict[str, ErrorKind]]]:
    """The actions that each account calls, with their error codes and the kinds of these."""
    return {
        account: {
            action.name: {code: classify(0, code, action=action).kind for code in action.error_codes}
            for action in (*ACTIONS, *optional)
        }
        for account, optional in optional_actions(config).items()
    }


def optional_actions(config: Config) -> dict[str, tuple[Action[Any], ...]]:
    """The actions that searches, metadata and players of each account call."""
    queries = config.core_queries()
    of_players = {query.account for query in config.player_queries()}
    return {
        account.name: tuple(_optional_actions(account, queries, player=account.name in of_players))
        for account in config.accounts
    }


def _optional_actions(account: AccountSettings, queries: Iterable[Query], *, player: bool) -> Iterator[Action[Any]]:
    """The actions that searches, metadata and players of an account call."""
    searches = [query.search for query in queries if query.account == account.name and query.search is not None]
    rules = account.metadata.core_rules() if account.metadata is not None else None
    if searches:
        yield SEARCH_MEDIA
    if rules is not None:
        yield VIDEO_INFOS
    if any(search.needs_categories for search in searches) or (rules is not None and "category" in rules.labels):
        yield CATEGORIES
    if player:
        yield PLAYER_METRICS
