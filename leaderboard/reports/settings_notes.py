"""What a board says of models that were trained with several settings."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board import Row
from leaderboard.records import UNPRESET


def settings_notes(rows: Sequence[Row], form: str) -> list[str]:
    """Which settings a board with one row per model shows; in the terminal also how to get such a board."""
    chosen: dict[str, list[str]] = {}  # targets, by model and its settings
    for row in rows:
        if row.label and row.label != row.model:
            words = f"{row.label} {row.model.removeprefix(f'{row.label}+').replace('+', ' ')}"
            chosen.setdefault(words, []).append(row.task.partition("/")[2])
    if chosen:
        others = "; “all metrics” has the others" if form == "html" else ""
        listed = "; ".join(f"{words} ({', '.join(targets)})" for words, targets in chosen.items())
        return [f"of several settings of a model, those with the best validation score{others}: {listed}"]
    if form == "table" and any(not row.label and "+" in row.model and row.preset not in UNPRESET for row in rows):
        return ["--best-settings: one row per model, with the settings that have the best validation score"]
    return []
