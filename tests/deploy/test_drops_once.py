"""A settled day is one alert, whatever fails meanwhile: another set of labels, or a gap, would be another message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.deploy.promtool import ROOT, RULES, VERSIONS, promtool

if TYPE_CHECKING:
    from pathlib import Path

_DROPS: Final = ROOT / "deploy" / "prometheus" / "tests" / "drops.yml"
# Minutes: the day with the drop, and scrapes that fail in it. A failed scrape makes every series stale.
_FROM, _FAILED, _TO = 11, (16, 17), 25
_ALERTS: Final = '{alertname=~"AliyunVod(Account|Media).+"}'


def expanded(values: str) -> list[str]:
    """`1x2 3x0` as single values."""
    parts = (part.partition("x") for part in values.split())
    return [value for value, _, times in parts for _ in range(int(times) + 1)]


def series(media: str, plays: int | None) -> list[dict[str, str]]:
    """The series of drops.yml for these media only, optionally with other plays of each on the day."""
    found = yaml.safe_load(_DROPS.read_text(encoding="utf-8"))["tests"][0]["input_series"]
    kept = []
    for one in found:
        media_id = re.search(r'media_id="(\w+)"', one["series"])
        if media_id and not re.fullmatch(media, media_id[1]):
            continue
        values = expanded(str(one["values"]))
        if plays is not None and one["series"].startswith("aliyun_vod_media_settled_plays{"):
            values[_FROM:] = [str(plays)] * len(values[_FROM:])
        for minute in _FAILED:
            values[minute] = "stale" if minute == _FAILED[0] else "_"
        kept.append({"series": one["series"], "values": " ".join(values)})
    return kept


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("media", "plays", "alerts"),
    [
        pytest.param(".+", None, {"AccountShareDropped", "MediaPlaysDropped", "MediaPlaysGone"}, id="two media"),
        pytest.param(
            "m1",
            None,
            {"AccountPlaysDropped", "AccountShareDropped", "MediaPlaysDropped"},
            id="too few for a median",
        ),
        pytest.param(".+", 500, {"AccountPlaysDropped"}, id="a whole account"),
    ],
)
def test_failed_scrapes_make_no_new_alert(
    tmp_path: Path, version: str, media: str, plays: int | None, alerts: set[str]
) -> None:
    window = f"[{_TO - _FROM - 1}m]"
    different = f"count by (alertname) (count_over_time(ALERTS{_ALERTS}{window}))"
    begun_again = f"sum(changes(ALERTS_FOR_STATE{_ALERTS}{window}))"
    samples = [{"labels": f'{{alertname="AliyunVod{name}"}}', "value": 1} for name in alerts]
    document: dict[str, Any] = {
        "rule_files": [str(file) for file in RULES],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series(media, plays),
                "promql_expr_test": [
                    {"expr": different, "eval_time": f"{_TO}m", "exp_samples": samples},
                    {"expr": begun_again, "eval_time": f"{_TO}m", "exp_samples": [{"labels": "{}", "value": 0}]},
                ],
            }
        ],
    }
    (file := tmp_path / "test.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    promtool(version, "test", "rules", file)
