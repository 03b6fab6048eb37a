"""What is wrong with a setting, as one sentence that never repeats a secret; knows only `credentials` by name.

Validators raise `field_error`; `field_errors` translates errors that pydantic finds itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, LiteralString, NamedTuple

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from exporter.documents import lookalikes
from exporter.secret_files import may_be_secret, without_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

# The path of a setting: keys and list positions from the top of the file.
SettingPath = tuple[str | int, ...]
FieldErrorDict = tuple[SettingPath, PydanticCustomError]

# The types of errors that validators of this project raise.
_FIELD_ERROR: Final = "field_error"
_UNKNOWN_KEY: Final = "unknown_key"
_LONGEST_QUOTE: Final = 60
# Words that have so many letters at their beginning in common are probably meant: categories and category.
_BEGINNING: Final = 5
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")

# pydantic's error types (its documentation, "Validation Errors"), as far as a file can cause them.
_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "int_parsing": "{value} is not a whole number",
    "int_parsing_size": "has too many digits",
    "int_type": "must be a whole number, not {kind}",
    "float_parsing": "{value} is not a number",
    "float_type": "must be a number, not {kind}",
    "finite_number": "{value} is not a finite number",
    "greater_than_equal": "must be at least {ge}, not {value}",
    "less_than_equal": "must be at most {le}, not {value}",
    "bool_type": "must be true or false, not {kind}",
    "bool_parsing": "{value} is not true or false",
    "string_type": "must be text, not {kind}",
    "path_type": "must be the path of a file, not {kind}",
    "model_type": "must be a mapping of settings, not {kind}",
    "literal_error": "must be {expected}",
}


class FieldError(NamedTuple):
    """One error in the settings; `of_key`: the key is wrong, not its value."""

    path: SettingPath
    sentence: str
    of_key: bool


def field_error(sentence: str) -> PydanticCustomError:
    """The error that a validator raises. The operator sees the sentence unchanged: it must not hold a secret."""
    return _error(_FIELD_ERROR, sentence)


def unknown_key(key: str, allowed: Collection[str], elsewhere: Mapping[str, str]) -> PydanticCustomError:
    """The error for an unknown key; the sentence lists the allowed keys. `elsewhere`: where others belong."""
    from difflib import get_close_matches  # noqa: PLC0415 - for mistakes only

    word = key.casefold().replace("-", "_")
    begins_alike = [name for name in allowed if len(word) > _BEGINNING and name.startswith(word[:_BEGINNING])]
    close = begins_alike if len(begins_alike) == 1 else get_close_matches(word, allowed, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    if key in elsewhere:
        hint = f"; it belongs to {elsewhere[key]}"
    if ":" in key:
        hint = "; a colon needs a space after it"
    hint = lookalikes.hint(key) or hint
    sentence = f"is not a setting here{hint} (allowed: {', '.join(allowed)})"
    return _error(_UNKNOWN_KEY, sentence)


def merge_errors(validate: Callable[[Any], Any], given: object, further_errors: Iterable[FieldErrorDict]) -> Any:
    """Validate the input; raise pydantic's errors together with further ones, or return the valid result."""
    found = [_raisable(path, error) for path, error in further_errors]
    result = None
    try:
        result = validate(given)
    except ValidationError as error:
        found = [*map(_reraise_of, error.errors(include_url=False)), *found]
    if found:
        raise ValidationError.from_exception_data("settings", found, hide_input=True)
    return result


def field_errors(error: ValidationError) -> Iterator[FieldError]:
    """All errors of pydantic and of our validators, as sentences."""
    for details in error.errors(include_url=False):
        yield FieldError(details["loc"], _sentence(details), of_key=details["type"] == _UNKNOWN_KEY)


def kind(value: object) -> str:
    """YAML's name for the type of a value, with its article."""
    match value:
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case None:
            return "nothing"
        case _:
            return "text"


def quoted(value: object) -> str:
    """A value for use in a sentence: quoted, on one line, shortened, and without a key that was put in its place."""
    text = without_keys(str(value))
    return repr(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")


def setting(path: SettingPath, credentials: Collection[str]) -> str:
    """A path as shown to the operator: `queries[0].dimensions[1].os`.

    A key within `credentials` that resembles none of the expected names is shown as `***`, because it may be a
    mistyped secret. So is a key anywhere that looks like a secret.
    """
    text = ""
    for position, part in enumerate(path):
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        # Without a space after its colon, `name:value` is one long key.
        before = part.partition(":")[0]
        if ("credentials" in path[:position] and not _is_like(part, credentials)) or may_be_secret(before):
            name = "***"
        else:
            name = before if _PLAIN_KEY.fullmatch(before) else quoted(before)
        text += f".{name}" if text else name
    return text


def _reraise_of(details: ErrorDetails) -> InitErrorDetails:
    """An error in a form that pydantic can raise again; some of its own types cannot be raised directly."""
    error_type = _UNKNOWN_KEY if details["type"] == _UNKNOWN_KEY else _FIELD_ERROR
    return _raisable(details["loc"], _error(error_type, _sentence(details)))


def _raisable(path: SettingPath, error: PydanticCustomError) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=path, input=None)


def _error(error_type: LiteralString, sentence: str) -> PydanticCustomError:
    return PydanticCustomError(error_type, "{sentence}", {"sentence": sentence})


def _sentence(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if "sentence" in context:
        return str(context["sentence"])
    value = details["input"]
    template = _SENTENCES.get(details["type"], "is not what is expected here")
    return template.format(value=quoted(value), kind=kind(value), **context) + lookalikes.hint(value)


def _is_like(key: str, names: Collection[str]) -> bool:
    from difflib import get_close_matches  # noqa: PLC0415 - as above

    return bool(re.fullmatch("[A-Za-z_-]+", key) and get_close_matches(key, names, n=1, cutoff=0.8))
