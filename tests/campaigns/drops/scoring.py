"""Compares alerts with the incidents of an account: which were found, when, and which alerts are false."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.simulator.incidents import Incident
    from tests.campaigns.drops.accounts import Account
    from tests.campaigns.drops.evaluation import Alert

# An incident that is not found within so many days is not found.
_IN_TIME: Final = 3
_ACCOUNT: Final = ("AccountPlaysDropped",)
_SHARE: Final = ("AccountShareDropped",)


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over accounts.

    * `found`: incidents with an alert that names what is broken; `first_day`: those found on their first settled day;
      `delay`: the days from the first day to the alert, summed up.
    * `first_alerts`: alerts on the first days of the incidents.
    * `false`: new alerts about nothing, on so many healthy `days`.
    """

    incidents: int = 0
    found: int = 0
    first_day: int = 0
    delay: int = 0
    first_alerts: int = 0
    false: int = 0
    days: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def precision(self, days_between: int) -> float:
        """The share of alerts that are right where an account has such an incident once in so many days."""
        right = self.found / self.incidents / days_between if self.incidents else 0.0
        wrong = self.false / self.days if self.days else 0.0
        return right / (right + wrong) if right + wrong else 1.0


def score(account: Account, firing: Sequence[set[Alert]]) -> Score:
    """What the alerts of each day are worth."""
    new = [today - before for before, today in zip([set(), *firing], firing, strict=False)]
    starts = {incident: (incident.first - account.first).days for incident in account.incidents}
    total = Score()
    for incident, start in starts.items():
        late = [
            number - start
            for number in range(start, min(start + _IN_TIME, account.days))
            if any(names(alert, incident) for alert in firing[number])
        ]
        total += Score(
            incidents=1,
            found=bool(late),
            first_day=bool(late) and late[0] == 0,
            delay=late[0] if late else 0,
            first_alerts=sum(not _of_another(alert, incident, starts) for alert in new[start]),
        )
    # All alerts after the start of an incident of the whole account are about it.
    wide = [start for incident, start in starts.items() if incident.media_id is None]
    last = min(wide, default=account.days)
    hit = {incident.media_id for incident in starts}
    false = sum(
        # The account lost them too.
        not (alert.media_id in hit or (not alert.media_id and number in starts.values()))
        for number in range(account.warm_up, last)
        for alert in new[number]
    )
    return total + Score(false=false, days=last - account.warm_up)


def names(alert: Alert, incident: Incident) -> bool:
    """Whether an alert names what is broken: the media, the account, or the OS, terminal type or region."""
    if incident.media_id is not None:
        return alert.media_id == incident.media_id
    if alert.media_id:
        return False
    if incident.kind == "account":
        return alert.name in _ACCOUNT
    wanted = (incident.terminal_type or "all", incident.os or "all", incident.region or "all")
    return alert.name in _SHARE and (alert.terminal_type, alert.os, alert.region) == wanted


def _of_another(alert: Alert, incident: Incident, incidents: Iterable[Incident]) -> bool:
    others = (each.media_id for each in incidents if each is not incident)
    return bool(alert.media_id) and alert.media_id in others
