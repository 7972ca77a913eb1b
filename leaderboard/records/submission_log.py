"""The log of submissions: one line each, none of which can be changed afterwards unseen.

`submissions.jsonl` in the folder of the runs. Every line holds the sha256 of the line before it, and the record of the
latest submission of a name holds that of its own line. So a change shows in what follows it, and a shorter log in the
records. Every attempt that was scored stays: who hands in fifty times is seen to have done so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asugnn.atomic_write import write_text
from asugnn.errors import InputError
from leaderboard.records.run_record import LogReference

LOG_FILE = "submissions.jsonl"
FIRST_PREVIOUS = "0" * 64  # what the first line has for the one before it


def append_entry(root: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Write a line at the end; returns what identifies it. The caller holds the lock of `root`."""
    lines = _lines(root)
    text = json.dumps({"n": len(lines) + 1, **entry, "previous": _digest(lines[-1]) if lines else FIRST_PREVIOUS})
    write_text(root / LOG_FILE, "".join(f"{line}\n" for line in [*lines, text]))
    return {"line": len(lines) + 1, "sha256": _digest(text)}


def read_entries(root: Path) -> list[dict[str, Any]]:
    """All entries; raises `InputError` naming the first line that does not fit the one before it."""
    out, previous = [], FIRST_PREVIOUS
    for number, line in enumerate(_lines(root), 1):
        where = f"{root / LOG_FILE}, line {number}"
        try:
            entry = json.loads(line)
            right = json.dumps(entry) == line and entry["n"] == number
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{where} was changed: it is no entry of the log") from error
        if not right or entry["previous"] != previous:
            raise InputError(f"{where} or the line before it was changed: they do not fit together")
        out.append(entry)
        previous = _digest(line)
    return out


def find_entry(root: Path, reference: LogReference) -> dict[str, Any] | None:
    """The entry that a record refers to; None where the log has lost or changed it."""
    try:
        line = _lines(root)[reference.line - 1]
    except (InputError, IndexError):
        return None
    if _digest(line) != reference.sha256:
        return None
    found: dict[str, Any] = json.loads(line)
    return found


def count_tries(root: Path, task: str, fold: int, name: str) -> int:
    """How often a name has handed in for a task."""
    return sum((e["task"], e["fold"], e["name"]) == (task, fold, name) for e in read_entries(root))


def _lines(root: Path) -> list[str]:
    file = root / LOG_FILE
    if not file.is_file():
        return []
    try:
        text = file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} was changed or cannot be read: {error}") from error
    if text and not text.endswith("\n"):
        raise InputError(f"{file} was changed: its last line is cut off")
    return text.split("\n")[:-1]


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
