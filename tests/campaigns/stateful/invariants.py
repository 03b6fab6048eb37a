"""Compares the publication at one instant with the model; each rule is a sentence of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.core.model import ByIds, Everything
from tests.campaigns.stateful.model import DAY, SETTLES_AFTER, UNCHANGED, start, today

if TYPE_CHECKING:
    from exporter.core.publication import Publication, PublishedSlice
    from tests.campaigns.stateful.model import Model


def check_publication(current: Publication, model: Model, *, stale_after: float, now: float) -> None:
    """Check a publication without series limit."""
    slices = {published.slice: published for published in current.slices}
    assert len(slices) == len(current.slices), "a slice is shown twice"
    assert current.valid_from <= now < current.valid_until, "what is shown does not hold now"
    days_ago = {ago for query in model.queries for ago in query.days_ago}
    assert current.days == {ago: start(today(now)) - ago * 86_400.0 for ago in days_ago}, "dates are wrong"
    wanted = model.wanted(now)
    assert slices.keys() <= wanted, "a slice is shown that no query covers"
    for published in current.slices:
        check_slice(published, model, stale_after=stale_after, now=now)
    for slice_ in wanted:
        of = model.of(slice_)
        fresh = of.responded_at is not None and now < of.responded_at + stale_after
        stays = of.settled is not None and of.settled[0] == model.wants(slice_, now)
        assert slice_ in slices or not (fresh or stays), f"a slice that was answered is not shown: {slice_}"
    check_media_info(current)


def check_slice(published: PublishedSlice, model: Model, *, stale_after: float, now: float) -> None:
    """Check the series of one slice."""
    slice_ = published.slice
    of, wants = model.of(slice_), model.wants(slice_, now)
    assert published.days_ago == (today(now) - slice_.play_date).days, "it is shown on another day"
    by_id = {media_id for want in wants if isinstance(want, ByIds) for media_id in want.ids}
    everything = Everything() in wants
    for media_id, row in published.rows.items():
        allowed = of.allowed(media_id)
        assert row in allowed.rows, f"{media_id} shows {row}, which was not returned: {allowed.rows}"
        assert row is not None or media_id in by_id, f"{media_id} is a zero and no query lists it"
        assert media_id in by_id or not wants <= {w for w in wants if isinstance(w, ByIds)}, f"{media_id} is not wanted"
    for media_id, allowed in of.media.items():
        fresh = allowed.at is not None and now < allowed.at + stale_after
        played = None not in allowed.rows
        if fresh and (media_id in by_id or (everything and played)):
            assert media_id in published.rows, f"{media_id} was returned and is not shown"
    responded_at = of.maybe_responded_at
    assert responded_at is not None, "nothing was ever returned for it"
    can_be_final = responded_at >= start(slice_.play_date) + SETTLES_AFTER
    assert can_be_final or now < responded_at + stale_after, f"it is stale: {published}, {of}"
    if of.ready is not None:
        assert published.ready == of.ready, f"ready is {published.ready}"
    if of.updated_at is not None:
        assert published.updated_at == of.updated_at, "the time of the last good poll is wrong"
    assert published.total is None or published.total in of.totals, f"{published.total} was never counted"
    if published.settled:
        assert now >= start(slice_.play_date) + SETTLES_AFTER, "it is final before it can be"
        for media_id in by_id:
            same = of.allowed(media_id).same
            certain = responded_at >= start(slice_.play_date) + SETTLES_AFTER + DAY
            assert same is None or same >= UNCHANGED or certain, (
                f"{media_id} was seen unchanged {same} times, and is final"
            )
    if of.settled is not None and of.settled[0] == wants:
        assert published.settled, "it was final"
        assert published.rows == of.settled[1], "what is final has changed"


def check_media_info(current: Publication) -> None:
    """Title and duration are published once for every published media, and for no other."""
    allowed = [(each.account, each.media_id) for each in current.media]
    assert len(allowed) == len(set(allowed)), "a video is described twice"
    rows = {(each.slice.account, media_id) for each in current.slices for media_id in each.rows}
    assert set(allowed) == rows, "the media that are described are not those that are shown"
    titles = {(p.slice.account, m, row.title) for p in current.slices for m, row in p.rows.items() if row is not None}
    for each in current.media:
        given = {title for account, media_id, title in titles if (account, media_id) == (each.account, each.media_id)}
        assert each.title in given or (each.title is None and given <= {None, ""}), f"{each} was never returned"


def check_series_limit(current: Publication, whole: Publication, series_limit: int) -> None:
    """Above the series limit whole media are dropped, those with the fewest plays."""
    assert current.series <= series_limit, "there are more series than the limit"
    assert current.series + current.dropped == whole.series, "series are not counted rightly"
    kept = {(each.account, each.media_id) for each in current.media}
    plays: dict[tuple[str, str], float] = {}
    for published in whole.slices:
        for media_id, row in published.rows.items():
            key = published.slice.account, media_id
            plays[key] = max(plays.get(key, 0), (row.plays if row else None) or 0)
    lost = plays.keys() - kept
    most_lost, least_kept = max(map(plays.__getitem__, lost), default=0), min(map(plays.__getitem__, kept), default=0)
    assert not kept or most_lost <= least_kept, "a video with more plays is left out"
    for published, before in zip(current.slices, whole.slices, strict=True):
        account = published.slice.account
        assert published.rows == {m: row for m, row in before.rows.items() if (account, m) in kept}
