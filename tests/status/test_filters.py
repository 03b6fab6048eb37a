from __future__ import annotations

from dataclasses import fields, replace
from urllib.parse import parse_qsl

import pytest

from exporter.status.filters import PAGE_DEFAULTS, FilterError, Filters, check, parse


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(FilterError) as caught:
        parse(parse_qsl(text, keep_blank_values=True))
    return caught.value.problems


def test_without_filters_everything_is_shown() -> None:
    assert parse([]) == Filters()
    assert not Filters().is_filtered


def test_an_empty_form_field_does_not_filter() -> None:
    assert parse(parse_qsl("account=&days_ago=&media=+&sort=", keep_blank_values=True)) == Filters()


def test_every_parameter_is_parsed() -> None:
    text = (
        "account=main&query=q&days_ago=0&state=not_ready&terminal_type=Web&os=all&region=cn-beijing&media=a%20b"
        "&sort=age&media_sort=fall&page=2&media_page=3&per_page=10&lang=zh"
    )

    choice = parse(parse_qsl(text))

    assert choice == Filters(
        "main", "q", 0, "not_ready", "Web", "all", "cn-beijing", "a b", "age", "fall", 2, 3, 10, "zh"
    )
    assert parse(parse_qsl(choice.query_string().removeprefix("?"))) == choice


def test_a_link_changes_some_filters_and_keeps_the_others() -> None:
    choice = Filters(account="a&b", page=4, **PAGE_DEFAULTS)

    assert choice.query_string(page=5) == "?account=a%26b&page=5"
    assert choice.query_string(page=1, account="") == "?"
    assert replace(choice, lang="zh", per_page=9).reset(state="stale") == "?state=stale&per_page=9&lang=zh"


@pytest.mark.parametrize(
    "name", ["account", "query", "state", "terminal_type", "os", "region", "media", "media_change"]
)
def test_every_filter_counts_as_filtered(name: str) -> None:
    assert Filters(**{name: "x"}).is_filtered  # type: ignore[arg-type]
    assert Filters(days_ago=0).is_filtered


def test_only_filters_of_slices_count_as_filters_of_slices() -> None:
    for choice in (Filters(state="stale"), Filters(days_ago=0), Filters(page=2), Filters(sort="age")):
        assert choice.filters_slices
    assert not Filters(account="a", media_page=2, media_sort="fall").filters_slices


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("days_ago=31", "days_ago: '31' is not a number from 0 to 30"),
        ("days_ago=-1", "days_ago: '-1' is not a number from 0 to 30"),
        ("days_ago=%D9%A1", "days_ago: '\\u0661' is not a number from 0 to 30"),
        ("page=0", "page: '0' is not a number from 1 to 1000000"),
        ("per_page=1001", "per_page: '1001' is not a number from 1 to 1000"),
        ("page=" + "9" * 5000, "page: '" + "9" * 60 + "' is not a number from 1 to 1000000"),
        ("state=good", "state: 'good' is not one of stale, unanswered, not_ready, unsettled, settled"),
        ("os=<script>", "os: '<script>' is not one of all, Android, iOS, Windows, macOS, Linux"),
        ("media=" + "x" * 201, "media: is longer than 200 characters"),
        ("page=1&page=2", "page is given twice"),
    ],
)
def test_an_error_lists_what_is_allowed(text: str, problem: str) -> None:
    assert problems(text) == (problem,)


def test_all_errors_are_reported_together() -> None:
    assert problems("day=1&page=x&sort=y") == (
        f"'day' is not a parameter; there are {', '.join(field.name for field in fields(Filters))}",
        "page: 'x' is not a number from 1 to 1000000",
        "sort: 'y' is not one of days_ago, age, rows, state",
    )


def test_a_long_query_string_gets_a_short_error() -> None:
    many = "&".join(f"{number:x}=1" for number in range(900))
    assert len(problems(many)) == 10
    assert sum(map(len, problems(many))) < len(many)


def test_filters_must_name_a_configured_account_and_query() -> None:
    check(Filters(account="a", query="q"), accounts={"a"}, queries={"q"})

    with pytest.raises(FilterError) as caught:
        check(Filters(account="\u202eb", query="头条"), accounts={"a"}, queries={"q"})

    assert caught.value.problems == ("account: '\\u202eb' is not configured", "query: '头条' is not configured")
