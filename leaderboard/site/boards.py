"""What the site shows: boards, which are rows that are ranked together, and the runs behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asugnn.crystal import Floats
from asugnn.errors import InputError
from leaderboard import board, datasets, store, tasks
from leaderboard.board import Answers, Row
from leaderboard.datasets import Source
from leaderboard.site import numbers
from leaderboard.store import EVERYWHERE, PRETRAINED, Record, Run, safe
from leaderboard.tasks import Task


@dataclass(frozen=True)
class Board:
    """The rows of a data set's tasks under one split and preset, as `bench leaderboard` has them."""

    source: Source
    rule: str
    preset: str
    tasks: tuple[Task, ...]  # those that have rows
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """As a task of it is typed: `open-dft`, `mp-2018@formula`."""
        return self.source.name + ("" if self.rule == tasks.DEFAULT_RULE else f"@{self.rule}")

    def of(self, task: Task) -> list[Row]:
        """The rows of one task, best first."""
        return [row for row in self.rows if row.task == task.name]


@dataclass(frozen=True)
class Stored:
    """All that is shown."""

    root: Path
    boards: tuple[Board, ...]
    absent: tuple[str, ...]  # tasks whose labels are not at hand
    notes: tuple[str, ...]  # sentences on what could not be used
    records: tuple[Record, ...]
    data_dir: Path | None

    @cached_property
    def _runs(self) -> Mapping[tuple[str, str, str], list[Record]]:
        out: dict[tuple[str, str, str], list[Record]] = {}
        for record in self.records:
            out.setdefault((record.run.task.name, record.run.preset, record.run.model), []).append(record)
        return out

    def runs(self, row: Row) -> Sequence[Record]:
        """The runs that a row is made of."""
        return self._runs[row.task, row.preset, row.model]

    @cached_property
    def _answers(self) -> dict[tuple[str, int], Answers]:
        return {}

    def answers(self, run: Run) -> Answers:
        """What the predictions of a run are held against."""
        key = run.task.name, run.fold
        if key not in self._answers:
            self._answers[key] = board.answers(run.task, run.fold, self.data_dir)
        return self._answers[key]

    @cached_property
    def _read(self) -> dict[Path, tuple[Answers, Floats]]:
        return {}

    def read(self, run: Record) -> tuple[Answers, Floats]:
        """The labels of a run, less what is outside its domain, and its predictions of that."""
        if run.folder not in self._read:
            self._read[run.folder] = self.answers(run.run).read(run)
        return self._read[run.folder]

    def withheld(self, run: Run) -> bool:
        """Whether the labels of a run are a host's (BENCH_SOLUTION): then nothing of the site may tell them."""
        return self.answers(run).solution is not None

    def formulas(self, task: Task, ids: Sequence[str]) -> list[str]:
        """The reduced formula of each crystal."""
        return [numbers.formula(f) for f in datasets.load(task.source, self.data_dir).groups(ids)]

    def predictions(self, runs: Sequence[Record]) -> list[tuple[int, list[float | None]]]:
        """Of each run its fold, and the predictions of all crystals of that fold, none where it left one out."""
        out = []
        for record in runs:
            held, p = self.read(record)
            known = dict(zip(held.ids, p.tolist(), strict=True))
            every = self.answers(record.run).ids
            out.append((record.run.fold, [numbers.short(known[i]) if i in known else None for i in every]))
        return out


def stored(root: Path, data_dir: Path | None) -> Stored:
    """The boards of all stored runs: every preset of every data set and split; raises `InputError` without any."""
    records, notes = store.records(root)
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record.run.task.source.name, record.run.task.rule), []).append(record)
    if not found:
        raise InputError(
            f"there is no finished run in '{root}': `bench run` makes some; {'; '.join(notes)}".rstrip("; ")
        )
    order = [source.name for source in datasets.sources()]
    boards, absent = [], []
    for (_, rule), mine in sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        source = mine[0].run.task.source
        all_tasks = [Task(source, target, rule) for target in source.targets]
        present = {record.run.task for record in mine}
        absent += [t.name for t in all_tasks if t in present and datasets.path(source, data_dir) is None]
        for preset in sorted({r.run.preset for r in mine} - EVERYWHERE) or [PRETRAINED]:
            rows, said = board.rows(root, all_tasks, preset, data_dir)
            notes += [note for note in said if not note.startswith(board.OTHERS)]
            if with_rows := tuple(t for t in all_tasks if any(row.task == t.name for row in rows)):
                boards.append(Board(source, rule, preset, with_rows, tuple(rows)))
    return Stored(root, tuple(boards), tuple(absent), tuple(dict.fromkeys(notes)), tuple(records), data_dir)


def page_of_task(task: Task, preset: str) -> str:
    """Where the page of a task is, in the folder of the site."""
    return f"tasks/{_home(task)}/{safe(preset)}.html"


def crystals_of(task: Task, fold: int) -> str:
    """Where the crystals of a test set are named."""
    return f"tasks/{_home(task)}/crystals-{fold}.js"


def page_of_run(run: Run) -> str:
    """Where the page of a run is; its files lie beside it."""
    return f"runs/{_home(run.task)}/{safe(run.preset)}/{safe(run.model)}/{run.fold}-{run.seed}/index.html"


def _home(task: Task) -> str:
    return f"{safe(task.source.name)}/{safe(task.target.name)}@{safe(task.rule)}"
