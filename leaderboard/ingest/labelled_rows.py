"""Rows to import, from whatever format: crystals and labels by id, and the rows that cannot be used."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.crystal import Crystal
from asugnn.errors import InputError, did_you_mean
from leaderboard.data import TRUTH, csv_cell, id_fault, parse_number
from leaderboard.ingest.write import Labels


@dataclass(frozen=True)
class ImportTarget:
    """A label to import: its column, and its unit, which is empty for a binary label."""

    column: str
    unit: str

    @property
    def name(self) -> str:
        """The name of the target: that of the column in lower case, with `-` between words."""
        return re.sub(r"[^a-z0-9]+", "-", self.column.lower()).strip("-")


def parse_target(text: str) -> ImportTarget:
    """Read `COLUMN:UNIT`, or `COLUMN` for a binary label; raises `InputError`."""
    column, _, unit = text.partition(":")
    wanted = ImportTarget(column.strip(), unit.strip())
    if not wanted.name:
        raise InputError(f"--target takes COLUMN:UNIT, not '{text}'")
    return wanted


@dataclass
class LabelledRows:
    """What was read so far: no column but those of `wanted` is a label, and nothing in another one is a fault."""

    file: Path  # that has the labels
    wanted: Sequence[ImportTarget]
    rows: dict[str, tuple[Crystal, Labels]] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)  # id and sentence of rows that cannot be used
    unlabelled: list[tuple[str, str]] = field(default_factory=list)  # id and sentence of structures without a row
    places: dict[str, str] = field(default_factory=dict)  # where each id was met first, such as "line 3"

    def add(self, name: str, place: str, values: Mapping[str, Any], crystal: Callable[[], Crystal]) -> None:
        """Add a row: its id, where it is, the values of its columns and a function that makes its crystal."""
        try:
            if fault := id_fault(name, self.places.get(name, "")):
                raise InputError(fault[1])
            self.places[name] = place
            csv_cell(name)  # predictions are written with the id
            self.rows[name] = crystal(), self._labels(values)
        except InputError as error:
            self.refuse(name, place, str(error))

    def refuse(self, name: str, place: str, sentence: str) -> None:
        """Note a row that cannot be used."""
        self.faults.append((name, f"{place}: {sentence}"))

    def check_column(self, wanted: ImportTarget, columns: Sequence[str]) -> None:
        """Raise `InputError` where a label is in no column, or no row has it, or it is not binary and has no unit."""
        if wanted.column not in columns:
            raise InputError(f"{self.file} has no label '{wanted.column}'{did_you_mean(wanted.column, columns)}")
        values = {labels[wanted.column] for _, labels in self.rows.values() if wanted.column in labels}
        if self.rows and not values:
            raise InputError(f"{self.file}: label '{wanted.column}' is empty in every row")
        if not wanted.unit and (others := values - {0.0, 1.0}):
            raise InputError(
                f"{self.file}: label '{wanted.column}' has other values than 0 and 1: give its unit, "
                f"--target {wanted.column}:eV (the smallest is {min(others):g})"
            )

    def _labels(self, values: Mapping[str, Any]) -> Labels:
        labels, faults = {}, []
        for wanted in self.wanted:
            try:
                if (label := parse_label(values.get(wanted.column), binary=not wanted.unit)) is not None:
                    labels[wanted.column] = label
            except InputError as error:
                faults.append(str(error) if len(self.wanted) == 1 else f"{wanted.column}: {error}")
        if faults:
            raise InputError("; ".join(faults))
        return labels


def parse_label(value: Any, binary: bool = False) -> float | None:
    """The number that a label is; None where there is none: an empty cell or, stored as a number, nan.

    `True` and `False` are 1 and 0 for a binary label. Raises `InputError`, as the reader of predictions does, for what
    is no finite number.
    """
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        value = str(bool(value))
    if isinstance(value, (Real, Decimal)):
        try:
            number = float(value)
        except OverflowError:  # a whole number may have any length
            raise InputError("the value is too large for a floating-point number") from None
        if math.isnan(number):
            return None
        if math.isfinite(number):
            return number
    text = " ".join(str(value).split())
    if binary and text.casefold() in TRUTH:
        return TRUTH[text.casefold()]
    if not text:
        return None
    number, fault = parse_number(text)
    if fault:
        raise InputError(fault[1])
    return number
