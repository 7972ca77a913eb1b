"""card.json, what is known of a shipped model beside its weights: data, domain, intervals, and what was measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

from asugnn.atomic_write import write_text
from asugnn.crystal import SYMBOLS, Crystal
from asugnn.model import Kind
from asugnn.model_registry import is_file_model
from asugnn.reading import read_json, reading
from asugnn.symmetry import primitive_size
from leaderboard._util import Fields
from leaderboard.shipped.calibration import LEVEL, Calibration, element_symbols

WHAT = "the card of a model"
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

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is {' or '.join(get_args(Kind))}, not '{self.kind}'")
        if len(self.classes) != (2 if self.kind == "binary" else 0):
            raise ValueError("classes are two of a binary target, and none of another one")
        if is_file_model(self.model):
            raise ValueError(f"model is {self.model}: a file that a card names is not executed, install the model")
        if self.level != LEVEL:
            raise ValueError(f"its intervals are of level {self.level:g}, and those here are of {LEVEL:g}")
        if len(self.volume) != 2 or self.volume[0] > self.volume[1]:
            raise ValueError("volume is the smallest and the largest")

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
    top = Fields(read_json(path, WHAT), str(path), WHAT)
    calibration, elements, measured = (top.table(name) for name in ("calibration", "elements", "measured"))
    texts = ("target", "unit", "model", "row", "run", "data", "licence", "citation")
    with reading(path, WHAT):
        return Card(
            kind=cast(Kind, top.text("kind")),
            classes=top.lines("classes"),
            crystals=top.whole("crystals"),
            elements={symbol: elements.whole(symbol) for symbol in elements.raw},
            largest=top.whole("largest"),
            volume=cast(tuple[float, float], top.reals("volume")),
            level=top.real("level"),
            calibration=Calibration(
                calibration.reals("quantiles", infinite=True),
                calibration.reals("edges"),
                calibration.reals("coefficients"),
            ),
            lowest=None if top.raw.get("lowest") is None else top.real("lowest"),
            measured={name: measured.real(name) for name in measured.raw},
            **{name: top.text(name) for name in texts},
        )


def write_card(folder: Path, card: Card) -> None:
    """Write card.json."""
    write_text(folder / "card.json", json.dumps(asdict(card), indent=1) + "\n")
