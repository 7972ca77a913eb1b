"""Run folders: where they are, what they hold, and how one is told from another.

<root>/<dataset>/<target>@<split>/<preset>/<model>/<fold>-<seed>/
    predictions.csv   id,<target>: all that a score is made from
    run.json          how they came about; written last, so a folder that has it is complete
    history.csv       a row an epoch, for models that have epochs
    model/            the fitted model
    checkpoint.pt, checkpoint.previous.pt, started.json, error.txt    while a run is under way, or after it failed
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from asugnn.atomic_write import write_text
from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.limits import HISTORY_BYTES
from asugnn.reading import check_file_size, read_csv_rows, reading
from leaderboard._util import safe_name
from leaderboard.data import PACKAGE, Task, parse_task
from leaderboard.records.comparable_runs import rows_to_add
from leaderboard.records.predictions_csv import read_predictions
from leaderboard.records.run_files import compare_digests, file_digest, files_below
from leaderboard.records.run_record import RESTORE, RunRecord

PRETRAINED = "pretrained"  # the preset of runs with published weights, which nothing here has trained
SUBMITTED = "submitted"  # the preset of predictions that somebody handed in
PUBLISHED = "published"  # the preset of predictions that a public board stores
UNPRESET = {PRETRAINED, SUBMITTED, PUBLISHED}  # presets whose rows stand on the board of every other
OWN_RUNS, PACKAGED_RUNS = Path("runs"), PACKAGE / "runs"
LONGEST_REASON = 500  # characters of the reason of a failure that are shown
FOLD_SEED = re.compile(r"(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})")  # the name of a run's folder: one spelling a run


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
        return home / self.preset / self.model / self.fold_seed

    @property
    def fold_seed(self) -> str:
        """The name of its folder: `<fold>-<seed>`."""
        return f"{self.fold}-{self.seed}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.model} on {self.task.name}, fold {self.fold}, seed {self.seed}"


@dataclass(frozen=True)
class Convergence:
    """Convergence of training: `gain` is the share of the validation score that the last 10 % of epochs took off.

    They are one epoch at least; a training of a single one has everything to gain.
    """

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
        """Read from history.csv how training converged; None for a model without epochs. Raises `InputError`.

        An epoch whose score is not finite, because training diverged, counts and has no part in the gain.
        """
        if not (val := self.read_history().get("val")):
            return None
        if len(val) == 1:
            return Convergence(1, 1.0)
        earlier = val[: min(round(0.9 * len(val)), len(val) - 1)]
        before, last = (min(filter(math.isfinite, part), default=math.inf) for part in (earlier, val))
        if last < before == math.inf:  # all that it has learnt is of the last epochs
            return Convergence(len(val), 1.0)
        return Convergence(len(val), min(1.0, max(0.0, 1 - last / before)) if 0 < before < math.inf else 0.0)

    @property
    def row(self) -> tuple[str, str, str]:
        """Task, preset and model: what a row of a board is about."""
        return self.run.task.name, self.run.preset, self.run.model

    @property
    def packaged(self) -> bool:
        """Whether it comes with the package."""
        return self.folder.absolute().is_relative_to(PACKAGED_RUNS)

    @property
    def predictions(self) -> Path:
        """The file that is scored."""
        return self.folder / "predictions.csv"

    def read_predictions(self, ids: Sequence[str]) -> Floats:
        """Read the predictions (n,) of some ids, which must be all that the file has; raises `InputError`."""
        target = self.run.task.target
        if self.predictions.is_file() and file_digest(self.predictions) != self.record.predictions_sha256:
            raise InputError(f"{self.predictions} was changed: its sha256 is not that in run.json; {RESTORE}")
        name, column = self.record.columns or ("id", target.name)
        return read_predictions(self.predictions, ids, column, target.kind, name)

    def read_history(self) -> dict[str, list[float]]:
        """Read the columns of history.csv, nothing where there is none; raises `InputError` if it was changed."""
        self.check_files("history.csv")
        return read_history(self.folder)

    def check_files(self, path: str) -> None:
        """Raise `InputError` if a file of the run, or one in a folder of it, is not the one that run.json lists.

        Records of format 1 list no files, so nothing is known of theirs.
        """
        if self.record.format < 2:
            return
        start = self.folder / path
        files = [start] if start.is_file() else files_below(start)
        present = {f.relative_to(self.folder).as_posix(): file_digest(f) for f in files}
        stated = {n: d for n, d in self.record.files.items() if n == path or n.startswith(f"{path}/")}
        for name, fault in compare_digests(self.folder, present, stated):
            raise InputError(f"{fault}; {RESTORE if name in stated else 'remove it'}")


def read_history(folder: Path) -> dict[str, list[float]]:
    """The columns of history.csv of a run; nothing where there is none. Raises `InputError` for a damaged one."""
    file = folder / "history.csv"
    if not os.path.lexists(file):
        return {}
    with reading(file, "the history of training", "delete run.json there and repeat `bench run`"):
        check_file_size(file, HISTORY_BYTES)
        names, *rows = read_csv_rows(file)
        columns: dict[str, list[float]] = {name: [] for name in names}
        for number, row in enumerate(rows, 2):
            if len(row) != len(names):
                raise ValueError(f"line {number} has {len(row)} cells instead of {len(names)}")
            for name, cell in zip(names, row, strict=True):
                try:
                    columns[name].append(float(cell))
                except ValueError as error:
                    raise ValueError(f"line {number}: '{cell[:40]}' is not a number") from error
        return columns


def row_name(model: str, overrides: Mapping[str, str]) -> str:
    """The name of a row: the model's, with the fields that were set by hand; always fit to be a folder's name."""
    return safe_name("+".join([base_name(model), *(f"{k}={v}" for k, v in sorted(overrides.items()))]))


def base_name(model: str) -> str:
    """The name of a model on a board: of `folder/file.py:Class` it is `folder.file.Class`, so that files differ."""
    path, colon, name = model.rpartition(":")
    file = Path(path)
    if not colon or not file.name:
        return model
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

    Without `root` they are those of ./runs and, beside them, those that come with the package (`rows_to_add`). A task
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
    """Add the rows that come with the package to a user's runs."""
    packaged, _ = list_runs(PACKAGED_RUNS)
    added = rows_to_add(_fold_seeds(own), _fold_seeds(packaged), UNPRESET)
    return [*own, *(stored for stored in packaged if stored.row in added)]


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
    """The complete run in a folder, by the folder's path; raises `InputError` where there is none.

    A run whose record says that it belongs in another folder is refused: a copy of a run with the name of another seed,
    for one, would be taken for a second training.
    """
    record, run = RunRecord.read(folder / "run.json"), run_of_folder(folder)
    places = {"task": run.task.name, "model": run.model, "preset": run.preset, "fold": run.fold, "seed": run.seed}
    for key, value in places.items():
        if (stated := getattr(record, key)) != value:
            raise InputError(f"{folder / 'run.json'} says {key} {stated}, and lies where {value} belongs: move it back")
    return StoredRun(run, folder, record)


