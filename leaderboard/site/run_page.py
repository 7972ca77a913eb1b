"""The page of a run: its score, its predictions, its largest errors, and all fields of run.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from leaderboard.board import MetricValue, Row, estimate_runs, metric_value
from leaderboard.records import StoredRun
from leaderboard.reports import PanelData, panel_data, preset_warning, scope_prefix
from leaderboard.site.formatting import html_interval, html_number, html_rank, metric_unit
from leaderboard.site.index_page import page_notes
from leaderboard.site.models_page import card_of_row
from leaderboard.site.svg_figures import (
    history_figure,
    parity_figure,
    probability_figure,
    residual_figure,
    residual_histogram,
    roc_figure,
)
from leaderboard.site.view_model import (
    SiteBoard,
    SiteData,
    address,
    anchor_of_row,
    crystals_of,
    page_of_run,
    page_of_task,
)

WORST = 10  # crystals whose errors are listed
SIZE = 400  # of a figure
SECTIONS = {
    "Settings": ("settings", "precision", "fold", "seed"),
    "Weights": ("weights",),
    "Cost": ("seconds", "peak_memory_mb", "peak_device_memory_mb", "device", "parameters", "resumed"),
    "Data and split": ("data", "split", "counts", "outside"),
    "Software": ("source", "entry", "commit", "versions", "format"),
    "Files and digests": ("predictions_sha256", "files", "columns", "log", "sha256"),
}
NAMES = {
    "seconds train": "training, s",
    "seconds predict": "prediction, s",
    "peak_memory_mb": "peak memory, MB",
    "peak_device_memory_mb": "peak memory of the GPU, MB",
    "predictions_sha256": "sha256 of predictions.csv",
    "sha256": "sha256 of run.json",
    "counts train": "training crystals",
    "counts validate": "validation crystals",
    "counts test": "test crystals",
    "outside": "unsupported test crystals",
    "resumed": "interrupted and resumed",
}
UNPREFIXED = {"settings", "versions", "files"}  # fields whose entries are listed without the name of the field
WORDS = {"True": "yes", "False": "no", "None": "none"}
LISTED = 20  # entries of a long list that are shown, such as unsupported crystals


def run_values(stored: SiteData, board: SiteBoard, row: Row, record: StoredRun) -> dict[str, Any]:
    """The values of run.html."""
    run, runs, target = record.run, stored.runs(row), record.run.task.target
    truth, p = stored.read_predictions(record)
    scored = truth.pair_scored(p)
    scores: Mapping[str, MetricValue] = row.metrics
    if len(runs) > 1:  # the row is their mean
        scores = {name: metric_value(e) for name, e in estimate_runs(run.task, [record], [scored]).items()}
    withheld = stored.is_withheld(run)
    return {
        "run": run,
        "card": card_of_row(stored, row),
        "row_on_task": address(page_of_task(run.task, board.preset), anchor_of_row(row)),
        "unit": target.unit,
        "page_of_task": page_of_task(run.task, board.preset),
        "n": len(scored.y),
        "groups": len(set(scored.groups)),
        "noise": row.noise,
        "siblings": [(r.run.fold_seed, page_of_run(r.run)) for r in runs],
        "scores": [
            (
                scope_prefix([row]) + m.title,
                html_number(scores[m.name].value),
                metric_unit(run.task, m),
                html_interval(scores[m.name]),
            )
            for m in target.metrics
        ],
        "rank": "" if row.rank is None else html_rank(row),
        "ranked": sum(r.rank is not None for r in board.task_rows(run.task)),
        "warning": preset_warning([row], board.preset),
        "notes": page_notes(
            [replace(row, spread=None, seconds_train=None)], detailed=False
        ),  # its own are further below
        "withheld": withheld,
        "sections": record_sections(record.record.raw),
        **({} if withheld else _predictions(stored, record, *panel_data([(truth.y, p)]))),
    }


def record_sections(record: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """All fields of run.json: headings, each with names and values; unknown fields come last."""
    known = {key for keys in SECTIONS.values() for key in keys}
    headings = {**SECTIONS, "Other": tuple(key for key in record if key not in known)}
    out = []
    for heading, keys in headings.items():
        fields = [("" if key in UNPREFIXED else key, record[key]) for key in keys if key in record]
        lines = [line for name, value in fields for line in _flatten_field(name, value)]
        if lines:
            out.append((heading, [(NAMES.get(name, name.replace("_", " ")), value) for name, value in lines]))
    return out


def _flatten_field(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The values of a field, of tables in it too, each with the names that lead to it."""
    if isinstance(value, Mapping):
        for i, (key, inner) in enumerate(value.items()):
            if i == LISTED:
                yield f"{name} and", f"{len(value) - LISTED:,} more in run.json"
                return
            yield from _flatten_field(f"{name} {key}".strip(), inner)
        if not value:
            yield name, "none"
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value))
    else:
        yield name, WORDS.get(str(value), str(value))


def _predictions(stored: SiteData, record: StoredRun, data: PanelData) -> dict[str, Any]:
    """Figures, first those that name crystals under the pointer, and the crystals with the largest errors."""
    task, unit = record.run.task, record.run.task.target.unit
    values: dict[str, Any] = {
        "crystals": crystals_of(task, record.run.fold),
        "data": stored.fold_predictions([record]),
        "worst": _worst(stored, record),
        "history": history_figure(record.read_history(), SIZE, 190),
    }
    if task.target.kind == "binary":
        return {
            **values,
            "live": [
                (
                    f"Probability of class 1: {task.target.positive}",
                    probability_figure(data, task.target.positive, SIZE),
                )
            ],
            "still": [("ROC curve", roc_figure([[data]], 0, SIZE))],
            "confusion": data.confusion.tolist(),
            "outliers": 0,
        }
    return {
        **values,
        "live": [("Parity", parity_figure(data, unit, SIZE)), ("Residuals", residual_figure(data, unit, SIZE))],
        "still": [],
        "confusion": None,
        "histogram": residual_histogram(data, unit, SIZE, 190),
        "outliers": int(data.outliers.sum()),
    }


def _worst(stored: SiteData, record: StoredRun) -> list[dict[str, Any]]:
    truth, p = stored.read_predictions(record)
    order = np.argsort(-abs(p - truth.y), kind="stable")[:WORST].tolist()
    formulas = stored.formulas(record.run.task, [truth.ids[i] for i in order])
    return [
        {"id": truth.ids[i], "formula": formula, "numbers": [float(truth.y[i]), float(p[i]), float(p[i] - truth.y[i])]}
        for i, formula in zip(order, formulas, strict=True)
    ]
