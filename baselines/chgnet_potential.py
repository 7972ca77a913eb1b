"""CHGNet, a universal potential, used as a model of formation energy: zero-shot, from total energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from asugnn import Crystal, InputError
from asugnn.crystal import SYMBOLS, Floats
from asugnn.model import INVARIANCES, Publication
from asugnn.published_weights import PublishedWeights
from asugnn.reading import reading
from baselines._chgnet import (
    FOLDER,
    PUBLICATION,
    TRAINED_ON,
    WEIGHTS,
    WEIGHTS_SHA256,
    build_graph,
    build_network,
    without_its_warnings,
)
from baselines._potential import Potential

UNTRAINED = {84, 85, 86, 87, 88}  # polonium to radium


@dataclass
class CHGNetPotential(Potential):
    """CHGNet universal potential (Deng et al., Nat. Mach. Intell. 5, 1031, 2023): its energy minus the elements'.

    Nothing is fitted. The formation energy per atom is the potential's energy minus those of the elements by the same
    potential, each taken from its lowest-energy crystal on the training side, or among the files of `bench predict`; no
    label is read. Structures are not relaxed. Supports hydrogen to bismuth, and actinium to plutonium.
    """

    batch_size: int = 16

    saved: ClassVar[str] = "a saved CHGNet potential"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    publication: ClassVar[Publication] = PUBLICATION
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "pymatgen", "chgnet")
    invariances: ClassVar[frozenset[str]] = INVARIANCES
    weights: ClassVar[Mapping[str, PublishedWeights]] = {
        "CHGNet-0.3.0": PublishedWeights(
            FOLDER,
            {WEIGHTS: WEIGHTS_SHA256},
            "https://raw.githubusercontent.com/CederGroupHub/chgnet/v0.4.2/chgnet/pretrained/0.3.0",
            "formation-energy",
            TRAINED_ON,
            package="chgnet",
        )
    }

    @classmethod
    def pretrained(cls, files: Mapping[str, Path]) -> Self:
        """Load a CHGNet as its package saves it, one .pth.tar; raises `InputError` where it cannot be read."""
        import torch

        saved = [path for name, path in files.items() if name.endswith(".pth.tar")]
        if len(saved) != 1:
            raise InputError(f"a CHGNet is one file that ends in .pth.tar, and there are {len(saved)}")
        with reading(saved[0], "a CHGNet as its package saves it"):
            state = torch.load(saved[0], map_location="cpu", weights_only=True)["model"]
            return cls()._with_weights(state["state_dict"], state["model_args"])

    def energies(self, crystals: Sequence[Crystal]) -> Floats:
        import torch

        energies = np.empty(len(crystals))
        with without_its_warnings(), torch.inference_mode():
            for start in range(0, len(crystals), self.batch_size):
                graphs = [build_graph(self._network, c).to(self._device) for c in crystals[start:][: self.batch_size]]
                found = self._network(graphs, task="e")["e"].cpu().numpy()
                atoms = 1 if self._network.is_intensive else [len(graph.atomic_number) for graph in graphs]
                energies[start : start + len(graphs)] = found / atoms
        return energies

    def unsupported(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        reasons = {}
        with without_its_warnings():
            for i, crystal in enumerate(crystals):
                try:
                    if strange := [SYMBOLS[z - 1] for z in sorted(set(crystal.numbers.tolist()) & UNTRAINED)]:
                        raise InputError(f"no training crystal of CHGNet had {', '.join(strange)}")
                    build_graph(self._network, crystal)
                except InputError as error:
                    reasons[i] = str(error)
        return reasons

    def _with_weights(self, weights: Mapping[str, Any], about: Mapping[str, Any]) -> Self:
        self._about, self._elements = about, {}
        self._network = build_network(about, weights)
        return self.to("cpu")
