"""The solution that a competition's host keeps: the labels, and which rows are public."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asugnn.atomic_write import file_sha256
from asugnn.crystal import Floats
from asugnn.errors import InputError

COMPETITION_FILE = "competition.json"  # beside a solution: the task and the fold that it is of


@dataclass(frozen=True)
class HostSolution:
    """What a host holds submissions against: labels (n,), and which of them are public (n,)."""

    y: Floats
    public: NDArray[np.bool_]
    sha256: str  # of the file


def find_solution(task: str, fold: int, target: str, ids: Sequence[str]) -> HostSolution | None:
    """The host's solution of a task and fold; None where there is none.

    The file that BENCH_SOLUTION names has three columns, id, label and Usage, which is Public or Private. Two tasks
    can have the same ids: `competition.json` beside it says whose it is, and without that the name of its second
    column. Raises `InputError` for a file that cannot be read.
    """
    named = os.environ.get("BENCH_SOLUTION")
    if not named:
        return None
    about = Path(named).with_name(COMPETITION_FILE)
    try:
        whose = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else None
        with Path(named).open(encoding="utf-8-sig", newline="") as file:
            header, *lines = (line for line in csv.reader(file) if line)
        table = {line[0]: line[1:] for line in lines}
        mine = header[1:2] == [target] if whose is None else whose == {"task": task, "fold": fold}
        if not mine or header[2:] != ["Usage"] or table.keys() != set(ids):
            return None
        y = np.array([float(table[name][0]) for name in ids])
        usage = [table[name][1] for name in ids]
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"the solution {named} (BENCH_SOLUTION) cannot be read: {error}") from error
    if not set(usage) <= {"Public", "Private"} or not np.isfinite(y).all():
        raise InputError(
            f"the solution {named} has a label that is no number, or a Usage other than Public and Private"
        )
    return HostSolution(y, np.array([word == "Public" for word in usage]), file_sha256(Path(named)))
