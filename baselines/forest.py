"""Extremely randomised trees on composition and volume, which a network that sees the structure must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.crystal import SYMBOLS, Floats
from asugnn.elements import check_elements, unknown_element
from asugnn.model import INVARIANCES, Publication
from asugnn.model_registry import model_settings
from asugnn.reading import reading
from baselines._trees import FILE, Tree, join_trees, load_trees, save_trees, sum_of_trees

NAME = "the forest"  # in what users read
COLUMNS = 87  # numbers of `composition_features`
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
    invariances: ClassVar[frozenset[str]] = INVARIANCES

    def __post_init__(self) -> None:
        if self.trees < 1 or self.leaf < 1:
            raise InputError(f"forest.trees and forest.leaf must be above 0, not {self.trees} and {self.leaf}")

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        # On labels 0 and 1 the squared error is the Gini impurity, and the mean of a leaf a probability.
        forest = ExtraTreesRegressor(self.trees, min_samples_leaf=self.leaf, random_state=context.seed, n_jobs=-1)
        forest.fit(composition_features(train.crystals), train.y)
        self._nodes = join_trees([_tree(grown.tree_) for grown in forest.estimators_])

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        return sum_of_trees(self._nodes, composition_features(crystals)) / len(self._nodes["roots"])

    def outside(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        """List the crystals with an element beyond copernicium."""
        last = len(element_properties()[0]) - 1
        errors = {i: unknown_element(crystal, NAME, last) for i, crystal in enumerate(crystals)}
        return {i: str(error) for i, error in errors.items() if error}

    def save(self, folder: Path) -> None:
        save_trees(self._nodes, folder / FILE, model_settings(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        with reading(folder / FILE, "a saved forest"):
            settings, nodes = load_trees(folder / FILE, COLUMNS)
            model = cls(**settings)
        model._nodes = nodes
        return model

    @property
    def parameters(self) -> int:
        """Number of thresholds and leaf values."""
        return len(self._nodes["feature"])


def _tree(grown: Any) -> Tree:
    leaf = grown.children_left < 0
    return Tree(leaf, grown.feature, grown.threshold, grown.children_left, grown.children_right, grown.value[:, 0, 0])


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
