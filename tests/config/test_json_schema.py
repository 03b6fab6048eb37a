import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config.schema import Config, schema_json
from exporter.documents import durations
from tests.config.corpus import TESTDATA
from tests.config.json_schema import is_valid

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
SCHEMA: dict[str, Any] = json.loads(schema_json())


@pytest.mark.parametrize(
    "path",
    [EXAMPLE, *(TESTDATA / f"{name}.good.yaml" for name in ("contract", "minimal", "anchors", "endpoint", "roles"))],
    ids=lambda path: path.name,
)
def test_good_files_are_valid(path: Path) -> None:
    assert is_valid(yaml.safe_load(path.read_text()), SCHEMA)


def with_query(**settings: object) -> dict[str, object]:
    return {"queries": [{"name": "a", "media": "all", **settings}]}


@pytest.mark.parametrize(
    "config",
    [
        with_query(every="${EVERY:-15m}"),
        with_query(days_ago=["${DAY}", 1]),
        with_query(days_ago=3),
        with_query(expected=False),
        with_query(expected="${EXPECTED:-true}"),
        with_query(media="${MEDIA}"),
        with_query(media={"top": "${TOP}", "by": "${BY}"}),
        with_query(media={"ids": "abc"}),
        with_query(dimensions=[{"os": "${OS}", "region": "cn-beijing"}]),
        with_query() | {"settle": {"after": 0}, "series_limit": "${LIMIT}"},
        with_query() | {"accounts": [{"name": "a", "endpoint": "${SCHEME}://host"}]},
    ],
    ids=str,
)
def test_what_the_loader_takes_is_valid(config: object) -> None:
    assert is_valid(config, SCHEMA)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"queries": []},
        {"queries": [{"name": "a"}]},
        with_query(unknown=1),
        with_query(every="soon"),
        with_query(every=0),
        with_query(expected="sometimes"),
        with_query(expected=1),
        with_query(days_ago=[31]),
        with_query(days_ago=[1, 1]),
        with_query(days_ago=[]),
        with_query(media="some"),
        with_query(media={"ids": []}),
        with_query(media={"top": 0}),
        with_query(dimensions=[{"os": "android"}]),
        with_query() | {"accounts": [{"name": "a", "endpoint": "ftp://host"}]},
        with_query() | {"accounts": [{"name": "a", "credentials": {"provider": "guess"}}]},
    ],
    ids=str,
)
def test_mistakes_are_not_valid(config: object) -> None:
    assert not is_valid(config, SCHEMA)


def settings(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    models = [schema, *schema["$defs"].values()]
    return [(name, setting) for model in models for name, setting in model.get("properties", {}).items()]


def test_every_setting_has_a_sentence() -> None:
    assert [name for name, setting in settings(SCHEMA) if not setting.get("description", "").endswith(".")] == []


def test_defaults_are_written_as_in_a_file() -> None:
    defaults = {name: setting["default"] for name, setting in settings(SCHEMA) if "default" in setting}

    assert defaults["every"] == "1h", "that of a search, the last of that name"
    assert dict(Config.model_json_schema()["$defs"]["QuerySettings"]["properties"]["every"])["default"] == "15m"
    assert defaults["dimensions"] == [{}]
    assert defaults["days_ago"] == [1, 2, 8, 9]
    assert durations.parse(defaults["stale_after"]) == Config.model_fields["stale_after"].default
