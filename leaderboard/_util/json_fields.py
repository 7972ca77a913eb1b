"""The fields of an object of JSON, read by kind: whatever a file holds, a fault names the file and the field."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isnan
from typing import Any

from asugnn.errors import InputError
from asugnn.limits import RECORD_CHARACTERS, RECORD_DEPTH, RECORD_NUMBER, RECORD_SECONDS
from asugnn.reading import excerpt, is_nested_deeper

_REQUIRED: Any = object()


class Fields:
    """The fields of an object of JSON, each asked for by name and kind; a fault names where it stands."""

    def __init__(self, raw: Mapping[str, Any], where: str, what: str, path: str = "") -> None:
        self.raw, self.where, self.what, self.path = raw, where, what, path

    def _fault(self, name: str, wanted: str) -> InputError:
        fault = "is missing" if name not in self.raw else f"is {excerpt(self.raw[name])}, not {wanted}"
        field_name = f"{self.path}{name}"[:100]
        return InputError(f"{self.where} cannot be read as {self.what}: field '{field_name}' {fault}")

    def check_depth(self) -> None:
        """Refuse a field that is nested so deeply that what walks through it might not come back."""
        for name, value in self.raw.items():
            if is_nested_deeper(value, RECORD_DEPTH):
                raise self._fault(name, f"nested at most {RECORD_DEPTH} deep")

    def _get(self, name: str, kinds: tuple[type, ...], wanted: str, default: Any = _REQUIRED) -> Any:
        if self.raw.get(name) is None and default is not _REQUIRED:
            return default
        value = self.raw.get(name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self._fault(name, wanted)
        return value

    def text(self, name: str, default: str = _REQUIRED) -> str:
        value: str = self._get(name, (str,), "text", default)
        if len(value) > RECORD_CHARACTERS:
            raise self._fault(name, f"text of at most {RECORD_CHARACTERS:,} characters")
        return value

    def whole(self, name: str, default: int = _REQUIRED) -> int:
        wanted = f"a whole number from 0 to {RECORD_NUMBER:,}"
        value: int = self._get(name, (int,), wanted, default)
        if not 0 <= value <= RECORD_NUMBER:
            raise self._fault(name, wanted)
        return value

    def optional_whole(self, name: str) -> int | None:
        return None if self.raw.get(name) is None else self.whole(name)

    def optional_bool(self, name: str) -> bool | None:
        value: bool | None = self._get(name, (bool,), "true or false", None)
        return value

    def number(self, name: str) -> float | None:
        wanted = f"a finite number from 0 to {RECORD_SECONDS:g}"
        value = self._get(name, (int, float), wanted, None)
        if value is not None and not 0 <= value <= RECORD_SECONDS:  # False for nan, too
            raise self._fault(name, wanted)
        return value  # type: ignore[no-any-return]

    def real(self, name: str) -> float:
        value = self._get(name, (int, float), "a finite number")
        if not abs(value) < inf:  # False for nan, too
            raise self._fault(name, "a finite number")
        return float(value)

    def reals(self, name: str, infinite: bool = False) -> tuple[float, ...]:
        wanted = "a list of numbers" if infinite else "a list of finite numbers"
        values = self._get(name, (list,), wanted)
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float) or isnan(value):
                raise self._fault(name, wanted)
            if not infinite and abs(value) == inf:
                raise self._fault(name, wanted)
        return tuple(values)

    def pair(self, name: str) -> tuple[str, str] | None:
        value = self._get(name, (list,), "a list of two names", None)
        if value is None:
            return None
        if len(value) != 2 or not all(isinstance(x, str) for x in value):
            raise self._fault(name, "a list of two names")
        return value[0], value[1]

    def lines(self, name: str) -> tuple[str, ...]:
        value = self._get(name, (list,), "a list of texts", [])
        if not all(isinstance(x, str) and len(x) <= RECORD_CHARACTERS for x in value):
            raise self._fault(name, f"a list of texts of at most {RECORD_CHARACTERS:,} characters")
        return tuple(value)

    def table(self, name: str, default: Any = _REQUIRED) -> Fields:
        return Fields(self._get(name, (dict,), "an object", default), self.where, self.what, f"{self.path}{name}.")

    def optional_table(self, name: str) -> Fields | None:
        return None if self.raw.get(name) is None else self.table(name)

    def numbers(self, name: str) -> Mapping[str, float]:
        table = self.table(name, {})
        return {key: value for key in table.raw if (value := table.number(key)) is not None}

    def texts(self, name: str) -> Mapping[str, str]:
        table = self.table(name, {})
        for key in table.raw:
            table.text(key)
        return table.raw
