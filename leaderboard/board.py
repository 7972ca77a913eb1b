"""The board: every row computed from predictions, labels and split, never from a stored score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.model import Kind
from leaderboard import datasets, leaks, split, statistics, store, submission, systems
from leaderboard.statistics import Estimate
from leaderboard.store import EVERYWHERE, PRETRAINED, Record
from leaderboard.submission import Columns
from leaderboard.tasks import Task

NOISE = "95 % interval over test groups"
OTHERS = "there are rows of other presets too"


@dataclass(frozen=True)
class Value:
    """A metric with its interval: what another test set of the same kind would give. None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class System:
    """The scores of the rows of one system of a task, and those after `offset` was added; see `leaderboard.systems`."""

    n: int
    metrics: dict[str, Value]
    offset: float | None  # in the unit of the label; None of all systems together, and of a binary target
    after_offset: dict[str, Value]  # none of a binary target


@dataclass(frozen=True)
class Row:
    """One model on one task. `rank` to `rank_high` are the places it can hold: models in `tied_with` share them."""

    model: str
    preset: str
    task: str
    kind: Kind
    unit: str
    n: int  # test crystals, over all folds
    groups: int
    runs: tuple[str, ...]  # <fold>-<seed> of each
    metrics: dict[str, Value]
    spread: (
        dict[str, float | None] | None
    )  # standard deviation of each metric over folds and seeds, where there are several
    noise: str  # what the intervals show
    seconds_train: float | None
    seconds_predict: float | None
    peak_memory_mb: int | None
    parameters: int | None
    device: str | None
    settings: dict[str, Any]
    versions: dict[str, str]
    split: str
    commit: str | None
    trained: int  # crystals that trained, of the first run; 0 where none did
    epochs: int | None  # of training, where a model has them: the most among its runs
    flat: bool | None  # whether the last tenth of them improved no run's validation score by more than 1 %
    pretrained_on: str | None  # what the published weights were trained on, which may contain the test set
    outside: int  # test crystals left out because the model says that they are outside its domain
    leaks: int | None  # test crystals that are, as structures, also in training or validation; None: not known
    front: bool = False  # whether no other row of the task is both better and faster to train
    rank: int | None = None
    rank_high: int | None = None
    tied_with: tuple[str, ...] = ()
    systems: dict[str, System] = field(default_factory=dict)  # of a task that has them: of all rows, then of each
    data: dict[str, str] = field(default_factory=dict)  # name, sha256, source, version, date, licence, citation

    @property
    def title(self) -> str:
        """The name that the board shows."""
        return store.title(self.model, self.preset)


@dataclass(frozen=True)
class Answers:
    """What predictions of one fold are held against: all (n,). A file must predict all `ids`; `scored` ones count."""

    ids: tuple[str, ...]
    y: Floats
    groups: tuple[str, ...]
    scored: NDArray[np.bool_]
    sha256: str  # of the split
    solution: str | None = None  # sha256 of the host's solution that they are from
    formulas: tuple[str, ...] = ()  # of each row, where the task is scored by system

    def without(self, some: Collection[str]) -> Answers:
        """The answers but for some ids."""
        keep = np.array([name not in some for name in self.ids], dtype=bool)
        texts = (self.ids, self.groups, self.formulas)
        ids, groups, formulas = (tuple(x for x, k in zip(xs, keep, strict=False) if k) for xs in texts)
        return replace(self, ids=ids, y=self.y[keep], groups=groups, scored=self.scored[keep], formulas=formulas)

    def read(self, record: Record) -> tuple[Answers, Floats]:
        """What a stored run is held against, less what is outside its domain, and its predictions of that."""
        held = self.without(outside) if (outside := record.about.get("outside")) else self
        return held, record.read(held.ids)

    def run(self, p: Floats) -> statistics.Run:
        """Predictions (n,) beside the labels, of the rows that count."""
        groups = [g for g, k in zip(self.groups, self.scored, strict=True) if k]
        return statistics.Run(self.y[self.scored], p[self.scored], groups)

    @property
    def scored_formulas(self) -> tuple[str, ...]:
        """The formula of each row that counts."""
        return tuple(s for s, k in zip(self.formulas, self.scored, strict=False) if k)


