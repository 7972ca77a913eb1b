"""The contract check: every installed model keeps it, and each way of breaking it is found."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from asugnn import Crystal
from asugnn.model import INVARIANCES
from asugnn.model_registry import list_models, model_presets
from leaderboard.data.dataset import load_dataset
from leaderboard.data.registry import find_source
from leaderboard.running.model_contract import CELL_CHANGES, check_model, failed_findings


@pytest.mark.parametrize("name", [m.name for m in list_models() if m.model and model_presets(m.model)])
def test_every_model_keeps_the_contract(name: str):
    if name == "chgnet-svr":
        pytest.importorskip("chgnet")
    findings = list(check_model(name))
    assert failed_findings(findings) == []
    assert len(findings) >= 12


@dataclass
class Good:
    """The mean of the labels."""

    invariances: ClassVar[frozenset[str]] = frozenset({"rotation", "supercell"})

    def fit(self, train, val, context):
        self.mean = train.y.mean()

    def predict(self, crystals):
        return np.full(len(crystals), self.mean)

    def save(self, folder):
        (folder / "mean").write_text(repr(float(self.mean)))

    @classmethod
    def load(cls, folder):
        model = cls()
        model.mean = float((folder / "mean").read_text())
        return model


class Random(Good):
    def predict(self, crystals):
        return np.random.default_rng().random(len(crystals))


class Column(Good):
    def predict(self, crystals):
        return np.zeros((len(crystals), 1))


class Listed(Good):
    def predict(self, crystals):
        return [0.5] * len(crystals)


class Infinite(Good):
    def predict(self, crystals):
        return np.full(len(crystals), np.inf)


class Unsure(Good):
    def predict(self, crystals):
        return np.full(len(crystals), -0.1)


class Batchwise(Good):
    def predict(self, crystals):
        return np.full(len(crystals), float(len(crystals)))


class Forgetful(Good):
    @classmethod
    def load(cls, folder):
        model = cls()
        model.mean = 0.0
        return model


class Oriented(Good):
    def predict(self, crystals):
        return np.array([c.lattice[0, 0] for c in crystals])


class Extensive(Good):
    def predict(self, crystals):
        return np.array([float(len(c)) for c in crystals])


class Boastful(Good):
    invariances: ClassVar[frozenset[str]] = frozenset({"time reversal"})


class Raising(Good):
    def save(self, folder):
        raise KeyError("weights")


class Decorated(Good):
    @torch.no_grad()
    def predict(self, crystals):
        raise RuntimeError("shape mismatch")


class Squeezed(Good):
    def predict(self, crystals):
        return np.squeeze(super().predict(crystals))


HINTS = {
    "Raising": "save raised KeyError: 'weights' (test_model_contract.py, line ",
    "Decorated": "predict raised RuntimeError: shape mismatch (test_model_contract.py, line ",
    "Squeezed": "predict must return a numpy array of shape (1,), one number per crystal; try values.ravel()",
    "Listed": "numpy array of shape (12,), one number per crystal; try np.array(values)",
    "Column": "try values.ravel()",
}


@pytest.mark.parametrize(
    ("model", "points"),
    [
        ("Good", set()),
        ("Random", {"same seed, same bits", "saved and loaded, same bits", "one at a time as in a batch"}),
        ("Column", {"regression: an array of (n,)", "binary: an array of (n,)"}),
        ("Listed", {"regression: an array of (n,)", "binary: an array of (n,)"}),
        ("Infinite", {"regression: finite"}),
        ("Unsure", {"binary: probabilities"}),
        ("Batchwise", {"one at a time as in a batch"}),
        ("Forgetful", {"saved and loaded, same bits"}),
        ("Oriented", {"rotation"}),
        ("Extensive", {"supercell"}),
        ("Boastful", {"invariances"}),
        ("Raising", {"regression: no method raises"}),
        ("Decorated", {"regression: fits and predicts", "binary: fits and predicts"}),
        ("Squeezed", {"one at a time as in a batch"}),
    ],
)
def test_what_breaks_the_contract_is_found(model: str, points: set[str]):
    failed = failed_findings(list(check_model(f"{Path(__file__)}:{model}")))
    assert {f.point for f in failed} >= points
    if model in HINTS:
        assert HINTS[model] in failed[0].detail
    assert bool(failed) == bool(points)


def test_every_invariance_that_a_model_can_name_is_verified():
    assert CELL_CHANGES.keys() == INVARIANCES


@pytest.mark.parametrize("name", CELL_CHANGES)
def test_a_transformed_crystal_is_the_same_crystal(name: str):
    """By an independent judge: pymatgen's StructureMatcher, and distances within the infinite crystal."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

    data = load_dataset(find_source("open-dft"))
    rng = np.random.default_rng(0)
    for crystal in data.crystals(data.ids[::150]):
        moved = CELL_CHANGES[name](crystal, rng)
        assert moved.volume / len(moved) == pytest.approx(crystal.volume / len(crystal))
        assert not np.allclose(moved.lattice, crystal.lattice) or name in ("translation", "atom order")
        matcher = StructureMatcher(ltol=1e-6, stol=1e-4, angle_tol=1e-4, scale=False, primitive_cell=True)
        assert matcher.fit(*(structure(c, Structure) for c in (crystal, moved))), (name, crystal)


def structure(crystal: Crystal, kind):
    return kind(crystal.lattice, crystal.numbers, crystal.frac_coords)
