from __future__ import annotations

import pytest

from exporter.simulator.variants import CHOICES, Variants, parse_variants


def test_without_any_the_first_values_are_in_force() -> None:
    assert parse_variants([]) == Variants()
    assert {name: getattr(Variants(), name) for name in CHOICES} == {name: known[0] for name, known in CHOICES.items()}


def test_given_ones_are_in_force_the_last_wins() -> None:
    given = ["tags:substring", "player_lag:6h", "tags:words", "numbers:strings"]
    assert parse_variants(given) == Variants(player_lag="6h", numbers="strings")


@pytest.mark.parametrize("text", ["", "tags", "tag:words", "tags=words", ":words"])
def test_a_wrong_name_lists_all(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAME:VALUE of numbers:numbers") as raised:
        parse_variants([text])
    assert all(f"{name}:{'|'.join(allowed)}" in str(raised.value) for name, allowed in CHOICES.items())


@pytest.mark.parametrize("value", ["", "Words", "substring "])
def test_a_wrong_value_lists_those_of_the_variant(value: str) -> None:
    with pytest.raises(ValueError, match=r"variant tags: '.*' is not one of words, substring"):
        parse_variants([f"tags:{value}"])
