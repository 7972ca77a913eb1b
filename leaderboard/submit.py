"""Enter predictions of somebody on the board: validated, scored, kept, and written into the log."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asugnn.atomic import digest, replaced
from asugnn.errors import InputError
from leaderboard import board, datasets, log, split, store
from leaderboard.store import SUBMITTED, Run
from leaderboard.submission import Columns
from leaderboard.tasks import Task


def submit(
    file: Path,
    task: Task,
    name: str,
    fold: int,
    root: Path,
    data_dir: Path | None,
    columns: Columns | None = None,
) -> dict[str, Any]:
    """Score a file and enter it; returns the score, with `tries`, how often this name has handed in.

    A name stands for its latest file. Nothing is written unless everything is right; raises `InputError`.
    """
    if not store.SAFE.fullmatch(name) or len(name) > 60:
        raise InputError(
            f"'{name[:60]}' cannot be a name: take letters, digits and . _ + = -, a letter or digit first, "
            "no more than 60; --name sets it"
        )
    data = datasets.load(task.source, data_dir)
    parts = split.load(data, task.rule)
    scored = board.score(file, task, fold, data_dir, columns)
    run = Run(task, SUBMITTED, name, fold, 0)
    folder = run.folder(root)
    with store.locked(root, wait=True):
        log.entries(root)  # nothing is added to a log that was changed
        with replaced(folder / "predictions.csv") as temporary:
            shutil.copyfile(file, temporary)
            sha256 = digest(temporary)
            now = datetime.now(UTC).isoformat("T", "seconds")
            values = {metric: value["value"] for metric, value in scored["metrics"].items()}
            entry: dict[str, Any] = {
                "when": now,
                "name": name,
                "task": task.name,
                "fold": fold,
                "sha256": sha256,
                "metrics": values,
            }
            if solution := board.answers(task, fold, data_dir).solution:
                entry["solution"] = solution  # by whose public rows it was scored
            (folder / "run.json").unlink(missing_ok=True)  # until the new one is there, the run is not complete
            line = log.append(root, entry)
        about = {
            "task": task.name,
            "model": name,
            "preset": SUBMITTED,
            "fold": fold,
            "seed": 0,
            "split": {"rule": parts.rule, "version": parts.version, "sha256": parts.sha256},
            "data": {"name": data.source.name, "sha256": data.sha256},
            "seconds": {},
            "predictions_sha256": sha256,
            **({"columns": [columns.id, columns.target]} if columns else {}),
            "log": line,
            "finished": now,
        }
        store.write_record(folder, about)
        return {**scored, "name": name, "tries": log.tries(root, task.name, fold, name)}
