from __future__ import annotations

import pytest

from exporter.cli import main


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--shard=3", "--total-shards=3"], "--shard=3: shards are counted from 0, with --total-shards=3 from 0 to 2"),
        (["--shard=1"], "--shard=1: shards are counted from 0, with --total-shards=1 from 0 to 0"),
        (["--total-shards=0"], "--total-shards=0: must be 1 to 1000"),
        (["--total-shards=1001"], "--total-shards=1001: must be 1 to 1000"),
    ],
)
def test_shards_that_there_are_not_are_refused(
    flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *flags], {}) == 2
    assert capsys.readouterr().err == f"aliyun-vod-exporter: {expected}\n"


def test_shards_are_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--shard=-1"], {}) == 2
    assert "'-1' is not a whole number from 0" in capsys.readouterr().err
