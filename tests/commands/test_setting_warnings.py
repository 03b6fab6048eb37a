from __future__ import annotations

import pytest

from exporter.commands.setting_warnings import DOCUMENTED, endpoint_warning, setting_warnings
from exporter.config.loader import loads

ID = "9ae2af636ca6c10412f44891fc000000"


def warnings(queries: str, rest: str = "") -> list[str]:
    return list(setting_warnings(loads(f"queries: [{queries}]\n{rest}", file="config.yaml", environ={})))


def ids(*media_ids: str) -> list[str]:
    return warnings(f"{{name: q, media: {{ids: [{', '.join(media_ids)}]}}}}")


@pytest.mark.parametrize("media_id", [ID, ID.upper(), "0" * 32])
def test_a_media_id_has_32_hexadecimal_digits(media_id: str) -> None:
    assert ids(f"'{media_id}'") == []


@pytest.mark.parametrize("media_id", ["your-media-id", ID[:-1], ID + "0", ID[:-1] + "g", "x"])
def test_any_other_is_named_with_its_place(media_id: str) -> None:
    (warning,) = ids(ID, media_id)
    assert warning == (
        f"queries[0].media.ids[1]: '{media_id}' does not look like a media ID, which has 32 hexadecimal digits."
        " An ID that the service does not know is shown with 0 plays for ever."
    )


def test_of_many_a_few_are_named() -> None:
    found = ids(*(f"media-{n}" for n in range(8)))
    assert len(found) == 6
    assert found[-1] == "queries[0].media.ids: 3 more do not look like media IDs"


AS_WRITTEN = (
    " is compared as it is written: * and % stand for nothing else. A title need only contain the text, and a category"
    " includes those below it."
)


@pytest.mark.parametrize(
    ("condition", "warning"),
    [
        ("category: Courses>Maths", "category: 'Courses>Maths' is a single name: in a path, / separates the names."),
        ("category: 课程／数学", "category: '课程／数学' is a single name: in a path, / separates the names."),
        ("tags: ['promo，vip']", "tags: 'promo，vip' is a single tag: several are entries of a list."),
        ("tags: promo;vip", "tags: 'promo;vip' is a single tag: several are entries of a list."),
        ("category: Courses/*", f"category: 'Courses/*'{AS_WRITTEN}"),
        ("title: '%promo%'", f"title: '%promo%'{AS_WRITTEN}"),
        ("tags: '*'", f"tags: '*'{AS_WRITTEN}"),
    ],
)
def test_texts_of_a_search_that_are_probably_meant_in_another_way(condition: str, warning: str) -> None:
    assert warnings(f"{{name: q, media: {{search: {{{condition}}}}}}}") == [f"queries[0].media.search.{warning}"]


def test_other_texts_of_a_search_are_usual() -> None:
    search = "{category: [课程/数学, 'C: a & b', 5], tags: [2024, teacher's choice], title: '数学，第一课|50%?'}"
    assert warnings(f"{{name: q, media: {{search: {search}}}}}") == []


