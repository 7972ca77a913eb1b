"""Ids that pandas reads as something else: Kaggle's metric, and many a participant, read files with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from asugnn.reading import DECIMAL

SHOWN = 5  # ids that are spelt out
# What pandas.read_csv takes for a missing value, and for a number or a truth value where the whole column is of these.
_MISSING = frozenset({
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
})  # fmt: skip
_NUMBER = re.compile(rf"[+-]?({DECIMAL}([eE][+-]?\d+)?|inf|infinity)", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"0|-?[1-9]\d*", re.ASCII)  # written as pandas writes it again
_TRUTH = ("true", "false")


def pandas_id_notes(ids: Iterable[str], column: str) -> list[str]:
    """Sentences about ids that pandas may change, and about those that it may take for one."""
    readings = {name: _reading(name) for name in ids}
    by_reading: dict[str, list[str]] = {}
    for name, reading in readings.items():
        by_reading.setdefault(reading or f"'{name}'", []).append(name)
    merged = [names for names in by_reading.values() if len(names) > 1]
    changed = [f"'{name}' as {reading}" for name, reading in readings.items() if reading and not _WHOLE.fullmatch(name)]
    notes = []
    if changed:
        notes.append(
            f"pandas may read {_shortened(changed)}: read ids as text, "
            f"pd.read_csv(FILE, dtype={{'{column}': str}}, keep_default_na=False)"
        )
    if merged:
        listed = _shortened([" and ".join(f"'{name}'" for name in names[:SHOWN]) for names in merged])
        notes.append(
            f"pandas may take {listed} for one id, and then Kaggle's metric refuses every submission: rename these "
            "crystals, or score with `bench submit`"
        )
    return notes


def _reading(name: str) -> str:
    """What pandas may make of an id, in words; empty for an id that stays a text."""
    if name in _MISSING:
        return "a missing value"
    if _NUMBER.fullmatch(name):
        return f"the number {int(name) if name.lstrip('+-').isdigit() else float(name)!r}".removesuffix(".0")
    return f"the truth value {name.capitalize()}" if name.casefold() in _TRUTH else ""


def _shortened(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - SHOWN:,} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
