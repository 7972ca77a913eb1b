"""Score the intervals of shipped models on validation crystals, calibrated in one group and in several.

    python benchmarks/interval_scores.py [TARGET ..]        needs mp_subset.parquet in BENCH_DATA, minutes

The interval score (Gneiting & Raftery, J. Am. Stat. Assoc. 102, 359, 2007) is the width of an interval and, for a value
outside, 2 / (1 - level) times how far: the lower, the better. Half of the validation crystals calibrate, the other half
are scored, in the mean over thirty random halves. No test crystal is seen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from asugnn.crystal import Floats
from asugnn.model_registry import find_model
from leaderboard.data import load_dataset, parse_task
from leaderboard.shipped import GROUPS, LEVEL, SHIPPED_MODELS, calibrate, describe_crystals, read_card
from leaderboard.splitting import fold_sides, read_split

HALVES = 30
FIFTHS = (0.2, 0.4, 0.6, 0.8)
TARGETS = ("formation-energy", "band-gap", "bulk-modulus")


def validation(target: str) -> tuple[list[str], Floats, Floats, Floats]:
    """Ids, labels and predictions (n,), and terms (n, 5), of the validation crystals of a shipped model."""
    task, card = parse_task(f"mp-2018/{target}"), read_card(SHIPPED_MODELS / target)
    data = load_dataset(task.source)
    ids = list(fold_sides(read_split(data, task.rule), data, task.target, 0).validate)
    labels = dict(zip(data.ids, data.labels(task.target).tolist(), strict=True))
    crystals = data.crystals(ids)
    predicted = find_model(card.model).load(SHIPPED_MODELS / target).predict(crystals)
    return ids, np.array([labels[i] for i in ids]), predicted, describe_crystals(crystals, predicted, card.elements)


def interval_score(y: Floats, low: Floats, high: Floats) -> float:
    """The mean interval score of n values and intervals."""
    outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return float(np.mean(high - low + 2 / (1 - LEVEL) * outside))


def main(targets: Sequence[str]) -> None:
    """Print two lines for each target: scores, mean widths and the coverage of each fifth by predicted magnitude."""
    for target in targets:
        ids, y, predicted, terms = validation(target)
        least = read_card(SHIPPED_MODELS / target).lowest
        rng, rows = np.random.default_rng(0), []
        for _ in range(HALVES):
            order = rng.permutation(len(ids))
            learnt, scored = np.array_split(order, 2)
            fifth = np.searchsorted(np.quantile(abs(predicted), FIFTHS), abs(predicted[scored]))
            for groups in (1, GROUPS):
                found = calibrate([ids[i] for i in learnt], np.abs(y - predicted)[learnt], terms[learnt], groups)
                half = found.half_widths(terms[scored])
                low, high = predicted[scored] - half, predicted[scored] + half
                low = low if least is None else np.maximum(low, least)
                held = (low <= y[scored]) & (y[scored] <= high)
                score = interval_score(y[scored], low, high)
                rows.append((score, np.mean(high - low), *(np.mean(held[fifth == k]) for k in range(5))))
        for words, means in zip(
            ("one group", "groups"), np.array(rows).reshape(HALVES, 2, 7).mean(axis=0), strict=True
        ):
            fifths = " ".join(f"{share:.2f}" for share in means[2:])
            print(f"{target}, {words}: score {means[0]:.3f}, mean width {means[1]:.3f}, coverage {fifths}")


if __name__ == "__main__":
    main(sys.argv[1:] or TARGETS)
