"""Score the intervals of shipped models on validation crystals, with widths and groups of several kinds.

    python benchmarks/interval_scores.py [TARGET ..]        needs mp_subset.parquet in BENCH_DATA, minutes

The interval score (Gneiting & Raftery, J. Am. Stat. Assoc. 102, 359, 2007) is the width of an interval and, for a value
outside, 2 / (1 - level) times how far: the lower, the better. Half of the validation crystals calibrate, the other half
are scored, in the mean over thirty random halves. No test crystal is seen. The width of an interval follows
composition and predicted value or, where the model estimates it, its uncertainty.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from asugnn.crystal import Floats
from asugnn.model import HasUncertainty
from asugnn.model_registry import find_model
from leaderboard.data import load_dataset, parse_task
from leaderboard.shipped import (
    GROUPS,
    LEVEL,
    SHIPPED_MODELS,
    calibrate,
    calibrate_uncertainty,
    checked_uncertainty,
    describe_crystals,
    read_card,
)
from leaderboard.splitting import fold_sides, read_split

HALVES = 30
FIFTHS = (0.2, 0.4, 0.6, 0.8)
TARGETS = ("formation-energy", "band-gap", "bulk-modulus")


def validation(target: str) -> tuple[list[str], Floats, Floats, dict[str, Floats]]:
    """Ids, labels and predictions (n,) of the validation crystals of a shipped model.

    And what the width may follow, by name: terms (n, 5) and, of a model that estimates it, the uncertainty (n, 2).
    """
    task, card = parse_task(f"mp-2018/{target}"), read_card(SHIPPED_MODELS / target)
    data = load_dataset(task.source)
    ids = list(fold_sides(read_split(data, task.rule), data, task.target, 0).validate)
    side = data.labelled(task.target, ids)
    crystals = side.crystals
    model = find_model(card.model).load(SHIPPED_MODELS / target)
    predicted = model.predict(crystals)
    expected = {"composition": describe_crystals(crystals, predicted, card.elements)}
    if isinstance(model, HasUncertainty):
        expected["estimated uncertainty"] = checked_uncertainty(model, crystals, predicted)
    return ids, side.y, predicted, expected


def interval_score(y: Floats, low: Floats, high: Floats) -> float:
    """The mean interval score of n values and intervals."""
    outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return float(np.mean(high - low + 2 / (1 - LEVEL) * outside))


def main(targets: Sequence[str]) -> None:
    """Print a line for each way: scores, mean widths and the coverage of each fifth by predicted magnitude."""
    for target in targets:
        ids, y, predicted, expected = validation(target)
        least = read_card(SHIPPED_MODELS / target).lowest
        rng, rows = np.random.default_rng(0), {}
        for _ in range(HALVES):
            order = rng.permutation(len(ids))
            learnt, scored = np.array_split(order, 2)
            fifth = np.searchsorted(np.quantile(abs(predicted), FIFTHS), abs(predicted[scored]))
            errors, of_learnt = (y - predicted)[learnt], [ids[i] for i in learnt]
            for follows, known in expected.items():
                for groups in (1, GROUPS):
                    if follows == "composition":
                        found = calibrate(of_learnt, np.abs(errors), known[learnt], groups)
                    else:
                        found = calibrate_uncertainty(errors, known[learnt], predicted[learnt], groups)
                    low, high = found.ends(predicted[scored], known[scored])
                    if least is not None:
                        low, high = np.maximum(low, least), np.maximum(high, least)
                    held = (low <= y[scored]) & (y[scored] <= high)
                    score = interval_score(y[scored], low, high)
                    fifths = (np.mean(held[fifth == k]) for k in range(5))
                    name = f"{follows}, {groups} group{'s' * (groups > 1)}"
                    rows.setdefault(name, []).append((score, np.mean(high - low), *fifths))
        for name, of_halves in rows.items():
            score, width, *fifths = np.mean(of_halves, axis=0)
            shares = " ".join(f"{share:.2f}" for share in fifths)
            print(f"{target}, {name}: score {score:.3f}, mean width {width:.3f}, coverage {shares}")


if __name__ == "__main__":
    main(sys.argv[1:] or TARGETS)
