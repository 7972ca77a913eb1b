"""Export a task as a competition: the files for participants, and those for the host."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from asugnn.atomic_write import atomic_write, write_text
from asugnn.crystal import SYMBOLS, Crystal
from asugnn.errors import InputError, did_you_mean
from asugnn.reading import read_json
from leaderboard.board import load_ground_truth
from leaderboard.data import (
    CROISSANT_FILE,
    CroissantField,
    CroissantTable,
    Dataset,
    Task,
    croissant_text,
    csv_cell,
    load_dataset,
    source_provenance,
)
from leaderboard.records import COMPETITION_FILE, NO_RULES, ColumnNames, CompetitionRules, take_rules
from leaderboard.reports import describe_rules
from leaderboard.scoring import Metric
from leaderboard.splitting import fold_sides, read_split
from leaderboard.submissions.pandas_ids import pandas_id_notes

PUBLIC_SHARE = 0.3  # of the groups of test crystals (reduced formulas), on which the public score is computed


def export_competition(
    task: Task,
    fold: int,
    out: Path,
    host: bool,
    columns: ColumnNames,
    metric: str,
    rules: CompetitionRules = NO_RULES,
) -> tuple[list[Path], list[str]]:
    """Write the files into `out/participants`, and with `host` into `out/host`; return their paths, and notes.

    The notes are about ids that pandas, and so Kaggle's metric, may change, and about a metric that holds on Kaggle
    alone.

    The participants get labelled rows to train and validate, structures of all rows, the ids to predict, a sample
    submission and a page about the data. The host gets the solution with Kaggle's column Usage, a metric file, and the
    task and fold of the solution with the rules for handing in, which the participants get too. `metric`
    names one of the target's metrics, and is empty for the first of them. Raises `InputError` for an unknown metric or
    fold, and where `out` holds another competition, or the same with other rules.
    """
    measure = _find_metric(task, metric)
    _check_folder(out, task, fold, rules)
    data = load_dataset(task.source)
    training = load_dataset(task.training_task.source)  # a zero-shot task may train on another data set
    data.require_crystals()
    training.require_crystals()
    sides = fold_sides(read_split(training, task.rule), training, task.training_task.target, fold)
    truth = load_ground_truth(task, fold)
    test = truth.ids
    labels = training.labels(task.training_task.target)
    folder, name, target = out / "participants", columns.id, columns.target
    labelled = [(i, side) for side, ids in (("train", sides.train), ("validate", sides.validate)) for i in ids]
    if not labelled:
        raise InputError(f"{task.name} cannot be a competition: fold {fold} has no training and no validation crystal")
    mean = float(np.mean([labels[training.rows[i]] for i, _ in labelled]))
    train_rows = ((i, float(labels[training.rows[i]]), side) for i, side in labelled)
    notes = pandas_id_notes([*(i for i, _ in labelled), *test], name)
    if measure != (first := task.target.metrics[0]):
        notes.append(f"{measure.title} counts on Kaggle alone: `bench submit` and the board rank by {first.title}")
    written = [
        _write_csv(folder / "train.csv", (name, target, "side"), train_rows),
        _write_csv(folder / "test.csv", (name,), ((i,) for i in test)),
        _write_csv(folder / "sample_submission.csv", (name, target), ((i, mean) for i in test)),
        _write_structures(folder / "structures.extxyz", name, ((training, [i for i, _ in labelled]), (data, test))),
    ]
    write_text(folder / "data.md", _data_page(task, columns, measure, len(labelled), len(test), notes, rules))
    write_text(folder / CROISSANT_FILE, _croissant(task, fold, folder, columns))
    written += [folder / "data.md", folder / CROISSANT_FILE]
    if host:
        solution = zip(truth.ids, truth.y.tolist(), truth.groups, strict=True)
        rows = ((i, y, _usage(task, fold, group)) for i, y, group in solution)
        written.append(_write_csv(out / "host" / "solution.csv", (name, target, "Usage"), rows))
        write_text(out / "host" / "metric.py", kaggle_metric_file(columns, measure))
        identity = out / "host" / COMPETITION_FILE
        write_text(identity, json.dumps({"task": task.name, "fold": fold, **rules.stated()}) + "\n")
        written += [out / "host" / "metric.py", identity]
    return written, notes


def _check_folder(out: Path, task: Task, fold: int, rules: CompetitionRules) -> None:
    """Raise `InputError` where a folder holds the competition of another task, or with a host's files of another fold.

    Their files would be mixed, and a running competition would have other rules than those that participants have read.
    """
    identity, croissant = out / "host" / COMPETITION_FILE, out / "participants" / CROISSANT_FILE
    held: tuple[object, object] = task.name, fold
    if identity.is_file():
        stated = read_json(identity, "the description of a solution")
        held = stated.get("task"), stated.get("fold")
        before = take_rules(stated)
        if held == (task.name, fold) and before != rules.stated():
            told = ", ".join(f"{name} {value}" for name, value in before.items()) or "no rules"
            raise InputError(
                f"'{out}' holds this competition with other rules ({told}): state these again, with --host, or choose "
                f"another folder with --out; to change them, edit {identity} and tell the participants"
            )
    elif croissant.is_file():  # without a host's files nothing can be mixed, but other files would be lost
        title = read_json(croissant, "the description of a competition").get("description", "")
        held = str(title).partition(", fold ")[0], fold
    if held != (task.name, fold):
        which = held[0] if held[0] != task.name else f"{held[0]}, fold {held[1]}"
        raise InputError(f"'{out}' holds the competition of {which}: choose another folder with --out")


def _find_metric(task: Task, name: str) -> Metric:
    metrics = {m.name: m for m in task.target.metrics}
    if not name:
        return task.target.metrics[0]
    if name not in metrics:
        raise InputError(f"--metric cannot be '{name}' for {task.name}{did_you_mean(name, metrics)}")
    return metrics[name]


def _usage(task: Task, fold: int, group: str) -> str:
    """Public or Private, by the digest of the group, so that all rows of one formula are on the same side."""
    digest = hashlib.sha256(f"usage/{task.name}/{fold}:{group}".encode()).digest()
    return "Public" if int.from_bytes(digest[:8], "big") < PUBLIC_SHARE * 2**64 else "Private"


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    lines = [",".join(csv_cell(x) if isinstance(x, str) else repr(x) for x in row) for row in rows]
    write_text(path, "\n".join([",".join(header), *lines]) + "\n")
    return path


def _write_structures(path: Path, name: str, chosen: Iterable[tuple[Dataset, Sequence[str]]]) -> Path:
    """Write extended XYZ, which ase, pymatgen and ovito read: positions in angstrom, the id as `xyz_field(name)`."""
    field = xyz_field(name)
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for data, ids in chosen:
            for i, crystal in zip(ids, data.crystals(ids), strict=True):
                file.write(_extxyz_frame(field, i, crystal))
    return path


def xyz_field(name: str) -> str:
    """The field of extended XYZ for the ids of a column: letters, digits and _, and none that has a meaning there."""
    field = re.sub(r"\W+", "_", name)
    return f"{field}_id" if field in {"Lattice", "Properties", "pbc"} else field


def _extxyz_frame(name: str, i: str, crystal: Crystal) -> str:
    lattice = " ".join(repr(x) for x in crystal.lattice.ravel().tolist())
    positions = (crystal.frac_coords @ crystal.lattice).tolist()
    atoms = [
        f"{SYMBOLS[z - 1]} {x!r} {y!r} {w!r}" for z, (x, y, w) in zip(crystal.numbers.tolist(), positions, strict=True)
    ]
    text = i.replace("\\", "\\\\").replace('"', '\\"')
    head = f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T" {name}="{text}"'
    return "\n".join([str(len(atoms)), head, *atoms]) + "\n"


def _data_page(
    task: Task,
    columns: ColumnNames,
    metric: Metric,
    labelled: int,
    test: int,
    notes: Sequence[str],
    rules: CompetitionRules,
) -> str:
    target, source = task.target, task.source
    unit = target.unit or f"the probability of class 1: {target.positive}"
    zero = (
        f"\nThis target has no training labels: `train.csv` holds {task.training_task.target.name}, in the same unit.\n"
        if target.model_of
        else ""
    )
    own = source.folder is not None and not source.command  # imported, from files that nobody else need have
    where = (
        "in the data set below, which its owner may not have published: whoever has it can look them up."
        if own
        else "public, in the data set below. This competition is for learning and comparing: it cannot\nprevent "
        "anybody from looking them up."
    )
    ids = "".join(f"\nBeware: {note}.\n" for note in notes)
    better = "higher" if metric.higher_is_better else "lower"
    return f"""# {task.name}

