"""What may be wrong with predictions, in sentences: the same for a file and for a mapping in Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asugnn.errors import InputError
from asugnn.model import Kind

SHOWN = 5  # faults of one sort that are spelt out

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?", re.ASCII)

Fault = tuple[str, str]  # its sort, such that 'and 12 more' can stand before it, and a sentence


class SubmissionError(InputError):
    """Predictions that cannot be scored; `faults` are sentences, one a fault."""

    def __init__(self, title: Path | str, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        super().__init__(f"{title} cannot be scored:\n" + "\n".join(f"  {fault}" for fault in self.faults))


@dataclass
class Faults:
    """Sentences by sort, the first few of each spelt out and the others counted."""

    shown: dict[str, list[str]] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=dict)

    def add(self, fault: Fault, line: int | None = None) -> None:
        sort, sentence = fault
        self.count[sort] = self.count.get(sort, 0) + 1
        if self.count[sort] <= SHOWN:
            self.shown.setdefault(sort, []).append(f"line {line}: {sentence}" if line else sentence)

    @property
    def total(self) -> int:
        return sum(self.count.values())

    def sentences(self) -> list[str]:
        out = []
        for sort, sentences in self.shown.items():
            out += sentences
            if (more := self.count[sort] - len(sentences)) > 0:
                out.append(f"and {more:,} more {sort}")
        return out


def unknown_id(name: str, near: str | None) -> Fault:
    """What is wrong with an id that is none of the expected ones; it may stand for the id `near`."""
    if not name:
        return "rows without an id", "the id is empty"
    hint = f"; did you mean '{near}'? A spreadsheet may have changed it" if near else ""
    return "unknown ids", f"id '{shorten(name)}' is not in this task{hint}"


def value_fault(text: str, kind: Kind) -> Fault | None:
    """What is wrong with a predicted value."""
    if not text:
        return "empty values", "the value is empty"
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is not None and NUMBER.fullmatch(text):
        if not np.isfinite(value):
            return "values that are not finite", f"'{shorten(text)}' is too large for a floating-point number"
        if kind == "binary" and not 0 <= value <= 1:
            return "values that are no probability", f"{shorten(text)} is not a probability: it must lie within 0 and 1"
        return None
    if value is not None and not np.isfinite(value):
        return "values that are not finite", f"'{shorten(text)}' is not a finite number"
    hint = ": write a decimal point, not a comma" if DECIMAL_COMMA.fullmatch(text) else ""
    return "values that are not numbers", f"'{shorten(text)}' is not a number{hint}"


def loose_id(name: str) -> str:
    """An id without what spreadsheets and hands change: capitals, leading zeros."""
    return name.casefold().lstrip("0")


def shorten(text: str) -> str:
    """A stranger's text, cut to what fits into a sentence."""
    return text if len(text) <= 40 else text[:37] + "..."
