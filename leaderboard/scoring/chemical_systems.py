"""Zero-shot predictions by chemical system, Ag apart from Fe-C: as they are, and after one offset a system.

A model that is trained on other compounds can put all structures of a system too high by the same energy, as the
references of two databases differ. The offset takes that away: what is left is how well the model orders and spaces
the structures of one system.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats
from asugnn.model import Kind
from leaderboard.scoring.inference import Estimate, PredictedFold, estimate_metrics

ALL_SYSTEMS = "all"
SYSTEM_NAMES = {
    frozenset({"Ag"}): "Ag",
    frozenset({"Fe", "C"}): "Fe-C",
    frozenset({"Fe"}): "Fe-C",
    frozenset({"C"}): "Fe-C",
}


@dataclass(frozen=True)
class SystemEstimates:
    """The metrics of the crystals of one system, by name; `shifted` after `offset` is added to the predictions."""

    n: int  # of one run
    raw: dict[str, Estimate]
    shifted: dict[str, Estimate]  # none of a binary target
    offset: float | None  # in the unit of the label, the mean over runs; None for all systems together


@cache  # tests of many models have the same formulas
def chemical_system(formula: str) -> str:
    """The system of a formula, such as `Fe-C` of `CFe3`; iron alone and carbon alone are part of it."""
    elements = frozenset(re.findall(r"[A-Z][a-z]?", formula))
    return SYSTEM_NAMES.get(elements, "-".join(sorted(elements)))


def add_system_offsets(y: Floats, p: Floats, formulas: Sequence[str]) -> Floats:
    """Predictions (n,) after adding to those of each system the mean of label less prediction over that system."""
    out = p.copy()
    for mask in _masks(formulas).values():
        out[mask] += np.mean(y[mask] - p[mask])
    return out


def score_by_system(
    runs: Sequence[tuple[PredictedFold, Sequence[str]]], kind: Kind = "regression"
) -> dict[str, SystemEstimates]:
    """Scores of all crystals and of each system, of runs (one or more of a model) with the formulas (n,) of their rows.

    With the intervals of `statistics.score`; an offset is taken as it was found, without an uncertainty of its own.
    """
    masks = [_masks(formulas) for _, formulas in runs]
    moved = [PredictedFold(run.y, add_system_offsets(run.y, run.p, formulas), run.groups) for run, formulas in runs]
    out = {}
    for name in (ALL_SYSTEMS, *sorted(masks[0])):
        chosen = [
            np.ones(len(r.y), bool) if name == ALL_SYSTEMS else m[name] for (r, _), m in zip(runs, masks, strict=True)
        ]
        raw = [_some(run, mask) for (run, _), mask in zip(runs, chosen, strict=True)]
        scores, after, offset = estimate_metrics(kind, raw), {}, None
        if kind == "regression":
            after = estimate_metrics(kind, [_some(run, mask) for run, mask in zip(moved, chosen, strict=True)])
            offset = None if name == ALL_SYSTEMS else float(np.mean([np.mean(r.y - r.p) for r in raw]))
        out[name] = SystemEstimates(len(raw[0].y), scores, after, offset)
    return out


def _masks(formulas: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    names = np.array([chemical_system(formula) for formula in formulas])
    return {str(name): names == name for name in np.unique(names)}


def _some(run: PredictedFold, mask: NDArray[np.bool_]) -> PredictedFold:
    return PredictedFold(run.y[mask], run.p[mask], [g for g, k in zip(run.groups, mask, strict=True) if k])
