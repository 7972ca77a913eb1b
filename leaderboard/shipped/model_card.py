"""card.json, what is known of a shipped model beside its weights: data, domain, intervals, and what was measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asugnn.atomic_write import write_text
from asugnn.crystal import SYMBOLS, Crystal
from asugnn.model import Kind
from asugnn.reading import read_json, reading
from asugnn.symmetry import primitive_size
from leaderboard.shipped.calibration import Calibration, element_symbols

SHIPPED_MODELS = Path(__file__).resolve().parent / "models"  # a folder for each target


@dataclass(frozen=True)
class Card:
    """What is known of a shipped model.

    target, kind, unit, classes
        What it predicts; `classes` are the names of class 0 and class 1 of a binary target, else empty.
    model, row, run
        The entry point of its class, its name on the board, and the run that trained it.
    data, licence, citation
        What it was trained on.
    crystals
        How many, on the training side.
    elements
        How many of these hold an element, by symbol.
    largest
        Atoms in the largest primitive cell of these.
    volume
        Their smallest and their largest volume per atom, cubic angstrom.
    level, calibration, lowest
        Of the intervals; `lowest` is the smallest value that a label can have, None if there is none.
    measured
        On the test side: `crystals`, how many are `inside` the domain, the share of these whose value lies in the
        interval (`coverage`), the median `width` of their intervals, and the metrics of all.
    """

    target: str
    kind: Kind
    unit: str
    classes: tuple[str, ...]
    model: str
    row: str
    run: str
    data: str
    licence: str
    citation: str
    crystals: int
    elements: Mapping[str, int]
    largest: int
    volume: tuple[float, float]
    level: float
    calibration: Calibration
    lowest: float | None
    measured: Mapping[str, float]

    def outside(self, crystal: Crystal) -> str:
        """Say what no training crystal was like; empty where the crystal is within the domain."""
        volume = crystal.volume / len(crystal)
        reasons = [f"{s} is in no training crystal" for s in element_symbols(crystal) if s not in self.elements]
        if len(crystal.numbers) > self.largest and (size := primitive_size(crystal)) > self.largest:
            reasons.append(f"{size} atoms in the primitive cell, at most {self.largest} in training")
        if not self.volume[0] <= volume <= self.volume[1]:
            low, high = self.volume
            reasons.append(f"{volume:.3g} cubic angstrom per atom, {low:.3g} to {high:.3g} in training")
        return ", ".join(reasons)


def describe_domain(crystals: Sequence[Crystal]) -> dict[str, Any]:
    """The fields of a card that tell of its training crystals."""
    elements = Counter(symbol for crystal in crystals for symbol in element_symbols(crystal))
    volumes = [c.volume / len(c) for c in crystals]
    return {
        "crystals": len(crystals),
        "elements": dict(sorted(elements.items(), key=lambda item: SYMBOLS.index(item[0]))),
        "largest": max(map(primitive_size, crystals)),
        "volume": (min(volumes), max(volumes)),
    }


def read_card(folder: Path) -> Card:
    """Read the card in the folder of a shipped model; raises `InputError` where it is damaged."""
    path = folder / "card.json"
    with reading(path, "the card of a model"):
        fields = read_json(path, "the card of a model")
        calibration = fields["calibration"]
        fields["calibration"] = Calibration(**{name: tuple(values) for name, values in calibration.items()})
        smallest, largest = fields["volume"]
        if not isinstance(fields["lowest"], float | int | None):
            raise ValueError("lowest is a number or null")
        return Card(**fields | {"classes": tuple(fields["classes"]), "volume": (float(smallest), float(largest))})


def write_card(folder: Path, card: Card) -> None:
    """Write card.json."""
    write_text(folder / "card.json", json.dumps(asdict(card), indent=1) + "\n")
