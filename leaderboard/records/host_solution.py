"""The solution that a competition's host keeps: the labels, and which rows are public."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asugnn.atomic_write import file_sha256
from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.reading import read_json
from leaderboard.data import TableError, id_fault, parse_number, read_header, read_lines, read_rows, short_text

COMPETITION_FILE = "competition.json"  # beside a solution: the task and the fold that it is of, and perhaps `keep`
EXPECTED = "the first line must be 'ID,TARGET,Usage'"
SHOWN = 5  # faults that are listed
Keep = Literal["best", "last"]


@dataclass(frozen=True)
class HostSolution:
    """Labels (n,) that a host scores submissions by, and which of them are public (n,)."""

    y: Floats
    public: NDArray[np.bool_]
    sha256: str  # of the file
    keep: Keep = "last"  # which of the files of one name counts


def find_solution(task: str, fold: int, target: str, ids: Sequence[str]) -> HostSolution | None:
    """The host's solution of a task and fold; None where there is none.

    The file that BENCH_SOLUTION names has three columns, id, label and Usage, which is Public or Private. Two tasks
    can have the same ids: `competition.json` beside it states task and fold, and perhaps which of the files of one name
    counts; without it, the name of the second column must be the target. Raises `InputError` for a file that cannot be
    read.
    """
    named = os.environ.get("BENCH_SOLUTION")
    if not named:
        return None
    path = Path(named)
    described = path.with_name(COMPETITION_FILE)
    stated = read_json(described, "the description of a solution") if described.is_file() else None
    keep: Any = stated.pop("keep", "last") if stated else "last"
    header, table, faults = _read_table(path)
    matches = header[1] == target if stated is None else stated == {"task": task, "fold": fold}
    if not matches or header[2] != "Usage" or (not faults and table.keys() != set(ids)):
        return None
    if faults:
        raise InputError("\n  ".join([f"{path} cannot be read as a host's solution:", *faults[:SHOWN]]))
    if keep not in ("best", "last"):
        raise InputError(f"{described}: keep is '{keep}', not best or last: which of the files of one name counts")
    y = np.array([table[name][0] for name in ids])
    return HostSolution(y, np.array([table[name][1] == "Public" for name in ids]), file_sha256(path), keep)


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
