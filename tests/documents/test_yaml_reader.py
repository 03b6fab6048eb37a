import pytest

from exporter.documents.env_vars import Expansion
from exporter.documents.yaml_reader import UNKNOWN, Document, read


def as_it_is(text: str) -> Expansion:
    return Expansion(text, ())


def refused(text: str) -> Expansion:
    return Expansion("", (f"no {text}",))


def document(text: str) -> Document:
    return read(text, as_it_is)


@pytest.mark.parametrize("text", ["0123456789", "1e5", "0x10", "true", "2024-01-02", "1_000", ".inf", "=", "'null'"])
def test_scalars_are_the_text_that_stands_there(text: str) -> None:
    assert document(f"a: {text}").data == {"a": text.strip("'")}


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("a:\tb", "a tab is not allowed here"),
        ("a: b\t", "a tab is not allowed here"),
        ("a: |hunter", "must be in quotes"),
        ("a: >hunter", "must be in quotes"),
        ("a: *#hunter", "must be in quotes"),
        ("a: &#hunter", "must be in quotes"),
        ("a: !<hunter", "must be in quotes"),
        ("a: !h^unter", "must be in quotes"),
        ("a: !%zz", "must be in quotes"),
        ("%YAML hunter", "must be in quotes"),
        ("%YAML 2.0\n---\na: 1", "remove the line `%YAML`"),
        ('a: "\\hunter"', "write each backslash twice"),
        ('a: "\\xhunter"', "write each backslash twice"),
        ("a: - hunter", "a list must begin on a line of its own"),
        ("a: ? hunter", "must be in quotes"),
        ("[a]\nb = hunter", "`name: value` was expected"),
        ("a: &b c\nd: &b e", "put the value in quotes"),
    ],
)
def test_a_syntax_error_is_a_sentence_without_a_character_of_the_value(text: str, advice: str) -> None:
    (mistake,) = document(text).errors
    assert advice in mistake.message
    for quoted in ("found", "expected '", "hunter", "'h'", "'#'"):
        assert quoted not in mistake.message


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nothing_is_none(text: str) -> None:
    assert document(f"a: {text}").data == {"a": None}


def test_places_are_those_of_keys_and_of_values() -> None:
    read_ = document("a:\n  - b: c\n    d: [e,  f]\n")

    assert read_.values["a", 0] == (2, 5)
    assert read_.values["a", 0, "b"] == (2, 8)
    assert read_.keys["a", 0, "d"] == (3, 5)
    assert read_.values["a", 0, "d", 1] == (3, 13)


def test_own_members_go_before_merged_ones_and_the_first_source_before_later_ones() -> None:
    text = "x: &x {a: 1, b: 1, c: 1}\ny: &y {b: 2, c: 2, d: 2}\nz: {<<: [*x, *y], a: 3}"

    assert document(text).data["z"] == {"a": "3", "b": "1", "c": "1", "d": "2"}


def test_a_merge_may_merge() -> None:
    text = "x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nz: {<<: *y}"

    assert document(text).data["z"] == {"a": "1", "b": "2"}


def test_a_key_in_quotes_is_no_merge() -> None:
    assert document("'<<': a").data == {"<<": "a"}


def test_a_merged_value_has_the_place_where_it_is_written() -> None:
    assert document("x: &x {a: 1}\nz: {<<: *x}").values["z", "a"] == (1, 11)


def test_values_that_cannot_be_expanded_are_unknown_and_reported() -> None:
    read_ = read("a: [b, null]", refused)

    assert read_.data == {"a": [UNKNOWN, None]}
    assert read_.unknown == {("a", 0)}
    assert [(mistake.path, mistake.place, mistake.message) for mistake in read_.errors] == [(("a", 0), (1, 5), "no b")]


def test_the_first_of_two_equal_keys_counts_and_the_second_is_reported() -> None:
    read_ = document("a: 1\nb: 2\na: 3")

    assert read_.data == {"a": "1", "b": "2"}
    assert [mistake.place for mistake in read_.errors] == [(3, 1)]


def test_anchors_cannot_grow_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    (mistake,) = document("\n".join(lines)).errors

    assert mistake.message == "holds more than 250000 values, repeated anchors included"


def test_merges_cannot_grow_without_end() -> None:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 30)]

    assert document("\n".join(lines)).data["a29"] == {"k": "v"}


@pytest.mark.parametrize("depth", [51, 500, 3_000])
@pytest.mark.parametrize("part", ["[", "{a: ", "{<<: ", "- "])
def test_depth_has_an_end(depth: int, part: str) -> None:
    closing = {"[": "]", "{": "}"}.get(part[0], "x")

    read_ = document(part * depth + closing * (1 if closing == "x" else depth))

    assert "lists and mappings are nested too deeply" in [mistake.message for mistake in read_.errors]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\u2028"])
def test_a_control_character_is_found_behind_any_line_break(line_break: str) -> None:
    (mistake,) = document(f"a: b{line_break}c: \0").errors

    assert mistake.place == (2, 4)
