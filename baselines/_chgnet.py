"""CHGNet by its package: graphs of crystals, and networks from files that are verified or hold plain data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np

from asugnn import Crystal, InputError
from asugnn.elements import check_elements
from asugnn.model import Publication

HEAVIEST = 94  # of the elements that CHGNet knows
VERSION, WEIGHTS = "0.3.0", "chgnet_0.3.0_e29f68s314m37.pth.tar"
WEIGHTS_SHA256 = "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1"
FOLDER = f"chgnet/pretrained/{VERSION}"  # of its package, with the weights
TRAINED_ON = (
    "energies, forces, stresses and magnetic moments of relaxations, Materials Project of September 2022 (MPtrj)"
)
PUBLICATION = Publication(
    "Deng, Zhong, Jun, Riebesell, Han, Bartel & Ceder, Nat. Mach. Intell. 5, 1031 (2023)",
    "10.1038/s42256-023-00716-3",
    "https://github.com/CederGroupHub/chgnet",
    "modified BSD",
)


def build_network(settings: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
    """Build CHGNet, ready to predict on the CPU, from what its file holds as `model_args` and `state_dict`.

    An atom without neighbours gets no messages. Raises what CHGNet's package raises where they do not fit.
    """
    from chgnet.model.model import CHGNet

    with redirect_stdout(None):
        # Its authors load this version without a bias in the last layer; networks that were saved later say both.
        network = CHGNet(**{"mlp_out_bias": False, "version": VERSION, **settings})
    network.load_state_dict(weights)
    network.graph_converter.on_isolated_atoms = "ignore"
    return network.eval()


def build_graph(network: Any, crystal: Crystal) -> Any:
    """Build CHGNet's graph of a crystal.

    Raises `InputError` for an element that CHGNet does not know, or where no two atoms are within its cut-off.
    """
    from pymatgen.core import Structure

    check_elements(crystal, "CHGNet", HEAVIEST)
    inside = crystal.frac_coords - np.floor(crystal.frac_coords)  # a search for neighbours would reach to the farthest
    graph = network.graph_converter(Structure(crystal.lattice, crystal.numbers.tolist(), inside))
    if not len(graph.atom_graph):
        cutoff = network.graph_converter.atom_graph_cutoff
        raise InputError(f"no two atoms of {crystal.formula} are within the {cutoff:g} angstrom that CHGNet sees")
    return graph


@contextmanager
def without_its_warnings() -> Iterator[None]:
    """Silence CHGNet's warnings about noble gases and about how it computes a volume, inside the block."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No Pauling electronegativity", UserWarning)
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True", UserWarning)
        yield
