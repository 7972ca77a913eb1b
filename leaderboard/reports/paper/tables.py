"""The tables of the paper: Table 1, the ablation; Table 2, the comparison; and the zero-shot test of section 5.2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asugnn.errors import InputError
from asugnn.model_registry import configure_model, model_settings
from leaderboard.board import Row
from leaderboard.reports.paper.stored_runs import (
    DATA,
    ROW_KINDS,
    ZERO_SHOT,
    ModelBlock,
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
from leaderboard.reports.publication_table import Cell, Column, Notes, Table
from leaderboard.reports.wording import best_models
from leaderboard.scoring import ALL_SYSTEMS, score_by_system

Rows = list[str | Sequence[Cell]]
TableAndFaults = tuple[Table, Sequence[str]]  # and sentences on runs that could not be used
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


def table_1(dataset: str, preset: str, models: Sequence[str], root: Path | None) -> TableAndFaults:
    """Make Table 1, the ablation: adjacency matrices, width and powder pattern, by the settings that runs record."""
    if models and list(models) != ["asugnn"]:
        raise InputError("table-1 shows asugnn alone: leave --model out")
    notes, runs = Notes(), load_paper_runs(dataset or DATA, ["formation-energy"], preset, root, "asugnn")
    measured = _rows_by_configuration(runs)
    widths = Counter(width for _, _, width, _ in measured)
    base = max(widths, key=lambda w: (widths[w], w == WIDTH), default=WIDTH)
    rows: Rows = []
    missing = 0
    for block in paper_values()["table-1"]:
        rows.append(block["block"])
        wanted = {quoted.get("width") for quoted in block["rows"]}
        others = [] if None in wanted else [{"width": w} for w in sorted(widths) if w not in wanted]
        for quoted in [*block["rows"], *others]:
            settings = {"first": "asuam", "second": "dam", "width": base, "xrd": True, **quoted}
            key = (settings["first"], settings["second"], settings["width"], settings["xrd"])
            if key in measured or "mae" in quoted:
                rows.append(_table_1_row(quoted, key, measured.get(key), runs, notes, list(measured.values())))
            if key not in measured and "mae" in quoted:
                missing += 1
    columns = [
        Column("first", right=False), Column("second", right=False), Column("powder", "pattern", right=False),
        Column("quoted", "d"), Column("", "parameters"), Column("", "MAE, eV/atom"),
        Column("measured", "d"), Column("", "parameters"), Column("", "MAE, eV/atom"),
    ]  # fmt: skip
    extra = []
    if missing:
        command = f"bench run ablation --task {runs.dataset}/formation-energy --preset {runs.preset}"
        extra = [f"{missing} rows are not measured: {command} trains all variants at the widths of the preset"]
    title = "Ablation of ASUGNN: MAE of the formation energy by adjacency matrices, dimensions and powder pattern"
    caption = table_caption(runs, list(measured.values()), "MP-2024-1", extra)
    return Table("table-1", title, columns, rows, notes.all(), caption), runs.faults


def _rows_by_configuration(runs: PaperRuns) -> dict[Configuration, Row]:
    """The rows of ASUGNN by configuration. A setting that a run does not record has its default.

    The rows of one table agree in all other settings; of several such sets the largest is taken.
    """
    sets: dict[str, dict[Configuration, Row]] = {}
    for row in sorted(runs.rows, key=lambda r: (len(r.model), r.model)):
        try:
            others = {**model_settings(configure_model("asugnn", row.preset, {})), **row.settings}
        except InputError:  # a record may name asugnn and a preset that it does not have
            continue
        first, second, width, xrd = (others.pop(name) for name in ("first", "second", "width", "xrd"))
        if [type(x) for x in (first, second, width, xrd)] != [str, str, int, bool]:
            continue
        sets.setdefault(repr(sorted(others.items())), {}).setdefault((first, second, width, xrd), row)
    return max(sets.values(), key=len, default={})


def _table_1_row(
    quoted: Mapping[str, Any], key: Configuration, row: Row | None, runs: PaperRuns, notes: Notes, shown: Sequence[Row]
) -> Sequence[Cell]:
    first, second, width, xrd = key
    cells = [Cell("-" if name == "none" else name.upper()) for name in (first, second)]
    cells.append(Cell("yes" if xrd else "masked"))
    cells += [Cell(str(quoted.get("width", "-")) if "mae" in quoted else "-"), Cell(quoted.get("parameters", "-"))]
    cells.append(quoted_cell({"value": quoted["mae"]} if "mae" in quoted else None, notes))
    if row is None:
        return [*cells, Cell(), Cell(), Cell()]
    cells += [Cell(str(width)), Cell(f"{row.parameters:,}" if row.parameters else "-")]
    mark = notes.mark(row_origin([row], runs), measured=True)
    return [*cells, _row_cell(row, "mae", 3, 1, mark, runs, shown)]


def table_2(dataset: str, preset: str, models: Sequence[str], root: Path | None) -> TableAndFaults:
    """Make Table 2, the comparison: a quoted row of each model, and its measured rows below, target by target."""
    targets = list(dict.fromkeys(name for _, _, name, *_ in TABLE_2))
    notes, runs = Notes(), load_paper_runs(dataset or DATA, targets, preset, root)
    compared = [row for row in runs.rows if not _belongs_to_table_1(row, runs)]
    rows: Rows = []
    unmeasured = []
    blocks = model_blocks("table-2", runs, compared, models)
    shown = _measured_rows(blocks)
    for title, quoted, measured in blocks:
        if quoted:
            # Quoted under the name of the metric, or of the target if it has one metric only.
            cells = [quoted_cell(quoted.get(metric, quoted.get(name)), notes) for _, _, name, metric, *_ in TABLE_2]
            rows.append([Cell(title), Cell("quoted"), *cells])
            if not any(len(by_target) == len(targets) for by_target in measured):
                unmeasured.append(quoted["entries"][0])
        for i, by_target in enumerate(measured):
            mark = notes.mark(row_origin(by_target.values(), runs), measured=True)
            kind = ROW_KINDS.get(next(iter(by_target.values())).preset, "measured")
            cells = [
                _row_cell(by_target[name], metric, digits, factor, mark, runs, shown) if name in by_target else Cell()
                for _, _, name, metric, digits, factor in TABLE_2
            ]
            rows.append([Cell("" if quoted or i else title), Cell(kind), *cells])
    columns = [Column("model", right=False), Column("", right=False), *(Column(a, b) for a, b, *_ in TABLE_2)]
    extra = [f"{t.target.name} measured here: {t.target.meaning}" for t in runs.tasks if shown]
    if unmeasured:
        command = f"bench run {runs.dataset} --model {','.join(unmeasured)} --preset {runs.preset} --fold all"
        extra.append(f"not measured on all targets: {command}")
    title = "MAE of three regressions, accuracy and ROC-AUC of one classification"
    caption = table_caption(runs, shown, "MP-2024-1", extra)
    return Table("table-2", title, columns, rows, notes.all(), caption), runs.faults


def _belongs_to_table_1(row: Row, runs: PaperRuns) -> bool:
    """Whether a row is a variant of ASUGNN that only Table 1 shows."""
    if runs.base_model(row) != "asugnn" or "+" not in row.model:
        return False
    defaults = model_settings(configure_model("asugnn", row.preset, {}))
    varied = {name for name, value in row.settings.items() if defaults.get(name, value) != value}
    return bool(varied & {"first", "second", "width", "xrd"})


def zero_shot(dataset: str, preset: str, models: Sequence[str], root: Path | None) -> TableAndFaults:
    """Make the zero-shot table: errors on distorted Ag and Fe-C as predicted, and after one offset per system."""
    notes, runs = Notes(), load_paper_runs(dataset or ZERO_SHOT, ["zero-shot"], preset, root)
    rows: Rows = []
    unmeasured = []
    blocks = model_blocks("zero-shot", runs, runs.rows, models)
    for title, quoted, measured in blocks:
        rows.append(title)
        marks = (quoted or {}).get("marks", [])
        quoted_cells = {
            name: quoted_cell({"value": quoted[name], "marks": marks}, notes)
            for name in SYSTEMS
            if quoted and name in quoted
        }
        if quoted and not measured:
            unmeasured.append(quoted["entries"][-1])
            rows += [[Cell("quoted"), Cell(name), cell, *[Cell()] * 7] for name, cell in quoted_cells.items()]
        for i, by_target in enumerate(measured):
            (row,) = by_target.values()
            folds = [(fold, formulas) for fold, formulas, _ in runs.predictions(row)]
            mark = notes.mark(row_origin([row], runs), measured=True)
            for part, system in score_by_system(folds).items():
                record = cell_record(row, runs, system.n)
                numbers = [measured_cell(system.raw[name], record, digits) for name, digits in ZERO_SHOT_METRICS]
                shifted = [measured_cell(system.shifted[name], record, digits) for name, digits in ZERO_SHOT_METRICS]
                offset = "-" if system.offset is None else f"{system.offset:+.3f}"
                label = Cell(ROW_KINDS.get(row.preset, "measured"), "", (mark,)) if part == ALL_SYSTEMS else Cell("")
                quote = Cell() if i else quoted_cells.get(part, Cell())
                rows.append([label, Cell(part), quote, *numbers, Cell(offset), *shifted])
    columns = [
        Column("", right=False), Column("system", right=False), Column("quoted", "MAE"),
        Column("measured", "MAE"), Column("", "RMSE"), Column("", "R2"),
        Column("offset"), Column("after offset", "MAE"), Column("", "RMSE"), Column("", "R2"),
    ]  # fmt: skip
    extra = [
        "offset: the mean of label minus prediction over a system, added to all its predictions",
        "intervals after the offset do not include the uncertainty of the offset itself",
    ]
    if unmeasured:
        extra.append(f"not measured: bench run {runs.dataset} --model {','.join(unmeasured)} --preset {runs.preset}")
    title = "Zero-shot formation energies of distorted Ag and Fe-C, eV/atom"
    caption = table_caption(runs, _measured_rows(blocks), "HMdataset", extra, starred=False)
    return Table("zero-shot", title, columns, rows, notes.all(), caption), runs.faults


def _measured_rows(blocks: Sequence[ModelBlock]) -> list[Row]:
    return [row for *_, measured in blocks for by_target in measured for row in by_target.values()]


def _row_cell(
    row: Row, metric: str, digits: int, factor: int, mark: str, runs: PaperRuns, shown: Sequence[Row]
) -> Cell:
    """The cell of a measured number; that of the metric which ranks is marked as on the board, among the shown rows."""
    spread = row.spread[metric] if row.spread else None
    cell = measured_cell(row.metrics[metric], cell_record(row, runs), digits, factor, spread)
    best = metric == next(iter(row.metrics)) and row.title in best_models(r for r in shown if r.task == row.task)
    return Cell(cell.text, cell.interval, (mark,), {**cell.record, "best": best}, best)


TABLES: dict[str, Callable[[str, str, Sequence[str], Path | None], TableAndFaults]] = {
    "table-1": table_1,
    "table-2": table_2,
    "zero-shot": zero_shot,
}