def run_of_folder(folder: Path) -> Run:
    """The run that belongs in a folder, by the folder's path; raises `InputError` where none does."""
    parts = folder.absolute().parts[-5:]
    if len(parts) != 5 or not (match := FOLD_SEED.fullmatch(parts[4])):
        raise InputError(f"{folder} is not where a run belongs: the name of its folder is not FOLD-SEED, such as 0-0")
    dataset, label, preset, model, _ = parts
    target, _, rule = label.partition("@")
    fold, seed = (int(x) for x in match.groups())
    try:
        task = parse_task(f"{dataset}/{target}@{rule}")
    except InputError as error:
        raise InputError(f"runs of {dataset}/{label} cannot be used: {error}") from error
    if label != (right := f"{task.target.name}@{task.rule}"):  # a copy would be taken for a second training
        raise InputError(f"runs of {dataset}/{label} cannot be used: the name of their folder must be {right}")
    return Run(task, preset, model, fold, seed)


def keep_failure(folder: Path, sentence: str, details: str = "") -> None:
    """Store why a run failed as error.txt: a sentence in the first line, then perhaps a traceback."""
    with suppress(OSError):  # the reason is told on the terminal anyway
        text = f"{sentence}\n{details}".encode("utf-8", "backslashreplace")  # a reason may hold halves of characters
        write_text(folder / "error.txt", text.decode("utf-8"))


def list_failures(root: Path | None) -> list[tuple[Run, Path, str]]:
    """The runs that failed and were not repeated, each with its folder and the sentence that says why.

    They are those under `root`, or without it in the folder that `list_runs` takes first.
    """
    failures = []
    root = root or default_runs_folder()
    for folder in run_folders(root, "error.txt"):
        with suppress(InputError, OSError):
            if not os.path.lexists(folder / "run.json") and (folder / "error.txt").is_file():
                with (folder / "error.txt").open(encoding="utf-8", errors="replace") as file:
                    failures.append((run_of_folder(folder), folder, file.readline(LONGEST_REASON).strip()))
    return failures


def default_runs_folder() -> Path:
    """Runs of this folder if there are any, else those that come with the package."""
    return OWN_RUNS if _has_own_runs() else PACKAGED_RUNS


def _has_own_runs() -> bool:
    return OWN_RUNS.is_dir() and OWN_RUNS.resolve() != PACKAGED_RUNS
