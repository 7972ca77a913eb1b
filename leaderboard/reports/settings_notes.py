"""What a board says of models that were trained with several settings."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board import Row
from leaderboard.records import UNPRESET

CHOSEN = "of several settings of a model, those with the most folds and the best validation score"
UNVALIDATED = "of several settings without a validation score, those of the preset"
CHANGED = "with changed settings"


def settings_notes(rows: Sequence[Row], form: str) -> list[str]:
    """Which settings a board with one row per model shows; in the terminal also how to get such a board."""
    kinds: dict[str, dict[str, list[str]]] = {CHOSEN: {}, UNVALIDATED: {}, CHANGED: {}}
    for row in rows:
        if row.label and (row.left_out or row.label != row.model):
            kind = CHANGED if not row.left_out else CHOSEN if row.validated else UNVALIDATED
            settings = row.model.removeprefix(row.label).removeprefix("+").replace("+", " ") or "as preset"
            kinds[kind].setdefault(f"{row.label} {settings}", []).append(row.task.partition("/")[2])
    notes = []
    for kind, chosen in kinds.items():
        if chosen:
            others = "; “all metrics” has the others" if form == "html" and kind != CHANGED else ""
            listed = "; ".join(f"{words} ({', '.join(targets)})" for words, targets in chosen.items())
            notes.append(f"{kind}{others}: {listed}")
    if form == "table" and any(not row.label and "+" in row.model and row.preset not in UNPRESET for row in rows):
        notes.append("--best: one row per model, with the settings that have the best validation score")
    return notes
