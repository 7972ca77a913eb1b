"""The boards that the site shows, which are rows ranked together, and the runs behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asugnn.crystal import Floats
from asugnn.errors import InputError
from leaderboard._util import safe_name
from leaderboard.board import OTHERS, GroundTruth, Row, load_ground_truth, rank_rows
from leaderboard.data import DEFAULT_RULE, Source, Task, data_file, list_sources, load_dataset
from leaderboard.records import PRETRAINED, UNPRESET, Run, StoredRun, list_runs
from leaderboard.site.formatting import five_digits, html_formula


@dataclass(frozen=True)
class SiteBoard:
    """The rows of a data set's tasks under one split and preset, as `bench leaderboard` has them."""

    source: Source
    rule: str
    preset: str
    tasks: tuple[Task, ...]  # those that have rows
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """As a task of it is typed: `open-dft`, `mp-2018@formula`."""
        return self.source.name + ("" if self.rule == DEFAULT_RULE else f"@{self.rule}")

    def task_rows(self, task: Task) -> list[Row]:
        """The rows of one task, best first."""
        return [row for row in self.rows if row.task == task.name]


@dataclass(frozen=True)
class SiteData:
    """All boards of a site, and the stored runs behind them."""

    root: Path
    boards: tuple[SiteBoard, ...]
    absent: tuple[str, ...]  # tasks whose labels are not available
    notes: tuple[str, ...]  # sentences on runs that could not be used
    records: tuple[StoredRun, ...]

    @cached_property
    def _runs(self) -> Mapping[tuple[str, str, str], list[StoredRun]]:
        out: dict[tuple[str, str, str], list[StoredRun]] = {}
        for record in self.records:
            out.setdefault((record.run.task.name, record.run.preset, record.run.model), []).append(record)
        return out

    def runs(self, row: Row) -> Sequence[StoredRun]:
        """The runs that a row summarises."""
        return self._runs[row.task, row.preset, row.model]

    @cached_property
    def _answers(self) -> dict[tuple[str, int], GroundTruth]:
        return {}

    def ground_truth(self, run: Run) -> GroundTruth:
        """What the predictions of a run are held against."""
        key = run.task.name, run.fold
        if key not in self._answers:
            self._answers[key] = load_ground_truth(run.task, run.fold)
        return self._answers[key]

    @cached_property
    def _read(self) -> dict[Path, tuple[GroundTruth, Floats]]:
        return {}

    def read_predictions(self, run: StoredRun) -> tuple[GroundTruth, Floats]:
        """The labels of a run, less what is outside its domain, and its predictions of that."""
        if run.folder not in self._read:
            self._read[run.folder] = self.ground_truth(run.run).read(run)
        return self._read[run.folder]

    def is_withheld(self, run: Run) -> bool:
        """Whether the labels of a run belong to a host (BENCH_SOLUTION): no page may reveal them."""
        return self.ground_truth(run).solution is not None

    def formulas(self, task: Task, ids: Sequence[str]) -> list[str]:
        """The reduced formula of each crystal."""
        return [html_formula(f) for f in load_dataset(task.source).groups(ids)]

    def fold_predictions(self, runs: Sequence[StoredRun]) -> list[tuple[int, list[float | None]]]:
        """Of each run its fold, and the predictions of all crystals of that fold, none where it left one out."""
        out = []
        for record in runs:
            held, p = self.read_predictions(record)
            known = dict(zip(held.ids, p.tolist(), strict=True))
            every = self.ground_truth(record.run).ids
            out.append((record.run.fold, [five_digits(known[i]) if i in known else None for i in every]))
        return out


def load_site_data(root: Path) -> SiteData:
    """The boards of all stored runs: every preset of every data set and split; raises `InputError` without any."""
    records, notes = list_runs(root)
    found: dict[tuple[str, str], list[StoredRun]] = {}
    for record in records:
        found.setdefault((record.run.task.source.name, record.run.task.rule), []).append(record)
    if not found:
        raise InputError(
            f"there is no finished run in '{root}': `bench run` makes some; {'; '.join(notes)}".rstrip("; ")
        )
    order = [source.name for source in list_sources()]
    boards, absent = [], []
    for (_, rule), mine in sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        source = mine[0].run.task.source
        all_tasks = [Task(source, target, rule) for target in source.targets]
        present = {record.run.task for record in mine}
        absent += [t.name for t in all_tasks if t in present and data_file(source) is None]
        for preset in sorted({r.run.preset for r in mine} - UNPRESET) or [PRETRAINED]:
            rows, said = rank_rows(root, all_tasks, preset)
            notes += [note for note in said if not note.startswith(OTHERS)]
            if with_rows := tuple(t for t in all_tasks if any(row.task == t.name for row in rows)):
                boards.append(SiteBoard(source, rule, preset, with_rows, tuple(rows)))
    return SiteData(root, tuple(boards), tuple(absent), tuple(dict.fromkeys(notes)), tuple(records))


def page_of_task(task: Task, preset: str) -> str:
    """Where the page of a task is, in the folder of the site."""
    return f"tasks/{_home(task)}/{safe_name(preset)}.html"


def crystals_of(task: Task, fold: int) -> str:
    """Where the script with ids, formulas and labels of a test set is."""
    return f"tasks/{_home(task)}/crystals-{fold}.js"


def page_of_run(run: Run) -> str:
    """Where the page of a run is; its files lie beside it."""
    return f"runs/{_home(run.task)}/{safe_name(run.preset)}/{safe_name(run.model)}/{run.fold}-{run.seed}/index.html"


def _home(task: Task) -> str:
    return f"{safe_name(task.source.name)}/{safe_name(task.target.name)}@{safe_name(task.rule)}"
