"""What the page of a run shows: its score, its predictions, its largest errors, and all that run.json says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from leaderboard.board import MetricValue, Row, metric_value
from leaderboard.records import StoredRun, read_history
from leaderboard.reports import PanelData, panel_data
from leaderboard.scoring import estimate_metrics
from leaderboard.site.formatting import html_interval, html_number, html_rank, metric_unit
from leaderboard.site.index_page import page_notes
from leaderboard.site.svg_figures import (
    history_figure,
    parity_figure,
    probability_figure,
    residual_figure,
    residual_histogram,
    roc_figure,
)
from leaderboard.site.view_model import SiteBoard, SiteData, crystals_of, page_of_run, page_of_task

WORST = 10  # crystals whose errors are listed
SIZE = 400  # of a figure
SECTIONS = {
    "Settings": ("settings", "precision", "fold", "seed"),
    "Weights": ("weights",),
    "Cost": ("seconds", "peak_memory_mb", "device", "parameters", "resumed"),
    "Data and split": ("data", "split", "counts", "outside"),
    "Software": ("source", "entry", "commit", "versions", "format"),
    "Files and digests": ("predictions_sha256", "files", "columns", "log", "sha256"),
}
NAMES = {
    "seconds train": "training, s",
    "seconds predict": "prediction, s",
    "peak_memory_mb": "peak memory, MB",
    "predictions_sha256": "sha256 of predictions.csv",
    "sha256": "sha256 of run.json",
    "counts train": "crystals that train",
    "counts validate": "crystals that validate",
    "counts test": "crystals that test",
    "outside": "outside its domain",
    "resumed": "cut off and resumed",
}
BARE = {"settings", "versions", "files"}  # whose entries are named without them
WORDS = {"True": "yes", "False": "no", "None": "none"}
SHOWN = 20  # entries of a long list, such as the crystals outside a model's domain


def run_values(stored: SiteData, board: SiteBoard, row: Row, record: StoredRun) -> dict[str, Any]:
    """For the template."""
    run, runs, target = record.run, stored.runs(row), record.run.task.target
    held, p = stored.read(record)
    scored = held.run(p)
    scores: Mapping[str, MetricValue] = row.metrics
    if len(runs) > 1:  # the row is their mean
        scores = {
            name: metric_value(e) for name, e in estimate_metrics(target.kind, [scored], target.ranked_by).items()
        }
    warning, said = page_notes([row], board.preset, detailed=False)
    withheld = stored.withheld(run)
    return {
        "run": run,
        "unit": target.unit,
        "page_of_task": page_of_task(run.task, board.preset),
        "n": len(scored.y),
        "groups": len(set(scored.groups)),
        "noise": row.noise,
        "siblings": [(f"{r.run.fold}-{r.run.seed}", page_of_run(r.run)) for r in runs],
        "scores": [
            (m.title, html_number(scores[m.name].value), metric_unit(run.task, m), html_interval(scores[m.name]))
            for m in target.metrics
        ],
        "rank": "" if row.rank is None else html_rank(row),
        "ranked": sum(r.rank is not None for r in board.of(run.task)),
        "warning": warning,
        "notes": said[1:],  # the first says where the intervals are in a table
        "withheld": withheld,
        "sections": record_sections(record.record.raw),
        **({} if withheld else _predictions(stored, record, *panel_data([(held.y, p)]))),
    }


def record_sections(about: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """All that run.json says: headings, each with names and values; what is not foreseen comes last."""
    foreseen = {key for keys in SECTIONS.values() for key in keys}
    headings = {**SECTIONS, "Other": tuple(key for key in about if key not in foreseen)}
    out = []
    for heading, keys in headings.items():
        lines = [line for key in keys if key in about for line in _lines("" if key in BARE else key, about[key])]
        if lines:
            out.append((heading, [(NAMES.get(name, name.replace("_", " ")), value) for name, value in lines]))
    return out


def _lines(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A value, or those of a table or list in it, with the names that lead to them."""
    if isinstance(value, Mapping):
        for i, (key, inner) in enumerate(value.items()):
            if i == SHOWN:
                yield f"{name} and", f"{len(value) - SHOWN:,} more in run.json"
                return
            yield from _lines(f"{name} {key}".strip(), inner)
        if not value:
            yield name, "none"
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value))
    else:
        yield name, WORDS.get(str(value), str(value))


def _predictions(stored: SiteData, record: StoredRun, data: PanelData) -> dict[str, Any]:
    """Figures, those whose points can be pointed at first, and the crystals with the largest errors."""
    task, unit = record.run.task, record.run.task.target.unit
    values: dict[str, Any] = {
        "crystals": crystals_of(task, record.run.fold),
        "data": stored.predictions([record]),
        "worst": _worst(stored, record),
        "history": history_figure(read_history(record.folder), SIZE, 190),
    }
    if task.target.kind == "binary":
        return {
            **values,
            "live": [("Probability of class 1", probability_figure(data, SIZE))],
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
    held, p = stored.read(record)
    order = np.argsort(-abs(p - held.y), kind="stable")[:WORST].tolist()
    formulas = stored.formulas(record.run.task, [held.ids[i] for i in order])
    return [
        {"id": held.ids[i], "formula": formula, "numbers": [float(held.y[i]), float(p[i]), float(p[i] - held.y[i])]}
        for i, formula in zip(order, formulas, strict=True)
    ]
