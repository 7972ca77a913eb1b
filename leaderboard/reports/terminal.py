"""Tables for the terminal, and the board as Markdown, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from asugnn.model_registry import ModelEntry, model_presets, model_publication, model_weights
from leaderboard._util import one_line, require_model_packages, spreadsheet_text, wrap_lines
from leaderboard.board import MetricValue, Row, SystemRow, group_words, overview, row_columns, row_records
from leaderboard.data import (
    Task,
    crystals_hint,
    damaged_sources,
    data_file,
    how_to_get,
    list_sources,
    read_description,
    suite_tasks,
)
from leaderboard.reports.interval_words import interval_gaps, interval_note
from leaderboard.reports.overview_table import render_overview
from leaderboard.reports.table_drawing import draw_markdown, draw_terminal, new_table, words_cell
from leaderboard.reports.wording import (
    CHEAP,
    FEW_GROUPS,
    OFFSET,
    ROUGH,
    best_models,
    board_notes,
    decimals_for,
    format_count,
    format_interval,
    format_number,
    format_rank,
    mark_best,
    order_by_place,
    plain_words,
    preset_warning,
    scope_prefix,
    shows_r2,
)
from leaderboard.splitting import list_rules, split_size


def render_board(rows: Sequence[Row], tasks: Sequence[Task], preset: str, form: str, detailed: bool) -> str:
    """Render the board of some tasks: models by tasks, or if detailed a table per task with all its metrics.

    Without rows, `table` and `markdown` are empty.
    """
    if form == "json":
        return json.dumps([asdict(row) for row in rows], indent=1)
    if form == "csv":
        return _board_csv(rows)
    if not rows:
        return ""
    mark = "- " if form == "markdown" else ""
    heads = [*filter(None, [preset_warning(rows, preset), interval_note(rows, form)])]
    notes = "\n".join(mark + line for line in [*heads, *board_notes(rows, form, detailed)])
    draw, finish = (draw_markdown, str) if form == "markdown" else (draw_terminal, wrap_lines)
    parts = []
    if not detailed:
        datasets = list(dict.fromkeys(task.source.name for task in tasks))
        for name in datasets:
            its_tasks = [task for task in tasks if task.source.name == name]
            its_rows = [row for row in rows if row.task in {task.name for task in its_tasks}]
            parts += [*([one_line(name)] if len(datasets) > 1 else []), draw(_suite_table(its_rows, its_tasks, form))]
        return finish("\n".join([*parts, notes, *_overall(rows, tasks, form)]))
    for task in tasks:
        if its_rows := [r for r in rows if r.task == task.name]:
            first = its_rows[0]
            counts = f"{first.n} {scope_prefix(its_rows)}test crystals in {group_words(first.groups)}"
            parts += [
                plain_words(f"{task.name}: {task.target.meaning}; {counts}", form),
                draw(_task_table(its_rows, task, form)),
            ]
            if task.target.by_system:
                parts += _system_tables([(words_cell(r.title, form), r.systems) for r in its_rows], task, draw)
    return finish("\n".join([*parts, notes, *_overall(rows, tasks, form)]))


def _overall(rows: Sequence[Row], tasks: Sequence[Task], form: str) -> list[str]:
    """The overview below the board of several tasks, under a heading; nothing where there is nothing to compare."""
    text = render_overview(overview(rows, tasks), form)
    return ["", "**over all tasks**" if form == "markdown" else "over all tasks", text] if text else []


def render_score(scored: dict[str, Any], task: Task) -> str:
    """Render what `score_file` returns: the metrics of one file of predictions."""
    table, scope = new_table(), f"{scored['scope']} " if scored.get("scope") else ""
    for column in ("metric", "value", "95 % confidence interval"):
        table.add_column(column)
    for metric in task.target.metrics:
        value = MetricValue(**scored["metrics"][metric.name])
        unit = words_cell(task.target.unit) if metric.has_unit else ""
        table.add_row(scope + metric.title, f"{format_number(value.value)} {unit}".strip(), format_interval(value))
    lines = [
        f"{task.name}, fold {scored['fold']}: {scored['n']} {scope}test crystals in {group_words(scored['groups'])}",
        draw_terminal(table),
    ]
    if "systems" in scored:
        systems = {name: _system_from_dict(plain) for name, plain in scored["systems"].items()}
        lines += _system_tables([("", systems)], task, draw_terminal)
    titles = {metric.name: scope + metric.title for metric in task.target.metrics}
    lines += interval_gaps({name: MetricValue(**value) for name, value in scored["metrics"].items()}, titles)
    return wrap_lines("\n".join([*lines, *([ROUGH] if scored["groups"] < FEW_GROUPS else []), *scored["hints"]]))


def render_models(models: Sequence[ModelEntry]) -> str:
    """Render models with presets and description, and published weights; broken ones with the reason."""
    table = new_table()
    for column in ("model", "presets", "description", "package"):
        table.add_column(column)
    for m in models:
        if m.model is None:
            why = f"[red]cannot be loaded:[/] {words_cell(m.reason)}"
            table.add_row(f"[red]{words_cell(m.name)}[/]", "-", why, words_cell(m.distribution))
        else:
            what = (m.model.__doc__ or "").strip().partition("\n")[0]
            presets = ", ".join(model_presets(m.model)) or "-"
            about = (presets, what, m.distribution)
            table.add_row(f"[bold]{words_cell(m.name)}[/]", *map(words_cell, about))
    weights = new_table()
    for column in ("published weights", "model", "predicts", "trained on"):
        weights.add_column(column)
    for m in models:
        for name, of_name in (model_weights(m.model) if m.model else {}).items():
            weights.add_row(*map(words_cell, (name, m.name, of_name.target, of_name.trained_on)))
    papers = new_table()
    for column in ("model", "doi", "code"):
        papers.add_column(column, overflow="fold")
    for m in models:
        if m.model and (published := model_publication(m.model)):
            code = str(published.code).removeprefix("https://")
            papers.add_row(*map(words_cell, (m.name, str(published.doi) or "-", code or "-")))
    parts = [draw_terminal(table), *_missing_packages(models)]
    if papers.row_count:
        parts.append(draw_terminal(papers))
    if weights.row_count:
        parts += [draw_terminal(weights), "Use published weights with --pretrained of `bench run` and `bench predict`."]
    return wrap_lines("\n".join(parts))


def _missing_packages(models: Sequence[ModelEntry]) -> list[str]:
    """A line for each package that is not installed, with the models that need it."""
    lacking: dict[str, list[str]] = {}
    for entry in models:
        try:
            require_model_packages(entry.model or object)
        except ModuleNotFoundError as error:
            lacking.setdefault(str(error), []).append(entry.name)
    return [one_line(f"{', '.join(names)}: {sentence}") for sentence, names in lacking.items()]


def render_datasets() -> str:
    """Render data sets with their tasks, and whether their files are available."""
    parts: list[str] = []
    for source in list_sources():
        missing = "" if data_file(source) else f"not available: {how_to_get(source)}"
        where = "in the package" if source.embedded else missing or "available"
        if source.folder and not source.compositions and not read_description(source.folder).get("crystals", True):
            where = f"labels without crystals: {crystals_hint(source)}"
        table = new_table()
        for column in ("task", "unit", "label"):
            table.add_column(column)
        for task in suite_tasks(source.name):
            unit = task.target.unit or f"class 1 = {task.target.positive}"
            table.add_row(*map(words_cell, (task.name, unit, task.target.meaning)))
        rules = list_rules(source)  # none before the data set is built
        rows = f"{split_size(source, rules[0]):,} rows, " if rules else ""
        about = (f"{source.name}: {source.title}", f"{rows}{where}; {source.licence}", source.citation)
        parts += map(one_line, about)
        parts += [*([f"splits: {', '.join(rules)}"] if rules else []), draw_terminal(table), ""]
    parts += [one_line(f"{name}: {error}") for name, error in damaged_sources().items()]
    return wrap_lines("\n".join(parts).rstrip("\n"))


def _suite_table(rows: Sequence[Row], tasks: Sequence[Task], form: str) -> Table:
    """Models by tasks: the metric that ranks each task with its interval; models in order of their mean place."""
    table = new_table()
    table.add_column("model", overflow="fold")
    for task in tasks:
        metric = task.target.metrics[0]
        unit = words_cell(task.target.unit, form) if metric.has_unit else ""
        first, _, second = words_cell(task.target.name, form).partition("-")
        title = scope_prefix(row for row in rows if row.task == task.name) + metric.title
        table.add_column(f"{first}\n{second or ' '}\n[dim]{title}\n{unit}[/]", justify="right", overflow="fold")
    table.add_column("train\n \n \n[dim]s[/]", justify="right")
    cells = {(r.title, r.task): r for r in rows}
    marked = {task.name: best_models(row for row in rows if row.task == task.name) for task in tasks}
    seconds_train: dict[str, list[float]] = {}
    for r in rows:
        if r.seconds_train is not None:
            seconds_train.setdefault(r.title, []).append(r.seconds_train)
    digits = {t.name: decimals_for((r for r in rows if r.task == t.name), t.target.metrics[0].name) for t in tasks}
    for model in order_by_place(rows, tasks):
        line = [words_cell(model, form)]
        for task in tasks:
            row = cells.get((model, task.name))
            best, first = model in marked[task.name], task.target.metrics[0].name
            also = f"R2 {format_number(row.metrics['r2'].value)}" if row and shows_r2(task) else ""
            line.append(_metric_cell(row, first, best, form, digits[task.name], also) if row else "-")
        seconds = seconds_train.get(model)
        table.add_row(*line, f"{sum(seconds):.0f}" if seconds else "-")
    return table


def _task_table(rows: Sequence[Row], task: Task, form: str) -> Table:
    """All metrics of one task."""
    table = new_table()
    table.add_column("rank")
    table.add_column("model", overflow="fold")
    for metric in task.target.metrics:
        unit = f"\n[dim]{words_cell(task.target.unit, form)}[/]" if metric.has_unit else ""
        table.add_column(scope_prefix(rows) + metric.title + unit, justify="right", overflow="fold")
    for heading in ("epochs", "params", "train\n[dim]s[/]", "predict\n[dim]s[/]"):
        table.add_column(heading, justify="right")
    digits = {metric.name: decimals_for(rows, metric.name) for metric in task.target.metrics}
    marked = best_models(rows)
    for row in rows:
        epochs = "-" if row.epochs is None else f"{row.epochs}{'' if row.flat else ' *'}"
        predict = "-" if row.seconds_predict is None else f"{row.seconds_predict:.1f}"
        costs = [epochs, format_count(row.parameters), _seconds(row), predict]
        metrics = enumerate(task.target.metrics)
        values = [
            _metric_cell(row, metric.name, i == 0 and row.title in marked, form, digits[metric.name])
            for i, metric in metrics
        ]
        table.add_row(format_rank(row), words_cell(row.title, form), *values, *costs)
    return table


def _system_tables(
    models: Sequence[tuple[str, dict[str, SystemRow]]], task: Task, draw: Callable[[Table], str]
) -> list[str]:
    """All metrics by chemical system, and by model if there are title cells; for a regression after the offsets too."""
    table, unit = new_table(), words_cell(task.target.unit)
    metrics = task.target.metrics
    shifted = task.target.kind == "regression"
    if models[0][0]:
        table.add_column("model", overflow="fold")
    table.add_column("system")
    table.add_column("n", justify="right")
    for metric in metrics:
        table.add_column(metric.title, justify="right")
    for column in [f"offset\n[dim]{unit}[/]", *(f"{m.title}\nafter\noffset" for m in metrics)] if shifted else []:
        table.add_column(column, justify="right")
    for title, systems in models:
        for name, system in systems.items():
            cells = [*([title] if title else []), name, str(system.n)]
            cells += [format_number(system.metrics[m.name].value) for m in metrics]
            if shifted:
                cells.append(format_number(system.offset))
                cells += [format_number(system.after_offset[m.name].value) for m in metrics]
            table.add_row(*cells)
    return [draw(table), *([OFFSET] if shifted else [])]


def _system_from_dict(plain: dict[str, Any]) -> SystemRow:
    """Undo `asdict`."""
    raw, after = ({k: MetricValue(**v) for k, v in plain[key].items()} for key in ("metrics", "after_offset"))
    return SystemRow(plain["n"], raw, plain["offset"], after)


def _metric_cell(row: Row, metric: str, best: bool, form: str, digits: int, also: str = "") -> str:
    """A value with its interval, in Markdown on one line; `also` is another metric in words."""
    value = row.metrics[metric]
    if value.value is None:
        return "-"
    text = format_number(value.value, digits)
    if row.spread:
        text += f" ± {format_number(row.spread[metric], digits)}"
    text = mark_best(text, best)
    if form == "markdown":
        text = text if value.low is None else f"{text} ({format_interval(value, digits)})"
        return f"{text}, {also}" if also else text
    lines = [
        f"[bold]{text}[/]" if best else text,
        f"[dim]{format_interval(value, digits)}[/]",
        *([f"[dim]{also}[/]"] * bool(also)),
    ]
    return "\n".join(lines)


def _seconds(row: Row) -> str:
    if row.seconds_train is None:
        return "-"
    return f"{row.seconds_train:.0f}{f' {CHEAP}' if row.front else ''}"


def _board_csv(rows: Sequence[Row]) -> str:
    lines = ([" ".join(x) if isinstance(x, tuple) else x for x in record.values()] for record in row_records(rows))
    return spreadsheet_text([row_columns(rows), *lines])
