"""Extremely randomised trees on composition and volume, which a network that sees the structure must beat."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from asugnn import Context, Crystal, Labelled
from asugnn.crystal import SYMBOLS, Floats
from asugnn.elements import check_elements, unknown_element
from asugnn.model import Publication
from asugnn.model_registry import model_settings
from asugnn.reading import reading

NAME = "the forest"  # in what users read
MISSING = -9999.0  # stands in the table for a value that was never measured


@dataclass
class Forest:
    """Extremely randomised trees (Geurts et al. 2006) on Magpie's composition statistics (Ward et al. 2016) and volume.

    Mean, standard deviation, minimum and maximum over the atoms of 21 properties of their elements; volume per atom,
    and its ratio to that of the elements and to the cube of their radii. Positions of atoms are not used. Supports
    hydrogen to copernicium.
    """

    trees: int = 100
    leaf: int = 2  # fewest training crystals in a leaf

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {}, "hours": {}, "paper": {}}
    publication: ClassVar[Publication] = Publication(
        "Geurts, Ernst & Wehenkel, Mach. Learn. 63, 3 (2006)",
        "10.1007/s10994-006-6226-1",
        "https://github.com/scikit-learn/scikit-learn",
        "BSD-3-Clause",
    )
    requires: ClassVar[tuple[str, ...]] = ("sklearn", "safetensors", "jarvis")
    invariances: ClassVar[frozenset[str]] = frozenset(
        {"rotation", "translation", "atom order", "cell choice", "supercell"}
    )

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        # On labels 0 and 1 the squared error is the Gini impurity, and the mean of a leaf a probability.
        forest = ExtraTreesRegressor(self.trees, min_samples_leaf=self.leaf, random_state=context.seed, n_jobs=-1)
        forest.fit(composition_features(train.crystals), train.y)
        self._nodes = _join_trees([tree.tree_ for tree in forest.estimators_])

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        x = composition_features(crystals)  # (n, columns)
        rows, total = np.arange(len(x)), np.zeros(len(x))
        feature, threshold, left, right, value, roots = (self._nodes[name] for name in NODES)
        for root in roots:
            node = np.full(len(x), root)  # (n,) the node that each crystal has reached
            while True:
                child = np.where(x[rows, feature[node]] <= threshold[node], left[node], right[node])
                if np.array_equal(child, node):  # a leaf is its own child
                    break
                node = child
            total += value[node]
        return total / len(roots)

    def outside(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        """List the crystals with an element beyond copernicium."""
        last = len(element_properties()[0]) - 1
        errors = {i: unknown_element(crystal, NAME, last) for i, crystal in enumerate(crystals)}
        return {i: str(error) for i, error in errors.items() if error}

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file(self._nodes, folder / "trees.safetensors", metadata={"settings": json.dumps(model_settings(self))})

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors import safe_open

        path = folder / "trees.safetensors"
        with reading(path, "a saved forest"), safe_open(path, framework="numpy") as file:
            model = cls(**json.loads(file.metadata()["settings"]))
            model._nodes = {name: file.get_tensor(name) for name in NODES}
        return model

    @property
    def parameters(self) -> int:
        """Number of thresholds and leaf values."""
        return len(self._nodes["feature"])


NODES = ("feature", "threshold", "left", "right", "value", "roots")


def _join_trees(trees: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """Join scikit-learn's trees end to end: arrays (nodes,) by the names in `NODES`, and the `roots` (trees,)."""
    counts = np.array([tree.node_count for tree in trees])
    roots = np.cumsum(counts) - counts
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in NODES[:-1]}
    for root, tree in zip(roots, trees, strict=True):
        leaf, itself = tree.children_left < 0, np.arange(tree.node_count)
        parts["feature"].append(np.where(leaf, 0, tree.feature).astype(np.int16))
        parts["threshold"].append(np.where(leaf, 0.0, tree.threshold))
        parts["left"].append((np.where(leaf, itself, tree.children_left) + root).astype(np.int32))
        parts["right"].append((np.where(leaf, itself, tree.children_right) + root).astype(np.int32))
        parts["value"].append(tree.value[:, 0, 0])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()} | {"roots": roots.astype(np.int32)}


def composition_features(crystals: Sequence[Crystal]) -> NDArray[np.float32]:
    """Compute the features (n, 87): 4 statistics of 21 properties, volume per atom in cubic angstrom, 2 ratios of it.

    Raises `InputError` for an element beyond copernicium.
    """
    table, names = element_properties()
    volumes, radii = names.index("GSvolume_pa"), names.index("CovalentRadius")
    features = np.empty((len(crystals), 4 * len(names) + 3), dtype=np.float32)
    for row, crystal in zip(features, crystals, strict=True):
        check_elements(crystal, NAME, len(table) - 1)
        # Sums over elements, not atoms: rounding then does not depend on the order of atoms or the size of the cell.
        numbers, counts = np.unique(crystal.numbers, return_counts=True)
        share, values = counts / len(crystal), table[numbers]  # (e,), (e, properties)
        mean = share @ values
        spread = np.sqrt(share @ (values - mean) ** 2)
        volume = crystal.volume / len(crystal)
        packing = [volume, volume / mean[volumes], volume / (share @ (values[:, radii] / 100) ** 3)]  # pm to angstrom
        row[:] = np.concatenate([mean, spread, values.min(axis=0), values.max(axis=0), packing])
    return features


@cache
def element_properties() -> tuple[Floats, tuple[str, ...]]:
    """Return properties (113, 21) by atomic number (row 0 is unused) and their names: Magpie's, from jarvis-tools.

    A missing value is replaced by the mean of the elements that have one.
    """
    from jarvis.core.specie import chem_data_magpie

    names = tuple(chem_data_magpie["H"])
    table = np.array([[chem_data_magpie[SYMBOLS[z]][name] for name in names] for z in range(len(chem_data_magpie))])
    mean = np.array([column[column != MISSING].mean() for column in table.T])
    return np.vstack([np.zeros(len(names)), np.where(table == MISSING, mean, table)]), names
