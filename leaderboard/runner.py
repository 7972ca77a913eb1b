"""Train and predict: from a task and a model to a folder with predictions.csv and run.json. Scoring starts there."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asugnn import Context, Crystal, InputError, Labelled, Model
from asugnn.atomic import digest, write_text
from asugnn.crystal import Floats
from asugnn.files import read
from asugnn.model import Precision, Progress, configured, model_class, settings, silent, variants
from leaderboard import datasets, leaks, pretrained, split, store, submission
from leaderboard.datasets import Dataset
from leaderboard.store import PRETRAINED, Record, Run
from leaderboard.tasks import Task

Outcome = Literal["done", "kept", "failed"]
Report = Callable[[Run, Outcome, str], None]


@dataclass(frozen=True)
class Job:
    """A run and what it takes to make it: the model's full name and the fields set by hand, as text."""

    run: Run
    model: str
    overrides: Mapping[str, str]
    weights: str = ""  # published weights, by name or path, instead of training

    def configured(self) -> Model:
        """The unfitted model."""
        return configured(self.model, self.run.preset, self.overrides)

    def on(self, task: Task) -> Job:
        """The same for another task."""
        return dataclasses.replace(self, run=dataclasses.replace(self.run, task=task))


@dataclass(frozen=True)
class Bench:
    """Where and on what the jobs run."""

    out: Path
    data_dir: Path | None
    device: str
    precision: Precision
    progress: Callable[[str], Progress]  # from the title of a run


def plan(
    tasks: Sequence[Task],
    models: Sequence[str],
    preset: str,
    folds: Sequence[int] | None,
    seeds: Sequence[int],
    overrides: Mapping[str, Mapping[str, str]],
    data_dir: Path | None,
    allow_leaks: bool = False,
    progress: Progress = silent,
    ablation: bool = False,
) -> list[Job]:
    """All jobs, model by model; everything that can be wrong with the request raises `InputError` here.

    A zero-shot task brings the task whose model it needs, ahead of it. Without `folds`, all of each split. A split
    that tests structures which also train is wrong, unless `allow_leaks`. With `ablation`, the variants that a model's
    paper compares take the place of the model.
    """
    needed = dict.fromkeys(t for task in tasks for t in (task.trained, task))
    found = _folds(needed, folds, data_dir)
    _refuse_leaks(found, data_dir, allow_leaks, progress)
    jobs = []
    for model in models:
        for variant in variants(model, preset) if ablation else [{}]:
            chosen = {**variant, **overrides.get(model, {})}
            configured(model, preset, chosen)
            name = store.board_name(model, chosen)
            jobs += [Job(Run(t, preset, name, f, s), model, chosen) for f, t in found for s in seeds]
    return jobs


def _folds(tasks: Iterable[Task], folds: Sequence[int] | None, data_dir: Path | None) -> list[tuple[int, Task]]:
    """The folds of some tasks, fold by fold; raises `InputError` where one cannot be had."""
    found = []
    for task in tasks:
        data = datasets.load(task.source, data_dir)
        parts = split.load(data, task.rule)
        for fold in parts.folds if folds is None else folds:
            split.sides(parts, data, task.target, fold)
            found.append((fold, task))
    return sorted(found, key=lambda pair: pair[0])


def _refuse_leaks(
    folds: Iterable[tuple[int, Task]], data_dir: Path | None, allow_leaks: bool, progress: Progress
) -> None:
    """Raise `InputError` where a tested crystal is, as a structure, also one that trains or validates."""
    for fold, task in folds:
        data = datasets.load(task.source, data_dir)
        leaking = leaks.of(task, fold, data, leaks.same(data, progress))
        if leaking.shared and not allow_leaks:
            tested, learned = next(iter(leaking.shared.items()))
            raise InputError(
                f"the split leaks: {leaking}, such as '{tested}', which is '{learned}'; take another split, or run it "
                f"all the same with --allow-leaks, and the board shows the count: `bench data audit {task.source.name}`"
            )


