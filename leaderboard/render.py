"""What the commands print: tables for a terminal, and the board as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from asugnn.model import Found, presets
from leaderboard import datasets, split
from leaderboard.board import Row, System, Value
from leaderboard.check import Finding
from leaderboard.errors import FEWEST, Class
from leaderboard.leaks import ALSO
from leaderboard.tasks import Task, suite

WARNING = {
    "quick": "quick preset: trained for minutes; do not cite",
    "hours": "hours preset: published networks, trained for hours where their authors took days; say so when you cite",
}
OFFSET = (
    "offset: the mean of label minus prediction of a system, added for the values after it: reference states differ"
)
FEW_GROUPS = 200  # below, an interval is itself uncertain
ROUGH = f"fewer than {FEW_GROUPS} groups: take the intervals as rough"


def board(rows: Sequence[Row], tasks: Sequence[Task], preset: str, form: str, detailed: bool) -> str:
    """The board of some tasks: one table of all models by all tasks, or a table a task with all its metrics."""
    if form == "json":
        return json.dumps([asdict(row) for row in rows], indent=1)
    if form == "csv":
        return _csv(rows)
    if not rows:
        return f"no runs of preset '{preset}' for {', '.join(t.name for t in tasks)}: `bench run` makes them"
    mark = "- " if form == "markdown" else ""
    notes = "\n".join(mark + line for line in caption(rows, preset, form, detailed))
    draw = _markdown if form == "markdown" else terminal
    parts = []
    if not detailed:
        of = list(dict.fromkeys(task.source.name for task in tasks))
        for name in of:
            mine = [task for task in tasks if task.source.name == name]
            here = [row for row in rows if row.task in {task.name for task in mine}]
            parts += [*([name] if len(of) > 1 else []), draw(_suite_table(here, mine, form))]
        return "\n".join([*parts, notes])
    for task in tasks:
        if some := [r for r in rows if r.task == task.name]:
            counts = f"{some[0].n} test crystals in {some[0].groups} groups"
            parts += [f"{task.name}: {task.target.meaning}; {counts}", draw(_task_table(some, task, form))]
            if task.target.by_system:
                parts += _by_system([(r.title, r.systems) for r in some], task, draw)
    return "\n".join([*parts, notes])


def score(scored: dict[str, Any], task: Task) -> str:
    """The metrics of one file."""
    table = _table()
    for column in ("metric", "value", "95 % interval"):
        table.add_column(column)
    for metric in task.target.metrics:
        value = Value(**scored["metrics"][metric.name])
        unit = task.target.unit if metric.has_unit else ""
        table.add_row(metric.title, f"{number(value.value)} {unit}".strip(), interval(value))
    lines = [
        f"{task.name}, fold {scored['fold']}: {scored['n']} crystals in {scored['groups']} groups",
        terminal(table),
    ]
    if "systems" in scored:
        systems = {name: _system(plain) for name, plain in scored["systems"].items()}
        lines += _by_system([("", systems)], task, terminal)
    return "\n".join([*lines, *([ROUGH] if scored["groups"] < FEW_GROUPS else [])])


def entered(scored: dict[str, Any], task: Task) -> str:
    """One line of `bench submit`."""
    metric = task.target.metrics[0]
    value = Value(**scored["metrics"][metric.name])
    said = f"{metric.title} {number(value.value)} {task.target.unit if metric.has_unit else ''}".strip()
    tries = f"; try {scored['tries']} of this name" if scored["tries"] > 1 else ""
    return f"{scored['name']} on {task.name}: {said} ({interval(value)}, 95 % interval){tries}"


def errors(classes: Sequence[Class], what: str, task: Task, form: str) -> str:
    """Classes by models, the best of each class in bold."""
    if not classes:
        return f"no runs for {task.name}, or fewer than {FEWEST} test crystals of every class"
    best = min if task.target.kind == "regression" else max
    means = {
        m: np.mean([c.values[m] for c in classes if m in c.values]) for m in {m for c in classes for m in c.values}
    }
    names = sorted(means, key=lambda m: (float(means[m]), m), reverse=best is max)
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([what, "crystals", *names])
        writer.writerows([c.name, c.n, *(c.values.get(m, "") for m in names)] for c in classes)
        return out.getvalue().rstrip("\n")
    table = _table()
    for column in (what, "crystals", *names):
        table.add_column(column.replace(", ", "\n"), justify="left" if column == what else "right")
    for c in classes:
        top = best(c.values.values())
        cells = [number(c.values.get(m)) for m in names]
        marked = [f"[bold]{x}[/]" if c.values.get(m) == top else x for x, m in zip(cells, names, strict=True)]
        table.add_row(c.name, str(c.n), *marked)
    measure = f"mean absolute error, {task.target.unit}" if best is min else "accuracy"
    caption = f"{task.name}: {measure}; bold: lowest" if best is min else f"{task.name}: {measure}; bold: highest"
    return "\n".join([(_markdown if form == "markdown" else terminal)(table), caption])


def models(found: Sequence[Found]) -> str:
    """Names, presets and what each is; broken ones with their reason."""
    table = _table()
    for column in ("model", "presets", "what it is", "from"):
        table.add_column(column)
    for m in found:
        if m.model is None:
            table.add_row(f"[red]{m.name}[/]", "-", f"[red]cannot be loaded:[/] {escape(m.reason)}", m.distribution)
        else:
            what = (m.model.__doc__ or "").strip().partition("\n")[0]
            table.add_row(f"[bold]{m.name}[/]", ", ".join(presets(m.model)) or "-", escape(what), m.distribution)
    weights = _table()
    for column in ("published weights", "model", "predicts", "trained on"):
        weights.add_column(column)
    for m in found:
        for name, about in getattr(m.model, "weights", {}).items():
            weights.add_row(name, m.name, about.target, about.trained_on)
    parts = [terminal(table)]
    if weights.row_count:
        parts += [terminal(weights), "for --pretrained of `bench run` and `bench predict`"]
    return "\n".join(parts)


def data_sets(data_dir: Path | None) -> str:
    """Data sets with their tasks, and whether they are at hand."""
    parts = []
    for source in datasets.sources():
        at_hand = datasets.path(source, data_dir) is not None
        where = (
            "in the package" if source.embedded else "at hand" if at_hand else f"not at hand: {datasets.needs(source)}"
        )
        table = _table()
        for column in ("task", "unit", "what the label is"):
            table.add_column(column)
        for task in suite(source.name):
            table.add_row(task.name, task.target.unit or "class 1 = metal", task.target.meaning)
        rules = split.rules(source)  # none before it is made
        rows = f"{split.size(source, rules[0]):,} rows, " if rules else ""
        parts += [f"{source.name}: {source.title}", f"{rows}{where}; {source.licence}", source.citation]
        parts += [*([f"splits: {', '.join(rules)}"] if rules else []), terminal(table), ""]
    return "\n".join(parts[:-1])


def finding(found: Finding) -> str:
    """One line of `bench check`."""
    mark = {True: "pass", False: "FAIL", None: " -- "}[found.passed]
    note = " (not claimed)" if found.passed is None else ""
    return f"  {mark}  {found.point:34} {found.detail}{note}"


def _suite_table(rows: Sequence[Row], tasks: Sequence[Task], form: str) -> Table:
    """Models by tasks, the primary metric of each with its interval; models by their mean place over the tasks."""
    table = _table()
    table.add_column("model")
    for task in tasks:
        metric = task.target.metrics[0]
        unit = task.target.unit if metric.has_unit else ""
        first, _, second = task.target.name.partition("-")
        table.add_column(f"{first}\n{second or ' '}\n[dim]{metric.title}\n{unit}[/]", justify="right")
    table.add_column("train\n \n \n[dim]s[/]", justify="right")
    cells = {(r.title, r.task): r for r in rows}
    for model in by_place(rows, tasks):
        line = [model]
        for task in tasks:
            row = cells.get((model, task.name))
            line.append(_cell(row, task.target.metrics[0].name, form) if row else "-")
        seconds = [r.seconds_train for r in rows if r.title == model and r.seconds_train is not None]
        table.add_row(*line, f"{sum(seconds):.0f}" if seconds else "-")
    return table


def by_place(rows: Sequence[Row], tasks: Sequence[Task]) -> list[str]:
    """Titles of models by their mean place over the tasks; those that were not trained here come last."""
    places: dict[str, list[int]] = {}
    others = {row.title for row in rows if row.pretrained_on}  # below all that were trained here
    for task in tasks:
        for i, row in enumerate(r for r in rows if r.task == task.name):
            places.setdefault(row.title, []).append(i)
    return sorted(places, key=lambda m: (m in others, -len(places[m]), sum(places[m]) / len(places[m])))


def _task_table(rows: Sequence[Row], task: Task, form: str) -> Table:
    """All metrics of one task."""
    table = _table()
    for column in ("rank", "model"):
        table.add_column(column)
    for metric in task.target.metrics:
        unit = f"\n[dim]{task.target.unit}[/]" if metric.has_unit else ""
        table.add_column(metric.title + unit, justify="right")
    for column in ("epochs", "train\n[dim]s[/]", "predict\n[dim]s[/]", "param-\neters"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            rank(row),
            row.title,
            *(_cell(row, metric.name, form) for metric in task.target.metrics),
            "-" if row.epochs is None else f"{row.epochs}{'' if row.flat else ' *'}",
            _seconds(row, form),
            "-" if row.seconds_predict is None else f"{row.seconds_predict:.1f}",
            thousands(row.parameters),
        )
    return table


def _by_system(models: Sequence[tuple[str, dict[str, System]]], task: Task, draw: Callable[[Table], str]) -> list[str]:
    """All metrics of each system, by model if there is more than one; of a regression, after the offsets too."""
    table, unit = _table(), task.target.unit
    metrics = task.target.metrics
    shifted = task.target.kind == "regression"
    for column in (*(["model"] if models[0][0] else []), "system", "crystals"):
        table.add_column(column, justify="right" if column == "crystals" else "left")
    for metric in metrics:
        table.add_column(metric.title, justify="right")
    for column in [f"offset\n[dim]{unit}[/]", *(f"{m.title}\nafter it" for m in metrics)] if shifted else []:
        table.add_column(column, justify="right")
    for title, systems in models:
        for name, s in systems.items():
            cells = [*([title] if title else []), name, str(s.n), *(number(s.metrics[m.name].value) for m in metrics)]
            if shifted:
                cells += [number(s.offset), *(number(s.after_offset[m.name].value) for m in metrics)]
            table.add_row(*cells)
    return [draw(table), *([OFFSET] if shifted else [])]


def _system(plain: dict[str, Any]) -> System:
    """What `asdict` made plain."""
    raw, after = ({k: Value(**v) for k, v in plain[key].items()} for key in ("metrics", "after_offset"))
    return System(plain["n"], raw, plain["offset"], after)


def caption(rows: Sequence[Row], preset: str, form: str, detailed: bool) -> list[str]:
    """What a reader must know of a table: how it was trained, what the intervals are, what is not known."""
    lines = [WARNING[preset]] if preset in WARNING and any(not r.pretrained_on for r in rows) else []
    where = {"markdown": "in brackets the", "html": "beside each value its"}.get(form, "below each value its")
    lines.append(f"{where} {rows[0].noise}; bold: no model is significantly better")
    if any(r.spread for r in rows):
        lines.append("±: standard deviation over folds and seeds")
    if any(r.groups < FEW_GROUPS for r in rows):
        lines.append(ROUGH)
    if detailed and (devices := sorted({r.device for r in rows if r.device})):
        lines.append(f"seconds on {', '.join(devices)}")
    if detailed and any(r.front for r in rows):
        lines.append("bold seconds: no other model is both better and faster to train")
    if detailed and any(r.flat is False for r in rows):
        lines.append("*: the last tenth of the epochs still improved the validation score by more than 1 %")
    return lines + _leak_notes(rows) + _pretrained_notes(rows) + (_origins(rows) if detailed else [])


def _origins(rows: Sequence[Row]) -> list[str]:
    """Where the data are from."""
    found = {row.data["name"]: row.data for row in rows if row.data}
    marks = {"source": "", "version": "version ", "date": "", "licence": "", "citation": ""}
    return [
        f"{name}: {'; '.join(f'{mark}{d[word]}' for word, mark in marks.items() if word in d)}"
        for name, d in found.items()
    ]


def _leak_notes(rows: Sequence[Row]) -> list[str]:
    """What a reader must know of splits that were run with --allow-leaks, or before it was known that they leak."""
    counts: dict[tuple[int, int], list[str]] = {}
    for task, row in {row.task: row for row in rows if row.leaks}.items():
        counts.setdefault((row.leaks or 0, row.n), []).append(task)
    return [
        f"{', '.join(tasks)}: {k:,} of {n:,} tested crystals are, as structures, {ALSO}"
        for (k, n), tasks in counts.items()
    ]


def _pretrained_notes(rows: Sequence[Row]) -> list[str]:
    """What a reader must know of the rows that nothing here has trained."""
    about: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.pretrained_on:
            target = row.task.partition("/")[2]
            crystals = "crystal" if row.outside == 1 else "crystals"
            outside = f", {row.outside:,} {crystals} outside its domain left out" if row.outside else ""
            about.setdefault((row.title, row.pretrained_on), []).append(target + outside)
    lines = [f"{title} on {data} ({'; '.join(targets)})" for (title, data), targets in about.items()]
    return [*lines, "what is pretrained may contain the test set, and holds no rank"] if lines else []


def _cell(row: Row, metric: str, form: str) -> str:
    value = row.metrics[metric]
    shown = number(value.value)
    if row.spread:
        shown += f" ± {number(row.spread[metric])}"
    if row.rank == 1:
        shown = f"**{shown}**" if form == "markdown" else f"[bold]{shown}[/]"
    return f"{shown} ({interval(value)})" if form == "markdown" else f"{shown}\n[dim]{interval(value)}[/]"


def _seconds(row: Row, form: str) -> str:
    if row.seconds_train is None:
        return "-"
    number = f"{row.seconds_train:.0f}"
    return number if not row.front else f"**{number}**" if form == "markdown" else f"[bold]{number}[/]"


def rank(row: Row) -> str:
    """The place, or the places, that a row can hold."""
    if row.rank is None:
        return "-"
    return f"{row.rank}" if row.rank == row.rank_high else f"{row.rank}-{row.rank_high}"


def thousands(count: int | None) -> str:
    """A count in three digits or so: 149k."""
    if count is None:
        return "-"
    return f"{count}" if count < 1000 else f"{count / 1e3:.0f}k" if count < 1e6 else f"{count / 1e6:.1f}M"


def number(value: float | None) -> str:
    """A value to three decimals."""
    return "-" if value is None else f"{value:.3f}"


def interval(value: Value) -> str:
    """The ends of an interval."""
    if value.low is None:
        return "-"
    between = " to " if value.low < 0 else "–"
    return f"{number(value.low)}{between}{number(value.high)}"


def _csv(rows: Sequence[Row]) -> str:
    out = io.StringIO()
    plain = ("model", "preset", "pretrained_on", "task", "kind", "unit", "n", "groups", "rank", "rank_high",
             "epochs", "flat", "front", "seconds_train", "seconds_predict", "peak_memory_mb", "parameters", "device",
             "noise", "split", "commit", "leaks")  # fmt: skip
    names = list(dict.fromkeys(m for row in rows for m in row.metrics))
    writer = csv.writer(out, lineterminator="\n")
    ends = [f"{m}{end}" for m in names for end in ("", "_low", "_high")]
    writer.writerow([*plain, "tied_with", "runs", *ends])
    for row in rows:
        values = [row.metrics.get(m, Value(None, None, None)) for m in names]
        numbers = [x for v in values for x in (v.value, v.low, v.high)]
        writer.writerow([*(getattr(row, c) for c in plain), " ".join(row.tied_with), " ".join(row.runs), *numbers])
    return out.getvalue().rstrip("\n")


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def terminal(table: Table, width: int = 100) -> str:
    """As wide as the terminal; `width` columns where there is none. Colours only where a person looks."""
    console = Console(width=None if sys.stdout.isatty() else width)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines())


def _markdown(table: Table) -> str:
    """A Markdown table with the same cells."""

    def plain(text: object) -> str:
        return " ".join(Text.from_markup(str(text)).plain.split()).replace("|", "\\|")

    lines = [[plain(c.header) for c in table.columns]]
    lines.append(["---:" if c.justify == "right" else "---" for c in table.columns])
    lines += [[plain(cell) for cell in row] for row in zip(*(c.cells for c in table.columns), strict=True)]
    return "\n".join(["", *(f"| {' | '.join(line)} |" for line in lines), ""])