Predict `{columns.target}` of {test:,} crystals ({unit}): {target.meaning}.

| file | |
|---|---|
| `train.csv` | {labelled:,} crystals with labels; `side`: those that models of the bench train on, and validate on |
| `test.csv` | the ids to predict |
| `structures.extxyz` | all structures, each with its id as `{xyz_field(columns.id)}`; angstrom, extended XYZ |
| `sample_submission.csv` | a submission that predicts the mean of the training labels |
| `{CROISSANT_FILE}` | the files and columns for programs (Croissant 1.0) |
{zero}
A submission is a CSV with the header `{columns.id},{columns.target}` and a row for every id of `test.csv`, in any
order. It is scored by {metric.title}: {better} is better.
{describe_rules(rules)}
{ids}
The labels of the test rows are {where}

{source.title}. {source.licence}. {source.citation}.
"""


def _croissant(task: Task, fold: int, folder: Path, columns: ColumnNames) -> str:
    """The Croissant metadata of the participants' files."""
    name = CroissantField(columns.id, "Text", "id of the crystal")
    unit = f"in {task.target.unit}" if task.target.unit else f"1: {task.target.positive}"
    label = CroissantField(columns.target, "Float", f"{task.training_task.target.meaning}, {unit}")
    side = CroissantField("side", "Text", "train or validate: what models of the bench do with it")
    predicted = CroissantField(columns.target, "Float", "the mean of the training labels")
    tables = [
        CroissantTable("train.csv", "crystals with labels", (name, label, side)),
        CroissantTable("test.csv", "the ids to predict", (name,)),
        CroissantTable("sample_submission.csv", "a submission", (name, predicted)),
        CroissantTable("structures.extxyz", "the structures of all of them, in angstrom, with their ids", ()),
    ]
    about = {"name": task.name.replace("/", "-"), "title": f"{task.name}, fold {fold}. {task.source.title}"}
    return croissant_text(folder, {**source_provenance(task.source), **about}, tables)


def kaggle_metric_file(columns: ColumnNames, metric: Metric) -> str:
    """Return the text of a metric for Kaggle: `kaggle_metric.py` with the names of target and metric filled in."""
    text = Path(__file__).with_name("kaggle_metric.py").read_text(encoding="utf-8")
    for old, new in (
        ('TARGET = "target"', f"TARGET = {columns.target!r}"),
        ('METRIC = "mae"', f'METRIC = "{metric.name}"'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text
