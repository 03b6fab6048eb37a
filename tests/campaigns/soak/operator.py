"""The files that the operator writes: valid and invalid configurations, and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.core import play_dates
from exporter.simulator.access_keys import AccessKeyPair
from tests.campaigns.soak.invariants import FINAL_HOURS
from tests.campaigns.soak.queries import (
    BROKEN,
    KEY_ID_FILE,
    RETENTION_DAYS,
    SECRET_FILE,
    QueryVariant,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from random import Random

    from tests.campaigns.soak.invariants import ActiveQueries


class Operator:
    """Writes into the daemon's folder; `history`: the queries and since when, `secrets`: all secrets so far.

    `broken`: the configuration file is invalid now.
    """

    def __init__(self, folder: Path, chance: Random, media_ids: Sequence[str]) -> None:
        self.history: list[ActiveQueries] = []
        self.secrets: list[str] = []
        self.broken = False
        self._folder = folder
        self._chance = chance
        self._media_ids = media_ids
        self._variant = QueryVariant(tuple(media_ids[:8]))
        self._key = AccessKeyPair()

    def change(self) -> None:
        """Change the queries; `configure` writes them."""
        self._variant = self._variant.changed(self._chance, self._media_ids)

    def configure(self, endpoint: str, now: float) -> None:
        """Write a valid configuration."""
        self.broken = False
        self._put("config.yaml", self._variant.text(endpoint))
        self.history.append((now, self._variant.queries()))
        # Queries from before any stored day could be final are not needed.
        needed = play_dates.start(play_dates.play_date(now, RETENTION_DAYS)) + FINAL_HOURS * 3600.0
        while len(self.history) > 1 and self.history[1][0] < needed:
            del self.history[0]

    def configure_invalid(self) -> None:
        """Write an invalid configuration."""
        self.broken = True
        self._put("config.yaml", self._chance.choice(BROKEN))

    def new_key(self) -> AccessKeyPair:
        """Create another key; its files are not written yet."""
        self._key = AccessKeyPair(f"key{len(self.secrets) + 1}", f"soak-secret-{self._chance.getrandbits(64):x}")
        self.secrets.append(self._key.access_key_secret)
        return self._key

    def write_key_id(self) -> None:
        self._put(KEY_ID_FILE, f"{self._key.access_key_id}\n")

    def write_secret(self) -> None:
        self._put(SECRET_FILE, f"{self._key.access_key_secret}\n")

    def _put(self, name: str, text: str) -> None:
        """Replace a file atomically, as tools do."""
        new = self._folder / f"{name}.new"
        new.write_text(text)
        new.replace(self._folder / name)
