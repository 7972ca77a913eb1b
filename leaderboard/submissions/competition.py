"""What a competition needs, from a task: the files of the participants, and those of the host."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from asugnn.atomic_write import atomic_write, write_text
from asugnn.crystal import SYMBOLS, Crystal
from asugnn.errors import InputError, did_you_mean
from leaderboard.board import load_ground_truth
from leaderboard.data import Dataset, Task, load_dataset
from leaderboard.records import COMPETITION_FILE, ColumnNames, csv_cell
from leaderboard.scoring import Metric
from leaderboard.splitting import fold_sides, read_split

PUBLIC = 0.3  # share of the formulas that the public score shows


def export_competition(task: Task, fold: int, out: Path, host: bool, columns: ColumnNames, metric: str) -> list[Path]:
    """Write the files into `out/participants`, and with `host` into `out/host`; returns them.

    The participants get labelled rows to train and validate, structures of all rows, the ids to predict, a sample
    submission and a page about the data. The host gets the solution with Kaggle's column Usage, and a metric file.
    """
    measure = _metric(task, metric)
    data = load_dataset(task.source)
    origin = load_dataset(task.training_task.source)  # of a zero-shot task it may be another
    sides = fold_sides(read_split(origin, task.rule), origin, task.training_task.target, fold)
    held = load_ground_truth(task, fold)
    test = held.ids
    labels = origin.labels(task.training_task.target)
    home, name, target = out / "participants", columns.id, columns.target
    known = [(i, side) for side, ids in (("train", sides.train), ("validate", sides.validate)) for i in ids]
    mean = float(np.mean([labels[origin.rows[i]] for i, _ in known]))
    written = [
        _csv(home / "train.csv", (name, target, "side"), ((i, float(labels[origin.rows[i]]), s) for i, s in known)),
        _csv(home / "test.csv", (name,), ((i,) for i in test)),
        _csv(home / "sample_submission.csv", (name, target), ((i, mean) for i in test)),
        _structures(home / "structures.extxyz", name, ((origin, [i for i, _ in known]), (data, test))),
    ]
    write_text(home / "data.md", _page(task, columns, measure, len(known), len(test)))
    written.append(home / "data.md")
    if host:
        rows = ((i, y, _usage(task, fold, g)) for i, y, g in zip(held.ids, held.y.tolist(), held.groups, strict=True))
        written.append(_csv(out / "host" / "solution.csv", (name, target, "Usage"), rows))
        write_text(out / "host" / "metric.py", kaggle_metric_file(columns, measure))
        whose = out / "host" / COMPETITION_FILE
        write_text(whose, json.dumps({"task": task.name, "fold": fold}) + "\n")
        written += [out / "host" / "metric.py", whose]
    return written


def _metric(task: Task, name: str) -> Metric:
    known = {m.name: m for m in task.target.metrics}
    if not name:
        return task.target.metrics[0]
    if name not in known:
        raise InputError(f"--metric cannot be '{name}' for {task.name}{did_you_mean(name, known)}")
    return known[name]


def _usage(task: Task, fold: int, group: str) -> str:
    """Public or Private, by group: rows of one formula are never in both."""
    digest = hashlib.sha256(f"usage/{task.name}/{fold}:{group}".encode()).digest()
    return "Public" if int.from_bytes(digest[:8], "big") < PUBLIC * 2**64 else "Private"


def _csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    lines = [",".join(csv_cell(x) if isinstance(x, str) else repr(x) for x in row) for row in rows]
    write_text(path, "\n".join([",".join(header), *lines]) + "\n")
    return path


def _structures(path: Path, name: str, wanted: Iterable[tuple[Dataset, Sequence[str]]]) -> Path:
    """Extended XYZ, which ase, pymatgen and ovito read: positions in angstrom, the id as `name`."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for data, ids in wanted:
            for i, crystal in zip(ids, data.crystals(ids), strict=True):
                file.write(_frame(name, i, crystal))
    return path


def _frame(name: str, i: str, crystal: Crystal) -> str:
    lattice = " ".join(repr(x) for x in crystal.lattice.ravel().tolist())
    positions = (crystal.frac_coords @ crystal.lattice).tolist()
    atoms = [
        f"{SYMBOLS[z - 1]} {x!r} {y!r} {w!r}" for z, (x, y, w) in zip(crystal.numbers.tolist(), positions, strict=True)
    ]
    head = f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T" {name}="{i}"'
    return "\n".join([str(len(atoms)), head, *atoms]) + "\n"


def _page(task: Task, columns: ColumnNames, metric: Metric, known: int, test: int) -> str:
    target, source = task.target, task.source
    unit = target.unit or f"the probability of class 1: {target.positive}"
    zero = (
        f"\nNo label of this target trains: `train.csv` holds {task.training_task.target.name}, of the same unit.\n"
        if target.model_of
        else ""
    )
    better = "more" if metric.higher_is_better else "less"
    return f"""# {task.name}

Predict `{columns.target}` of {test:,} crystals ({unit}): {target.meaning}.

| file | |
|---|---|
| `train.csv` | {known:,} crystals with labels; `side` says which of them the bench's models train on |
| `test.csv` | the ids to predict |
| `structures.extxyz` | the structures of all of them, each with its `{columns.id}`; angstrom, extended XYZ |
| `sample_submission.csv` | what a submission looks like: the mean of the training labels |
{zero}
A submission is a CSV with the header `{columns.id},{columns.target}` and a row for every id of `test.csv`, in any
order. It is scored by {metric.title}: {better} is better.

The labels of the test rows are public, in the data set below: this is for learning and comparing, and nothing stops
somebody who looks them up.

{source.title}. {source.licence}. {source.citation}.
"""


def kaggle_metric_file(columns: ColumnNames, metric: Metric) -> str:
    """A file that Kaggle takes as the metric of a competition: `kaggle_metric` with its two names."""
    text = Path(__file__).with_name("kaggle_metric.py").read_text(encoding="utf-8")
    for old, new in (
        ('TARGET = "target"', f'TARGET = "{columns.target}"'),
        ('METRIC = "mae"', f'METRIC = "{metric.name}"'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text
