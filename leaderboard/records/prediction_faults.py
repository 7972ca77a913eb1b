"""What may be wrong with predictions, in sentences: the same for a file and for a mapping in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asugnn.errors import InputError
from leaderboard.data import Fault, short_text

SHOWN = 5  # faults of one sort that are spelt out


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

    def clear(self) -> None:
        self.shown.clear()
        self.count.clear()

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
    hint = f"; did you mean '{near}'? A spreadsheet may have changed it" if near else ""
    return "unknown ids", f"id '{short_text(name)}' is not in this task{hint}"


def loose_id(name: str) -> str:
    """An id without what spreadsheets and hands change: capitals, leading zeros."""
    return name.casefold().lstrip("0")
