"""Run folders: where they are, what they hold, and how one is told from another.

<root>/<dataset>/<target>@<split>/<preset>/<model>/<fold>-<seed>/
    predictions.csv   id,<target>: all that a score is made from
    run.json          how they came about; written last, so a folder that has it is complete
    history.csv       a row an epoch, for models that have epochs
    model/            the fitted model
    checkpoint.pt, started.json, error.txt    while a run is under way, or after it failed
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from asugnn.atomic_write import file_sha256, write_text
from asugnn.crystal import Floats
from asugnn.errors import InputError
from leaderboard._util import safe_name
from leaderboard.data import PACKAGE, Task, parse_task
from leaderboard.records.predictions_csv import read_predictions
from leaderboard.records.run_record import FORMAT, RunRecord, record_text

PRETRAINED = "pretrained"  # the preset of runs with published weights, which nothing here has trained
SUBMITTED = "submitted"  # the preset of predictions that somebody handed in
UNPRESET = {PRETRAINED, SUBMITTED}  # presets whose rows stand on the board of every other
OWN_RUNS, PACKAGED_RUNS = Path("runs"), PACKAGE / "runs"
LONGEST_REASON = 500  # characters of the reason of a failure that are shown
TRANSIENT_FILES = {
    ".lock",
    "checkpoint.pt",
    "started.json",
    "error.txt",
    "run.json",
}  # not part of a finished run, or itself


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
class Convergence:
    """Convergence of training: `gain` is the share of the validation score that the last 10 % of epochs took off."""

    epochs: int
    gain: float

    @property
    def flat(self) -> bool:
        """Whether longer training with these settings had little to give."""
        return self.gain < 0.01


@dataclass(frozen=True)
class StoredRun:
    """A complete run as it lies on disk."""

    run: Run
    folder: Path
    record: RunRecord

    def read_convergence(self) -> Convergence | None:
        """Read from history.csv how training converged; None for a model without epochs."""
        if not (val := read_history(self.folder).get("val")):
            return None
        before = val[: max(1, round(0.9 * len(val)))]
        return Convergence(len(val), max(0.0, 1 - min(val) / min(before)) if min(before) > 0 else 0.0)

    @property
    def row(self) -> tuple[str, str, str]:
        """Task, preset and model: what a row of a board is about."""
        return self.run.task.name, self.run.preset, self.run.model

    @property
    def packaged(self) -> bool:
        """Whether it comes with the package."""
        return self.folder.is_relative_to(PACKAGED_RUNS)

    @property
    def predictions(self) -> Path:
        """The file that is scored."""
        return self.folder / "predictions.csv"

    def read_predictions(self, ids: Sequence[str]) -> Floats:
        """Read the predictions (n,) of some ids, which must be all that the file has; raises `InputError`."""
        target = self.run.task.target
        name, column = self.record.columns or ("id", target.name)
        return read_predictions(self.predictions, ids, column, target.kind, name)


def read_history(folder: Path) -> dict[str, list[float]]:
    """The columns of history.csv of a run; nothing where there is none."""
    file = folder / "history.csv"
    if not file.is_file():
        return {}
    names, *rows = (line.split(",") for line in file.read_text(encoding="utf-8").split())
    return {name: [float(row[i]) for row in rows] for i, name in enumerate(names)}


def row_name(model: str, overrides: Mapping[str, str]) -> str:
    """The name of a row: the model's, with the fields that were set by hand; always fit to be a folder's name."""
    return safe_name("+".join([base_name(model), *(f"{k}={v}" for k, v in sorted(overrides.items()))]))


def base_name(model: str) -> str:
    """The name of a model on a board: of `folder/file.py:Class` it is `folder.file.Class`, so that files differ."""
    path, colon, name = model.rpartition(":")
    if not colon:
        return model
    file = Path(path)
    if file.is_absolute():
        file = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else Path(file.name)
    return ".".join([*(part for part in file.with_suffix("").parts if part not in {".", ".."}), name])


def row_title(model: str, preset: str) -> str:
    """The name that a board shows for a row."""
    return f"{model}, {preset}" if preset in UNPRESET else model


def find_run(run: Run, root: Path) -> StoredRun | None:
    """The stored run, or None where it is not complete; raises `InputError` where it cannot be read."""
    folder = run.folder(root)
    file = folder / "run.json"
    if not file.exists():
        return None
    return StoredRun(run, folder, RunRecord.read(file))


def list_runs(root: Path | None) -> tuple[list[StoredRun], list[str]]:
    """All complete runs under `root`, and a sentence for each folder that cannot be read as one.

    Without `root` they are those of ./runs and, beside them, those that come with the package (`_add_packaged`). A task
    that is not known gets one sentence, however many runs of it there are.
    """
    if root is None:
        own, faults = list_runs(default_runs_folder())
        return (_add_packaged(own), faults) if _has_own_runs() else (own, faults)
    runs, faults = [], []
    for folder in run_folders(root):
        try:
            runs.append(open_run(folder))
        except InputError as error:
            faults.append(str(error))
    return runs, list(dict.fromkeys(faults))


def _add_packaged(own: Sequence[StoredRun]) -> list[StoredRun]:
    """Add the rows that come with the package to a user's runs, as far as they compare.

    A row of the user replaces that of the same task, preset and model. On a task of which the user has rows, others
    count only if one of these rows has the same folds and seeds: rows are ranked only if these are the same.
    """
    packaged, _ = list_runs(PACKAGED_RUNS)
    mine, theirs = _fold_seeds(own), _fold_seeds(packaged)
    fitting = set()
    for (task, preset, model), pairs in theirs.items():
        others = [p for (t, kind, _), p in mine.items() if t == task and (kind == preset or {kind, preset} & UNPRESET)]
        if (task, preset, model) not in mine and (not others or pairs in others):
            fitting.add((task, preset, model))
    return [*own, *(stored for stored in packaged if stored.row in fitting)]


def _fold_seeds(runs: Sequence[StoredRun]) -> dict[tuple[str, str, str], set[tuple[int, int]]]:
    """Folds and seeds of the runs of each row."""
    rows: dict[tuple[str, str, str], set[tuple[int, int]]] = {}
    for stored in runs:
        rows.setdefault(stored.row, set()).add((stored.run.fold, stored.run.seed))
    return rows


def packaged_note(root: Path | None, runs: Iterable[StoredRun]) -> list[str]:
    """The note about those of some runs that `list_runs` added to the user's; none where it added none."""
    if root is not None or not _has_own_runs():
        return []
    n = len({(s.run.task.source.name, *s.row[1:]) for s in runs if s.packaged})  # as lines of a board
    rows = f"{n} {'row' if n == 1 else 'rows'} stored with the package"
    return [f"includes {rows}; --runs {OWN_RUNS} shows yours alone"] if n else []


