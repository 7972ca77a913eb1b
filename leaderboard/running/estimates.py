"""How long runs take and how much memory they need, from stored runs of the same model and of similar size."""

from __future__ import annotations

import glob
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from asugnn import InputError
from asugnn.model_registry import find_model, is_file_model, model_presets
from leaderboard.data import load_dataset
from leaderboard.records import PACKAGED_RUNS, StoredRun, base_name, open_run
from leaderboard.running.plan import Job
from leaderboard.splitting import fold_sides, read_split

AROUND = 1.5  # seconds of a run beside training and predicting: it reads crystals, labels and inputs
IMPORTS = 300  # megabytes of the packages of a model, which do not grow with the data
EPOCHS = ("epochs", "updates", "batch_size")  # settings of `asugnn.torch_model`
LOOKED_AT = 3  # stored runs of a model and a task


@dataclass(frozen=True)
class RunCost:
    """Seconds and megabytes of a run; None where no run of its model is stored."""

    seconds: float | None
    memory: int | None


@dataclass(frozen=True)
class Running:
    """A job under way: its number, and seconds since it began.

    Of its newest bar: steps done and planned, 0 where there is none, whether it is work before the training, and the
    seconds that the training still takes by its steps, where that is known.
    """

    job: int
    seconds: float
    steps: tuple[int, int]
    prepares: bool = False
    seconds_left: float | None = None


def estimate_jobs(jobs: Sequence[Job], out: Path) -> list[RunCost]:
    """Estimate each job from the runs in `out`, where there are some of its model, else from those of the package."""

    @cache
    def estimate(source: str, rule: str, target: str, fold: int, preset: str, row: str, model: str) -> RunCost:
        job = example[source, rule, target, fold, preset, row, model]
        return _estimate(job, stored(preset, row) or stored(preset, model))

    @cache
    def stored(preset: str, row: str) -> list[StoredRun]:
        return list(_stored_runs(out, preset, row)) or list(_stored_runs(PACKAGED_RUNS, preset, row))

    keys = [_key(job) for job in jobs]
    example = dict(zip(keys, jobs, strict=True))
    return [estimate(*key) for key in keys]


def _key(job: Job) -> tuple[str, str, str, int, str, str, str]:
    run = job.run
    task = run.task
    return task.source.name, task.rule, task.target.name, run.fold, run.preset, run.model, base_name(job.model)


def _stored_runs(root: Path, preset: str, row: str) -> Iterable[StoredRun]:
    """A few runs of each task that are stored under `root`."""
    found = sorted(root.glob(f"*/*@*/{glob.escape(preset)}/{glob.escape(row)}/*-*/run.json"))
    for _, files in groupby(found, key=lambda file: file.parent.parent):
        for file in list(files)[:LOOKED_AT]:
            with suppress(InputError):
                yield open_run(file.parent)


def _estimate(job: Job, stored: Iterable[StoredRun]) -> RunCost:
    """By the stored run of the most similar size; both grow with the number of crystals, time also with the epochs."""
    trains = not job.weights and not job.run.task.target.model_of
    size = _crystals(job, trains)
    alike = [s for s in stored if (s.record.seconds.train is not None) == trains and _size(s, trains)]
    if not alike:
        return RunCost(None, None)
    nearest = min(alike, key=lambda s: abs(math.log(size / _size(s, trains))))
    factor, record = size / _size(nearest, trains), nearest.record
    planned = _planned_settings(job)
    epochs = _epochs(planned, size) / _epochs(record.settings, _size(nearest, trains)) if planned else 1.0
    seconds = AROUND + factor * (epochs * (record.seconds.train or 0) + (record.seconds.predict or 0))
    memory = record.peak_memory_mb
    if memory is not None:
        memory = round(memory + max(0, memory - IMPORTS) * max(0.0, factor - 1))
    return RunCost(seconds, memory)


def _planned_settings(job: Job) -> dict[str, Any]:
    """Read the settings of a job that tell its epochs; none where it does not train, or its model is in a file.

    Nothing of a file is executed here, and no model is made: either may end the process.
    """
    if job.weights or is_file_model(job.model):
        return {}
    cls = find_model(job.model)
    preset = model_presets(cls).get(job.run.preset, {})
    settings = {name: preset.get(name, getattr(cls, name, None)) for name in EPOCHS}
    return settings | {name: int(text) for name, text in job.overrides.items() if name in EPOCHS and text.isdecimal()}


def _epochs(settings: Mapping[str, Any], crystals: int) -> float:
    """Count the epochs of a training by the settings of `asugnn.torch_model`; 1 for a model of another kind."""
    epochs, updates, batch = (settings.get(name) for name in EPOCHS)
    if not isinstance(epochs, int) or not 0 < epochs < 1_000_000:
        return 1.0
    if isinstance(updates, int) and isinstance(batch, int) and updates > 0 and batch > 0:
        return min(epochs, max(1, updates // math.ceil(crystals / batch)))
    return epochs


def _crystals(job: Job, trains: bool) -> int:
    """The number of crystals that a job trains with or, if it does not train, predicts."""
    task = job.run.task
    data = load_dataset(task.source)
    sides = fold_sides(read_split(data, task.rule), data, task.target, job.run.fold)
    return max(1, len(sides.train if trains else sides.test))


def _size(stored: StoredRun, trains: bool) -> int:
    counts = stored.record.counts
    return counts.train if trains else counts.test


def total_seconds(seconds: Iterable[float], processes: int) -> float:
    """How long jobs take, each started when one of some processes is free."""
    ends = [0.0] * processes
    for duration in seconds:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


def seconds_left(
    estimates: Sequence[RunCost],
    ended: Mapping[int, float | None],
    running: Sequence[Running],
    processes: int,
) -> float | None:
    """Seconds until all jobs have ended; None where nothing is known of what is left.

    `ended` are the seconds that jobs took, which tell by how much estimates are wrong here; None for one that was
    finished before, or failed.
    """
    actual = {i: seconds for i, seconds in ended.items() if seconds is not None}
    expected = sum(estimates[i].seconds or 0.0 for i in actual)
    factor = sum(seconds for i, seconds in actual.items() if estimates[i].seconds) / expected if expected else 1.0
    mean = sum(actual.values()) / len(actual) if actual else None
    under_way = {r.job: r for r in running}
    left = []
    for i, estimate in enumerate(estimates):
        if i in ended:
            continue
        whole = mean if estimate.seconds is None else factor * estimate.seconds
        if (now := under_way.get(i)) is not None:
            if now.seconds_left is not None:
                left.append(now.seconds_left)
                continue
            whole = None if whole is None else max(0.0, whole - now.seconds)
        if whole is None:
            return None
        left.append(whole)
    return total_seconds(sorted(left, reverse=True), processes)
