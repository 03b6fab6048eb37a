"""The invariants that hold whatever the service does; each is a function of the evidence of a case."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.core import play_dates
from tests.campaigns.faults.cases import OF_A_PAGE, Moment, Selection
from tests.campaigns.faults.fault import ConnectionFault
from tests.campaigns.faults.oracle import ZEROS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.campaigns.faults.evidence import Evidence
    from tests.campaigns.faults.oracle import RowKey
    from tests.campaigns.faults.scrapes import Scrape

LONGEST_WAIT: Final = 300.0
METER_CODES: Final = 5
# The limit of distinct codes.
MOST_CODES: Final = 50
MOST_CALLS: Final = 400
MOST_ENDLESS_CALLS: Final = 4 * 10_100
# Two slices with the largest accepted response (16 MiB), each in a growing buffer, and the socket buffers.
MOST_MEMORY: Final = 96 * 1024 * 1024
_SIGNATURE: Final = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """The number of checks, and the violations."""

    checked: int
    wrong: tuple[str, ...] = ()


def _finding(found: Iterator[str | None]) -> Finding:
    """The finding of an invariant; a check without violation is None."""
    checked_values = list(found)
    return Finding(len(checked_values), tuple(wrong for wrong in checked_values if wrong is not None))


def only_returned_numbers(evidence: Evidence) -> Iterator[str | None]:
    """Every number of a video was returned by the service, or is the zero of a video without plays."""
    for name, scrape in _scrapes(evidence):
        for sample in scrape.samples:
            if sample.name == "aliyun_vod_slice_media":
                date = scrape.date(sample.labels["days_ago"])
                right = sample.value in evidence.returned.totals[date]
                yield None if right else f"{name}: {sample.value} media on {date} were never counted"
            elif sample.name == "aliyun_vod_media_duration_seconds":
                right = sample.value in evidence.returned.described[sample.labels["media_id"]]
                yield (None if right else f"{name}: a length never returned: {dict(sample.labels)} {sample.value}")
            elif sample.name == "aliyun_vod_media_info":
                title = _plain(sample.labels["title"])
                right = title in evidence.returned.described[sample.labels["media_id"]]
                yield None if right else f"{name}: the title {title!r} was never returned"
        for (date, media_id), numbers in scrape.plays.items():
            returned = evidence.returned.values[media_id]
            for metric, value in numbers.items():
                right = (metric, value) in returned or (
                    value == 0 and metric in ZEROS and evidence.returned.zero((date, media_id))
                )
                yield (None if right else f"{name}: {metric} of {media_id} on {date} is {value}, never returned")


def no_number_on_another_day(evidence: Evidence) -> Iterator[str | None]:
    """Numbers of a day were returned for that date; days are those configured, with their dates."""
    for name, scrape in _scrapes(evidence):
        for (ago,), start in scrape.of("aliyun_vod_play_date_timestamp_seconds").items():
            right = start == play_dates.start(play_dates.play_date(scrape.at, int(ago)))
            yield None if right else f"{name}: {ago} days ago does not begin at {start}"
        for row_key, numbers in scrape.plays.items():
            right = numbers in evidence.returned.rows[row_key] or numbers == ZEROS or not numbers
            yield None if right else f"{name}: {row_key} shows {numbers}, which was not returned for that date"
        shown = {sample.labels["days_ago"] for sample in scrape.samples if "days_ago" in sample.labels}
        yield None if shown <= evidence.days_ago else f"{name}: days {shown - evidence.days_ago} are not configured"


def no_half_poll(evidence: Evidence) -> Iterator[str | None]:
    """All numbers of a video on a date are from one row; without plays they are three zeros."""
    for name, scrape in _scrapes(evidence):
        for row_key, numbers in scrape.plays.items():
            rows = evidence.returned.rows[row_key]
            right = numbers in rows or (numbers == ZEROS and evidence.returned.zero(row_key))
            yield None if right else f"{name}: {row_key} shows {numbers}, which no single row says"


def no_broken_text(evidence: Evidence) -> Iterator[str | None]:
    """Every line is a sample, every series is unique, and no number is NaN or infinite."""
    for name, scrape in _scrapes(evidence):
        yield from (f"{name}: {mistake}" for mistake in scrape.mistakes)
        for sample in scrape.samples:
            yield (
                None if math.isfinite(sample.value) else f"{name}: {sample.name}{dict(sample.labels)} is {sample.value}"
            )


def nothing_lost(evidence: Evidence) -> Iterator[str | None]:
    """Known data stays until the service returns other data: an error changes no number of its media."""
    if not evidence.case.fault.refuses or _cut_and_good(evidence):
        return
    before, after = evidence.before.plays, evidence.after.plays
    updated = _updated(evidence.before), _updated(evidence.after)
    for row_key, numbers in before.items():
        if row_key[0] not in updated[1]:
            continue  # that day is not shown any more
        news = evidence.returned.rows[row_key][evidence.returned_before.get(row_key, 0) :]
        now = after.get(row_key)
        # A video of the listing may be gone; a page of a top may show media with more plays.
        overtaken = evidence.case.selection is Selection.TOP and evidence.good > 0
        renewed = overtaken or updated[0].get(row_key[0]) != updated[1][row_key[0]]
        right = (
            now == numbers or now in news or (now == ZEROS and evidence.returned.zero(row_key)) or (renewed and not now)
        )
        yield None if right else f"{row_key} showed {numbers} and shows {now} after a refusal"
    if not evidence.good:
        for row_key in after.keys() - before.keys():
            yield f"{row_key} is shown though nothing was answered"
        for date, at in updated[1].items():
            yield None if at == updated[0].get(date) else f"{date} was updated at {at} by a refusal"


def _updated(scrape: Scrape) -> dict[str, float | None]:
    """When the slice of each configured date was last updated; None: never."""
    name = "aliyun_vod_slice_updated_timestamp_seconds"
    agos = [ago for (ago,) in scrape.of("aliyun_vod_play_date_timestamp_seconds")]
    return {scrape.date(ago): scrape.one(name, days_ago=ago) for ago in agos}


def counted_under_its_code(evidence: Evidence) -> Iterator[str | None]:
    """Every failed attempt is counted once, under the code and kind of the fault; nothing else is counted."""
    fault = evidence.case.fault
    first, last = evidence.counters
    errors = Counter(last.errors())
    errors.subtract(first.errors())
    errors += Counter()
    allowed = {fault.counted} if fault.counted else set()
    if fault.counted and len({code for code, _ in last.errors()}) >= MOST_CODES:
        allowed.add(("other", fault.counted[1]))
    yield None if errors.keys() <= allowed else f"counted under {set(errors)}, not under {fault.counted}"
    sent = last.total("aliyun_vod_api_requests_total") - first.total("aliyun_vod_api_requests_total")
    took = "aliyun_vod_api_request_duration_seconds_count"
    ended = last.total(took) - first.total(took)
    failed = sum(errors.values())
    affected = bool(evidence.affected) or (fault.connection_fault is not ConnectionFault.NONE and sent > 0)
    yield None if affected else "the fault was never met, so nothing is proved"
    most = sent + (len(set(evidence.affected)) if fault.unanswered else 0)
    yield None if most >= len(evidence.received) or evidence.cut else f"{sent} sent, {len(evidence.received)} arrived"
    if fault.connection_fault is ConnectionFault.NONE:
        yield None if failed <= len(evidence.affected) else f"{failed} counted, {len(evidence.affected)} met the fault"
    if fault.sure and not evidence.cut:
        yield (
            None
            if ended - failed == evidence.good or sent > ended
            else (f"{ended} ended, {failed} failed, {evidence.good} were answered")
        )
    if fault.refuses and not evidence.cut:
        yield None if failed else "nothing was counted"
    meter = {code for _, code, _ in last.of("aliyun_vod_api_errors_total", account="main") if code.startswith("Meter.")}
    yield None if len(meter) == METER_CODES else f"only {meter} of the codes of the API exist"


def calls_are_bounded(evidence: Evidence) -> Iterator[str | None]:
    """Attempts are limited by the code, waits to five minutes, and the number of calls is bounded."""
    fault = evidence.case.fault
    tried = Counter(call for call in evidence.affected if call.date)
    once_more = 1 if fault.unanswered else 0
    allowed = (fault.attempts + once_more) * (2 if evidence.cut else 1)
    if fault.refuses:
        for call, times in tried.items():
            yield None if times <= allowed else f"{call} was tried {times} times, allowed are {allowed}"
        if not evidence.cut and tried:
            right = fault.attempts <= max(tried.values()) <= fault.attempts + once_more
            yield None if right else f"every call was tried {max(tried.values())} times, not {fault.attempts}"
    for call in evidence.received:
        yield None if call.path == "/" else f"something else was requested: {call.path}"
    for wait in evidence.waits:
        yield None if 0 <= wait <= LONGEST_WAIT else f"waited for {wait} s"
    most = MOST_ENDLESS_CALLS if fault.endless else MOST_CALLS
    yield None if len(evidence.received) <= most else f"{len(evidence.received)} calls"


def query_state_is_right(evidence: Evidence) -> Iterator[str | None]:
    """A query is up if every slice got a response ("not ready" is one), and polls are counted by result."""
    fault, after = evidence.case.fault, evidence.after
    if evidence.case.moment is Moment.SHUTDOWN:
        return
    polls = Counter({r: after.one("aliyun_vod_query_polls_total", query="q", result=r) or 0 for r in _RESULTS})
    polls.subtract({r: evidence.before.one("aliyun_vod_query_polls_total", query="q", result=r) or 0 for r in _RESULTS})
    ended = {result for result, times in polls.items() if times > 0}
    up = after.one("aliyun_vod_query_up", query="q")
    if not evidence.cut:
        yield None if sum(polls.values()) == 1 else f"one poll was counted as {dict(polls)}"
        yield None if up == int(ended == {"success"}) else f"query_up is {up} after {ended}"
    if _cut_and_good(evidence):
        return
    allowed = _allowed(evidence)
    yield None if ended <= allowed else f"the poll ended as {ended}, not as {allowed}"
    if fault.counted and fault.counted[1] == "not_ready" and evidence.case.moment is not Moment.MIDNIGHT:
        dates = {call.date for call in evidence.affected}
        for ago in evidence.days_ago:
            ready = after.one("aliyun_vod_slice_ready", days_ago=ago)
            right = ready == (0 if after.date(ago) in dates else 1)
            yield None if right else f"slice_ready is {ready} {ago} days ago"


_RESULTS: Final = ("success", "partial", "failure", "skipped")


def _allowed(evidence: Evidence) -> set[str]:
    fault = evidence.case.fault
    if not fault.sure:
        return {"success", "partial", "failure"}
    if not fault.refuses or (fault.counted and fault.counted[1] == "not_ready"):
        return {"success"}
    others_answered = evidence.case.moment in (*OF_A_PAGE, Moment.RELOAD) or evidence.good
    # A poll that failed before the reload came has paused the account for the next one.
    skipped: set[str] = {"skipped"} if evidence.cut and evidence.case.moment is Moment.RELOAD else set()
    return {"failure", *(["partial"] if others_answered else []), *skipped}


def recovers(evidence: Evidence) -> Iterator[str | None]:
    """The next good responses renew everything: the query is up and publishes the wanted rows as last returned."""
    recovered = evidence.recovered
    yield None if recovered.one("aliyun_vod_query_up", query="q") == 1 else "the query is not up again"
    shown = recovered.plays
    # Settled data is not requested again.
    settled = {recovered.date(ago) for (*_, ago), is_ in recovered.of("aliyun_vod_slice_settled").items() if is_}
    as_good = _as_good(evidence)
    for row_key in evidence.wanted - as_good.keys():
        rows = evidence.returned.rows[row_key]
        last = rows[-1] if rows else None
        right = (
            shown.get(row_key) == last
            or (shown.get(row_key) == ZEROS and evidence.returned.zero(row_key))
            or (row_key[0] in settled and shown.get(row_key) in rows)
        )
        yield None if right else f"{row_key} shows {shown.get(row_key)}, the service says {last}"
    for row_key in shown.keys() - evidence.wanted - set(as_good.values()):
        yield f"{row_key} is shown though no query wants it"


def _as_good(evidence: Evidence) -> dict[RowKey, RowKey]:
    """Places at the end of a top that a video with equally many plays may take."""
    if evidence.case.selection is not Selection.TOP:
        return {}
    shown, plays = evidence.recovered.plays, "aliyun_vod_media_plays"
    others = [row_key for row_key in shown if row_key not in evidence.wanted]
    found: dict[RowKey, RowKey] = {}
    for row_key in sorted(evidence.wanted - shown.keys()):
        rows = evidence.returned.rows[row_key]
        for other in others:
            if rows and other[0] == row_key[0] and shown[other].get(plays) == rows[-1].get(plays):
                found[row_key] = other
                others.remove(other)
                break
    return found


def nothing_left_behind(evidence: Evidence) -> Iterator[str | None]:
    """No task, socket or file is leaked, and no megabytes are kept."""
    yield None if not evidence.tasks else f"tasks are left: {evidence.tasks}"
    yield None if not evidence.descriptors else f"descriptors are left: {evidence.descriptors}"
    yield None if evidence.peak <= MOST_MEMORY else f"{evidence.peak / 2**20:.0f} MiB were in use"


def nothing_breaks(evidence: Evidence) -> Iterator[str | None]:
    """No exception escapes, every failure is logged with its code and advice, and no secret is logged."""
    yield None if not evidence.breaks else f"something broke: {evidence.breaks[0]}"
    for event in evidence.events:
        if event["event"] in ("API request failed", "not ready yet"):
            yield None if event.get("advice") and event.get("code") else f"no code or advice: {event}"
        words = repr(event)
        yield None if evidence.secret not in words and not _SIGNATURE.search(words) else "a secret was logged"
    for name, scrape in _scrapes(evidence):
        yield None if evidence.secret not in scrape.text else f"{name}: a secret is shown"


INVARIANTS: Final[tuple[Callable[[Evidence], Iterator[str | None]], ...]] = (
    only_returned_numbers,
    no_number_on_another_day,
    no_half_poll,
    no_broken_text,
    nothing_lost,
    counted_under_its_code,
    calls_are_bounded,
    query_state_is_right,
    recovers,
    nothing_left_behind,
    nothing_breaks,
)


def findings(
    evidence: Evidence, invariants: Iterable[Callable[[Any], Iterator[str | None]]] = INVARIANTS
) -> dict[str, Finding]:
    """The finding of every invariant for a case, by name."""
    return {invariant.__name__: _finding(invariant(evidence)) for invariant in invariants}


def _cut_and_good(evidence: Evidence) -> bool:
    """Whether a reload cancelled the poll with the fault, and the next one succeeded."""
    return evidence.case.fault.stalls and evidence.case.moment is Moment.RELOAD


def _scrapes(evidence: Evidence) -> tuple[tuple[str, Scrape], ...]:
    return ("after the fault", evidence.after), ("recovered", evidence.recovered)


def _plain(text: str) -> str:
    """A label's value without the escapes of the format."""
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
