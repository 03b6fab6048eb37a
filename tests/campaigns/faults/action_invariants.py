"""The invariants that hold whatever another action does: play data go on, and nothing known is lost or invented."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from tests.campaigns.faults import invariants
from tests.campaigns.faults.action_cases import Action
from tests.campaigns.faults.action_faults import COUNTED_ZERO, STRANGERS
from tests.campaigns.faults.action_service import PLAYER_FIELDS
from tests.campaigns.faults.cases import Moment
from tests.campaigns.faults.oracle import ZEROS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.campaigns.faults.evidence import ActionEvidence
    from tests.campaigns.faults.scrapes import Sample, Scrape

# Errors that are about the account, its key or the clock, and not about one permission: they hold for all actions.
_OF_THE_ACCOUNT: Final = (
    "InvalidSecurityToken*",
    "MissingSecurityToken",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "MissingSignature*",
    "InvalidAccessKeyId*",
    "Forbidden.AccessKeyDisabled",
    "OperationDenied*",
    "http_401",
)
# These slow down an account; players have a rate of their own.
_THROTTLES_ACCOUNT: Final = ("Throttling", "Throttling.User", "http_429")
_UNNOTICED_SECONDS: Final = 0.1
_BUCKET: Final = 300
_METADATA: Final = ("aliyun_vod_media_metadata_info", "aliyun_vod_media_created_timestamp_seconds")
_FAILED_EVENTS: Final = ("media metadata not refreshed", "player poll failed")
MOST_CALLS: Final = 600
# The tree of categories ends after so many, whatever the service says.
MOST_CALLS_FOR_CATEGORIES: Final = 4 * 10_200


def _is(evidence: ActionEvidence, codes: tuple[str, ...]) -> bool:
    counted = evidence.case.fault.counted
    return counted is not None and any(fnmatchcase(counted[0], code) for code in codes)


def _is_permission(evidence: ActionEvidence) -> bool:
    counted = evidence.case.fault.counted
    return counted is not None and counted[1] == "auth" and not _is(evidence, _OF_THE_ACCOUNT)


def play_data_go_on(evidence: ActionEvidence) -> Iterator[str | None]:
    """Play data are polled without a wait and shown as last returned, unless the account itself is refused."""
    for row_key, numbers in evidence.before.plays.items():
        # Media without plays are shown because they were found.
        if row_key[0] in _dates(evidence.after) and numbers != ZEROS:
            yield None if row_key in evidence.after.plays else f"{row_key} is not shown any more"
    if evidence.case.moment is Moment.SHUTDOWN or _is(evidence, _OF_THE_ACCOUNT):
        return
    slowed = _is(evidence, _THROTTLES_ACCOUNT) and evidence.case.action is not Action.PLAYER
    for wait in evidence.play_data_waits:
        yield None if slowed or wait < _UNNOTICED_SECONDS else f"a poll of play data waited for {wait} s"
    polls = {
        result: (evidence.after.one("aliyun_vod_query_polls_total", query="q", result=result) or 0)
        - (evidence.before.one("aliyun_vod_query_polls_total", query="q", result=result) or 0)
        for result in ("success", "partial", "failure", "skipped")
    }
    # A poll that a reload has interrupted is not counted.
    right = evidence.rounds <= polls.pop("success") <= evidence.rounds + evidence.cut and not any(polls.values())
    yield None if right else f"polls of play data ended otherwise: {polls}"
    if evidence.case.moment is Moment.MIDNIGHT:
        return
    today = evidence.after.date("0")
    for row_key, numbers in evidence.after.plays.items():
        news = evidence.returned.rows[row_key][evidence.returned_before.get(row_key, 0) :]
        right = row_key[0] != today or numbers in news or (numbers == ZEROS and evidence.returned.zero(row_key))
        yield None if right else f"{row_key} shows {numbers}, which were not returned beside the fault"


def found_media_stay(evidence: ActionEvidence) -> Iterator[str | None]:
    """A search that failed keeps what it found; one without rows finds nothing only if 0 were counted."""
    name = "aliyun_vod_query_discovered_media"
    before, after = evidence.before.one(name, query="found"), evidence.after.one(name, query="found")
    fault, action = evidence.case.fault, evidence.case.action
    found_nothing = action is Action.SEARCH and fault.name in (COUNTED_ZERO, STRANGERS)
    if before is None:
        right = after is None or after > 0 or found_nothing
        yield None if right else "nothing was found, though nobody said so"
        if fault.refuses and action in (Action.SEARCH, Action.CATEGORIES) and evidence.case.moment is Moment.FIRST_POLL:
            yield None if after is None else f"{after} media were found by an answer that was refused"
    elif found_nothing and evidence.case.moment is Moment.LATER_POLL:
        yield None if after == 0 else f"{after} media are found though there are none"
    elif found_nothing:
        yield None if after is not None else "what was found is not known any more"
    else:
        yield None if after == before else f"{before} media were found, and now {after}"
    found = evidence.recovered.one(name, query="found")
    yield None if found == before or (before is None and found) else f"{found} media are found again, not {before}"


def metadata_stay(evidence: ActionEvidence) -> Iterator[str | None]:
    """Media keep their metadata, and categories stay, whatever was refused; afterwards they are as before."""
    fault = evidence.case.fault
    # An answer that is accepted may not give a field.
    stay = _METADATA if fault.refuses else _METADATA[:1]
    for name in stay if fault.name not in (COUNTED_ZERO, STRANGERS) else ():
        before, after = ({each.labels["media_id"] for each in _named(s, name)} for s in _both(evidence))
        yield None if before <= after else f"{len(before - after)} media have lost {name}"
    before, after = ({each.labels["category"] for each in _named(s, _CATEGORIES)} for s in _both(evidence))
    emptied = fault.name == COUNTED_ZERO and evidence.case.action is Action.CATEGORIES
    right = before <= after or emptied or not fault.refuses
    yield None if right else f"{len(before - after)} categories are lost"
    yield None if after or emptied or not before else "all categories are lost"
    if fault.refuses and evidence.case.moment is not Moment.FIRST_POLL:
        for name in (*_METADATA, _CATEGORIES):
            known, again = (set(map(str, _named(s, name))) for s in (evidence.before, evidence.recovered))
            yield None if known <= again else f"{name} is not as before"
    yield None if _named(evidence.recovered, _METADATA[0]) else "there are no metadata again"
    yield None if _named(evidence.recovered, _CATEGORIES) else "there are no categories again"


_CATEGORIES: Final = "aliyun_vod_category_info"


def player_numbers_are_of_their_bucket(evidence: ActionEvidence) -> Iterator[str | None]:
    """Each number of a player was returned for that bucket, which is over; the bucket never goes back."""
    newest = 0.0
    for scrape in (evidence.before, evidence.after, evidence.recovered):
        start = scrape.one("aliyun_vod_player_bucket_timestamp_seconds")
        shown = [sample for name in PLAYER_FIELDS for sample in scrape.by_name.get(name, ())]
        yield None if start is not None or not shown else "numbers of no bucket"
        if start is None:
            continue
        right = start % _BUCKET == 0 and newest <= start <= scrape.at - _BUCKET
        yield None if right else f"the bucket begins at {start}, after {newest}"
        newest = start
        for sample in shown:
            at = int(start) - (7 * 86_400 if sample.labels.get("ago") else 0)
            right = sample.value in evidence.returned.player[at, sample.name]
            yield None if right else f"{sample.name} at {at} is {sample.value}, never returned"
    if evidence.case.fault.refuses and evidence.before.one(_PLAYS) is not None and not evidence.cut:
        kept = evidence.after.one(_PLAYS) is not None
        yield None if kept else "the numbers of the player are gone"


_PLAYS: Final = "aliyun_vod_player_plays"


def counted_under_its_action(evidence: ActionEvidence) -> Iterator[str | None]:
    """Every failed attempt is counted under its action, code and kind, and nothing else is counted."""
    fault, action = evidence.case.fault, evidence.case.action
    errors = _errors(evidence.counters[1])
    errors.subtract(_errors(evidence.counters[0]))
    errors += Counter()
    yield None if evidence.affected else "the fault was never met, so nothing is proved"
    allowed = {(str(action), *fault.counted)} if fault.counted else set()
    yield None if errors.keys() <= allowed else f"counted under {set(errors)}, not under {allowed}"
    failed = sum(errors.values())
    yield None if failed <= len(evidence.affected) else f"{failed} counted, {len(evidence.affected)} met the fault"
    if fault.refuses and not evidence.cut:
        yield None if failed else "nothing was counted"
    meter = {
        sample.labels["code"]
        for sample in _named(evidence.after, "aliyun_vod_api_errors_total")
        if sample.labels["action"] == "DescribeVodMediaPlayData" and sample.labels["code"].startswith("Meter.")
    }
    yield None if len(meter) == invariants.METER_CODES else f"only {meter} of the codes of the API exist"


def _errors(scrape: Scrape) -> Counter[tuple[str, str, str]]:
    return Counter(
        {
            (sample.labels["action"], sample.labels["code"], sample.labels["kind"]): int(sample.value)
            for sample in _named(scrape, "aliyun_vod_api_errors_total")
        }
    )


def calls_are_bounded(evidence: ActionEvidence) -> Iterator[str | None]:
    """Attempts are limited by the code, waits to five minutes, and the number of calls is bounded."""
    fault = evidence.case.fault
    if fault.refuses:
        tried = Counter(evidence.affected)
        allowed = (fault.attempts + bool(fault.unanswered)) * (evidence.rounds + 2 * evidence.cut)
        # A first poll, the refresh of its search and that of metadata each read what they need.
        allowed *= 3 if evidence.case.action in (Action.CATEGORIES, Action.SEARCH) else 1
        for call, times in tried.items():
            yield None if times <= allowed else f"{call} was tried {times} times, allowed are {allowed}"
    for wait in evidence.waits:
        yield None if 0 <= wait <= invariants.LONGEST_WAIT else f"waited for {wait} s"
    most = MOST_CALLS_FOR_CATEGORIES if evidence.case.action is Action.CATEGORIES and not fault.sure else MOST_CALLS
    yield None if len(evidence.received) <= most else f"{len(evidence.received)} calls"


def a_missing_permission_is_reported_once(evidence: ActionEvidence) -> Iterator[str | None]:
    """A failure is one line in the log however long it lasts, and one on the page; a permission also one metric."""
    fault, action = evidence.case.fault, evidence.case.action
    failed = [event for event in evidence.events if event["event"] in _FAILED_EVENTS]
    logged = Counter((event.get("what"), event.get("query"), event["code"]) for event in failed)
    for key, times in logged.items():
        yield None if times == 1 else f"{key} was logged {times} times"
    for event in failed:
        known = event["code"] == "malformed" or event.get("advice")
        yield None if known else f"no advice: {dict(event)}"
    if evidence.cut or not fault.refuses:
        return
    yield None if logged else "the failure was not logged"
    yield None if evidence.problems else "the page says nothing"
    if not _is_permission(evidence):
        return
    advised = all(f"vod:{action} " in str(event.get("advice")) for event in failed)
    advised = advised and all(f"vod:{action} " in problem for problem in evidence.problems)
    yield None if advised else f"the permission is not named: {failed}"
    yield None if len(failed) == 1 else f"a permission was logged {len(failed)} times: {sorted(map(str, logged))}"
    yield None if len(evidence.problems) == 1 else f"the page has {len(evidence.problems)} lines: {evidence.problems}"
    name = "aliyun_vod_player_up" if action is Action.PLAYER else "aliyun_vod_api_action_permitted"
    labels = {} if action is Action.PLAYER else {"action": str(action)}
    permitted = [scrape.one(name, **labels) for scrape in (evidence.after, evidence.recovered)]
    yield None if permitted == [0, 1] else f"{name} is {permitted} during the fault and after it"


def everything_recovers(evidence: ActionEvidence) -> Iterator[str | None]:
    """At the next due time everything is up again, and the newest bucket of players has advanced."""
    recovered = evidence.recovered
    for query in ("q", "found"):
        yield None if recovered.one("aliyun_vod_query_up", query=query) == 1 else f"{query} is not up again"
    yield None if recovered.one("aliyun_vod_player_up") == 1 else "the player is not up again"
    for name in (
        "aliyun_vod_query_discovery_last_success_timestamp_seconds",
        "aliyun_vod_metadata_last_success_timestamp_seconds",
    ):
        at = recovered.one(name)
        fresh = at is not None and at > evidence.after.at
        yield None if fresh else f"{name} is {at}, before {evidence.after.at}"
    before, after = (
        scrape.one("aliyun_vod_player_bucket_timestamp_seconds") for scrape in (evidence.before, recovered)
    )
    if before is not None and not evidence.cut and evidence.case.fault.refuses:
        yield None if after is not None and after > before else f"the bucket stays at {before}"


def nothing_breaks(evidence: ActionEvidence) -> Iterator[str | None]:
    """No exception escapes, and no secret is logged, exported or shown."""
    yield from invariants.nothing_breaks(evidence)
    for problem in evidence.problems:
        yield None if evidence.secret not in problem else "a secret is on the page"


INVARIANTS: Final = (
    play_data_go_on,
    invariants.only_returned_numbers,
    invariants.no_number_on_another_day,
    invariants.no_half_poll,
    invariants.no_broken_text,
    found_media_stay,
    metadata_stay,
    player_numbers_are_of_their_bucket,
    counted_under_its_action,
    calls_are_bounded,
    a_missing_permission_is_reported_once,
    invariants.recovers,
    everything_recovers,
    invariants.nothing_left_behind,
    nothing_breaks,
)


def _named(scrape: Scrape, name: str) -> Sequence[Sample]:
    return scrape.by_name.get(name, ())


def _both(evidence: ActionEvidence) -> tuple[Scrape, Scrape]:
    return evidence.before, evidence.after


def _dates(scrape: Scrape) -> set[str]:
    return {scrape.date(ago) for (ago,) in scrape.of("aliyun_vod_play_date_timestamp_seconds")}
