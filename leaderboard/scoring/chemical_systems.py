"""Zero-shot scores by chemical system (Ag, Fe-C): as predicted, and after one offset for each system.

A model trained on other compounds can shift all structures of a system by the same energy, since the reference states
of two databases differ. The offset removes this shift: what remains is how well the model predicts energy differences
within a system.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats
from asugnn.model import Kind
from leaderboard.scoring.inference import Estimate, PredictedFold, estimate_metrics

ALL_SYSTEMS = "all"
IRON_CARBON = "Fe-C"  # as the paper writes it


@dataclass(frozen=True)
class SystemEstimates:
    """The metrics of the crystals of one system, by name."""

    n: int  # crystals of one run
    raw: dict[str, Estimate]  # as predicted
    shifted: dict[str, Estimate]  # after `offset` was added to the predictions; empty for a binary target
    offset: float | None  # in the unit of the label, the mean over runs; None for all systems together


def system_names(formulas: Sequence[str]) -> NDArray[np.str_]:
    """The chemical systems (n,) of formulas (n,), such as `Fe-C` for `CFe3`.

    Iron alone and carbon alone belong to Fe-C where there are compounds of both, as in HMdataset.
    """
    names = np.array([_system_of(formula) for formula in formulas])
    if IRON_CARBON in names:
        names[np.isin(names, ["Fe", "C"])] = IRON_CARBON
    return names


@cache  # tests of many models have the same formulas
def _system_of(formula: str) -> str:
    elements = sorted(set(re.findall(r"[A-Z][a-z]?", formula)))
    return IRON_CARBON if elements == ["C", "Fe"] else "-".join(elements)


def add_system_offsets(y: Floats, p: Floats, formulas: Sequence[str]) -> Floats:
    """Predictions (n,) plus, in each system, the mean of y - p over that system; `formulas` (n,) give the systems."""
    shifted = p.copy()
    for mask in _system_masks(formulas).values():
        shifted[mask] += np.mean(y[mask] - p[mask])
    return shifted


def score_by_system(
    runs: Sequence[tuple[PredictedFold, Sequence[str]]], kind: Kind = "regression"
) -> dict[str, SystemEstimates]:
    """Scores of all crystals (`ALL_SYSTEMS`) and of each system, for runs of one model with the formulas of their rows.

    Intervals are those of `estimate_metrics`. They do not include the uncertainty of the offset.
    """
    masks = [_system_masks(formulas) for _, formulas in runs]
    shifted_runs = [replace(r, p=add_system_offsets(r.y, r.p, formulas)) for r, formulas in runs]
    estimates = {}
    for name in (ALL_SYSTEMS, *sorted(masks[0])):
        chosen = [
            np.ones(len(r.y), bool) if name == ALL_SYSTEMS else m[name] for (r, _), m in zip(runs, masks, strict=True)
        ]
        raw = [_select_rows(run, mask) for (run, _), mask in zip(runs, chosen, strict=True)]
        scores, shifted, offset = estimate_metrics(kind, raw), {}, None
        if kind == "regression":
            rows = [_select_rows(run, mask) for run, mask in zip(shifted_runs, chosen, strict=True)]
            shifted = estimate_metrics(kind, rows)
            offset = None if name == ALL_SYSTEMS else float(np.mean([np.mean(r.y - r.p) for r in raw]))
        estimates[name] = SystemEstimates(len(raw[0].y), scores, shifted, offset)
    return estimates


def _system_masks(formulas: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    names = system_names(formulas)
    return {str(name): names == name for name in np.unique(names)}


def _select_rows(run: PredictedFold, mask: NDArray[np.bool_]) -> PredictedFold:
    groups = [g for g, k in zip(run.groups, mask, strict=True) if k]
    return replace(run, y=run.y[mask], p=run.p[mask], groups=groups)
