"""What run.json says, in sections for a reader: all of it, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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


def sections(about: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Headings, each with names and values; what is not foreseen comes last."""
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
