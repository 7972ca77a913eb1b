"""Enter a file of predictions on the board: validate it, score it, store it, and add a line to the log."""

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
    """Score a file and enter it on the board of the runs in `root`; return the score, `name` and `tries`.

    The board shows the latest file of a name; `tries` counts its submissions to this task and fold. Raises `InputError`
    before anything is written if the name, the file or the log is not valid.
    """
    if not SAFE_NAME.fullmatch(name) or len(name) > 60:
        raise InputError(
            f"'{name[:60]}' cannot be a name: use up to 60 letters, digits and . _ + = -, beginning with a letter or "
            "digit; --name sets it"
        )
    data = load_dataset(task.source)
    parts = read_split(data, task.rule)
    scored = score_file(file, task, fold, columns)
    run = Run(task, SUBMITTED, name, fold, 0)
    folder = run.folder(root)
    with lock_folder(root, wait=True):
        log = SubmissionLog(root)
        tries = log.count_tries(task.name, fold, name) + 1  # refuses a log that was changed
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
                entry["solution"] = solution  # the digest of the solution whose public rows gave the score
            # The folder counts as a run only once the new record is there.
            (folder / "run.json").unlink(missing_ok=True)
            line = log.append(entry)
        record = {
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
        write_record(folder, record)
        return {**scored, "name": name, "tries": tries}
