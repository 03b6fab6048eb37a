"""The operator's queries, as a configuration file and as core queries; and random changes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.config.loader import loads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from exporter.core.model import Query

KEY_ID_FILE: Final = "key_id"
SECRET_FILE: Final = "key_secret"
RETENTION_DAYS: Final = 32

DIMENSIONS: Final = (
    "{terminal_type: [Native, Web]}",
    "{terminal_type: Native, os: [Android, iOS]}",
    "{region: [cn-beijing, cn-shanghai]}",
    "{os: Windows, region: ap-southeast-1}",
)
BROKEN: Final = (
    "queries: [",
    "queries: []\n",
    "queries:\n  - {name: named, media: all, evry: 1m}\n",
    "accounts: [{name: main, endpoint: 'ftp://nowhere'}]\nqueries: [{name: q, media: all}]\n",
    "queries: [{name: q, media: {ids: [${SOAK_NOT_SET}]}}]\n",
    "",
)
"""What must be refused, each for another reason."""


@dataclass(frozen=True, slots=True)
class QueryVariant:
    """One configuration with three queries that share slices: by ID, by listing and by order.

    `ids`, `dimensions`: of the query by ID. `top`: of the ordered one. `minutes`: how often the first one polls.
    """

    ids: tuple[str, ...]
    dimensions: tuple[str, ...] = DIMENSIONS[:1]
    top: int = 10
    minutes: int = 60
    per_second: int = 50
    concurrency: int = 4

    def text(self, endpoint: str) -> str:
        """The file."""
        return f"""\
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id_file: {KEY_ID_FILE}, access_key_secret_file: {SECRET_FILE}}}
    limits: {{requests_per_second: {self.per_second}, concurrency: {self.concurrency}}}
queries:
  - name: named
    every: {self.minutes}m
    media: {{ids: {json.dumps(self.ids)}}}
    dimensions: [{{}}, {", ".join(self.dimensions)}]
    days_ago: [0, 1, 2]
    expected: false
  - {{name: everything, every: 2h, media: all, days_ago: [0, 1, 2, 8, 9], expected: false}}
  - name: first
    every: 3h
    media: {{top: {self.top}, by: plays}}
    dimensions: [{{terminal_type: Web}}]
    days_ago: [1, 2]
    expected: false
storage: {{retention: {RETENTION_DAYS}d}}
"""

    def queries(self) -> tuple[Query, ...]:
        """The queries of the file."""
        return loads(self.text("http://127.0.0.1:1"), file="config.yaml", environ={}).core_queries()

    def changed(self, chance: Random, media_ids: Sequence[str]) -> QueryVariant:
        """A configuration with one random change."""
        match chance.randrange(5):
            case 0:
                return replace(self, ids=tuple(chance.sample(media_ids, chance.randint(3, 12))))
            case 1:
                return replace(self, dimensions=tuple(chance.sample(DIMENSIONS, chance.randint(1, 2))))
            case 2:
                return replace(self, top=chance.choice([5, 10, 20]))
            case 3:
                return replace(self, minutes=chance.choice([30, 60, 90]))
            case _:
                return replace(self, per_second=chance.choice([5, 20, 50]), concurrency=chance.choice([1, 4, 8]))
