from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.config.accounts import CredentialSettings
from exporter.config.schema import Config, QuerySettings
from exporter.core.model import ByIds, Dimensions, Everything, Measure, Query, Top
from exporter.documents.error_messages import field_errors

ONE_QUERY = {"name": "a", "media": "all"}


def query(**settings: object) -> Query:
    (built,) = Config.model_validate({"queries": [ONE_QUERY | settings]}).core_queries()
    return built


def test_the_settlement_is_computed_once_and_takes_no_part_in_comparisons() -> None:
    one, other = (Config.model_validate({"queries": [ONE_QUERY], "settle": {"after": "40h"}}) for _ in range(2))

    assert one.settlement is one.settlement
    assert (one.settlement.after, one.settlement.unchanged) == (144_000.0, 2)
    assert one == other
    assert "settlement" not in one.model_dump()


def test_defaults_are_those_of_the_contract() -> None:
    config = Config.model_validate({"queries": [ONE_QUERY]})
    (account,) = config.accounts

    assert config.core_queries() == (
        Query("a", "default", 900.0, Everything(), (Dimensions(),), (1, 2, 8, 9), expected=True),
    )
    assert (account.name, account.endpoint) == ("default", "https://vod.cn-shanghai.aliyuncs.com")
    assert (account.timeout, account.credentials) == (10.0, CredentialSettings())
    assert account.limits.model_dump() == {"requests_per_second": 5.0, "concurrency": 4, "calls_per_day": 0}
    assert (config.settle.after, config.settle.unchanged) == (118_800.0, 2)
    assert (config.stale_after, config.series_limit) == (172_800.0, 200_000)


@pytest.mark.parametrize(
    ("media", "meaning"),
    [
        ({"ids": ["a", "b"]}, ByIds(frozenset({"a", "b"}))),
        ({"ids": "a"}, ByIds(frozenset({"a"}))),
        ({"top": 5}, Top(5, Measure.PLAYS)),
        ({"top": "5", "by": "play_duration_per_viewer"}, Top(5, Measure.PLAY_DURATION_PER_VIEWER)),
        ("all", Everything()),
    ],
)
def test_media_have_three_forms(media: object, meaning: object) -> None:
    assert query(media=media).media == meaning


def test_dimensions_are_products_in_order() -> None:
    lists = [{}, {"terminal_type": ["Native", "Web"], "os": ["iOS", "Linux"], "region": "cn-beijing"}]

    assert query(dimensions=lists).dimensions == (
        Dimensions(),
        Dimensions("Native", "iOS", "cn-beijing"),
        Dimensions("Native", "Linux", "cn-beijing"),
        Dimensions("Web", "iOS", "cn-beijing"),
        Dimensions("Web", "Linux", "cn-beijing"),
    )


def test_combinations_that_come_up_twice_are_one() -> None:
    lists = [{"os": ["iOS", "iOS"]}, {}, {"os": ["Android", "iOS"]}, {}]

    assert query(dimensions=lists).dimensions == (Dimensions(os="iOS"), Dimensions(), Dimensions(os="Android"))


def test_a_query_belongs_to_the_account_it_names() -> None:
    config = Config.model_validate(
        {
            "accounts": [{"name": "x"}, {"name": "y"}],
            "queries": [ONE_QUERY | {"account": "y"}, {"name": "b", "media": "all", "account": "x"}],
        }
    )

    assert [built.account for built in config.core_queries()] == ["y", "x"]


def test_a_query_without_account_belongs_to_the_only_one() -> None:
    config = Config.model_validate({"accounts": [{"name": "x"}], "queries": [ONE_QUERY]})

    assert config.core_queries()[0].account == "x"


def test_one_day_written_in_two_ways_is_listed_twice() -> None:
    with pytest.raises(ValidationError) as caught:
        query(days_ago=["1", "01"])

    assert [(finding.path, finding.sentence) for finding in field_errors(caught.value)] == [
        (("queries", 0, "days_ago", 1), "'1' is listed already, as entry [0]")
    ]


def test_settings_made_in_python_are_held_to_the_same_rules() -> None:
    one = QuerySettings.model_validate(ONE_QUERY)

    with pytest.raises(ValidationError) as caught:
        Config(queries=(one, one))

    assert [(finding.path, finding.sentence) for finding in field_errors(caught.value)] == [
        (("queries", 1, "name"), "'a' is already queries[0]")
    ]


def test_equal_settings_are_equal_and_do_not_change() -> None:
    config = Config.model_validate({"queries": [ONE_QUERY]})

    assert config == Config.model_validate({"queries": [ONE_QUERY]})
    with pytest.raises(ValidationError):
        config.series_limit = 5  # type: ignore[misc]  # that mypy refuses it too is the point


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("name", ["access_key_id", "access_key_secret"])
def test_an_empty_key_is_no_key(name: str, blank: str) -> None:
    with pytest.raises(ValidationError, match="is empty"):
        CredentialSettings.model_validate({"access_key_id": "a", "access_key_secret": "b", name: blank})


