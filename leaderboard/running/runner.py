"""Train and predict: from a task and a model to a folder with predictions.csv and run.json. Scoring starts there."""

from __future__ import annotations

import hashlib
import json
import logging
import operator
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asugnn import Context, InputError, Model
from asugnn.atomic_write import atomic_folder, file_sha256, write_text
from asugnn.cache import seconds_for_inputs
from asugnn.checkpoint import checkpoint_files, remove_checkpoints
from asugnn.errors import TrainingStoppedError
from asugnn.model import HasReferences
from asugnn.model_registry import find_model, model_frozen, model_settings
from leaderboard._util import (
    LOCK,
    check_predictions,
    collect_warnings,
    current_workspace,
    hold_standard_streams,
    lock_folder,
    require_model_packages,
)
from leaderboard.data import Dataset, load_dataset
from leaderboard.records import (
    StoredRun,
    check_record,
    find_run,
    read_history,
    write_predictions,
    write_record,
)
from leaderboard.running.endings import Ending, keep_reason
from leaderboard.running.machine import checkout_commit, measure_memory, package_versions
from leaderboard.running.model_code import model_code
from leaderboard.running.plan import Job
from leaderboard.running.predict_files import load_fitted_model, outside_domain
from leaderboard.running.pretrained import describe_weights, load_pretrained
from leaderboard.running.team import training_team, trains_together
from leaderboard.splitting import Sides, fold_leakage, fold_sides, read_split


def is_origin_busy(job: Job, out: Path, wait: bool) -> bool:
    """Whether another process trains the model that a zero-shot job needs."""
    origin = job.for_task(job.run.task.training_task).run
    if job.weights or origin == job.run or find_run(origin, out):
        return False
    with lock_folder(origin.folder(out), wait) as free:
        return not free


def attempt_job(job: Job, out: Path) -> tuple[Ending, str]:
    """Do one job, unless it is finished; the outcome, and a note for the user."""
    folder = job.run.folder(out)
    try:
        changed = changed_since(job, out)
        if changed is not None and not job.again and not changed:
            remove_checkpoints(folder / "checkpoint.pt")
            return "kept", ""
        note = _train_and_predict(job, out)
    except TrainingStoppedError:
        return "stopped", ""
    except Exception as error:  # a failure of the model itself must not stop the other jobs
        return keep_reason(folder, error)
    if changed:
        reason = "its code has changed" if _follows_code(changed) else f"it differed in {' and '.join(changed)}"
        note += f"; {reason}: the run was repeated and replaced"
    return "done", note


def _run_identity(job: Job, data: Dataset) -> dict[str, Any]:
    """What makes two runs in one folder the same run."""
    task = job.run.task
    split = read_split(data, task.rule)
    return {
        "task": task.name,
        "model": job.run.model,
        "entry": job.model,
        "source": _model_source(job.model),
        "code": model_code(job.model),
        "preset": job.run.preset,
        **(
            {"weights": describe_weights(job.model, job.weights)}
            if job.weights
            else {"settings": _settings(job.configure()), **_frozen_weights(job.model)}
        ),
        "fold": job.run.fold,
        "seed": job.run.seed,
        "precision": current_workspace().precision,
        "split": {"rule": split.rule, "version": split.version, "sha256": split.sha256},
        "data": {"name": data.source.name, "sha256": data.sha256},
    }


def _settings(model: Model) -> dict[str, Any]:
    """The hyper-parameters of a model as run.json holds them."""
    plain: dict[str, Any] = json.loads(json.dumps(model_settings(model), default=str))
    return plain


def _follows_code(changed: Sequence[str]) -> bool:
    """Whether an edit of the model's code explains all fields that have changed."""
    return "code" in changed and {"code", "settings", "source", "weights"}.issuperset(changed)