def answers(task: Task, fold: int, data_dir: Path | None, private: bool = False) -> Answers:
    """The labels of a task's test set; with a host's solution for it (BENCH_SOLUTION), its labels.

    Of a solution the public rows count, or with `private` the others.
    """
    data = datasets.load(task.source, data_dir)
    parts = split.load(data, task.rule)
    ids = split.sides(parts, data, task.target, fold).test
    y = data.labels(task.target)[[data.rows[i] for i in ids]]
    # Distorted structures of one composition are draws of their own; elsewhere a composition's rows go together.
    groups = ids if task.target.model_of else data.groups(ids)
    scored = np.ones(len(ids), dtype=bool)
    held = submission.solution(task.name, fold, task.target.name, ids)
    if held:
        y, scored = held.y, ~held.public if private else held.public
    elif private:
        raise InputError(f"private scores need the host's solution of {task.name}: name the file with BENCH_SOLUTION")
    formulas = data.groups(ids) if task.target.by_system else ()
    return Answers(ids, y, groups, scored, parts.sha256, held.sha256 if held else None, formulas)


def score(file: Path, task: Task, fold: int, data_dir: Path | None, columns: Columns | None = None) -> dict[str, Any]:
    """Validate and score a CSV of predictions; raises `InputError` with every fault of it.

    Its columns are `id` and the target, unless others are given.
    """
    names = columns or Columns("id", task.target.name)
    held = answers(task, fold, data_dir)
    p = submission.read(file, held.ids, names.target, task.target.kind, names.id)
    run = held.run(p)
    estimates = statistics.score(task.target.kind, [run], task.target.ranked_by)
    return {
        "task": task.name,
        "fold": fold,
        "n": len(run.y),
        "groups": len(set(run.groups)),
        "unit": task.target.unit,
        "noise": NOISE,
        "metrics": {name: asdict(value_of(estimate)) for name, estimate in estimates.items()},
        **({"systems": {k: asdict(v) for k, v in of.items()}} if (of := _systems(task, [run], [held])) else {}),
    }


def rows(
    root: Path, tasks: Sequence[Task], preset: str, data_dir: Path | None, private: bool = False
) -> tuple[list[Row], list[str]]:
    """The rows of some tasks, ranked within each task, and notes on what could not be used.

    Rows of one preset, and what was handed in, are ranked together; published weights are shown and hold no rank.
    """
    records, notes = store.records(root)
    wanted = {t.name for t in tasks}
    shown = {preset, *EVERYWHERE}
    chosen = [r for r in records if r.run.preset in shown and r.run.task.name in wanted]
    if other := sorted({r.run.preset for r in records if r.run.task.name in wanted} - shown):
        notes.append(f"{OTHERS}: --preset {' or '.join(other)}")
    out: list[Row] = []
    for task in tasks:
        by_model: dict[tuple[str, str], list[Record]] = {}
        for record in chosen:
            if record.run.task == task:
                by_model.setdefault((record.run.preset, record.run.model), []).append(record)
        try:
            out += _ranked(task, by_model, data_dir, private, notes)
        except InputError as error:  # the labels are not at hand
            notes.append(f"{task.name}: {error}")
    return out, notes


def _ranked(
    task: Task,
    by_model: Mapping[tuple[str, str], Sequence[Record]],
    data_dir: Path | None,
    private: bool,
    notes: list[str],
) -> list[Row]:
    """Rows of one task, best first, then those without a rank.

    Only models with the same folds and seeds are compared, and so ranked; none that others trained.
    """
    held = {f: answers(task, f, data_dir, private) for f in {r.run.fold for rs in by_model.values() for r in rs}}
    shared = _shared(task, held, data_dir)
    made: dict[str, tuple[Row, dict[str, Estimate]]] = {}
    others: list[Row] = []
    for (preset, model), records in by_model.items():
        try:
            row, estimates = _row(task, records, held, shared)
        except InputError as error:
            notes.append(f"{model} on {task.name} is left out: {error}")
            continue
        if preset == PRETRAINED:
            others.append(row)
        else:
            made[row.title] = row, estimates
    metric = task.target.metrics[0]
    most = Counter(row.runs for row, _ in made.values()).most_common(1)
    compared = {m: e[metric.name] for m, (row, e) in made.items() if row.runs == most[0][0]}
    places = statistics.ranks(compared, metric.higher_is_better)
    if apart := sorted(made.keys() - compared.keys()):
        notes.append(f"{task.name}: {', '.join(apart)} not ranked: other folds or seeds than the rest")
    out = others
    for title, (row, _) in made.items():
        place = places.get(title)
        out.append(replace(row, rank=place.low, rank_high=place.high, tied_with=place.tied_with) if place else row)
    sign = -1 if metric.higher_is_better else 1
    out = _with_front(out, metric.name, sign)

    def order(row: Row) -> tuple[bool, bool, float]:
        value = row.metrics[metric.name].value
        return row.rank is None, row.pretrained_on is not None, np.inf if value is None else sign * value

    return sorted(out, key=order)


