"""The content of the HTML; browser tests cover its look and accessibility."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from exporter.core.model import REGIONS, Dimensions, Measure, Query, Top
from exporter.errors import ErrorKind, NotReady, UpstreamError
from exporter.status.filters import Filters
from exporter.status.html_page import Pages
from exporter.status.languages import LANGUAGES
from exporter.status.stylesheet import stylesheet
from exporter.status.summary import summarize
from exporter.vod.error_classification import classify
from tests.status.examples import (
    ACCOUNT,
    EVERYTHING,
    EXPECTING,
    NOW,
    SETTINGS,
    Number,
    by_ids,
    known,
    observed,
    report,
    weekly,
)

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"' onmouseover='x' {{ 7*7 }} {0} javascript:"


class Elements(HTMLParser):
    """Every element with its attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "input", "path", "line", "circle"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(choice: Filters | None = None, language: str = "en", **seen: object) -> Elements:
    slices = seen.pop("slices", weekly({"a": (50, 200, 300, 300)}))
    seen.setdefault("queries", (EXPECTING,))
    view = summarize(observed(*slices, **seen), choice or Filters())  # type: ignore[misc, arg-type]
    return Elements(Pages("/metrics").render(view, language).decode())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_element_is_closed_and_no_placeholder_is_left(language: str) -> None:
    shown = page(language=language, reports=[report(EVERYTHING, UpstreamError("no", code="X", kind=ErrorKind.OTHER))])

    assert shown.open == []
    assert "{}" not in shown.text
    assert ("html", {"lang": {"en": "en", "zh": "zh-CN"}[language]}) in shown.tags


def test_the_page_shows_everything_of_the_view() -> None:
    text = " ".join(page().text.split())

    for expected in (
        "Version 1.2.3 · started 1 h ago · 7 media series published",
        "Slices without any response so far: 1",
        "all media, every 15 min",
        "in 10 min",
        "slices: 5 · days ago: 0-2, 8, 9 Last settled day: Sat 2024-03-23 ○ waiting",
        "Sat 2024-03-23 (yesterday): slices 1, settled 1",
        "title of a a main Sat 2024-03-23 50 200 ▼ −150 (−75 %)week before: 300",
        "1 d 9 h after its start; further polls that must find it unchanged: 2",
        "State at 2024-03-24 04:00:00 UTC",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("plays", "shown"),
    [
        ((0, 1, 1, 3), "0 0 ±0week before"),
        ((1, 3, 1, 4), "1 1 ±0 (±0 %)week before"),
        ((3, 5, 5, 6), "3 4 ▼ −1 (−25 %)week before"),
    ],
)
def test_the_percentage_is_that_of_the_whole_plays_that_are_shown(plays: tuple[float, ...], shown: str) -> None:
    text = " ".join(page(slices=weekly({"a": plays})).text.split())

    assert f"Sat 2024-03-23 {shown}" in text


def shown(**seen: object) -> str:
    """The text from the box to the media."""
    return " ".join(page(None, "en", reports=[report(EXPECTING)], **seen).text.split())


def test_the_status_box_is_green_only_if_nothing_is_wrong_or_unknown() -> None:
    today = known(0, {"a": 9}, settled=False)
    well = shown(slices=[today, *weekly({"a": (500, 500, 500, 500)})])
    early = shown(slices=[today, *weekly({"a": (500, 500, 500, 500)}, settled=False)])
    bad = shown(slices=[today, *weekly({"a": (240, 500, 500, 500)})])

    assert "✓ Nothing needs attention." in well
    assert "On Sat 2024-03-23, none of 1 media lost more than half of at least 100 expected plays." in well
    assert "✓ Polling works." in early
    assert (
        "Drops cannot be detected. No expected plays yet; they come once these days are settled: "
        "Sat 2024-03-23, Fri 2024-03-22, Sat 2024-03-16, Fri 2024-03-15 (unsettled) " in early
    )
    assert "! Needs attention On Sat 2024-03-23, 1 of 1 media lost more than half of at least 100 expected plays" in bad
    assert "✓" not in bad.partition("Queries")[0]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (EVERYTHING, "No expected plays: switched off (expected: false)."),
        (replace(EXPECTING, days_ago=(2, 9)), "No expected plays: days_ago does not contain 1."),
    ],
)
def test_a_query_without_expected_plays_says_why(query: Query, reason: str) -> None:
    text = shown(queries=(query,), slices=[known(0, {"a": 9}, settled=False), *weekly({"a": (1, *3 * (200,))})])

    assert f"Drops cannot be detected. {reason}" in text
    assert re.search(rf"days ago: [\d, -]+ {re.escape(reason)} ", text)
    assert "The queries say why media have no expected plays." in text