def changed_since(job: Job, out: Path) -> list[str] | None:
    """What the code of a finished run's model has changed since: nothing, or fields of its identity.

    None where there is no finished run. Raises `InputError` where the folder holds a run that differs otherwise.
    """
    try:
        stored = find_run(job.run, out)
    except InputError as error:  # it was damaged
        if job.again:
            return []
        raise InputError(str(error) if "--again" in str(error) else f"{error}; --again replaces it") from error
    if stored is None:
        return None
    changed = _differences(job, stored)
    if job.again or _follows_code(changed):
        return changed
    if changed:
        raise InputError(
            f"{stored.folder} holds a finished run that differs in {' and '.join(changed)}: "
            "choose another --runs, move that folder away, or replace it with --again"
        )
    return []


def _differences(job: Job, stored: StoredRun) -> list[str]:
    """The fields of the identity in which a stored run differs from a job; older runs have no digest of code."""
    identity = _run_identity(job, load_dataset(job.run.task.source))
    if stored.record.code is None:
        del identity["code"]
    return [key for key, value in identity.items() if stored.record.raw.get(key) != value]


def _train_and_predict(job: Job, out: Path) -> str:
    """Train a model, or load it, predict the test set, and write the run; returns the seconds, for the user."""
    with collect_warnings() as warned:
        seconds, discarded = _make_run(job, out, warned)
    ranks = current_workspace().ranks
    alone = [] if ranks == 1 or trains_together(job) else [f"--ranks {ranks} has no effect: it trains in one process"]
    words = [*alone, *discarded, *(record.getMessage() for record in warned)]
    return "; ".join(dict.fromkeys([seconds, *words]))


def _make_run(job: Job, out: Path, warned: list[logging.LogRecord]) -> tuple[str, list[str]]:
    run, folder = job.run, job.run.folder(out)
    model_class = find_model(job.model)  # before training: a model may change the working folder
    require_model_packages(model_class)
    commit = checkout_commit()
    data = load_dataset(run.task.source)
    identity = _run_identity(job, data)
    check_record(folder, identity)  # before anything that lies there is deleted
    discarded = _resume_or_clear(folder, identity)
    sides = fold_sides(read_split(data, run.task.rule), data, run.task.target, run.fold)
    ids, test = sides.test, data.crystals(sides.test)
    fields: dict[str, Any] = {
        "counts": {"train": len(sides.train), "validate": len(sides.validate), "test": len(ids)},
        "seconds": {},
    }
    workspace = current_workspace()
    context = Context(
        run.seed,
        workspace.device,
        workspace.precision,
        folder,
        workspace.progress(run.title),
        hashlib.sha256(_identity_text(identity).encode()).hexdigest(),
        workspace.should_stop,
    )
    if not job.weights:
        fields["leaks"] = len(fold_leakage(run.task, run.fold, data).shared)
    with measure_memory(fields):
        if job.weights:
            model = load_pretrained(job.model, job.weights)
            if isinstance(model, HasReferences):  # to crystals of the training side, without their labels
                origin = run.task.training_task
                trained = load_dataset(origin.source)
                split = read_split(trained, origin.rule)
                model.refer(trained.crystals(fold_sides(split, trained, origin.target, run.fold).train))
            fields["settings"] = _settings(model)
            fields["outside"] = outside_domain(model, ids, test)
            inside = [i for i, name in enumerate(ids) if name not in fields["outside"]]
            ids, test = tuple(ids[i] for i in inside), [test[i] for i in inside]
        elif run.task.target.model_of:
            model, fields["model_of"] = _load_origin_model(job, out)
        else:
            model = _fit_model(job, context, data, sides, fields)
            restarted = any(getattr(record, "started_again", False) for record in warned)
            fields["resumed"] = fields["resumed"] and not restarted
        clock = _Clock()
        values = model.predict(test)
        hold_standard_streams()  # a model may have closed them
        fields["seconds"]["predict"] = round(clock.seconds(), 3)
    check_predictions(ids, values, run.task.target.kind == "binary")
    fields["parameters"] = _count_parameters(model)
    write_predictions(folder / "predictions.csv", ids, run.task.target.name, values)
    if not run.task.target.model_of:
        with atomic_folder(folder / "model") as temporary:
            model.save(temporary)
    fields["predictions_sha256"] = file_sha256(folder / "predictions.csv")
    fields |= {
        "versions": package_versions(model_class),
        "commit": commit,
        "finished": datetime.now(UTC).isoformat("T", "seconds"),
        "warnings": list(dict.fromkeys([*discarded, *(record.getMessage() for record in warned)])),
    }
    write_record(folder, {**identity, **fields})
    remove_checkpoints(folder / "checkpoint.pt")
    for name in ("started.json", "error.txt"):
        (folder / name).unlink(missing_ok=True)
    seconds = fields["seconds"]
    return f"{seconds['train']:.0f} s" if "train" in seconds else f"{seconds['predict']:.1f} s", discarded