def plan_pretrained(
    tasks: Sequence[Task], models: Sequence[str], weights: str, folds: Sequence[int] | None, data_dir: Path | None
) -> list[Job]:
    """The jobs of published weights, for the tasks whose target they predict; raises `InputError`.

    `weights` is a name, `all`, or a path; `models` are all models that may have weights of that name, or the one
    that a path belongs to.
    """
    known = [(m, n, w) for m in models for n, w in pretrained.published(m).items()]
    chosen = known if weights == "all" else [k for k in known if k[1] == weights]
    if chosen:
        wanted = [(m, m, n, [t for t in tasks if t.trained.target.name == about.target]) for m, n, about in chosen]
        if not any(mine for *_, mine in wanted):
            targets = ", ".join(sorted({about.target for _, _, about in chosen}))
            raise InputError(f"--pretrained {weights} predicts {targets}: choose a task of that target")
    else:
        model = pretrained.owner(models, weights)
        row = store.board_name(model, {"weights": Path(weights).resolve().name})
        wanted = [(model, row, weights, list(tasks))]
    return [
        Job(Run(t, PRETRAINED, row, fold, 0), model, {}, name)
        for model, row, name, mine in wanted
        for fold, t in _folds(mine, folds, data_dir)
    ]


def work(jobs: Sequence[Job], bench: Bench, report: Report) -> dict[Outcome, int]:
    """Do what is not done yet. A job that fails does not stop the others.

    A job that another process is at is put off, and waited for when nothing else is left.
    """
    counts: dict[Outcome, int] = {"done": 0, "kept": 0, "failed": 0}
    queue, busy = deque(jobs), 0
    while queue:
        job = queue.popleft()
        with store.locked(job.run.folder(bench.out), wait=busy > len(queue)) as mine:
            if not mine or _others_train(job, bench, wait=busy > len(queue)):
                queue.append(job)
                busy += 1
                continue
            busy = 0
            outcome, note = _attempt(job, bench)
        counts[outcome] += 1
        report(job.run, outcome, note)
    return counts


def _others_train(job: Job, bench: Bench, wait: bool) -> bool:
    """Whether another process is at the model that a zero-shot job needs."""
    origin = job.on(job.run.task.trained).run
    if job.weights or origin == job.run or store.complete(origin, bench.out):
        return False
    with store.locked(origin.folder(bench.out), wait) as free:
        return not free


def crystals(files: Sequence[Path]) -> dict[str, Crystal]:
    """The crystals in some files, by id; raises `InputError`, also where an id comes twice."""
    found: dict[str, Crystal] = {}
    for file in files:
        for name, crystal in read(file).items():
            if name in found:
                raise InputError(f"id '{name}' comes twice, the second time from {file}: rename one of the files")
            found[name] = crystal
    return found


def predict(model: Model, files: Sequence[Path]) -> tuple[dict[str, float], dict[str, str]]:
    """What a fitted model predicts for the crystals in some files, by id; and why it does not, for those it cannot."""
    found = crystals(files)
    reasons = _outside(model, tuple(found), list(found.values()))
    inside = {name: crystal for name, crystal in found.items() if name not in reasons}
    values = model.predict(list(inside.values())).tolist() if inside else []
    return dict(zip(inside, values, strict=True)), reasons


def stored(folder: Path) -> tuple[str, Model]:
    """The target of a stored run, and its fitted model."""
    record = store.at(folder)
    return record.run.task.target.name, _fitted(record)


def _attempt(job: Job, bench: Bench) -> tuple[Outcome, str]:
    folder = job.run.folder(bench.out)
    (folder / "error.txt").unlink(missing_ok=True)
    try:
        if _kept(job, bench):
            return "kept", ""
        return "done", _run(job, bench)
    except InputError as error:
        return "failed", str(error)
    except Exception as error:  # a model's own failure: told, kept, and the others go on
        write_text(folder / "error.txt", traceback.format_exc())
        return "failed", f"{type(error).__name__}: {error}; the traceback is in {folder / 'error.txt'}"


def _identity(job: Job, bench: Bench, data: Dataset) -> dict[str, Any]:
    """What makes two runs in one folder the same run."""
    task = job.run.task
    parts = split.load(data, task.rule)
    return {
        "task": task.name,
        "model": job.run.model,
        "entry": job.model,
        "source": _source(job.model),
        "preset": job.run.preset,
        **(
            {"weights": pretrained.described(job.model, job.weights)}
            if job.weights
            else {"settings": _settings(job.configured())}
        ),
        "fold": job.run.fold,
        "seed": job.run.seed,
        "precision": bench.precision,
        "split": {"rule": parts.rule, "version": parts.version, "sha256": parts.sha256},
        "data": {"name": data.source.name, "sha256": data.sha256},
    }


def _settings(model: Model) -> dict[str, Any]:
    """The hyper-parameters of a model as run.json holds them."""
    plain: dict[str, Any] = json.loads(json.dumps(settings(model), default=str))
    return plain


