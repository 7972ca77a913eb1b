"""Run folders: where they are, what they hold, and how one is told from another.

<root>/<dataset>/<target>@<split>/<preset>/<model>/<fold>-<seed>/
    predictions.csv   id,<target>: all that a score is made from
    run.json          how they came about; written last, so a folder that has it is complete
    history.csv       a row an epoch, for models that have epochs
    model/            the fitted model
    checkpoint.pt, started.json, error.txt    while a run is under way, or after it failed
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asugnn.atomic import digest, write_text
from asugnn.crystal import Floats
from asugnn.errors import InputError
from leaderboard import datasets, submission, tasks
from leaderboard.tasks import Task

FORMAT = 2  # since 2, run.json holds the digests of all files of its run, and its own
READABLE = (1, 2)
PRETRAINED = "pretrained"  # the preset of runs with published weights, which nothing here has trained
SUBMITTED = "submitted"  # the preset of predictions that somebody handed in
EVERYWHERE = {PRETRAINED, SUBMITTED}  # presets whose rows stand on the board of every other
PASSING = {".lock", "checkpoint.pt", "started.json", "error.txt", "run.json"}  # not part of a finished run, or itself
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")


@dataclass(frozen=True)
class Run:
    """One model, preset, task, fold and seed. `model` is its name on the board."""

    task: Task
    preset: str
    model: str
    fold: int
    seed: int

    def folder(self, root: Path) -> Path:
        """Where this run lives under `root`."""
        task = self.task
        home = root / task.source.name / f"{task.target.name}@{task.rule}"
        return home / self.preset / self.model / f"{self.fold}-{self.seed}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.model} on {self.task.name}, fold {self.fold}, seed {self.seed}"


@dataclass(frozen=True)
class Curve:
    """How far training came: `gain` is the share of the validation score that the last tenth of its epochs took off."""

    epochs: int
    gain: float

    @property
    def flat(self) -> bool:
        """Whether longer training with these settings had little to give."""
        return self.gain < 0.01


@dataclass(frozen=True)
class Record:
    """A complete run as it lies on disk."""

    run: Run
    folder: Path
    about: Mapping[str, Any]  # run.json

    @property
    def curve(self) -> Curve | None:
        """How far training came; None for a model without epochs."""
        if not (val := history(self.folder).get("val")):
            return None
        before = val[: max(1, round(0.9 * len(val)))]
        return Curve(len(val), max(0.0, 1 - min(val) / min(before)) if min(before) > 0 else 0.0)

    @property
    def predictions(self) -> Path:
        """The file that is scored."""
        return self.folder / "predictions.csv"

    def read(self, ids: Sequence[str]) -> Floats:
        """The predictions (n,) of some ids, which must be all that the file has; raises `InputError`."""
        target = self.run.task.target
        name, column = self.about.get("columns", ("id", target.name))
        return submission.read(self.predictions, ids, column, target.kind, name)


def history(folder: Path) -> dict[str, list[float]]:
    """The columns of history.csv of a run; nothing where there is none."""
    file = folder / "history.csv"
    if not file.is_file():
        return {}
    names, *rows = (line.split(",") for line in file.read_text(encoding="utf-8").split())
    return {name: [float(row[i]) for row in rows] for i, name in enumerate(names)}


def board_name(model: str, overrides: Mapping[str, str]) -> str:
    """The name of a row: the model's, with what was set by hand; always fit to be a folder's name."""
    return safe("+".join([model.rpartition(":")[2], *(f"{k}={v}" for k, v in sorted(overrides.items()))]))


def safe(name: str) -> str:
    """A name that fits a path and a link: itself where it does, else what fits of it, and a digest."""
    if SAFE.fullmatch(name) and len(name) <= 100:
        return name
    short = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[:40]}-{short}".lstrip("-")


def title(model: str, preset: str) -> str:
    """The name that a board shows for a row."""
    return f"{model}, {preset}" if preset in EVERYWHERE else model


def complete(run: Run, root: Path) -> Record | None:
    """The stored run, or None where it is not complete; raises `InputError` where it cannot be read."""
    folder = run.folder(root)
    file = folder / "run.json"
    if not file.exists():
        return None
    return Record(run, folder, _read(file))


def records(root: Path) -> tuple[list[Record], list[str]]:
    """All complete runs under `root`, and a sentence for each folder that cannot be read as one."""
    found, faults = [], []
    for file in sorted(root.glob("*/*@*/*/*/*-*/run.json")):
        try:
            found.append(at(file.parent))
        except InputError as error:
            faults.append(str(error))
    return found, faults


def at(folder: Path) -> Record:
    """The complete run in a folder, by the folder's path; raises `InputError` where there is none."""
    about = _read(folder / "run.json")
    try:
        dataset, label, preset, model, number = folder.absolute().parts[-5:]
        target, _, rule = label.partition("@")
        fold, seed = (int(x) for x in number.split("-"))
        return Record(Run(tasks.parse(f"{dataset}/{target}@{rule}"), preset, model, fold, seed), folder, about)
    except (InputError, ValueError) as error:
        raise InputError(f"{folder} is not where a run belongs: {error}") from error


def write_record(folder: Path, about: Mapping[str, Any]) -> None:
    """Write run.json, which makes the run complete, with the digests of the files beside it."""
    plain = {k: v for k, v in about.items() if k not in {"format", "files", "sha256"}}
    write_text(folder / "run.json", record_text({"format": FORMAT, **plain, "files": digests(folder)}))


def record_text(about: Mapping[str, Any]) -> str:
    """run.json as it is written: its last entry is the sha256 of what it says without that entry."""
    plain = {k: v for k, v in about.items() if k != "sha256"}
    sha256 = hashlib.sha256(json.dumps(plain).encode()).hexdigest()
    return json.dumps({**plain, "sha256": sha256}, indent=1) + "\n"


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file of a run but run.json, by its path in the folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in PASSING)
    return {p.relative_to(folder).as_posix(): digest(p) for p in files}


@contextmanager
def locked(folder: Path, wait: bool) -> Iterator[bool]:
    """Hold the folder against other processes; False where another holds it and `wait` is not set.

    The lock ends with the process that holds it, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def default_root() -> Path:
    """Runs of this folder if there are any, else those that come with the package."""
    return Path("runs") if Path("runs").is_dir() else datasets.PACKAGE / "runs"


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise InputError(f"{file.parent} is no finished run: it has no run.json")
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        if about["format"] not in READABLE:
            raise InputError(f"{file} has format {about['format']}, this version reads {READABLE}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read as the record of a run: {error}") from error
    return about  # type: ignore[no-any-return]
