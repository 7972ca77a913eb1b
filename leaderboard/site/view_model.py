"""The boards that the site shows, which are rows ranked together, and the runs behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from asugnn.crystal import Floats
from asugnn.errors import InputError
from leaderboard._util import safe_name
from leaderboard.board import OTHERS, GroundTruth, Row, load_ground_truth, rank_runs, runs_by_row
from leaderboard.data import Source, Task, data_file, list_sources, load_dataset
from leaderboard.records import OWN_RUNS, UNPRESET, Run, StoredRun, list_failures, list_runs, packaged_note
from leaderboard.site.formatting import five_digits
from leaderboard.site.formulas import html_formula
from leaderboard.splitting import RULES


@dataclass(frozen=True)
class SiteBoard:
    """The rows of a data set's tasks under one split and preset, as `bench leaderboard` has them."""

    source: Source
    rule: str
    preset: str
    tasks: tuple[Task, ...]  # those that have rows
    rows: tuple[Row, ...]
    best: tuple[Row, ...]  # one row per model, as with --best

    @property
    def title(self) -> str:
        """As a task of it is typed: `open-dft`, `mp-2018@formula`."""
        return self.source.name + ("" if self.rule == self.source.default_rule else f"@{self.rule}")

    def task_rows(self, task: Task) -> list[Row]:
        """The rows of one task, best first."""
        return [row for row in self.rows if row.task == task.name]


@dataclass(frozen=True)
class SiteData:
    """All boards of a site, and the stored runs behind them."""

    boards: tuple[SiteBoard, ...]
    absent: tuple[str, ...]  # tasks whose labels are not available
    notes: tuple[str, ...]  # sentences on stored runs as a whole: whose they are, which failed, which cannot be used
    stored_runs: tuple[StoredRun, ...]

    @cached_property
    def _runs(self) -> Mapping[tuple[str, str, str], list[StoredRun]]:
        return runs_by_row((row for board in self.boards for row in board.rows), self.stored_runs)

    @property
    def shown_runs(self) -> list[StoredRun]:
        """The runs that some row summarises."""
        return [run for runs in self._runs.values() for run in runs]

    def runs(self, row: Row) -> Sequence[StoredRun]:
        """The runs that a row summarises."""
        return self._runs[row.key]

    @cached_property
    def _truths(self) -> dict[tuple[str, int], GroundTruth]:
        return {}

    def ground_truth(self, run: Run) -> GroundTruth:
        """The ground truth of the fold of a run."""
        key = run.task.name, run.fold
        if key not in self._truths:
            self._truths[key] = load_ground_truth(run.task, run.fold)
        return self._truths[key]

    @cached_property
    def _predicted(self) -> dict[Path, tuple[GroundTruth, Floats]]:
        return {}

    def read_predictions(self, stored: StoredRun) -> tuple[GroundTruth, Floats]:
        """The ground truth of the crystals that a run supports, and its predictions of them; read once."""
        if stored.folder not in self._predicted:
            self._predicted[stored.folder] = self.ground_truth(stored.run).read_run(stored)
        return self._predicted[stored.folder]

    def is_withheld(self, run: Run) -> bool:
        """Whether the labels of a run belong to a host (BENCH_SOLUTION): no page may reveal them."""
        return self.ground_truth(run).solution is not None

    def formulas(self, task: Task, ids: Sequence[str]) -> list[str]:
        """The reduced formula of each crystal, or what stands for it in a data set without crystals."""
        return [html_formula(f) for f in load_dataset(task.source).groups(ids)]

    def fold_predictions(self, runs: Sequence[StoredRun]) -> list[tuple[int, list[float | None]]]:
        """The fold of each run, and its predictions of all crystals of that fold, None for unsupported ones."""
        out = []
        for stored in runs:
            truth, p = self.read_predictions(stored)
            values = dict(zip(truth.ids, p.tolist(), strict=True))
            ids = self.ground_truth(stored.run).ids
            out.append((stored.run.fold, [five_digits(values[i]) if i in values else None for i in ids]))
        return out


def load_site_data(root: Path | None) -> SiteData:
    """Rank all stored runs: a board for every preset of every data set and split; raises `InputError` without any.

    Those of the preset quick come last: nobody is to cite them. Of a data set, the easiest split comes first.
    Without `root` they are those of ./runs and of the package.
    """
    runs, notes = list_runs(root)
    by_split: dict[tuple[str, str], list[StoredRun]] = {}
    for stored in runs:
        by_split.setdefault((stored.run.task.source.name, stored.run.task.rule), []).append(stored)
    if not by_split:
        raise InputError(
            f"there is no finished run in '{root or OWN_RUNS}': `bench run` makes some; {'; '.join(notes)}".rstrip("; ")
        )
    sources = [source.name for source in list_sources()]
    boards, absent = [], []
    for data, rule in sorted(by_split, key=lambda s: (sources.index(s[0]), *[s[1] != name for name in RULES], s[1])):
        of_split = by_split[data, rule]
        source = of_split[0].run.task.source
        all_tasks = [Task(source, target, rule) for target in source.targets]
        present = {stored.run.task for stored in of_split}
        absent += [t.name for t in all_tasks if t in present and data_file(source) is None]
        presets = {stored.run.preset for stored in of_split}
        for preset in sorted(presets - UNPRESET) or sorted(presets)[:1]:
            rows, board_notes = rank_runs(of_split, all_tasks, preset)
            notes += [note for note in board_notes if OTHERS not in note]
            best, _ = rank_runs(of_split, all_tasks, preset, one_per_model=True)
            if with_rows := tuple(t for t in all_tasks if any(row.task == t.name for row in rows)):
                boards.append(SiteBoard(source, rule, preset, with_rows, tuple(rows), tuple(best)))
    boards.sort(key=lambda board: board.preset == "quick")
    notes += [f"{run.title} ({run.preset}) failed: {reason}" for run, _, reason in list_failures(root)]
    notes = packaged_note(root, runs) + list(dict.fromkeys(notes))
    return SiteData(tuple(boards), tuple(absent), tuple(notes), tuple(runs))


def address(page: str, anchor: str = "") -> str:
    """The address of a page, or of what has an id on it, from the folder of the site."""
    return quote(page) + (f"#{quote(anchor)}" if anchor else "")


def page_of_task(task: Task, preset: str) -> str:
    """Where the page of a task is, in the folder of the site."""
    return f"tasks/{_home(task)}/{safe_name(preset)}.html"


def crystals_of(task: Task, fold: int) -> str:
    """Where the script with ids, formulas and labels of a test set is."""
    return f"tasks/{_home(task)}/crystals-{fold}.js"


def anchor_of_row(row: Row, board: SiteBoard | None = None) -> str:
    """What `#` leads to the row on the page of its task, or on the first page, which has many boards."""
    where = (board.title, board.preset) if board else ()
    return ".".join(map(safe_name, (*where, row.preset, row.name)))


def page_of_run(run: Run) -> str:
    """Where the page of a run is; its files lie beside it."""
    return f"runs/{_home(run.task)}/{safe_name(run.preset)}/{safe_name(run.model)}/{run.fold_seed}/index.html"


def _home(task: Task) -> str:
    return f"{safe_name(task.source.name)}/{safe_name(task.target.name)}@{safe_name(task.rule)}"
