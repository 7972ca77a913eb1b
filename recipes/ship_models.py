"""Put the models of stored runs into the package, with intervals calibrated on their validation crystals.

    python recipes/ship_models.py RUN..        such as runs/mp-2018/metal@random/hours/cogn/0-0

Each run becomes the model that `bench predict` uses for its target. It must be of an installed model: no file that a
card names is executed. A model that can, learns from its training side how far it errs. Validation crystals calibrate
the intervals; test crystals measure what the card states: the errors, and how many values lie in their interval.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from asugnn import Context, Crystal, InputError, Model
from asugnn.atomic_write import atomic_folder
from asugnn.crystal import Floats
from asugnn.model import HasUncertainty
from leaderboard.data import load_dataset
from leaderboard.records import open_run
from leaderboard.running import load_run_model
from leaderboard.scoring import metrics_for
from leaderboard.shipped import (
    LEVEL,
    SHIPPED_MODELS,
    Card,
    calibrate,
    calibrate_classes,
    calibrate_uncertainty,
    checked_uncertainty,
    describe_crystals,
    describe_domain,
    describe_predictions,
    write_card,
)
from leaderboard.splitting import fold_sides, read_split

LOWEST = {"band-gap": 0.0}  # a gap is not negative


def ship(run: Path, out: Path = SHIPPED_MODELS) -> Card:
    """Write the model of a run, with its card, into the folder of its target below `out`; raises `InputError`."""
    stored = open_run(run)
    task, target = stored.run.task, stored.run.task.target
    dataset = load_dataset(task.source)
    sides = fold_sides(read_split(dataset, task.rule), dataset, target, stored.run.fold)
    domain = describe_domain(dataset.crystals(sides.train))
    _, model = load_run_model(run)
    validation = dataset.labelled(target, sides.validate)
    crystals, y = validation.crystals, validation.y
    predicted = model.predict(crystals)
    if target.kind == "binary":
        calibration = calibrate_classes(predicted, y)
    elif isinstance(model, HasUncertainty):
        model.fit_uncertainty(dataset.labelled(target, sides.train), Context(stored.run.seed, "cpu", "float32"))
        calibration = calibrate_uncertainty(y - predicted, checked_uncertainty(model, crystals, predicted), predicted)
    else:
        terms = describe_crystals(crystals, predicted, domain["elements"])
        calibration = calibrate(sides.validate, np.abs(y - predicted), terms)
    seed = stored.run.seed
    card = Card(
        target=target.name,
        kind=target.kind,
        unit=target.unit,
        classes=target.class_names if target.kind == "binary" else (),
        model=stored.record.entry,
        row=stored.run.model,
        run=f"{task.name}, preset {stored.run.preset}, {stored.run.model}, fold {stored.run.fold}, seed {seed}",
        data=task.source.title,
        licence=task.source.licence,
        citation=task.source.citation,
        level=LEVEL,
        calibration=calibration,
        lowest=LOWEST.get(target.name),
        measured={},
        **domain,
    )
    test = dataset.labelled(target, sides.test)
    by_id = dict(zip(test.ids, test.crystals, strict=True))
    card = replace(card, measured=_measure(card, model, by_id, test.y, stored.read_predictions(sides.test)))
    with atomic_folder(out / target.name) as folder:
        model.save(folder)
        write_card(folder, card)
        for file in filter(Path.is_file, folder.rglob("*")):
            file.chmod(0o644)  # those of safetensors are for their writer alone
    return card


def _measure(card: Card, model: Model, crystals: dict[str, Crystal], y: Floats, predicted: Floats) -> dict[str, float]:
    """Measure the errors on test crystals, and the share of those inside the domain whose interval holds the value."""
    group = np.arange(len(y))
    measured = {m.name: float(m.evaluate(y, predicted, group, len(y))[0]) for m in metrics_for(card.kind)}
    found = describe_predictions(card, model, crystals, predicted)
    inside = [i for i, p in enumerate(found) if not p.outside]
    if card.classes:
        held = [card.classes[int(y[i])] in found[i].classes for i in inside]
        width = float(np.mean([len(found[i].classes) for i in inside]))
    else:
        label = 10**y if card.unit.startswith("log10 ") else y
        ends = [(found[i].low or 0.0, found[i].high or 0.0) for i in inside]
        held = [low <= label[i] <= high for i, (low, high) in zip(inside, ends, strict=True)]
        width = float(np.median([high - low for low, high in ends]))
    return {
        "crystals": len(y),
        "inside": len(inside),
        "coverage": float(np.mean(held)),
        "width": width,
        **measured,
    }


def main(runs: Sequence[str]) -> None:
    """Ship the models of some runs."""
    if not runs:
        sys.exit(__doc__)
    for run in runs:
        try:
            card = ship(Path(run))
        except InputError as error:
            sys.exit(str(error))
        print(f"{card.target}: {card.measured}")


if __name__ == "__main__":
    main(sys.argv[1:])
