"""A universal potential used as a model of formation energy: zero-shot, from total energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from asugnn import Crystal
from asugnn.cache import Inputs
from asugnn.crystal import Floats
from asugnn.model import Publication
from asugnn.published_weights import PublishedWeights
from asugnn.reading import reading
from baselines._matgl import ELEMENTS, PUBLISHED, import_matgl_models, matches_published, weights_folder
from baselines._potential import Potential
from baselines.m3gnet import M3GNet, cutoff_constants, network_outputs, renew_weights

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass
class M3GNetPotential(Potential):
    """M3GNet universal potential (Chen & Ong, Nat. Comput. Sci. 2, 718, 2022): its energy minus that of the elements.

    Nothing is fitted. The formation energy per atom is the potential's energy minus those of the elements by the same
    potential, each taken from its lowest-energy crystal on the training side, or among the files of `bench predict`; no
    label is read. Structures are not relaxed. Supports the elements of M3GNet.
    """

    batch_size: int = 64

    saved: ClassVar[str] = "a saved M3GNet potential"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    publication: ClassVar[Publication] = M3GNet.publication
    requires: ClassVar[tuple[str, ...]] = M3GNet.requires
    invariances: ClassVar[frozenset[str]] = M3GNet.invariances
    weights: ClassVar[Mapping[str, PublishedWeights]] = {
        "M3GNet-MP-2021.2.8-PES": PublishedWeights(
            "matgl/M3GNet-MP-2021.2.8-PES",
            {
                "state.pt": "a9aa723705bd1a242ec8749332f137811c4a94e17995a564f8f94a9aca68061b",
                "model.pt": "62678f76fbc5d8997ea1d7f3c4bf086df200102125c802b32b08ce14fbcde25b",
            },
            f"{PUBLISHED}/M3GNet-MP-2021.2.8-PES",
            "formation-energy",
            "energies, forces and stresses of relaxations, Materials Project of February 2021",
        )
    }

    @classmethod
    def pretrained(cls, files: Mapping[str, Path]) -> Self:
        """Load an M3GNet potential in matgl's format; raises `InputError` where it cannot be read."""
        import torch

        with reading(weights_folder(files), "an M3GNet potential in matgl's format"):
            potential = torch.load(files["model.pt"], map_location="cpu", weights_only=True)
            state = torch.load(files["state.pt"], map_location="cpu", weights_only=True)
            # Built here by name: matgl's loader would call whatever class a file names.
            if (kind := potential["model"]["@class"]) != "M3GNet":
                raise ValueError(f"it is a potential of {kind}, not of M3GNet")
            if potential.get("calc_repuls"):
                raise ValueError("it has a nuclear repulsion, which is not supported")
            made = dict(potential["model"]["init_args"])
            made["element_types"] = list(made["element_types"])
            if tuple(made["element_types"]) != ELEMENTS:
                raise ValueError("it has other elements than matgl's usual 89, or in another order")
            old = matches_published(files["state.pt"], cls.weights)
            weights = {n.removeprefix("model."): v for n, v in state.items() if n.startswith("model.")}
            weights = renew_weights(weights, made, old)
            offsets = state.get("element_refs.property_offset", torch.zeros(len(made["element_types"]))).double()
            mean, scale = (float(state[f"data_{name}"]) for name in ("mean", "std"))
            about = {"made": made, "old": old, "mean": mean, "scale": scale, "offsets": offsets.tolist()}
            return cls()._with_weights(weights, about)

    def energies(self, crystals: Sequence[Crystal]) -> Floats:
        import torch

        from asugnn.training import move_batch

        offsets = torch.tensor(self._about["offsets"], dtype=torch.float64)
        energies = np.empty(len(crystals))
        for start in range(0, len(crystals), self.batch_size):
            inputs: list[Inputs] = [self._graph.inputs(c) for c in crystals[start : start + self.batch_size]]
            batch = self._graph.batch(inputs)
            with torch.inference_mode():
                moved = move_batch(batch, torch.device(self._device))
                total = network_outputs(self._network, moved, self._about["old"]).double().cpu()
            total = total * self._about["scale"] + self._about["mean"]
            atoms = batch["multiplicity"].double()
            total = total.index_add(0, batch["crystal"], atoms * offsets[batch["elements"].long()])
            count = torch.zeros_like(total).index_add(0, batch["crystal"], atoms)
            energies[start : start + len(inputs)] = (total / count).numpy()
        return energies

    def unsupported(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        return self._graph.outside(crystals)

    def _with_weights(self, weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> Self:
        self._about = about
        self._elements = {}
        made = about["made"]
        self._graph: M3GNet = M3GNet(cutoff=made["cutoff"], threebody_cutoff=made["threebody_cutoff"], bind=False)
        network: nn.Module = import_matgl_models().M3GNet(**made)
        network.load_state_dict({**cutoff_constants(network), **weights})
        self._network = network.eval()
        return self.to("cpu")
