"""Gradient-boosted trees on composition, charge balance and symmetry: chemistry that is known without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.cache import Inputs, RefusedCrystalsError, cached_inputs, naming
from asugnn.crystal import Floats
from asugnn.elements import unknown_element
from asugnn.model import INVARIANCES, Publication
from asugnn.model_registry import model_settings
from asugnn.progress import Progress, no_progress
from asugnn.reading import reading
from asugnn.symmetry import ConventionalCell, conventional_cells
from asugnn.workers import map_chunks
from baselines._charge_balance import charge_balance
from baselines._trees import FILE, Tree, join_trees, load_trees, save_trees, sum_of_trees
from baselines.forest import COLUMNS, composition_features, element_properties

NAME = "boosted"  # in what users read
CHEMICAL = 15  # numbers of `chemical_features`
ERROR_FILES = ("errors-below.safetensors", "errors-above.safetensors")  # in the folder of a saved model
ERROR_QUANTILES = (0.05, 0.95)  # of label minus prediction
ERROR_FOLDS = 4
FEWEST_ERRORS = 100  # crystals from which quantiles of errors are learnt
# Errors are noise for the most part: fewer and smaller trees than those that predict, and larger leaves.
ERROR_TREES = 150
ERROR_GROWTH = {
    "max_leaf_nodes": 31,
    "learning_rate": 0.06,
    "max_features": 0.3,
    "min_samples_leaf": 40,
}


@dataclass
class Boosted:
    """Gradient-boosted trees (Friedman 2001) on what a chemist reads from a formula and its space group.

    Beside the features of the forest: the share of each element; the number of elements, and the largest and mean ionic
    character of their bonds (Ward et al. 2016); whether oxidation states balance; the space group, and atoms, orbits
    and valence electrons of the primitive cell, and whether these are odd in number, for then a band is half full.
    Trees are scikit-learn's, by histograms; regression minimises squared errors, classes the cross-entropy. Positions
    of atoms count only by symmetry. Supports hydrogen to copernicium.
    """

    trees: int = 2000  # at most
    leaves: int = 63  # of a tree, at most
    learning_rate: float = 0.05
    columns: float = 0.2  # share of the features among which a split is chosen
    leaf: int = 20  # fewest training crystals in a leaf
    patience: int = 50  # trees without a better validation loss, after which growing ends; those after the best go

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"trees": 300, "leaves": 31, "learning_rate": 0.1, "leaf": 5},
        "hours": {},
        "paper": {},
    }
    publication: ClassVar[Publication] = Publication(
        "Friedman, Ann. Stat. 29, 1189 (2001)",
        "10.1214/aos/1013203451",
        "https://github.com/scikit-learn/scikit-learn",
        "BSD-3-Clause",
    )
    requires: ClassVar[tuple[str, ...]] = ("sklearn", "safetensors", "jarvis", "pymatgen")
    invariances: ClassVar[frozenset[str]] = INVARIANCES

    def __post_init__(self) -> None:
        bounds = {"trees": (1, 10**5), "leaves": (2, 10**4), "learning_rate": (1e-6, 10), "columns": (1e-6, 1)}
        for name, (least, most) in (bounds | {"leaf": (1, 10**6), "patience": (1, 10**5)}).items():
            if not least <= getattr(self, name) <= most:
                raise InputError(f"boosted.{name} must be from {least:g} to {most:g}, not {getattr(self, name)}")
        self._arrays: dict[str, NDArray[Any]] = {}
        self._errors: list[dict[str, NDArray[Any]]] = []

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        binary = train.kind == "binary" and len(np.unique(train.y)) == 2  # else there is nothing to tell apart
        kind = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
        boosted = kind(
            max_iter=self.trees,
            early_stopping=True,
            n_iter_no_change=self.patience,
            tol=0.0,
            random_state=context.seed,
            **self._growth,
        )
        known = val if len(np.unique(val.y)) == 2 or not binary else train
        with naming(train.ids):
            x = crystal_features(train.crystals, context.progress)
        with naming(known.ids):
            x_known = crystal_features(known.crystals, context.progress)
        boosted.fit(x, train.y, X_val=x_known, y_val=known.y)
        best = max(1, int(np.argmax(boosted.validation_score_)))  # the scores are those of 0, 1, .. trees
        self._arrays = _arrays_of(boosted, best) | {"logistic": np.array(binary)}
        self._errors = []

    @property
    def _growth(self) -> dict[str, float]:
        """How scikit-learn grows the trees."""
        return {
            "max_leaf_nodes": self.leaves,
            "learning_rate": self.learning_rate,
            "max_features": self.columns,
            "min_samples_leaf": self.leaf,
        }

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        values = self._arrays["constant"] + sum_of_trees(self._arrays, crystal_features(crystals))
        return 1 / (1 + np.exp(-values)) if self._arrays["logistic"] else values

    def fit_uncertainty(self, train: Labelled, context: Context) -> None:
        """Learn two quantiles of the error, by trees on the features and the predicted value; see `HasUncertainty`.

        The errors are those of each quarter of `train`, predicted by trees that grew on the other three.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor

        if not self._arrays or self._arrays["logistic"] or len(train.y) < FEWEST_ERRORS:
            raise InputError(f"the uncertainty of boosted needs fitted regression trees and {FEWEST_ERRORS} crystals")
        rest = {"early_stopping": False, "random_state": context.seed}
        with naming(train.ids):
            x = crystal_features(train.crystals, context.progress)
        fold = np.random.default_rng(context.seed).permutation(len(x)) % ERROR_FOLDS
        predicted = np.empty(len(x))
        for k in range(ERROR_FOLDS):
            part = HistGradientBoostingRegressor(max_iter=len(self._arrays["roots"]), **self._growth, **rest)
            predicted[fold == k] = part.fit(x[fold != k], train.y[fold != k]).predict(x[fold == k])
        errors = train.y - predicted
        self._errors = []
        for quantile in ERROR_QUANTILES:
            grown = HistGradientBoostingRegressor(
                loss="quantile", quantile=quantile, max_iter=ERROR_TREES, **ERROR_GROWTH, **rest
            )
            arrays = _arrays_of(grown.fit(np.column_stack([x, predicted]), errors), ERROR_TREES)
            self._errors.append(arrays | {"least": np.array(0.1 * np.median(np.abs(errors)) + 1e-12)})

    def uncertainty(self, crystals: Sequence[Crystal], predicted: Floats) -> Floats:
        if not self._errors:
            files = " and ".join(ERROR_FILES)
            raise InputError(f"these trees have no uncertainty: `fit_uncertainty` makes it, and `save` {files} of it")
        x = np.column_stack([crystal_features(crystals), predicted])
        below, above = (arrays["constant"] + sum_of_trees(arrays, x) for arrays in self._errors)
        return np.maximum(np.stack([-below, above], axis=1), [arrays["least"] for arrays in self._errors])

    def outside(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        """List the crystals with an element beyond copernicium, or in which no symmetry is found."""
        try:
            _chemistry(crystals)  # `predict` needs it, too
        except RefusedCrystalsError as error:
            return error.reasons
        return {}

    def save(self, folder: Path) -> None:
        save_trees(self._arrays, folder / FILE, model_settings(self))
        for k, name in enumerate(ERROR_FILES):
            if self._errors:
                save_trees(self._errors[k], folder / name, {"quantile": ERROR_QUANTILES[k]})
            else:
                (folder / name).unlink(missing_ok=True)  # of another model that was saved there

    @classmethod
    def load(cls, folder: Path) -> Self:
        columns = COLUMNS + len(element_properties()[0]) - 1 + CHEMICAL
        with reading(folder / FILE, "saved boosted trees"):
            settings, arrays = load_trees(folder / FILE, columns, {"constant": np.float64, "logistic": np.bool_})
            model = cls(**settings)
        model._arrays = arrays
        files = {folder / name: quantile for name, quantile in zip(ERROR_FILES, ERROR_QUANTILES, strict=True)}
        for path, quantile in files.items() if any(file.exists() for file in files) else ():
            with reading(path, "saved boosted trees"):
                settings, arrays = load_trees(path, columns + 1, {"constant": np.float64, "least": np.float64})
                if settings != {"quantile": quantile}:
                    raise ValueError(f"its trees are not those of the quantile {quantile:g} of the errors")
                if arrays["least"] <= 0:
                    raise ValueError("the least error is not above 0")
            model._errors.append(arrays)
        return model

    @property
    def parameters(self) -> int:
        """Number of thresholds and leaf values."""
        return len(self._arrays["feature"])


def _arrays_of(boosted: Any, trees: int) -> dict[str, NDArray[Any]]:
    """The first trees that scikit-learn grew, joined, and the constant to which they add."""
    joined = join_trees([_tree(predictor.nodes) for (predictor,) in boosted._predictors[:trees]])
    return joined | {"constant": np.array(boosted._baseline_prediction).reshape(())}


def _tree(nodes: NDArray[Any]) -> Tree:
    return Tree(
        nodes["is_leaf"].astype(bool),
        nodes["feature_idx"],
        nodes["num_threshold"],
        nodes["left"],
        nodes["right"],
        nodes["value"],
    )


def crystal_features(crystals: Sequence[Crystal], progress: Progress = no_progress) -> NDArray[np.float32]:
    """Compute the features (n, 214): the 87 of the forest, the shares of 112 elements, and 15 of `chemical_features`.

    Raises `RefusedCrystalsError` with the positions of crystals beyond copernicium, or without symmetry.
    """
    chemistry = _chemistry(crystals, progress)
    shares = np.zeros((len(crystals), len(element_properties()[0])), dtype=np.float32)
    for row, crystal in zip(shares, crystals, strict=True):
        numbers, counts = np.unique(crystal.numbers, return_counts=True)
        row[numbers] = counts / len(crystal)
    return np.concatenate([composition_features(crystals), shares[:, 1:], chemistry], axis=1)


def chemical_features(cell: ConventionalCell) -> list[float]:
    """Compute what the formula and the symmetry of a crystal tell about its electrons: 15 values.

    Number of elements; largest and mean ionic character of a bond, of any two atoms (Pauling 1960, by Ward et al.
    2016); 7 of `charge_balance`; number of the space group; atoms and orbits of the primitive cell; its valence
    electrons, and 1 where they are odd in number.
    """
    electronegativity, valence = _electrons()
    primitive = cell.primitive
    numbers, counts = np.unique(primitive.numbers, return_counts=True)
    share = counts / len(primitive)
    ionic = 1 - np.exp(-((electronegativity[numbers, None] - electronegativity[numbers]) ** 2) / 4)
    electrons = float(counts @ valence[numbers])
    return [
        *(float(len(numbers)), float(ionic.max()), float(share @ ionic @ share)),
        *charge_balance(primitive, electronegativity.tolist()),
        *(float(cell.space_group), float(len(primitive)), float(cell.orbits.max() + 1)),
        *(electrons, electrons % 2),
    ]


@cache
def _electrons() -> tuple[Floats, Floats]:
    """Return electronegativities and numbers of valence electrons (113,), by atomic number."""
    table, names = element_properties()
    valence = [names.index(f"N{shell}Valence") for shell in "spdf"]
    return table[:, names.index("Electronegativity")], table[:, valence].sum(axis=1)


def _chemistry(crystals: Sequence[Crystal], progress: Progress = no_progress) -> NDArray[np.float32]:
    """Return `chemical_features` (n, 15) of crystals, from the cache where they are there."""
    together = partial(map_chunks, _inputs_of_many)
    settings = {"pymatgen": version("pymatgen")}  # which has the oxidation states
    inputs = cached_inputs(crystals, _inputs, "boosted-1", settings, progress, together)
    return np.array([x["chemistry"] for x in inputs], dtype=np.float32).reshape(len(crystals), CHEMICAL)


def _inputs(crystal: Crystal) -> Inputs:
    (found,) = _inputs_of_many([crystal])
    if isinstance(found, InputError):
        raise found
    return found


def _inputs_of_many(crystals: Sequence[Crystal]) -> list[Inputs | InputError]:
    last = len(element_properties()[0]) - 1
    unknown = [unknown_element(crystal, NAME, last) for crystal in crystals]
    found = [error or cell for error, cell in zip(unknown, conventional_cells(crystals), strict=True)]
    return [
        x if isinstance(x, InputError) else {"chemistry": np.array(chemical_features(x), dtype=np.float32)}
        for x in found
    ]
