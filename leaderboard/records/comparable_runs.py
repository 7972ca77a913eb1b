"""Which rows can be ranked together, by the folds and seeds of their runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leaderboard.records.run_folder import StoredRun


def comparable_runs(fold_seeds: Iterable[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    """What rows that are ranked together have in common: their fold or, of several folds, every fold and seed.

    On one fold another number of seeds is no obstacle: each row has its own variance over seeds, and seeds of two
    models have nothing in common. On several folds a row with one seed is compared over its folds, and one with several
    is not (`scoring/ranking.py`).
    """
    pairs = frozenset(fold_seeds)
    folds = {fold for fold, _ in pairs}
    return pairs if len(folds) > 1 else frozenset((fold, 0) for fold in folds)


def add_packaged(own: Sequence[StoredRun], packaged: Sequence[StoredRun], unpreset: Collection[str]) -> list[StoredRun]:
    """Add the rows that come with the package to a user's runs, as far as they compare.

    A row of the user replaces that of the same task, preset and model. On a task of which the user has rows, others
    count only if they can be ranked with one of these. Rows of a preset in `unpreset` stand beside those of any other.
    """
    mine, theirs = _fold_seeds(own), _fold_seeds(packaged)
    fitting, beside_any = set(), set(unpreset)
    for (task, preset, model), pairs in theirs.items():
        others = [
            p for (t, kind, _), p in mine.items() if t == task and (kind == preset or beside_any & {kind, preset})
        ]
        alike = comparable_runs(pairs) in map(comparable_runs, others)
        if (task, preset, model) not in mine and (not others or alike):
            fitting.add((task, preset, model))
    return [*own, *(stored for stored in packaged if stored.row in fitting)]


def _fold_seeds(runs: Sequence[StoredRun]) -> dict[tuple[str, str, str], set[tuple[int, int]]]:
    """Folds and seeds of the runs of each row."""
    rows: dict[tuple[str, str, str], set[tuple[int, int]]] = {}
    for stored in runs:
        rows.setdefault(stored.row, set()).add((stored.run.fold, stored.run.seed))
    return rows