def _with_front(rows: Sequence[Row], metric: str, sign: int) -> list[Row]:
    """Mark the rows of the Pareto front of the metric and the seconds of training, as far as both are known."""
    cost: dict[str, tuple[float, float]] = {}
    for row in rows:
        value = row.metrics[metric].value
        if value is not None and row.seconds_train is not None:
            cost[row.title] = sign * value, row.seconds_train

    titles = list(cost)
    best = {titles[i] for i in front(list(cost.values()))}
    return [replace(r, front=r.title in best) for r in rows]


def front(costs: Sequence[tuple[float, float]]) -> list[int]:
    """The Pareto front of pairs of which less is better: those than which no other is as good in both."""
    return [i for i, (a, b) in enumerate(costs) if not any(x <= a and y <= b and (x, y) != (a, b) for x, y in costs)]


def _row(
    task: Task, records: Sequence[Record], held: Mapping[int, Answers], shared: Mapping[int, int] | None
) -> tuple[Row, dict[str, Estimate]]:
    runs, answered = [], []
    for record in records:
        answer, about = held[record.run.fold], record.about
        if about["split"]["sha256"] != answer.sha256:
            raise InputError(f"{record.folder} was made with another version of the split")
        answer, p = answer.read(record)
        runs.append(answer.run(p))
        answered.append(answer)
    estimates = statistics.score(task.target.kind, runs, task.target.ranked_by)
    spread = None
    if len(runs) > 1:
        deviations = {m.name: float(np.std([m(r.y, r.p) for r in runs], ddof=1)) for m in task.target.metrics}
        spread = {name: value if np.isfinite(value) else None for name, value in deviations.items()}
    about, curves = records[0].about, [r.curve for r in records if r.curve]
    train = [r.about["seconds"]["train"] for r in records if "train" in r.about["seconds"]]
    predict = [r.about["seconds"]["predict"] for r in records if "predict" in r.about["seconds"]]
    row = Row(
        model=records[0].run.model,
        preset=records[0].run.preset,
        task=task.name,
        kind=task.target.kind,
        unit=task.target.unit,
        n=sum(len(r.y) for r in runs),
        groups=next(iter(estimates.values())).groups,
        runs=tuple(f"{r.run.fold}-{r.run.seed}" for r in records),
        metrics={name: value_of(estimate) for name, estimate in estimates.items()},
        spread=spread,
        noise=NOISE,
        seconds_train=float(np.mean(train)) if train else None,
        seconds_predict=float(np.mean(predict)) if predict else None,
        peak_memory_mb=max((r.about["peak_memory_mb"] for r in records if "peak_memory_mb" in r.about), default=None),
        parameters=about.get("parameters"),
        device=about["device"]["name"] if "device" in about else None,
        settings=about.get("settings", {}),
        versions=about.get("versions", {}),
        split=about["split"]["sha256"],
        commit=about.get("commit"),
        trained=about["counts"]["train"] if "train" in about["seconds"] else 0,
        epochs=max((c.epochs for c in curves), default=None),
        flat=all(c.flat for c in curves) if curves else None,
        pretrained_on=about["weights"]["trained_on"] if "weights" in about else None,
        outside=sum(len(r.about.get("outside", ())) for r in records),
        systems=_systems(task, runs, answered),
        data={**about.get("data", {}), **datasets.provenance(task.source)},
        leaks=None if "weights" in about else _leaks(records, shared),
    )
    return row, estimates


def _systems(task: Task, runs: Sequence[statistics.Run], answered: Sequence[Answers]) -> dict[str, System]:
    """The scores by system; nothing for a task that has none."""
    if not task.target.by_system:
        return {}

    def values(estimates: Mapping[str, Estimate]) -> dict[str, Value]:
        return {name: value_of(e) for name, e in estimates.items()}

    paired = [(run, answer.scored_formulas) for run, answer in zip(runs, answered, strict=True)]
    found = systems.by_system(paired, task.target.kind)
    return {name: System(s.n, values(s.raw), s.offset, values(s.shifted)) for name, s in found.items()}


def _shared(task: Task, folds: Iterable[int], data_dir: Path | None) -> dict[int, int] | None:
    """How many tested structures are on another side too, by fold; None where it is not known which are the same."""
    data = datasets.load(task.source, data_dir)
    if (found := leaks.known(data)) is None:
        return None
    return {fold: len(leaks.of(task, fold, data, found).shared) for fold in folds}


def _leaks(records: Sequence[Record], shared: Mapping[int, int] | None) -> int | None:
    """Over the folds of some runs: by the structures that are known to be the same, else as the runs say."""
    folds = {r.run.fold: r.about.get("leaks") for r in records}
    if shared is not None:
        return sum(shared[fold] for fold in folds)
    return None if None in folds.values() else sum(n for n in folds.values() if n)


def value_of(estimate: Estimate) -> Value:
    """What a board shows of an estimate."""
    return Value(estimate.value, estimate.low, estimate.high)
