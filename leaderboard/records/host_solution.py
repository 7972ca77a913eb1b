"""The solution that a competition's host keeps: the labels, and which rows are public."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asugnn.atomic_write import file_sha256
from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.reading import read_json
from leaderboard.data import TableError, id_fault, parse_number, read_header, read_lines, read_rows, short_text

COMPETITION_FILE = "competition.json"  # beside a solution: the task and the fold that it is of, and perhaps rules
EXPECTED = "the first line must be 'ID,TARGET,Usage'"
SHOWN = 5  # faults that are listed
Keep = Literal["best", "last"]


@dataclass(frozen=True)
class CompetitionRules:
    """The rules for handing in, as far as a host states them."""

    keep: Keep = "last"  # which of the files of one name counts
    limit: int | None = None  # files that each name may hand in
    deadline: str = ""  # the last moment, UTC, ISO 8601

    def stated(self) -> dict[str, Any]:
        """What `competition.json` says of them: only what is not the default."""
        plain = {"keep": self.keep if self.keep != "last" else None, "limit": self.limit, "deadline": self.deadline}
        return {name: value for name, value in plain.items() if value}

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return bool(self.deadline) and datetime.now(UTC) > datetime.fromisoformat(self.deadline)


NO_RULES = CompetitionRules()


def take_rules(stated: dict[str, Any]) -> dict[str, Any]:
    """Take the rules for handing in, unchecked, out of what `competition.json` states; the rest says what it is of."""
    return {field.name: stated.pop(field.name) for field in fields(CompetitionRules) if field.name in stated}


def competition_rules(keep: Any = "last", limit: Any = None, deadline: Any = "") -> CompetitionRules:
    """Make rules from what a host wrote; raises `InputError` that names what cannot be a rule."""
    if keep not in ("best", "last"):
        raise InputError(f"keep is '{keep}', not best or last: which of the files of one name counts")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise InputError(f"limit is '{limit}', not a whole number from 1 on: how many files each name may hand in")
    try:
        moment = datetime.fromisoformat(deadline) if deadline else None
        if moment is not None and moment.tzinfo is None:
            raise ValueError(deadline)
        utc = moment.astimezone(UTC).isoformat("T", "seconds" if moment.second else "minutes") if moment else ""
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"deadline is '{deadline}': write date, time and zone, such as 2027-01-31T18:00+01:00"
        ) from error
    return CompetitionRules(keep, limit, utc)


@dataclass(frozen=True)
class HostSolution:
    """Labels (n,) that a host scores submissions by, and which of them are public (n,)."""

    y: Floats
    public: NDArray[np.bool_]
    sha256: str  # of the file
    rules: CompetitionRules = NO_RULES


def find_solution(task: str, fold: int, ids: Sequence[str]) -> HostSolution | None:
    """The host's solution of a task and fold; None where there is none.

    The file that BENCH_SOLUTION names has three columns, id, label and Usage, which is Public or Private. Two tasks
    can have the same ids: `competition.json` beside it states task and fold, and perhaps rules for handing in. Raises
    `InputError` for a file that cannot be read, and where the other one is missing: what a host meant to score by must
    not be left out in silence.
    """
    named = os.environ.get("BENCH_SOLUTION")
    if not named:
        return None
    path = Path(named)
    described = path.with_name(COMPETITION_FILE)
    header, table, faults = _read_table(path)
    if not described.is_file():
        raise InputError(
            f"{described} is missing: it states the task, fold and rules of {path.name}, and must stay beside it"
        )
    stated = read_json(described, "the description of a solution")
    rules = take_rules(stated)
    if (stated.pop("task", None), stated.pop("fold", None)) != (task, fold):
        return None
    if stated:
        raise InputError(f"{described} states '{next(iter(stated))[:40]}', which is no rule: keep, limit or deadline")
    if header[2] != "Usage":
        faults.insert(0, f"the third column is '{short_text(header[2])}'; {EXPECTED}")
    if not faults and (wrong := table.keys() ^ set(ids)):
        which = "has no row" if min(wrong) not in table else f"is no test crystal of {task}, fold {fold}"
        faults.append(f"{len(wrong)} ids are not those of the test set: '{short_text(min(wrong))}' {which}")
    if faults:
        raise InputError("\n  ".join([f"{path} cannot be read as a host's solution:", *faults[:SHOWN]]))
    try:
        checked = competition_rules(**rules)
    except InputError as error:
        raise InputError(f"{described}: {error}") from error
    y = np.array([table[name][0] for name in ids])
    return HostSolution(y, np.array([table[name][1] == "Public" for name in ids]), file_sha256(path), checked)


def _read_table(path: Path) -> tuple[list[str], dict[str, tuple[float, str]], list[str]]:
    """The header of a solution, labels and Usage by id, and what is wrong with rows."""
    faults: list[str] = []
    table: dict[str, tuple[float, str]] = {}
    places: dict[str, str] = {}
    try:
        lines = read_lines(path, lambda fault, line: faults.append(f"line {line}: {fault[1]}"))
        number, header = read_header(lines, (), EXPECTED)
        if len(header) != 3:
            raise TableError(f"line {number}: there are {len(header)} columns; {EXPECTED}")
        for line, cells, misshapen in read_rows(lines, 3, lambda: len(faults)):
            name = cells[0] if cells else ""
            if fault := misshapen or id_fault(name, places.get(name, "")):
                faults.append(f"line {line}: {fault[1]}")
                continue
            places[name] = f"line {line}"
            value, wrong = parse_number(cells[1])
            if wrong:
                faults.append(f"line {line}: {wrong[1]}")
            if cells[2] not in ("Public", "Private"):
                faults.append(f"line {line}: Usage is '{short_text(cells[2])}', not Public or Private")
            table[name] = value, cells[2]
    except TableError as error:
        raise InputError(f"{path} cannot be read as a host's solution: {error}; BENCH_SOLUTION names it") from None
    return header, table, faults