def test_an_empty_token_is_none() -> None:
    credentials = CredentialSettings.model_validate(
        {"access_key_id": "a", "access_key_secret": "b", "security_token": "", "security_token_file": "token"}
    )

    assert credentials.security_token is None
    assert credentials.security_token_file == Path("token")


def test_white_space_around_a_key_is_not_part_of_it() -> None:
    credentials = CredentialSettings.model_validate({"access_key_id": "a\n", "access_key_secret": " b "})

    assert credentials.access_key_id is not None
    assert credentials.access_key_secret is not None
    assert credentials.access_key_id.get_secret_value() == "a"
    assert credentials.access_key_secret.get_secret_value() == "b"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"provider": "default"},
        {"provider": "env"},
        {"provider": "ecs_ram_role"},
        {"provider": "ecs_ram_role", "role_name": "vod-exporter"},
        {"provider": "oidc_role_arn"},
        {"provider": "ram_role_arn"},
        {"provider": "ram_role_arn", "access_key_id": "a", "access_key_secret_file": "b", "external_id": "c:d"},
        {"provider": "profile", "profile_name": "monitoring", "profile_file": "config.json"},
        {"access_key_id_file": "a", "access_key_secret": "b"},
    ],
    ids=str,
)
def test_keys_are_given_here_or_found_by_the_provider(given: dict[str, str]) -> None:
    read = CredentialSettings.model_validate(given)

    assert read.provider == given.get("provider", "default")
    assert read.session_duration == 3600


@pytest.mark.parametrize(
    ("provider", "given"),
    [
        ("oidc_role_arn", {"role_arn": "vod-exporter"}),
        ("oidc_role_arn", {"role_arn": "acs:ram::1:role/"}),
        ("oidc_role_arn", {"role_arn": "acs:ram::1:role/a b"}),
        ("oidc_role_arn", {"oidc_provider_arn": "acs:ram::1:role/a"}),
        ("ram_role_arn", {"role_session_name": "a"}),
        ("ram_role_arn", {"role_session_name": "a:b"}),
        ("ram_role_arn", {"session_duration": "14m"}),
        ("ram_role_arn", {"session_duration": "13h"}),
        ("ram_role_arn", {"external_id": "a"}),
        ("ram_role_arn", {"sts_endpoint": "https://sts.aliyuncs.com"}),
        ("ram_role_arn", {"sts_endpoint": "sts.aliyuncs.com\n"}),
        ("ecs_ram_role", {"role_name": "acs:ram::1:role/a"}),
        ("ecs_ram_role", {"role_name": ""}),
        ("profile", {"profile_name": ""}),
    ],
    ids=str,
)
def test_what_a_role_cannot_be_called_is_found_before_the_start(provider: str, given: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        CredentialSettings.model_validate({"provider": provider, **given})

    assert [finding.path for finding in field_errors(caught.value)] == [tuple(given)]


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:8080", "https://vod-vpc.cn-shanghai.aliyuncs.com", "http://[::1]:1", "http://simulator_1/"],
)
def test_endpoints_are_kept_without_a_final_slash(endpoint: str) -> None:
    config = Config.model_validate({"accounts": [{"name": "a", "endpoint": endpoint}], "queries": [ONE_QUERY]})

    assert config.accounts[0].endpoint == endpoint.removesuffix("/")


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "vod.cn-shanghai.aliyuncs.com",
        "ftp://a",
        "https://",
        "https://a/path",
        "https://a?query",
        "https://a#part",
        "https://user@a",
        "https://user:secret@a",
        "https://a b",
        "https://a:0",
        "https://a:65536",
        "https://a:port",
        "https://[::g]",
        "https://[1.2.3.4]",
        "https://10.0.0.256",
        "https://127.000.000.001",
        "https://a\n",
    ],
)
def test_what_is_more_or_less_than_a_host_is_no_endpoint(endpoint: str) -> None:
    accounts = [{"name": "a", "endpoint": endpoint.replace("\n", "\nb")}]

    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"accounts": accounts, "queries": [ONE_QUERY]})

    assert [finding.path for finding in field_errors(caught.value)] == [("accounts", 0, "endpoint")]
    assert "secret" not in str(caught.value)


def test_durations_made_in_python_are_seconds_within_the_same_limits() -> None:
    assert query(every=60).every == 60.0
    with pytest.raises(ValidationError, match="'5' must be between 10s and 30d"):
        query(every=5)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\u200b", "x" * 65])
def test_names_are_short_and_printable(name: str) -> None:
    with pytest.raises(ValidationError, match="printable"):
        query(name=name)


@pytest.mark.parametrize("name", ["a", "头条 视频", "x" * 64])
def test_names_may_be_in_any_script(name: str) -> None:
    assert query(name=name).name == name


def test_what_pydantic_calls_by_a_name_we_do_not_know_still_gets_a_sentence() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(bytes).validate_python(1)

    assert [finding.sentence for finding in field_errors(caught.value)] == ["is not what is expected here"]
