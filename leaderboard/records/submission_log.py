"""The log of submissions: one line each, none of which can be changed afterwards unseen.

`submissions.jsonl` in the folder of the runs. Every line holds the sha256 of the line before it, and the record of the
file of a name that is on the board holds that of its own line. So a change shows in what follows it, and a shorter log
in the records. Every attempt that was scored stays: who hands in fifty times is seen to have done so. `"on_board":
false` is in the line of a file that did not replace the one on the board, where a host lets the best one count.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from asugnn.atomic_write import write_text
from asugnn.errors import InputError
from asugnn.limits import JSON_BYTES
from asugnn.reading import parse_json, read_bounded_bytes, reading
from leaderboard.records.run_record import LogReference

LOG_FILE = "submissions.jsonl"
FIRST_PREVIOUS = "0" * 64  # what the first line has for the one before it


class SubmissionLog:
    """The log of submissions in a folder of runs, read once; the caller holds the lock of the folder while it adds."""

    def __init__(self, root: Path) -> None:
        self.file = root / LOG_FILE

    @cached_property
    def _lines(self) -> list[str]:
        if not os.path.lexists(self.file):
            return []
        with reading(self.file, "the log of submissions", "restore it: it was changed"):
            text = read_bounded_bytes(self.file, JSON_BYTES).decode("utf-8")
        if text and not text.endswith("\n"):
            raise InputError(f"{self.file} was changed: its last line is incomplete")
        return text.split("\n")[:-1]

    def entries(self) -> list[dict[str, Any]]:
        """All entries; raises `InputError` naming the first line that does not fit the one before it."""
        out, previous = [], FIRST_PREVIOUS
        for number, line in enumerate(self._lines, 1):
            where = f"{self.file}, line {number}"
            with reading(self.file, "the log of submissions", f"line {number} was changed: it is no entry"):
                entry = _parse_entry(line)
                right = json.dumps(entry) == line and entry["n"] == number
                fits = entry["previous"] == previous
            if not (right and fits):
                raise InputError(f"{where} or the line before it was changed: they do not fit together")
            out.append(entry)
            previous = _line_sha256(line)
        return out

    def find_entry(self, reference: LogReference) -> dict[str, Any] | None:
        """The entry that a record refers to; None where the log has lost or changed it."""
        try:
            line = self._lines[reference.line - 1] if reference.line else ""
            if _line_sha256(line) != reference.sha256:
                return None
            with reading(self.file, "the log of submissions"):
                return _parse_entry(line)
        except (InputError, IndexError):
            return None

    def next_reference(self, entry: Mapping[str, Any]) -> LogReference:
        """What will identify the line of an entry, if it is the next that is written."""
        return self._next_line(entry)[1]

    def append(self, entry: Mapping[str, Any]) -> LogReference:
        """Write a line at the end, and return what identifies it."""
        line, reference = self._next_line(entry)
        write_text(self.file, "".join(f"{text}\n" for text in [*self._lines, line]))
        self._lines.append(line)
        return reference

    def _next_line(self, entry: Mapping[str, Any]) -> tuple[str, LogReference]:
        number = len(self._lines) + 1
        previous = _line_sha256(self._lines[-1]) if self._lines else FIRST_PREVIOUS
        line = json.dumps({"n": number, **entry, "previous": previous})
        return line, LogReference(number, _line_sha256(line))

    def count_tries(self) -> Counter[tuple[str, int, str]]:
        """How many files were handed in, by task, fold and name."""
        return Counter((e["task"], e["fold"], e["name"]) for e in self.entries())


def _parse_entry(line: str) -> dict[str, Any]:
    """The entry in a line of the log; raises `ValueError` or `TypeError` for what is none."""
    entry: dict[str, Any] = parse_json(line)
    for name, kind in (("n", int), ("name", str), ("task", str), ("fold", int), ("sha256", str), ("previous", str)):
        if type(entry[name]) is not kind:  # true and false are no numbers
            raise ValueError(f"its field '{name}' is not {'text' if kind is str else 'a whole number'}")
    for name, value in entry["metrics"].items():
        if value is not None and not isinstance(value, (int, float)):
            raise ValueError(f"its metric '{name[:40]}' is not a number")
    return entry


def _line_sha256(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