def test_days_that_are_missing_are_named_with_their_earliest_end() -> None:
    before_nine = {"now": NOW - 5 * 3600, "slices": [known(2, {"a": 1}), known(9, {"a": 1})]}

    assert (
        "No expected plays yet; they come once these days are settled: Thu 2024-03-21, Thu 2024-03-14 (unanswered)"
        in shown(**before_nine)
    )
    late = replace(SETTINGS, settle_after=61 * 3600.0)
    today = [known(2, {"a": 1}, settled=False), *(known(ago, {"a": 1}) for ago in (3, 9, 10))]
    assert (
        "once these days are settled: Fri 2024-03-22 (unsettled, final from 2024-03-24 05:00:00 UTC at the earliest)"
    ) in shown(settings=late, slices=today)


def test_a_media_without_an_expectation_names_the_days_that_it_lacks() -> None:
    ids = replace(by_ids("old", "added"), expected=True)
    days = [replace(data, listed=None) for data in weekly({"old": (9, 9, 9, 9)})]
    days[0] = replace(days[0], records={**days[0].records, **known(1, {"added": 3}).records})

    text = shown(queries=(ids,), slices=days)

    assert "added main Sat 2024-03-23 3 –no settled plays: Fri 2024-03-22, Sat 2024-03-16 –" in text
    assert "old main Sat 2024-03-23 9 9 ±0 (±0 %)week before: 9" in text
    assert "The queries say why" not in text


def test_an_old_settled_day_is_named_with_what_a_newer_one_needs() -> None:
    text = shown(slices=weekly({"a": (9, 9, 9, 9)}, newest=4))

    assert (
        "Last settled day: Wed 2024-03-20, a newer one needs: "
        "Sat 2024-03-23, Fri 2024-03-22, Sat 2024-03-16, Fri 2024-03-15 (unanswered) "
    ) in text


def test_combinations_of_filters_with_different_days_are_counted() -> None:
    ios, query = Dimensions(os="iOS"), replace(EXPECTING, dimensions=(Dimensions(), Dimensions(os="iOS")))
    days = weekly({"a": (9, 9, 9, 9)}), weekly({"a": (9, 9, 9, 9)}, newest=2, dimensions=ios)

    text = shown(queries=(query,), slices=[*days[0], *days[1]])

    assert (
        "Last settled day: Sat 2024-03-23 (1 of 2 combinations of filters) Last settled day: Fri 2024-03-22 (1 of 2"
        in text
    )


def test_play_dates_have_their_weekday_in_chinese() -> None:
    text = page(language="zh", reports=[report(EXPECTING)]).text

    assert "2024-03-23 周六：1 个媒体的播放次数不到预期的一半（共 1 个有预期值，只看预期不少于 100 次的）" in text
    assert "最近定稿日：2024-03-23 周六" in text


def test_of_many_problems_and_accounts_the_first_are_visible() -> None:
    accounts = [f"account{number}" for number in range(12)]
    queries = [replace(EXPECTING, name=each, account=each, days_ago=(1, 2, 8, 9)) for each in accounts]
    settled = [each for query in queries for each in weekly({"a": (9, 9, 9, 9)}, account=query.account)]
    well = page(queries=queries, reports=[report(query) for query in queries], slices=settled)
    bad = page(
        queries=queries, reports=[report(query, UpstreamError("", code="X", kind=ErrorKind.OTHER)) for query in queries]
    )

    for shown in (well, bad):
        assert ("details", {}) in shown.tags
        assert re.search(r"^[23] more$", shown.text, re.MULTILINE)