def _kept(job: Job, bench: Bench) -> bool:
    """Whether the run is complete; raises `InputError` where the folder holds another run than this one."""
    record = store.complete(job.run, bench.out)
    if record is None:
        return False
    identity = _identity(job, bench, datasets.load(job.run.task.source, bench.data_dir))
    changed = [key for key, value in identity.items() if record.about.get(key) != value]
    if changed:
        raise InputError(
            f"{record.folder} holds a finished run with another {' and '.join(changed)}: "
            "choose another --out, or move that folder away"
        )
    (record.folder / "checkpoint.pt").unlink(missing_ok=True)
    return True


def _run(job: Job, bench: Bench) -> str:
    run, folder = job.run, job.run.folder(bench.out)
    commit = _commit()
    data = datasets.load(run.task.source, bench.data_dir)
    identity = _identity(job, bench, data)
    _resume_or_clear(folder, identity)
    sides = split.sides(split.load(data, run.task.rule), data, run.task.target, run.fold)
    ids, test = sides.test, data.crystals(sides.test)
    about: dict[str, Any] = {
        "counts": {"train": len(sides.train), "validate": len(sides.validate), "test": len(ids)},
        "seconds": {},
    }
    context = Context(run.seed, bench.device, bench.precision, folder, bench.progress(run.title))
    if not job.weights:
        about["leaks"] = len(leaks.of(run.task, run.fold, data, leaks.same(data, context.progress)).shared)
    with _measured(about):
        if job.weights:
            model = pretrained.load(job.model, job.weights)
            if hasattr(model, "refer"):  # to crystals of the training side, without their labels
                origin = run.task.trained
                of = datasets.load(origin.source, bench.data_dir)
                model.refer(of.crystals(split.sides(split.load(of, origin.rule), of, origin.target, run.fold).train))
            about["settings"] = _settings(model)
            about["outside"] = _outside(model, ids, test)
            inside = [i for i, name in enumerate(ids) if name not in about["outside"]]
            ids, test = tuple(ids[i] for i in inside), [test[i] for i in inside]
        elif run.task.target.model_of:
            model, about["model_of"] = _trained(job, bench)
        else:
            model = _fit(job, context, data, sides, about)
        started = time.monotonic()
        values = model.predict(test)
        about["seconds"]["predict"] = round(time.monotonic() - started, 3)
    _check(run, ids, values)
    about["parameters"] = getattr(model, "parameters", None)
    submission.write(folder / "predictions.csv", ids, run.task.target.name, values)
    if not run.task.target.model_of:
        _save(model, folder / "model")
    about["predictions_sha256"] = digest(folder / "predictions.csv")
    about |= {"versions": _versions(job), "commit": commit, "finished": datetime.now(UTC).isoformat("T", "seconds")}
    store.write_record(folder, {**identity, **about})
    for name in ("checkpoint.pt", "started.json"):
        (folder / name).unlink(missing_ok=True)
    seconds = about["seconds"]
    return f"{seconds['train']:.0f} s" if "train" in seconds else f"{seconds['predict']:.1f} s"


def _outside(model: Model, ids: Sequence[str], crystals: Sequence[Crystal]) -> dict[str, str]:
    """Ids of the crystals that the model says it cannot predict, with its reasons."""
    reasons: Mapping[int, str] = model.outside(crystals) if hasattr(model, "outside") else {}
    return {ids[i]: reason for i, reason in reasons.items()}


def _fit(job: Job, context: Context, data: Dataset, ids: split.Sides, about: dict[str, Any]) -> Model:
    target = job.run.task.target
    train, validate = (_labelled(data, target, side) for side in (ids.train, ids.validate))
    model = job.configured()
    assert context.folder is not None
    resumed = (context.folder / "checkpoint.pt").exists()
    started = time.monotonic()
    model.fit(train, validate, context)
    seconds = time.monotonic() - started
    if resumed:  # what the killed process spent is in the history
        seconds = max(seconds, sum(store.history(context.folder).get("seconds", ())))
    about["seconds"]["train"] = round(seconds, 3)
    about["resumed"] = resumed
    return model


def _trained(job: Job, bench: Bench) -> tuple[Model, str]:
    """The fitted model of the task that a zero-shot task takes its models from."""
    origin = job.on(job.run.task.trained)
    record = store.complete(origin.run, bench.out)
    if record is None:
        raise InputError(f"it needs the model of {origin.run.title}, which is not there")
    return _fitted(record), record.about["predictions_sha256"]