@pytest.mark.parametrize(
    ("query", "rest", "expected"),
    [
        ("every: 15m", "", []),
        ("every: 1d", "", []),
        ("every: 12h, days_ago: [0]", "settle: {after: 30d}", []),
        (
            "every: 3d, days_ago: [2, 9]",
            "",
            [
                (
                    "query q: every is 3d, stale_after is 2d: a day that is not settled yet is not published from 2d"
                    " after a poll until the next one. Poll more often, or raise stale_after."
                ),
                (
                    "query q: every is 3d, and days_ago moves on every 24h: a day that was not polled yet has no values"
                    " until the next poll. Poll at least once a day."
                ),
            ],
        ),
        (
            "every: 9m59s",
            "stale_after: 10m",
            [
                (
                    "query q: every is 9m59s, stale_after is 10m: polls vary by some seconds and take time, so a day"
                    " that is not settled yet is not published for a moment before the next one. Raise stale_after."
                )
            ],
        ),
        ("every: 9m", "stale_after: 10m", []),
        ("every: 20s", "stale_after: 30s", []),
        ("every: 1d", "stale_after: 1441m", []),
        (
            "days_ago: [0, 1], expected: false",
            "settle: {after: 48h}",
            [
                (
                    "query q: settle.after is 2d, its oldest day (days_ago 1) is never older than 2d: no day settles,"
                    " and alerts on settled days stay silent."
                )
            ],
        ),
        ("days_ago: [0, 1], expected: false", "settle: {after: 47h}", []),
        # Expected plays need days 2, 3 and 8 to 10 too.
        ("days_ago: [0, 1]", "settle: {after: 95h}", []),
        ("days_ago: [0, 1]", "settle: {after: 0s}", []),
        ("days_ago: [1]", "settle: {after: 12h}", []),
        ("days_ago: [0, 1, 4]", "settle: {after: 4d}", []),
        (
            "days_ago: [0, 1]",
            "settle: {after: 4d}",
            [
                (
                    "query q: settle.after is 4d, and its newest day that is as old as that is 8 days ago: alerts on"
                    " settled days are about that day. Add 4 to its days_ago."
                )
            ],
        ),
        (
            "days_ago: [0, 1]",
            "settle: {after: 11d}",
            [
                (
                    "query q: settle.after is 11d, its oldest day (days_ago 10) is never older than 11d: no day"
                    " settles, and alerts on settled days stay silent."
                )
            ],
        ),
        (
            "every: 10s",
            "accounts: [{name: main, timeout: 10s}]",
            [
                (
                    "query q: every is 10s, timeout of account main is 10s: while the service does not respond, polls"
                    " are skipped."
                )
            ],
        ),
        ("every: 10s", "accounts: [{name: main, timeout: 9s}]", []),
        (
            "every: 1d, dimensions: [{os: [Android, iOS]}]",
            "accounts: [{name: main, limits: {calls_per_day: 11}}]",
            [
                (
                    "account main: the first poll of its queries takes 12 calls or more, calls_per_day is 11: it takes"
                    " days until everything was polled once."
                )
            ],
        ),
        ("every: 1d, dimensions: [{os: [Android, iOS]}]", "accounts: [{name: main, limits: {calls_per_day: 12}}]", []),
        (
            "every: 1d",
            "accounts: [{name: main, credentials: {access_key_id: STS.x, access_key_secret: y}}]",
            [
                (
                    "account main: its AccessKey ID begins with STS.: it is temporary and valid only with its token."
                    " Set security_token or security_token_file too."
                )
            ],
        ),
        (
            "every: 1d",
            "accounts: [{name: main, credentials: {access_key_id: STS.x, access_key_secret: y, security_token: z}}]",
            [],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_named_with_both_values(
    query: str, rest: str, expected: list[str]
) -> None:
    assert warnings(f"{{name: q, media: all, {query}}}", rest) == expected


@pytest.mark.parametrize(
    "endpoint",
    [
        *(f"https://{host}" for host in DOCUMENTED),
        "http://vod-vpc.cn-shanghai.aliyuncs.com",
        "https://VOD.cn-shanghai.aliyuncs.com.:443",
        "http://127.0.0.1:9986",
        "http://[::1]:9986",
        "http://10.1.2.3",
        "http://simulator:9986",
        "http://simulator.monitoring.svc:9986",
        "https://vod.corp.internal",
    ],
)
def test_documented_and_private_endpoints_cause_no_warning(endpoint: str) -> None:
    assert endpoint_warning(endpoint) == ""


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://vod.cn-beijing.aliyuncs.com", "write dimensions: [{region: [cn-beijing]}]"),
        ("https://vod-vpc.ap-southeast-1.aliyuncs.com:443", "write dimensions: [{region: [ap-southeast-1]}]"),
        ("https://vod.aliyuncs.com", "endpoint vod.aliyuncs.com: the service is documented at vod.cn-shanghai.aliy"),
        ("https://ecs.cn-shanghai.aliyuncs.com", "endpoint ecs.cn-shanghai.aliyuncs.com: the service is documented"),
        ("https://vod.cn-shanghai.aliyuncs.co", "Another host is right only where it passes requests on"),
        ("https://8.8.8.8", "Another host is right only where it passes requests on"),
    ],
)
def test_any_other_host_causes_a_warning_with_the_right_ones(endpoint: str, expected: str) -> None:
    assert expected in endpoint_warning(endpoint)
    assert "at vod.cn-shanghai.aliyuncs.com and, inside a VPC, vod-vpc.cn-shanghai.aliyuncs.com" in endpoint_warning(
        endpoint
    )