def test_dropped_media_link_to_their_list() -> None:
    ios = Dimensions(os="iOS")
    both = (replace(EVERYTHING, name="all"), replace(EXPECTING, dimensions=(ios,)))

    assert ("a", {"href": "?per_page=50&media_change=dropped#media"}) in page(
        slices=weekly({"a": (1, *3 * (200,))})
    ).tags
    pinned = "?terminal_type=all&os=iOS&region=all&per_page=50&media_change=dropped#media"
    assert ("a", {"href": pinned}) in page(slices=weekly({"a": (1, 200, 200, 200)}, dimensions=ios), queries=both).tags


def test_the_chinese_page_is_chinese() -> None:
    """Except for names, codes, paths and units, which are the same in every language."""
    failures = [
        UpstreamError(
            "no response in time",
            code="timeout",
            kind=ErrorKind.TRANSPORT,
            advice=classify(0, "timeout").advice,
        ),
        UpstreamError("", code="Throttling.User", kind=ErrorKind.THROTTLED, advice=classify(400, "Throttling").advice),
    ]
    top = replace(EVERYTHING, name="top", every=90_061.0, media=Top(20, Measure.PLAYS))
    text = page(
        Filters(state="settled", days_ago=1),
        language="zh",
        slices=[known(1, {"1": 1}), known(8, {"1": 200})],
        queries=[top],
        reports=[report(top, *failures)],
        numbers=[Number("aliyun_vod_api_errors_total", 2, {"account": "main", "code": "timeout", "kind": "transport"})],
    ).text
    same = """
        aliyun-vod-exporter English top main timeout Throttling.User https vod.cn-shanghai.aliyuncs.com title of
        no response in time series_limit days_ago expected false limits.requests_per_second requests_per_second
        API ID JSON Prometheus UTC Native Web Android iOS Windows macOS Linux metrics api v1 status healthy ready
    """

    assert set(re.findall(r"[A-Za-z][\w.-]*\w|[A-Za-z]", text, re.ASCII)) <= {*same.split(), *REGIONS}
    assert "前 20 个媒体（按播放次数排序），每 1 天 1 小时 1 分钟 1 秒一次" in text
    assert "请检查到接入点的网络链路，或调大该账号的 timeout。" in text
    assert "timeout ×2（网络）" in text
    assert "最近一次轮询没有全部得到响应（失败：" in text
    assert "2024-03-24 12:00:00（UTC+8）" in text


def test_the_list_of_slices_is_collapsed_until_slices_are_filtered() -> None:
    def folded(choice: Filters) -> bool:
        return ("details", {}) in page(choice).tags

    assert folded(Filters())
    assert folded(Filters(media_page=2, media_sort="fall"))
    assert not folded(Filters(state="stale"))
    assert not folded(Filters(page=2))


def test_a_failed_poll_is_shown_with_advice() -> None:
    refused = UpstreamError(
        "not authorized", code="Forbidden.RAM", kind=ErrorKind.AUTH, advice="Allow it.", request_id="R9"
    )
    text = " ".join(page(reports=[report(EVERYTHING, refused)]).text.split())

    assert "Query q did not get a response for every slice in its last poll (failure: Forbidden.RAM)" in text
    assert "Forbidden.RAM ×1 (permission): Message of the service: not authorizedAllow it. Request ID R9" in text


def test_settings_are_shown_only_where_they_apply() -> None:
    plain = page().text
    special = page(
        settings=replace(SETTINGS, storage_retention=86_400.0, shard=1, total_shards=3),
        accounts=[replace(ACCOUNT, calls_per_day=100, credentials="ram_role_arn")],
    ).text

    assert "in memory only" in plain
    assert "1 of 3, counted from 0" not in plain
    assert "kept in a file for 1 d, write errors since the start: 0" in special
    assert "1 of 3, counted from 0" in special
    assert "– of 100" in special
    assert "credentials: ram_role_arn" in special


