from __future__ import annotations

from exporter.commands.fetch import table

ROW = {
    "account": "main",
    "play_date": "2024-03-23",
    "days_ago": 1,
    "terminal_type": "all",
    "os": "all",
    "region": "all",
    "media_id": "9ae2af636ca6c10412f44891fc000000",
    "title": "阿里云VOD视频标题",
    "plays": 20,
    "viewers": 5,
    "plays_per_viewer": 4,
    "play_duration": 2400,
    "play_duration_per_viewer": None,
}


def test_rows_stand_under_their_names_and_what_was_not_given_is_empty() -> None:
    heading, row = table([ROW]).splitlines()

    assert heading.split() == list(ROW)
    assert row.split() == [str(value) for value in ROW.values() if value is not None]


def test_a_title_cannot_reach_the_terminal_s_controls() -> None:
    printed = table([{**ROW, "title": "\x1b[31mred\x1b[0m\nnext\u202e [bold]not markup[/bold]"}])

    assert "\x1b" not in printed
    assert len(printed.splitlines()) == 2
    assert "\u202e" not in printed
    assert "[bold]not markup[/bold]" in printed


def test_no_rows_are_said_to_be_none() -> None:
    assert table([]) == "No rows: nobody played the media asked for, or nothing was answered.\n"


def test_a_long_title_is_not_cut() -> None:
    assert "x" * 500 in table([{**ROW, "title": "x" * 500}])
