"""The split `official` of a public board, as its authors published it; made when its data set is fetched.

Matbench
    Five folds. Its authors define them by scikit-learn's `KFold`, and `StratifiedKFold` where there are two classes,
    with five parts, shuffled with the seed 18012019, over the rows in the order of the file. Here they follow from the
    same permutations by numpy's `RandomState`, whose numbers never change (NEP 19), so that no version of scikit-learn
    can change a fold. Fold k tests part `k` and its tenth `k-tenth`, validates on the tenths of the other parts and
    trains on the rest of them. Which rows are in a tenth follows from a hash of their ids.
JARVIS
    One fold, for each target its own. Ids that are listed on two sides are in `train+test`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from asugnn.crystal import Floats, Ints
from leaderboard.splitting.make import FoldParts, part_of_group

MATBENCH_SEED = 18012019
FOLDS = 5


def matbench_folds(n: int, classes: Floats | None = None) -> Ints:
    """The fold (n,) that tests each row; with `classes` (n,) of 0 and 1, the folds have equal shares of both."""
    random = np.random.RandomState(MATBENCH_SEED)  # its stream is frozen, that of Generator is not
    if classes is None:
        order = np.arange(n)
        random.shuffle(order)
        fold = np.empty(n, dtype=np.int64)
        fold[order] = np.repeat(np.arange(FOLDS), [n // FOLDS + (k < n % FOLDS) for k in range(FOLDS)])
        return fold
    fold = np.empty(n, dtype=np.int64)
    first = classes == classes[0]  # classes in the order in which they occur
    for start, members in ((0, first), (int(first.sum()), ~first)):
        count = int(members.sum())
        # Rows sorted by class are dealt out in turn, so the second class goes on where the first has stopped.
        dealt = np.bincount((start + np.arange(count)) % FOLDS, minlength=FOLDS)
        of_class = np.repeat(np.arange(FOLDS), dealt)
        random.shuffle(of_class)
        fold[members] = of_class
    return fold


def matbench_parts(dataset: str, ids: Sequence[str], classes: Floats | None) -> dict[str, tuple[str]]:
    """The part of each id of a data set of Matbench, whose rows are in the order of the file."""
    folds = matbench_folds(len(ids), classes).tolist()
    tenth = (part_of_group(dataset, "official", 1, name) == "0" for name in ids)
    return {name: (f"{k}-tenth" if t else str(k),) for name, k, t in zip(ids, folds, tenth, strict=True)}


def matbench_fold_parts() -> list[FoldParts]:
    """The parts that train, validate and test in each fold of Matbench."""
    others = [[j for j in range(FOLDS) if j != k] for k in range(FOLDS)]
    return [
        ([str(j) for j in others[k]], [f"{j}-tenth" for j in others[k]], [str(k), f"{k}-tenth"]) for k in range(FOLDS)
    ]


BOTH = "train+test"
JARVIS_FOLD: FoldParts = (["train", BOTH], ["validate"], [BOTH, "test"])


def jarvis_parts(sides: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """The parts of each id for some targets, from the ids in train, val and test of each; empty where it is in none."""
    maps: list[dict[str, str]] = []
    for of_target in sides:
        tested = set(of_target["test"])
        parts = {name: BOTH if name in tested else "train" for name in of_target["train"]}
        parts |= dict.fromkeys(of_target.get("val", ()), "validate")
        maps.append(parts | {name: "test" for name in of_target["test"] if parts.get(name) != BOTH})
    ids = dict.fromkeys(name for parts in maps for name in parts)
    return {name: tuple(parts.get(name, "") for parts in maps) for name in ids}
