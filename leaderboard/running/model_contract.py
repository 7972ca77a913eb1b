"""The contract of a model, checked: what every model here is tested with, and what a new one is told."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asugnn import Context, Crystal, Labelled, Model
from asugnn.crystal import Floats
from asugnn.model import Kind
from asugnn.model_registry import configure_model, find_model, model_settings
from leaderboard._util import missing_extra, require_model_packages
from leaderboard.data import find_source, load_dataset

TOLERANCE = 1e-4  # of the larger of 1 and the largest prediction: float32 through a network


@dataclass(frozen=True)
class Finding:
    """One point of the contract. `passed` is None for what is measured but not claimed."""

    point: str
    passed: bool | None
    detail: str

    @property
    def line(self) -> str:
        """One line of `bench check`."""
        mark = {True: "pass", False: "FAIL", None: " -- "}[self.passed]
        note = " (not claimed)" if self.passed is None else ""
        return f"  {mark}  {self.point:34} {self.detail}{note}"


def rotation(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """The crystal turned in space."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)  # a rotation, not a mirror
    return Crystal(crystal.lattice @ q, crystal.frac_coords, crystal.numbers)


def translation(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Another origin."""
    return Crystal(crystal.lattice, crystal.frac_coords + rng.random(3), crystal.numbers)


def atom_order(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """The atoms listed in another order."""
    order = rng.permutation(len(crystal))
    return Crystal(crystal.lattice, crystal.frac_coords[order], crystal.numbers[order])


def cell_choice(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Other vectors of the same lattice, with the same volume."""
    change = np.eye(3, dtype=int)
    for i, j in rng.permutation([(0, 1), (1, 2), (2, 0)])[:2]:
        change[i] += change[j]  # det stays 1
    return Crystal(change @ crystal.lattice, crystal.frac_coords @ np.linalg.inv(change), crystal.numbers)


def supercell(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Two cells for one, doubled along one axis."""
    axis = rng.integers(3)
    lattice, frac = crystal.lattice.copy(), np.vstack([crystal.frac_coords, crystal.frac_coords + np.eye(3)[axis]])
    lattice[axis] *= 2
    frac[:, axis] /= 2
    return Crystal(lattice, frac, np.tile(crystal.numbers, 2))


# How each of the invariances of a model is verified.
CELL_CHANGES: dict[str, Callable[[Crystal, np.random.Generator], Crystal]] = {
    "rotation": rotation,
    "translation": translation,
    "atom order": atom_order,
    "cell choice": cell_choice,
    "supercell": supercell,
}


def check_model(name: str, preset: str = "quick", seed: int = 0) -> Iterator[Finding]:
    """Fit the model twice for a moment on a few real crystals, and look at what it does, point by point.

    Raises `InputError` for a model that cannot be loaded, `ModuleNotFoundError` where a package that it needs is not
    installed. An exception of the model itself is a finding.
    """
    require_model_packages(find_model(name))
    for kind in ("regression", "binary"):
        model = _brief_model(name, preset)  # which raises `InputError` for a model that cannot be made
        try:
            yield from _check_kind(name, preset, seed, kind)
        except Exception as error:  # whatever a method of the model raises
            if isinstance(error, ImportError) and missing_extra(error):
                raise
            yield Finding(f"{kind}: no method raises", False, _describe_exception(error, model))


def _check_kind(name: str, preset: str, seed: int, kind: Kind) -> Iterator[Finding]:
    train, val, tested = _few_crystals(kind)
    fresh = _brief_model(name, preset)
    before = model_settings(fresh)
    try:
        model = _fitted(fresh, train, val, seed)
        values = model.predict(tested)
    except Exception as error:  # the finding of all findings
        if isinstance(error, ImportError) and missing_extra(error):
            raise
        yield Finding(f"{kind}: fits and predicts", False, _describe_exception(error, fresh))
        return
    right = isinstance(values, np.ndarray) and values.shape == (len(tested),)
    yield Finding(f"{kind}: an array of (n,)", right, _describe_values(values, len(tested)))
    if not right:
        return
    finite = bool(np.isfinite(values).all())
    yield Finding(f"{kind}: finite", finite, f"{values.min():.3g} to {values.max():.3g}")
    if not finite:
        return
    if kind == "binary":
        inside = bool(((values >= 0) & (values <= 1)).all())
        yield Finding("binary: probabilities", inside, f"{values.min():.3g} to {values.max():.3g}")
        return  # the rest does not depend on the kind
    again = _fitted(_brief_model(name, preset), train, val, seed).predict(tested)
    yield Finding("same seed, same bits", bool(np.array_equal(values, again)), _change(values, again))
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        loaded = type(model).load(Path(folder)).predict(tested)
    yield Finding("saved and loaded, same bits", bool(np.array_equal(values, loaded)), _change(values, loaded))
    yield Finding("hyper-parameters unchanged by fit", model_settings(model) == before, "")
    singles = [model.predict([c]) for c in tested]
    wrong = [v for v in singles if not isinstance(v, np.ndarray) or v.shape != (1,)]
    if wrong:
        yield Finding("one at a time as in a batch", False, _describe_values(wrong[0], 1))
        return
    single = np.concatenate(singles)
    yield Finding("one at a time as in a batch", _same(values, single), _change(values, single))
    rng = np.random.default_rng(seed)
    claimed: Any = getattr(model, "invariances", frozenset())
    for point, transform in CELL_CHANGES.items():
        moved = [transform(c, rng) for c in tested for _ in range(2)]
        try:
            changed = model.predict(moved)
        except Exception as error:
            yield Finding(point, False, _describe_exception(error, model))
            continue
        twice = np.repeat(values, 2)
        yield Finding(point, _same(twice, changed) if point in claimed else None, _change(twice, changed))
    if unknown := set(claimed) - set(CELL_CHANGES):
        yield Finding("invariances", False, f"unknown: {', '.join(sorted(unknown))}")


def _describe_exception(error: Exception, model: Model) -> str:
    """The method of the model that raised, the exception, and the last line of the model's file that was reached."""
    files = {getattr(sys.modules.get(cls.__module__), "__file__", None) for cls in type(model).__mro__}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    if not frames:  # the call itself failed, as where a method takes other arguments, or another file's code
        return said
    return f"{frames[0].name} raised {said} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def _describe_values(values: Any, n: int) -> str:
    """What predict returned, and where that is no array of (n,), what to return instead."""
    try:
        shape = f" of shape {np.shape(values)}"
    except (ValueError, TypeError, RuntimeError):  # rows of different lengths, or a tensor with a gradient
        shape = ""
    found = f"{type(values).__name__}{shape}"
    if isinstance(values, np.ndarray) and values.shape == (n,):
        return found
    conversion = "values.ravel()" if isinstance(values, np.ndarray) and values.size == n else "np.array(values)"
    remedy = f"; try {conversion}" if shape and np.size(values) == n else ""
    return f"{found}: predict must return a numpy array of shape ({n},), one number per crystal{remedy}"


def _few_crystals(kind: Kind) -> tuple[Labelled, Labelled, list[Crystal]]:
    """Real crystals of open-dft: 24 to train, 8 to validate, 12 to predict, some of them distorted."""
    data = load_dataset(find_source("open-dft"))
    names = {"regression": "formation-energy", "binary": "metal"}
    target = next(t for t in data.source.targets if t.name == names[kind])
    labels = data.labels(target)
    rows = np.flatnonzero(np.isfinite(data.labels(next(t for t in data.source.targets if t.name == "metal"))))
    rows = rows[:: len(rows) // 40][:40]
    ids = [data.ids[i] for i in rows]

    def side(part: slice) -> Labelled:
        return Labelled(tuple(ids[part]), data.crystals(ids[part]), labels[rows[part]], kind)

    zero_shot = data.labels(next(t for t in data.source.targets if t.model_of))
    distorted = [data.ids[i] for i in np.flatnonzero(np.isfinite(zero_shot))[::28]]
    return side(slice(0, 24)), side(slice(24, 32)), data.crystals([*ids[32:40], *distorted])


def _brief_model(name: str, preset: str) -> Model:
    """The model with two epochs, where it has epochs: the contract does not ask how well it learns."""
    model = configure_model(name, preset, {})
    fields: set[str] = {f.name for f in dataclasses.fields(model)} if dataclasses.is_dataclass(model) else set()
    return configure_model(name, preset, {"epochs": "2"}) if "epochs" in fields else model


def _fitted(model: Model, train: Labelled, val: Labelled, seed: int) -> Model:
    model.fit(train, val, Context(seed=seed))
    return model


def _same(a: Floats, b: Floats) -> bool:
    return bool(np.abs(a - b).max() <= TOLERANCE * max(1.0, np.abs(a).max()))


def _change(a: Floats, b: Floats) -> str:
    return f"largest change {np.abs(a - b).max():.1e}"


def failed_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Those that break the contract."""
    return [f for f in findings if f.passed is False]