def _fitted(record: Record) -> Model:
    """The model of a stored run."""
    if not (record.folder / "model").is_dir():
        raise InputError(f"{record.folder} has no folder 'model': delete its run.json, and the run is made again")
    return model_class(record.about["entry"]).load(record.folder / "model")


def _labelled(data: Dataset, target: datasets.Target, ids: tuple[str, ...]) -> Labelled:
    y = data.labels(target)[[data.rows[i] for i in ids]]
    return Labelled(ids, data.crystals(ids), y, target.kind)


def _check(run: Run, ids: Sequence[str], values: Floats) -> None:
    if np.shape(values) != (len(ids),):
        raise InputError(f"it predicted an array of shape {np.shape(values)} for {len(ids)} crystals")
    bad = ~np.isfinite(values)
    if run.task.target.kind == "binary":
        bad |= (values < 0) | (values > 1)
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(f"it predicted {values[i]} for {bad.sum()} crystals, the first of them '{ids[i]}'")


def _save(model: Model, folder: Path) -> None:
    """Save into a folder that appears whole."""
    temporary = Path(tempfile.mkdtemp(prefix=".model-", dir=folder.parent))
    try:
        model.save(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.chmod(0o755)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _resume_or_clear(folder: Path, identity: Mapping[str, Any]) -> None:
    """Keep a checkpoint only if it belongs to this very run."""
    started = folder / "started.json"
    text = json.dumps(identity, indent=1) + "\n"
    if not started.exists() or started.read_text(encoding="utf-8") != text:
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        write_text(started, text)


@contextmanager
def _measured(about: dict[str, Any]) -> Iterator[None]:
    """Peak memory of the block, and the device on which it worked: seen, not declared."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    with suppress(OSError):
        clear.write_text("5")  # Linux: the high-water mark starts anew
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    yield
    torch = sys.modules.get("torch")
    on_gpu = bool(torch and torch.cuda.is_available() and torch.cuda.max_memory_allocated())
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        about["peak_memory_mb"] = int(line.split()[1]) // 1024
    threads = torch.get_num_threads() if torch else os.cpu_count()
    if torch and on_gpu:
        about["device"] = {"kind": "cuda", "name": torch.cuda.get_device_name(), "threads": threads}
        about["peak_device_memory_mb"] = int(torch.cuda.max_memory_allocated() // 2**20)
    else:
        about["device"] = {"kind": "cpu", "name": processor(), "threads": threads}


def device(name: str) -> str:
    """`auto` to cuda where there is a GPU that works, else cpu; raises `InputError` for one that is not there."""
    if name == "cpu" or (name == "auto" and not shutil.which("nvidia-smi")):
        return "cpu"  # without torch, which takes seconds to import
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise InputError("--device cuda: this machine has no GPU that PyTorch can use; leave --device out")
    return "cpu"


def processor() -> str:
    """The name of the processor, for people."""
    info = Path("/proc/cpuinfo")
    names = [x for x in info.read_text().splitlines() if x.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


def _source(model: str) -> str:
    cls = model_class(model)
    return f"{cls.__module__}:{cls.__qualname__}"


def _versions(job: Job) -> dict[str, str]:
    """Python, this package, the package that brings the model, and the numerical packages that were loaded."""
    loaded = {"numpy": "numpy", "torch": "torch", "torch_geometric": "torch-geometric", "sklearn": "scikit-learn"}
    loaded |= {name: name for name in ("matgl", "alignn", "pymatgen", "spglib")}
    names = ["asugnn-bench", *(package for module, package in loaded.items() if module in sys.modules)]
    out = {"python": platform.python_version()}
    top = model_class(job.model).__module__.partition(".")[0]
    for name in [*names, *importlib.metadata.packages_distributions().get(top, [])]:
        out[name] = importlib.metadata.version(name)
    return out


@functools.cache  # what runs is what was loaded, whatever is committed meanwhile
def _commit() -> str | None:
    """The commit of a checkout, `+` appended where tracked files differ from it."""
    home = datasets.PACKAGE.parent
    if not (home / ".git").exists() or not shutil.which("git"):
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(home), *words], capture_output=True, text=True, check=False).stdout

    head = git("rev-parse", "--short=12", "HEAD").strip()
    return (head + ("+" if git("status", "--porcelain", "-uno").strip() else "")) or None
