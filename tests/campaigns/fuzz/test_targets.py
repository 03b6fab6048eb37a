"""Every seed and a fixed number of similar inputs; `python -m tests.campaigns.fuzz` tries more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.errors import ConfigError, ConfigProblem
from tests.campaigns.fuzz.__main__ import NO_FUZZER, main, table
from tests.campaigns.fuzz.campaign import Outcome
from tests.campaigns.fuzz.message_rules import check_refusal, check_sentence
from tests.campaigns.fuzz.mutation import mutations
from tests.campaigns.fuzz.secret_positions import ANY, is_only_below
from tests.campaigns.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

MUTATIONS = 300


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_similar_inputs(name: str) -> None:
    target = TARGETS[name]
    assert target.corpus()
    with target.opened() as try_one:
        for fuzz_input in (*target.corpus(), *mutations(target, MUTATIONS)):
            try:
                try_one(fuzz_input)
            except Exception as error:
                error.add_note(f"the input was {fuzz_input!r}")
                raise


def test_mutations_are_the_same_every_time_and_are_not_the_seeds() -> None:
    target = TARGETS["api-response"]
    made = list(mutations(target, 50))
    assert made == list(mutations(target, 50))
    assert made != list(mutations(target, 50, seed=2))
    assert not set(made) & set(target.corpus())


@pytest.mark.parametrize("sentence", ["", "a\nb", "\x1b[31m", "x" * 2_001, "half \ud800"])
def test_a_message_that_is_not_printable_is_rejected(sentence: str) -> None:
    with pytest.raises(AssertionError):
        check_sentence(sentence)


@pytest.mark.parametrize(
    "problem",
    [
        ConfigProblem("f", 3, 1, "s", "m"),
        ConfigProblem("f", 1, 0, "s", "m"),
        ConfigProblem("f", 1, 1, "s", "it is hunter2"),
        ConfigProblem("f", 1, 1, "hunter2", "m"),
    ],
)
def test_an_error_with_a_wrong_position_or_a_secret_is_rejected(problem: ConfigProblem) -> None:
    check_refusal(ConfigError(ConfigProblem("f", 1, 1, "s", "m")), lines=1, secrets=["hunter2"])
    with pytest.raises(AssertionError):
        check_refusal(ConfigError(problem), lines=1, secrets=["hunter2"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("users: {a: hunter2}", True),
        ("users: {a: [x, hunter2]}", True),
        ("users: {a:hunter2}", True),
        ("users: {hunter2: a}", False),
        ("others: {a: hunter2}", False),
        ("users: [hunter2", True),
        ("# hunter2", True),
    ],
)
def test_positions_of_a_secret(text: str, *, expected: bool) -> None:
    assert is_only_below(text, "hunter2", ("users", ANY)) == expected


def test_without_the_fuzzer_the_message_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["api-response"], find=lambda _: None) == 2
    assert capsys.readouterr().err == NO_FUZZER


def test_an_unknown_target_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["nonsense"])
    assert "there is no target nonsense; there are api-response, configuration" in capsys.readouterr().err


def test_the_table_has_the_paths_of_findings(tmp_path: Path) -> None:
    good = Outcome("api-response", 60, 12_345, 80, (), tmp_path / "api-response.log", ended_well=True)
    bad = Outcome("status", 60, 7, 6, (tmp_path / "crash-1",), tmp_path / "status.log", ended_well=False)
    assert table([good, bad]).splitlines() == [
        "target        seconds  executions  corpus  findings",
        "api-response  60       12345       80      0",
        "status        60       7           6       1",
        "",
        f"status: see the end of {tmp_path / 'status.log'}",
        f"  {tmp_path / 'crash-1'}",
    ]
