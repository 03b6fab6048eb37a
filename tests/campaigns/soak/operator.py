"""What the operator does to files: configurations, right and broken ones, and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.core import play_dates
from exporter.simulator.access_keys import Credentials
from tests.campaigns.soak.invariants import FINAL_HOURS
from tests.campaigns.soak.queries import (
    BROKEN,
    KEY_ID_FILE,
    RETENTION_DAYS,
    SECRET_FILE,
    Asked,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from random import Random

    from tests.campaigns.soak.invariants import Asking


class Operator:
    """Writes into the daemon's folder; `history` is what was asked since when, `secrets` every secret there was.

    `broken`: what stands in the configuration file now must be refused.
    """

    def __init__(self, folder: Path, chance: Random, media_ids: Sequence[str]) -> None:
        self.history: list[Asking] = []
        self.secrets: list[str] = []
        self.broken = False
        self._folder = folder
        self._chance = chance
        self._media_ids = media_ids
        self._asked = Asked(tuple(media_ids[:8]))
        self._key = Credentials()

    def change(self) -> None:
        """Want something else from now on; `configure` says so."""
        self._asked = self._asked.changed(self._chance, self._media_ids)

    def configure(self, endpoint: str, now: float) -> None:
        """Write down what is wanted."""
        self.broken = False
        self._put("config.yaml", self._asked.text(endpoint))
        self.history.append((now, self._asked.queries()))
        # What was asked before any day that is kept could be final is of no interest.
        needed = play_dates.start(play_dates.play_date(now, RETENTION_DAYS)) + FINAL_HOURS * 3600.0
        while len(self.history) > 1 and self.history[1][0] < needed:
            del self.history[0]

    def break_(self) -> None:
        """Write down what nobody can want."""
        self.broken = True
        self._put("config.yaml", self._chance.choice(BROKEN))

    def new_key(self) -> Credentials:
        """Another key; its files are not written yet."""
        self._key = Credentials(f"key{len(self.secrets) + 1}", f"soak-secret-{self._chance.getrandbits(64):x}")
        self.secrets.append(self._key.access_key_secret)
        return self._key

    def write_key_id(self) -> None:
        self._put(KEY_ID_FILE, f"{self._key.access_key_id}\n")

    def write_secret(self) -> None:
        self._put(SECRET_FILE, f"{self._key.access_key_secret}\n")

    def _put(self, name: str, text: str) -> None:
        """Whole, as tools do it."""
        new = self._folder / f"{name}.new"
        new.write_text(text)
        new.replace(self._folder / name)
