"""A dataclass as JSON that other programs read and write too: tolerant of what they add or leave out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import from_json

T = TypeVar("T")


class JsonForm(Generic[T]):
    """Of one dataclass. Unknown fields are ignored; a null where a value has to be is no value."""

    def __init__(
        self, of: type[T], absent: Mapping[str, object] | None = None, lenient: Sequence[str] = ()
    ) -> None:
        """`absent`: what holds for required fields that the other program doesn't know.

        `lenient`: fields that count for nothing where they are no object.
        """
        self._adapter: TypeAdapter[T] = TypeAdapter(of)
        self._absent = dict(absent or {})
        self._lenient = lenient
        fields = dataclasses.fields(of)  # type: ignore[arg-type]
        self._may_lack = {f.name for f in fields if _has_default(f)} | self._absent.keys()
        self._times = [f.name for f in fields if "datetime" in str(f.type)]

    def dump(self, value: T) -> bytes:
        return self._adapter.dump_json(value)

    def load(self, raw: bytes | str) -> T:
        """Raises ValueError for anything that is not such an object."""
        fields = from_json(raw, allow_inf_nan=False)
        if not isinstance(fields, dict):
            raise ValueError(f"a JSON object was expected, not {type(fields).__name__}")  # noqa: TRY004 (garbage)
        for name in self._lenient:
            if not isinstance(fields.get(name), dict):
                fields.pop(name, None)
        present = {k: v for k, v in fields.items() if v is not None or k not in self._may_lack}
        return self._in_utc(self._adapter.validate_python({**self._absent, **present}))

    def _in_utc(self, value: T) -> T:
        """Times without a zone are taken as UTC: they would compare with no other."""
        naive: dict[str, Any] = {
            name: at.replace(tzinfo=UTC)
            for name in self._times
            if isinstance(at := getattr(value, name), datetime) and at.tzinfo is None
        }
        return dataclasses.replace(value, **naive) if naive else value  # type: ignore[type-var]


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
