import errno
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from exporter import secret_files
from exporter.config.accounts import AccountSettings, CredentialSettings, LimitSettings
from exporter.config.loader import load, loads
from exporter.config.media_selection import MediaByIds, MediaTop
from exporter.config.schema import Config, QuerySettings
from exporter.core.model import (
    OPERATING_SYSTEMS,
    REGIONS,
    TERMINAL_TYPES,
    ByIds,
    Dimensions,
    Everything,
    Measure,
    Query,
    Top,
)
from exporter.errors import ConfigError, ConfigProblem
from tests.config.corpus import ENVIRON, TESTDATA

GOOD = sorted(TESTDATA.glob("*.good.yaml"))
BAD = sorted(TESTDATA.glob("*.bad.yaml"))
SECRET = "hunter2"
MINIMAL = "queries: [{name: a, media: all}]\n"


def config(text: str, **environ: str) -> Config:
    return loads(text, file="config.yaml", environ=environ)


def errors(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(text, **environ)
    return str(caught.value).splitlines()


def good(name: str) -> Config:
    return load(TESTDATA / f"{name}.good.yaml", ENVIRON)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_good_files_load(path: Path) -> None:
    assert load(path, ENVIRON).core_queries()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_bad_files_are_refused_with_every_mistake(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(path.read_text(), file=path.name, environ=ENVIRON)

    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_errors_hold_no_secret_and_lead_to_none(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(path.read_text(), file=path.name, environ=ENVIRON)

    assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_example_of_the_contract_comes_out_to_the_letter() -> None:
    text = (TESTDATA / "contract.bad.yaml").read_text()

    assert errors(text) == [
        "config.yaml:12:9: queries[0].dimensions[1].os: 'android' is not one of Android, iOS, Windows, macOS, Linux"
    ]


def test_the_configuration_of_the_contract_means_what_it_says() -> None:
    read = good("contract")

    assert read.core_queries() == (
        Query(
            "headline",
            "main",
            900.0,
            ByIds(frozenset({"9ae2af636ca6c10412f44891fc000000"})),
            (
                Dimensions(),
                Dimensions("Native", "Android"),
                Dimensions("Native", "iOS"),
                Dimensions(region="cn-beijing"),
                Dimensions(region="cn-shanghai"),
            ),
            (0, 1, 2, 8, 9),
            expected=True,
        ),
    )
    credentials = read.accounts[0].credentials
    assert credentials.access_key_id is not None
    assert credentials.access_key_id.get_secret_value() == "LTAIexample"
    assert credentials.access_key_secret_file == Path("/run/secrets/access_key_secret")


def test_a_scalar_stands_for_a_list_of_one_and_nothing_for_the_default() -> None:
    assert good("scalars").core_queries() == (
        Query(
            "one",
            "default",
            900.0,
            ByIds(frozenset({"0123456789"})),
            (Dimensions(os="Android", region="cn-beijing"),),
            (1,),
            expected=True,
        ),
    )


def test_media_ids_are_never_taken_for_numbers() -> None:
    (query,) = good("texts").core_queries()

    assert query.name == "yes"
    assert query.media == ByIds(frozenset({"0123456789", "1e5", "0x10", "1_000", "2024-01-02", "true", "1e0"}))


def test_anchors_and_merge_keys_save_repetition() -> None:
    first, second = good("anchors").accounts

    assert (first.timeout, first.limits.requests_per_second, first.limits.concurrency) == (20.0, 1.5, 1)
    assert (second.timeout, second.name) == (20.0, "second")
    assert second.limits.model_dump() == {"requests_per_second": 2.0, "concurrency": 1, "calls_per_day": 100}


def test_the_example_file_loads_without_an_environment() -> None:
    read = load(Path(__file__).parents[2] / "config.example.yaml", {})

    assert [query.name for query in read.core_queries()] == ["headline", "popular"]
    assert read.accounts[0].credentials.access_key_id is None


def test_secrets_show_in_no_form_of_the_configuration() -> None:
    text = (
        "accounts: [{name: a, credentials: "
        "{access_key_id: hunter2, access_key_secret: '${KEY}', security_token: hunter2}}]\n" + MINIMAL
    )
    read = config(text, KEY=SECRET)

    shown = f"{read} {read!r} {read.model_dump()} {read.model_dump_json()} {read.accounts[0].credentials!r}"
    assert SECRET not in shown


@pytest.mark.parametrize(
    "credentials",
    [
        "hunter2",
        "[hunter2]",
        "{access_key_id:hunter2}",
        "{access_key_idhunter2: x}",
        "{hunter2: {access_key_id: '${UNSET}'}}",
        "{hunter2: a, hunter2: b}",
        "{provider: hunter2}",
        "{access_key_id: {hunter2: hunter2}}",
        "{access_key_id: '${KEY}'}",
        "{access_key_id: '${KEY} a', access_key_secret: 'ä${KEY}'}",
        "{access_key_id_file: ['${KEY}']}",
        "{security_token: '${KEY}${'}",
        "{access_key_id: @hunter2}",
        "{access_key_id: %hunter2}",
        "{access_key_id: !hunter2 x}",
        "{access_key_id: !hunter2!x x}",
        "{access_key_id: 'hunter2}",
        '{access_key_id: "\\hunter2"}',
        "{access_key_id: hunter2: x}",
        "{<<: hunter2}",
    ],
)
def test_errors_around_credentials_never_show_them(credentials: str) -> None:
    text = f"accounts: [{{name: a, credentials: {credentials}}}]\n{MINIMAL}"

    assert SECRET not in "\n".join(errors(text, KEY=SECRET))


@pytest.mark.parametrize(
    "text",
    [
        "credentials: {access_key_secret:hunter2}\n" + MINIMAL,
        "accounts: [{name: a, access_key_secret: hunter2}]\n" + MINIMAL,
        "accounts: [{name: a, access_key_secret:hunter2}]\n" + MINIMAL,
        "access_key_secret: hunter2\n" + MINIMAL,
    ],
)
def test_misplaced_secrets_are_not_shown(text: str) -> None:
    assert SECRET not in "\n".join(errors(text))


def test_files_of_secrets_are_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "accounts: [{name: a, credentials: {access_key_id_file: id, access_key_secret_file: /abs/secret}}]\n" + MINIMAL
    )

    credentials = load(path, {}).accounts[0].credentials

    assert credentials.access_key_id_file == tmp_path / "id"
    assert credentials.access_key_secret_file == Path("/abs/secret")


def test_problems_come_in_the_order_of_the_file() -> None:
    with pytest.raises(ConfigError) as caught:
        load(TESTDATA / "everything.bad.yaml", ENVIRON)

    places = [(problem.line, problem.column) for problem in caught.value.problems]
    assert places == sorted(places)
    assert len(places) > 20


def test_the_environment_cannot_add_structure() -> None:
    assert errors("queries: ${Q}", Q="[{name: a, media: all}]") == [
        "config.yaml:1:10: queries: must be a list, not text"
    ]


def test_variables_may_hold_what_any_setting_needs() -> None:
    read = config(
        "queries: [{name: '${N}', media: {top: '${T}', by: '${B}'}, days_ago: ['${D}'], every: '${E}'}]",
        N="a", T="7", B="plays", D="3", E="1h",
    )  # fmt: skip

    assert read.core_queries() == (
        Query("a", "default", 3_600.0, Top(7, Measure.PLAYS), (Dimensions(),), (3,), expected=True),
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [("sometimes", "'sometimes' is not true or false"), ("[true]", "must be true or false, not a list")],
)
def test_what_is_neither_true_nor_false_is_refused(written: str, message: str) -> None:
    assert errors(f"queries: [{{name: a, media: all, expected: {written}}}]") == [
        f"config.yaml:1:43: queries[0].expected: {message}"
    ]


@pytest.mark.parametrize(("written", "expected"), [("false", False), ("${ON:-true}", True), ("", True)])
def test_a_query_says_whether_plays_are_expected(written: str, *, expected: bool) -> None:
    config = loads(f"queries:\n- name: a\n  media: all\n  expected: {written}\n", file="", environ={})

    assert config.core_queries()[0].expected is expected


def test_a_missing_account_name_hides_no_other_mistake_and_makes_none() -> None:
    found = errors("accounts: [{name: '${UNSET}'}]\nqueries: [{name: a, media: al, account: x}]")

    assert [line.split(": ")[1] for line in found] == ["accounts[0].name", "queries[0].media"]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("all", "al").encode())

    with pytest.raises(ConfigError, match=r":1:28: queries\[0\]\.media: "):
        load(path, {})


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way(line_break: str) -> None:
    text = line_break.join(["queries:", "  - name: a", "    media: al"])

    assert errors(text)[0].startswith("config.yaml:3:12: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml", {})

    assert str(caught.value) == f"{tmp_path}/none.yaml: there is no such file; name one with --config.file"


@pytest.mark.parametrize("name", ["a\nb.yaml", "\x1b[31m.yaml", "\N{RIGHT-TO-LEFT OVERRIDE}.yaml", "a\0b.yaml"])
def test_the_name_of_a_file_controls_no_terminal(name: str, tmp_path: Path) -> None:
    if "\0" not in name:
        (tmp_path / name).write_text("x: 1\ny: 2\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / name, environ=ENVIRON)
    assert all(line.isprintable() for line in str(caught.value).splitlines())
    assert len(str(caught.value).splitlines()) == len(caught.value.problems)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory; name the file in it"):
        load(tmp_path, {})


def test_a_file_of_another_user_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_permission(path: Path, *, most: int) -> secret_files.Content:
        del most
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(secret_files, "read", no_permission)
    with pytest.raises(ConfigError) as caught:
        load(Path("c.yaml"), {})
    assert str(caught.value) == "c.yaml: cannot be read: Permission denied; let the exporter's user read it"


def test_a_file_below_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot be read: Not a directory"):
        load(tmp_path / "file" / "config.yaml", {})


def test_a_name_no_file_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read: it is not a usable path"):
        load(Path("a\0b"), {})


def test_a_file_of_two_bytes_a_character_must_be_saved_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(MINIMAL.encode("utf-16-le"))

    with pytest.raises(ConfigError, match=":1:2: a control character is not allowed here; save the file as UTF-8"):
        load(path, {})


def test_a_file_that_is_not_utf_8_is_refused_at_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes("queries:\n# 视频\n- name: ".encode() + b"\xff")

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    assert str(caught.value) == f"{path}:3:9: is not UTF-8 text; save the file as UTF-8"
    assert caught.value.__context__ is None


def test_the_mode_of_the_file_is_the_operators_choice(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "accounts: [{name: a, credentials: {access_key_id: a, access_key_secret: b}}]\n" + MINIMAL,
    )
    path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)

    assert load(path, {}).accounts[0].credentials.access_key_id is not None


FRAGMENTS = [
    "queries", "accounts", "name", "media", "ids", "all", "credentials", "dimensions", "os", ": ", ":", "\n", "\n  ",
    "- ", "[", "]", "{", "}", ", ", "'", '"', "&a ", "*a", "<<", "!!str ", "!", "|\n", ">", "#", "%YAML 1.1", "---\n",
    "...", "${", "}", "$", "${A:-b}", "\\", "\t", "? ", "~", "\\x", "\ufeff", "\x85", "\ud800", "0", "\\U", "FFFFFFFF",
]  # fmt: skip


def problems(text: str) -> tuple[ConfigProblem, ...]:
    try:
        loads(text, file="config.yaml", environ={})
    except ConfigError as error:
        return error.problems
    return ()


@given(st.text() | st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
@example('"\\UFFFFFFFF"')
@example("%YAML 1." + "9" * 5_000)
@example("{queries: [{name: a, media: {top: 5}, ? {}: *a, &a : b}]}")
def test_no_text_does_worse_than_a_config_error(text: str) -> None:
    for problem in problems(text):
        assert problem.line > 0
        assert problem.column > 0
        assert str(problem).encode()


SETTINGS = [
    name
    for settings in (AccountSettings, CredentialSettings, LimitSettings, QuerySettings, MediaByIds, MediaTop)
    for name in settings.model_fields
]
PIECES = st.recursive(
    st.none()
    | st.integers(-1, 40).map(str)
    | st.sampled_from(["a", "all", "", "15m", "Android", "env", "${X}", "plays"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(SETTINGS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "accounts": PIECES | st.lists(PIECES, max_size=3),
            "queries": PIECES | st.lists(PIECES, max_size=3),
            "settle": PIECES,
            "stale_after": PIECES,
            "series_limit": PIECES,
        },
    )
)
def test_every_invalid_combination_of_settings_has_a_message(data: dict[str, Any]) -> None:
    messages = [problem.message for problem in problems(yaml.safe_dump(data))]

    assert "is not what is expected here" not in messages


NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=64).filter(str.isprintable)
MEDIA_IDS = st.text("0123456789abcdef_-", min_size=1, max_size=32)
MEDIA = st.one_of(
    st.just(("all", Everything())),
    st.lists(MEDIA_IDS, min_size=1, max_size=5, unique=True).map(lambda ids: ({"ids": ids}, ByIds(frozenset(ids)))),
    st.tuples(st.integers(1, 1_000), st.sampled_from(Measure)).map(
        lambda top: ({"top": top[0], "by": str(top[1])}, Top(*top))
    ),
)


def lists_of(words: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=3)


DIMENSIONS = st.fixed_dictionaries(
    {},
    optional={
        "terminal_type": lists_of(TERMINAL_TYPES),
        "os": lists_of(OPERATING_SYSTEMS),
        "region": lists_of(REGIONS),
    },
)


@st.composite
def configurations(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[Query, ...]]:
    """A configuration as plain data, and the expected queries, computed independently."""
    accounts = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    written, meant = [], []
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        account = draw(st.sampled_from(accounts))
        media, meaning = draw(MEDIA)
        lists = draw(st.lists(DIMENSIONS, min_size=1, max_size=3))
        days = draw(st.lists(st.integers(0, 30), min_size=1, max_size=5, unique=True))
        minutes = draw(st.integers(1, 1_000))
        expected = draw(st.sampled_from([{}, {"expected": True}, {"expected": False}]))
        combinations: list[Dimensions] = []
        for entry in lists:
            for terminal_type in entry.get("terminal_type", [None]):
                for os in entry.get("os", [None]):
                    for region in entry.get("region", [None]):
                        combination = Dimensions(terminal_type, os, region)
                        if combination not in combinations:
                            combinations.append(combination)
        written.append(
            {
                "name": name.replace("$", "$$"),
                "account": account.replace("$", "$$"),
                "every": f"{minutes}m",
                "media": media,
                "dimensions": lists,
                "days_ago": days,
                **expected,
            }
        )
        every, dimensions = minutes * 60.0, tuple(combinations)
        compared = expected.get("expected", True)
        meant.append(Query(name, account, every, meaning, dimensions, tuple(days), compared))
    data = {"accounts": [{"name": name.replace("$", "$$")} for name in accounts], "queries": written}
    return data, tuple(meant)


@given(configurations(), st.booleans())
def test_every_valid_configuration_means_what_it_says(
    generated: tuple[dict[str, Any], tuple[Query, ...]],
    in_brackets: bool,  # noqa: FBT001  # hypothesis gives arguments by position
) -> None:
    data, queries = generated

    assert config(yaml.safe_dump(data, default_flow_style=in_brackets, allow_unicode=True)).core_queries() == queries


@pytest.mark.parametrize(
    "secret",
    [
        "LTAI5tSecretSecret123456",
        "wJalrXUtnFEMIK7MDENG/bPxRfiCYEXAMPLEKEY=",
        "hunter2-hunter2",
        "abcDEFghiJKLmno",
        "p@ssw0rd",
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "accounts: [{name: main, 'KEY': x}]\n" + MINIMAL,
        "accounts: [{name: main, limits: {'KEY': x}}]\n" + MINIMAL,
        "'KEY': x\n" + MINIMAL,
        "queries: [{name: a, media: all, 'KEY': x}]\n",
        "queries: [{name: a, media: all, dimensions: [{'KEY': x}]}]\n",
    ],
)
def test_a_secret_that_is_the_name_of_a_setting_is_not_shown(text: str, secret: str) -> None:
    (error,) = errors(text.replace("KEY", secret))
    assert secret not in error
    assert "***: is not a setting here" in error


@pytest.mark.parametrize(
    "secret",
    [
        "LTAI5tSecretSecret123456",
        "wJalrXUtnFEMIK7MDENG/bPxRfiCYEXAMPLEKEY=",
        "CAISmAJ1q6Ft5B2yfSjIr5bQE43dr7RSg" * 9,
        "Zx81mQp04kTtRr2w",
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "accounts: [{name: main, timeout: KEY}]\n" + MINIMAL,
        "accounts: [{name: main, limits: {concurrency: KEY}}]\n" + MINIMAL,
        "accounts: [{name: main, limits: {requests_per_second: 'my KEY'}}]\n" + MINIMAL,
        "queries: [{name: a, media: KEY}]\n",
        "queries: [{name: a, media: {ids: [a b KEY]}}]\n",
        "queries: [{name: a, media: {top: 5, by: KEY}}]\n",
        "queries: [{name: a, media: all, account: KEY}]\n",
        "queries: [{name: a, media: all, every: KEY}]\n",
        "queries: [{name: a, media: all, days_ago: [KEY]}]\n",
        "queries: [{name: a, media: all, expected: KEY}]\n",
        "queries: [{name: a, media: all, dimensions: [{os: KEY}]}]\n",
        "queries: [{name: a, media: all, dimensions: [{region: 'Key: KEY'}]}]\n",
        "stale_after: KEY\n" + MINIMAL,
        "series_limit: KEY\n" + MINIMAL,
    ],
)
def test_a_secret_in_place_of_any_value_is_not_shown(text: str, secret: str) -> None:
    found = "\n".join(errors(text.replace("KEY", secret)))
    assert "***" in found
    assert secret[:16] not in found


@pytest.mark.parametrize(
    "value", ["2024-01-01T00:00:00", "9ae2af636ca6c10412f44891fc000000,", "1h30m45s500ms again", "every_2_days_or_3"]
)
def test_a_value_that_no_key_looks_like_is_shown(value: str) -> None:
    (error,) = errors(f"queries: [{{name: a, media: all, every: '{value}'}}]\n")
    assert value in error


def test_a_very_long_value_is_shown_in_part() -> None:
    (error,) = errors(f"queries: [{{name: a, media: {{ids: ['{'a' * 100_000}']}}}}]\n")

    assert error.startswith(f"config.yaml:1:35: queries[0].media.ids[0]: '{'a' * 60}...' is not a media ID")


@pytest.mark.parametrize("name", ["evrey", "media_ids", "maxRetries", "days-ago", "QUERIES", "Interval", "a1"])
def test_a_name_that_is_made_of_words_is_shown(name: str) -> None:
    (error,) = errors(f"queries: [{{name: a, media: all, {name}: x}}]\n")
    assert f"queries[0].{name}: is not a setting here" in error
