"""Predictions of the crystals in files, with their intervals, as a table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from leaderboard._util import printable, wrap_lines
from leaderboard.reports.table_drawing import draw_terminal, new_table, words_cell
from leaderboard.reports.wording import format_interval, format_number, plain_words
from leaderboard.shipped import LEVEL, Prediction

DECIMALS = {"eV/atom": 3, "eV": 2, "GPa": 0}


def render_predictions(predictions: Sequence[Prediction], form: str) -> str:
    """Render predictions: crystals by targets, each with its interval below it, or one line for each in CSV.

    `form` is `table`, `csv`, `json`, or `auto` for a table on a terminal and CSV elsewhere.
    """
    if form == "json":
        return json.dumps([_fields(p) for p in predictions], indent=1)
    if form == "csv" or (form == "auto" and not sys.stdout.isatty()):
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([field.name for field in fields(Prediction)])
        for p in predictions:
            writer.writerow([" ".join(v) if isinstance(v, tuple) else v for v in _fields(p).values()])
        return printable(out.getvalue().rstrip("\n"))
    units = {p.target: p.unit for p in predictions}
    by_crystal: dict[str, dict[str, Prediction]] = {}
    for p in predictions:
        by_crystal.setdefault(p.id, {})[p.target] = p
    table = new_table()
    table.add_column("crystal", overflow="fold")
    for target, unit in units.items():
        table.add_column(f"{target.replace('-', ' ')}\n{unit or 'probability'}", justify="right", no_wrap=True)
    for name, of_target in by_crystal.items():
        table.add_row(words_cell(name), *(_cell(p) for p in of_target.values()))
    notes = [
        f"below each number: the interval that holds {100 * LEVEL:.0f} % of values, for crystals like those of training"
    ]
    if any(p.classes for p in predictions):
        notes.append("below each probability: the classes that cannot be excluded at that level")
    reasons: dict[str, list[str]] = {}
    for p in predictions:
        if p.outside:
            reasons.setdefault(f"{p.id}: {p.outside}", []).append(p.target.replace("-", " "))
    notes += [plain_words(f"no interval: {why} ({', '.join(targets)})") for why, targets in reasons.items()]
    return "\n".join([draw_terminal(table), wrap_lines("\n".join(notes))])


def _fields(p: Prediction) -> dict[str, Any]:
    """The fields of a prediction, numbers with seven digits: the networks compute with no more."""
    return {name: float(f"{v:.7g}") if isinstance(v, float) else v for name, v in asdict(p).items()}


def _cell(p: Prediction) -> str:
    if not p.unit:
        return f"{p.value:.2f}\n[dim]{' or '.join(p.classes) or 'outside'}[/]"
    digits = DECIMALS.get(p.unit, 3) + (p.unit == "GPa" and abs(p.value) < 10)
    value = format_number(p.value, digits)
    ends = "outside" if p.low is None else format_interval(p, digits)
    return f"{value}\n[dim]{ends}[/]"
