"""MEGNet: messages between bonds, atoms and the state of the whole crystal."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from asugnn import Crystal, InputError
from asugnn.cache import Inputs
from asugnn.crystal import SYMBOLS
from asugnn.neighbours import Neighbours, nearest, within
from asugnn.torch_model import TorchModel, flat

if TYPE_CHECKING:
    from torch import nn

UNKNOWN = {"Po", "At", "Rn", "Fr", "Ra"}  # and all beyond plutonium: matgl's networks have no place for them
ELEMENTS = tuple(s for s in SYMBOLS[:94] if s not in UNKNOWN)


@dataclass
class MEGNet(TorchModel):
    """MatErials Graph Network (Chen et al., Chem. Mater. 31, 3564, 2019), by matgl.

    The network is matgl's with its published sizes, on whole shells of neighbours; its optimiser here is Adam under
    a one-cycle learning rate. An atom without a neighbour within `cutoff` is bound to its nearest shell. Knows
    hydrogen to plutonium but for Po, At, Rn, Fr and Ra.
    """

    cutoff: float = 4.0  # angstrom
    blocks: int = 3

    one_cycle: bool = True
    patience: int = 1000  # one cycle ends at its best: it is not cut short

    # Chosen on validation sides of open-dft, where formation energy takes 77 seconds on two cores.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"epochs": 60, "updates": 12_000, "batch_size": 16, "learning_rate": 2e-3, "weight_decay": 0.5}
    }
    invariances: ClassVar[frozenset[str]] = frozenset(
        {"rotation", "translation", "atom order", "cell choice", "supercell"}
    )
    input_fields: ClassVar[tuple[str, ...]] = ("cutoff",)

    def inputs(self, crystal: Crystal) -> Inputs:
        pairs = bound(crystal, self.cutoff)
        return {
            "elements": element_index(crystal, "MEGNet"),  # (n,)
            "centre": pairs.centre.astype(np.int32),  # (m,)
            "other": pairs.other.astype(np.int32),  # (m,)
            "distance": pairs.distance.astype(np.float32),  # (m,)
        }

    def batch(self, inputs: Sequence[Inputs]) -> Mapping[str, Any]:
        return flat(inputs, "elements", index=("centre", "other"))

    def network(self) -> nn.Module:
        from torch import Tensor, nn

        network = matgl().MEGNet(element_types=ELEMENTS, cutoff=self.cutoff, nblocks=self.blocks)

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.megnet = network

            def forward(self, batch: Mapping[str, Any]) -> Tensor:
                # Only lengths enter, so each bond may lie along x.
                bonds = nn.functional.pad(batch["distance"][:, None], (0, 2))  # (m, 3)
                state = bonds.new_zeros(batch["size"], 2)  # nothing is known of a crystal beside its structure
                y: Tensor = self.megnet(graph(batch, bonds), state)
                return y.view(-1)  # matgl drops the axis of a batch of one

        return Network()


def bound(crystal: Crystal, cutoff: float) -> Neighbours:
    """All neighbours within `cutoff` angstrom; for an atom that has none, its nearest shell.

    So no graph is empty, in which these networks have no meaning: caesium's nearest atoms are 5.4 angstrom away.
    """
    pairs, reach = within(crystal, cutoff), cutoff
    while len(alone := np.setdiff1d(np.arange(len(crystal)), pairs.centre)):
        reach *= 1.5
        far = nearest(crystal, 1, reach)
        rows = np.isin(far.centre, alone)
        parts = [
            np.concatenate([getattr(pairs, name), getattr(far, name)[rows]])
            for name in ("centre", "other", "image", "distance")
        ]
        order = np.lexsort((parts[3], parts[0]))
        pairs = Neighbours(*(part[order] for part in parts))
    return pairs


def element_index(crystal: Crystal, model: str) -> Any:
    """(n,) positions in `ELEMENTS`; raises `InputError` for an element that is not there."""
    table = np.full(len(SYMBOLS) + 1, -1, dtype=np.int32)
    table[[SYMBOLS.index(symbol) + 1 for symbol in ELEMENTS]] = np.arange(len(ELEMENTS))
    index = table[crystal.numbers]
    if index.min() < 0:
        symbol = SYMBOLS[crystal.numbers[index.argmin()] - 1]
        raise InputError(f"{model} does not know the element {symbol} of {crystal.formula}: leave this crystal out")
    return index


def graph(batch: Mapping[str, Any], bonds: Any) -> SimpleNamespace:
    """What matgl's networks read of a graph: every atom at the origin, its neighbours at the ends of its bonds."""
    import torch

    return SimpleNamespace(
        node_type=batch["elements"],
        pos=bonds.new_zeros(len(batch["elements"]), 3),
        pbc_offshift=bonds,
        edge_index=torch.stack([batch["centre"], batch["other"]]),
        batch=batch["crystal"],
        num_graphs=batch["size"],
    )


def matgl() -> ModuleType:
    """The package's models, whose import takes seconds and warns of others' deprecations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("matgl.models")