def _fit_model(job: Job, context: Context, data: Dataset, sides: Sides, fields: dict[str, Any]) -> Model:
    """Train the model of a job, and write its seconds, and whether training was resumed, into `fields` of run.json."""
    target = job.run.task.target
    train, validate = (data.labelled(target, ids) for ids in (sides.train, sides.validate))
    model = job.configure()
    assert context.folder is not None
    resumed = bool(checkpoint_files(context.folder / "checkpoint.pt"))
    clock = _Clock()
    with training_team(job, context) as context_of_rank:
        model.fit(train, validate, context_of_rank)
    seconds = clock.seconds()
    if resumed:  # the history has the seconds of the interrupted process
        seconds = max(seconds, sum(read_history(context.folder).get("seconds", ())))
    fields["seconds"]["train"] = round(seconds, 3)
    fields["resumed"] = resumed
    return model


def _count_parameters(model: Model) -> int | None:
    """How many numbers a model says it has learnt; None where it does not say, as a module of torch has a method."""
    with suppress(TypeError):
        return operator.index(getattr(model, "parameters", None))  # type: ignore[arg-type]
    return None


class _Clock:
    """Seconds since it was made, without those for model inputs: an earlier run may have put these into the cache."""

    def __init__(self) -> None:
        self._started = time.monotonic() - seconds_for_inputs()

    def seconds(self) -> float:
        return time.monotonic() - seconds_for_inputs() - self._started


def _load_origin_model(job: Job, out: Path) -> tuple[Model, str]:
    """Load the fitted model that a zero-shot run predicts with, and the sha256 of that run's predictions."""
    origin = job.for_task(job.run.task.training_task)
    stored = find_run(origin.run, out)
    if stored is None:
        raise InputError(f"it needs the model of {origin.run.title}, which is not finished")
    if changed := _differences(origin, stored):
        raise InputError(
            f"it needs the model of {origin.run.title}, and the stored one differs in {' and '.join(changed)}"
        )
    return load_fitted_model(stored, origin.model), stored.record.predictions_sha256


def _identity_text(identity: Mapping[str, Any]) -> str:
    """started.json: the identity of a run that is under way."""
    return json.dumps(identity, indent=1) + "\n"


def _resume_or_clear(folder: Path, identity: Mapping[str, Any]) -> list[str]:
    """Keep checkpoint and history if they belong to this run, and delete everything else that lies in its folder.

    Returns a sentence where a checkpoint was deleted.
    """
    started, text = folder / "started.json", _identity_text(identity)
    resumes = started.is_file() and started.read_bytes() == text.encode()
    checkpoints = {file.name for file in checkpoint_files(folder / "checkpoint.pt")}
    kept = {"started.json", "history.csv", *checkpoints} if resumes else set()
    lost = bool(checkpoints) and not resumes
    (folder / "run.json").unlink(missing_ok=True)  # first: without it the folder is no finished run
    for path in folder.iterdir():
        if path.name not in kept and not path.name.startswith(LOCK):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if not resumes:
        write_text(started, text)
    return ["checkpoint.pt is not of this run: training started again"] if lost else []


def _frozen_weights(model: str) -> dict[str, Any]:
    """The published weights that a model builds on, as run.json holds them; empty for one that has none."""
    frozen = model_frozen(find_model(model))
    return {"weights": asdict(frozen)} if frozen else {}


def _model_source(model: str) -> str:
    """`module:Class` of a model, as run.json holds it."""
    cls = find_model(model)
    return f"{cls.__module__}:{cls.__qualname__}"
