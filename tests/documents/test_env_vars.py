import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.documents.env_vars import expand

ENVIRON = {"NAME": "value", "EMPTY": "", "NESTED": "${NAME} $$", "_x1": "low"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${NAME}", "value"),
        ("a ${NAME} b ${_x1}", "a value b low"),
        ("${EMPTY}", ""),
        ("${NAME:-default}", "value"),
        ("${UNSET:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a $$ b: -}", "a $ b: -"),
        ("$${NAME}", "${NAME}"),
        ("$$$${", "$${"),
        ("$$${NAME}", "$value"),
        ("a$b $NAME $", "a$b $NAME $"),
    ],
)
def test_variables_are_put_in(text: str, expanded: str) -> None:
    expansion = expand(text, ENVIRON)

    assert (expansion.text, expansion.problems) == (expanded, ())


def test_what_a_variable_holds_is_not_searched_for_variables() -> None:
    assert expand("${NESTED}", ENVIRON).text == "${NAME} $$"


def test_a_variable_that_is_not_set_is_a_problem_that_names_it() -> None:
    assert expand("${A}${B}", {}).problems == (
        "the environment variable A is not set; set it, or write ${A:-default}",
        "the environment variable B is not set; set it, or write ${B:-default}",
    )


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A B}", "${NAME", "${NAME-x}", "${NAME:x}", "${ÄÖ}"])
def test_a_malformed_variable_is_a_problem_that_shows_how(text: str) -> None:
    (problem,) = expand(text, ENVIRON).problems

    assert "write ${NAME} or ${NAME:-default}, or $${" in problem


@pytest.mark.parametrize("repeated", ["${NAME:-", "${NAME:-$$", "${UNSET:-x "])
def test_defaults_that_are_not_closed_are_one_problem_found_in_one_pass(repeated: str) -> None:
    (problem,) = expand(repeated * 100_000, ENVIRON).problems

    assert "write ${NAME} or ${NAME:-default}, or $${" in problem


def test_a_default_is_plain_text() -> None:
    (problem,) = expand("${UNSET:-${NAME}}", ENVIRON).problems

    assert "a default cannot hold another variable" in problem


def test_bytes_that_are_no_text_are_a_problem_without_the_bytes() -> None:
    (problem,) = expand("${RAW}", {"RAW": "\udcffsecret"}).problems

    assert problem == "the environment variable RAW is not UTF-8 text"


@given(st.text())
def test_any_text_can_be_written_with_doubled_dollars(text: str) -> None:
    expansion = expand(text.replace("$", "$$"), {})

    assert (expansion.text, expansion.problems) == (text, ())


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_value_from_the_environment_arrives_untouched(value: str) -> None:
    assert expand("<${X}>", {"X": value}).text == f"<{value}>"
