"""Enter a file of predictions on the board: validate it, score it, store it, and add a line to the log."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asugnn.atomic_write import file_sha256
from asugnn.errors import InputError
from asugnn.reading import reading
from leaderboard._util import SAFE_NAME, lock_folder
from leaderboard.board import GroundTruth, load_ground_truth, score_file
from leaderboard.data import Task, load_dataset
from leaderboard.records import SUBMITTED, ColumnNames, Run, SubmissionLog, find_run, replace_run
from leaderboard.reports import format_moment
from leaderboard.splitting import read_split


def enter_submission(
    file: Path, task: Task, name: str, fold: int, root: Path, columns: ColumnNames | None = None
) -> dict[str, Any]:
    """Score a file and enter it on the board of the runs in `root`.

    The board shows the last file of a name, or where the host chose so the best one. A file that is identical to the
    one on the board, or to one that did not replace it, changes nothing and is no new try. Returns the score and, with
    it,

    name, tries
        The name, and how many files it has handed in for this task and fold.
    outcome
        `first`, or what the file is compared with the one that was on the board: `identical`, `better`, `worse`, or
        `stays` where that one stays, because the best one counts and this one is not better.
    before
        The value of the task's first metric of that one.
    rules
        The rules of the competition.

    Raises `InputError` before anything is written if the name, the file or the log is not valid, or the rules do not
    allow another file.
    """
    if not SAFE_NAME.fullmatch(name) or len(name) > 60:
        raise InputError(
            f"'{name[:60]}' cannot be a name: use up to 60 letters, digits and . _ + = -, beginning with a letter or "
            "digit; --name sets it"
        )
    run, truth = Run(task, SUBMITTED, name, fold, 0), load_ground_truth(task, fold)
    with reading(file, "predictions"):
        digest = file_sha256(file)  # first: a file that is replaced meanwhile must not be taken for the scored one
    scored = score_file(file, task, fold, columns, truth)
    folder = run.folder(root)
    with lock_folder(root, wait=True):
        log = SubmissionLog(root)
        tries = log.count_tries()[task.name, fold, name]  # refuses a log that was changed
        before, entry = _find_earlier(run, root, log, truth)
        outcome = "first"
        if before is not None:
            value, earlier = (_first_value(x, task) for x in (scored, before))
            better = task.target.metrics[0].is_better(value, earlier)
            outcome = "better" if better else "stays" if truth.rules.keep == "best" else "worse"
            key = {"task": task.name, "fold": fold, "name": name, "sha256": digest}
            others = log.entries() if outcome == "stays" else [entry]  # one that did not change the board before
            if any(key.items() <= e.items() and e.get("solution") == truth.solution for e in others):
                outcome = "identical"
        told = {"name": name, "outcome": outcome, "before": _first_value(before, task) if before else None,
                "rules": truth.rules}  # fmt: skip
        if outcome == "identical":
            return {**scored, **told, "tries": tries}
        if truth.rules.limit is not None and tries >= truth.rules.limit:
            allowed = f"all {truth.rules.limit} files that the host allows"
            raise InputError(f"'{name}' has handed in {allowed}: nothing changed")
        if truth.rules.is_over:
            raise InputError(f"the deadline was {format_moment(truth.rules.deadline)}: nothing changed")
        now = datetime.now(UTC).isoformat("T", "seconds")
        new: dict[str, Any] = {
            "when": now,
            "name": name,
            "task": task.name,
            "fold": fold,
            "sha256": digest,
            "metrics": {metric: value["value"] for metric, value in scored["metrics"].items()},
        }
        if truth.solution:
            new["solution"] = truth.solution  # the digest of the solution whose public rows gave the score
        if outcome == "stays":
            log.append({**new, "on_board": False})
        else:
            _put_on_board(file, run, folder, log, new, columns)
        return {**scored, **told, "tries": tries + 1}


def _find_earlier(
    run: Run, root: Path, log: SubmissionLog, truth: GroundTruth
) -> tuple[dict[str, Any] | None, Mapping[str, Any]]:
    """The score of the file that is on the board, and its entry in the log; None where there is none that can be read.

    It is scored anew: the host's solution may be another one than it was.
    """
    with suppress(InputError, OSError):
        stored = find_run(run, root)
        entry = log.find_entry(stored.record.log) if stored and stored.record.log else None
        if stored and entry and file_sha256(stored.predictions) == entry["sha256"]:
            columns = ColumnNames(*stored.record.columns) if stored.record.columns else None
            return score_file(stored.predictions, run.task, run.fold, columns, truth), entry
    return None, {}


def _first_value(scored: Mapping[str, Any], task: Task) -> float | None:
    value: float | None = scored["metrics"][task.target.metrics[0].name]["value"]
    return value


def _put_on_board(
    file: Path, run: Run, folder: Path, log: SubmissionLog, entry: Mapping[str, Any], columns: ColumnNames | None
) -> None:
    """Store a file as the run of its name, and add its entry to the log."""
    task = run.task
    data = load_dataset(task.source)
    parts = read_split(data, task.rule)
    record = {
        "task": task.name,
        "model": run.model,
        "preset": SUBMITTED,
        "fold": run.fold,
        "seed": 0,
        "split": {"rule": parts.rule, "version": parts.version, "sha256": parts.sha256},
        "data": {"name": data.source.name, "sha256": data.sha256},
        "seconds": {},
        **({"columns": [columns.id, columns.target]} if columns else {}),
        "log": asdict(log.next_reference(entry)),
        "finished": entry["when"],
    }

    def copy(path: Path) -> None:
        shutil.copyfile(file, path)
        if file_sha256(path) != entry["sha256"]:
            raise InputError(f"{file} was changed while it was entered: repeat the command")

    replace_run(folder, record, copy, lambda: log.append(entry))
