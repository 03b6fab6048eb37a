"""The base of all settings: unknown keys are errors, and every error is found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from exporter.documents import durations
from exporter.documents.error_messages import FieldErrorDict, merge_errors, unknown_key

if TYPE_CHECKING:
    from collections.abc import Iterator

# Before the first model is built: pydantic would look for plugins in the metadata of every installed library.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


class SettingsModel(BaseModel):
    """A mapping of settings: unknown keys are errors, nothing changes later, errors hold no values.

    A setting without a value (`key:`) counts as missing.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Settings of other places that are easily looked for here, and those places."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterator[FieldErrorDict]:
        """Errors between settings, found even if one of them is invalid by itself; `given` may have unknown keys."""
        del given
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _collect_all_errors(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, Mapping):
            return handler(given)
        with_value = {key: value for key, value in given.items() if value is not None}
        known = {key: value for key, value in with_value.items() if key in cls.model_fields}
        unknown: list[FieldErrorDict] = [
            ((key,), unknown_key(key, cls.model_fields, cls.elsewhere)) for key in given if key not in cls.model_fields
        ]
        settings: Self = merge_errors(handler, known, [*unknown, *cls.cross_field_errors(with_value)])
        return settings


def duration_field(default: str, description: str) -> Any:
    """A field of seconds whose default is shown to editors as a duration."""
    return Field(default=durations.parse(default), json_schema_extra={"default": default}, description=description)
