"""The tables of the paper: Table 1, the ablation; Table 2, the comparison; and the zero-shot test of section 5.2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asugnn.errors import InputError
from asugnn.model_registry import configure_model, model_settings
from leaderboard.board import Row
from leaderboard.reports import Cell, Column, Notes, Table
from leaderboard.reports.paper.stored_runs import (
    DATA,
    ROW_KINDS,
    ZERO_SHOT,
    PaperRuns,
    cell_record,
    load_paper_runs,
    measured_cell,
    model_blocks,
    paper_values,
    quoted_cell,
    row_origin,
    table_caption,
)
from leaderboard.scoring import ALL_SYSTEMS, score_by_system

Rows = list[str | Sequence[Cell]]
Drawn = tuple[Table, Sequence[str]]  # the table, and what could not be used
WIDTH = 512  # of the paper's ASUGNN
ZERO_SHOT_METRICS = (("mae", 3), ("rmse", 3), ("r2", 2))  # metric, digits
SYSTEMS = (ALL_SYSTEMS, "Ag", "Fe-C")
TABLE_2 = (
    ("formation energy", "MAE, eV/atom", "formation-energy", "mae", 3, 1),
    ("bulk modulus", "MAE, log10 GPa", "bulk-modulus", "mae", 3, 1),
    ("band gap", "MAE, eV", "band-gap", "mae", 3, 1),
    ("metal", "accuracy, %", "metal", "accuracy", 1, 100),
    ("metal", "ROC-AUC", "metal", "roc_auc", 3, 1),
)  # title, unit, target, metric, digits, factor

# first adjacency, second, width, whether the powder pattern is used
Configuration = tuple[str, str, int, bool]


def table_1(data: str, preset: str, models: Sequence[str], root: Path) -> Drawn:
    """The ablation: adjacency matrices, width and powder pattern, by the settings that the runs record."""
    if models and list(models) != ["asugnn"]:
        raise InputError("table-1 is of asugnn alone: leave --model out")
    notes, of = Notes(), load_paper_runs(data or DATA, ["formation-energy"], preset, root, "asugnn")
    measured = _ablation(of)
    widths = Counter(width for _, _, width, _ in measured)
    base = max(widths, key=lambda w: (widths[w], w == WIDTH), default=WIDTH)
    rows: Rows = []
    missing = 0
    for block in paper_values()["table-1"]:
        rows.append(block["block"])
        wanted = {said.get("width") for said in block["rows"]}
        others = [] if None in wanted else [{"width": w} for w in sorted(widths) if w not in wanted]
        for said in [*block["rows"], *others]:
            plain = {"first": "asuam", "second": "dam", "width": base, "xrd": True, **said}
            key = (plain["first"], plain["second"], plain["width"], plain["xrd"])
            if key in measured or "mae" in said:
                rows.append(_table_1_row(said, key, measured.get(key), of, notes))
            if key not in measured and "mae" in said:
                missing += 1
    columns = [
        Column("first", right=False), Column("second", right=False), Column("powder", "pattern", right=False),
        Column("quoted", "d"), Column("", "parameters"), Column("", "MAE, eV/atom"),
        Column("measured", "d"), Column("", "parameters"), Column("", "MAE, eV/atom"),
    ]  # fmt: skip
    extra = []
    if missing:
        command = f"bench run ablation --task {of.data}/formation-energy --preset {of.preset}"
        extra = [f"{missing} rows are not measured: {command} trains all variants, at the widths of its preset"]
    title = "Ablation of ASUGNN: MAE of the formation energy by adjacency matrices, dimensions and powder pattern"
    return Table(
        "table-1", title, columns, rows, notes.all(), table_caption(of, list(measured.values()), "MP-2024-1", extra)
    ), of.faults


def _ablation(of: PaperRuns) -> dict[Configuration, Row]:
    """The rows of ASUGNN by configuration. A setting that a run does not record is its default.

    Rows stand in one table if they are alike in all other settings: of several such sets, the one with most rows.
    """
    sets: dict[str, dict[Configuration, Row]] = {}
    for row in sorted(of.rows, key=lambda r: (len(r.model), r.model)):
        others = {**model_settings(configure_model("asugnn", row.preset, {})), **row.settings}
        first, second, width, xrd = (others.pop(name) for name in ("first", "second", "width", "xrd"))
        sets.setdefault(repr(sorted(others.items())), {}).setdefault((first, second, width, xrd), row)
    return max(sets.values(), key=len, default={})


def _table_1_row(
    said: Mapping[str, Any], key: Configuration, row: Row | None, of: PaperRuns, notes: Notes
) -> Sequence[Cell]:
    first, second, width, xrd = key
    cells = [Cell("-" if name == "none" else name.upper()) for name in (first, second)]
    cells.append(Cell("yes" if xrd else "masked"))
    cells += [Cell(str(said.get("width", "-")) if "mae" in said else "-"), Cell(said.get("parameters", "-"))]
    cells.append(quoted_cell({"value": said["mae"]} if "mae" in said else None, notes))
    if row is None:
        return [*cells, Cell(), Cell(), Cell()]
    cells += [Cell(str(width)), Cell(f"{row.parameters:,}" if row.parameters else "-")]
    return [*cells, _of_row(row, "mae", 3, 1, notes.mark(row_origin([row], of), measured=True), of)]


def table_2(data: str, preset: str, models: Sequence[str], root: Path) -> Drawn:
    """The comparison: a quoted row of each model and, below it, what is measured, target by target."""
    targets = list(dict.fromkeys(name for _, _, name, *_ in TABLE_2))
    notes, of = Notes(), load_paper_runs(data or DATA, targets, preset, root)
    whole = [row for row in of.rows if not _ablated(row, of)]
    rows: Rows = []
    lacking = []
    blocks = model_blocks("table-2", of, whole, models)
    shown = [row for *_, measured in blocks for of_targets in measured for row in of_targets.values()]
    for title, said, measured in blocks:
        if said:
            # A metric of its own name, or else a target's only one.
            cells = [quoted_cell(said.get(metric, said.get(name)), notes) for _, _, name, metric, *_ in TABLE_2]
            rows.append([Cell(title), Cell("quoted"), *cells])
            if not any(len(of_targets) == len(targets) for of_targets in measured):
                lacking.append(said["entries"][0])
        for i, of_targets in enumerate(measured):
            mark = notes.mark(row_origin(of_targets.values(), of), measured=True)
            kind = ROW_KINDS.get(next(iter(of_targets.values())).preset, "measured")
            cells = [
                _of_row(of_targets[name], metric, digits, factor, mark, of) if name in of_targets else Cell()
                for _, _, name, metric, digits, factor in TABLE_2
            ]
            rows.append([Cell("" if said or i else title), Cell(kind), *cells])
    columns = [Column("model", right=False), Column("", right=False), *(Column(a, b) for a, b, *_ in TABLE_2)]
    extra = [f"{t.target.name} measured here: {t.target.meaning}" for t in of.tasks if shown]
    if lacking:
        command = f"bench run {of.data} --model {','.join(lacking)} --preset {of.preset} --fold all"
        extra.append(f"not measured in full: {command}")
    title = "MAE of three regressions, accuracy and ROC-AUC of one classification"
    return Table("table-2", title, columns, rows, notes.all(), table_caption(of, shown, "MP-2024-1", extra)), of.faults


def _ablated(row: Row, of: PaperRuns) -> bool:
    """Whether a row is one of Table 1 alone."""
    if of.entry(row) != "asugnn" or "+" not in row.model:
        return False
    plain = model_settings(configure_model("asugnn", row.preset, {}))
    varied = {name for name, value in row.settings.items() if plain.get(name, value) != value}
    return bool(varied & {"first", "second", "width", "xrd"})


def zero_shot(data: str, preset: str, models: Sequence[str], root: Path) -> Drawn:
    """Formation energies of distorted Ag and Fe-C by models that never saw such: raw, and after one offset a system."""
    notes, of = Notes(), load_paper_runs(data or ZERO_SHOT, ["zero-shot"], preset, root)
    rows: Rows = []
    lacking = []
    blocks = model_blocks("zero-shot", of, of.rows, models)
    shown = [row for *_, measured in blocks for of_targets in measured for row in of_targets.values()]
    for title, said, measured in blocks:
        rows.append(title)
        marks = (said or {}).get("marks", [])
        quotes = {
            name: quoted_cell({"value": said[name], "marks": marks}, notes) for name in SYSTEMS if said and name in said
        }
        if said and not measured:
            lacking.append(said["entries"][-1])
            rows += [[Cell("quoted"), Cell(name), cell, *[Cell()] * 7] for name, cell in quotes.items()]
        for i, of_targets in enumerate(measured):
            (row,) = of_targets.values()
            runs = [(run, formulas) for run, formulas, _ in of.predictions(row)]
            mark = notes.mark(row_origin([row], of), measured=True)
            for part, system in score_by_system(runs).items():
                known = cell_record(row, of, system.n)
                numbers = [measured_cell(system.raw[name], known, digits) for name, digits in ZERO_SHOT_METRICS]
                moved = [measured_cell(system.shifted[name], known, digits) for name, digits in ZERO_SHOT_METRICS]
                offset = "-" if system.offset is None else f"{system.offset:+.3f}"
                label = Cell(ROW_KINDS.get(row.preset, "measured"), "", (mark,)) if part == ALL_SYSTEMS else Cell("")
                quote = Cell() if i else quotes.get(part, Cell())
                rows.append([label, Cell(part), quote, *numbers, Cell(offset), *moved])
    columns = [
        Column("", right=False), Column("system", right=False), Column("quoted", "MAE"),
        Column("measured", "MAE"), Column("", "RMSE"), Column("", "R2"),
        Column("offset"), Column("after it", "MAE"), Column("", "RMSE"), Column("", "R2"),
    ]  # fmt: skip
    extra = [
        "offset: what is added to all predictions of a system, the mean of label less prediction",
        "the intervals after it take it as found, without its own uncertainty",
    ]
    if lacking:
        extra.append(f"not measured: bench run {of.data} --model {','.join(lacking)} --preset {of.preset}")
    title = "Zero-shot formation energies of distorted Ag and Fe-C, eV/atom"
    return Table(
        "zero-shot", title, columns, rows, notes.all(), table_caption(of, shown, "HMdataset", extra)
    ), of.faults


def _of_row(row: Row, metric: str, digits: int, factor: int, mark: str, of: PaperRuns) -> Cell:
    spread = row.spread[metric] if row.spread else None
    cell = measured_cell(row.metrics[metric], cell_record(row, of), digits, factor, spread)
    return Cell(cell.text, cell.interval, (mark,), cell.about)


TABLES: dict[str, Callable[[str, str, Sequence[str], Path], Drawn]] = {
    "table-1": table_1,
    "table-2": table_2,
    "zero-shot": zero_shot,
}
