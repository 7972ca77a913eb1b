"""Scores of each system of a task, as predicted and after one offset per system.

Formation energies are counted from reference states, which differ between codes and settings: an error that is the
same for all crystals of a system says nothing of a model. So the mean of label minus prediction is added to the
predictions of each system, and they are scored again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asugnn.model import Kind
from leaderboard import statistics
from leaderboard.statistics import Estimate, Run

ALL = "all"


@dataclass(frozen=True)
class Part:
    """The rows of one system: how many, over all runs; their scores; what was added, and their scores after that."""

    n: int
    metrics: Mapping[str, Estimate]
    offset: float | None = None  # in the unit of the label, mean over the runs; None of all systems together
    after_offset: Mapping[str, Estimate] | None = None  # None of a binary target; intervals take the offset as known


def parts(kind: Kind, runs: Sequence[Run], systems: Sequence[Sequence[str]]) -> dict[str, Part]:
    """The scores of all rows and of those of each system; `systems` names that of each row of each run."""
    names = sorted({name for of_run in systems for name in of_run})
    moved, offsets = runs, dict.fromkeys(names, 0.0)
    if kind == "regression":
        shifts = [_shifts(run, of_run) for run, of_run in zip(runs, systems, strict=True)]
        moved = [
            replace(run, p=run.p + np.array([shift[s] for s in of_run]))
            for run, of_run, shift in zip(runs, systems, shifts, strict=True)
        ]
        offsets = {name: float(np.mean([s[name] for s in shifts if name in s])) for name in names}
    found = {}
    for name in (ALL, *names):
        here = [np.array([name in {ALL, s} for s in of_run], dtype=bool) for of_run in systems]
        after = statistics.score(kind, _some(moved, here)) if kind == "regression" else None
        found[name] = Part(
            n=sum(int(keep.sum()) for keep in here),
            metrics=statistics.score(kind, _some(runs, here)),
            offset=offsets[name] if after and name != ALL else None,
            after_offset=after,
        )
    return found


def _shifts(run: Run, systems: Sequence[str]) -> dict[str, float]:
    """The mean of label minus prediction of each system."""
    error, of = run.y - run.p, np.array(systems)
    return {name: float(error[of == name].mean()) for name in sorted(set(systems))}


def _some(runs: Sequence[Run], keep: Sequence[np.ndarray[tuple[int], np.dtype[np.bool_]]]) -> list[Run]:
    """The rows that are kept, of the runs that have any."""
    return [
        Run(run.y[k], run.p[k], [g for g, here in zip(run.groups, k, strict=True) if here])
        for run, k in zip(runs, keep, strict=True)
        if k.any()
    ]