def test_titles_names_and_codes_are_escaped() -> None:
    query = replace(EVERYTHING, name=HOSTILE, account=HOSTILE)
    slices = [known(1, {HOSTILE: 1}, account=HOSTILE), known(8, {HOSTILE: 1}, account=HOSTILE)]
    errors = [
        UpstreamError(HOSTILE, code=HOSTILE, kind=ErrorKind.OTHER, advice=HOSTILE, request_id=HOSTILE),
        NotReady(HOSTILE, code=HOSTILE, kind=ErrorKind.NOT_READY),
    ]
    hostile = page(
        Filters(media="<script>"),
        slices=slices,
        queries=[query],
        accounts=[replace(ACCOUNT, name=HOSTILE, endpoint=HOSTILE)],
        reports=[report(query, *errors)],
    )

    assert hostile.open == []
    assert hostile.text.count(HOSTILE) > 10
    assert "49" not in hostile.text
    assert not {"script", "img", "iframe", "object", "style", "base"} & {tag for tag, _ in hostile.tags}
    for tag, attributes in hostile.tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "srcdoc"}], tag
        for name in ("href", "src", "action"):
            assert re.match(r"\./|#|\?|data:,", attributes.get(name) or "#"), attributes


def test_the_page_loads_only_its_stylesheet_and_never_refreshes() -> None:
    tags = page().tags

    assert [attributes["href"] for tag, attributes in tags if tag == "link"] == [
        "data:,",
        f".{Pages('').stylesheet_path}",
    ]
    assert not [attributes for tag, attributes in tags if tag == "meta" and "http-equiv" in attributes]


def test_links_keep_the_filters() -> None:
    many: dict[str, float | None] = {f"m{number}": number for number in range(5)}
    chosen = Filters(account="main", per_page=2, media_page=2, lang="en")
    links = {
        str(attributes["href"])
        for tag, attributes in page(chosen, slices=[known(1, many)]).tags
        if tag == "a" and "href" in attributes
    }

    assert "?account=main&media_sort=plays&media_page=3&per_page=2&lang=en#media" in links
    assert "?account=main&media_sort=plays&per_page=2&lang=en#media" in links
    assert "?account=main&media_sort=plays&page=2&media_page=2&per_page=2&lang=en#slices" in links
    assert "?account=main&media_sort=plays&media_page=2&per_page=2&lang=zh" in links
    assert "?account=main&days_ago=1&media_sort=plays&per_page=2&lang=en#slices" in links
    assert {"./metrics", "./api/v1/status", "./-/healthy", "./-/ready"} <= links


@pytest.mark.parametrize(
    ("language", "message", "shown"),
    [
        ("en", "Total is negative", "search courses: malformed: Total is negative"),
        ("zh", "Total is negative", "search courses：malformed：Total 为负数"),
        ("zh", "Please: no {}", "search courses：malformed：Please: no {}"),
    ],
)
def test_why_a_search_failed_is_in_the_language_of_the_page(language: str, message: str, shown: str) -> None:
    error = UpstreamError(message, code="malformed", kind=ErrorKind.MALFORMED)
    failed = replace(observed(), metadata_failures={("main", "search courses"): error})

    assert shown in Elements(Pages("/metrics").render(summarize(failed, Filters()), language).decode()).text


def test_the_form_shows_the_filters() -> None:
    tags = page(Filters(query="ids", days_ago=1, media='a"b', sort="age"), queries=(EVERYTHING, by_ids("a"))).tags

    selected = [attributes["value"] for tag, attributes in tags if tag == "option" and "selected" in attributes]
    assert selected == ["", "ids", "1", "", "", "", "", "", "plays", "age"]
    assert [attributes["value"] for tag, attributes in tags if tag == "input"] == ['a"b']


def test_the_form_keeps_the_spaces_of_a_filter() -> None:
    """It is submitted with what it shows: the tag of a link from the list of media must still match."""
    search = {"id": "search", "name": "media", "type": "search", "maxlength": "200", "value": "课程\u3000数学"}
    assert ("input", search) in page(Filters(media="课程\u3000数学")).tags


def test_instants_have_a_machine_readable_form() -> None:
    times = [attributes for tag, attributes in page().tags if tag == "time"]

    assert {"datetime": "2024-03-24T04:10:00Z", "title": "2024-03-24 04:10:00 UTC"} in times
    assert NOW == 1_711_252_800


def test_the_path_of_the_stylesheet_contains_its_hash() -> None:
    path, css = stylesheet()
    assert re.fullmatch(r"/static/page-[0-9a-f]{16}\.css", path)
    assert Pages("").stylesheet_path == path
    assert b"http" not in css
