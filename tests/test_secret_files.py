from __future__ import annotations

from exporter.secret_files import without_keys


def test_a_long_text_is_searched_for_keys_in_linear_time() -> None:
    """A file pasted in place of a value; quadratic time would be an hour, where the limit of a test is minutes."""
    text = "a" * 1_000_000
    assert without_keys(text) == text
    assert without_keys(f"{text}A1") == "***"
