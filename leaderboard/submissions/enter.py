"""Enter predictions of somebody on the board: validated, scored, kept, and written into the log."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asugnn.atomic_write import atomic_write, file_sha256
from asugnn.errors import InputError
from leaderboard._util import SAFE_NAME, lock_folder
from leaderboard.board import load_ground_truth, score_file
from leaderboard.data import Task, load_dataset
from leaderboard.records import SUBMITTED, ColumnNames, Run, SubmissionLog, write_record
from leaderboard.splitting import read_split


def enter_submission(
    file: Path, task: Task, name: str, fold: int, root: Path, columns: ColumnNames | None = None
) -> dict[str, Any]:
    """Score a file and enter it; returns the score, with `tries`, how often this name has handed in.

    A name stands for its latest file. Nothing is written unless everything is right; raises `InputError`.
    """
    if not SAFE_NAME.fullmatch(name) or len(name) > 60:
        raise InputError(
            f"'{name[:60]}' cannot be a name: take letters, digits and . _ + = -, a letter or digit first, "
            "no more than 60; --name sets it"
        )
    data = load_dataset(task.source)
    parts = read_split(data, task.rule)
    scored = score_file(file, task, fold, columns)
    run = Run(task, SUBMITTED, name, fold, 0)
    folder = run.folder(root)
    with lock_folder(root, wait=True):
        log = SubmissionLog(root)
        tries = log.count_tries(task.name, fold, name) + 1  # nothing is added to a log that was changed
        with atomic_write(folder / "predictions.csv") as temporary:
            shutil.copyfile(file, temporary)
            sha256 = file_sha256(temporary)
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
            if solution := load_ground_truth(task, fold).solution:
                entry["solution"] = solution  # by whose public rows it was scored
            (folder / "run.json").unlink(missing_ok=True)  # until the new one is there, the run is not complete
            line = log.append(entry)
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
            "log": asdict(line),
            "finished": now,
        }
        write_record(folder, about)
        return {**scored, "name": name, "tries": tries}