def run_folders(root: Path, file: str = "run.json") -> list[Path]:
    """The folders under `root` where runs belong and that hold `file`, in the order of their paths."""
    found = glob("*/*@*/*/*/*-*/" + file, root_dir=root, include_hidden=True)  # noqa: PTH207, twice as fast as that of Path
    return [root / Path(name).parent for name in sorted(found, key=lambda name: name.split("/"))]


def open_run(folder: Path) -> StoredRun:
    """The complete run in a folder, by the folder's path; raises `InputError` where there is none."""
    record = RunRecord.read(folder / "run.json")
    return StoredRun(run_of_folder(folder), folder, record)


def run_of_folder(folder: Path) -> Run:
    """The run that belongs in a folder, by the folder's path; raises `InputError` where none does."""
    try:
        dataset, label, preset, model, number = folder.absolute().parts[-5:]
        target, _, rule = label.partition("@")
        fold, seed = (int(x) for x in number.split("-"))
    except ValueError as error:
        raise InputError(f"{folder} is not where a run belongs: {error}") from error
    try:
        task = parse_task(f"{dataset}/{target}@{rule}")
    except InputError as error:
        raise InputError(f"runs of {dataset}/{label} cannot be used: {error}") from error
    return Run(task, preset, model, fold, seed)


def keep_failure(folder: Path, sentence: str, details: str = "") -> None:
    """Store why a run failed as error.txt: a sentence in the first line, then perhaps a traceback."""
    with suppress(OSError):  # the reason is told on the terminal anyway
        write_text(folder / "error.txt", f"{sentence}\n{details}")


def list_failures(root: Path) -> list[tuple[Run, str]]:
    """The runs under `root` that failed and were not repeated, each with the sentence that says why."""
    failures = []
    for folder in run_folders(root, "error.txt"):
        with suppress(InputError, OSError):
            if not (folder / "run.json").exists():
                with (folder / "error.txt").open(encoding="utf-8", errors="replace") as file:
                    failures.append((run_of_folder(folder), file.readline(LONGEST_REASON).strip()))
    return failures


def write_record(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write run.json, which makes the run complete, with the digests of the files beside it.

    `fields` are those of `RunRecord` but for format, files and sha256; raises `InputError` for one that is wrong.
    """
    plain = {k: v for k, v in fields.items() if k not in {"format", "files", "sha256"}}
    raw = {"format": FORMAT, **plain, "files": file_digests(folder)}
    RunRecord.parse(raw, str(folder / "run.json"))
    write_text(folder / "run.json", record_text(raw))


def file_digests(folder: Path) -> dict[str, str]:
    """sha256 of every file of a run but run.json, by its path in the folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and _belongs_to_run(p.relative_to(folder)))
    return {p.relative_to(folder).as_posix(): file_sha256(p) for p in files}


def _belongs_to_run(path: Path) -> bool:
    """Whether a file is part of a finished run: hidden ones are what an interrupted process left behind."""
    return path.name not in TRANSIENT_FILES and not path.parts[0].startswith(".")


def default_runs_folder() -> Path:
    """Runs of this folder if there are any, else those that come with the package."""
    return OWN_RUNS if _has_own_runs() else PACKAGED_RUNS


def _has_own_runs() -> bool:
    return OWN_RUNS.is_dir() and OWN_RUNS.resolve() != PACKAGED_RUNS
