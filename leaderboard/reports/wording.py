"""How numbers, intervals and the notes under a board are worded, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board import MetricValue, Row
from leaderboard.data import Task
from leaderboard.splitting import ALSO

PRESET_WARNINGS = {
    "quick": "quick preset: trained for minutes; do not cite",
    "hours": "hours preset: published networks, trained for hours where their authors took days; say so when you cite",
}
OFFSET = (
    "offset: the mean of label minus prediction of a system, added for the values after it: reference states differ"
)
FEW_GROUPS = 200  # below, an interval is itself uncertain
ROUGH = f"fewer than {FEW_GROUPS} groups: take the intervals as rough"


def order_by_place(rows: Sequence[Row], tasks: Sequence[Task]) -> list[str]:
    """Titles of models by their mean place over the tasks; those that were not trained here come last."""
    places: dict[str, list[int]] = {}
    others = {row.title for row in rows if row.pretrained_on}  # below all that were trained here
    for task in tasks:
        for i, row in enumerate(r for r in rows if r.task == task.name):
            places.setdefault(row.title, []).append(i)
    return sorted(places, key=lambda m: (m in others, -len(places[m]), sum(places[m]) / len(places[m])))


def preset_warning(rows: Sequence[Row], preset: str) -> str:
    """The warning about a preset if any of these rows was trained under it; else an empty text."""
    return PRESET_WARNINGS.get(preset, "") if any(row.preset == preset for row in rows) else ""


def board_notes(rows: Sequence[Row], preset: str, form: str, detailed: bool) -> list[str]:
    """What a reader must know of a table: how it was trained, what the intervals are, what is not known."""
    lines = [warning] if (warning := preset_warning(rows, preset)) else []
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
    return lines + _leak_notes(rows) + _pretrained_notes(rows) + (_data_notes(rows) if detailed else [])


def _data_notes(rows: Sequence[Row]) -> list[str]:
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


def count_unsupported(n: int) -> str:
    """The note on test crystals that a model does not support."""
    return f"{n:,} unsupported test {'crystal' if n == 1 else 'crystals'} skipped"


def format_rank(row: Row) -> str:
    """The place, or the places, that a row can hold."""
    if row.rank is None:
        return "-"
    return f"{row.rank}" if row.rank == row.rank_high else f"{row.rank}-{row.rank_high}"


def format_count(count: int | None) -> str:
    """A count in three digits or so: 149k."""
    if count is None:
        return "-"
    return f"{count}" if count < 1000 else f"{count / 1e3:.0f}k" if count < 1e6 else f"{count / 1e6:.1f}M"


def format_number(value: float | None) -> str:
    """A value to three decimals."""
    return "-" if value is None else f"{value:.3f}"


def format_interval(value: MetricValue) -> str:
    """The ends of an interval."""
    if value.low is None:
        return "-"
    between = " to " if value.low < 0 else "–"
    return f"{format_number(value.low)}{between}{format_number(value.high)}"
