"""CHGNet, a universal potential, used as a model of formation energy: zero-shot, from total energies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from asugnn import Crystal, InputError
from asugnn.atomic_write import write_text
from asugnn.crystal import SYMBOLS, Floats
from asugnn.model import Publication
from asugnn.published_weights import PublishedWeights
from asugnn.reading import read_json, reading
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

FILE = "weights.safetensors"
UNTRAINED = {84, 85, 86, 87, 88}  # polonium to radium


@dataclass
class CHGNetPotential(Potential):
    """CHGNet universal potential (Deng et al., Nat. Mach. Intell. 5, 1031, 2023): its energy minus the elements'.

    Nothing is fitted. The formation energy per atom is the potential's energy minus those of the elements by the same
    potential, each taken from its lowest-energy crystal on the training side, or among the files of `bench predict`; no
    label is read. Structures are not relaxed. Supports hydrogen to bismuth, and actinium to plutonium.
    """

    batch_size: int = 16

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    publication: ClassVar[Publication] = PUBLICATION
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "pymatgen", "chgnet")
    invariances: ClassVar[frozenset[str]] = frozenset(
        {"rotation", "translation", "atom order", "cell choice", "supercell"}
    )
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
            return cls()._with_network(state["model_args"], state["state_dict"])

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

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        weights = {k: v.detach().cpu().contiguous() for k, v in self._network.state_dict().items()}
        save_file(weights, folder / FILE)
        content = {"made": self._made, "elements": self._elements, "batch_size": self.batch_size}
        write_text(folder / "model.json", json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.torch import load_file

        with reading(folder, "a saved CHGNet potential"):
            content = read_json(folder / "model.json", "a saved CHGNet potential")
            model = cls(content["batch_size"])._with_network(content["made"], load_file(folder / FILE))
            model._elements = {int(z): energy for z, energy in content["elements"].items()}
        return model

    def to(self, device: str) -> Self:
        """Move the network to a device, `cpu` or `cuda`, on which it then predicts; returns the model."""
        self._device = device
        self._network.to(device)
        return self

    @property
    def parameters(self) -> int:
        """Number of parameters of the network."""
        return sum(p.numel() for p in self._network.parameters())

    # Details -------------------------------------------------------------------------------------------------------

    def _with_network(self, made: Mapping[str, Any], weights: Mapping[str, Any]) -> Self:
        """Give the model a network with these settings and weights."""
        self._made = dict(made)
        self._elements = {}
        self._network = build_network(self._made, weights)
        return self.to("cpu")
