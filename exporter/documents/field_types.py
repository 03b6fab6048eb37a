"""Types of values: durations, choices, lists of one or more, names, endpoints; each with its JSON schema.

They are annotations of pydantic fields, independent of particular settings. No error repeats a value that may be
secret.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import core_schema

from exporter.documents import durations, lookalikes
from exporter.documents.error_messages import (
    FieldErrorDict,
    field_error,
    kind,
    merge_errors,
    quoted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

_MOST_DIGITS: Final = 15
_LONGEST_NAME: Final = 64
_LONGEST_MEDIA_ID: Final = 128
# Media IDs of ApsaraVideo VOD are hexadecimal; no media ID can contain any other character.
_MEDIA_ID: Final = "[A-Za-z0-9_-]+"
_LARGEST_PORT: Final = 65_535
_ENDPOINT: Final = r"^https?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$"


@dataclass(frozen=True, slots=True)
class Duration:
    """A float of seconds, written as a Prometheus duration, within limits written the same way."""

    at_least: str
    at_most: str

    def seconds(self, value: object) -> float:
        """The value in seconds: from text, or from a number of seconds that was set in Python. Raises a field error."""
        match value:
            case str():
                try:
                    seconds = durations.parse(value.strip())
                except ValueError as error:
                    raise field_error(f"{quoted(value)} {error}{lookalikes.hint(value)}") from None
            case int() | float():
                seconds = float(value)
            case _:
                raise field_error(f"must be a duration such as 15m, not {kind(value)}")
        if not durations.parse(self.at_least) <= seconds <= durations.parse(self.at_most):
            raise field_error(f"{quoted(value)} must be between {self.at_least} and {self.at_most}")
        return seconds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Convert to seconds before the field's own validation."""
        return core_schema.no_info_before_validator_function(self.seconds, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A text for editors, or a bare 0, which YAML reads as a number."""
        del schema, handler
        text = {"type": "string", "pattern": durations.PATTERN}
        return text if durations.parse(self.at_least) else {"anyOf": [text, {"const": 0}]}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a set of words."""

    allowed: tuple[str, ...]

    def word(self, value: object) -> object:
        """The value if it is one of them. Raises a field error."""
        if isinstance(value, dict | list | tuple | None):
            raise field_error(f"must be one of {', '.join(self.allowed)}, not {kind(value)}")
        if value not in self.allowed:
            raise field_error(f"{quoted(value)} is not one of {', '.join(self.allowed)}{lookalikes.hint(value)}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check before the field's own validation, whose message is less helpful."""
        return core_schema.no_info_before_validator_function(self.word, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The words, so that editors can offer them."""
        del schema, handler
        return {"type": "string", "enum": list(self.allowed)}


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text that matches a pattern, described by `sentence`. Errors do not repeat it: it may be a misplaced secret."""

    pattern: str
    sentence: str

    def text(self, value: str) -> str:
        """The text if it matches. Raises a field error."""
        if not re.fullmatch(self.pattern, value):
            raise field_error(self.sentence + lookalikes.hint(value, secret=True))
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check after pydantic has checked that the value is a text."""
        return core_schema.no_info_after_validator_function(self.text, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The pattern, for editors."""
        del schema, handler
        return {"type": "string", "pattern": self.pattern}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A tuple of at least one value.

    `scalar`: a single scalar counts as a list of one. `unique`: repeated values are errors.
    """

    scalar: bool = True
    unique: bool = False

    def values(self, value: object, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        """The valid values; repeated values are found even if another value is invalid. Raises a field error."""
        given = [value] if self.scalar and isinstance(value, str | int | float) else value
        if not isinstance(given, list | tuple):
            keys = "".join(map(str, given)) if isinstance(given, dict) else given
            raise field_error(f"must be a list, not {kind(given)}{lookalikes.hint(keys)}")
        if not given:
            raise field_error("needs at least one entry")
        if not self.unique:
            return handler(given)
        valid = merge_errors(handler, given, _repetitions(given))
        # Compare values, not texts: 1 and 01 are the same day.
        return merge_errors(tuple, valid, _repetitions(valid))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Wrap the validation of the tuple and its values."""
        return core_schema.no_info_wrap_validator_function(self.values, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A single value or an array."""
        array = {**handler(schema), "minItems": 1}
        if self.unique:
            array["uniqueItems"] = True
        return {"anyOf": [array["items"], array]} if self.scalar else array


def _repetitions(values: Iterable[object]) -> Iterator[FieldErrorDict]:
    first: dict[str | int, int] = {}
    for position, value in enumerate(values):
        if isinstance(value, str | int):
            earlier = first.setdefault(value, position)
            if earlier != position:
                yield (position,), field_error(f"{quoted(value)} is listed already, as entry [{earlier}]")


def _name(text: str) -> str:
    if lookalikes.is_quoted(text):
        raise field_error(f"is in quotation marks that are part of the value{lookalikes.hint(text)}")
    if not text or text != text.strip() or not text.isprintable() or len(text) > _LONGEST_NAME:
        invisible = "" if text.isprintable() else lookalikes.hint("".join(c for c in text if not c.isprintable()))
        raise field_error(f"must be 1 to {_LONGEST_NAME} printable characters without spaces around them{invisible}")
    return text


def _media_id(text: str) -> str:
    if not re.fullmatch(_MEDIA_ID, text) or len(text) > _LONGEST_MEDIA_ID:
        raise field_error(
            f"{quoted(text)} is not a media ID, which has ASCII letters, digits, - and _ only: one ID per entry,"
            f" without spaces or commas{lookalikes.hint(text)}"
        )
    return text


def _of_usual_size(number: int) -> int:
    if number >= 10**_MOST_DIGITS:
        raise field_error("has too many digits")
    return number


def _endpoint(text: str) -> str:
    """Errors do not quote the endpoint: a URL may contain a password."""
    match = re.fullmatch(_ENDPOINT, text.strip())
    if match is None:
        raise field_error(
            "must be http:// or https:// and a host, such as https://vod.cn-shanghai.aliyuncs.com;"
            " no user, path or query belongs to it" + lookalikes.hint(text, secret=True)
        )
    host, port = match.groups()
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise field_error("holds something in brackets that is not an IPv6 address") from None
    elif re.fullmatch(r"[0-9]+(\.[0-9]+){3}", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise field_error("has an IPv4 address with a number above 255 or a leading 0") from None
    if port and not 1 <= int(port[1:]) <= _LARGEST_PORT:
        raise field_error(f"has a port that is not between 1 and {_LARGEST_PORT}")
    return text.strip().removesuffix("/")


OfUsualSize = AfterValidator(_of_usual_size)
Name = Annotated[str, AfterValidator(_name)]
MediaId = Annotated[str, AfterValidator(_media_id), WithJsonSchema({"type": "string", "pattern": f"^{_MEDIA_ID}$"})]
Endpoint = Annotated[str, AfterValidator(_endpoint), WithJsonSchema({"type": "string", "pattern": _ENDPOINT})]
Host = Annotated[
    str,
    Pattern(
        r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$",
        "must be a host such as sts-vpc.cn-shanghai.aliyuncs.com, without https:// and path",
    ),
]
RoleArn = Annotated[
    str,
    Pattern(r"^acs:ram::[0-9]+:role/[!-~]+$", "must be the ARN of a role, such as acs:ram::1234567890123456:role/vod"),
]
OidcProviderArn = Annotated[
    str,
    Pattern(
        r"^acs:ram::[0-9]+:oidc-provider/[!-~]+$",
        "must be the ARN of an OIDC provider, such as acs:ram::1234567890123456:oidc-provider/ack-rrsa-c0123",
    ),
]
SessionName = Annotated[
    str, Pattern(r"^[A-Za-z0-9.@_-]{2,64}$", "must be 2 to 64 letters, digits and . @ - _ without spaces")
]
