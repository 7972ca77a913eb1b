"""The form of Matbench's entries: benchmarks/<entry>/results.json.gz and info.json.

`results.json.gz` is one object, `{"@module", "@class", "version", "tasks": {name: {"results": {"fold_k": {"data": {id:
prediction}, "parameters", "scores"}}, ..}}, "user_metadata", "benchmark_name", "datestamp", "hash"}`. The hash is the
sha256 of the JSON without it, with sorted keys.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from asugnn import __version__
from asugnn.atomic_write import atomic_write, file_sha256, write_text
from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.limits import JSON_BYTES, check_limit
from asugnn.reading import parse_json, read_json, reading
from leaderboard._util import safe_name
from leaderboard.data import MATBENCH, Task
from leaderboard.public_boards.entries import (
    BoardEntry,
    BoardForm,
    FoldEntry,
    Results,
    find_reference,
    is_number,
    read_object,
    words,
)
from leaderboard.scoring import THRESHOLD

FOLDS = 5
FOLD_NAMES = {f"fold_{k}": k for k in range(FOLDS)}
BOARD = "matbench_v0.1"
FOLDER = "benchmarks"
METRICS = {"mae": "mae", "rmse": "rmse", "accuracy": "accuracy", "f1": "f1", "rocauc": "roc_auc"}  # theirs to ours
SMALL = 1e-5  # labels below count for no relative error there


def _list_entries(checkout: Path) -> list[Path]:
    return [file.parent for file in sorted((checkout / FOLDER).glob("*/results.json.gz"))]


def _read_entries(folder: Path) -> list[BoardEntry]:
    file, info = folder / "results.json.gz", {}
    if (folder / "info.json").is_file():
        info = read_json(folder / "info.json", "the description of an entry of Matbench")
    with reading(file, "an entry of Matbench"):
        with gzip.open(file) as packed:
            text = packed.read(JSON_BYTES + 1)
        check_limit(len(text), JSON_BYTES, "unpacked bytes")
        content = parse_json(text, doubles=False)
    oddities: list[str] = []
    folds = {}
    for name, task in read_object(read_object(content, "it").get("tasks"), "'tasks' in it").items():
        if name in MATBENCH:
            results = read_object(read_object(task, f"task '{name}'").get("results"), f"'results' of task '{name}'")
            folds[f"{name}/{MATBENCH[name].target}"] = _read_folds(name, results, oddities)
        else:
            oddities.append(f"'{name[:60]}' is no task of {BOARD}, and is left out")
    entry = BoardEntry(
        board="matbench",
        name=folder.name,
        model=safe_name(folder.name.removeprefix(f"{BOARD}_")),
        sha256=file_sha256(file),
        authors=words(info.get("authors")),
        reference=find_reference(str(info.get("bibtex_refs")), f"github.com/materialsproject/matbench: {folder.name}"),
        folds=folds,
        oddities=tuple(oddities),
    )
    return [entry]


def _read_folds(name: str, results: Mapping[str, Any], oddities: list[str]) -> dict[int, FoldEntry]:
    """The folds of one task by number; a sentence in `oddities` for each name that is none."""
    folds = {}
    for key, stored in results.items():
        if key not in FOLD_NAMES:
            oddities.append(f"'{key[:60]}' is no fold of {name}, and is left out")
            continue
        fold = stored if isinstance(stored, Mapping) else {}
        scores = fold["scores"] if isinstance(fold.get("scores"), Mapping) else {}
        stated = {ours: float(scores[theirs]) for theirs, ours in METRICS.items() if is_number(scores.get(theirs))}
        sensible = {n: value for n, value in stated.items() if 0 <= value < 1e12}  # an odd one costs no predictions
        folds[FOLD_NAMES[key]] = FoldEntry(fold.get("data", {}), sensible)
    return folds


def _write_entry(out: Path, model: str, results: Results) -> list[Path]:
    for task, of_folds in results.items():
        if missing := sorted(set(range(FOLDS)) - of_folds.keys()):
            listed = ", ".join(map(str, missing))
            raise InputError(f"{model} has no run of {task.name} for fold {listed}: Matbench takes all five folds")
    tasks = {
        task.source.name: {
            "@module": "matbench.task",
            "@class": "MatbenchTask",
            "benchmark_name": BOARD,
            "dataset_name": task.source.name,
            "results": {
                f"fold_{k}": {
                    "data": dict(zip(ids, p.tolist(), strict=True)),
                    "parameters": {},
                    "scores": matbench_scores(task, y, p),
                    "uncertainty": None,
                }
                for k, (ids, y, p) in of_folds.items()
            },
        }
        for task, of_folds in results.items()
    }
    entry: dict[str, Any] = {
        "@module": "matbench.bench",
        "@class": "MatbenchBenchmark",
        "version": "0.6",
        "tasks": tasks,
        "user_metadata": {"written_by": f"asugnn-bench {__version__}"},
        "benchmark_name": BOARD,
        "datestamp": datetime.now(UTC).strftime("%Y.%m.%d %H:%M.%S"),
    }
    entry["hash"] = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    home = out / FOLDER / f"{BOARD}_{model}"
    with atomic_write(home / "results.json.gz") as temporary:
        temporary.write_bytes(gzip.compress(json.dumps(entry).encode(), mtime=0))
    info = {
        "authors": "",
        "algorithm": model,
        "algorithm_long": "",
        "bibtex_refs": "",
        "notes": "",
        "requirements": {"python": [f"asugnn-bench=={__version__}"]},
    }
    write_text(home / "info.json", json.dumps(info, indent=4) + "\n")
    return [home / "results.json.gz", home / "info.json"]


def matbench_scores(task: Task, y: Floats, p: Floats) -> dict[str, float]:
    """The scores of one fold as Matbench's own code computes them, the ROC-AUC from classes (see docs/boards.md)."""
    if task.target.kind == "binary":
        true, predicted = y == 1, p >= THRESHOLD
        hit, passed = float(predicted[true].mean()), float((~predicted[~true]).mean())
        both = 2 * float((predicted & true).sum())
        balanced = (hit + passed) / 2
        return {
            "accuracy": float((predicted == true).mean()),
            "balanced_accuracy": balanced,
            "f1": both / max(1.0, float(predicted.sum() + true.sum())),
            "rocauc": balanced,
        }
    error, large = np.abs(y - p), np.abs(y) > SMALL
    return {
        "mae": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mape": float((error[large] / np.abs(y[large])).mean()) if large.any() else 0.0,
        "max_error": float(error.max()),
    }


FORM = BoardForm(f"{FOLDER}/*/results.json.gz", _list_entries, _read_entries, _write_entry)
