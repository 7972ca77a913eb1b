"""Zero-shot predictions by chemical system, Ag apart from Fe-C: as they are, and after one offset a system.

A model that is trained on other compounds can put all structures of a system too high by the same energy, as the
references of two databases differ. The offset takes that away: what is left is how well the model orders and spaces
the structures of one system.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats
from leaderboard import statistics
from leaderboard.statistics import Estimate, Run

ALL = "all"
NAMES = {frozenset({"Ag"}): "Ag", frozenset({"Fe", "C"}): "Fe-C", frozenset({"Fe"}): "Fe-C", frozenset({"C"}): "Fe-C"}


@dataclass(frozen=True)
class System:
    """The metrics of the crystals of one system, by name; `shifted` after `offset` is added to the predictions."""

    n: int  # of one run
    raw: dict[str, Estimate]
    shifted: dict[str, Estimate]
    offset: float | None  # in the unit of the label, the mean over runs; None for all systems together


def system(formula: str) -> str:
    """The system of a formula, such as `Fe-C` of `CFe3`; iron alone and carbon alone are part of it."""
    elements = frozenset(re.findall(r"[A-Z][a-z]?", formula))
    return NAMES.get(elements, "-".join(sorted(elements)))


def shifted(y: Floats, p: Floats, formulas: Sequence[str]) -> Floats:
    """Predictions (n,) after adding to those of each system the mean of label less prediction over that system."""
    out = p.copy()
    for mask in _masks(formulas).values():
        out[mask] += np.mean(y[mask] - p[mask])
    return out


def by_system(runs: Sequence[tuple[Run, Sequence[str]]]) -> dict[str, System]:
    """Scores of all crystals and of each system, of runs (one or more of a model) with the formulas (n,) of their rows.

    With the intervals of `statistics.score`; an offset is taken as it was found, without an uncertainty of its own.
    """
    moved = [Run(run.y, shifted(run.y, run.p, formulas), run.groups) for run, formulas in runs]
    masks = [_masks(formulas) for _, formulas in runs]
    out = {}
    for name in (ALL, *sorted(masks[0])):
        chosen = [np.ones(len(r.y), bool) if name == ALL else m[name] for (r, _), m in zip(runs, masks, strict=True)]
        raw = [_some(run, mask) for (run, _), mask in zip(runs, chosen, strict=True)]
        after = [_some(run, mask) for run, mask in zip(moved, chosen, strict=True)]
        offset = float(np.mean([np.mean(r.y - r.p) for r in raw]))
        out[name] = System(
            len(raw[0].y),
            statistics.score("regression", raw),
            statistics.score("regression", after),
            None if name == ALL else offset,
        )
    return out


def _masks(formulas: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    names = np.array([system(formula) for formula in formulas])
    return {str(name): names == name for name in np.unique(names)}


def _some(run: Run, mask: NDArray[np.bool_]) -> Run:
    return Run(run.y[mask], run.p[mask], [g for g, k in zip(run.groups, mask, strict=True) if k])
