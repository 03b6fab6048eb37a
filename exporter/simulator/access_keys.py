"""The one AccessKey pair that the simulated account accepts, and its default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

SIMULATOR_ACCESS_KEY_ID: Final = "simulator"
SIMULATOR_ACCESS_KEY_SECRET: Final = "simulator-secret"  # noqa: S105 - generated, gives access to nothing


@dataclass(frozen=True, slots=True)
class AccessKeyPair:
    """An AccessKey pair; with `security_token` a temporary one, whose token every request must carry."""

    access_key_id: str = SIMULATOR_ACCESS_KEY_ID
    access_key_secret: str = field(default=SIMULATOR_ACCESS_KEY_SECRET, repr=False)
    security_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a pair that cannot sign."""
        if not self.access_key_id or not self.access_key_secret:
            raise ValueError("access_key_id and access_key_secret must not be empty")
        if self.security_token == "":
            raise ValueError("security_token must not be empty; leave it out for a key without a token")
