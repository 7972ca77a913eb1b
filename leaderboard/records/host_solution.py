"""The solution that a competition's host keeps: the labels, and which rows are public."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asugnn.atomic_write import file_sha256
from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.reading import read_json, reading

COMPETITION_FILE = "competition.json"  # beside a solution: the task and the fold that it is of, and perhaps `keep`
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
    described = Path(named).with_name(COMPETITION_FILE)
    with reading(Path(named), "a host's solution", "BENCH_SOLUTION names it"):
        stated = read_json(described, "the description of a solution") if described.is_file() else None
        with Path(named).open(encoding="utf-8-sig", newline="") as file:
            header, *lines = (line for line in csv.reader(file) if line)
        table = {line[0]: line[1:] for line in lines}
        keep: Keep = stated.pop("keep", "last") if stated else "last"
        matches = header[1:2] == [target] if stated is None else stated == {"task": task, "fold": fold}
        if not matches or header[2:] != ["Usage"] or table.keys() != set(ids):
            return None
        y = np.array([float(table[name][0]) for name in ids])
        usage = [table[name][1] for name in ids]
    if not set(usage) <= {"Public", "Private"} or not np.isfinite(y).all():
        raise InputError(
            f"the solution {named} has a label that is no number, or a Usage other than Public and Private"
        )
    if keep not in {"best", "last"}:
        raise InputError(f"{described}: keep is '{keep}', not best or last: which of the files of one name counts")
    return HostSolution(y, np.array([word == "Public" for word in usage]), file_sha256(Path(named)), keep)
