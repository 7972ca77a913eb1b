"""The pages of the site: the board, a page a task and preset, a page a run. Written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from asugnn import __version__
from asugnn.atomic import replaced_folder
from asugnn.errors import InputError
from asugnn.model import Progress
from leaderboard import datasets, errors, render, statistics, store
from leaderboard.board import Answers, Row, Value, value_of
from leaderboard.metrics import METRICS, Metric
from leaderboard.site import boards, figures, record
from leaderboard.site.boards import Board, Stored
from leaderboard.site.figures import Points
from leaderboard.store import Record
from leaderboard.tasks import Task

HERE = Path(__file__).resolve().parent
GENERATOR = '<meta name="generator" content="asugnn-bench '  # how a site is known that may be replaced
CARDS = 12  # rows of a task that have their figures on its page
WORST = 10  # crystals of a run whose errors are listed
BAR, WIDE = 112, 140  # widths of the interval bars on the board and on the page of a task
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
FILES = ("predictions.csv", "run.json", "history.csv")  # of a run, what is copied


def build(root: Path, out: Path, data_dir: Path | None, progress: Progress) -> tuple[int, tuple[str, ...]]:
    """Make the site of all stored runs in the folder `out`; how many pages it has, and what could not be used.

    An older site in `out` is replaced. Raises `InputError` where there is anything else, or no run at all.
    """
    if out.exists() and not _replaceable(out):
        raise InputError(f"'{out}' holds something that is no site: empty it, or name another folder with --out")
    stored = boards.stored(root, data_dir)
    pages: dict[str, tuple[Board, Row, Record]] = {}  # of runs; one with published weights stands on several boards
    for board in stored.boards:
        for row in board.rows:
            for run in stored.runs(row):
                pages.setdefault(boards.page_of_run(run.run), (board, row, run))
    tasks = [(board, task) for board in stored.boards for task in board.tasks]
    with replaced_folder(out) as folder, progress("pages", 1 + len(tasks) + len(pages)) as bar:
        site = _Site(stored, folder)
        for name in ("site.css", "site.js"):
            shutil.copyfile(HERE / name, folder / name)
        site.index()
        bar.advance()
        for board, task in tasks:
            site.task(board, task)
            bar.advance(note=task.name)
        for page, (board, row, run) in pages.items():
            site.run(page, board, row, run)
            bar.advance()
    return 1 + len(tasks) + len(pages), stored.notes


@dataclass(frozen=True)
class _Cell:
    """A metric of a row, as a table shows it."""

    value: str  # for sorting
    shown: str
    interval: str
    bar: Markup
    best: bool
    page: str = ""


@dataclass(frozen=True)
class _Site:
    stored: Stored
    folder: Path
    written: set[str] = field(default_factory=set)  # files that name crystals

    @cached_property
    def templates(self) -> jinja2.Environment:
        """Templates in which every value is escaped."""
        made = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        shared = {"number": _number, "thousands": _thousands, "rank": _rank, "seconds": _seconds}
        made.globals |= shared | {"version": __version__}
        return made

    def write(self, page: str, template: str, sources: Sequence[datasets.Source], **values: Any) -> None:
        up = "../" * page.count("/")
        text = self.templates.get_template(template).render(up=up, sources=sources, **values)
        path = self.folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "replace"))

    def index(self) -> None:
        """The board."""
        shown = [self._board(board) for board in self.stored.boards]
        titles = [board["title"] for board in shown]
        for i, board in enumerate(shown):
            tasks = [t for other in self.stored.boards if other.title == board["title"] for t in other.tasks]
            board |= {"first": board["title"] not in titles[:i], "all": list(dict.fromkeys(tasks))}
        sources = list({b.source.name: b.source for b in self.stored.boards}.values())
        presets = sorted({row.preset for board in self.stored.boards for row in board.rows})
        keys = [figures.bar(Value(0.4, 0.0, 1.0), (0.0, 1.0), best, 44) for best in (True, False)]
        self.write("index.html", "index.html", sources, boards=shown, presets=presets, keys=keys,
                   absent=self.stored.absent)  # fmt: skip

    def _board(self, board: Board) -> dict[str, Any]:
        columns: list[dict[str, Any]] = []
        cells: dict[tuple[str, str], _Cell] = {}
        for task in board.tasks:
            rows, metric = board.of(task), METRICS[task.target.kind][0]
            within = figures.span([row.metrics[metric.name] for row in rows])
            cells |= {(row.title, task.name): self._cell(row, metric, within, BAR) for row in rows}
            costs = [(of, figures.cost(rows, of)) for of in ("train", "predict")]
            columns.append({
                "task": task, "metric": metric, "unit": _unit(task, metric), "first": _first(metric),
                "page": boards.page_of_task(task, board.preset), "costs": costs,
            })  # fmt: skip
        lines = []
        for title in render.by_place(board.rows, board.tasks):
            mine = [row for row in board.rows if row.title == title]
            lines.append({
                "model": mine[0].model, "preset": mine[0].preset, "tagged": mine[0].preset in store.EVERYWHERE,
                "cells": [cells.get((title, task.name)) for task in board.tasks],
                "train": _sum([row.seconds_train for row in mine]),
                "predict": _sum([row.seconds_predict for row in mine]),
            })  # fmt: skip
        warning, notes = _notes(board.rows, board.preset, detailed=False)
        return {"title": board.title, "preset": board.preset, "columns": columns, "lines": lines, "warning": warning,
                "notes": notes, "starred": any(r.pretrained_on for r in board.rows)}  # fmt: skip

    def _cell(self, row: Row, metric: Metric, within: tuple[float, float] | None, width: int) -> _Cell:
        value = row.metrics[metric.name]
        shown = _number(value.value)
        if row.spread:
            shown += f" ± {_number(row.spread[metric.name])}"
        best = row.rank == 1
        bar = figures.bar(value, within, best, width) if within else Markup()
        page = boards.page_of_run(self.stored.runs(row)[0].run)
        return _Cell(f"{value.value:.6g}" if value.value is not None else "", shown, _interval(value), bar, best,
                     page)  # fmt: skip

    def task(self, board: Board, task: Task) -> None:
        """All metrics of a task, and where its models err."""
        rows, metrics = board.of(task), METRICS[task.target.kind]
        page = boards.page_of_task(task, board.preset)
        ranked = sum(row.rank is not None for row in rows)
        within = figures.span([row.metrics[metrics[0].name] for row in rows])
        place = {row.title: i for i, row in enumerate(rows)}
        lines = [
            {
                "row": row,
                "page": boards.page_of_run(self.stored.runs(row)[0].run),
                "tagged": row.preset in store.EVERYWHERE,
                "places": figures.places(row, ranked),
                "tied": _ranges([place[title] for title in row.tied_with]),
                "cells": [self._cell(row, m, within if m is metrics[0] else None, WIDE) for m in metrics],
            }
            for row in rows
        ]
        warning, notes = _notes(rows, board.preset, detailed=True)
        withheld = any(self.stored.answers(run.run).solution for row in rows for run in self.stored.runs(row))
        folds = sorted({run.run.fold for row in rows[:CARDS] for run in self.stored.runs(row)})
        names = [] if withheld else [self._crystals(task, fold).rpartition("/")[2] for fold in folds]
        drawn = [figure for of in ("train", "predict") if (figure := figures.cost(rows, of))]
        self.write(
            page, "task.html", [board.source], task=task, preset=board.preset, rows=rows, metrics=metrics,
            unit=task.target.unit, ranked=ranked, lines=lines, warning=warning, notes=notes, withheld=withheld,
            costs=(("epochs", ""), ("training", "s"), ("prediction", "s"), ("memory", "MB"), ("parameters", "")),
            costs_drawn=drawn, cards=[] if withheld else self._cards(task, rows), crystals=names,
            elements=None if withheld else self._elements(board, task, rows), histories=self._histories(rows[:CARDS]),
        )  # fmt: skip

    def _cards(self, task: Task, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Parity and residuals, or ROC curve and confusion matrix, of the first rows."""
        some = rows[:CARDS]
        read = [[self.stored.read(run) for run in self.stored.runs(row)] for row in some]
        points = [[Points(held.y, p) for held, p in runs] for runs in read]
        pooled = [_pooled(runs) for runs in points]
        binary, unit = task.target.kind == "binary", task.target.unit
        over, limit = figures.limits(pooled), figures.limit_of(pooled)
        metric = METRICS[task.target.kind][0]
        cards = []
        for i, row in enumerate(some):
            card: dict[str, Any] = {
                "title": row.title, "page": boards.page_of_run(self.stored.runs(row)[0].run), "data": None,
                "score": f"{metric.title} {_number(row.metrics[metric.name].value)} {_unit(task, metric)}",
                "confusion": None, "beyond": 0,
            }  # fmt: skip
            if binary:
                card |= {"figure": figures.roc(points, i, 280), "confusion": figures.confusion(pooled[i])}
            else:
                drawn, beyond = figures.parity(pooled[i], over, unit, 280)
                card |= {"figure": drawn, "beyond": beyond, "data": self._data(self.stored.runs(row)),
                         "residuals": figures.residuals(pooled[i], limit, unit, 280, 150)}  # fmt: skip
            cards.append(card)
        return cards

    def _elements(self, board: Board, task: Task, rows: Sequence[Row]) -> dict[str, Any] | None:
        """Errors by element of the models, the best first."""
        classes = errors.by("element", task, self.stored.root, board.preset, self.stored.data_dir)
        models = [row.title for row in rows if any(row.title in c.values for c in classes)]
        if not models:
            return None
        binary = task.target.kind == "binary"
        unit = task.target.unit or "of the classes wrong"
        figure = figures.periodic_table(classes, models[0], unit, binary)
        wrong = [[c.values.get(m) for m in models] for c in classes]
        lines = [
            {"name": c.name, "n": c.n, "errors": [None if v is None else 1 - v if binary else v for v in values]}
            for c, values in zip(classes, wrong, strict=True)
        ]
        return {"figure": figure, "models": models, "lines": lines}

    def _histories(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        out = []
        for row in rows:
            first = self.stored.runs(row)[0]
            if figure := figures.history(store.history(first.folder), 280, 190):
                out.append({"title": row.title, "page": boards.page_of_run(first.run), "figure": figure})
        return out

    def run(self, page: str, board: Board, row: Row, run: Record) -> None:
        """Everything about a run."""
        task, unit = run.run.task, run.run.task.target.unit
        held, p = self.stored.read(run)
        runs = self.stored.runs(row)
        mine = held.run(p)
        values: Mapping[str, Value] = row.metrics
        if len(runs) > 1:
            values = {name: value_of(e) for name, e in statistics.score(task.target.kind, [mine]).items()}
        scores = [
            {"title": m.title, "value": _number(values[m.name].value), "unit": _unit(task, m),
             "interval": _interval(values[m.name])}
            for m in METRICS[task.target.kind]
        ]  # fmt: skip
        withheld = held.solution is not None
        files = [name for name in FILES if (run.folder / name).is_file() and not (withheld and name == FILES[0])]
        (self.folder / page).parent.mkdir(parents=True, exist_ok=True)
        for name in files:
            shutil.copyfile(run.folder / name, (self.folder / page).with_name(name))
        warning, notes = _notes([row], board.preset, detailed=False)
        drawn: dict[str, Any] = {"crystals": ""}
        if not withheld:
            worst = _worst(task, held, p, self.stored.data_dir)
            drawn = {**self._drawn(run, Points(held.y, p)), "worst": worst, "data": self._data([run])}
        self.write(
            page, "run.html", [board.source], record=run, task=task, n=len(mine.y), groups=len(set(mine.groups)),
            siblings=[(f"{r.run.fold}-{r.run.seed}", boards.page_of_run(r.run)) for r in runs],
            here=f"{run.run.fold}-{run.run.seed}", scores=scores, place="" if row.rank is None else _rank(row),
            ranked=sum(r.rank is not None for r in board.of(task)), files=files, withheld=withheld, warning=warning,
            notes=notes[1:], noise=row.noise, unit=unit, page_of_task=boards.page_of_task(task, board.preset),
            sections=record.sections(run.about), **drawn,
        )  # fmt: skip

    def _drawn(self, run: Record, points: Points) -> dict[str, Any]:
        """The figures of a run, those with points that can be pointed at first."""
        target = run.run.task.target
        crystals = self._crystals(run.run.task, run.run.fold)
        curves = figures.history(store.history(run.folder), 400, 190)
        stacked = [("Learning history", curves)] if curves else []
        if target.kind == "binary":
            large = [("Probability of class 1", figures.probabilities(points, 400), True),
                     ("ROC curve", figures.roc([[points]], 0, 400), False)]  # fmt: skip
            counts = figures.confusion(points)
            return {"crystals": crystals, "large": large, "stacked": stacked, "counts": counts, "beyond": 0}
        over, limit, unit = figures.limits([points]), figures.limit_of([points]), target.unit
        parity, beyond = figures.parity(points, over, unit, 400)
        large = [("Parity", parity, True),
                 ("Residuals", figures.errors_over_labels(points, over, limit, unit, 400), True)]  # fmt: skip
        stacked = [("Distribution of residuals", figures.residuals(points, limit, unit, 400, 190)), *stacked]
        return {"crystals": crystals, "large": large, "stacked": stacked, "counts": None, "beyond": beyond}

    def _data(self, runs: Sequence[Record]) -> list[tuple[int, list[float | None]]]:
        """For the script: of each run its fold, and the predictions in the order of that fold's crystals."""
        out = []
        for run in runs:
            held, p = self.stored.read(run)
            by_id = dict(zip(held.ids, p.tolist(), strict=True))
            every = self.stored.answers(run.run).ids
            out.append((run.run.fold, [_short(by_id[i]) if i in by_id else None for i in every]))
        return out

    def _crystals(self, task: Task, fold: int) -> str:
        """The file with ids, formulas and labels of a test set, written once."""
        path = boards.crystals_of(task, fold)
        if path not in self.written:
            held = self.stored.answers(store.Run(task, "", "", fold, 0))
            data = datasets.load(task.source, self.stored.data_dir)
            about = {
                "ids": held.ids,
                "formulas": _formulas(data, held.ids),
                "labels": [_short(y) for y in held.y.tolist()],
            }
            text = json.dumps(about, separators=(",", ":")).replace("<", "\\u003c")
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(f'(window.crystals ??= {{}})["{fold}"] = {text};\n', encoding="utf-8")
            self.written.add(path)
        return path


def _replaceable(out: Path) -> bool:
    """Whether a folder is empty or a site."""
    if not out.is_dir():
        return False
    index = out / "index.html"
    return not any(out.iterdir()) or (index.is_file() and GENERATOR in index.read_text(encoding="utf-8")[:2000])


def _notes(rows: Sequence[Row], preset: str, detailed: bool) -> tuple[str, list[str]]:
    """The warning of a preset, and the other notes of the board."""
    notes = render.caption(rows, preset, "html", detailed)
    warning = render.WARNING.get(preset, "")
    return (warning, notes[1:]) if notes and notes[0] == warning else ("", notes)


def _worst(task: Task, held: Answers, p: Any, data_dir: Path | None) -> list[dict[str, Any]]:
    """The crystals with the largest errors."""
    wrong = abs(p - held.y)
    order = np.argsort(-wrong, kind="stable")[:WORST].tolist()
    formulas = _formulas(datasets.load(task.source, data_dir), [held.ids[i] for i in order])
    return [
        {"id": held.ids[i], "formula": formula, "numbers": [float(held.y[i]), float(p[i]), float(p[i] - held.y[i])]}
        for i, formula in zip(order, formulas, strict=True)
    ]


def _formulas(data: datasets.Dataset, ids: Sequence[str]) -> list[str]:
    return [formula.translate(SUBSCRIPTS) for formula in data.groups(ids)]


def _pooled(runs: Sequence[Points]) -> Points:
    return Points(np.concatenate([r.y for r in runs]), np.concatenate([r.p for r in runs]))


def _ranges(indices: Sequence[int]) -> str:
    """Some indices as ranges: `0-2,5`."""
    out: list[list[int]] = []
    for i in sorted(indices):
        if out and out[-1][1] == i - 1:
            out[-1][1] = i
        else:
            out.append([i, i])
    return ",".join(f"{a}-{b}" if b > a else f"{a}" for a, b in out)


def _number(value: float | None) -> str:
    return "–" if value is None else render.number(value).replace("-", "−")


def _interval(value: Value) -> str:
    return "" if value.low is None else render.interval(value).replace("-", "−")


def _rank(row: Row) -> str:
    return render.rank(row).replace("-", "–")


def _thousands(count: int | None) -> str:
    return "–" if count is None else render.thousands(count)


def _unit(task: Task, metric: Metric) -> str:
    return task.target.unit if metric.has_unit else ""


def _first(metric: Metric) -> str:
    return "descending" if metric.higher_is_better else "ascending"


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _sum(seconds: Sequence[float | None]) -> float | None:
    known = [s for s in seconds if s is not None]
    return round(sum(known), 3) if known else None


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
