"""Decision trees as arrays, which are saved and evaluated without the library that grew them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats

FILE = "trees.safetensors"  # in the folder of a saved model
TYPES = {"feature": np.int16, "threshold": np.float64, "left": np.int32, "right": np.int32, "value": np.float64}


@dataclass(frozen=True)
class Tree:
    """A tree of m nodes, the first of which is its root; all are arrays (m,).

    From a node a crystal goes left if its feature is at most the threshold; of a `leaf` only the value counts.
    """

    leaf: NDArray[np.bool_]
    feature: NDArray[Any]
    threshold: NDArray[Any]
    left: NDArray[Any]
    right: NDArray[Any]
    value: NDArray[Any]


def join_trees(trees: Sequence[Tree]) -> dict[str, NDArray[Any]]:
    """Join trees end to end: arrays (nodes,) by the names in `TYPES`, and the `roots` (trees,)."""
    counts = np.array([len(tree.leaf) for tree in trees])
    roots = np.cumsum(counts) - counts
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in TYPES}
    for root, tree in zip(roots, trees, strict=True):
        itself = np.arange(len(tree.leaf))
        parts["feature"].append(np.where(tree.leaf, 0, tree.feature))
        parts["threshold"].append(np.where(tree.leaf, 0.0, tree.threshold))
        parts["left"].append(np.where(tree.leaf, itself, tree.left) + root)
        parts["right"].append(np.where(tree.leaf, itself, tree.right) + root)
        parts["value"].append(tree.value)
    joined = {name: np.concatenate(arrays).astype(TYPES[name]) for name, arrays in parts.items()}
    return joined | {"roots": roots.astype(np.int32)}


def sum_of_trees(nodes: Mapping[str, NDArray[Any]], x: NDArray[np.floating[Any]]) -> Floats:
    """Add up the values (n,) that all trees give to the features x (n, columns)."""
    rows, total = np.arange(len(x)), np.zeros(len(x))
    feature, threshold, left, right, value = (nodes[name] for name in TYPES)
    for root in nodes["roots"]:
        node = np.full(len(x), root)  # (n,) the node that each crystal has reached
        while True:
            child = np.where(x[rows, feature[node]] <= threshold[node], left[node], right[node])
            if np.array_equal(child, node):  # a leaf is its own child
                break
            node = child
        total += value[node]
    return total


def save_trees(arrays: Mapping[str, NDArray[Any]], path: Path, settings: Mapping[str, Any]) -> None:
    """Write joined trees, and arrays that stand beside them, with the settings of their model."""
    from safetensors.numpy import save_file

    save_file(dict(arrays), path, metadata={"settings": json.dumps(settings)})


def load_trees(
    path: Path, columns: int, beside: Mapping[str, type] = MappingProxyType({})
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read settings and arrays that `save_trees` wrote, with those in `beside`, of one number of the given type each.

    `columns` is the number of features. Raises `ValueError` where a crystal would not come to a leaf, or would get a
    value that is no number.
    """
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in (*TYPES, "roots", *beside)}
        settings = dict(json.loads(file.metadata()["settings"]))
    nodes, trees = len(arrays["left"]), len(arrays["roots"])
    shapes = dict.fromkeys(TYPES, (nodes,)) | {"roots": (trees,)} | dict.fromkeys(beside, ())
    if not trees or any(arrays[name].shape != shape for name, shape in shapes.items()):
        raise ValueError("its arrays do not fit each other")
    if any(arrays[name].dtype != kind for name, kind in (TYPES | {"roots": np.int32} | dict(beside)).items()):
        raise ValueError("its arrays are of other types")
    left, right, roots, feature = (arrays[name] for name in ("left", "right", "roots", "feature"))
    itself = np.arange(nodes)
    # A child stands behind its parent, so that no crystal goes round in a circle.
    sound = ((left > itself) & (right > itself)) | ((left == itself) & (right == itself))
    sound &= (left < nodes) & (right < nodes) & (feature >= 0) & (feature < columns)
    sound &= np.isfinite(arrays["value"]) & ~np.isnan(arrays["threshold"])
    if not sound.all() or roots.min() < 0 or roots.max() >= nodes or not all(np.isfinite(arrays[n]) for n in beside):
        raise ValueError("its trees are damaged")
    inner = left > itself
    visited = np.concatenate([left[inner], right[inner], roots])
    if len(np.unique(visited)) < len(visited):  # else a small file could take hours to evaluate
        raise ValueError("a node has two parents, or is the root of two trees")
    return settings, arrays
