"""Runs for tests of what reads them, made here or never made; and the size of the packaged data set."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from asugnn import InputError
from asugnn.atomic_write import file_sha256
from leaderboard.board import GroundTruth, load_ground_truth
from leaderboard.data import find_source, load_dataset, parse_task
from leaderboard.data.registry import embedded_record
from leaderboard.records import Run, write_record
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.running.plan import Job
from leaderboard.running.runner import attempt_job


def record_fields(run: Run, **changes: Any) -> dict[str, Any]:
    """The fields that run.json must have, for `write_record`."""
    data = "0" * 64
    with suppress(InputError):  # it is not available
        data = load_dataset(run.task.source).sha256
    return {
        "task": run.task.name,
        "model": run.model,
        "preset": run.preset,
        "fold": run.fold,
        "seed": run.seed,
        "split": {"rule": run.task.rule, "version": 1, "sha256": "0" * 64},
        "data": {"name": run.task.source.name, "sha256": data},
        "predictions_sha256": "0" * 64,
        **changes,
    }


def run_here(jobs: Iterable[Job], out: Path) -> None:
    """Do runs one after another in this process, without the start of those in which `bench run` does them."""
    for job in jobs:
        job.run.folder(out).mkdir(parents=True, exist_ok=True)
        assert attempt_job(job, out)[0] == "done", job.run


def write_perfect_run(run: Run, root: Path, **changes: Any) -> None:
    """A run that predicts every label, with the record of such a run."""
    truth = load_ground_truth(run.task, run.fold)
    file = run.folder(root) / "predictions.csv"
    write_predictions(file, truth.ids, run.task.target.name, truth.y)
    split = {"rule": run.task.rule, "version": 1, "sha256": truth.split_sha256}
    write_record(file.parent, record_fields(run, split=split, predictions_sha256=file_sha256(file), **changes))


def truth_of(name: str, fold: int = 0) -> GroundTruth:
    """The test set of a task."""
    return load_ground_truth(parse_task(name), fold)


def packaged_counts() -> dict[str, int]:
    """How many rows, compounds, .. of open-dft its provenance.toml states."""
    counts: dict[str, int] = embedded_record(find_source("open-dft"))["counts"]
    return counts
