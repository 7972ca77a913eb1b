"""Which rows can be ranked together, by the folds and seeds of their runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

FoldSeeds = Collection[tuple[int, int]]
RowKey = tuple[str, str, str]  # task, preset and model


def comparable_runs(fold_seeds: Iterable[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    """What rows that are ranked together have in common: their fold or, of several folds, every fold and seed.

    On one fold another number of seeds is no obstacle: each row has its own variance over seeds, and seeds of two
    models have nothing in common. On several folds a row with one seed is compared over its folds, and one with several
    is not (`scoring/ranking.py`).
    """
    pairs = frozenset(fold_seeds)
    folds = {fold for fold, _ in pairs}
    return pairs if len(folds) > 1 else frozenset((fold, 0) for fold in folds)


def rows_to_add(
    own: Mapping[RowKey, FoldSeeds], packaged: Mapping[RowKey, FoldSeeds], unpreset: Collection[str]
) -> set[RowKey]:
    """The rows of the package that stand beside a user's, as far as they compare.

    A row of the user replaces that of the same task, preset and model. On a task of which the user has rows, others
    count only if they can be ranked with one of these. Rows of a preset in `unpreset` stand beside those of any other.
    """
    added, beside_any = set(), set(unpreset)
    for (task, preset, model), pairs in packaged.items():
        others = [p for (t, kind, _), p in own.items() if t == task and (kind == preset or beside_any & {kind, preset})]
        alike = comparable_runs(pairs) in map(comparable_runs, others)
        if (task, preset, model) not in own and (not others or alike):
            added.add((task, preset, model))
    return added
